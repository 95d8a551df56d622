"""Recorder: the callback that writes the record of a run: losses, rates, metrics, speed, memory.

Losses of single steps stay on the device as they are made and are read together now and then, so that the host never waits
for the device in every step. On the CPU, where reading costs nothing, they are read at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from torch import Tensor

from sightline.errors import NonFiniteLossError
from sightline.metrics import Accumulator, accumulators, check_metrics, named_metrics
from sightline.record import Record, Row
from sightline.runtime import peak_memory_mib
from sightline.train.events import Callback

READ_EVERY_S = 0.5
SMOOTHING = 0.98


class Recorder(Callback):
    """Keeps the record, and shows it under the field's names.

    It comes before the callbacks of users: whatever they do, what they read here is of the present step or epoch.

    Attributes:
        record: All rows, of all fits of this learner.
        log: The last epoch's figures in the order of `metric_names`, without epoch and time.
    """

    order: ClassVar[int] = -9

    def __init__(self) -> None:
        self.record = Record()
        self.log: list[float | None] = []
        self._gathered: list[Accumulator] = []
        self._unread: list[tuple[Row, Tensor]] = []
        self._average = _Average()
        self._read_at = self._started = self._train_started = self._trained_s = 0.0
        self._images = 0

    @property
    def metric_names(self) -> list[str]:
        """The columns of the table: epoch, train_loss, valid_loss, the metrics, time."""
        return ["epoch", "train_loss", "valid_loss", *(name for name, _ in named_metrics(self.learn.metrics)), "time"]

    @property
    def losses(self) -> list[float]:
        """The smoothed loss after every training step of the last fit."""
        return [row["smooth_loss"] for row in self._steps()]

    @property
    def lrs(self) -> list[float]:
        """The last group's learning rate at every training step of the last fit."""
        return [row["lr"][-1] for row in self._steps()]

    @property
    def values(self) -> list[list[float | None]]:
        """Losses and metrics of every epoch of the last fit: [train_loss, valid_loss, *metrics]."""
        rows = self.record.of("epoch", phase=self.record.phases - 1)
        return [[row["train_loss"], row["valid_loss"], *row["metrics"].values()] for row in rows]

    @property
    def smooth_loss(self) -> float:
        """Exponential average of the training loss so far in this fit."""
        self.read()
        return self._average.value

    def read(self) -> None:
        """Bring the losses of the last steps to the host, and stop the run if one of them is no number.

        Raises:
            NonFiniteLossError: A loss is NaN or infinite.
        """
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        values = torch.stack([loss.reshape(()).float() for _, loss in unread]).tolist()
        self._read_at = time.monotonic()
        for (row, _), value in zip(unread, values, strict=True):
            row["loss"], row["smooth_loss"] = value, self._average.add(value)
            self.record.rows.append(row)
            if not math.isfinite(value):
                raise NonFiniteLossError(_sentence(row, self.learn.n_iter))

    def before_fit(self) -> None:
        """Begin a phase.

        Raises:
            OptionError: A metric does not fit the labels.
        """
        learn = self.learn
        check_metrics(learn.metrics, learn.target)
        self._average = _Average()
        self._read_at = time.monotonic()
        self.record.add(
            "phase",
            phase=self.record.phases,
            name=learn.phase_name,
            n_epoch=learn.n_epoch,
            n_iter=len(learn.dls.train),
            frozen_to=learn.frozen_to,
        )

    def before_epoch(self) -> None:
        """Start the clock."""
        self._started = time.monotonic()
        self._trained_s = 0.0
        self._images = 0
        self.log = []

    def before_train(self) -> None:
        """Start the training clock."""
        self._train_started = time.monotonic()

    def before_validate(self) -> None:
        """Empty the metrics."""
        self._gathered = [_ValidLoss(self.learn), *accumulators(self.learn.metrics, self.learn.target)]

    def before_backward(self) -> None:
        """On a CPU, where looking costs nothing, stop before a loss that is no number spoils the weights."""
        loss = self.learn.loss
        if loss is not None and reads_freely(loss.device) and not math.isfinite(loss):
            self._note_step(self.learn.train_iter + 1)
            self.read()

    def after_batch(self) -> None:
        """Take in one batch."""
        learn = self.learn
        if learn.training:
            self._after_training_batch()
        elif learn.yb and learn.pred is not None:
            for one in self._gathered:
                one.add(learn.pred.detach().float(), learn.y)

    def _after_training_batch(self) -> None:
        learn = self.learn
        self._images += len(learn.x)
        if learn.loss is None or learn.opt is None:
            return
        self._note_step(learn.train_iter)
        if reads_freely(learn.loss.device) or time.monotonic() - self._read_at > READ_EVERY_S:
            self.read()

    def _note_step(self, step: int) -> None:
        hypers = self.learn.opt.hypers if self.learn.opt is not None else []
        row: Row = {"kind": "step", "phase": self.record.phases - 1, "epoch": self.learn.epoch, "step": step}
        row["lr"] = [hyper["lr"] for hyper in hypers]
        row["mom"] = [hyper["mom"] for hyper in hypers if "mom" in hyper]
        self._unread.append((row, self.learn.loss.detach()))

    def after_train(self) -> None:
        """Read what is unread."""
        self.read()
        self._trained_s = time.monotonic() - self._train_started

    def after_validate(self) -> None:
        """Keep the figures of this validation."""
        self.log = [one.value() for one in self._gathered]

    def after_epoch(self) -> None:
        """Write the epoch's row, unless the epoch was skipped."""
        self.read()
        if not self._images and not self.log:
            return
        names = [name for name, _ in named_metrics(self.learn.metrics)]
        valid_loss, *metrics = self.log or [None] * (1 + len(names))
        self.record.add(
            "epoch",
            phase=self.record.phases - 1,
            epoch=self.learn.epoch,
            train_loss=self._average.value if self._images else None,
            valid_loss=valid_loss,
            metrics=dict(zip(names, metrics, strict=True)),
            seconds=round(time.monotonic() - self._started, 3),
            images_per_second=round(self._images / max(self._trained_s, 1e-9), 1),
            memory_mib=round(peak_memory_mib(self.learn.runtime.device), 1),
        )

    def after_fit(self) -> None:
        """Read what a cancelled fit left unread."""
        self.read()

    def close(self) -> None:
        """Forget what was not read: the fit ended by an error."""
        self._unread = []

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A validation within a block that leaves the figures of the fit around it alone."""
        before = self.log, self._gathered
        try:
            yield
        finally:
            self.log, self._gathered = before

    def _steps(self) -> list[Row]:
        self.read()
        return self.record.of("step", phase=self.record.phases - 1)


class _ValidLoss:
    """The mean validation loss: the batches' losses, each weighted by its number of pictures."""

    name = "valid_loss"

    def __init__(self, learn: Any) -> None:
        self._learn = learn
        self._sum: Any = 0.0
        self._count = 0

    def add(self, logits: Tensor, target: Tensor) -> None:
        if self._learn.loss is not None:
            self._sum = self._sum + self._learn.loss.detach() * len(target)
            self._count += len(target)

    def value(self) -> float | None:
        return float(self._sum) / self._count if self._count else None


class _Average:
    """Exponential average that is corrected for having started at zero."""

    def __init__(self) -> None:
        self._sum, self._count = 0.0, 0

    @property
    def value(self) -> float:
        return self._sum / (1 - SMOOTHING**self._count) if self._count else math.nan

    def add(self, value: float) -> float:
        self._count += 1
        self._sum = SMOOTHING * self._sum + (1 - SMOOTHING) * value
        return self.value


def reads_freely(device: torch.device) -> bool:
    """Whether the host can look at a number on `device` without waiting for it."""
    return device.type == "cpu"


def _sentence(row: Row, n_iter: int) -> str:
    rates = ", ".join(f"{rate:.2g}" for rate in row["lr"])
    return (
        f"The training loss became {row['loss']} at step {row['step']} (epoch {row['epoch']}, "
        f"batch {(row['step'] - 1) % n_iter} of {n_iter}; learning rates {rates}). Expected a finite number. "
        "Try a learning rate 3 to 10 times lower; check that "
        "regression labels have a sensible scale and that inputs hold no NaN; with bf16, compare with learn.to_fp32(). On a "
        "GPU the weights may be spoilt by then: load saved ones, or build the learner anew."
    )
