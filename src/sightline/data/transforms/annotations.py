"""What a function says about the picture that it wants, read from the annotation of its first argument.

Annotations are compared by the names that stand in them, so they may be strings, unions or tuples.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Final, get_args, get_origin

import numpy as np
import torch
from PIL import Image

from sightline.data.transforms.tensor_kinds import TENSOR_KINDS

Names = frozenset[str]

PICTURE: Final[Names] = frozenset({"Image", "PILBase", "PILImage", "PILImageBW"})
"""Names of a Pillow image."""
TENSOR: Final[Names] = frozenset({"Tensor", "TensorBase", "TensorImageBase", "TensorImage", "TensorImageBW"})
"""Names of a picture as a tensor."""
ARRAY: Final[Names] = frozenset({"ndarray", "NDArray"})
"""Names of a picture as an array."""
FASTAI_TENSOR: Final[Names] = TENSOR - {"Tensor"}
"""Names that only scripts in fastai's style use."""
NO_PICTURE: Final[Names] = frozenset(
    {"TensorCategory", "TensorMultiCategory", "TensorMask", "TensorPoint", "TensorBBox", "LabeledBBox", "PILMask"}
    | {"Category", "MultiCategory", "int", "float", "str", "bool", "list", "dict", "bytes"}
)
"""Names of labels and other things that a picture is not."""


def wanted(function: Callable[..., Any]) -> Names:
    """The names in the annotation of a function's first argument; empty where there is none, or none that says anything."""
    first = next(iter(_parameters(function)), None)
    if first is None or first.kind in (first.VAR_POSITIONAL, first.VAR_KEYWORD) or first.annotation is first.empty:
        return frozenset()
    names = frozenset(_names(first.annotation))
    return names if names & (PICTURE | TENSOR | ARRAY | NO_PICTURE) else frozenset()


def takes(function: Callable[..., Any], name: str) -> bool:
    """Whether a function has an argument of this name."""
    return any(parameter.name == name for parameter in _parameters(function))


def names_for(value: Any) -> Names:
    """The names by which a value can be asked for."""
    names = {kind.__name__ for kind in type(value).__mro__ if kind is not object}
    if isinstance(value, Image.Image):
        names |= PICTURE
    elif isinstance(value, torch.Tensor):
        names |= {kind.__name__ for kind in TENSOR_KINDS if isinstance(value, kind)}
    elif isinstance(value, np.ndarray):
        names |= ARRAY
    return frozenset(names)


def _parameters(function: Callable[..., Any]) -> Iterable[inspect.Parameter]:
    try:
        return inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return ()


def _names(annotation: Any) -> Iterable[str]:
    if isinstance(annotation, str):
        return [name.rsplit(".", 1)[-1] for name in re.findall(r"[\w.]+", annotation)]
    if isinstance(annotation, tuple | list):
        return [name for part in annotation for name in _names(part)]
    origin = get_origin(annotation)
    if isinstance(origin, type) and origin is not type(int | str):
        return [origin.__name__]
    if get_args(annotation):
        return [name for part in get_args(annotation) for name in _names(part)]
    return [getattr(annotation, "__name__", str(annotation))]
