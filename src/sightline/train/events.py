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

Callbacks run in the order of their `order`, then in the order in which they were added. Those of every learner: TrainEval -10,
Recorder -9, Progress 60; callbacks of your own have 0 unless they say otherwise.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import MethodType, SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Self, TypeAlias, TypeVar, cast

from torch import Tensor, nn

from sightline.errors import OptionError, SightlineWarning, did_you_mean, listed
from sightline.losses.objective import Objective
from sightline.target import Target

if TYPE_CHECKING:
    from sightline.train.learner import Learner
    from sightline.train.optim import Optimizer
    from sightline.train.progress import ProgressCallback
    from sightline.train.recorder import Recorder

Callbacks: TypeAlias = "Callback | type[Callback] | Iterable[Callback | type[Callback]] | None"

EVENTS: tuple[str, ...] = (
    "after_create", "before_fit", "before_epoch", "before_train", "before_batch", "after_pred", "after_loss",
    "before_backward", "after_cancel_backward", "after_backward", "before_step", "after_cancel_step", "after_step",
    "after_cancel_batch", "after_batch", "after_cancel_train", "after_train", "before_validate", "after_cancel_validate",
    "after_validate", "after_cancel_epoch", "after_epoch", "after_cancel_fit", "after_fit", "close",
)  # fmt: skip

event = SimpleNamespace(**{name: name for name in EVENTS})
"""The names of the events as attributes, for completion: `event.before_fit`."""


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


_LOOP = (
    "before_fit", "  each epoch", "    before_epoch", "    before_train", "      each batch", "        before_batch",
    "        after_pred", "        after_loss", "        before_backward", "        after_backward", "        before_step",
    "        after_step", "        after_cancel_batch", "        after_batch", "    after_cancel_train", "    after_train",
    "    before_validate", "      each batch: before_batch, after_pred, after_loss, after_batch", "    after_cancel_validate",
    "    after_validate", "    after_cancel_epoch", "    after_epoch", "after_cancel_fit", "after_fit", "close",
)  # fmt: skip

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


T_co = TypeVar("T_co", covariant=True)


class _OfLearner(Generic[T_co]):
    """A short form of the learner's attribute of the same name; a callback may have one of its own in its place."""

    def __init__(self, doc: str) -> None:
        self.__doc__ = doc
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, cb: Any, owner: type | None = None) -> T_co:
        return cast("T_co", self if cb is None else getattr(cb.learn, self._name))


