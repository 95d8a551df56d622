"""Saved weights of a learner: one .safetensors file with the network's tensors and, if wanted, the optimizer's state."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sightline.atomic import whole_file
from sightline.errors import WeightsError, counted
from sightline.train.optim import Optimizer

_MODEL, _OPTIMIZER = "model.", "optimizer."


def save_checkpoint(path: Path, model: nn.Module, opt: Optimizer | None) -> Path:
    """Write the network, and the optimizer where one is given, whole or not at all; returns the path."""
    tensors = {_MODEL + name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    metadata = {"format": "sightline-weights"}
    if opt is not None:
        state = opt.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, Tensor):
                    tensors[f"{_OPTIMIZER}{index}.{name}"] = value.detach().cpu().clone()
                else:
                    plain.setdefault(str(index), {})[name] = value
        metadata["optimizer"] = json.dumps({"plain": plain, "groups": state["param_groups"]})
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata=metadata)
    return path


def load_checkpoint(path: Path, model: nn.Module, opt: Optimizer | None, *, strict: bool) -> None:
    """Put what `save_checkpoint` wrote into the network, and into the optimizer where one is given and saved.

    Raises:
        WeightsError: There is no such file, it cannot be read, or it does not fit.
    """
    if not path.is_file():
        there = sorted(other.stem for other in path.parent.glob("*.safetensors")) if path.parent.is_dir() else []
        raise WeightsError(f"{path} is not there. Saved in that folder: {', '.join(there) or 'nothing'}.")
    try:
        with safe_open(path, framework="pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as .safetensors: {error}. Expected what learn.save(...) wrote.") from error
    _load_model(path, model, {name.removeprefix(_MODEL): t for name, t in tensors.items() if name.startswith(_MODEL)}, strict)
    if opt is not None and "optimizer" in metadata:
        _load_optimizer(path, opt, metadata["optimizer"], tensors)


def _load_model(path: Path, model: nn.Module, tensors: dict[str, Tensor], strict: bool) -> None:
    own = model.state_dict()
    wrong = [name for name, tensor in tensors.items() if name not in own or own[name].shape != tensor.shape]
    absent = [name for name in own if name not in tensors]
    if strict and (wrong or absent):
        first = (wrong or absent)[0]
        raise WeightsError(
            f"{path} does not fit this network: {counted(len(wrong), 'tensor')} unknown or of another shape, "
            f"{len(absent)} absent (first: {first!r}). "
            "Build the learner as it was when it was saved, or pass strict=False to take over what fits."
        )
    model.load_state_dict({name: tensor for name, tensor in tensors.items() if name not in wrong}, strict=False)


def _load_optimizer(path: Path, opt: Optimizer, text: str, tensors: dict[str, Tensor]) -> None:
    saved = json.loads(text)
    state: dict[int, dict[str, Any]] = {int(index): dict(entry) for index, entry in saved["plain"].items()}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, _, key = name.removeprefix(_OPTIMIZER).partition(".")
            state.setdefault(int(index), {})[key] = tensor
    try:
        opt.load_state_dict({"state": state, "param_groups": saved["groups"]})
    except (ValueError, KeyError) as error:
        raise WeightsError(
            f"{path}: the optimizer's state does not fit: {error}. "
            "Load the weights alone with learn.load(name, with_opt=False)."
        ) from error
