"""Saved weights of a learner: one .safetensors file with the network's tensors and, if wanted, the optimizer's state."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sightline.atomic import whole_file
from sightline.errors import OptionError, SightlineWarning, WeightsError, counted
from sightline.model.spelling import SAFE_SUFFIX
from sightline.model.weights import SAVED_FORMAT, SAVED_MODEL, read_file, used_by
from sightline.runtime import plan_runtime
from sightline.train.optim import Optimizer

_OF_TORCH = (".pth", ".pt")
_MODEL, _OPTIMIZER = SAVED_MODEL, "optimizer."


def weights_path(folder: Path, name: str | Path) -> Path:
    """Where weights called `name` are: `folder/name.safetensors`, whether or not `name` has that ending, or `.pth` or `.pt`.

    Args:
        folder: Where names that are no absolute paths begin.
        name: May hold folders.

    Raises:
        OptionError: It is no name of a file.
    """
    path = folder / name
    if not Path(name).name or path.name == "..":
        raise OptionError(f"{str(name)!r} is not the name of a file. Expected such as 'stage-1'.")
    bare = path.name.removesuffix(path.suffix) if path.suffix in {SAFE_SUFFIX, *_OF_TORCH} else path.name
    return path.with_name(bare + SAFE_SUFFIX)


def save_model(file: str | Path, model: nn.Module, opt: Optimizer | None = None, with_opt: bool = True) -> Path:
    """Write the network, and the optimizer where one is given, whole or not at all.

    Args:
        file: Its ending becomes `.safetensors`, see `weights_path`.
        model: The network.
        opt: The optimizer.
        with_opt: Write its state too.

    Returns:
        The path that was written.

    Raises:
        WeightsError: The file cannot be written.
    """
    path = weights_path(Path(), file)
    tensors = {_MODEL + name: _kept(tensor) for name, tensor in model.state_dict().items()}
    metadata = {"format": SAVED_FORMAT}
    if opt is not None and with_opt:
        state = opt.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, Tensor):
                    tensors[f"{_OPTIMIZER}{index}.{name}"] = _kept(value)
                else:
                    plain.setdefault(str(index), {})[name] = value
        metadata["optimizer"] = json.dumps({"kind": opt.kind, "plain": plain, "groups": state["param_groups"]})
    try:
        with whole_file(path) as partial:
            save_file(tensors, partial, metadata=metadata)
    except OSError as error:
        raise WeightsError(f"{path} cannot be written: {error}. Give the learner another path=.") from error
    return path


def _kept(tensor: Tensor) -> Tensor:
    """A copy on the CPU, in the one memory format that a file holds."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def load_model(
    file: str | Path,
    model: nn.Module,
    opt: Optimizer | None = None,
    with_opt: bool = True,
    device: str | int | torch.device | None = None,
    strict: bool = True,
) -> None:
    """Put what `save_model` wrote into the network, and into the optimizer where one is given and saved.

    Where there is no such file, but one of the same name ending in `.pth` or `.pt`, such as fastai writes, its weights are
    taken, and nothing in it is ever executed; an optimizer's state in it is left aside.

    Args:
        file: Its ending is taken for `.safetensors`, see `weights_path`.
        model: The network, which stays on its device.
        opt: The optimizer.
        with_opt: Take over its state too.
        device: Where the file is read to at first; None is the CPU.
        strict: Refuse a file that does not fit; False takes over what fits.

    Raises:
        WeightsError: There is no such file, it cannot be read, or it does not fit.
    """
    path = weights_path(Path(), file)
    if not path.is_file() and (foreign := _of_torch(path)) is not None:
        tensors = used_by(model, _tensors_of_torch(foreign, opt, with_opt))
        model.load_state_dict(_fitting(foreign, model, tensors, strict), strict=False)
        return
    metadata, tensors = _read(path, device)
    own = {name.removeprefix(_MODEL): tensor for name, tensor in tensors.items() if name.startswith(_MODEL)}
    fitting = _fitting(path, model, used_by(model, own), strict)
    # Everything is checked before anything is changed.
    opt = opt if with_opt and "optimizer" in metadata else None
    state = None if opt is None else _state(path, opt, metadata["optimizer"], tensors, strict)
    model.load_state_dict(fitting, strict=False)
    if opt is not None and state is not None:
        opt.load_state_dict(state)


def _of_torch(path: Path) -> Path | None:
    """The file of the same name that torch wrote, if there is one."""
    return next((other for suffix in _OF_TORCH if (other := path.with_suffix(suffix)).is_file()), None)


def _tensors_of_torch(path: Path, opt: Optimizer | None, with_opt: bool) -> dict[str, Tensor]:
    found = read_file(path)
    if found.has_optimizer and with_opt and opt is not None:
        warnings.warn(
            f"{path}: the weights are taken over, the optimizer's state is not, because it is that of another library. "
            "Training goes on with a new one; load with with_opt=False to say that this is meant.",
            SightlineWarning,
            stacklevel=4,
        )
    return dict(found.by_name)


def _read(path: Path, device: str | int | torch.device | None) -> tuple[dict[str, str], dict[str, Tensor]]:
    if not path.is_file():
        found = path.parent.iterdir() if path.parent.is_dir() else []
        there = sorted({other.stem for other in found if other.suffix in {SAFE_SUFFIX, *_OF_TORCH}})
        raise WeightsError(f"{path} is not there. Saved in that folder: {', '.join(there) or 'nothing'}.")
    where = "cpu" if device is None else str(plan_runtime(f"cuda:{device}" if isinstance(device, int) else device).device)
    try:
        with safe_open(path, framework="pt", device=where) as opened:
            metadata = opened.metadata() or {}
            tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
    except (SafetensorError, OSError) as error:
        raise WeightsError(f"{path} cannot be read as .safetensors: {error}. Expected what learn.save(...) wrote.") from error
    if metadata.get("format") != SAVED_FORMAT:
        raise WeightsError(
            f"{path} was not written by learn.save(...). To predict from an exported file use load_learner(path); to start "
            "from its weights, pass vision_learner(..., weights=path)."
        )
    return metadata, tensors


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