class Callback:
    """Base of all callbacks: define methods named after events, and read or change `self.learn`.

    A callback sees the learner's own attributes as `self.pred`, `self.epoch` and so on, in their present state. To change one,
    assign to `self.learn.<name>`. Functions serve as well: `Callback(before_fit=lambda cb: ...)`.

    In a learner the callback is found by its name, `learn.save_model`, unless the learner has something else of that name.

    Attributes:
        order: Callbacks with a lower number run first.
        run: Whether events reach it; a fit ends with it set again.
        run_train: Whether batch events of training reach it.
        run_valid: Whether batch events of validation reach it.
        remove_on_fetch: Whether it stays away from passes beside a fit, such as `validate`, `get_preds` and `lr_find`.
        needs_pictures: Whether it has a use only where pictures pass the whole network, and not features that were stored of
            them, see `fine_tune(frozen="features")`: because it mixes pictures, or looks into layers.
        resumes: Names of the attributes without which a run could not go on where it stopped: plain values, tensors, or
            dictionaries of them.
        learn: The learner, once the callback was added to one.
    """

    order: ClassVar[int] = 0
    remove_on_fetch: ClassVar[bool] = False
    needs_pictures: bool = False
    resumes: ClassVar[tuple[str, ...]] = ()
    run: bool = True
    run_train: bool = True
    run_valid: bool = True
    learn: Learner

    model = _OfLearner[nn.Module]("The network.")
    dls = _OfLearner[Any]("The data loaders.")
    dl = _OfLearner[Any]("The loader in use.")
    opt: _OfLearner[Optimizer | None] = _OfLearner("The optimizer.")
    recorder: _OfLearner[Recorder] = _OfLearner("The recorder.")
    progress: _OfLearner[ProgressCallback] = _OfLearner("Bar and table.")
    cbs = _OfLearner[list[Any]]("The callbacks of the learner.")
    path = _OfLearner[Path]("Folder of what the learner writes.")
    model_dir = _OfLearner[Any]("Folder of saved weights within `path`.")
    target = _OfLearner[Target]("What the labels are.")
    metrics = _OfLearner[list[Any]]("Figures for people.")
    objective = _OfLearner[Objective]("The loss in use, as the loop calls it.")
    loss_func = _OfLearner[Any]("The loss in use.")
    opt_func = _OfLearner[Any]("Makes the optimizer.")
    splitter = _OfLearner[Any]("Gives parameter groups.")
    lr = _OfLearner[Any]("The learner's default rate; that of the present step is in `opt.hypers`.")
    wd = _OfLearner[Any]("The learner's weight decay.")
    moms = _OfLearner[Any]("The learner's momentums.")
    training = _OfLearner[bool]("Whether this is the training part of an epoch.")
    epoch = _OfLearner[int]("Number of the epoch within this fit, from 0.")
    n_epoch = _OfLearner[int]("How many epochs this fit has.")
    iter = _OfLearner[int]("Number of the batch within the epoch, from 0.")
    n_iter = _OfLearner[int]("How many batches the epoch has.")
    train_iter = _OfLearner[int]("How many training batches this fit has done.")
    pct_train = _OfLearner[float]("Share of this fit's training that is done, 0..1.")
    x = _OfLearner[Tensor]("The batch of images `(N, C, H, W)`.")
    y = _OfLearner[Tensor]("The batch of encoded labels.")
    xb = _OfLearner[tuple[Tensor, ...]]("The batch's inputs, as a tuple.")
    yb = _OfLearner[tuple[Tensor, ...]]("The batch's targets, as a tuple; empty where there are none.")
    pred = _OfLearner[Any]("The network's outputs `(N, K)` for this batch.")
    loss = _OfLearner[Any]("The loss of this batch.")
    loss_grad = _OfLearner[Any]("What `backward` starts from: the loss with its graph.")
    smooth_loss = _OfLearner[Tensor]("Exponential average of the training loss of this fit.")

    def __init__(self, **handlers: Callable[[Any], Any]) -> None:
        """Take functions of events, each of which is given the callback.

        Raises:
            OptionError: There is no event of a name.
        """
        for event_name, function in handlers.items():
            if event_name not in EVENTS:
                raise OptionError(f"There is no event {event_name!r}. {did_you_mean(event_name, EVENTS)}".rstrip())
            setattr(self, event_name, MethodType(function, self))

    def __setattr__(self, name: str, value: Any) -> None:
        # What was made the callback's own before it met a learner stays its own.
        if isinstance(vars(Callback).get(name), _OfLearner) and hasattr(self, "learn") and name not in vars(self):
            warnings.warn(
                f"self.{name} = ... hides the learner's {name} from {type(self).__name__} and changes nothing else. "
                f"Assign to self.learn.{name} to change the learner's, or choose another name for a value of your own.",
                SightlineWarning,
                stacklevel=2,
            )
        super().__setattr__(name, value)

    def __repr__(self) -> str:
        return type(self).__name__

    @property
    def name(self) -> str:
        """The class name in snake case, without the word Callback: `SaveModelCallback` is `save_model`."""
        bare = re.sub(r"Callback$", "", type(self).__name__) or "callback"
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", bare).lower()

    def state_dict(self) -> dict[str, Any]:
        """What a run needs to go on where it stopped: the attributes named in `resumes`."""
        return {name: getattr(self, name) for name in self.resumes}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take over what `state_dict` gave.

        Raises:
            OptionError: It holds other names.
        """
        if set(state) != set(self.resumes):
            raise OptionError(f"{self.name} resumes from {listed(self.resumes)}, but was given {listed(list(state))}.")
        for name, value in state.items():
            setattr(self, name, value)


def before_batch_cb(f: Callable[..., tuple[Any, Any]]) -> Callback:
    """A callback that changes batches: `f(callback, inputs, targets)` gives new inputs and targets, tuples of tensors."""

    def before_batch(cb: Callback) -> None:
        cb.learn.xb, cb.learn.yb = f(cb, cb.xb, cb.yb)

    cb = Callback(before_batch=before_batch)
    cb.needs_pictures = True
    return cb


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
        self._by_name: dict[str, Callback] = {}

    def add_cb(self, cb: Callback | type[Callback]) -> Self:
        """Add one callback, which is then found by its name too."""
        (cb,) = made(cb)
        cb.learn = self  # type: ignore[assignment]
        self.cbs.append(cb)
        self._settle()
        return self

    def add_cbs(self, cbs: Callbacks) -> Self:
        """Add callbacks."""
        for cb in each(cbs):
            self.add_cb(cb)
        return self

    def remove_cb(self, cb: Callback | type[Callback]) -> Self:
        """Remove a callback, or all of a class."""
        self.cbs = [other for other in self.cbs if not (other is cb or (isinstance(cb, type) and isinstance(other, cb)))]
        self._settle()
        return self

    def remove_cbs(self, cbs: Callbacks) -> Self:
        """Remove callbacks."""
        for cb in each(cbs):
            self.remove_cb(cb)
        return self

    @contextmanager
    def added_cbs(self, cbs: Callbacks) -> Iterator[Self]:
        """Callbacks that are there within a block only."""
        added = made(cbs)
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
            # What was added within the block stays.
            self.cbs = before + [cb for cb in self.cbs if cb not in before]
            self._settle()

    def beside(self) -> AbstractContextManager[Self]:
        """A block without the callbacks that stay away from passes beside a fit: those with `remove_on_fetch`."""
        return self.removed_cbs([cb for cb in self.cbs if cb.remove_on_fetch])

    def ordered_cbs(self, event: str) -> list[Callback]:
        """The callbacks that see an event, in the order in which they do."""
        return [cb for cb in sorted(self.cbs, key=lambda cb: cb.order) if callable(getattr(cb, event, None))]

    def show_training_loop(self) -> None:
        """Print the loop with the callbacks that see each event, in their order."""
        from sightline.train.progress import say

        for line in _LOOP:
            name = line.strip()
            say(f"{line}: {self.ordered_cbs(name)}" if name in EVENTS else line)

    def __call__(self, event: str) -> None:
        """Let every callback see an event."""
        if event not in self._handlers:
            self._handlers[event] = [(cb, getattr(cb, event)) for cb in self.ordered_cbs(event)]
        batch_level, closing = event in BATCH_EVENTS, event == "close"
        for cb, handler in self._handlers[event]:
            if closing or (cb.run and (not batch_level or (cb.run_train if self.training else cb.run_valid))):
                handler()
        if closing:
            for cb in self.cbs:
                cb.run = True

    def _with_events(self, part: str, body: Callable[[], None]) -> None:
        try:
            self(f"before_{part}")
            body()
        except CANCELS[part]:
            self(f"after_cancel_{part}")
        self(f"after_{part}")

    def _settle(self) -> None:
        """After callbacks have come or gone: who sees what, and who is found by which name."""
        self._handlers.clear()
        for name in self._by_name:
            vars(self).pop(name, None)
        taken = {*vars(self), *dir(type(self))}
        self._by_name = {cb.name: cb for cb in self.cbs if cb.name not in taken}
        vars(self).update(self._by_name)


def each(cbs: Callbacks) -> list[Any]:
    """Callbacks, or their classes, as a list, whether none, one or several were given."""
    if cbs is None:
        return []
    return list(cbs) if isinstance(cbs, Iterable) and not isinstance(cbs, str) else [cbs]


def made(cbs: Callbacks) -> list[Callback]:
    """Callbacks as objects, whether none, one or several, objects or classes were given.

    Raises:
        OptionError: Something is no callback.
    """
    found = [cb() if isinstance(cb, type) else cb for cb in each(cbs)]
    for cb in found:
        if not isinstance(cb, Callback):
            raise OptionError(f"cbs holds {cb!r}. Expected Callback objects or classes.")
    return found
