"""Small helpers for tensors under the names that fastai's scripts use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Number
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.loading.batch import Batch
from sightline.errors import OptionError
from sightline.runtime import plan_runtime
from sightline.train.callbacks.hooks import total_params


def tensor(x: Any, *rest: Any, **options: Any) -> Tensor:
    """A tensor of whatever holds numbers: a list, an array, a picture, a table's column, or several numbers in a row.

    Numbers of 64 bits become float32, and whole ones of 16 bits without sign too.

    Args:
        x: The first or only value.
        rest: Further ones: `tensor(1, 2, 3)` is `tensor([1, 2, 3])`.
        options: Those of `torch.tensor`.
    """
    if rest:
        x = (x, *rest)
    if isinstance(x, (list, tuple)) and any(isinstance(one, (Tensor, np.ndarray)) for one in x):
        made = torch.stack([tensor(one, **options) for one in x])
    elif isinstance(x, Tensor):
        made = x.to(**options) if options else x
    elif isinstance(x, (list, tuple, Number)):
        made = torch.tensor(x, **options)
    else:  # an array, a picture, a table or its column
        numbers = np.array(x)
        wide = numbers.dtype in (np.float64, np.uint16)
        made = torch.tensor(numbers.astype(np.float32) if wide else numbers, **options)
    return made.float() if made.dtype == torch.float64 else made


def apply(func: Callable[..., Any], x: Any, *args: Any, **options: Any) -> Any:
    """`func` on every tensor within lists, tuples and dicts, which keep their kind; anything else stays as it is."""
    if isinstance(x, Tensor):
        return func(x, *args, **options)
    if isinstance(x, Mapping):
        return {key: apply(func, one, *args, **options) for key, one in x.items()}
    if isinstance(x, tuple) and hasattr(x, "_fields"):
        return type(x)(*(apply(func, one, *args, **options) for one in x))
    return type(x)([apply(func, one, *args, **options) for one in x]) if isinstance(x, (list, tuple)) else x


def to_device(b: Any, device: str | torch.device | None = None, non_blocking: bool = False) -> Any:
    """Every tensor within `b` on a device; None is the best that is there."""
    return apply(lambda x: x.to(device or default_device(), non_blocking=non_blocking), b)


def to_cpu(b: Any) -> Any:
    """Every tensor within `b` on the CPU."""
    return to_device(b, "cpu")


def to_np(x: Any) -> Any:
    """Every tensor within `x` as a NumPy array."""
    return apply(lambda o: o.detach().cpu().numpy(), x)


def to_float(b: Any) -> Any:
    """Every tensor of floats within `b` as float32."""
    return apply(lambda x: x.float() if x.is_floating_point() else x, b)


def to_half(b: Any) -> Any:
    """Every tensor of floats within `b` as float16."""
    return apply(lambda x: x.half() if x.is_floating_point() else x, b)


def find_bs(b: Any) -> int:
    """The number of rows of the first tensor within a batch, whether of lists, tuples or dicts."""
    first = b
    while isinstance(first, (Batch, list, tuple, Mapping)) and first:
        first = next(iter(first.values() if isinstance(first, Mapping) else first))
    return int(first.shape[0]) if hasattr(first, "shape") else len(b)


def one_hot(x: Any, c: int) -> Tensor:
    """uint8 `(c,)`: ones at the places `x` (one, several or none)."""
    hot = torch.zeros(c, dtype=torch.uint8)
    places = [x] if isinstance(x, int) else [int(one) for one in x]
    outside = [place for place in places if not 0 <= place < c]
    if outside:
        raise OptionError(f"one_hot: {outside} is outside of 0 to {c - 1}. Expected places among c={c}.")
    hot[places] = 1
    return hot


def default_device(use: int | None = -1) -> torch.device:
    """Where work is done unless told otherwise: a GPU where there is one; `use=0` or False asks for the CPU."""
    return torch.device("cpu") if use in (0, False) and use is not None else plan_runtime().device


def requires_grad(m: nn.Module) -> bool:
    """Whether the first parameter of a module trains."""
    return total_params(m)[1]


class Module(nn.Module):
    """`nn.Module` whose subclasses need not call `super().__init__()`."""

    def __new__(cls, *args: Any, **options: Any) -> Self:
        made = super().__new__(cls)
        nn.Module.__init__(made)
        return made

    def __init__(self) -> None:
        """Nothing further; subclasses write their own."""
