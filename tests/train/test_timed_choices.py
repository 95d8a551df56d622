"""Which of two ways is quicker: timed once, kept, and found again."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from sightline.train import timed_choices
from sightline.train.timed_choices import MARGIN, MOST_CASES, TimedChoices


def never() -> NoReturn:
    raise AssertionError("nothing is to be timed here")


def quick() -> float:
    return 0.5


def slow() -> float:
    return 4.0


@pytest.fixture(autouse=True)
def _ways_say_how_long_they_take(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timed_choices, "_timed", lambda way: (way(), True))


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "choices.json"


def test_the_quicker_way_is_taken(kept: Path):
    choices = TimedChoices(kept)
    assert choices.takes_other("one", slow, quick)
    assert not choices.takes_other("two", quick, slow)
    assert choices.known == {"one": True, "two": False}


def test_a_gain_below_the_margin_is_none(kept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timed_choices, "_time_both", lambda usual, other: (MARGIN - 0.01, 1.0))
    assert not TimedChoices(kept).takes_other("one", never, never)
    monkeypatch.setattr(timed_choices, "_time_both", lambda usual, other: (MARGIN + 0.01, 1.0))
    assert TimedChoices(kept).takes_other("two", never, never)


def test_a_later_run_chooses_as_the_first_without_timing(kept: Path):
    TimedChoices(kept).takes_other("one", slow, quick)
    TimedChoices(kept).takes_other("two", quick, slow)
    later = TimedChoices(kept)
    assert later.takes_other("one", never, never)
    assert not later.takes_other("two", never, never)


def test_a_run_at_the_same_time_takes_what_the_first_wrote(kept: Path):
    early, late = TimedChoices(kept), TimedChoices(kept)
    assert early.takes_other("one", slow, quick)
    assert late.takes_other("one", never, never)


def test_another_machine_chooses_for_itself(kept: Path, monkeypatch: pytest.MonkeyPatch):
    TimedChoices(kept).takes_other("one", slow, quick)
    monkeypatch.setattr(timed_choices, "_processor", lambda: "another processor")
    assert not TimedChoices(kept).takes_other("one", quick, slow)
    assert len(json.loads(kept.read_text())) == 2


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": 1}', '{"a": {"b": {"other": 1}}}', "[" * 100_000, "\x00"])
def test_a_damaged_file_is_written_anew(kept: Path, text: str):
    kept.parent.mkdir()
    kept.write_text(text)
    assert TimedChoices(kept).takes_other("one", slow, quick)
    assert TimedChoices(kept).takes_other("one", never, never)


def test_where_nothing_can_be_kept_the_usual_way_is_taken(tmp_path: Path):
    (tmp_path / "file").write_text("")
    choices = TimedChoices(tmp_path / "file" / "choices.json")
    assert not choices.takes_other("one", never, never)
    assert "choices.json" in choices.problem
    assert not choices.takes_other("two", never, never)


def test_a_full_disk_costs_the_choice_and_nothing_else(kept: Path, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(timed_choices, "write_text", full)
    choices = TimedChoices(kept)
    assert not choices.takes_other("one", slow, quick)
    assert choices.problem == "choices.json cannot be written (No space left on device)"


def test_the_environment_names_the_folder_or_says_that_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))
    assert TimedChoices.in_cache("a.json").path == tmp_path / "a.json"
    monkeypatch.setenv("SIGHTLINE_CACHE", "0")
    assert not TimedChoices.in_cache("a.json").takes_other("one", never, never)
    assert TimedChoices.in_cache("a.json").problem == "SIGHTLINE_CACHE=0"


def test_what_a_run_chose_holds_for_all_of_it_whatever_becomes_of_the_file(kept: Path):
    choices = TimedChoices(kept)
    assert choices.takes_other("one", slow, quick)
    kept.unlink()
    assert not choices.takes_other("two", quick, slow)
    assert choices.takes_other("one", never, never)
    assert TimedChoices(kept).known == {"one": True, "two": False}


def test_cases_without_end_are_not_timed_for_ever(kept: Path):
    kept.parent.mkdir()
    here = {str(number): {"other": True} for number in range(MOST_CASES)}
    kept.write_text(json.dumps({timed_choices.this_machine(): here}))
    choices = TimedChoices(kept)
    assert choices.takes_other("7", never, never)
    assert not choices.takes_other("one more", never, never)
    kept.unlink()
    assert not choices.takes_other("one more", never, never)


def test_what_leaves_no_doubt_is_timed_once_after_a_first_time(kept: Path):
    calls: list[str] = []

    def usual() -> float:
        calls.append("usual")
        return quick()

    def other() -> float:
        calls.append("other")
        return slow()

    assert not TimedChoices(kept).takes_other("one", usual, other)
    assert calls == ["usual", "other"] * 2


def test_what_another_process_disturbed_does_not_count(kept: Path, monkeypatch: pytest.MonkeyPatch):
    # The usual way takes 1 second, or 40 while the machine is busy; the other way 3.
    disturbed = iter([True, True, True, False, True, *[False] * 1000])

    def timed(way: str) -> tuple[float, bool]:
        busy = way == "usual" and next(disturbed)
        return {"usual": 40.0 if busy else 1.0, "other": 3.0}[way], not busy

    monkeypatch.setattr(timed_choices, "_timed", timed)
    assert not TimedChoices(kept).takes_other("one", "usual", "other")


def test_on_a_machine_that_is_always_busy_what_is_quicker_there_is_taken(kept: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timed_choices, "_timed", lambda way: (way(), False))
    assert TimedChoices(kept).takes_other("one", slow, quick)


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked on POSIX systems only")
def test_those_that_choose_at_once_choose_alike(kept: Path):
    def choose(number: int) -> bool:
        # Every second one would find the other way quicker if it timed for itself.
        return TimedChoices(kept).takes_other("one", *((slow, quick) if number % 2 else (quick, slow)))

    for _ in range(5):
        with ThreadPoolExecutor(4) as pool:
            assert len(set(pool.map(choose, range(8)))) == 1
        kept.unlink()
