"""A run that was broken off anywhere goes on in a new learner, and ends with the bits of a run that was not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sightline.errors import OptionError
from sightline.train.callbacks.logs import CSVLogger
from sightline.train.callbacks.trackers import EarlyStoppingCallback, SaveModelCallback
from sightline.train.events import Callback
from sightline.train.learner import Learner
from sightline.train.recorder import Recorder
from sightline.train.resuming.keeping import Checkpoint
from train.resuming.job import digest, learner, run


class _Killed(BaseException):
    """The end of a process, as far as one process can play it."""


class _KillAt(Callback):
    """Breaks off at the nth time of an event."""

    order = 99

    def __init__(self, event: str, count: int) -> None:
        self.left = count
        setattr(self, event, self._happens)

    def _happens(self) -> None:
        self.left -= 1
        if not self.left:
            raise _Killed


Job = Callable[[Learner, Path | None], str]


def goes_on_alike(make: Callable[[], Learner], job: Job, folder: Path, event: str, count: int) -> bool:
    """Whether a run that is broken off ends as one that is not; False too where it was over before."""
    unbroken = job(make(), None)
    learn = make()
    learn.add_cb(_KillAt(event, count))
    with pytest.raises(_Killed):
        job(learn, folder)
    return job(make(), folder) == unbroken


def test_keeping_a_run_changes_nothing(colour_folder: Path, tmp_path: Path) -> None:
    assert run(learner(colour_folder), tmp_path / "run") == run(learner(colour_folder), None)


@pytest.mark.parametrize(
    ("event", "count"),
    [
        ("after_step", 2), ("before_validate", 1), ("after_validate", 1), ("after_fit", 1), ("before_fit", 2),
        ("before_backward", 10), ("after_batch", 30), ("before_epoch", 3), ("after_epoch", 3), ("after_fit", 2),
    ],
)  # fmt: skip
def test_it_goes_on_where_it_was_broken_off(event: str, count: int, colour_folder: Path, tmp_path: Path) -> None:
    assert goes_on_alike(lambda: learner(colour_folder), run, tmp_path / "run", event, count)


@pytest.mark.parametrize(("event", "count"), [("after_batch", 3), ("after_batch", 17), ("before_validate", 2)])
def test_a_phase_on_stored_features_goes_on_too(event: str, count: int, colour_folder: Path, tmp_path: Path) -> None:
    def job(learn: Learner, folder: Path | None) -> str:
        return run(learn, folder, frozen="features", freeze_epochs=3)

    assert goes_on_alike(lambda: learner(colour_folder), job, tmp_path / "run", event, count)


def test_loaders_of_the_users_own_go_on_in_their_own_order(colour_folder: Path, tmp_path: Path) -> None:
    from torch.utils.data import DataLoader, TensorDataset

    from sightline import DataLoaders, SingleLabel, Vocab

    def make() -> Learner:
        learn = learner(colour_folder)
        torch.manual_seed(3)
        images, labels = torch.rand(20, 3, 32, 32), torch.arange(20) % 3
        data = TensorDataset(images, labels)
        train, valid = DataLoader(data, batch_size=4, shuffle=True), DataLoader(data, batch_size=4)
        own = DataLoaders(train, valid, target=SingleLabel(Vocab(["blue", "green", "red"])), device="cpu")
        learn.dls = own
        return learn

    assert goes_on_alike(make, run, tmp_path / "run", "after_batch", 4)


def test_what_callbacks_count_is_gone_on_with(colour_folder: Path, tmp_path: Path) -> None:
    def make(folder: Path) -> Learner:
        learn = learner(colour_folder)
        learn.path = folder
        return learn

    def job(learn: Learner, folder: Path | None) -> str:
        cbs = [CSVLogger(), SaveModelCallback(), EarlyStoppingCallback(patience=2)]
        found = run(learn, folder, epochs=3, cbs=cbs)
        # All but the time, which is the last cell.
        return found + str([line.rpartition(",")[0] for line in (learn.path / "history.csv").read_text().splitlines()])

    for number, (event, count) in enumerate([("after_epoch", 3), ("before_validate", 4), ("after_fit", 2)]):
        folder = tmp_path / str(number)
        assert goes_on_alike(lambda folder=folder: make(folder), job, folder / "run", event, count)


def test_metrics_of_training_are_those_of_whole_epochs(colour_folder: Path, tmp_path: Path) -> None:
    def make() -> Learner:
        return learner(colour_folder, cbs=[Recorder(train_metrics=True)])

    assert goes_on_alike(make, run, tmp_path / "run", "after_batch", 13)


def test_several_fits_are_one_run(colour_folder: Path, tmp_path: Path) -> None:
    def job(learn: Learner, folder: Path | None) -> str:
        if folder is None:
            learn.fit(1, 1e-3)
            learn.fit_flat_cos(2, 1e-3)
            return digest(learn)
        with learn.resumable(Checkpoint(folder, None, 1)):
            learn.fit(1, 1e-3)
            learn.fit_flat_cos(2, 1e-3)
        return digest(learn)

    assert goes_on_alike(lambda: learner(colour_folder), job, tmp_path / "run", "before_step", 5)


def test_a_finished_run_is_there_at_once(colour_folder: Path, tmp_path: Path) -> None:
    first = run(learner(colour_folder), tmp_path / "run")
    learn = learner(colour_folder)
    learn.add_cb(Callback(before_batch=lambda cb: pytest.fail("something was trained")))
    assert run(learn, tmp_path / "run") == first


def test_other_callbacks_that_remember_something_are_another_run(colour_folder: Path, tmp_path: Path) -> None:
    run(learner(colour_folder), tmp_path / "run")
    with pytest.raises(OptionError, match=r"callbacks 'ema' and 'gradient_accumulation', and here are .*'csv_logger'"):
        run(learner(colour_folder, cbs=[CSVLogger()]), tmp_path / "run")


@pytest.mark.parametrize(
    ("options", "arguments", "words"),
    [
        ({"bs": 6}, {}, "batch size: 5 there, 6 now"),
        ({}, {"epochs": 4}, "fine_tune"),
        ({"valid_pct": 0.3, "seed": 5}, {}, "files, labels and split"),
    ],
)
def test_another_run_is_refused_by_what_differs(
    options: dict[str, Any], arguments: dict[str, Any], words: str, colour_folder: Path, tmp_path: Path
) -> None:
    run(learner(colour_folder), tmp_path / "run")
    with pytest.raises(OptionError, match=words):
        run(learner(colour_folder, **options), tmp_path / "run", **arguments)


def test_patience_begins_anew_with_a_phase(colour_folder: Path, tmp_path: Path) -> None:
    def job(learn: Learner, folder: Path | None) -> str:
        return run(learn, folder, epochs=4, freeze_epochs=2, cbs=[EarlyStoppingCallback(patience=2, min_delta=1)])

    for number, (event, count) in enumerate([("before_fit", 2), ("after_epoch", 3)]):
        assert goes_on_alike(lambda: learner(colour_folder), job, tmp_path / str(number), event, count)


def fits(learn: Learner, folder: Path, *epochs: int, lr: float = 1e-3, stop: int = 0) -> None:
    cbs = [_KillAt("before_batch", stop)] if stop else []
    with learn.no_bar(), learn.no_logging(), learn.resumable(Checkpoint(folder, None, 1)):
        for number in epochs:
            learn.fit(number, lr, cbs=cbs)


@pytest.mark.parametrize(
    ("epochs", "lr", "words"),
    [((1,), 1e-3, "end before that"), ((1, 1), 1e-3, "was asked for otherwise"), ((1, 2), 1e-5, "was asked for otherwise")],
)
def test_fits_that_are_other_ones_are_refused(
    epochs: tuple[int, ...], lr: float, words: str, colour_folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(_Killed):
        fits(learner(colour_folder), tmp_path / "run", 1, 2, stop=14)
    with pytest.raises(OptionError, match=words):
        fits(learner(colour_folder), tmp_path / "run", *epochs, lr=lr)


def test_a_folder_stays_the_same_wherever_the_process_goes(
    colour_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    run(learner(colour_folder, cbs=[Callback(before_fit=lambda cb: monkeypatch.chdir(tmp_path / "elsewhere"))]), Path("run"))
    assert not (tmp_path / "elsewhere" / "run").exists()
