"""Files that are held open for later are few, and never in the way of those that are really in use."""

from __future__ import annotations

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sightline import descriptors
from sightline.data.cache.files import OpenFile, removed
from sightline.descriptors import is_short, with_descriptors

needs_a_list_of_descriptors = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="the system lists no descriptors")


def made(folder: Path, count: int) -> list[OpenFile]:
    """Files that hold their own number, 4 bytes."""
    files = []
    for number in range(count):
        files.append(OpenFile(folder / str(number), new=True))
        files[-1].write(number.to_bytes(4, "big"), 0)
    return files


def number_in(file: OpenFile) -> int:
    content = bytearray(4)
    assert file.read_into(content, 0)
    return int.from_bytes(content, "big")


def open_below(folder: Path) -> int:
    """How many files of a folder this process has open."""
    count = 0
    for name in os.listdir("/proc/self/fd"):
        try:
            count += os.readlink(f"/proc/self/fd/{name}").startswith(f"{folder}/")
        except OSError:
            continue
    return count


@needs_a_list_of_descriptors
def test_more_files_can_be_read_than_are_held_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "MOST_HELD", 8)
    files = made(tmp_path, 30)
    assert [number_in(file) for file in files] == list(range(30))
    assert 1 <= open_below(tmp_path) <= 8


@needs_a_list_of_descriptors
def test_the_least_recently_used_are_let_go_and_those_that_must_stay_open_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "MOST_HELD", 8)
    first, busy, *_ = files = made(tmp_path, 8)
    busy.busy = True
    number_in(first)
    more = OpenFile(tmp_path / "more", new=True)
    assert not removed(tmp_path / "0"), "used a moment ago"
    assert not removed(tmp_path / "1"), "busy"
    assert removed(tmp_path / "2"), "closed, so that others may remove it"
    assert [file.can_be_opened() for file in (*files, more)] == [True, True, False, *[True] * 6]


def test_a_file_is_not_closed_under_one_who_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "MOST_HELD", 8)
    files = made(tmp_path, 24)
    wrong: list[int] = []
    ended = threading.Event()

    def let_go() -> None:
        while not ended.is_set():
            for file in files:
                file.let_go()

    letting_go = threading.Thread(target=let_go)
    letting_go.start()
    try:
        with ThreadPoolExecutor(4) as pool:
            for start in range(4):
                order = [*range(start * 6, 24), *range(start * 6)] * 20
                pool.submit(lambda order=order: wrong.extend(n for n in order if number_in(files[n]) != n))
    finally:
        ended.set()
        letting_go.join()
    assert wrong == []


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_what_is_held_gives_way_where_descriptors_are_short(tmp_path: Path, code: int) -> None:
    file = made(tmp_path, 1)[0]
    tried: list[bool] = []

    def opening() -> str:
        tried.append(removed(tmp_path / "0"))
        if len(tried) == 1:
            raise OSError(code, os.strerror(code))
        return "opened"

    assert with_descriptors(opening) == "opened"
    assert tried == [False, True], "held at first, then let go"
    assert not file.can_be_opened()


def test_what_fails_for_another_reason_is_not_tried_again() -> None:
    tried: list[int] = []

    def opening() -> None:
        tried.append(1)
        raise FileNotFoundError(errno.ENOENT, "gone")

    with pytest.raises(FileNotFoundError):
        with_descriptors(opening)
    assert len(tried) == 1
    assert not is_short(FileNotFoundError(errno.ENOENT, "gone"))
