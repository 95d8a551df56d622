"""A pack is used only if it is whole; the least recently used go first; nothing in one is ever executed."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.drawn import pixels
from sightline import descriptors
from sightline.data.cache import packs as format_of
from sightline.data.cache.files import OpenFile, removed
from sightline.data.cache.folder import CacheFolder, in_bytes
from sightline.data.cache.packs import ENTRY, Index, NewPack, read_entries
from sightline.data.cache.shelf import Shelf, read_whole


def key(number: int) -> bytes:
    return number.to_bytes(8, "big") * 2


@pytest.fixture
def root(tmp_path: Path) -> CacheFolder:
    (tmp_path / "samples").mkdir()
    return CacheFolder(tmp_path / "samples", 10**9)


def filled(root: CacheFolder, numbers: Any, recipe: str = "r", size: tuple[int, int] = (12, 10)) -> Path:
    """A shelf with pictures, completed; the path of its newest pack."""
    shelf = Shelf(root, recipe, 1000)
    for number in numbers:
        shelf.add(key(number), key(1000 + number), pixels(number, size), (40, 30))
    shelf.finish()
    return max(shelf.path.glob("*.pack"))


def found(root: CacheFolder, numbers: Any, recipe: str = "r") -> list[int]:
    """Which pictures a new shelf has, read and compared."""
    shelf = Shelf(root, recipe, 1000)
    there = []
    for number in numbers:
        place = shelf.with_content(key(number))
        if place is not None:
            whole = read_whole(shelf.file(int(place["pack"])), place)
            if whole is None:
                shelf.drop(int(place["pack"]))
            else:
                assert np.array_equal(whole, pixels(number))
                assert (place["read_width"], place["read_height"]) == (40, 30)
                there.append(number)
    return there


def test_pictures_are_found_by_content_and_by_signature(root: CacheFolder) -> None:
    filled(root, range(5))
    filled(root, range(5, 9))
    assert found(root, range(12)) == list(range(9))
    shelf = Shelf(root, "r", 1000)
    places = shelf.with_signatures([key(1000 + number) for number in (7, 50, 2)])
    assert (places["pack"] >= 0).tolist() == [True, False, True]
    assert found(root, range(5), recipe="another") == []


def test_a_note_leads_from_another_signature_to_the_content(root: CacheFolder) -> None:
    filled(root, [1])
    shelf = Shelf(root, "r", 1000)
    shelf.note(key(1), key(77))
    shelf.note(key(2), key(78))
    shelf.finish()
    places = Shelf(root, "r", 1000).with_signatures([key(77), key(78), bytes(16)])
    assert (places["pack"] >= 0).tolist() == [True, False, False]


def test_pictures_are_read_while_their_pack_is_being_filled(root: CacheFolder) -> None:
    shelf = Shelf(root, "r", 1000)
    place = shelf.add(key(1), None, pixels(1), (40, 30))
    assert place is not None
    assert np.array_equal(read_whole(shelf.file(int(place["pack"])), place), pixels(1))
    assert found(root, [1]) == [], "but not by others before it is whole"
    shelf.finish()
    assert found(root, [1]) == [1]


def test_a_pack_that_is_cut_short_anywhere_is_not_used(root: CacheFolder) -> None:
    path = filled(root, range(3))
    content = path.read_bytes()
    for length in [0, 5, 20, 400, len(content) - 200, len(content) - 41, len(content) - 40, len(content) - 1]:
        path.write_bytes(content[:length])
        assert read_entries(OpenFile(path)) is None
        assert found(root, range(3)) == []
    path.write_bytes(content + b"more")
    assert found(root, range(3)) == []
    path.write_bytes(content)
    assert found(root, range(3)) == [0, 1, 2]


def test_any_flipped_byte_costs_no_more_than_the_pack(root: CacheFolder) -> None:
    path = filled(root, range(3))
    content = path.read_bytes()
    for at in range(0, len(content), 37):
        damaged = bytearray(content)
        damaged[at] ^= 1
        path.write_bytes(damaged)
        there = found(root, range(3))  # compares what it finds
        assert len(there) < 3 or at < len(format_of.MARK) or at >= len(content) - 40
        path.write_bytes(content)


def test_places_beyond_the_file_are_refused(root: CacheFolder) -> None:
    for field, value in (("offset", 2**63), ("height", 2**31), ("width", 2**24 - 1), ("channels", 2**20)):
        pack = NewPack(root.path / "r")
        pack.add(key(1), None, pixels(1), (4, 4))
        entries = np.array(pack._entries, dtype=ENTRY)
        entries[field] = value
        pack._entries = entries.tolist()
        pack.finish()
        assert read_entries(OpenFile(pack.file.path)) is None


def test_packs_of_a_run_that_was_killed_are_cleared_away(root: CacheFolder) -> None:
    code = f"""
