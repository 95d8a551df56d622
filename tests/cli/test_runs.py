"""The run folder: what run.json says while a run goes on and however it ends."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sightline.cli.facts import refuse_used
from sightline.cli.runs import claim_folder, open_run
from sightline.errors import OptionError

OPTIONS = {"epochs": 3, "bs": 8, "label_cols": [], "workers": None}


def outcome(folder):
    return json.loads((folder / "run.json").read_text())["outcome"]


def test_the_outcome_is_told_from_begin_to_end(tmp_path):
    with open_run(tmp_path / "run", "any", OPTIONS) as run:
        assert outcome(run.path) == "running"
    assert outcome(tmp_path / "run") == "finished"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no"), "failed: ValueError: no"),
        (KeyboardInterrupt(), "stopped by Ctrl-C"),
        (SystemExit(143), "stopped by SIGTERM"),
        (SystemExit(1), "ended early: SystemExit"),
    ],
)
def test_the_outcome_is_told_when_something_stops_it(error, told, tmp_path):
    with pytest.raises(type(error)), open_run(tmp_path / "run", "any", OPTIONS):
        raise error
    assert outcome(tmp_path / "run") == told


def test_what_is_said_goes_to_the_log_too(tmp_path, capsys):
    with open_run(tmp_path / "run", "any", OPTIONS) as run:
        run.say("[bold] is no markup here", style="bold")
    assert "[bold] is no markup here" in capsys.readouterr().out
    assert (tmp_path / "run" / "log.txt").read_text() == "[bold] is no markup here\n"


def test_a_file_in_the_way_is_refused(tmp_path):
    (tmp_path / "run").write_text("a file")
    with pytest.raises(OptionError, match="holds something already"):
        claim_folder(tmp_path / "run", "any")


def test_an_empty_folder_is_taken(tmp_path):
    assert claim_folder(tmp_path, "any") == tmp_path


def test_a_name_becomes_a_folder_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert claim_folder(None, "my pets: (new)").name.startswith("my-pets-new-2")
    assert claim_folder(None, "..").name.startswith("run-2")


def fail(path):
    with open_run(path, "any", OPTIONS):
        raise ValueError("no")


def test_the_folder_of_a_run_that_failed_before_it_trained_may_be_had_again(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fail(tmp_path / "run")
    (tmp_path / "run" / "history.csv").write_text("epoch\n")
    with pytest.raises(OptionError, match="holds something already"):
        claim_folder(tmp_path / "run", "any")


def broken_off(path):
    with open_run(path, "any", OPTIONS) as run:
        run.say("first part")
        run.history_path.write_text("epoch\n")
        raise KeyboardInterrupt


def test_the_same_options_go_on_with_a_run(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path / "run")
    before = json.loads((tmp_path / "run" / "run.json").read_text())
    with open_run(tmp_path / "run", "any", OPTIONS | {"workers": 4}) as run:
        assert run.goes_on
        run.say("second part")
    after = json.loads((tmp_path / "run" / "run.json").read_text())
    assert after["began"] == before["began"]
    assert len(after["went_on"]) == 1
    assert (tmp_path / "run" / "log.txt").read_text() == "first part\nsecond part\n"


def test_other_options_are_told_with_the_way_to_go_on(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        broken_off(tmp_path / "run")
    with pytest.raises(OptionError, match=r"--epochs: 3 there, 5 now.*sightline resume"):
        refuse_used(tmp_path / "run", OPTIONS | {"epochs": 5})


def test_a_run_that_has_finished_is_not_begun_anew(tmp_path):
    with open_run(tmp_path / "run", "any", OPTIONS):
        pass
    with pytest.raises(OptionError, match="it has finished"), open_run(tmp_path / "run", "any", OPTIONS):
        pass


def test_a_second_process_is_refused_by_the_number_of_the_first(tmp_path):
    hold = "import sys, time; from pathlib import Path; from sightline.locking import locked\n"
    hold += "with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", hold, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout.readline() == "held\n"
        with pytest.raises(OptionError, match=f"in use by process {other.pid} on"), open_run(tmp_path / "run", "any", OPTIONS):
            pass
        other.kill()
        other.wait()
        # The lock of a process that is gone is none.
        with open_run(tmp_path / "run", "any", OPTIONS):
            pass
