"""Layers for heads and networks of one's own: reshaping, pooling, norms, and the blocks of a head."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, StrEnum
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import OptionError

NORM_BIAS = 1e-3
"""Where the bias of a norm starts (fastai)."""


class NormType(Enum):
    """Norms by name; those with Zero start with weights of zero, so that a residual block starts as its shortcut."""

    Batch = 1
    BatchZero = 2
    Weight = 3
    Spectral = 4
    Instance = 5
    InstanceZero = 6


class PoolType(StrEnum):
    """Ways to pool a feature map to one number: its average, its maximum, or both side by side."""

    Avg = "Avg"
    Max = "Max"
    Cat = "Cat"


class Lambda(nn.Module):
    """A function as a layer."""

    def __init__(self, func: Callable[[Any], Any]) -> None:
        super().__init__()
        self.func = func

    def forward(self, x: Any) -> Any:
        """`func(x)`."""
        return self.func(x)

    def extra_repr(self) -> str:
        """The function, for the printed network."""
        return getattr(self.func, "__name__", repr(self.func))


class PartialLambda(Lambda):
    """A function with some of its arguments as a layer."""

    def __init__(self, func: Callable[..., Any], **kwargs: Any) -> None:
        super().__init__(partial(func, **kwargs))


class Flatten(nn.Flatten):
    """All dimensions but the first as one: `(N, ...)` to `(N, M)`; with `full` all of them: `(N * M,)`."""

    def __init__(self, full: bool = False) -> None:
        super().__init__(start_dim=0 if full else 1)


class View(nn.Module):
    """`x.view(size)`, the first dimension included."""

    def __init__(self, *size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers in the shape `size`."""
        return x.view(self.size)

    def extra_repr(self) -> str:
        """The shape, for the printed network."""
        return ", ".join(map(str, self.size))


class ResizeBatch(View):
    """`x.view(N, *size)`: `View` of every item of a batch."""

    def forward(self, x: Tensor) -> Tensor:
        """The same numbers, each item in the shape `size`."""
        return x.view(x.shape[0], *self.size)


def sigmoid(input: Tensor, eps: float = 1e-7) -> Tensor:
    """The sigmoid, kept within (eps, 1 - eps), elementwise."""
    return torch.sigmoid(input).clamp(eps, 1 - eps)


def sigmoid_range(x: Tensor, low: float, high: float) -> Tensor:
    """A sigmoid stretched to (low, high), elementwise."""
    return torch.sigmoid(x) * (high - low) + low


class SigmoidRange(nn.Module):
    """A sigmoid stretched to (low, high), for numbers that are known to lie between two bounds."""

    def __init__(self, low: float, high: float) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: Tensor) -> Tensor:
        """Map any real numbers into (low, high), elementwise."""
        return sigmoid_range(x, self.low, self.high)

    def extra_repr(self) -> str:
        """The bounds, for the printed network."""
        return f"low={self.low}, high={self.high}"


class AdaptiveConcatPool2d(nn.Module):
    """Maximum and average of every feature map, side by side.

    Shapes: (N, C, H, W) -> (N, 2C, size, size), the maxima first.
    """

    def __init__(self, size: int | tuple[int, int] | None = None) -> None:
        super().__init__()
        self.size = size or 1
        self.ap = nn.AdaptiveAvgPool2d(self.size)
        self.mp = nn.AdaptiveMaxPool2d(self.size)

    def forward(self, features: Tensor) -> Tensor:
        """Pool (N, C, H, W) to (N, 2C, size, size)."""
        return torch.cat([self.mp(features), self.ap(features)], dim=1)


def adaptive_pool(pool_type: str) -> type[nn.Module]:
    """The layer that pools by 'Avg', 'Max' or 'Cat' to a given size.

    Raises:
        OptionError: It is none of them.
    """
    kinds = {"Avg": nn.AdaptiveAvgPool2d, "Max": nn.AdaptiveMaxPool2d, "Cat": AdaptiveConcatPool2d}
    if pool_type not in kinds:
        raise OptionError(f"pool_type={pool_type!r}. Expected 'Avg', 'Max' or 'Cat'.")
    return kinds[pool_type]


