"""Callbacks of the loop itself: mode and counting, schedules, shortened fits, and what lasts for a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import torch

from sightline.errors import OptionError, TrainingError
from sightline.outputs import Collector
from sightline.train.events import Callback, CancelEpochException, CancelTrainException, CancelValidException
from sightline.train.schedule import Schedule


class TrainEvalCallback(Callback):
    """Puts the network into training or evaluation mode and keeps count of how far the fit is."""

    order: ClassVar[int] = -10

    def before_fit(self) -> None:
        """Start counting."""
        self.learn.train_iter, self.learn.pct_train = 0, 0.0

    def before_train(self) -> None:
        """Training mode."""
        self.learn.pct_train = self.learn.epoch / self.learn.n_epoch
        self.learn.model.train()
        self.learn.training = True

    def after_batch(self) -> None:
        """Count a training batch."""
        if self.learn.training:
            self.learn.train_iter += 1
            done = self.learn.epoch + (self.learn.iter + 1) / self.learn.n_iter
            self.learn.pct_train = done / self.learn.n_epoch

    def before_validate(self) -> None:
        """Evaluation mode."""
        self.learn.model.eval()
        self.learn.training = False


class ParamScheduler(Callback):
    """Sets hyper-parameters before every training batch, from schedules."""

    order: ClassVar[int] = 60
    run_valid = False

    def __init__(self, scheds: Mapping[str, Schedule]) -> None:
        """Take schedules by the name of their hyper-parameter, such as `{'lr': ..., 'mom': ...}`."""
        self.scheds = dict(scheds)

    def before_batch(self) -> None:
        """Set what the schedules say for the share of the fit that is done."""
        if self.learn.opt is not None:
            for name, schedule in self.scheds.items():
                self.learn.opt.set_hyper(name, [float(v) for v in np.atleast_1d(schedule(self.learn.pct_train))])

    def after_batch(self) -> None:
        """Note what the step used, for `recorder.hps`."""
        if self.learn.opt is not None:
            for name in self.scheds:
                self.learn.recorder.hps.setdefault(name, []).append(self.learn.opt.hypers[-1][name])


class SkipToEpoch(Callback):
    """Leaves out the epochs before `epoch`: schedules go on as if they had been run."""

    order: ClassVar[int] = 70

    def __init__(self, epoch: int) -> None:
        """Take the number of the first epoch to run."""
        self.skip_to = epoch

    def before_epoch(self) -> None:
        """Skip."""
        if self.learn.epoch < self.skip_to:
            raise CancelEpochException


class ShortEpochCallback(Callback):
    """Ends every epoch after a share of its batches, to try things out. Passes beside a fit stay whole."""

    remove_on_fetch: ClassVar[bool] = True

    def __init__(self, pct: float = 0.01, short_valid: bool = True) -> None:
        """Take the share of the batches, at least one batch, and whether validation is shortened too.

        Raises:
            OptionError: `pct` is no share.
        """
        if not 0 <= pct <= 1:
            raise OptionError(f"ShortEpochCallback(pct={pct!r}): expected a share from 0 to 1, such as 0.1.")
        self.pct, self.short_valid = pct, short_valid

    def after_batch(self) -> None:
        """End the part when its share is done."""
        if self.iter / self.n_iter < self.pct:
            return
        if self.training:
            raise CancelTrainException
        if self.short_valid:
            raise CancelValidException


class PerRun(Callback):
    """Base of callbacks whose state lasts for a run: what the user asked for once, in however many phases.

    Attributes:
        of_run: The run that the state belongs to; None before the first.
        resumed: Whether the state was loaded and is to be gone on from.
    """

    of_run: int | None = None
    resumed: bool = False

    def begins_run(self) -> bool:
        """Whether the fit that begins is the first of its run and goes on from no loaded state; to be asked once a fit."""
        begins = self.of_run != self.learn.run and not self.resumed
        self.of_run, self.resumed = self.learn.run, False
        return begins

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        # What was part of a run already has merely been put back.
        self.resumed = self.of_run is None


class CastToTensor(Callback):
    """Nothing: batches hold plain tensors. It is there for scripts that add or remove it."""

    order: ClassVar[int] = 9


class GatherPredsCallback(Callback):
    """Collects what a pass over a loader gives, on the CPU, one row a picture.

    Attributes:
        collected: What there is so far.
    """

    order: ClassVar[int] = 40

    def __init__(self, *, with_input: bool = False, with_loss: bool = False) -> None:
        """Say whether inputs and losses are wanted as well."""
        self.with_input, self.with_loss = with_input, with_loss
        self.collected = Collector()

    def before_validate(self) -> None:
        """Start anew."""
        self.collected = Collector()

    def after_batch(self) -> None:
        """Take in one batch.

        Raises:
            TrainingError: Another callback changed how many pictures the batch has.
        """
        learn = self.learn
        if learn.pred is None:
            return  # the batch was cancelled
        if len(learn.pred) != len(learn.batch.index):
            raise TrainingError(
                f"A callback changed the batch: there are {len(learn.pred)} outputs for {len(learn.batch.index)} pictures, so "
                "which picture each belongs to is not known. Keep their number, or assign learn.batch with the new rows too: "
                "learn.batch = Batch(image, target, index)."
            )
        losses = None
        if learn.yb and self.with_loss:
            with torch.no_grad():
                losses = learn.objective.items(learn.pred, learn.y)
        self.collected.add(
            learn.batch.index,
            learn.pred,
            target=learn.y if learn.yb else None,
            losses=losses,
            image=learn.x if self.with_input else None,
        )
