"""Saved weights of a learner: one .safetensors file with the network's tensors and, if wanted, the optimizer's state."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sightline.atomic import whole_file
from sightline.errors import SightlineWarning, WeightsError, counted
from sightline.train.optim import Optimizer

FORMAT = "sightline-weights"
_MODEL, _OPTIMIZER = "model.", "optimizer."


def save_checkpoint(path: Path, model: nn.Module, opt: Optimizer | None) -> Path:
    """Write the network, and the optimizer where one is given, whole or not at all; returns the path.

    Raises:
        WeightsError: The file cannot be written.
    """
    tensors = {_MODEL + name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    metadata = {"format": FORMAT}
    if opt is not None:
        state = opt.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, Tensor):
                    tensors[f"{_OPTIMIZER}{index}.{name}"] = value.detach().cpu().clone()
                else:
                    plain.setdefault(str(index), {})[name] = value
        metadata["optimizer"] = json.dumps({"kind": opt.kind, "plain": plain, "groups": state["param_groups"]})
    try:
        with whole_file(path) as partial:
            save_file(tensors, partial, metadata=metadata)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error}. Give the learner another path=.") from error
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
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} was not written by learn.save(...). To predict from an exported file use load_learner(path); to start "
            "from its weights, pass vision_learner(..., weights=path)."
        )
    own = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items() if name.startswith(_MODEL)}
    fitting = _fitting(path, model, own, strict)
    # Everything is checked before anything is changed.
    state = None if opt is None or "optimizer" not in metadata else _state(path, opt, metadata["optimizer"], tensors, strict)
    model.load_state_dict(fitting, strict=False)
    if opt is not None and state is not None:
        opt.load_state_dict(state)


def _fitting(path: Path, model: nn.Module, tensors: dict[str, Tensor], strict: bool) -> dict[str, Tensor]:
    """The tensors that fit the network.

    Raises:
        WeightsError: Not all do, or some are absent, and `strict` is set.
    """
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
    return {name: tensor for name, tensor in tensors.items() if name not in wrong}


def _state(path: Path, opt: Optimizer, text: str, tensors: dict[str, Tensor], strict: bool) -> dict[str, Any] | None:
    """The optimizer's saved state, or None where it does not fit and need not.

    Raises:
        WeightsError: It does not fit, and `strict` is set.
    """
    saved = json.loads(text)
    state: dict[int, dict[str, Any]] = {int(index): dict(entry) for index, entry in saved["plain"].items()}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, _, key = name.removeprefix(_OPTIMIZER).partition(".")
            state.setdefault(int(index), {})[key] = tensor
    reason = _misfit(opt, saved, state)
    if reason is None:
        return {"state": state, "param_groups": saved["groups"]}
    if strict:
        raise WeightsError(f"{path}: the optimizer's state does not fit: {reason}. Load the weights alone: with_opt=False.")
    warnings.warn(f"{path}: the optimizer's state does not fit and is left out: {reason}.", SightlineWarning, stacklevel=4)
    return None


def _misfit(opt: Optimizer, saved: dict[str, Any], state: dict[int, dict[str, Any]]) -> str | None:
    """Why a saved state cannot be taken over, in words; None where it can."""
    if saved["kind"] != opt.kind:
        return f"it is of {saved['kind']}, and this optimizer is {opt.kind}"
    groups = opt.inner.param_groups
    if [len(group["params"]) for group in groups] != [len(group["params"]) for group in saved["groups"]]:
        return "it was made for other parameter groups"
    parameters = [parameter for group in groups for parameter in group["params"]]
    for index, entry in state.items():
        for name, value in entry.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[index].shape:
                return f"{name} has shape {tuple(value.shape)} for a parameter of shape {tuple(parameters[index].shape)}"
    return None
