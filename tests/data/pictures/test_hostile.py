"""No file ends, hangs or bloats the process that reads it: bombs are refused at once, mutilated files are read or refused."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.pictures import hostile
from sightline.data.pictures.decode import FORMATS, probe, read_image
from sightline.data.pictures.limits import check_size
from sightline.data.pictures.modes import UnreadableError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are read from /proc")


def test_every_bomb_is_refused_within_a_second_and_without_its_memory() -> None:
    done = subprocess.run([sys.executable, hostile.__file__, "bombs"], capture_output=True, text=True, check=False)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    assert len(told) >= 36
    accepted = [one for one in told if not one["outcome"].startswith("refused: ")]
    assert [one["name"] for one in accepted] == ["png, frames"], "which only claims to have more frames than it has"
    # In seconds of a machine that is busy with other tests.
    assert max(one["seconds"] for one in told) < 4
    assert max(one["megabytes"] for one in told) < 100


def test_mutilated_files_are_read_or_refused() -> None:
    ends, bad = hostile.mutations_of(seed=1, count=360)
    assert bad == []
    assert ends["picture"] > 36
    assert ends["refused"] > 36
    assert ends.total() == 360


@pytest.mark.slow
def test_thousands_of_mutilated_files_are_read_or_refused() -> None:
    ends, bad = hostile.mutations_of(seed=2, count=6000)
    assert bad == []
    assert ends.total() == 6000


def test_the_hunt_finds_what_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    def careless(source: bytes) -> None:
        raise IndexError("out of range")

    monkeypatch.setattr("sightline.data.pictures.decode.read_image", careless)
    assert hostile.outcome(b"anything") == "escaped: IndexError: out of range"


def test_every_format_of_the_list_is_drawn_and_read() -> None:
    kinds = {Image.open(hostile.BytesIO(content)).format for content in hostile.sound_files().values()}
    missing = {kind for kind, library in hostile._LIBRARIES.items() if not hostile.features.check(library)}
    assert kinds == set(FORMATS) - missing
    for name, content in hostile.sound_files().items():
        assert hostile.outcome(content) == "picture", name


def test_what_a_picture_takes_is_judged_by_format_mode_and_turn() -> None:
    upright, clear = Image.new("RGB", (9000, 8100)), Image.new("L", (9000, 8100))
    check_size(upright, 120_000_000)
    with pytest.raises(
        UnreadableError, match=r"\(in memory, RGB, turned\), which would take 583 MB to read, more than the 580 MB"
    ):
        check_size(upright, 120_000_000, turned=True)
    check_size(clear, 120_000_000, turned=True)
    clear.info["transparency"] = 0
    with pytest.raises(UnreadableError, match=r"\(in memory, L\), which would take 729 MB"):
        check_size(clear, 120_000_000)


def test_an_array_on_disk_is_no_bomb_either(tmp_path: Path) -> None:
    header = hostile.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10_000, 10_000, 40)})
    (tmp_path / "large.npy").write_bytes(header.getvalue())
    np.lib.format.write_array_header_1_0(header := hostile.BytesIO(), {"descr": "|u1", "fortran_order": False, "shape": (9, 9)})
    (tmp_path / "cut.npy").write_bytes(header.getvalue() + bytes(80))
    assert "more than the 120,000,000 that are read" in str(probe(tmp_path / "large.npy"))
    assert probe(tmp_path / "cut.npy") == "the file is cut short"
    np.save(tmp_path / "columns.npy", np.asfortranarray(np.arange(12, dtype=np.uint8).reshape(3, 4)))
    assert np.asarray(read_image(tmp_path / "columns.npy", channels=1)).tolist() == np.arange(12).reshape(3, 4).tolist()
