"""Recorder: the callback that writes the record of a run: losses, rates, metrics, speed, memory.

Losses of single steps stay on the device as they are made and are read together now and then, so that the host never waits
for the device in every step. On the CPU, where reading costs nothing, they are read at once.
"""

from __future__ import annotations

import math
import time
from typing import Any, ClassVar

import torch
from torch import Tensor

from sightline.errors import NonFiniteLossError
from sightline.metrics import Accumulator, accumulator
from sightline.record import Record, Row
from sightline.runtime import peak_memory_mib
from sightline.train.events import Callback

READ_EVERY_S = 0.5
SMOOTHING = 0.98


class Recorder(Callback):
    """Keeps the record, and shows it under the field's names.

    Attributes:
        record: All rows, of all fits of this learner.
        log: The last epoch's figures in the order of `metric_names`, without epoch and time.
    """

    order: ClassVar[int] = 50

    def __init__(self) -> None:
        self.record = Record()
        self.log: list[float | None] = []
        self._accumulators: list[Accumulator] = []
        self._unread: list[tuple[Row, Tensor]] = []
        self._average = _Average()

    @property
    def metric_names(self) -> list[str]:
        """The columns of the table: epoch, train_loss, valid_loss, the metrics, time."""
        return ["epoch", "train_loss", *(one.name for one in self._fresh_accumulators()), "time"]

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
        rows = self.record.of("epoch", phase=self._phase)
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
        """Begin a phase."""
        learn = self.learn
        self._average = _Average()
        self._phase = self.record.phases
        self._read_at = time.monotonic()
        self._accumulators = self._fresh_accumulators()
        self.record.add(
            "phase",
            phase=self._phase,
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
        self._accumulators = self._fresh_accumulators()

    def after_batch(self) -> None:
        """Take in one batch."""
        learn = self.learn
        if learn.training:
            self._after_training_batch()
        elif learn.yb and learn.pred is not None:
            for one in self._accumulators:
                one.add(learn.pred.detach().float(), learn.y)

    def _after_training_batch(self) -> None:
        learn = self.learn
        self._images += len(learn.x)
        if learn.loss is None or learn.opt is None:
            return
        row: Row = {"kind": "step", "phase": self._phase, "epoch": learn.epoch, "step": learn.train_iter}
        row["lr"] = [hyper["lr"] for hyper in learn.opt.hypers]
        row["mom"] = [hyper["mom"] for hyper in learn.opt.hypers if "mom" in hyper]
        self._unread.append((row, learn.loss.detach()))
        if learn.runtime.device.type == "cpu" or time.monotonic() - self._read_at > READ_EVERY_S:
            self.read()

    def after_train(self) -> None:
        """Read what is unread."""
        self.read()
        self._trained_s = time.monotonic() - self._train_started

    def after_validate(self) -> None:
        """Keep the figures of this validation."""
        self.log = [one.value() for one in self._accumulators]

    def after_epoch(self) -> None:
        """Write the epoch's row, unless the epoch was skipped."""
        if not self._images:
            return
        valid_loss, *metrics = self.log or [None] * len(self._accumulators)
        names = [one.name for one in self._accumulators[1:]]
        self.record.add(
            "epoch",
            phase=self._phase,
            epoch=self.learn.epoch,
            train_loss=self._average.value,
            valid_loss=valid_loss,
            metrics=dict(zip(names, metrics, strict=True)),
            seconds=round(time.monotonic() - self._started, 3),
            images_per_second=round(self._images / max(self._trained_s, 1e-9), 1),
            memory_mib=round(peak_memory_mib(self.learn.runtime.device), 1),
        )

    def _steps(self) -> list[Row]:
        return self.record.of("step", phase=self.record.phases - 1)

    def _fresh_accumulators(self) -> list[Accumulator]:
        learn = self.learn
        found = [accumulator(metric, learn.target) for metric in learn.metrics]
        seen: dict[str, int] = {}
        for one in found:
            seen[one.name] = seen.get(one.name, 0) + 1
            if seen[one.name] > 1:
                one.name = f"{one.name}_{seen[one.name]}"
        return [_ValidLoss(learn), *found]


class _ValidLoss:
    """The mean validation loss: the batches' losses, each weighted by its number of pictures."""

    name = "valid_loss"

    def __init__(self, learn: Any) -> None:
        self._learn = learn
        self.reset()

    def reset(self) -> None:
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


def _sentence(row: Row, n_iter: int) -> str:
    rates = ", ".join(f"{rate:.2g}" for rate in row["lr"])
    return (
        f"The training loss became {row['loss']} at step {row['step']} (epoch {row['epoch']}, "
        f"batch {(row['step'] - 1) % n_iter} of {n_iter}; learning rates {rates}). Expected a finite number. "
        "Try a learning rate 3 to 10 times lower; check that "
        "regression labels have a sensible scale and that inputs hold no NaN; with bf16, compare with learn.to_fp32()."
    )
