"""The library's own callbacks: mode and counting, schedules, skipped epochs, gathered predictions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from sightline.train.events import Callback, CancelEpochException
from sightline.train.schedule import Schedule


class TrainEval(Callback):
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


class GatherPreds(Callback):
    """Collects what a pass over a loader gives, on the CPU, one row a picture."""

    order: ClassVar[int] = 40

    def __init__(self, *, with_input: bool = False, with_loss: bool = False) -> None:
        """Say whether inputs and losses are wanted as well."""
        self.with_input, self.with_loss = with_input, with_loss
        self.inputs: list[Tensor] = []
        self.logits: list[Tensor] = []
        self.targets: list[Tensor] = []
        self.losses: list[Tensor] = []
        self.rows: list[Tensor] = []

    def after_batch(self) -> None:
        """Take in one batch."""
        learn = self.learn
        if learn.pred is None:
            return  # the batch was cancelled
        self.rows.append(torch.as_tensor(learn.batch.index))
        self.logits.append(learn.pred.detach().float().cpu())
        if self.with_input:
            self.inputs.append(learn.x.detach().cpu())
        if learn.yb:
            self.targets.append(learn.y.detach().cpu())
            if self.with_loss:
                with torch.no_grad():
                    self.losses.append(learn.objective.items(learn.pred, learn.y).cpu())

    def result(
        self,
        act: Callable[[Tensor], Tensor],
        decide: Callable[[Tensor], Tensor],
        loader: Any,
        *,
        n_out: int,
        with_decoded: bool,
        reorder: bool,
    ) -> tuple[Any, ...]:
        """`([inputs], activated outputs, targets or None, [decisions], [losses])`, see `Learner.get_preds`."""
        rows = torch.cat(self.rows) if self.rows else torch.zeros(0, dtype=torch.int64)
        order = torch.argsort(_places(rows, loader)) if reorder else torch.arange(len(rows))

        def gathered(parts: list[Tensor]) -> Tensor | None:
            return torch.cat(parts)[order] if parts else None

        logits = gathered(self.logits)
        activated = act(torch.zeros(0, n_out) if logits is None else logits)
        parts: list[Any] = [gathered(self.inputs)] if self.with_input else []
        parts += [activated, gathered(self.targets)]
        parts += [decide(activated)] if with_decoded else []
        parts += [gathered(self.losses)] if self.with_loss else []
        return tuple(parts)


def _places(rows: Tensor, loader: Any) -> Tensor:
    """Where each row stands among the loader's own rows, which need not be ascending."""
    place = {int(row): position for position, row in enumerate(loader.rows)}
    # Ready-made batches may bring row numbers of their own, which then are their order.
    return torch.tensor([place.get(int(row), int(row)) for row in rows], dtype=torch.int64)
