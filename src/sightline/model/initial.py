"""Initial values: what a layer's weights and bias are before any training, all but those of norms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from torch import Tensor, nn
from torch.nn.init import kaiming_normal_

from sightline.model.freeze import NORM_LAYERS

Init = Callable[[Tensor], Any]
M = TypeVar("M", bound=nn.Module)


def init_default(m: M, func: Init | None = kaiming_normal_) -> M:
    """Draw the weight of one layer by `func`, and set its bias to zero.

    Args:
        m: Changed in place. A weight of one dimension is left alone, for it has no fan.
        func: Called with the weight, such as `torch.nn.init.kaiming_normal_`; None leaves the weight as it is.

    Returns:
        The layer.
    """
    weight, bias = getattr(m, "weight", None), getattr(m, "bias", None)
    if func is not None and isinstance(weight, Tensor) and weight.ndim > 1:
        func(weight)
    if isinstance(bias, Tensor):
        nn.init.zeros_(bias)
    return m


def cond_init(m: nn.Module, func: Init | None) -> None:
    """`init_default` of one layer, unless it is a norm or its first parameter is frozen."""
    first = next(m.parameters(), None)
    if first is not None and first.requires_grad and not isinstance(m, NORM_LAYERS):
        init_default(m, func)


def apply_leaf(m: nn.Module, f: Callable[[nn.Module], Any]) -> None:
    """Call `f` with `m` and with every layer within it, outer ones first."""
    for layer in m.modules():
        f(layer)


def apply_init(m: nn.Module, func: Init | None = kaiming_normal_) -> None:
    """`cond_init` of every layer of a network, such as a new head; None leaves it as it is."""
    if func is not None:
        apply_leaf(m, lambda layer: cond_init(layer, func))
