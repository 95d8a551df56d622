"""How the command ends: exit codes, words for typing mistakes, one message for what went wrong."""

from __future__ import annotations

import subprocess
import sys
from shutil import copytree

import pytest

from cli.small import SMALL, run
from sightline.versions import __version__


@pytest.mark.parametrize("command", [[], ["train"], ["predict"], ["evaluate"], ["demo"]])
def test_help_says_what_a_command_does(command, shown):
    assert run(*command, "--help") == 0
    assert "Usage: sightline" in shown()


@pytest.mark.parametrize("command", ["train", "predict", "evaluate"])
def test_help_gives_examples(command, shown):
    run(command, "--help")
    text = shown()
    assert "Examples" in text
    assert f"sightline {command} " in text


def test_the_version_is_shown(shown):
    assert run("--version") == 0
    assert shown() == f"sightline {__version__}"


def test_no_command_shows_the_help(shown):
    run()
    assert "train" in shown()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["train", "x", "--epohcs", "3"], "No such option: --epohcs. Did you mean '--epochs'"),
        (["train"], "Missing argument 'DATA'"),
        (["train", "x", "--epochs", "many"], "Invalid value for '--epochs'"),
        (["train", "x", "--bs", "0"], "Invalid value for '--bs'"),
        (["train", "x", "--resize", "corp"], "'crop', 'pad', 'squish'"),
        (["train", "x", "--fp32", "--bf16"], "--fp32 and --bf16 exclude each other"),
        (["train", "x", "--weights", "w.pth", "--no-pretrained"], "--weights and --no-pretrained exclude each other"),
    ],
)
def test_a_wrong_command_line_exits_with_2(arguments, words, shown):
    assert run(*arguments) == 2
    assert words in shown()


def test_an_error_is_one_message_without_a_traceback(tmp_path, shown):
    assert run("train", tmp_path / "nowhere", "--out", tmp_path / "run") == 2
    text = shown()
    assert text.startswith("NoImagesError: There is no folder")
    assert "Traceback" not in text


def test_debug_shows_where_an_error_came_from(tmp_path):
    command = [sys.executable, "-m", "sightline", "predict", tmp_path / "no.safetensors", tmp_path, "--debug"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 2
    assert "Traceback" in done.stderr
    assert "NoImagesError" in done.stderr


def test_a_warning_is_a_note_without_a_line_of_code(folders, broken, tmp_path, shown):
    copy = copytree(folders, tmp_path / "copy")
    broken.rename(copy / "train" / "red" / "broken.png")
    assert run("train", copy, *SMALL, "--epochs", 0, "--out", tmp_path / "run") == 0
    text = shown()
    assert "Note: " in text
    assert "broken.png" in text
    assert "SightlineWarning" not in text
    assert "Note: " in (tmp_path / "run" / "log.txt").read_text()


def test_ctrl_c_exits_with_130(monkeypatch, folders, tmp_path, shown):
    def stopped(*arguments, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr("sightline.cli.training.load_pictures", stopped)
    assert run("train", folders, *SMALL, "--out", tmp_path / "run") == 130
    assert "Stopped by Ctrl-C" in shown()