class PoolFlatten(nn.Sequential):
    """One vector a picture: (N, C, H, W) to (N, C), or to (N, 2C) for 'Cat'."""

    def __init__(self, pool_type: str = PoolType.Avg) -> None:
        super().__init__(adaptive_pool(pool_type)(1), Flatten())


def AdaptiveAvgPool(sz: int = 1, ndim: int = 2) -> nn.Module:  # noqa: N802 - a layer to its users
    """`nn.AdaptiveAvgPool1d`, `2d` or `3d`."""
    return for_dimensions("AdaptiveAvgPool", ndim)(sz)


def AvgPool(  # noqa: N802
    ks: int = 2, stride: int | None = None, padding: int = 0, ndim: int = 2, ceil_mode: bool = False
) -> nn.Module:
    """`nn.AvgPool1d`, `2d` or `3d`."""
    return for_dimensions("AvgPool", ndim)(ks, stride=stride, padding=padding, ceil_mode=ceil_mode)


def MaxPool(  # noqa: N802
    ks: int = 2, stride: int | None = None, padding: int = 0, ndim: int = 2, ceil_mode: bool = False
) -> nn.Module:
    """`nn.MaxPool1d`, `2d` or `3d`."""
    return for_dimensions("MaxPool", ndim)(ks, stride=stride, padding=padding, ceil_mode=ceil_mode)


def BatchNorm(nf: int, ndim: int = 2, norm_type: NormType = NormType.Batch, **kwargs: Any) -> nn.Module:  # noqa: N802
    """`nn.BatchNorm1d`, `2d` or `3d` whose bias starts at a thousandth and whose weights at 1, or at 0 for `BatchZero`."""
    return _started(for_dimensions("BatchNorm", ndim)(nf, **kwargs), zero=norm_type is NormType.BatchZero)


def InstanceNorm(  # noqa: N802
    nf: int, ndim: int = 2, norm_type: NormType = NormType.Instance, affine: bool = True, **kwargs: Any
) -> nn.Module:
    """`nn.InstanceNorm1d`, `2d` or `3d`, started like `BatchNorm`."""
    return _started(for_dimensions("InstanceNorm", ndim)(nf, affine=affine, **kwargs), zero=norm_type is NormType.InstanceZero)


def _started(norm: Any, *, zero: bool) -> nn.Module:
    if norm.affine:
        nn.init.constant_(norm.bias, NORM_BIAS)
        nn.init.constant_(norm.weight, 0.0 if zero else 1.0)
    layer: nn.Module = norm
    return layer


def for_dimensions(kind: str, ndim: int) -> Callable[..., nn.Module]:
    """The layer of torch for that many dimensions: `for_dimensions("Conv", 2)` is `nn.Conv2d`.

    Raises:
        OptionError: `ndim` is not 1, 2 or 3.
    """
    if ndim not in (1, 2, 3):
        raise OptionError(f"ndim={ndim!r}. Expected 1, 2 or 3 dimensions.")
    layer: Callable[..., nn.Module] = getattr(nn, f"{kind}{ndim}d")
    return layer


class LinBnDrop(nn.Sequential):
    """BatchNorm, dropout and a linear layer, with its activation; the linear layer first where `lin_first`.

    Shapes: (N, n_in) to (N, n_out).
    """

    def __init__(
        self, n_in: int, n_out: int, bn: bool = True, p: float = 0.0, act: nn.Module | None = None, lin_first: bool = False
    ) -> None:
        """Put the layers together.

        Args:
            n_in: Number of features.
            n_out: Number of outputs.
            bn: Normalise; the linear layer then has no bias.
            p: Dropout; none for 0.
            act: Activation after the linear layer.
            lin_first: Linear layer and activation before norm and dropout.
        """
        linear = [nn.Linear(n_in, n_out, bias=not bn), *([act] if act is not None else [])]
        others = [
            *([BatchNorm(n_out if lin_first else n_in, ndim=1)] if bn else []),
            *([nn.Dropout(p)] if p else []),
        ]
        super().__init__(*(linear + others if lin_first else others + linear))