import os, signal
from pathlib import Path
import numpy as np
from sightline.data.cache.folder import CacheFolder
from sightline.data.cache.shelf import Shelf
shelf = Shelf(CacheFolder(Path({str(root.path)!r}), 10**9), "r", 1000)
shelf.add(bytes(16), None, np.zeros((4, 4, 3), np.uint8), (4, 4))
os.kill(os.getpid(), signal.SIGKILL)
"""
    subprocess.run([sys.executable, "-c", code], check=False, timeout=60)
    left = next(root.path.glob("*/*.pack"))
    assert found(root, range(3)) == []
    assert left.exists(), "it might be of a run that has just begun"
    os.utime(left, (1, 1))
    assert found(root, range(3)) == []
    assert not left.exists()


def test_the_least_recently_used_goes_first_and_what_is_in_use_stays(root: CacheFolder) -> None:
    size = filled(root, range(4)).stat().st_size
    older, newer = (filled(root, range(4), recipe) for recipe in ("older", "newer"))
    in_use = Shelf(root, "r", 1000)
    in_use.with_content(key(0))
    for age, path in ((30, next(in_use.path.glob("*.pack"))), (20, older), (10, newer)):
        os.utime(path, (time.time() - age,) * 2)
    small = CacheFolder(root.path, 3 * size + 500)
    small.make_room(1000)
    assert (older.exists(), newer.exists()) == (False, True)
    with pytest.raises(OSError, match=r"all of its .* are in use"):
        CacheFolder(root.path, 500).make_room(400)
    assert not newer.exists()
    assert found(root, range(4)) == [0, 1, 2, 3]


def test_the_bound_is_kept_to(root: CacheFolder) -> None:
    small = CacheFolder(root.path, 20_000)
    for recipe in range(8):
        filled(small, range(10), str(recipe))
        assert sum(path.stat().st_size for path in root.path.glob("*/*.pack")) <= 20_000 + 2000
    assert found(small, range(10), "7") == list(range(10))
    shelf = Shelf(small, "too much", 100_000)
    for number in range(100):
        shelf.add(key(number), None, pixels(number), (4, 4))
    assert shelf.problem == "the cache takes no more pictures (all of its 20 kB are in use)"
    assert len(list(shelf.path.glob("*.pack"))) > 1, "packs are not larger than a share of the bound"


def test_a_pack_is_continued_after_it_was_completed(root: CacheFolder) -> None:
    shelf = Shelf(root, "r", 1000)
    for number in range(6):
        shelf.add(key(number), key(1000 + number), pixels(number), (40, 30))
        shelf.finish()
        assert found(root, range(7)) == list(range(number + 1))
        assert shelf.with_content(key(0)) is not None
    shelf.add(key(6), None, pixels(6), (40, 30))
    assert found(root, range(7)) == [], "not by others, while it is being filled"
    shelf.finish()
    assert found(root, range(7)) == list(range(7))
    assert len(list(shelf.path.glob("*.pack"))) == 1


def test_a_pack_that_is_large_is_not_continued(root: CacheFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sightline.data.cache.shelf.MOST_CONTINUED_BYTES", 500)
    shelf = Shelf(root, "r", 1000)
    for number in range(4):
        shelf.add(key(number), None, pixels(number), (40, 30))
        shelf.finish()
    assert len(list(shelf.path.glob("*.pack"))) == 2, "two pictures of 360 bytes each"
    assert found(root, range(4)) == list(range(4))


def test_a_completed_pack_that_was_removed_is_not_written_to(root: CacheFolder) -> None:
    shelf = Shelf(root, "r", 1000)
    place = shelf.add(key(1), None, pixels(1), (40, 30))
    shelf.finish()
    shelf.file(int(place["pack"])).let_go()
    assert removed(next(shelf.path.glob("*.pack")))
    assert read_whole(shelf.file(int(place["pack"])), place) is None
    assert shelf.add(key(2), None, pixels(2), (40, 30)) is not None
    shelf.finish()
    assert found(root, range(3)) == [2]
    assert not shelf.problem


def test_nothing_more_is_written_to_a_pack_that_was_dropped_while_it_was_filled(root: CacheFolder) -> None:
    shelf = Shelf(root, "r", 1000)
    place = shelf.add(key(1), None, pixels(1), (40, 30))
    shelf.drop(int(place["pack"]))
    place = shelf.add(key(2), None, pixels(2), (40, 30))
    assert np.array_equal(read_whole(shelf.file(int(place["pack"])), place), pixels(2))
    shelf.finish()
    assert found(root, range(3)) == [2]


def test_more_packs_are_read_than_files_can_be_open(root: CacheFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "MOST_HELD", 8)
    for number in range(150):
        filled(root, [number])
    assert found(root, range(150)) == list(range(150))
    assert found(root, range(150)) == list(range(150))


def test_a_pack_that_cannot_be_opened_for_want_of_descriptors_is_not_taken_away(
    root: CacheFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = filled(root, range(3))
    shelf = Shelf(root, "r", 1000)
    place = shelf.with_content(key(1))
    file = shelf.file(int(place["pack"]))
    file.let_go()
    with monkeypatch.context() as short:
        short.setattr("sightline.data.cache.files.os.open", lambda *given: (_ for _ in ()).throw(OSError(24, "short")))
        assert read_whole(file, place) is None
        shelf.drop(int(place["pack"]))
    assert path.exists()
    assert found(root, range(3)) == [0, 1, 2]


def test_a_file_that_is_open_is_not_removed(tmp_path: Path) -> None:
    file = OpenFile(tmp_path / "a", new=True)
    assert not removed(tmp_path / "a")
    del file
    assert removed(tmp_path / "a")
    assert removed(tmp_path / "a"), "gone is gone"


def test_a_forked_process_fills_a_pack_of_its_own(root: CacheFolder) -> None:
    shelf = Shelf(root, "r", 1000)
    shelf.add(key(1), None, pixels(1), (40, 30))
    child = os.fork()
    if child == 0:
        shelf.add(key(2), None, pixels(2), (40, 30))
        shelf.finish()
        os._exit(0)
    os.waitpid(child, 0)
    shelf.add(key(3), None, pixels(3), (40, 30))
    shelf.finish()
    assert found(root, range(5)) == [1, 2, 3]


def test_keys_that_begin_alike_are_told_apart() -> None:
    entries = np.zeros(2, dtype=ENTRY)
    entries["content"] = [(5, 1), (5, 1)]
    entries["height"] = 1
    index = Index({4: entries})
    one, other = (int.to_bytes(5, 8, "little") + int.to_bytes(end, 8, "little") for end in (1, 2))
    assert index.with_contents([one, other])["pack"].tolist() == [4, -1]
    assert Index({}).with_contents([one])["pack"].tolist() == [-1]


def test_packs_hold_numbers_alone() -> None:
    assert not ENTRY.hasobject
    assert not format_of.PLACE.hasobject


def test_sizes_are_told_in_units_that_people_use() -> None:
    assert [in_bytes(n) for n in (900, 71_300_000, 1_500_000_000, 32e9)] == ["1 kB", "71 MB", "1.5 GB", "32 GB"]
