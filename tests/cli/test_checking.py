from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from cli.small import COLOURS, SMALL, draw, run


@pytest.fixture
def faulty(folders: Path, tmp_path: Path) -> Path:
    """The three colours, with a broken file, a leak and a class that has none."""
    root = shutil.copytree(folders, tmp_path / "faulty")
    (root / "train/red/broken.png").write_bytes(b"this is no picture")
    shutil.copy(root / "train/blue/blue_0.png", root / "valid/blue/again.png")
    (root / "train/violet").mkdir()
    return root


def test_findings_are_shown_with_files_and_what_to_do_and_the_exit_code_is_0(faulty, shown):
    assert run("check", faulty, "--size", 32) == 0
    text = shown()
    assert "error No pictures in a format that is read: 1 picture. Convert them, or remove them. 'train/red/broken.png'" in text
    assert "'train/blue/blue_0.png' (train, blue) = 'valid/blue/again.png' (valid, blue)" in text
    assert "Folders without a single picture: 1." in text
    assert "38 pictures looked at" in text


def test_strict_ends_with_1_where_there_are_errors(faulty, folders):
    assert run("check", faulty, "--strict") == 1
    assert run("check", folders, "--strict") == 0


def test_json_is_all_that_is_printed(faulty, capsys):
    assert run("check", faulty, "--json", "--size", 32) == 0
    found = json.loads(capsys.readouterr().out)
    assert {finding["code"] for finding in found["findings"]} >= {"leak", "not_a_picture", "empty_folder", "tiny_class"}
    assert not found["ok"]


def test_a_csv_table_has_a_row_for_each_file(faulty, tmp_path, shown):
    out = tmp_path / "findings.csv"
    assert run("check", faulty, "--out", out) == 0
    rows = list(csv.DictReader(out.read_text(encoding="utf-8").splitlines()))
    assert [row["file"] for row in rows if row["code"] == "leak"] == ["train/blue/blue_0.png", "valid/blue/again.png"]
    assert "has a row for each file" in shown()


def test_the_csv_table_is_not_written_over_a_picture(folders):
    assert run("check", folders, "--out", folders / "train/red/red_0.png") == 2


def test_all_shows_every_file(tmp_path, shown):
    for i in range(7):
        draw(tmp_path / "data/red" / f"{i}.png", COLOURS["red"], i)
        (tmp_path / "data/red" / f"{i}.jpg").write_bytes(b"")
    assert run("check", tmp_path / "data") == 0
    assert "and 2 more" in shown()
    assert run("check", tmp_path / "data", "--all") == 0
    assert "'red/6.jpg'" in shown()


def test_a_table_of_labels_is_checked_with_missing_files_named(table, shown):
    (table / "more.csv").write_text((table / "labels.csv").read_text() + "gone,red,False,0.5\n")
    assert run("check", table, "--labels", "more.csv", "--label-delim", " ") == 0
    text = shown()
    assert "Files that do not exist: 1 picture" in text
    assert "gone.png" in text


def test_names_of_files_are_shown_and_not_obeyed(tmp_path, capsys):
    draw(tmp_path / "data/red/[bold]a.png", COLOURS["red"], 0)
    (tmp_path / "data/red/\x1b[2J\n.png").write_bytes(b"")
    assert run("check", tmp_path / "data", "--all") == 0
    out = capsys.readouterr().out
    assert r"\x1b[2J\n.png" in out
    assert "\x1b[2J" not in out
    assert run("check", tmp_path / "data", "--all") == 0


# Sets that nothing can be learned from: a sentence before training, whoever asks.


def _one_class(root: Path) -> None:
    for i in range(6):
        draw(root / "red" / f"{i}.png", COLOURS["red"], i)


def _single_picture(root: Path) -> None:
    draw(root / "red/0.png", COLOURS["red"], 0)


def _only_bad(root: Path) -> None:
    for name in COLOURS:
        for i in range(3):
            path = root / name / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"no picture")


def _empty(root: Path) -> None:
    root.mkdir()


def _empty_classes(root: Path) -> None:
    for name in COLOURS:
        (root / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("make", "checked", "words"),
    [
        (_one_class, 0, "All pictures have the same label, 'red'"),
        (_single_picture, 0, "All pictures have the same label"),
        (_only_bad, 0, "Not one of 9 pictures can be used"),
        (_empty, 2, "No pictures were found"),
        (_empty_classes, 2, "No pictures were found"),
    ],
)
def test_sets_that_nothing_can_be_learned_from_are_told(make, checked, words, tmp_path, shown):
    make(tmp_path / "data")
    assert run("check", tmp_path / "data") == checked
    assert words in shown()


@pytest.mark.parametrize("make", [_one_class, _single_picture, _only_bad, _empty, _empty_classes])
def test_training_on_such_a_set_ends_in_one_sentence_or_a_warning_before_it_begins(make, tmp_path, shown):
    make(tmp_path / "data")
    code = run("train", tmp_path / "data", *SMALL, "--epochs", 0, "--out", tmp_path / "run")
    text = shown()
    assert code in (0, 2)
    assert "Traceback" not in text
    assert "Note:" in text or "Error:" in text
