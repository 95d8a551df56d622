"""Keeping: what the loop tells as it goes, so that a run is kept and can be gone on with; `Checkpoint`: where, how often."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from sightline.atomic import remove_partials
from sightline.data.loading.batch import Batch
from sightline.errors import OptionError, SightlineError, SightlineWarning, TensorFileError, TrainingError
from sightline.locking import locked
from sightline.train.callbacks.core import PerRun
from sightline.train.progress import say
from sightline.train.resuming.folder import CheckpointFolder
from sightline.train.resuming.position import Place, Position
from sightline.train.resuming.randomness import set_generators, state_of_generators
from sightline.train.resuming.signals import Stop, stop_signals
from sightline.train.resuming.state import Moment, RunState, job_of, signature_of

if TYPE_CHECKING:
    from sightline.data.loading.any_loader import AnyLoader
    from sightline.train.learner import Learner

Batches = Iterator[tuple[int, Batch]]


@dataclass(frozen=True)
class Checkpoint:
    """Where a run is kept, and how often.

    It is kept at the end of every phase and when it is asked to stop (Ctrl-C, SIGTERM) too. The network, the optimizer, the
    record, generators of random numbers and callbacks are copied between two steps, and written by a thread while training
    goes on.

    Attributes:
        folder: Holds the two newest checkpoints; made where it is missing.
        every_minutes: Keep the run this often; None goes by steps alone.
        every_steps: Keep it after so many training steps; None goes by time alone.
    """

    folder: str | Path
    every_minutes: float | None = 2.0
    every_steps: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.folder, str | Path) or not str(self.folder):
            raise OptionError(f"A checkpoint in {self.folder!r}: expected the name of a folder, such as 'runs/pets'.")
        minutes, steps = self.every_minutes, self.every_steps
        if minutes is not None and not (isinstance(minutes, int | float) and minutes >= 0):
            raise OptionError(f"every_minutes={self.every_minutes!r}: expected minutes, 0 or more, or None.")
        if steps is not None and (type(steps) is not int or steps < 1):
            raise OptionError(f"every_steps={self.every_steps!r}: expected a whole number of steps, at least 1, or None.")


class Unkept:
    """What the loop asks and tells where no run is kept: everything is done, from its beginning."""

    def is_done(self, learn: Learner) -> bool:
        """Whether the fit that is asked for was done before this process began; the learner is as after it then."""
        return False

    def begins_fit(self, learn: Learner) -> None:
        """A fit begins: its callbacks are there, and none has seen an event."""

    def first_epoch(self) -> int:
        """The first epoch of this fit that is not done."""
        return 0

    def begins_epoch(self, learn: Learner) -> None:
        """An epoch begins."""

    def is_trained(self, learn: Learner) -> bool:
        """Whether the training part of this epoch was done before this process began."""
        return False

    def batches(self, learn: Learner, dl: AnyLoader) -> Batches:
        """The batches of a pass that are not done, with their numbers."""
        return enumerate(dl)

    def ends_batch(self, learn: Learner) -> None:
        """A batch of training or validation is done."""

    def ends_training(self, learn: Learner) -> None:
        """The training part of an epoch is done."""

    def ends_fit(self, learn: Learner) -> None:
        """A fit is done, and its callbacks have seen its end."""

    def leaves_fit(self, learn: Learner) -> None:
        """A fit ends, well or not: the trained weights are in place, and gradients still there."""


class Keeping(Unkept):
    """A run that is kept in a folder."""

    def __init__(self, how: Checkpoint, job: Mapping[str, Any], stop: Stop) -> None:
        """Nothing is read or written yet."""
        self.how, self.job, self.stop = how, job, stop
        self.folder = CheckpointFolder(Path(how.folder))
        self.goal: RunState | None = None
        self._number = self._fits = self._first = self._steps = 0
        self._moment: Moment | None = None
        self._pass_generators: dict[str, Any] | None = None
        self._stopping = False
        self._signature = ""
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sightline-checkpoint")
        self._writing: Future[None] | None = None
        self._kept_at = time.monotonic()

    # ---------------------------------------------------------------- going on

    def find(self, learn: Learner) -> Position | None:
        """Look for what the run goes on from; returns where that is, None where there is nothing.

        Raises:
            OptionError: It is another run's.
            TrainingError: There are checkpoints, and all of them are damaged.
        """
        remove_partials(self.folder.path)
        found = self.folder.newest(RunState.read, lambda words: warnings.warn(words, SightlineWarning, stacklevel=5))
        if found is None:
            return None
        self._number, self.goal = found
        self.goal.check(self.job)
        self.folder.remove_after(self._number)
        return self.goal.position

    def is_done(self, learn: Learner) -> bool:
        number, goal = self._fits, self.goal
        if goal is None or number >= goal.position.fit:
            return False
        self._fits += 1
        if self._fits == goal.position.fit and goal.position.begins_fit:
            self._put_back(learn)
            for cb in learn.cbs:
                if isinstance(cb, PerRun):
                    # The fit that it was in has ended: the next one is another of the same run.
                    cb.of_run, cb.resumed = learn.run, False
        return True

    def begins_fit(self, learn: Learner) -> None:
        self._signature = signature_of(learn)
        if self.goal is not None:
            self.goal.prepare(learn)
        self._first = learn.epochs_done

    def first_epoch(self) -> int:
        return 0 if self.goal is None else self.goal.position.epoch

    def begins_epoch(self, learn: Learner) -> None:
        self._moment = None
        if self._goes_on_at("epoch"):
            self._put_back(learn)
        elif self.goal is None and learn.epoch > 0:
            self._keep_if_due(learn, Position(self._fits, learn.epoch))

    def is_trained(self, learn: Learner) -> bool:
        if not self._goes_on_at("validation"):
            return False
        self._put_back(learn)
        return True

    def batches(self, learn: Learner, dl: AnyLoader) -> Batches:
        if not learn.training:
            return enumerate(dl)
        if self.goal is None:
            self._pass_generators = state_of_generators()
            return enumerate(dl)
        position, began = self.goal.position, self.goal.rest["pass_generators"]
        # A loader of the user's own may draw the order of its pass from the global generators as it begins.
        set_generators(began)
        self._pass_generators = began
        rest = dl.starting_at(position.batches, position.gone_through)
        self._put_back(learn)
        return enumerate(rest, position.batches)

    def _goes_on_at(self, place: Place) -> bool:
        return self.goal is not None and self.goal.position.place == place

    def _put_back(self, learn: Learner) -> None:
        if self.goal is not None:
            try:
                self.goal.put_back(learn)
            except SightlineError:
                raise
            except (TypeError, LookupError, AttributeError, RuntimeError, ValueError) as error:
                raise TrainingError(
                    f"The newest checkpoint in {self.folder.path} does not fit this run: {error}. Delete it to go on from the "
                    "one before, or delete the folder to begin from the start."
                ) from error
        self._arrived()

    def _arrived(self) -> None:
        self.goal = None
        self._kept_at = time.monotonic()

    # ---------------------------------------------------------------- keeping

    def ends_batch(self, learn: Learner) -> None:
        if self._writing is not None and self._writing.done():
            self._wait()
        if learn.training:
            self._steps += 1
            done = learn.iter + 1
            self._keep_if_due(learn, Position(self._fits, learn.epoch, "batch", done, learn.dl.gone_through(done)))
        elif self.stop.asked is not None and self._moment is not None:
            # Callbacks may have put other weights in the trained ones' place: it is kept when they have left.
            self._stopping = True
            self._leave()

    def ends_training(self, learn: Learner) -> None:
        self._moment = Moment.of(learn, Position(self._fits, learn.epoch, "validation"), self._pass_generators)

    def leaves_fit(self, learn: Learner) -> None:
        if self._stopping and self._moment is not None and _can_go_on_from(learn, self._moment.position):
            self._keep(learn, self._moment)
        self._moment = None

    def ends_fit(self, learn: Learner) -> None:
        self._fits += 1
        self._keep(learn, Moment.of(learn, Position(self._fits)))
        if self.stop.asked is not None:
            self._leave()

    def check_arrived(self) -> None:
        """Make sure that the fits of the block came as far as the run that was kept.

        Raises:
            OptionError: They did not.
        """
        if self.goal is not None:
            raise OptionError(
                f"The run in {self.folder.path} was kept at {self.goal.position}, and the fits asked for now end before that, "
                "so the network is untrained. Ask for the same fits, or name another folder."
            )

    def finish(self) -> None:
        """Wait for what is being written.

        Raises:
            TrainingError: It could not be written.
        """
        try:
            self._wait()
        finally:
            self._writer.shutdown()

    def _keep_if_due(self, learn: Learner, position: Position) -> None:
        if (self.stop.asked is not None or self._is_due) and _can_go_on_from(learn, position):
            self._keep(learn, Moment.of(learn, position, self._pass_generators))
        if self.stop.asked is not None:
            self._leave()

    @property
    def _is_due(self) -> bool:
        every = self.how.every_steps
        if every is not None and self._steps >= every:
            return True
        minutes = self.how.every_minutes
        return minutes is not None and self._writing is None and time.monotonic() - self._kept_at >= 60 * minutes

    def _keep(self, learn: Learner, moment: Moment) -> None:
        """Copy the learner, and have the copy written.

        Raises:
            TrainingError: The checkpoint before could not be written.
        """
        self._wait()
        self._number += 1
        state = RunState.taken(learn, moment, self.job, self._first, self._signature)
        self._writing = self._writer.submit(state.write, self.folder, self._number)
        self._steps, self._kept_at = 0, time.monotonic()

    def _wait(self) -> None:
        writing, self._writing = self._writing, None
        if writing is None:
            return
        try:
            writing.result()
        except (OSError, TensorFileError) as error:
            before = "the checkpoint before it is whole" if self.folder.numbers() else "there is none yet"
            raise TrainingError(
                f"The run cannot be kept in {self.folder.path}: {error}. Training stopped; {before}. Make room, or see that "
                "the folder may be written to; the same call, or command, then goes on from there."
            ) from error

    def _leave(self) -> NoReturn:
        self.stop.leave(f"stopped; {self.folder.path} holds the run: the same call again goes on")


def _can_go_on_from(learn: Learner, position: Position) -> bool:
    """Whether nothing that matters is in memory alone.

    A phase on stored features is done again from its beginning, which costs one pass: they are too many to be kept each time.
    Metrics of training batches are gathered over a whole epoch.
    """
    if learn.stored is not None:
        return False
    return position.place == "epoch" or learn.recorder.keeps_within


@contextmanager
def _at_work_in(folder: Path) -> Iterator[None]:
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(folder))
        except SightlineError:
            raise
        except (OSError, ValueError) as error:
            raise TrainingError(f"The run cannot be kept in {folder}: {error}. Name a folder that you may write to.") from error
        yield


@contextmanager
def keeping(learn: Learner, how: Checkpoint | str | Path, arguments: Mapping[str, Any]) -> Iterator[None]:
    """A block in which the fits of a learner are one run, kept in a folder; if one was kept there, it is gone on with.

    Args:
        learn: A learner as it was when that run began: made by the same code, with the same seeds.
        how: Where, and how often.
        arguments: What the fits are asked to do, in plain values: a run that was asked for other things is refused.

    Raises:
        OptionError: The folder holds another run, or another process is at work in it.
        TrainingError: The run cannot be kept, or what is there is damaged.
    """
    how = how if isinstance(how, Checkpoint) else Checkpoint(how)
    folder = Path(how.folder).absolute()
    if isinstance(learn.kept, Keeping):
        raise OptionError(f"This run is kept in {learn.kept.folder.path} already. Give one folder, for the outermost call.")
    with _at_work_in(folder), stop_signals() as stop:
        learn.kept = kept = Keeping(replace(how, folder=folder), job_of(learn, arguments), stop)
        try:
            position = kept.find(learn)
            if position is not None:
                say(f"Going on from {position}, as kept in {how.folder}.")
            yield
            kept.check_arrived()
        finally:
            learn.kept = Unkept()
            kept.finish()
