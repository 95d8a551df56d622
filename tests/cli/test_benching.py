"""`sightline bench`: what is shown, the file of figures, the options, and how it ends."""

from __future__ import annotations

import inspect
import json

import pytest

from cli.small import SMALL, run
from sightline.cli.bench import WITHOUT_A_RUN, bench
from sightline.cli.benching import in_words
from sightline.cli.train import train
from sightline.train.measuring.peak import Peak


@pytest.fixture(autouse=True)
def _known_peak(monkeypatch):
    monkeypatch.setattr("sightline.train.measuring.bench.measure_peak", lambda runtime, seconds: Peak(1e12, 1e10, "fp32"))


def test_it_measures_the_job_and_saves_nothing_else(folders, tmp_path, monkeypatch, shown):
    monkeypatch.chdir(tmp_path)
    assert run("bench", folders, *SMALL, "--freeze-epochs", 1, "--seconds", 0.5, "--json", "out/bench.json") == 0
    text = shown()
    assert "24 pictures in batches of 8 make 3 iterations an epoch" in text
    for word in ("decode", "gather", "augment", "forward", "backward", "optimizer", "whole step", "limits", "of the best"):
        assert word in text
    assert "the whole run, 1 of the head alone and 3 of everything, about" in text
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()] == ["out/bench.json"]
    figures = json.loads((tmp_path / "out" / "bench.json").read_text(encoding="utf-8"))
    assert figures["options"]["arch"] == "test_resnet"
    assert figures["pictures"] == {"training": 24, "validation": 12}
    assert {"torch", "timm", "sightline"} <= set(figures["versions"])
    assert 3 * figures["epoch_seconds"]["later"] < figures["run_seconds"]
    assert all(0 < stage["slowest"] <= stage["images_per_second"] <= stage["quickest"] for stage in figures["stages"])


def test_a_table_and_stored_features_are_measured_too(table, shown):
    options = ["--labels", "labels.csv", "--label-delim", " ", "--freeze-epochs", 2, "--frozen", "features", "--seconds", 0.2]
    assert run("bench", table, *SMALL, *options, "--no-cache") == 0
    text = shown()
    assert "gather" not in text
    assert "2 of the head alone" in text


def test_it_offers_the_options_of_training_but_for_the_run_folder():
    of_train, of_bench = (inspect.signature(command).parameters for command in (train, bench))
    assert set(of_bench) == set(of_train) - {*WITHOUT_A_RUN, "context", "like"} | {"seconds", "json"}
    assert all(of_bench[name].default == of_train[name].default for name in set(of_train) & set(of_bench))


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--fp32", "--bf16"], 2, "exclude each other"),
        (["--seconds", "0"], 2, "--seconds"),
        (["--secondz", "5"], 2, "--seconds"),
        (["--out", "runs/x"], 2, "--out"),
        (["--fn-col", "file"], 2, "--labels"),
        (["--arch", "resnet_of_mine"], 2, "resnet_of_mine"),
    ],
)
def test_mistakes_end_with_their_exit_code(options, code, said, folders, shown):
    assert run("bench", folders, *SMALL, *options) == code
    assert said in shown()


def test_there_must_be_pictures(tmp_path, shown):
    assert run("bench", tmp_path / "nowhere", *SMALL) == 2
    assert "nowhere" in shown()


def test_training_writes_a_trace_when_asked_to(folders, tmp_path, shown):
    out = tmp_path / "run"
    assert run("train", folders, *SMALL, "--epochs", 2, "--profile", "--out", out) == 0
    assert "Trace of 5 steps" in shown()
    assert "Open it at https://ui.perfetto.dev" in (out / "log.txt").read_text(encoding="utf-8")
    trace = json.loads((out / "trace.json").read_text(encoding="utf-8"))
    assert {"data", "forward", "backward", "step"} <= {event["name"] for event in trace["traceEvents"] if "name" in event}
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["options"]["profile"] is True


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.42, "0.4 s"), (42.4, "42 s"), (60, "1 min 0 s"), (250, "4 min 10 s"), (7500, "2 h 5 min"), (36e5, "1,000 h 0 min")],
)
def test_durations_are_said_in_words(seconds, words):
    assert in_words(seconds) == words
