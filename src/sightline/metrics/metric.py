"""Metric: a figure that is reset, takes in batch after batch and has a value; and those that follow a batch's mean."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sightline.errors import OptionError, name_of

MetricFunction = Callable[..., Any]


class Metric:
    """Base of metrics of your own: override `reset`, `accumulate` and `value`.

    class Largest(Metric):
        def reset(self): self.largest = 0.0
        def accumulate(self, learn): self.largest = max(self.largest, learn.pred.max().item())
        @property
        def value(self): return self.largest
    """

    def reset(self) -> None:
        """Forget all batches: a new set begins."""

    def accumulate(self, learn: Any) -> None:
        """Take in one batch.

        Args:
            learn: The learner, which has the batch's outputs `pred` `(N, K)`, encoded labels `y` and `yb`, and `loss`.
        """

    @property
    def value(self) -> Any:
        """The figure over all batches so far, one number; None before the first."""
        raise OptionError(f"The metric {type(self).__name__} has no value. Expected a property `value` that gives the figure.")

    @property
    def name(self) -> str:
        """What the figure is called in tables: the name of the class without 'Metric', in small letters."""
        words = re.sub("Metric$", "", type(self).__name__) or "Metric"
        return re.sub("([a-z0-9])([A-Z])", r"\1_\2", re.sub("(.)([A-Z][a-z]+)", r"\1_\2", words)).lower()


class _Mean(Metric):
    """A mean over batches, each weighted by its number of pictures."""

    def reset(self) -> None:
        self.total: Any = 0.0
        self.count = 0

    def _take(self, figure: Any, size: int) -> None:
        # The sum stays where the batch is: reading it here would make the host wait for the device.
        self.total = self.total + (figure.detach() if isinstance(figure, Tensor) else figure) * size
        self.count += size

    @property
    def value(self) -> Any:
        return self.total / self.count if self.count else None


class AvgMetric(_Mean):
    """The mean of a function over batches, each weighted by its number of pictures.

    Attributes:
        func: `(outputs, labels) -> number`.
    """

    def __init__(self, func: MetricFunction) -> None:
        self.func = func
        self.reset()

    def accumulate(self, learn: Any) -> None:
        figure = self.func(beside(learn.pred.detach(), learn.y), *learn.yb)
        if isinstance(figure, Metric):
            raise OptionError(f"metrics holds {self.name} itself. Give what it makes, such as metrics={self.name}().")
        self._take(figure, len(learn.y))

    @property
    def name(self) -> str:
        return name_of(self.func)


class AvgLoss(_Mean):
    """The mean loss over batches, each weighted by its number of pictures."""

    def __init__(self) -> None:
        self.reset()

    def accumulate(self, learn: Any) -> None:
        if learn.loss is not None:
            self._take(learn.loss.mean(), len(learn.y))

    @property
    def name(self) -> str:
        return "loss"


class Perplexity(AvgLoss):
    """The exponential of the mean loss: for cross-entropy, among how many classes the network hesitates."""

    @property
    def value(self) -> Any:
        mean = super().value
        return None if mean is None else torch.as_tensor(mean).exp()

    @property
    def name(self) -> str:
        return "perplexity"


perplexity = Perplexity()
"""The exponential of the mean loss."""


class LossMetric(_Mean):
    """The mean of a part of the loss that the loss function keeps as an attribute of its own.

    Attributes:
        attr: The attribute of `learn.loss_func`. It has no value (None) while there is no such attribute.
        nm: What the figure is called in tables; None is `attr`.
    """

    def __init__(self, attr: str, nm: str | None = None) -> None:
        self.attr, self.nm = attr, nm
        self.reset()

    def accumulate(self, learn: Any) -> None:
        if hasattr(learn.loss_func, self.attr):
            self._take(getattr(learn.loss_func, self.attr), len(learn.y))

    @property
    def name(self) -> str:
        return self.attr if self.nm is None else self.nm


def LossMetrics(attrs: str | Sequence[str], nms: str | Sequence[str] | None = None) -> list[LossMetric]:  # noqa: N802
    """One `LossMetric` for each of `attrs`, called as `nms` says; both are lists, or text with commas."""
    attributes = _words(attrs)
    names = attributes if nms is None else _words(nms)
    if len(names) != len(attributes):
        raise OptionError(f"LossMetrics has {len(attributes)} attributes and {len(names)} names. Expected as many.")
    return [LossMetric(attribute, name) for attribute, name in zip(attributes, names, strict=True)]


class ValueMetric(Metric):
    """A figure that is calculated elsewhere, such as in a callback.

    Attributes:
        func: Gives the figure, without arguments.
        metric_name: What it is called in tables; None is the name of `func`.
    """

    def __init__(self, func: Callable[[], Any], metric_name: str | None = None) -> None:
        self.func, self.metric_name = func, metric_name

    @property
    def value(self) -> Any:
        return self.func()

    @property
    def name(self) -> str:
        return self.metric_name or name_of(self.func)


def to_detach(b: Any, cpu: bool = True, gather: bool = True) -> Any:
    """Tensors within lists, tuples and dicts without their gradients, on the CPU if `cpu`; there is nothing to gather yet."""
    if isinstance(b, Tensor):
        return b.detach().cpu() if cpu else b.detach()
    if isinstance(b, dict):
        return {key: to_detach(value, cpu, gather) for key, value in b.items()}
    if not isinstance(b, (list, tuple)):
        return b
    inner = [to_detach(value, cpu, gather) for value in b]
    return type(b)(*inner) if hasattr(b, "_fields") else type(b)(inner)


def beside(pred: Tensor, targ: Tensor) -> Tensor:
    """Outputs in the shape of the labels where they hold equally many numbers: `(N, 1)` beside `(N,)` would be broadcast."""
    return pred.reshape(targ.shape) if pred.numel() == targ.numel() else pred


def _words(names: str | Sequence[str]) -> list[str]:
    return [name.strip() for name in names.split(",")] if isinstance(names, str) else list(names)
