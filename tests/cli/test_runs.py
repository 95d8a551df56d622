"""The run folder: what run.json says while a run goes on and however it ends."""

from __future__ import annotations

import json

import pytest

from sightline.cli.runs import claim_folder, open_run
from sightline.errors import OptionError


def outcome(folder):
    return json.loads((folder / "run.json").read_text())["outcome"]


def test_the_outcome_is_told_from_begin_to_end(tmp_path):
    with open_run(tmp_path / "run", "any") as run:
        assert outcome(run.path) == "running"
    assert outcome(tmp_path / "run") == "finished"


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ValueError("no"), "failed: ValueError: no"),
        (KeyboardInterrupt(), "stopped by Ctrl-C"),
        (SystemExit(1), "ended early: SystemExit"),
    ],
)
def test_the_outcome_is_told_when_something_stops_it(error, told, tmp_path):
    with pytest.raises(type(error)), open_run(tmp_path / "run", "any"):
        raise error
    assert outcome(tmp_path / "run") == told


def test_what_is_said_goes_to_the_log_too(tmp_path, capsys):
    with open_run(tmp_path / "run", "any") as run:
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
    with open_run(path, "any"):
        raise ValueError("no")


def test_the_folder_of_a_run_that_failed_before_it_trained_may_be_had_again(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="no"):
            fail(tmp_path / "run")
    (tmp_path / "run" / "history.csv").write_text("epoch\n")
    with pytest.raises(OptionError, match="holds something already"):
        claim_folder(tmp_path / "run", "any")


def test_the_folder_of_a_run_that_goes_on_is_refused(tmp_path):
    with open_run(tmp_path / "run", "any"), pytest.raises(OptionError, match="holds something already"):
        claim_folder(tmp_path / "run", "any")
