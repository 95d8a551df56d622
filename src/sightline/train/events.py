"""Events: what happens in a fit, in which order, and how callbacks, code of yours, come to see it.

    after_create                                    once, when the learner is made
    before_fit
        before_epoch
            before_train
                before_batch
                    (forward)      after_pred
                    (loss)         after_loss
                    before_backward   (backward)   after_backward
                    before_step       (step)       after_step
                after_batch
            after_train
            before_validate
                before_batch  after_pred  after_loss  after_batch
            after_validate
        after_epoch
    after_fit

Raising one of the Cancel exceptions skips the rest of its part; `after_cancel_<part>` runs first, then `after_<part>`.
`close` is the one event that runs even when a fit ends by an error or by Ctrl-C.

Callbacks run in the order of their `order`, then in the order in which they were added. Those of the library: TrainEval -10,
Recorder -9, GatherPreds 40, Progress 60, ParamScheduler 60.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias

from torch import Tensor, nn

from sightline.errors import OptionError

if TYPE_CHECKING:
    from sightline.train.learner import Learner
    from sightline.train.optim import Optimizer
    from sightline.train.recorder import Recorder

Callbacks: TypeAlias = "Callback | type[Callback] | Iterable[Callback | type[Callback]] | None"

EVENTS: tuple[str, ...] = (
    "after_create", "before_fit", "before_epoch", "before_train", "before_batch", "after_pred", "after_loss",
    "before_backward", "after_cancel_backward", "after_backward", "before_step", "after_cancel_step", "after_step",
    "after_cancel_batch", "after_batch", "after_cancel_train", "after_train", "before_validate", "after_cancel_validate",
    "after_validate", "after_cancel_epoch", "after_epoch", "after_cancel_fit", "after_fit", "close",
)  # fmt: skip


class CancelBatchException(Exception):  # noqa: N818 - a name of the field
    """Skip the rest of this batch."""


class CancelBackwardException(Exception):  # noqa: N818
    """Skip the backward pass of this batch."""


class CancelStepException(Exception):  # noqa: N818
    """Skip the optimizer's step of this batch."""


class CancelTrainException(Exception):  # noqa: N818
    """Skip the rest of this epoch's training."""


class CancelValidException(Exception):  # noqa: N818
    """Skip the rest of this validation."""


class CancelEpochException(Exception):  # noqa: N818
    """Skip the rest of this epoch."""


class CancelFitException(Exception):  # noqa: N818
    """End the fit."""


BATCH_EVENTS = frozenset(EVENTS[EVENTS.index("before_batch") : EVENTS.index("after_batch") + 1])
"""Events of single batches, which a callback can refuse in training or in validation."""

CANCELS: dict[str, type[Exception]] = {
    "fit": CancelFitException,
    "epoch": CancelEpochException,
    "train": CancelTrainException,
    "validate": CancelValidException,
    "batch": CancelBatchException,
    "backward": CancelBackwardException,
    "step": CancelStepException,
}


class Callback:
    """Base of all callbacks: define methods named after events, and read or change `self.learn`.

    The properties are short forms of the learner's; assign to `self.learn.<name>` to change them.

    Attributes:
        order: Callbacks with a lower number run first.
        run_train: Whether batch events of training reach it.
        run_valid: Whether batch events of validation reach it.
        learn: The learner, while the callback is added to one.
    """

    order: ClassVar[int] = 0
    run_train: bool = True
    run_valid: bool = True
    learn: Learner

    @property
    def name(self) -> str:
        """The class name in snake case, without the word Callback: `SaveModelCallback` is `save_model`."""
        bare = re.sub(r"Callback$", "", type(self).__name__) or "callback"
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", bare).lower()

    @property
    def model(self) -> nn.Module:
        """The network."""
        return self.learn.model

    @property
    def dls(self) -> Any:
        """The data loaders."""
        return self.learn.dls

    @property
    def dl(self) -> Any:
        """The loader in use."""
        return self.learn.dl

    @property
    def opt(self) -> Optimizer | None:
        """The optimizer."""
        return self.learn.opt

    @property
    def recorder(self) -> Recorder:
        """The recorder."""
        return self.learn.recorder

    @property
    def training(self) -> bool:
        """Whether this is the training part of an epoch."""
        return self.learn.training

    @property
    def epoch(self) -> int:
        """Number of the epoch within this fit, from 0."""
        return self.learn.epoch

    @property
    def n_epoch(self) -> int:
        """How many epochs this fit has."""
        return self.learn.n_epoch

    @property
    def iter(self) -> int:
        """Number of the batch within the epoch, from 0."""
        return self.learn.iter

    @property
    def n_iter(self) -> int:
        """How many batches the epoch has."""
        return self.learn.n_iter

    @property
    def train_iter(self) -> int:
        """How many training batches this fit has done."""
        return self.learn.train_iter

    @property
    def pct_train(self) -> float:
        """Share of this fit's training that is done, 0..1."""
        return self.learn.pct_train

    @property
    def x(self) -> Tensor:
        """The batch of images `(N, C, H, W)`."""
        return self.learn.x

    @property
    def y(self) -> Tensor:
        """The batch of encoded labels."""
        return self.learn.y

    @property
    def xb(self) -> tuple[Tensor, ...]:
        """The batch's inputs, as a tuple."""
        return self.learn.xb

    @property
    def yb(self) -> tuple[Tensor, ...]:
        """The batch's targets, as a tuple; empty where there are none."""
        return self.learn.yb

    @property
    def pred(self) -> Any:
        """The network's outputs `(N, K)` for this batch."""
        return self.learn.pred

    @property
    def loss(self) -> Any:
        """The loss of this batch."""
        return self.learn.loss


