"""Trackers: callbacks that follow one figure from epoch to epoch, and stop, keep the best weights, or lower the rate."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from sightline.errors import OptionError, SightlineWarning, did_you_mean, listed
from sightline.train.callbacks.core import ParamScheduler, PerRun
from sightline.train.events import Callback, CancelFitException


class TerminateOnNaNCallback(Callback):
    """Ends the fit, without an error, as soon as a loss is NaN or infinite.

    Without it such a loss in training is a NonFiniteLossError. Either way the weights are the last good ones again. Looking at
    the loss in every step makes the host wait for a GPU.
    """

    order: ClassVar[int] = -10

    def after_loss(self) -> None:
        """Look at the loss."""
        loss = self.learn.loss
        if loss is not None and not torch.isfinite(loss).all():
            self._end(f"The loss became {float(loss.mean())} in epoch {self.epoch}, batch {self.iter}: the fit ends.")

    def after_train(self) -> None:
        """Look at the weights: the epoch's last step may have spoilt them."""
        if self.recorder.guard.is_spoilt():
            self._end(f"The weights became NaN or infinite at the end of epoch {self.epoch}: the fit ends.")

    def _end(self, what: str) -> None:
        kept = f" {self.recorder.guard.give_back()}" if self.training else ""
        self.progress.note(f"{what}{kept}")
        raise CancelFitException


class TrackerCallback(PerRun):
    """Follows the best value of one column of the table.

    The two phases of `fine_tune` are one run: the best value of the first is still to be beaten in the second.

    Attributes:
        best: The best value of the run so far; infinite before the first.
        new_best: Whether the last epoch brought it.
        value: The value of the last epoch; None where it has none, because the epoch or its validation was skipped.
    """

    order: ClassVar[int] = 60
    remove_on_fetch: ClassVar[bool] = True
    resumes: ClassVar[tuple[str, ...]] = ("best",)

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        reset_on_fit: bool = True,
    ) -> None:
        """Say what to follow.

        Args:
            monitor: A column of the table: 'train_loss', 'valid_loss', or a metric's name.
            comp: `comp(new, best)` says whether new is better; None is `np.less` for names that hold 'loss' or 'error', and
                `np.greater` for all others.
            min_delta: By how much a value must be better to count.
            reset_on_fit: Forget the best value when a new run begins.
        """
        if comp is None:
            comp = np.less if "loss" in monitor or "error" in monitor else np.greater
        self.monitor, self.comp, self.reset_on_fit = monitor, comp, reset_on_fit
        self._lower = bool(comp(0.0, 1.0))
        self.min_delta = -min_delta if self._lower else min_delta
        self.best: float | None = None
        self.value: float | None = None
        self.new_best = False
        self.idx = 0

    def before_fit(self) -> None:
        """Find the column.

        Raises:
            OptionError: There is none of that name.
        """
        names = [name for name in self.recorder.metric_names if name not in {"epoch", "time"}]
        if self.monitor not in names:
            raise OptionError(
                f"{type(self).__name__}(monitor={self.monitor!r}): the table has no such column, only {listed(names)}. "
                f"{did_you_mean(self.monitor, names)}".rstrip()
            )
        self.idx = names.index(self.monitor)
        if (self.begins_run() and self.reset_on_fit) or self.best is None:
            self.forget()

    def forget(self) -> None:
        """Start with no best value."""
        self.best = self._worst

    def after_epoch(self) -> None:
        """Compare the epoch's value with the best one."""
        self.value = None if self.recorder.epoch_row is None else self.recorder.values[-1][self.idx]
        self.new_best = self.value is not None and self.better(self.value, self.best)
        if self.new_best:
            self.best = self.value

    def better(self, value: float, best: float | None) -> bool:
        """Whether a value is better than the best one, by at least `min_delta`."""
        return bool(self.comp(value - self.min_delta, self._worst if best is None else best))

    @property
    def _worst(self) -> float:
        return math.inf if self._lower else -math.inf


class PatientTracker(TrackerCallback):
    """Base of trackers that act after some epochs without a better value.

    A phase of `fine_tune` is measured by itself, because unfreezing often makes a network worse at first: with
    `reset_on_fit=True` only values of the present fit are compared. `best` is that of the whole run nevertheless.

    Attributes:
        patience: After how many such epochs.
        wait: How many there were since the best one of the fit, or since it acted.
        best_of_fit: The best value of the present fit; None before the first.
    """

    resumes: ClassVar[tuple[str, ...]] = ("best", "wait", "best_of_fit")
    patience: int
    wait: int = 0
    best_of_fit: float | None = None

    def before_fit(self) -> None:
        """Start counting, unless a saved run goes on."""
        resumed = self.resumed
        super().before_fit()
        if not resumed:
            self.wait, self.best_of_fit = 0, None if self.reset_on_fit else self.best

    def after_epoch(self) -> None:
        """Count, and act."""
        super().after_epoch()
        if self.value is None:
            return
        if self.better(self.value, self.best_of_fit):
            self.wait, self.best_of_fit = 0, self.value
            return
        self.wait += 1
        if self.wait >= self.patience:
            self.act()

    def act(self) -> None:
        """What happens when patience is over."""


