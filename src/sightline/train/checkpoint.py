"""Saved weights of a learner: one sealed .safetensors file with the network's tensors and, if wanted, the optimizer's state."""

from __future__ import annotations

import json
import math
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import OptionError, SightlineWarning, TensorFileError, WeightsError, counted
from sightline.model.spelling import SAFE_SUFFIX
from sightline.model.weights import SAVED_FORMAT, SAVED_MODEL, read_file, used_by
from sightline.runtime import plan_runtime
from sightline.stored import TEXT, Kind, check_fields, list_of, parse_json, shown
from sightline.tensorfile import read_metadata, read_tensors, write_tensors
from sightline.train.optim import Optimizer

_OF_TORCH = (".pth", ".pt")
_MODEL, _OPTIMIZER = SAVED_MODEL, "optimizer."
_NAMED = Kind("names with values", lambda value: isinstance(value, Mapping))
_STORED: Mapping[str, Kind] = {"kind": TEXT, "plain": _NAMED, "groups": list_of(_NAMED, 1)}
"""What is said of an optimizer beside its tensors."""


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
    tensors = {_MODEL + name: tensor for name, tensor in model.state_dict().items()}
    metadata = {"format": SAVED_FORMAT}
    if opt is not None and with_opt:
        state = opt.state_dict()
        plain: dict[str, dict[str, Any]] = {}
        for index, entry in state["state"].items():
            for name, value in entry.items():
                if isinstance(value, Tensor):
                    tensors[f"{_OPTIMIZER}{index}.{name}"] = value
                else:
                    plain.setdefault(str(index), {})[name] = value
        metadata["optimizer"] = json.dumps({"kind": opt.kind, "plain": plain, "groups": state["param_groups"]})
    try:
        write_tensors(path, tensors, metadata)
    except (OSError, TensorFileError) as error:
        raise WeightsError(f"{path} cannot be written: {error}. Give the learner another path=.") from error
    return path


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
    if not os.path.isfile(path) and (foreign := _of_torch(path)) is not None:
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
    return next((other for suffix in _OF_TORCH if os.path.isfile(other := path.with_suffix(suffix))), None)


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
    if not os.path.isfile(path):
        found = path.parent.iterdir() if path.parent.is_dir() else []
        there = sorted({other.stem for other in found if other.suffix in {SAFE_SUFFIX, *_OF_TORCH}})
        raise WeightsError(f"{path} is not there. Saved in that folder: {', '.join(there) or 'nothing'}.")
    where = "cpu" if device is None else str(plan_runtime(f"cuda:{device}" if isinstance(device, int) else device).device)
    try:
        if read_metadata(path).get("format") != SAVED_FORMAT:
            raise WeightsError(
                f"{path} was not written by learn.save(...). To predict from an exported file use load_learner(path); to start "
                "from its weights, pass vision_learner(..., weights=path)."
            )
        file = read_tensors(path, device=where)
    except TensorFileError as error:
        raise WeightsError(f"{path} cannot be used: {error}. Expected what learn.save(...) wrote.") from error
    return file.metadata, file.tensors


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
    try:
        saved = check_fields(parse_json(text, nan=True), _STORED, needed=list(_STORED))
        state = _entries(saved["plain"], tensors)
        reason = _misfit(opt, saved, state)
        groups = saved["groups"] if reason else _groups(opt, saved["groups"])
    except ValueError as error:
        raise WeightsError(f"{path}: what it says of the optimizer is not valid: {error}") from error
    if reason is None:
        return {"state": state, "param_groups": groups}
    if strict:
        raise WeightsError(f"{path}: the optimizer's state does not fit: {reason}. Load the weights alone: with_opt=False.")
    warnings.warn(f"{path}: the optimizer's state does not fit and is left out: {reason}.", SightlineWarning, stacklevel=4)
    return None


def _entries(plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[int, dict[str, Any]]:
    """What was remembered of each parameter, by its number."""
    state: dict[int, dict[str, Any]] = {}
    for index, entry in plain.items():
        if not isinstance(entry, Mapping) or any(isinstance(value, Mapping | list) for value in entry.values()):
            raise ValueError(f"of parameter {shown(index)} it holds {shown(entry)}. Expected names with plain values")
        state[_number(index)] = dict(entry)
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMIZER):
            index, _, key = name.removeprefix(_OPTIMIZER).partition(".")
            state.setdefault(_number(index), {})[key] = tensor
    return state


def _number(index: str) -> int:
    if not (index.isascii() and index.isdigit() and len(index) < 10):
        raise ValueError(f"{shown(index)} is not the number of a parameter")
    return int(index)


def _groups(opt: Optimizer, saved: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The saved parameter groups, every value of the kind that the optimizer itself has there."""
    own = opt.state_dict()["param_groups"]
    return [
        {**group, **{name: _alike(name, group.get(name), value) for name, value in other.items()}}
        for group, other in zip(own, saved, strict=True)
    ]


def _alike(name: str, own: Any, value: Any) -> Any:
    """A saved value as the optimizer holds it: JSON has no tuples."""
    if isinstance(own, list | tuple) and isinstance(value, list) and len(own) == len(value):
        return type(own)(_alike(name, one, other) for one, other in zip(own, value, strict=True))
    switches, numbers = (bool, type(None)), (int, float)
    kinds = next((kinds for kinds in (switches, numbers, (str,)) if isinstance(own, kinds)), ())
    # Numbers are written as numbers: True is none here. Infinity is one where the optimizer itself has it.
    fits = isinstance(value, kinds) and not (kinds is numbers and isinstance(value, bool))
    if not fits or (kinds is numbers and math.isfinite(own) and not math.isfinite(value)):
        raise ValueError(f"it has {name}={shown(value)} where the optimizer has {shown(own)}")
    return value


def _misfit(opt: Optimizer, saved: dict[str, Any], state: dict[int, dict[str, Any]]) -> str | None:
    """Why a saved state cannot be taken over, in words; None where it can."""
    if saved["kind"] != opt.kind:
        return f"it is of {saved['kind'][:80]}, and this optimizer is {opt.kind}"
    groups = opt.inner.param_groups
    numbered = [group["params"] for group in opt.state_dict()["param_groups"]]
    if numbered != [group.get("params") for group in saved["groups"]]:
        return "it was made for other parameter groups"
    parameters = [parameter for group in groups for parameter in group["params"]]
    for index, entry in state.items():
        if index >= len(parameters):
            return f"it remembers parameter {index} of {len(parameters)}"
        for name, value in entry.items():
            if isinstance(value, Tensor) and value.ndim and value.shape != parameters[index].shape:
                return f"{name} has shape {tuple(value.shape)} for a parameter of shape {tuple(parameters[index].shape)}"
    return None
