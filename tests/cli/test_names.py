"""Names that would steer a terminal, forge a line of the log or be markup are shown as they are, everywhere."""

from __future__ import annotations

import csv
import json
import os
import unicodedata
from pathlib import Path

import pytest

from cli.small import SMALL, draw, run
from sightline.escaping import for_terminal

CLASSES = ["<script>alert(1)<", "[red]a$b$[", "\x1b[31mx\nNote: forged\u202e"]
FILES = ["[bold]:cat:.png", "\x1b]0;owned\x07.png", "two\nlines.png", "\u202egnp.png"]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such names")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Path:
    """Three classes in `train` and `valid`, and one file that is no picture."""
    root = tmp_path_factory.mktemp("names") / "[blue]pets\x1b[2J"
    for part in ("train", "valid"):
        for number, name in enumerate(CLASSES):
            for i, file in enumerate(FILES):
                draw(root / part / name / file, (60 * number + 40, 90, 200 - 60 * number), seed=10 * number + i)
    (root / "train" / CLASSES[2] / "broken\x1b[1A\n.png").write_bytes(b"no picture")
    return root


@pytest.fixture(scope="module")
def model(pictures, tmp_path_factory) -> Path:
    """Trained on them, in a run folder whose name is as bad."""
    out = tmp_path_factory.mktemp("runs") / "run\x1b[31m"
    assert run("train", pictures, *SMALL, "--epochs", 1, "--out", out) == 0
    return out / "model.safetensors"


def assert_plain(text: str, *, but: str = "\n") -> None:
    """Nothing in it is obeyed instead of read, and no line was made by a name."""
    assert not [c for c in text if c not in but and unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}], ascii(text)
    assert "\nNote: forged" not in text


def test_training_shows_and_logs_names_as_text(pictures, tmp_path, capsys):
    assert run("train", pictures, *SMALL, "--epochs", 1, "--out", tmp_path / "run") == 0
    out, err = capsys.readouterr()
    assert_plain(out)
    assert_plain(err)
    assert "<script>alert(1)<" in out
    assert "[red]a$b$[" in out
    assert r"broken\x1b[1A\n.png" in err
    assert_plain(log := (tmp_path / "run" / "log.txt").read_text(encoding="utf-8"))
    assert r"broken\x1b[1A\n.png" in log
    facts = (tmp_path / "run" / "run.json").read_text(encoding="utf-8")
    assert_plain(facts)
    assert json.loads(facts)["data"]["counts"]["train"] == dict.fromkeys(CLASSES, len(FILES))


def test_evaluation_shows_names_as_text(model, pictures, capsys):
    assert run("evaluate", model, pictures) == 0
    out, err = capsys.readouterr()
    assert_plain(out + err)
    for name in CLASSES:
        assert for_terminal(name) in out


def test_unknown_labels_are_told_as_text(model, pictures, tmp_path, capsys):
    draw(tmp_path / "new" / "lynx\x1b[2J\n" / "a\nNote: forged.png", (9, 9, 9), seed=1)
    assert run("evaluate", model, tmp_path / "new") == 2
    text = capsys.readouterr().err
    assert_plain(text)
    assert r"'lynx\x1b[2J\n' x1 (first: 'a\nNote: forged.png')" in text


def test_predictions_are_shown_as_text_and_written_as_they_are(model, pictures, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(pictures / "valid" / CLASSES[0])
    assert run("predict", model, *FILES) == 0
    out, err = capsys.readouterr()
    assert_plain(out + err)
    for name in FILES:
        assert for_terminal(name) in out
    assert run("predict", model, *FILES, "--csv", tmp_path / "out\x1b.csv") == 0
    assert_plain(capsys.readouterr().out)
    with (tmp_path / "out\x1b.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == FILES
    assert {row["label"] for row in rows} <= set(CLASSES)
