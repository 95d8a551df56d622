"""Nested values as plain ones that JSON can hold, with their tensors apart; and back, every bit and every type as it was."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.errors import OptionError

_PLAIN = (type(None), bool, int, float, str)


def packed(value: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """A value for JSON; each tensor in it goes to `tensors` as a copy on the CPU, under a name that begins with `name`.

    Args:
        value: None, numbers, text, paths, tensors, arrays, and lists, tuples and dictionaries of them.
        name: What it is; used in names and in the error.
        tensors: Is added to.

    Raises:
        OptionError: Something in it is of another type.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in _PLAIN:
        return value
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)
        return {"tensor": name}
    if isinstance(value, np.ndarray):
        return {"array": packed(torch.from_numpy(np.array(value)), name, tensors)}
    if isinstance(value, Path):
        return {"path": str(value)}
    if isinstance(value, Mapping):
        return {"dict": [[packed(key, name, tensors), packed(one, f"{name}.{key}", tensors)] for key, one in value.items()]}
    if isinstance(value, list | tuple):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [packed(one, f"{name}.{index}", tensors) for index, one in enumerate(value)]}
    raise OptionError(
        f"{name} is a {type(value).__name__}, which cannot be kept for a run to go on from. Expected numbers, text, tensors, "
        "or lists and dictionaries of them. Give the callback a state_dict() of such values, or take the name out of `resumes`."
    )


def unpacked(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    """What `packed` was given."""
    if not isinstance(value, dict):
        return value
    ((kind, held),) = value.items()
    if kind == "tensor":
        return tensors[held]
    if kind == "array":
        return unpacked(held, tensors).numpy()
    if kind == "path":
        return Path(held)
    if kind == "dict":
        return {unpacked(key, tensors): unpacked(one, tensors) for key, one in held}
    several = [unpacked(one, tensors) for one in held]
    return tuple(several) if kind == "tuple" else several
