"""Metrics: figures for people, computed over a whole validation set.

Three things serve as a metric:

- a function `(logits, target) -> number`, averaged over batches, each weighted by its number of pictures;
- a `WholeSet` function, computed once over all pictures, for figures that are no mean over batches;
- any `torchmetrics.Metric`, which is given probabilities (or values) and targets.

`accumulator(metric, target)` makes what gathers any of the three.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch
from torch import Tensor

from sightline.errors import OptionError
from sightline.target import Target

MetricFunction = Callable[..., Any]


def accuracy(inp: Tensor, targ: Tensor, axis: int = -1) -> Tensor:
    """Share of pictures whose largest output is the right class.

    Args:
        inp: Outputs or probabilities, float `(N, K)`.
        targ: Classes, int64 `(N,)`.
        axis: The dimension of the classes.

    Returns:
        Float in 0..1, no dimensions.
    """
    return (inp.argmax(dim=axis).flatten() == targ.flatten()).float().mean()


def error_rate(inp: Tensor, targ: Tensor, axis: int = -1) -> Tensor:
    """Share of pictures whose largest output is a wrong class: 1 - accuracy; see `accuracy` for shapes."""
    return 1 - accuracy(inp, targ, axis=axis)


def top_k_accuracy(inp: Tensor, targ: Tensor, k: int = 5, axis: int = -1) -> Tensor:
    """Share of pictures whose class is among the `k` largest outputs (all of them where there are fewer)."""
    best = inp.topk(k=min(k, inp.shape[axis]), dim=axis)[1]
    return (best == targ.unsqueeze(dim=axis).expand_as(best)).any(dim=-1).float().mean()


def accuracy_multi(inp: Tensor, targ: Tensor, thresh: float = 0.5, sigmoid: bool = True) -> Tensor:
    """Share of right decisions over all pictures and all labels.

    Args:
        inp: Outputs, float `(N, K)`.
        targ: 1 where the label is present, else 0, `(N, K)`.
        thresh: A label is decided for when its probability is above this.
        sigmoid: Whether `inp` still needs the sigmoid.

    Returns:
        Float in 0..1, no dimensions.
    """
    probabilities = inp.sigmoid() if sigmoid else inp
    return ((probabilities > thresh) == targ.bool()).float().mean()


def mse(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the squared differences; `inp` and `targ` hold equally many numbers."""
    return (inp.flatten() - targ.flatten()).square().mean()


def mae(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the absolute differences; `inp` and `targ` hold equally many numbers."""
    return (inp.flatten() - targ.flatten()).abs().mean()


@dataclass(frozen=True)
class WholeSet:
    """A figure that is computed once over all pictures.

    Attributes:
        function: `(inp, targ) -> number`, given outputs `(N, K)` and targets of the whole set.
        name: How the figure is called in tables.
    """

    function: MetricFunction
    name: str

    def __call__(self, inp: Tensor, targ: Tensor) -> Any:
        """The figure of these outputs and targets."""
        return self.function(inp, targ)


def _root_mean_square(inp: Tensor, targ: Tensor) -> Tensor:
    return mse(inp, targ).sqrt()


rmse = WholeSet(_root_mean_square, "rmse")
"""Root of the mean squared difference over the whole set: one figure, not a mean over batches."""


class Accumulator(Protocol):
    """Gathers one metric over the batches of a set."""

    name: str

    def reset(self) -> None:
        """Forget everything."""

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Take in one batch: outputs `(N, K)` and encoded labels."""

    def value(self) -> float | None:
        """The figure so far; None before the first batch."""


def metric_name(metric: Any) -> str:
    """What a metric is called in tables."""
    if isinstance(metric, partial):
        return metric_name(metric.func)
    return str(getattr(metric, "name", None) or getattr(metric, "__name__", None) or type(metric).__name__)


def accumulator(metric: Any, target: Target) -> Accumulator:
    """What gathers `metric` over batches.

    Raises:
        OptionError: It is neither a function nor a torchmetrics.Metric.
    """
    metric = metric() if isinstance(metric, type) else metric
    if isinstance(metric, WholeSet):
        return _Whole(metric, target)
    if all(hasattr(metric, part) for part in ("update", "compute", "reset")):
        return _TorchMetric(metric, target)
    if callable(metric):
        return _Mean(metric, target)
    raise OptionError(
        f"metrics holds {metric!r}. Expected functions (logits, target) -> number or torchmetrics.Metric objects, "
        "such as metrics=error_rate."
    )


class _Mean:
    def __init__(self, metric: MetricFunction, target: Target) -> None:
        self.name, self._metric, self._target = metric_name(metric), metric, target
        self.reset()

    def reset(self) -> None:
        self._sum: Any = 0.0
        self._count = 0

    def add(self, logits: Tensor, target: Tensor) -> None:
        value = self._metric(self._target.beside(logits, target), target)
        # The sum stays where the batch is: reading it here would make the host wait for the device.
        self._sum = self._sum + (value.detach() if isinstance(value, Tensor) else value) * len(target)
        self._count += len(target)

    def value(self) -> float | None:
        return float(self._sum) / self._count if self._count else None


class _Whole:
    def __init__(self, metric: WholeSet, target: Target) -> None:
        self.name, self._metric, self._target = metric.name, metric, target
        self.reset()

    def reset(self) -> None:
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, logits: Tensor, target: Tensor) -> None:
        self._logits.append(self._target.beside(logits, target).detach())
        self._targets.append(target.detach())

    def value(self) -> float | None:
        return float(self._metric(torch.cat(self._logits), torch.cat(self._targets))) if self._logits else None


class _TorchMetric:
    def __init__(self, metric: Any, target: Target) -> None:
        self.name, self._metric, self._target = metric_name(metric), metric, target
        self.reset()

    def reset(self) -> None:
        self._metric.reset()
        self._seen = False

    def add(self, logits: Tensor, target: Tensor) -> None:
        probabilities = self._target.beside(self._target.activate(logits), target).detach()
        self._metric.to(logits.device).update(probabilities, self._target.for_torchmetrics(target))
        self._seen = True

    def value(self) -> float | None:
        return float(self._metric.compute()) if self._seen else None
