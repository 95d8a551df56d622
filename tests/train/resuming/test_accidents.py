"""What may happen to a run that is kept: it is killed, asked to stop, its disk is full, its checkpoints are damaged."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import sightline
from sightline.errors import OptionError, SightlineWarning, TrainingError
from sightline.train.events import Callback
from sightline.train.resuming.folder import CheckpointFolder, text_in
from sightline.train.resuming.keeping import Checkpoint
from train.resuming.job import learner, run

EPOCHS = 30


def start(data: Path, folder: Path) -> subprocess.Popen[str]:
    paths = [str(Path(sightline.__file__).parents[1]), str(Path(__file__).parents[2])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "train.resuming.job", str(data), str(folder), "3", str(EPOCHS)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=environment, start_new_session=True, **streams)  # type: ignore[call-overload, no-any-return]


def wait_for_checkpoint(folder: Path, process: subprocess.Popen[str], number: int) -> None:
    while process.poll() is None and max(CheckpointFolder(folder).numbers(), default=0) < number:
        pass
    assert process.poll() is None, process.communicate()


@pytest.mark.slow
@pytest.mark.processes
def test_a_run_that_is_killed_and_stopped_and_killed_ends_as_one_that_is_not(colour_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    wanted = run(learner(colour_folder), None, epochs=EPOCHS)
    for number, (how, code, said) in enumerate(
        [
            (signal.SIGKILL, -signal.SIGKILL, ""),
            (signal.SIGTERM, 143, "Stopping after this step."),
            (signal.SIGINT, -signal.SIGINT, "the same call again goes on"),
            (signal.SIGKILL, -signal.SIGKILL, ""),
        ]
    ):
        process = start(colour_folder, folder)
        wait_for_checkpoint(folder, process, 4 + 6 * number)
        os.killpg(process.pid, how)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == code, errors
        assert said in errors
    shown, errors = start(colour_folder, folder).communicate(timeout=120)
    assert "Going on from phase" in shown, errors
    assert shown.splitlines()[-1] == wanted
    assert not list(folder.glob("*.part")) + list(folder.glob(".*.part"))


@pytest.fixture
def kept(colour_folder: Path, tmp_path: Path) -> Path:
    """The folder of a run that was broken off with two checkpoints."""

    def stop(cb: Callback) -> None:
        if cb.learn.train_iter == 5 and cb.learn.phase_name == "all":
            raise KeyboardInterrupt

    learn = learner(colour_folder, cbs=[Callback(before_batch=stop)])
    with pytest.raises(KeyboardInterrupt):
        run(learn, tmp_path / "run")
    assert len(CheckpointFolder(tmp_path / "run").numbers()) == 2
    return tmp_path / "run"


def newest(folder: Path) -> Path:
    return folder / f"{CheckpointFolder(folder).numbers()[0]:06d}.safetensors"


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1000])


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def unmark(file: Path) -> None:
    file.with_suffix(".json").unlink()


def nonsense(file: Path) -> None:
    file.with_suffix(".json").write_text("[" * 100_000)


@pytest.mark.parametrize("damage", [cut, flip, unmark, nonsense, Path.unlink])
def test_a_damaged_checkpoint_is_told_and_the_one_before_is_taken(damage, kept: Path, colour_folder: Path) -> None:
    damage(newest(kept))
    with pytest.warns(SightlineWarning, match=r"cannot be used .* The one before it is tried"):
        assert run(learner(colour_folder), kept) == run(learner(colour_folder), None)


def test_nothing_begins_anew_in_silence(kept: Path, colour_folder: Path) -> None:
    for file in kept.glob("*.safetensors"):
        flip(file)
    with (
        pytest.warns(SightlineWarning),
        pytest.raises(TrainingError, match=r"2 checkpoints, none of which can be used.*delete"),
    ):
        run(learner(colour_folder), kept)


def test_a_run_that_was_killed_while_it_wrote_its_first_checkpoint_begins_again(colour_folder: Path, tmp_path: Path) -> None:
    whole = run(learner(colour_folder), tmp_path / "run", every_steps=1000)
    for number in CheckpointFolder(tmp_path / "run").numbers()[:-1]:
        CheckpointFolder(tmp_path / "run").remove(number)
    unmark(tmp_path / "run" / "000001.safetensors")
    with pytest.warns(SightlineWarning, match="was not finished .* it begins from the start"):
        assert run(learner(colour_folder), tmp_path / "run") == whole


def test_a_disk_that_is_full_costs_nothing_that_was_good(kept: Path, colour_folder: Path) -> None:
    import resource

    before = CheckpointFolder(kept).numbers()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(TrainingError, match=rf"cannot be kept in {re.escape(str(kept))}.*the same call"):
            run(learner(colour_folder), kept)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
    assert CheckpointFolder(kept).numbers() == before
    assert run(learner(colour_folder), kept) == run(learner(colour_folder), None)


def test_the_two_newest_are_there_and_no_more(colour_folder: Path, tmp_path: Path) -> None:
    run(learner(colour_folder), tmp_path / "run", every_steps=1)
    there = sorted(path.name for path in (tmp_path / "run").glob("[!.]*"))
    numbers = sorted({int(name.partition(".")[0]) for name in there})
    assert numbers == [numbers[-1] - 1, numbers[-1]]
    assert len(there) == 4


def test_a_run_within_a_run_is_refused(colour_folder: Path, tmp_path: Path) -> None:
    learn = learner(colour_folder)
    with learn.resumable(tmp_path / "a"), pytest.raises(OptionError, match="is kept in"):
        learn.fine_tune(1, checkpoint=tmp_path / "b")


def test_a_search_for_a_rate_within_a_run_is_no_part_of_it(colour_folder: Path, tmp_path: Path) -> None:
    learn = learner(colour_folder)
    with learn.no_bar(), learn.resumable(Checkpoint(tmp_path / "a", None, 1)):
        learn.lr_find(num_it=6, show_plot=False)
        assert CheckpointFolder(tmp_path / "a").numbers() == []


@pytest.mark.parametrize(
    ("options", "words"), [({"every_minutes": -1}, "every_minutes=-1"), ({"every_steps": 0}, "every_steps=0")]
)
def test_wrong_intervals_are_refused(options, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        Checkpoint("run", **options)


def test_what_cannot_be_kept_is_named(colour_folder: Path, tmp_path: Path) -> None:
    class Odd(Callback):
        resumes = ("thing",)
        thing = object()

    with pytest.raises(OptionError, match=r"callbacks.*thing is a object, which cannot be kept"):
        run(learner(colour_folder, cbs=[Odd()]), tmp_path / "run")


@pytest.mark.parametrize("folder", [None, ""])
def test_a_checkpoint_needs_a_folder(folder) -> None:
    with pytest.raises(OptionError, match="expected the name of a folder"):
        Checkpoint(folder)


def test_a_place_that_is_no_folder_is_told(colour_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(TrainingError, match="cannot be kept in"):
        run(learner(colour_folder), tmp_path / "file")


@pytest.mark.parametrize(
    "change",
    [
        lambda plain: plain["position"].update(place="nowhere"),
        lambda plain: plain["position"].update(fit="a"),
        lambda plain: plain["position"].update(batches=-1),
        lambda plain: plain.update(job=None),
        lambda plain: plain.update(rest=5),
        lambda plain: plain["rest"]["dict"].pop(0),
        lambda plain: plain.update(rest={"tensor": "missing"}),
    ],
)
def test_a_checkpoint_that_says_odd_things_is_a_damaged_one(change, kept: Path, colour_folder: Path) -> None:
    folder = CheckpointFolder(kept)
    number = folder.numbers()[0]
    file = folder._read(number)
    plain = json.loads(text_in(file, "state"))
    change(plain)
    tensors = {name: tensor for name, tensor in file.tensors.items() if name not in {"state", "record"}}
    folder.write(number, tensors, {"state": json.dumps(plain), "record": text_in(file, "record")}, "anywhere")
    with pytest.warns(SightlineWarning, match="The one before it is tried"):
        assert run(learner(colour_folder), kept) == run(learner(colour_folder), None)
