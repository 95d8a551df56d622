"""Recorder: the callback that writes the record of a run: losses, rates, metrics, speed, memory.

Losses of single steps stay on the device as they are made and are read together now and then, so that the host never waits
for the device in every step. On the CPU, where reading costs nothing, they are read at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sightline.errors import OptionError
from sightline.metrics.gathering import Accumulator, accumulators, check_metrics, named_metrics
from sightline.record import Record, Row, figures_of
from sightline.runtime import peak_memory_mib
from sightline.train.events import Callback
from sightline.train.guard import Guard

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

READ_EVERY_S = 0.5
SMOOTHING = 0.98


class Recorder(Callback):
    """Keeps the record, and shows it under the field's names.

    It comes before the callbacks of users: whatever they do, what they read here is of the present step or epoch.

    Attributes:
        record: All rows, of all fits of this learner.
        figures: Validation loss and metrics of the last validation.
        train_metrics: Whether metrics of the training batches, as training saw them, are kept too. Then the columns are
            train_loss, train_<metric>, valid_loss, valid_<metric>.
        hps: What schedules set in the last fit: values of the last group by name, one a step.
        guard: What stops a fit whose loss is no number or left all proportion, and gives back the last good weights.
        sweep: The record of the last `lr_find`, None before there was one; `lrs` and `losses` show it until the next fit.
    """

    order: ClassVar[int] = -9
    resumes: ClassVar[tuple[str, ...]] = ("figures", "hps", "average", "images", "elapsed_s", "trained_s")

    def __init__(self, *, train_metrics: bool = False) -> None:
        """Say whether there are metrics of training batches too."""
        self.train_metrics = train_metrics
        self.record = Record()
        self.guard = Guard()
        self.figures: list[float | None] = []
        self.hps: dict[str, list[float]] = {}
        self.sweep: Record | None = None
        self._shows_sweep = False
        self._gathered: list[Accumulator] = []
        self._gathered_in_training: list[Accumulator] = []
        self._unread: list[tuple[Row, Tensor]] = []
        self._average = _Average()
        self._read_at = self._started = self._train_started = self._trained_s = 0.0
        self._images = 0

    @property
    def metric_names(self) -> list[str]:
        """The columns of the table: epoch, train_loss, valid_loss, the metrics, time."""
        names = [name for name, _ in named_metrics(self.learn.metrics)]
        if not self.train_metrics:
            return ["epoch", "train_loss", "valid_loss", *names, "time"]
        parts = ([f"{part}_{name}" for name in ("loss", *names)] for part in ("train", "valid"))
        return ["epoch", *(name for part in parts for name in part), "time"]

    @property
    def losses(self) -> list[Tensor]:
        """The smoothed loss after every training step of the last fit: float32 tensors without dimensions, on the CPU."""
        return list(torch.tensor([row["smooth_loss"] for row in self._steps()]).unbind())

    @property
    def valid_losses(self) -> list[float | None]:
        """The validation loss of every epoch of the last fit; None where there was no validation."""
        return [row["valid_loss"] for row in self._epochs()]

    @property
    def lrs(self) -> list[float]:
        """The last group's learning rate at every training step of the last fit."""
        return [row["lr"][-1] for row in self._steps()]

    @property
    def values(self) -> list[list[float | None]]:
        """Losses and metrics of every epoch of the last fit: [train_loss, valid_loss, *metrics]."""
        return [figures_of(row) for row in self._epochs()]

    @property
    def iters(self) -> list[int]:
        """How many training steps the last fit had done at the end of every epoch."""
        self.read()
        ends: list[int] = []
        steps = 0
        for row in self._shown.rows:
            if row["kind"] == "phase":
                ends, steps = [], 0
            steps += row["kind"] == "step"
            ends += [steps] if row["kind"] == "epoch" else []
        return ends

    @property
    def final_record(self) -> list[float | None]:
        """The last row of `values`; empty before the first epoch."""
        return self.values[-1] if self.values else []

    @property
    def log(self) -> list[Any]:
        """The present epoch's row in the order of `metric_names`, the time as text; before it is written, the epoch alone."""
        row = self.epoch_row
        if row is None:
            return [self.learn.epoch]
        minutes, seconds = divmod(round(row["seconds"]), 60)
        return [row["epoch"], *figures_of(row), f"{minutes:02d}:{seconds:02d}"]

    @property
    def epoch_row(self) -> Row | None:
        """The row of the present epoch, once it is written; None before, and where the epoch was skipped."""
        last = self.record.rows[-1] if self.record.rows else None
        return last if last is not None and last["kind"] == "epoch" and last["epoch"] == self.learn.epoch else None

    @property
    def smooth_loss(self) -> float:  # type: ignore[override]
        """Exponential average of the training loss so far in this fit."""
        self.read()
        return self._average.value

    def read(self) -> None:
        """Bring the losses of the last steps to the host, and stop the run if one of them is no number.

        Raises:
            NonFiniteLossError: A loss is NaN or infinite.
            DivergedLossError: Losses are out of all proportion.
        """
        if not self._unread:
            return
        unread, self._unread = self._unread, []
        values = torch.stack([loss.reshape(()).float() for _, loss in unread]).tolist()
        self._read_at = time.monotonic()
        for (row, _), value in zip(unread, values, strict=True):
            row["loss"], row["smooth_loss"] = value, self._average.add(value)
            self.record.rows.append(row)
            self.guard.judge(row)

    @property
    def keeps_within(self) -> bool:
        """Whether a run can go on from the middle of an epoch; metrics of training batches are gathered over a whole one."""
        return not (self.train_metrics and self.learn.metrics)

    def state_dict(self) -> dict[str, Any]:
        """What the recorder is in the middle of, the record itself apart."""
        self.read()
        now = time.monotonic()
        return {
            "figures": list(self.figures),
            "hps": {name: np.array(values) for name, values in self.hps.items()},
            "average": self._average.state(),
            "images": self._images,
            "elapsed_s": now - self._started,
            "trained_s": now - self._train_started if self.learn.training else self._trained_s,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self._unread = []
        self.figures = list(state["figures"])
        self.hps = {name: values.tolist() for name, values in state["hps"].items()}
        self._average = _Average(*state["average"])
        self._images, self._trained_s = state["images"], state["trained_s"]
        now = time.monotonic()
        self._started, self._train_started = now - state["elapsed_s"], now - state["trained_s"]

    def before_fit(self) -> None:
        """Begin a phase.

        Raises:
            OptionError: A metric does not fit the labels.
        """
        learn = self.learn
        check_metrics(learn.metrics, learn.target)
        self._average = _Average()
        self._shows_sweep, self.hps = False, {}
        self._read_at = time.monotonic()
        self.guard.begin(learn)
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
        self.figures = []

    def before_train(self) -> None:
        """Start the training clock, and empty the metrics of training."""
        learn = self.learn
        self._train_started = time.monotonic()
        self._gathered_in_training = accumulators(learn.metrics, learn.target, learn) if self.train_metrics else []

    def before_validate(self) -> None:
        """Empty the metrics."""
        self._gathered = [_ValidLoss(self.learn), *accumulators(self.learn.metrics, self.learn.target, self.learn)]

    def before_backward(self) -> None:
        """On a CPU, where looking costs nothing, stop before a loss that is no number spoils the weights."""
        loss = self.learn.loss
        if loss is not None and reads_freely(loss.device) and not math.isfinite(loss):
            self._note_step(self.learn.train_iter + 1)
            self.read()
        if loss is not None:
            self.guard.before_step(loss, self.learn.y)

    def after_batch(self) -> None:
        """Take in one batch."""
        learn = self.learn
        if learn.training:
            self._after_training_batch()
        if learn.yb and learn.pred is not None:
            for one in self._gathered_in_training if learn.training else self._gathered:
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
        self.guard.after_train()
        self._trained_s = time.monotonic() - self._train_started

    def after_validate(self) -> None:
        """Keep the figures of this validation."""
        self.figures = [one.value() for one in self._gathered]

    def after_epoch(self) -> None:
        """Write the epoch's row, unless the epoch was skipped."""
        self.read()
        if not self._images and not self.figures:
            return
        names = [name for name, _ in named_metrics(self.learn.metrics)]
        valid_loss, *metrics = self.figures or [None] * (1 + len(names))
        trained = [one.value() for one in self._gathered_in_training]
        self.record.add(
            "epoch",
            phase=self.record.phases - 1,
            epoch=self.learn.epoch,
            train_loss=self._average.value if self._images else None,
            valid_loss=valid_loss,
            metrics=dict(zip(names, metrics, strict=True)),
            **({"train_metrics": dict(zip(names, trained, strict=True))} if self.train_metrics else {}),
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
        self.guard.end()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """A validation within a block that leaves the figures of the fit around it alone."""
        before = self.figures, self._gathered
        try:
            yield
        finally:
            self.figures, self._gathered = before

    @contextmanager
    def unrecorded(self) -> Iterator[Record]:
        """A mock training within a block, whose rows go to a record of its own; it leaves no other trace."""
        before = self.record, self.figures, self.hps, self._gathered, self._average, self._shows_sweep
        self.record = Record()
        try:
            yield self.record
        finally:
            self._unread = []
            self.record, self.figures, self.hps, self._gathered, self._average, self._shows_sweep = before

    @contextmanager
    def sweeping(self) -> Iterator[None]:
        """The mock training of `lr_find` within a block, whose record becomes `sweep`."""
        with self.unrecorded() as record:
            self.sweep = record
            yield
        self._shows_sweep = True

    @property
    def _shown(self) -> Record:
        return self.sweep if self._shows_sweep and self.sweep is not None else self.record

    def _epochs(self) -> list[Row]:
        return self._shown.of("epoch", phase=self._shown.phases - 1)

    def _steps(self) -> list[Row]:
        self.read()
        return self._shown.of("step", phase=self._shown.phases - 1)

    # ---------------------------------------------------------------- plots

    def plot_loss(
        self,
        skip_start: int = 5,
        with_valid: bool = True,
        log: bool = False,
        show_epochs: bool = False,
        ax: Axes | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure:
        """Plot the losses of the last fit: training by step, smoothed, and validation by epoch; returns the figure.

        Args:
            skip_start: Steps that are left out at the start.
            with_valid: Draw the validation loss too.
            log: Both axes logarithmic.
            show_epochs: A dotted line at every epoch's end.
            ax: Where to draw; None makes a figure.
            figsize: Size of that figure in inches.
        """
        from sightline.train.plots import plot_losses

        valid = self.valid_losses if with_valid else []
        losses = [float(loss) for loss in self.losses]
        return plot_losses(
            losses, self.iters, valid, skip_start=skip_start, log=log, show_epochs=show_epochs, ax=ax, figsize=figsize
        )

    def plot_sched(
        self,
        keys: str | Sequence[str] | None = None,
        figsize: tuple[float, float] | None = None,
        ax: Axes | None = None,
    ) -> Figure:
        """Plot what schedules did to the hyper-parameters of the last group in the last fit; returns the figure.

        Args:
            keys: Which, such as `"lr"`; None is all that had a schedule, or rate and momentum where nothing had.
            figsize: Size of the figure in inches.
            ax: Where to draw a single one; None makes a figure.

        Raises:
            OptionError: There is none of that name, or no step was made.
        """
        from sightline.train.plots import plot_schedules

        rows = self._steps()
        plain = {name: [row[name][-1] for row in rows if row[name]] for name in ("lr", "mom")}
        return plot_schedules(self.hps or {name: some for name, some in plain.items() if some}, keys, figsize, ax)

    def plot_lr_find(
        self,
        skip_end: int = 5,
        return_fig: bool = True,
        suggestions: Sequence[tuple[float, float]] | None = None,
        nms: Sequence[str] | None = None,
        ax: Axes | None = None,
        figsize: tuple[float, float] | None = None,
    ) -> Figure | None:
        """Plot loss over learning rate as the last `lr_find` saw them; returns the figure.

        Args:
            skip_end: Steps that are left out at the end.
            return_fig: Return it.
            suggestions: Points (rate, loss) to be marked.
            nms: A name for each.
            ax: Where to draw; None makes a figure.
            figsize: Size of that figure in inches.

        Raises:
            OptionError: There was no `lr_find`.
        """
        from sightline.train.plots import plot_rates

        if self.sweep is None:
            raise OptionError("plot_lr_find has nothing to plot. Call learn.lr_find() first.")
        rows = [row for row in self.sweep.of("step") if math.isfinite(row["smooth_loss"])]
        kept = rows[: max(0, len(rows) - skip_end)] or rows
        points = list(suggestions or [])
        names = list(nms) if nms is not None else [f"{rate:.2g}" for rate, _ in points]
        lrs, losses = [row["lr"][-1] for row in kept], [row["smooth_loss"] for row in kept]
        figure = plot_rates(lrs, losses, points, names, ax=ax, figsize=figsize)
        return figure if return_fig else None


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

    def __init__(self, total: float = 0.0, count: int = 0) -> None:
        self._sum, self._count = total, count

    def state(self) -> tuple[float, int]:
        return self._sum, self._count

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
