"""`sightline evaluate`: its figures are those of training and of a count by hand; strangers among the labels are refused."""

from __future__ import annotations

import csv
import json
import shutil

import pytest

from cli.small import SMALL, draw, run


def figures_in(text):
    words = text.split()
    return {
        name: float(words[words.index(name) + 1]) for name in ("loss", "error_rate", "accuracy_multi", "rmse") if name in words
    }


def test_the_validation_part_gives_the_figures_of_training(finished_run, folders, shown):
    assert run("evaluate", finished_run / "model.safetensors", folders) == 0
    text = shown()
    final = json.loads((finished_run / "run.json").read_text())["final"]
    assert "12 pictures in" in text
    assert figures_in(text) == pytest.approx({"loss": final["valid_loss"], "error_rate": final["error_rate"]}, abs=1e-5)


def test_all_pictures_are_used_when_asked_for(finished_run, folders, shown):
    assert run("evaluate", finished_run / "model.safetensors", folders, "--all") == 0
    assert "36 pictures" in shown()


def test_the_table_by_class_agrees_with_a_count_of_predictions(finished_run, folders, tmp_path, shown):
    run("predict", finished_run / "model.safetensors", folders / "valid", "--csv", tmp_path / "out.csv")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    shown()
    assert run("evaluate", finished_run / "model.safetensors", folders) == 0
    words = shown().split()
    for name in ("blue", "green", "red"):
        said = sum(row["label"] == name for row in rows)
        right = sum(row["label"] == name and f"/{name}/" in row["file"] for row in rows)
        place = words.index(name)
        assert words[place + 1 : place + 5] == ["4", str(said), str(right), f"{right / 4:.4f}"]


def test_labels_that_the_model_does_not_know_are_listed(finished_run, folders, tmp_path, shown):
    copy = shutil.copytree(folders, tmp_path / "copy")
    draw(copy / "valid" / "reed" / "1.png", (200, 40, 40), seed=1)
    draw(copy / "valid" / "violet" / "2.png", (200, 40, 200), seed=2)
    assert run("evaluate", finished_run / "model.safetensors", copy) == 2
    text = shown()
    assert (
        "LabelError: 2 pictures have labels that the model does not know: 'reed' x1 (first: 'reed/1.png'), 'violet' x1" in text
    )
    assert "Expected one of its 3 names: 'blue', 'green' and 'red'; closest: 'red'" in text


def test_unreadable_pictures_are_counted(finished_run, folders, broken, tmp_path, shown):
    copy = shutil.copytree(folders, tmp_path / "copy")
    shutil.copy(broken, copy / "valid" / "red" / "broken.png")
    assert run("evaluate", finished_run / "model.safetensors", copy) == 0
    text = shown()
    assert "Note: " in text
    assert "12 pictures in" in text
    assert "1 unreadable one left out" in text


@pytest.mark.parametrize(
    ("columns", "figure"), [(["--label-delim", " "], "accuracy_multi"), (["--label-col", "brightness"], "rmse")]
)
def test_tables_are_evaluated_as_they_were_trained(columns, figure, table, tmp_path, shown):
    options = ["--labels", "labels.csv", "--folder", "images", "--suffix", ".png", *columns]
    assert run("train", table, *SMALL, *options, "--epochs", 1, "--out", tmp_path / "run") == 0
    final = json.loads((tmp_path / "run" / "run.json").read_text())["final"]
    shown()
    assert run("evaluate", tmp_path / "run" / "model.safetensors", table, *options) == 0
    text = shown()
    assert "6 pictures of labels.csv where is_valid is true" in text
    found = figures_in(text)
    assert found["loss"] == pytest.approx(final["valid_loss"], abs=1e-5)
    assert found[figure] == pytest.approx(next(v for k, v in final.items() if figure in k), abs=1e-5)


def test_a_forgotten_delimiter_is_pointed_out(table, tmp_path, shown):
    options = ["--labels", "labels.csv", "--folder", "images", "--suffix", ".png"]
    assert run("train", table, *SMALL, *options, "--label-delim", " ", "--epochs", 0, "--out", tmp_path / "run") == 0
    assert run("evaluate", tmp_path / "run" / "model.safetensors", table, *options, "--all") == 2
    assert "pass --label-delim ' '" in shown()
