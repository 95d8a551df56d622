"""Fits with a schedule: one cycle, flat and cosine, warm restarts, fine-tuning in phases; and the search for a rate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from sightline.errors import OptionError
from sightline.train.callbacks.core import ParamScheduler
from sightline.train.events import CallbackHost, Callbacks, each, made
from sightline.train.features import Frozen, from_features, refuse_callbacks
from sightline.train.lr_find import Suggest, find_rates, valley
from sightline.train.optim import Optimizer
from sightline.train.plan import Plan, fine_tune_phases, make_plan
from sightline.train.resuming.keeping import Checkpoint, keeping
from sightline.train.schedule import Rates, flat_cos, one_cycle, warm_restarts

if TYPE_CHECKING:
    from sightline.train.learner import Learner


class Fits(CallbackHost, ABC):
    """The part of a learner that puts schedules over its one loop, `fit`.

    Attributes:
        lr: Default learning rate.
        moms: Momentum of one-cycle fits: start, middle, end.
        wd: Weight decay of every fit; None keeps the optimizer's own.
        opt: The optimizer, None before the first fit or freeze.
        phase_name: What the present fit is called in the record.
        run: Counts what the user asked for: the two phases of `fine_tune` are one run.
        is_last_phase: Whether the present fit is the last one of its run.
    """

    lr: Rates
    moms: tuple[float, float, float]
    wd: float | None
    opt: Optimizer | None
    phase_name: str = "fit"
    run: int = 0
    is_last_phase: bool = True

    @abstractmethod
    def fit(
        self,
        n_epoch: int,
        lr: Rates | None = None,
        wd: float | None = None,
        cbs: Callbacks = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:
        """Train for `n_epoch` epochs."""

    @abstractmethod
    def create_opt(self) -> Optimizer:
        """A new optimizer."""

    @abstractmethod
    def unfreeze(self) -> None:
        """Train everything."""

    @abstractmethod
    def freeze_to(self, n: int) -> None:
        """Train the parameter groups from `n` on."""

    def fit_one_cycle(
        self,
        n_epoch: int,
        lr_max: Rates | None = None,
        div: float = 25.0,
        div_final: float = 1e5,
        pct_start: float = 0.25,
        wd: float | None = None,
        moms: Sequence[float] | None = None,
        cbs: Callbacks = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:
        """Train with one rise and fall of the learning rate, and the opposite of the momentum.

        Args:
            n_epoch: Passes over the training data.
            lr_max: Highest rate: one, a slice, or one a group; None is the learner's.
            div: The first rate is the highest divided by this.
            div_final: The last rate is the highest divided by this.
            pct_start: Share of the steps during which the rate rises.
            wd: As in `fit`.
            moms: Momentum at the start, in the middle, at the end; None is the learner's.
            cbs: As in `fit`.
            reset_opt: As in `fit`.
            start_epoch: As in `fit`.
        """
        highest = self._highest(lr_max, reset_opt)
        moms = self.moms if moms is None else moms
        scheds = one_cycle(highest, div=div, div_final=div_final, pct_start=pct_start, moms=moms)
        self.fit(n_epoch, list(highest), wd, [ParamScheduler(scheds), *each(cbs)], start_epoch=start_epoch)

    def fit_flat_cos(
        self,
        n_epoch: int,
        lr: Rates | None = None,
        div_final: float = 1e5,
        pct_start: float = 0.75,
        wd: float | None = None,
        cbs: Callbacks = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:
        """Train at constant rates for a share of the steps, then let them fall along a cosine.

        Args:
            n_epoch: Passes over the training data.
            lr: Rate: one, a slice, or one a group; None is the learner's.
            div_final: The last rate is `lr` divided by this.
            pct_start: Share of the steps at constant rates.
            wd: As in `fit`.
            cbs: As in `fit`.
            reset_opt: As in `fit`.
            start_epoch: As in `fit`.
        """
        rates = self._highest(lr, reset_opt)
        scheds = flat_cos(rates, div_final=div_final, pct_start=pct_start)
        self.fit(n_epoch, list(rates), wd, [ParamScheduler(scheds), *each(cbs)], start_epoch=start_epoch)

    def fit_sgdr(
        self,
        n_cycles: int,
        cycle_len: int,
        lr_max: Rates | None = None,
        cycle_mult: int = 2,
        cbs: Callbacks = None,
        reset_opt: bool = False,
        wd: float | None = None,
        start_epoch: int = 0,
    ) -> None:
        """Train in cycles, in each of which rates fall from the highest to 0 along a cosine.

        Args:
            n_cycles: How many cycles.
            cycle_len: Epochs of the first cycle.
            lr_max: Rate at the start of every cycle: one, a slice, or one a group; None is the learner's.
            cycle_mult: Each cycle is this many times as long as the one before.
            cbs: As in `fit`.
            reset_opt: As in `fit`.
            wd: As in `fit`.
            start_epoch: As in `fit`.
        """
        highest = self._highest(lr_max, reset_opt)
        n_epoch, scheds = warm_restarts(highest, n_cycles=n_cycles, cycle_len=cycle_len, cycle_mult=cycle_mult)
        self.fit(n_epoch, list(highest), wd, [ParamScheduler(scheds), *each(cbs)], start_epoch=start_epoch)

    def _highest(self, lr: Rates | None, reset_opt: bool) -> npt.NDArray[np.float64]:
        """One rate a group, set in the optimizer."""
        opt = self.create_opt() if self.opt is None or reset_opt else self.opt
        opt.set_hyper("lr", self.lr if lr is None else lr)
        return np.array([hyper["lr"] for hyper in opt.hypers])

    def fine_tune(
        self,
        epochs: int,
        base_lr: float = 2e-3,
        freeze_epochs: int = 1,
        lr_mult: float = 100,
        pct_start: float = 0.3,
        div: float = 5.0,
        *,
        frozen: Frozen = "train",
        checkpoint: Checkpoint | str | Path | None = None,
        **one_cycle_args: Any,
    ) -> None:
        """Train the head alone for `freeze_epochs`, then everything for `epochs`, lower groups at lower rates.

        Args:
            epochs: Epochs of the second phase.
            base_lr: Highest rate of the first phase; half of it is the head's highest rate in the second.
            freeze_epochs: Epochs of the first phase.
            lr_mult: In the second phase the lowest group's rate is the head's divided by this.
            pct_start: Share of the second phase during which rates rise.
            div: The second phase begins at its highest rates divided by this.
            frozen: How the head trains alone: 'train' on pictures in every epoch, normalisation below it training along;
                'features' on what the frozen layers say of each picture, which is asked once: the first epoch costs a
                forward pass, those after it next to nothing. See `sightline.train.features` for what else is different.
            checkpoint: A folder, or a `Checkpoint`: the run is kept there, and the same call in a new process goes on with it,
                to the last bit, wherever it was stopped or killed; see `resumable`.
            one_cycle_args: Further arguments of `fit_one_cycle`, for both phases; `cbs` too.

        Raises:
            OptionError: An argument of either phase is outside what it may be, or features cannot be stored for this network,
                these callbacks or so many pictures, or the checkpoint is of another run; nothing was trained.
            TrainingError: The run cannot be kept, or what was kept is damaged.

        Warns:
            SightlineWarning: There is one parameter group only, so that both phases train all of it.
        """
        learn = cast("Learner", self)
        fine_tune_phases(learn, epochs, base_lr, freeze_epochs, lr_mult, pct_start, div, frozen)
        one_cycle_args["cbs"] = made(one_cycle_args.get("cbs"))
        from_stored = frozen == "features" and freeze_epochs > 0
        if from_stored:
            refuse_callbacks([*self.cbs, *one_cycle_args["cbs"]])
        self.run += 1
        asked = {"fine_tune": [epochs, base_lr, freeze_epochs, lr_mult, pct_start, div, frozen], **one_cycle_args}
        with nullcontext() if checkpoint is None else self.resumable(checkpoint, **asked):
            with self._phase("head", last=False), from_features(learn, freeze_epochs) if from_stored else nullcontext():
                self.freeze_to(-1)
                self.fit_one_cycle(freeze_epochs, slice(base_lr), pct_start=0.99, **one_cycle_args)
            base_lr /= 2
            with self._phase("all"):
                self.unfreeze()
                self.fit_one_cycle(epochs, slice(base_lr / lr_mult, base_lr), pct_start=pct_start, div=div, **one_cycle_args)

    def resumable(self, checkpoint: Checkpoint | str | Path, **arguments: Any) -> AbstractContextManager[None]:
        """A block whose fits are one run that is kept in a folder; the same code in a new process goes on where that stopped.

            set_seed(42)
            ...
            with learn.resumable("runs/pets"):
                learn.fit_one_cycle(5, 1e-3)
                learn.unfreeze()
                learn.fit_one_cycle(10, slice(1e-5, 1e-3))

        Fits that were done are left out, and the one that was not goes on after the last step that was kept, in the middle of
        an epoch too: weights and record are in the end those of a run that nobody stopped, bit by bit on a CPU. SIGTERM and
        Ctrl-C keep the run after the step at hand; the first leaves with exit code 143. Callbacks of your own are gone on with
        if they name what they need in `resumes`. A folder has one run: name another one to begin anew.

        Args:
            checkpoint: The folder; or a `Checkpoint`, which says how often too.
            arguments: What tells this run from others, in plain values; a run with others is refused.

        Raises:
            OptionError: The folder holds another run (other data, network, labels or arguments), or a process is at work in it.
            TrainingError: The run cannot be kept, or what was kept is damaged.
        """
        return keeping(cast("Learner", self), checkpoint, {n: repr(value) for n, value in arguments.items() if n != "cbs"})

    def unfreeze_gradually(self, epochs: int | Sequence[int] = 1, lr_max: Rates | None = None, **one_cycle_args: Any) -> None:
        """Train the last parameter group, then the last two, and so on down to the first: one one-cycle fit each.

        Use it with more groups than two: `vision_learner(..., splitter=by_blocks(6))`.

        Args:
            epochs: Epochs of every fit, or one number for each of the groups, in the order in which they are unfrozen.
            lr_max: Highest rate of every fit, as in `fit_one_cycle`.
            one_cycle_args: Further arguments of `fit_one_cycle`, for every fit; `cbs` too.

        Raises:
            OptionError: There are not as many numbers of epochs as groups.
        """
        groups = len((self.opt or self.create_opt()).param_lists)
        each_epochs = [epochs] * groups if isinstance(epochs, int) else list(epochs)
        if len(each_epochs) != groups:
            raise OptionError(f"epochs={epochs!r}: expected one number, or {groups}: one for each parameter group.")
        one_cycle_args["cbs"] = made(one_cycle_args.get("cbs"))
        self.run += 1
        for n_epoch, first in zip(each_epochs, reversed(range(groups)), strict=True):
            with self._phase(f"from group {first}", last=first == 0):
                self.freeze_to(first)
                self.fit_one_cycle(n_epoch, lr_max, **one_cycle_args)

    def lr_find(
        self,
        start_lr: float | Sequence[float] = 1e-7,
        end_lr: float | Sequence[float] = 10,
        num_it: int = 100,
        stop_div: bool = True,
        show_plot: bool = True,
        suggest_funcs: Suggest | Sequence[Suggest] | None = valley,
    ) -> Any:
        """Train for a moment at growing rates, see how the loss takes it, and suggest a rate. The learner stays as it was.

        Args:
            start_lr: The lowest rate; or one for each parameter group.
            end_lr: The highest, which is not reached quite.
            num_it: Steps, at least 6; small sets are gone round again.
            stop_div: Stop when the smoothed loss is four times its lowest.
            show_plot: Plot loss over rate, with the suggestions.
            suggest_funcs: One or several of `valley`, `slide`, `minimum`, `steep`, or a function
                `(rates, losses, num_it) -> (rate, (rate, loss) to be marked)`; None suggests nothing.

        Returns:
            A named tuple of rates, one a function, by the functions' names: `learn.lr_find().valley`. None without functions.

        Warns:
            SightlineWarning: Too few steps had a finite loss for a suggestion, which then is NaN.
        """
        return find_rates(cast("Learner", self), start_lr, end_lr, num_it, stop_div, show_plot, suggest_funcs)

    @contextmanager
    def _phase(self, name: str, *, last: bool = True) -> Iterator[None]:
        self.phase_name, self.is_last_phase = name, last
        try:
            yield
        finally:
            self.phase_name, self.is_last_phase = "fit", True

    def plan(
        self,
        epochs: int,
        base_lr: float = 2e-3,
        freeze_epochs: int = 1,
        lr_mult: float = 100,
        pct_start: float = 0.3,
        div: float = 5.0,
        wd: float | None = None,
        *,
        frozen: Frozen = "train",
        **one_cycle_args: Any,
    ) -> Plan:
        """What `fine_tune` with these arguments is about to do, in words; nothing is trained. Print it."""
        phases = fine_tune_phases(cast("Learner", self), epochs, base_lr, freeze_epochs, lr_mult, pct_start, div, frozen)
        return make_plan(cast("Learner", self), phases, wd=self.wd if wd is None else wd)
