"""Timing: real training steps and validation, timed part by part through the events of the learner's own loop."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch

from sightline.data.loading.loaders import Loader
from sightline.errors import OptionError
from sightline.train.events import Callback, CancelFitException, CancelValidException
from sightline.train.lr_find import as_it_was
from sightline.train.measuring.peak import wait_for
from sightline.train.measuring.stages import PARTS, Stage, Step, Steps, summed

if TYPE_CHECKING:
    from sightline.train.learner import Learner

_TRIAL, _FEWEST = 3, 5
_LR = 1e-7
_MANY_EPOCHS = 1_000_000


def measure_steps(learn: Learner, seconds: float, decoded_per_second: float = math.inf) -> Steps:
    """Train for some time on so few pictures that they come more than once; the learner stays as it was.

    Steps are those of `learn.fit` with all its callbacks, except those that stay away from passes beside a fit. Rates are tiny,
    so that no loss can leave the numbers.

    Args:
        learn: What is frozen in it stays so.
        seconds: About how long; some steps are made whatever it says.
        decoded_per_second: How quickly pictures are decoded, if it is known: as many are used as make a first epoch of less
            than half the time.

    Raises:
        OptionError: There is no training batch, or callbacks let no step through to its end.
    """
    if not len(learn.dls.train):
        raise OptionError("There is no training batch to be measured. Add pictures, or make bs smaller.")
    began = time.perf_counter()
    with _mock_training(learn):
        counter = _CountFlops()
        trial = _timed_fit(learn, 0.0, _TRIAL, counter)
        left = max(0.0, seconds - (time.perf_counter() - began))
        step = min((sum(step.seconds) for step in trial[1:]), default=0.0)
        batches = max(2, int(0.4 * left / (step + learn.dls.train.bs / decoded_per_second)))
        with _on_few_pictures(learn, batches):
            steps = _timed_fit(learn, left, _FEWEST)
    return summed(steps, counter.flops)


def measure_validation(learn: Learner, seconds: float) -> tuple[Stage, ...]:
    """Validation for some time, then once more: the stages of the first pass and of a later one; none without pictures."""
    if not len(learn.dls.valid):
        return ()
    passes = []
    # Metrics may need more than some batches, and nobody asked for them.
    with _mock_training(learn), learn.removed_cbs(learn.recorder):
        for name in ("validation, first pass", "validation"):
            passing = _Passing(learn.runtime.device, seconds / 2)
            learn.validate(cbs=passing)
            if batches := passing.batches():
                passes.append(Stage.of(name, batches))
    return tuple(passes)


@contextmanager
def _mock_training(learn: Learner) -> Iterator[None]:
    """A block in which training leaves no trace, neither in the learner nor on the screen."""
    away = [cb for cb in learn.cbs if cb.remove_on_fetch]
    with as_it_was(learn), learn.recorder.unrecorded(), learn.removed_cbs(away), learn.no_logging():
        yield


@contextmanager
def _on_few_pictures(learn: Learner, batches: int) -> Iterator[None]:
    """Training on the pictures of so many batches within a block; on all of a loader of the user's own, which is not cut."""
    whole, train = learn.dls, learn.dls.train
    if isinstance(train, Loader) and batches < len(train):
        rows = np.unique(train.order(train.epoch)[: batches * train.bs])
        learn.dls = copy.copy(whole)
        learn.dls.loaders = [train.new(part=train.part.only(rows), partial_n=None), *whole.loaders[1:]]
    try:
        yield
    finally:
        learn.dls = whole


def _timed_fit(learn: Learner, seconds: float, fewest: int, *more: Callback) -> list[Step]:
    clock = _Clock(learn.runtime.device)
    learn.fit(_MANY_EPOCHS, lr=_LR, cbs=[clock, _End(clock, seconds, fewest), *more])
    steps = clock.steps()
    if not steps:
        raise OptionError(
            "No step went through to its end, so there is nothing to be measured. Leave out callbacks that cancel batches, and "
            "see dls.set_aside for pictures that cannot be read."
        )
    return steps


