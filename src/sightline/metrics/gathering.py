"""Metrics: figures for people, computed over a whole validation set.

Three things serve as a metric:

- a function `(logits, target) -> number`, averaged over batches, each weighted by its number of pictures;
- a `Metric`, whatever it makes of the batches; those of `AccumMetric` are computed once over all pictures, for figures that are
  no mean over batches;
- any `torchmetrics.Metric`, which is given probabilities (or values) and targets.

`accumulators(metrics, target)` makes what gathers any of the three.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from sightline.errors import OptionError, SightlineError, name_of
from sightline.metrics.metric import AvgMetric
from sightline.target import Target


class Accumulator(Protocol):
    """Gathers one metric over the batches of a set."""

    name: str

    def add(self, logits: Tensor, target: Tensor) -> None:
        """Take in one batch: outputs `(N, K)` and encoded labels."""

    def value(self) -> float | None:
        """The figure so far; None before the first batch."""


def accumulators(metrics: Sequence[Any], target: Target, learn: Any = None) -> list[Accumulator]:
    """What gathers each of `metrics` over batches; a torchmetrics.MetricCollection counts as the metrics that it holds.

    Args:
        metrics: Functions, `Metric` and torchmetrics.Metric objects.
        target: What the labels are.
        learn: The learner whose batches are gathered, which each `Metric` is given; None: it is given outputs and labels alone.

    Raises:
        OptionError: One is none of these.
    """
    return [_accumulator(metric, name, target, learn) for name, metric in named_metrics(metrics)]


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
    labels = _made_up_labels(target)
    logits = torch.zeros(len(labels), target.num_outputs)
    for gathered in accumulators(metrics, target):
        with warnings.catch_warnings():
            # Made-up outputs may be odd in ways of no concern, such as being all the same.
            warnings.simplefilter("ignore")
            try:
                gathered.add(logits, labels)
                gathered.value()
            except SightlineError:
                raise
            except Exception:  # noqa: BLE001 - only the metric's author knows what else it may dislike about these outputs
                continue


def _made_up_labels(target: Target) -> Tensor:
    """Encoded labels among which each class occurs, or each label is present and absent."""
    blank = target.blank(max(4, 2 * target.num_outputs))
    rows = torch.arange(len(blank))
    if not blank.is_floating_point():
        return blank + rows % target.num_outputs
    return (blank.reshape(len(blank), -1) + (rows % 2).unsqueeze(1)).reshape(blank.shape)


def _expanded(metric: Any) -> list[tuple[str, Any]]:
    if isinstance(metric, type):
        try:
            metric = metric()
        except (TypeError, ValueError) as error:
            raise OptionError(f"metrics holds the class {metric.__name__}: {error}. Give what it makes.") from error
    if hasattr(metric, "items") and hasattr(metric, "compute"):
        return [(str(name), one) for name, one in metric.items()]
    return [(name_of(metric), metric)]


def _accumulator(metric: Any, name: str, target: Target, learn: Any) -> Accumulator:
    if all(hasattr(metric, part) for part in ("accumulate", "reset")):
        return _Gathered(metric, name, target, learn)
    if all(hasattr(metric, part) for part in ("update", "compute", "reset")):
        return _TorchMetric(metric, name, target)
    if callable(metric):
        return _Gathered(AvgMetric(metric), name, target, learn)
    raise OptionError(
        f"metrics holds {metric!r}. Expected functions (logits, target) -> number, Metric or torchmetrics.Metric objects, "
        "such as metrics=error_rate."
    )


@dataclass(frozen=True)
class _Seen:
    """What a metric reads of a learner, where there is none."""

    pred: Tensor
    y: Tensor
    loss: None = None
    loss_func: None = None

    @property
    def yb(self) -> tuple[Tensor]:
        return (self.y,)


class _Gathered:
    def __init__(self, metric: Any, name: str, target: Target, learn: Any) -> None:
        # A copy: one metric may be in use twice, as when a callback validates while an epoch is being validated.
        self.name, self._metric, self._own, self._target, self._learn = name, copy.copy(metric), metric, target, learn
        self._metric.reset()
        self._seen = False

    def add(self, logits: Tensor, target: Tensor) -> None:
        self._metric.accumulate(self._learn or _Seen(self._target.beside(logits, target), target))
        self._seen = True

    def value(self) -> float | None:
        value = self._metric.value if self._seen else None
        if hasattr(self._own, "__dict__"):
            # The user's own shows what was gathered last, as in `metric.value` after a validation.
            vars(self._own).update(vars(self._metric))
        return None if value is None else _single(self.name, value)


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