class EarlyStoppingCallback(PatientTracker):
    """Ends the fit when a figure stops getting better; in `fine_tune` the phase."""

    order: ClassVar[int] = TrackerCallback.order + 3

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        patience: int = 1,
        reset_on_fit: bool = True,
    ) -> None:
        """As `TrackerCallback`; the fit ends after `patience` epochs without a better value."""
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        self.patience = patience

    def act(self) -> None:
        """End the fit."""
        since = self.epoch - self.wait
        self.progress.note(f"No improvement {f'since epoch {since}' if since >= 0 else 'in this fit'}: early stopping")
        raise CancelFitException


class SaveModelCallback(TrackerCallback):
    """Saves the network whenever a figure is better than ever before, and loads the best one at the end of the run.

    Attributes:
        last_saved_path: The file that was written last in this run; None before the first.
    """

    order: ClassVar[int] = TrackerCallback.order + 1
    resumes: ClassVar[tuple[str, ...]] = ("best", "last_saved_path")

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        fname: str = "model",
        every_epoch: bool | int = False,
        at_end: bool = False,
        with_opt: bool = False,
        reset_on_fit: bool = True,
    ) -> None:
        """As `TrackerCallback`, and what is saved when.

        Args:
            monitor: See `TrackerCallback`.
            comp: See `TrackerCallback`.
            min_delta: See `TrackerCallback`.
            fname: Name for `learn.save`.
            every_epoch: Save after every epoch (a number: after every so many) as `fname_<epoch>`, whatever the figure is.
            at_end: Save at the end of the run, and load nothing.
            with_opt: Save and load the optimizer's state too.
            reset_on_fit: See `TrackerCallback`.

        Raises:
            OptionError: Both `every_epoch` and `at_end` are set.
        """
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        if every_epoch and at_end:
            raise OptionError("SaveModelCallback: every_epoch and at_end are both set. Expected one of them at most.")
        self.fname, self.every_epoch, self.at_end, self.with_opt = fname, every_epoch, at_end, with_opt
        self.last_saved_path: Path | None = None

    def forget(self) -> None:
        """Start with no best value, and no file."""
        super().forget()
        self.last_saved_path = None

    def state_dict(self) -> dict[str, Any]:
        path = self.last_saved_path
        return {**super().state_dict(), "last_saved_path": None if path is None else str(path)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        if self.last_saved_path is not None:
            self.last_saved_path = Path(self.last_saved_path)

    def after_epoch(self) -> None:
        """Save, if it is time."""
        super().after_epoch()
        if self.every_epoch:
            if self.recorder.epoch_row is not None and self.epoch % int(self.every_epoch) == 0:
                self._save(f"{self.fname}_{self.epoch}")
        elif self.new_best:
            self.progress.note(f"Better model found at epoch {self.epoch} with {self.monitor} value: {self.best}.")
            self._save(self.fname)

    def after_fit(self) -> None:
        """At the end of the run, save or load."""
        if not self.learn.is_last_phase:
            return
        if self.at_end:
            self._save(self.fname)
        elif not self.every_epoch and self.last_saved_path is not None:
            self.learn.load(self.fname, with_opt=self.with_opt)

    def _save(self, name: str) -> None:
        self.last_saved_path = self.learn.save(name, with_opt=self.with_opt)


class ReduceLROnPlateau(PatientTracker):
    """Divides the learning rates when a figure stops getting better.

    A schedule sets the rates anew before every batch, and so undoes it: with `fit_one_cycle` and its like it warns and changes
    nothing. It is meant for `fit`.
    """

    order: ClassVar[int] = TrackerCallback.order + 2

    def __init__(
        self,
        monitor: str = "valid_loss",
        comp: Callable[[Any, Any], Any] | None = None,
        min_delta: float = 0.0,
        patience: int = 1,
        factor: float = 10.0,
        min_lr: float = 0,
        reset_on_fit: bool = True,
    ) -> None:
        """As `TrackerCallback`; after `patience` epochs without a better value rates are divided by `factor`, down to `min_lr`.

        Raises:
            OptionError: `factor` is not above 1.
        """
        super().__init__(monitor, comp, min_delta, reset_on_fit)
        if not factor > 1:
            raise OptionError(f"ReduceLROnPlateau(factor={factor!r}): rates are divided by it. Expected a number above 1.")
        self.patience, self.factor, self.min_lr = patience, factor, min_lr

    def before_fit(self) -> None:
        """Find the column, and say where a schedule leaves nothing to do."""
        super().before_fit()
        if self._scheduled:
            warnings.warn(
                "ReduceLROnPlateau changes nothing in this fit: its schedule sets the learning rates before every batch. "
                "Use learn.fit(n_epoch, lr) for rates that stay until they are reduced.",
                SightlineWarning,
                stacklevel=2,
            )

    @property
    def _scheduled(self) -> bool:
        return any(isinstance(cb, ParamScheduler) and "lr" in cb.scheds for cb in self.cbs)

    def act(self) -> None:
        """Divide the rates, and begin to wait again."""
        self.wait = 0
        if self.opt is None or self._scheduled:
            return
        before = [hyper["lr"] for hyper in self.opt.hypers]
        after = [max(lr / self.factor, self.min_lr) for lr in before]
        self.opt.set_hyper("lr", after)
        if after[-1] < before[-1]:
            self.progress.note(f"Epoch {self.epoch}: reducing lr to {after[-1]}")