class _Clock(Callback):
    """Notes when the parts of each training step end.

    On a GPU the marks lie in its own stream of work, so that nothing waits for what would not be waited for else.
    """

    order: ClassVar[int] = -1000

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.marks: list[Any] = []
        self._noted: list[tuple[int, list[Any], int]] = []

    def before_train(self) -> None:
        self.marks = [_mark(self.device)]

    def before_batch(self) -> None:
        self._note()

    def after_loss(self) -> None:
        self._note()

    def after_backward(self) -> None:
        self._note()

    def after_batch(self) -> None:
        self._note()

    def end_of_step(self) -> None:
        """Take in a step, unless a callback cancelled a part of it."""
        self._note()
        if len(self.marks) == len(PARTS) + 1:
            self._noted.append((self.epoch, self.marks, len(self.x)))
        self.marks = self.marks[-1:]

    def steps(self) -> list[Step]:
        """All steps so far."""
        wait_for(self.device)
        return [
            Step(epoch, tuple(_between(*pair) for pair in pairwise(marks)), pictures) for epoch, marks, pictures in self._noted
        ]

    def _note(self) -> None:
        self.marks.append(_mark(self.device))


class _End(Callback):
    """After everybody else: closes each step, and ends the fit in time."""

    order: ClassVar[int] = 1000

    def __init__(self, clock: _Clock, seconds: float, fewest: int) -> None:
        self.clock, self.seconds, self.fewest = clock, seconds, fewest
        self.until = 0.0

    def before_fit(self) -> None:
        self.until = time.perf_counter() + self.seconds

    def after_batch(self) -> None:
        self.clock.end_of_step()
        if self.learn.train_iter >= self.fewest and time.perf_counter() > self.until:
            raise CancelFitException

    def before_validate(self) -> None:
        if self.learn.train_iter == 0:
            # No batch came: none ever would.
            raise CancelFitException
        raise CancelValidException


class _Passing(Callback):
    """Notes when each batch of a pass without training is done, and ends the pass in time."""

    order: ClassVar[int] = 1000

    def __init__(self, device: torch.device, seconds: float) -> None:
        self.device, self.seconds = device, seconds
        self.until = 0.0
        self._marks: list[Any] = []
        self._pictures: list[int] = []

    def before_validate(self) -> None:
        self.until = time.perf_counter() + self.seconds
        self._marks.append(_mark(self.device))

    def after_batch(self) -> None:
        self._marks.append(_mark(self.device))
        self._pictures.append(len(self.x))
        if time.perf_counter() > self.until and self.learn.iter >= 1:
            raise CancelValidException

    def batches(self) -> list[tuple[float, int]]:
        """(seconds, pictures) of each batch but the first, which warms up, where there are others."""
        wait_for(self.device)
        times = [_between(*pair) for pair in pairwise(self._marks)]
        found = list(zip(times, self._pictures, strict=True))
        return found[1:] or found


class _CountFlops(Callback):
    """Lets PyTorch count the operations of the second step: the first may try things out.

    Attributes:
        flops: Those for one picture.
    """

    order: ClassVar[int] = -2000

    def __init__(self) -> None:
        self.flops = 0.0
        self._counter: Any = None

    def before_batch(self) -> None:
        from torch.utils.flop_counter import FlopCounterMode

        if self.learn.train_iter == 1:
            self._counter = FlopCounterMode(display=False)
            self._counter.__enter__()

    def after_batch(self) -> None:
        if self._counter is not None:
            self.flops = self._counter.get_total_flops() / len(self.x)
        self.close()

    def close(self) -> None:
        if self._counter is not None:
            self._counter.__exit__(None, None, None)
            self._counter = None


def _mark(device: torch.device) -> Any:
    if device.type == "cuda":
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(device))
        return event
    wait_for(device)
    return time.perf_counter()


def _between(start: Any, end: Any) -> float:
    """Seconds from one mark to another."""
    return end - start if isinstance(start, float) else float(start.elapsed_time(end)) / 1000
