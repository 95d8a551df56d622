"""`sightline predict`: the table of labels, and what happens to files that are no pictures."""

from __future__ import annotations

import csv

from cli.small import SMALL, run


def rows_of(path):
    return list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))


def test_each_picture_gets_a_row_with_its_top_labels(finished_run, folders, tmp_path, shown):
    out = tmp_path / "out.csv"
    assert run("predict", finished_run / "model.safetensors", folders / "valid", "--csv", out, "--top", 2, "--bs", 5) == 0
    rows = rows_of(out)
    assert [row["file"] for row in rows] == [str(path) for path in sorted((folders / "valid").rglob("*.png"))]
    for row in rows:
        assert row["label"] == row["top_1"] != row["top_2"]
        assert 1 >= float(row["probability_1"]) >= float(row["probability_2"]) >= 0
        assert row["error"] == ""
    assert "12 pictures in" in shown()


def test_more_labels_than_there_are_classes_are_not_made_up(finished_run, folders, tmp_path):
    out = tmp_path / "out.csv"
    run("predict", finished_run / "model.safetensors", folders / "valid", "--csv", out, "--top", 99)
    assert [name for name in rows_of(out)[0] if name.startswith("top_")] == ["top_1", "top_2", "top_3"]


def test_an_unreadable_picture_has_its_reason_in_the_table(finished_run, folders, broken, tmp_path, shown):
    out = tmp_path / "out.csv"
    assert run("predict", finished_run / "model.safetensors", broken, folders / "valid" / "red", "--csv", out) == 0
    first, *others = rows_of(out)
    assert first["file"] == str(broken)
    assert first["label"] == ""
    assert "not a picture" in first["error"]
    assert len(others) == 4
    assert "5 pictures in" in (text := shown())
    assert "1 of them unreadable" in text


def test_nothing_readable_is_an_error(finished_run, broken, shown):
    assert run("predict", finished_run / "model.safetensors", broken) == 2
    assert "ImageError: None of 1 picture could be read" in shown()


def test_without_a_file_the_first_pictures_are_shown(finished_run, folders, shown):
    assert run("predict", finished_run / "model.safetensors", folders) == 0
    text = shown()
    assert "most probable" in text
    assert "and 16 more. Write all of them with --csv" in text


def test_a_picture_named_twice_is_predicted_once(finished_run, folders, shown):
    picture = folders / "valid" / "red" / "red_0.png"
    run("predict", finished_run / "model.safetensors", picture, picture.parent, picture)
    assert "4 pictures in" in shown()


def test_numbers_are_shown_as_numbers(table, tmp_path, shown):
    options = ["--labels", table / "labels.csv", "--folder", "images", "--suffix", ".png", "--label-col", "brightness"]
    run("train", table, *SMALL, *options, "--epochs", 1, "--out", tmp_path / "run")
    out = tmp_path / "out.csv"
    assert run("predict", tmp_path / "run" / "model.safetensors", table / "images", "--csv", out) == 0
    rows = rows_of(out)
    assert list(rows[0]) == ["file", "value", "error"]
    float(rows[0]["value"])
    assert run("predict", tmp_path / "run" / "model.safetensors", table / "images") == 0
    assert "file value" in shown()


def test_what_is_missing_is_named(finished_run, folders, tmp_path, shown):
    assert run("predict", finished_run / "model.safetensors", folders / "valdi") == 2
    assert "There is no file or folder" in (text := shown())
    assert "Did you mean 'valid'" in text
    assert run("predict", tmp_path / "other.safetensors", folders) == 2
    assert "BundleError: " in shown()


def test_the_table_never_overwrites_a_picture_or_the_model(finished_run, folders, shown):
    picture = folders / "valid" / "red" / "red_0.png"
    before = picture.read_bytes()
    assert run("predict", finished_run / "model.safetensors", picture, "--csv", picture) == 2
    assert "would write over what is read" in shown()
    assert picture.read_bytes() == before


def test_a_list_that_goes_into_a_pipe_shows_whole_paths_on_lines_of_their_own(finished_run, folders, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert run("predict", finished_run / "model.safetensors", folders / "valid" / "red") == 0
    lines = capsys.readouterr().out.splitlines()
    for path in (folders / "valid" / "red").iterdir():
        assert any(str(path) in line and "red" in line for line in lines)


def test_in_thirty_two_bits_probabilities_are_the_same_to_the_last_digit_shown(finished_run, folders, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_PRECISION", "bf16")
    tables = []
    for number, options in enumerate(([], ["--fp32"], ["--fp32"])):
        out = tmp_path / f"{number}.csv"
        assert run("predict", finished_run / "model.safetensors", folders / "valid", "--csv", out, *options) == 0
        tables.append(rows_of(out))
    assert tables[0] != tables[1] == tables[2]


def test_a_backend_that_there_is_not_is_named(finished_run, folders, shown):
    assert run("predict", finished_run / "model.safetensors", folders, "--backend", "onnx") == 2
    assert "--backend 'onnx' is not one of torch, openvino" in shown()
