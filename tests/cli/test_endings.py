"""Whose turn it is after an error, and in which words it is told."""

from __future__ import annotations

import errno

import pytest

from cli.small import SMALL, run
from sightline import errors
from sightline.cli.endings import ADVICE, OURS, USERS, code_of, told


def caused(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


def classes() -> list[type[errors.SightlineError]]:
    every = (value for value in vars(errors).values() if isinstance(value, type))
    return [one for one in every if issubclass(one, errors.SightlineError)]


@pytest.mark.parametrize("kind", classes())
def test_what_sightline_refuses_is_the_users_turn(kind):
    assert code_of(kind("no")) == USERS


@pytest.mark.parametrize("number", sorted(ADVICE))
def test_what_the_machine_lacks_is_not_also_where_it_ends_as_one_of_our_errors(number):
    missing = OSError(number, "what the system says", "file")
    assert code_of(missing) == OURS
    assert code_of(caused(errors.BundleError("file cannot be written"), missing)) == OURS
    assert ADVICE[number] in told(missing)[1]


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG])
def test_a_path_that_leads_nowhere_is_the_users_turn(number):
    assert code_of(OSError(number, "what the system says", "there")) == USERS
    assert told(OSError(number, "What the system says", "there"))[1] == (
        "What the system says: 'there'. Correct the path, or name another one."
    )


@pytest.mark.parametrize("error", [TypeError("x"), RuntimeError("x"), KeyError("x"), MemoryError(), ZeroDivisionError("x")])
def test_everything_else_is_ours(error):
    assert code_of(error) == OURS


def test_memory_that_cannot_be_had_is_no_bug():
    error = RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory\nmore")
    assert code_of(error) == OURS
    assert told(error)[1].startswith("There is no memory left ([enforce fail]")
    assert told(MemoryError())[1] == "There is no memory left. Close something, or lower --bs."


def test_an_exception_that_nobody_expected_is_one_line_with_exit_code_1(folders, tmp_path, monkeypatch, capsys):
    def broken(*arguments: object) -> None:
        raise TypeError("unsupported operand\x1b[2J")

    monkeypatch.setattr("sightline.cli.training.load_pictures", broken)
    assert run("train", folders, *SMALL, "--out", tmp_path / "run") == 1
    assert capsys.readouterr().err == (
        "Error: This is a bug in sightline, or in something that it uses: TypeError: unsupported operand\\x1b[2J. "
        "Run again with --debug for the traceback, and report it.\n"
    )


@pytest.mark.parametrize("way", ["option", "environment"])
def test_debug_shows_the_traceback_and_the_message_and_changes_no_exit_code(way, tmp_path, monkeypatch, capsys):
    if way == "environment":
        monkeypatch.setenv("SIGHTLINE_DEBUG", "1")
    options = ["--debug"] if way == "option" else []
    assert run("train", tmp_path / "nowhere", *options) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith("NoImagesError: There is no folder")


def test_a_file_that_may_not_be_written_is_told_with_what_to_do(folders, tmp_path, monkeypatch, capsys):
    def refused(*arguments: object, **options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "run"))

    monkeypatch.setattr("pathlib.Path.mkdir", refused)
    assert run("train", folders, *SMALL, "--out", tmp_path / "run") == 1
    assert capsys.readouterr().err == (
        f"PermissionError: Permission denied: '{tmp_path}/run'. Give this user the right to it, or name another place.\n"
    )


def test_names_in_messages_are_text(tmp_path, capsys):
    assert run("train", f"{tmp_path}/\x1b[31mpets\u202e") == 2
    assert "\\x1b[31mpets\\u202e" in (text := capsys.readouterr().err)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_usage_errors_name_the_help_page_of_their_command(capsys):
    assert run("train", "x", "--bs", "none") == 2
    assert capsys.readouterr().err.endswith("See `sightline train --help`.\n")
    assert run("trian") == 2
    assert capsys.readouterr().err.endswith("See `sightline --help`.\n")
