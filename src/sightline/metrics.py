"""Metrics: figures for people, computed over a whole validation set.

Three things serve as a metric:

- a function `(logits, target) -> number`, averaged over batches, each weighted by its number of pictures;
- a `WholeSet` function, computed once over all pictures, for figures that are no mean over batches;
- any `torchmetrics.Metric`, which is given probabilities (or values) and targets.

`accumulators(metrics, target)` makes what gathers any of the three.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sightline.errors import OptionError, SightlineError, name_of
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
    _expect_classes("accuracy", inp, targ)
    return (inp.argmax(dim=axis).flatten() == targ.flatten()).float().mean()


def error_rate(inp: Tensor, targ: Tensor, axis: int = -1) -> Tensor:
    """Share of pictures whose largest output is a wrong class: 1 - accuracy; see `accuracy` for shapes."""
    return 1 - accuracy(inp, targ, axis=axis)


def top_k_accuracy(inp: Tensor, targ: Tensor, k: int = 5, axis: int = -1) -> Tensor:
    """Share of pictures whose class is among the `k` largest outputs (all of them where there are fewer)."""
    _expect_classes("top_k_accuracy", inp, targ)
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
    if inp.shape != targ.shape:
        raise OptionError(
            "accuracy_multi compares outputs with labels of the same shape, but got "
            f"{tuple(inp.shape)} and {tuple(targ.shape)}. Where each picture has one label, use error_rate or accuracy."
        )
    probabilities = inp.sigmoid() if sigmoid else inp
    return ((probabilities > thresh) == targ.bool()).float().mean()


def mse(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the squared differences; `inp` and `targ` hold equally many numbers."""
    _expect_numbers("mse", inp, targ)
    return (inp.flatten() - targ.flatten()).square().mean()


def mae(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the absolute differences; `inp` and `targ` hold equally many numbers."""
    _expect_numbers("mae", inp, targ)
    return (inp.flatten() - targ.flatten()).abs().mean()


def _expect_classes(name: str, inp: Tensor, targ: Tensor) -> None:
    if targ.is_floating_point() or inp.numel() == targ.numel() > 1:
        raise OptionError(
            f"{name} compares outputs (N, K) with one class a picture, but got {tuple(inp.shape)} and {tuple(targ.shape)} "
            f"({targ.dtype}). For several labels a picture use accuracy_multi, for numbers mse, mae or rmse."
        )


def _expect_numbers(name: str, inp: Tensor, targ: Tensor) -> None:
    if inp.numel() != targ.numel():
        raise OptionError(
            f"{name} compares as many numbers with one another, but got {tuple(inp.shape)} and {tuple(targ.shape)}. "
            "For classes use error_rate or accuracy, for several labels a picture accuracy_multi."
        )


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
    _expect_numbers("rmse", inp, targ)
    return mse(inp, targ).sqrt()


rmse = WholeSet(_root_mean_square, "rmse")
"""Root of the mean squared difference over the whole set: one figure, not a mean over batches."""


class Accumulator(Protocol):
    """Gathers one metric over the batches of a set."""

    name: str

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Take in one batch: outputs `(N, K)` and encoded labels."""

    def value(self) -> float | None:
        """The figure so far; None before the first batch."""


def accumulators(metrics: Sequence[Any], target: Target) -> list[Accumulator]:
    """What gathers each of `metrics` over batches; a torchmetrics.MetricCollection counts as the metrics that it holds.

    Raises:
        OptionError: One is neither a function nor a torchmetrics.Metric.
    """
    return [_accumulator(metric, name, target) for name, metric in named_metrics(metrics)]


def named_metrics(metrics: Sequence[Any]) -> list[tuple[str, Any]]:
    """Metrics with the names of their columns; what is called alike is numbered."""
    pairs = [pair for metric in metrics for pair in _expanded(metric)]
    names = [name for name, _ in pairs]
    numbered = [f"{name}_{seen}" if (seen := names[: i + 1].count(name)) > 1 else name for i, name in enumerate(names)]
    return list(zip(numbered, (metric for _, metric in pairs), strict=True))


def check_metrics(metrics: Sequence[Any], target: Target) -> None:
    """Try metrics on made-up outputs, so that one that does not fit the labels is found before anything is trained.

    Raises:
        OptionError: A metric does not fit the labels, or gives no single number.
    """
    logits, labels = torch.zeros(4, target.num_outputs), target.blank(4)
    for gathered in accumulators(metrics, target):
        with warnings.catch_warnings():
            # Made-up outputs may be odd in ways of no concern, such as holding no example of a class.
            warnings.simplefilter("ignore")
            try:
                gathered.add(logits, labels)
                gathered.value()
            except SightlineError:
                raise
            except Exception:  # noqa: BLE001 - only the metric's author knows what else it may dislike about these outputs
                continue


def _expanded(metric: Any) -> list[tuple[str, Any]]:
    if isinstance(metric, type):
        try:
            metric = metric()
        except (TypeError, ValueError) as error:
            raise OptionError(f"metrics holds the class {metric.__name__}: {error}. Give what it makes.") from error
    if hasattr(metric, "items") and hasattr(metric, "compute"):
        return [(str(name), one) for name, one in metric.items()]
    return [(name_of(metric), metric)]


def _accumulator(metric: Any, name: str, target: Target) -> Accumulator:
    if isinstance(metric, WholeSet):
        return _Whole(metric, name, target)
    if all(hasattr(metric, part) for part in ("update", "compute", "reset")):
        return _TorchMetric(metric, name, target)
    if callable(metric):
        return _Mean(metric, name, target)
    raise OptionError(
        f"metrics holds {metric!r}. Expected functions (logits, target) -> number or torchmetrics.Metric objects, "
        "such as metrics=error_rate."
    )


class _Mean:
    def __init__(self, metric: MetricFunction, name: str, target: Target) -> None:
        self.name, self._metric, self._target = name, metric, target
        self._sum: Any = 0.0
        self._count = 0

    def add(self, logits: Tensor, target: Tensor) -> None:
        value = self._metric(self._target.beside(logits, target), target)
        # The sum stays where the batch is: reading it here would make the host wait for the device.
        self._sum = self._sum + (value.detach() if isinstance(value, Tensor) else value) * len(target)
        self._count += len(target)

    def value(self) -> float | None:
        return _single(self.name, self._sum / self._count) if self._count else None


class _Whole:
    def __init__(self, metric: WholeSet, name: str, target: Target) -> None:
        self.name, self._metric, self._target = name, metric, target
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []

    def add(self, logits: Tensor, target: Tensor) -> None:
        self._logits.append(self._target.beside(logits, target).detach())
        self._targets.append(target.detach())

    def value(self) -> float | None:
        return _single(self.name, self._metric(torch.cat(self._logits), torch.cat(self._targets))) if self._logits else None


class _TorchMetric:
    def __init__(self, metric: Any, name: str, target: Target) -> None:
        # A copy: one metric may be in use twice, and the user's own keeps what it has seen.
        self.name, self._metric, self._target = name, copy.deepcopy(metric), target
        self._metric.reset()
        self._seen = False

    def add(self, logits: Tensor, target: Tensor) -> None:
        probabilities = self._target.beside(self._target.activate(logits), target).detach()
        self._metric.to(logits.device).update(probabilities, self._target.for_torchmetrics(target))
        self._seen = True

    def value(self) -> float | None:
        return _single(self.name, self._metric.compute()) if self._seen else None


def _single(name: str, value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError, RuntimeError) as error:
        shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
        raise OptionError(
            f"The metric {name} gives {shape}. Expected one number; choose an average, such as average='macro'."
        ) from error
