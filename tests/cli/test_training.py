"""`sightline train`: the run folder, the ways in which data comes, and what is left when it is stopped."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file

from cli.small import SMALL, run
from sightline import Predictor, Regression, SightlineError
from sightline.errors import counted


def facts_of(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_a_run_folder_holds_model_history_log_and_facts(finished_run):
    assert {path.name for path in finished_run.glob("[!.]*")} == {"model.safetensors", "history.csv", "log.txt", "run.json"}


def test_the_facts_say_what_was_done(finished_run, folders):
    facts = facts_of(finished_run)
    assert facts["outcome"] == "finished"
    assert facts["seed"] == facts["options"]["seed"] == 42
    assert facts["options"]["arch"] == "test_resnet"
    assert facts["data"]["counts"] == {"train": {"blue": 8, "green": 8, "red": 8}, "valid": {"blue": 4, "green": 4, "red": 4}}
    assert {"torch", "timm", "sightline"} <= set(facts["versions"])
    assert "24 for training, 12 for validation" in facts["plan"]
    assert facts["epochs_done"] == 2


def test_the_history_ends_with_the_final_figures(finished_run):
    rows = list(csv.DictReader((finished_run / "history.csv").read_text().splitlines()))
    final = facts_of(finished_run)["final"]
    assert len(rows) == 2
    assert float(rows[-1]["error_rate"]) == pytest.approx(final["error_rate"])
    assert float(rows[-1]["valid_loss"]) == pytest.approx(final["valid_loss"])


def test_the_log_holds_plan_table_and_result(finished_run):
    log = (finished_run / "log.txt").read_text(encoding="utf-8")
    assert "24 pictures in batches of 8 make 3 iterations an epoch" in log
    assert [line.split()[0] for line in log.splitlines() if line.endswith(("time", ":00", ":01", ":02"))][-2:] == ["0", "1"]
    assert "2 epochs in" in log
    assert "\x1b" not in log


@pytest.mark.parametrize(("options", "kept"), [([], True), (["--no-cache"], False)])
def test_pictures_are_kept_unless_it_is_said_otherwise(folders, tmp_path, options, kept):
    assert run("train", folders, *SMALL, "--epochs", "1", "--out", tmp_path / "run", *options) == 0
    assert facts_of(tmp_path / "run")["options"]["cache"] is kept
    packs = list(Path(os.environ["SIGHTLINE_CACHE"]).glob("*/*.pack"))
    assert bool(packs) is kept


def test_the_model_predicts(finished_run, folders):
    prediction = Predictor.load(finished_run / "model.safetensors").predict(folders / "valid" / "red" / "red_0.png")
    assert prediction.label in {"red", "green", "blue"}


def test_folders_without_parts_are_split_by_share_and_seed(folders, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        options = ["--valid", "0.25", "--seed", seed, "--epochs", 1]
        assert run("train", folders / "train", *SMALL, *options, "--out", tmp_path / name) == 0
        data = facts_of(tmp_path / name)["data"]
        # Each picture is drawn by itself: of 24 pictures 6 validate, give or take 2.
        assert data["training"] + data["validation"] == 24
        assert 2 <= data["validation"] <= 12
    first, again, other = (facts_of(tmp_path / name)["final"]["train_loss"] for name in "abc")
    assert first == again != other


def test_a_share_overrules_the_folders(folders, tmp_path):
    assert run("train", folders, *SMALL, "--valid", "0.5", "--epochs", 0, "--out", tmp_path / "run") == 0
    data = facts_of(tmp_path / "run")["data"]
    assert data["training"] + data["validation"] == 36
    assert 12 < data["validation"] <= 27


def test_a_third_part_is_told_of_at_the_end_alone(folders, tmp_path, shown):
    options = ["--test", "0.2", "--folds", "3", "--fold", "1", "--epochs", 1]
    assert run("train", folders / "train", *SMALL, *options, "--out", tmp_path / "run") == 0
    facts = facts_of(tmp_path / "run")
    assert list(facts["final"]) == ["train_loss", "valid_loss", "error_rate", "test_loss", "test_error_rate"]
    assert facts["data"]["training"] + facts["data"]["validation"] < 24
    assert "test_error_rate" in shown()


def test_a_run_is_done_again_like_another(folders, finished_run, tmp_path, shown):
    assert run("train", "--like", finished_run, "--out", tmp_path / "again") == 0
    assert facts_of(tmp_path / "again")["final"] == facts_of(finished_run)["final"]
    assert "not what it was" not in shown()
    assert run("train", folders / "train", "--like", finished_run, "--valid", "0.3", "--out", tmp_path / "other") == 0
    assert "The data is not what it was in" in shown()


def test_a_finished_run_is_left_alone(finished_run, shown):
    before = {path.name: path.read_bytes() for path in finished_run.iterdir()}
    assert run("resume", finished_run) == 0
    assert "has finished" in shown()
    assert {path.name: path.read_bytes() for path in finished_run.iterdir()} == before


def test_a_folder_without_a_run_cannot_be_gone_on_with(tmp_path, shown):
    assert run("resume", tmp_path) == 2
    assert "holds no run" in shown()


def test_the_head_trains_from_stored_features_where_asked(folders, tmp_path, shown):
    options = ["--epochs", 1, "--freeze-epochs", 3, "--frozen", "features"]
    assert run("train", folders, *SMALL, *options, "--out", tmp_path / "run") == 0
    assert "the head, from stored features: 3 epochs" in shown()
    facts = facts_of(tmp_path / "run")
    assert facts["options"]["frozen"] == "features"
    assert facts["epochs_done"] == 4
    assert Predictor.load(tmp_path / "run" / "model.safetensors").predict(folders / "valid" / "red" / "red_0.png").label


def test_a_table_gives_several_labels(table, tmp_path, shown):
    options = ["--labels", "labels.csv", "--folder", "images", "--suffix", ".png", "--label-delim", " ", "--epochs", 1]
    assert run("train", table, *SMALL, *options, "--out", tmp_path / "run") == 0
    text = shown()
    assert "18 for training, 6 for validation" in text
    assert "binary cross-entropy" in text
    assert "accuracy_multi" in text


def test_folder_and_ending_of_a_tables_files_are_found(table, tmp_path, shown):
    options = ["--labels", "labels.csv", "--label-delim", " ", "--epochs", 0]
    assert run("train", table, *SMALL, *options, "--out", tmp_path / "run") == 0
    text = shown()
    assert f"Note: The table's file names are taken to lie in {table / 'images'}, with .png at their end: '000' does." in text
    assert "18 for training, 6 for validation" in text


def test_files_that_could_be_meant_twice_are_not_guessed(table, tmp_path, shown):
    copy = copytree(table, tmp_path / "copy")
    copytree(copy / "images", copy / "thumbnails")
    options = ["--labels", "labels.csv", "--label-delim", " "]
    assert run("train", copy, *SMALL, *options, "--out", tmp_path / "run") == 2
    assert "24 files of 24 do not exist" in shown()


def test_a_table_of_fractions_gives_numbers(table, tmp_path, shown):
    options = ["--labels", table / "labels.csv", "--folder", "images", "--suffix", ".png", "--label-col", "brightness"]
    assert run("train", table, *SMALL, *options, "--epochs", 1, "--out", tmp_path / "run") == 0
    assert "mean squared error" in shown()
    assert isinstance(Predictor.load(tmp_path / "run" / "model.safetensors").target, Regression)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--labels", "label.csv"], "TableError: There is no table label.csv"),
        (["--label-col", "colours"], "OptionError: There is no table that '--label-col' could tell how to read"),
        (["--arch", "resnet43"], "ArchitectureError: There is no architecture called 'resnet43'. Did you mean 'resnet34'"),
        (["--weights", "my.pth", "--pretrained"], "WeightsError: weights='my.pth': there is no such file"),
        (["--device", "abacus"], "OptionError: --device 'abacus'"),
    ],
)
def test_a_name_that_is_wrong_is_told_before_there_is_a_run(options, words, table, tmp_path, shown):
    assert run("train", table, *SMALL, *options, "--out", tmp_path / "run") == 2
    assert words in shown()
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--labels", "labels.csv", "--label-col", "colour"], "TableError: There is no column 'colour'"),
        (["--labels", "labels.csv", "--folder", "image"], "TableError: 24 files of 24 do not exist"),
        (["--device", "cuda:99"], "OptionError: --device 'cuda:99'"),
    ],
)
def test_what_cannot_be_done_is_said_before_training(options, words, table, tmp_path, shown):
    data = table / "images" if options[0] == "--device" else table
    if data != table:
        options = [*options, "--labels", table / "labels.csv", "--suffix", ".png", "--label-delim", " "]
    assert run("train", data, *SMALL, *options, "--out", tmp_path / "run") == 2
    text = shown()
    assert words in text
    assert facts_of(tmp_path / "run")["outcome"].startswith("failed: ")


def test_a_folder_that_holds_something_is_refused(folders, finished_run, shown):
    before = {path.name: path.read_bytes() for path in finished_run.iterdir()}
    assert run("train", folders, *SMALL, "--out", finished_run) == 2
    assert "holds a run with other options" in shown()
    assert {path.name: path.read_bytes() for path in finished_run.iterdir()} == before


def test_without_out_a_run_gets_a_folder_of_its_own(folders, tmp_path, monkeypatch, shown):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        assert run("train", folders, *SMALL, "--epochs", 0) == 0
    made = sorted(path.name for path in (tmp_path / "runs").iterdir())
    assert len(made) == 2
    assert all(name.startswith("colours-") for name in made)


def test_published_weights_that_cannot_be_had_name_the_ways_out(folders, tmp_path, monkeypatch, shown):
    # No address answers on this port, so the download fails at once, here as on a machine without a network.
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    assert run("train", folders, "--arch", "resnet18", "--size", "32", "--out", tmp_path / "run") == 2
    text = shown()
    assert "WeightsError" in text
    assert "--no-pretrained" in text


@pytest.mark.slow
def test_ctrl_c_leaves_the_last_whole_epoch(folders, tmp_path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "sightline", "train", folders, *SMALL, "--epochs", "5000", "--out", out]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    deadline = time.monotonic() + 240
    while not (out / "model.safetensors").exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=60)
    assert process.returncode == 130, shown
    facts = facts_of(out)
    rows = (out / "history.csv").read_text().splitlines()
    assert facts["outcome"] == "stopped by Ctrl-C"
    assert len(rows) - 1 >= 1
    assert f"Stopped; model.safetensors is that of the {counted(len(rows) - 1, 'whole epoch')} before it. To go on" in shown
    assert f"sightline resume {out}" in shown
    assert Predictor.load(out / "model.safetensors").vocab == ["blue", "green", "red"]


def test_an_error_in_training_leaves_the_last_whole_epoch(folders, tmp_path, monkeypatch, shown):
    from sightline.train.learner import Learner

    original = Learner.export

    def fails_the_second_time(self, fname):
        if self.epochs_done:
            raise SightlineError("the disk is full")
        return original(self, fname)

    monkeypatch.setattr(Learner, "export", fails_the_second_time)
    assert run("train", folders, *SMALL, "--epochs", 3, "--out", tmp_path / "run") == 2
    assert facts_of(tmp_path / "run")["outcome"] == "failed: SightlineError: the disk is full"
    assert Predictor.load(tmp_path / "run" / "model.safetensors").vocab == ["blue", "green", "red"]


def test_labels_side_by_side_are_noticed(table, tmp_path, shown):
    run("train", table, "--labels", "labels.csv", *SMALL, "--epochs", 0, "--out", tmp_path / "run")
    assert "are several labels side by side" in (text := shown())
    assert "pass --label-delim ' '" in text


def test_a_few_wrong_names_at_the_top_of_a_table_are_the_only_ones_told(table, tmp_path, shown):
    lines = (table / "labels.csv").read_text().splitlines()
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("\n".join([lines[0], *(f"x{line}" for line in lines[1:3]), *lines[3:]]) + "\n")
    assert run("train", table, "--labels", wrong, "--label-delim", " ", *SMALL, "--out", tmp_path / "run") == 2
    assert "2 files of 24 do not exist" in shown()


def test_evaluating_everything_says_what_that_means(finished_run, folders, shown):
    assert run("evaluate", finished_run / "model.safetensors", folders / "valid") == 0
    assert "figures flatter a model that was trained on some of these pictures" in shown()
    assert run("evaluate", finished_run / "model.safetensors", folders) == 0
    assert "flatter" not in shown()


def test_a_run_on_relative_paths_is_gone_on_with_from_anywhere(table, tmp_path, monkeypatch, shown):
    from sightline.train.learner import Learner

    monkeypatch.chdir(table.parent)
    labels = Path(table.name, "labels.csv")
    of_table = ["--labels", labels, "--folder", "images", "--suffix", ".png", "--label-delim", " "]
    options = [*of_table, *SMALL, "--epochs", 2, "--out", tmp_path / "run"]
    export = Learner.export

    def stops(self, fname):
        if self.epochs_done:
            raise KeyboardInterrupt
        return export(self, fname)

    with monkeypatch.context() as patched:
        patched.setattr(Learner, "export", stops)
        assert run("train", table.name, *options) == 130
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert run("resume", tmp_path / "run") == 0
    assert facts_of(tmp_path / "run")["outcome"] == "finished"
    assert facts_of(tmp_path / "run")["options"]["data"] == table.name
    assert "Going on from" in shown()
    # It was stopped while it exported, and ends as one that was not.
    monkeypatch.chdir(table.parent)
    assert run("train", table.name, *options[:-1], tmp_path / "unbroken") == 0
    ended, unbroken = (load_file(tmp_path / name / "model.safetensors") for name in ("run", "unbroken"))
    assert all(torch.equal(tensor, unbroken[name]) for name, tensor in ended.items())


def test_figures_that_are_no_numbers_leave_a_run_that_can_be_read(tmp_path):
    from sightline.cli.facts import facts_of as read_facts
    from sightline.cli.runs import open_run

    with open_run(tmp_path / "run", "any", {"epochs": 3}) as opened:
        opened.note(final={"valid_loss": float("inf"), "metrics": [float("nan")]})
    assert read_facts(tmp_path / "run")["final"] == {"valid_loss": None, "metrics": [None]}


def test_folders_that_are_not_taken_for_parts_are_told(folders, tmp_path, shown):
    assert run("train", folders, *SMALL, "--test", "0.2", "--epochs", 0, "--out", tmp_path / "run") == 0
    assert "are not taken for parts" in shown()