class CallbackHost:
    """Holds callbacks and lets them see events.

    Attributes:
        cbs: The callbacks, in the order in which they were added.
        training: Whether the batches at hand are of training.
    """

    training: bool = False

    def __init__(self) -> None:
        self.cbs: list[Callback] = []
        self._handlers: dict[str, list[tuple[Callback, Callable[[], None]]]] = {}

    def add_cb(self, cb: Callback | type[Callback]) -> Self:
        """Add one callback."""
        cb = cb() if isinstance(cb, type) else cb
        if not isinstance(cb, Callback):
            raise OptionError(f"cbs holds {cb!r}. Expected Callback objects or classes.")
        cb.learn = self  # type: ignore[assignment]
        self.cbs.append(cb)
        self._handlers.clear()
        return self

    def add_cbs(self, cbs: Callbacks) -> Self:
        """Add callbacks."""
        for cb in each(cbs):
            self.add_cb(cb)
        return self

    def remove_cb(self, cb: Callback | type[Callback]) -> Self:
        """Remove a callback, or all of a class."""
        self.cbs = [other for other in self.cbs if not (other is cb or (isinstance(cb, type) and isinstance(other, cb)))]
        self._handlers.clear()
        return self

    def remove_cbs(self, cbs: Callbacks) -> Self:
        """Remove callbacks."""
        for cb in each(cbs):
            self.remove_cb(cb)
        return self

    @contextmanager
    def added_cbs(self, cbs: Callbacks) -> Iterator[Self]:
        """Callbacks that are there within a block only."""
        added = [cb() if isinstance(cb, type) else cb for cb in each(cbs)]
        self.add_cbs(added)
        try:
            yield self
        finally:
            self.remove_cbs(added)

    @contextmanager
    def removed_cbs(self, cbs: Callbacks) -> Iterator[Self]:
        """Callbacks that are away within a block only."""
        before = list(self.cbs)
        self.remove_cbs(cbs)
        try:
            yield self
        finally:
            self.cbs = before
            self._handlers.clear()

    def __call__(self, event: str) -> None:
        """Let every callback see an event."""
        if event not in self._handlers:
            ordered = sorted(self.cbs, key=lambda cb: cb.order)
            self._handlers[event] = [(cb, getattr(cb, event)) for cb in ordered if callable(getattr(cb, event, None))]
        batch_level = event in BATCH_EVENTS
        for cb, handler in self._handlers[event]:
            if not batch_level or (cb.run_train if self.training else cb.run_valid):
                handler()

    def _with_events(self, part: str, body: Callable[[], None]) -> None:
        try:
            self(f"before_{part}")
            body()
        except CANCELS[part]:
            self(f"after_cancel_{part}")
        self(f"after_{part}")


def each(cbs: Callbacks) -> list[Any]:
    """Callbacks, or their classes, as a list, whether none, one or several were given."""
    if cbs is None:
        return []
    return list(cbs) if isinstance(cbs, Iterable) else [cbs]
