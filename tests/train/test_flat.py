"""A run holds no more after many epochs than after two: memory, open files, threads, shared memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data.drawn import draw_folder
from train import flat

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what a process holds is read from /proc")
FLOOR_KILOBYTES = 2048
"""Growth that is no leak: the interpreter's and the allocator's own."""


def growth(folder: Path, epochs: int, reading: str) -> tuple[dict[str, int], dict[str, int]]:
    """What is held after the second epoch and after the last."""
    command = [sys.executable, flat.__file__, str(folder), str(epochs), reading]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(told) == epochs
    return told[1], told[-1]


@pytest.mark.slow
@pytest.mark.parametrize(("reading", "epochs"), [("cache", 10), ("decode", 10)])
def test_nothing_piles_up(tmp_path: Path, reading: str, epochs: int) -> None:
    folder = draw_folder(tmp_path / "set", {"cats": 32, "dogs": 32}, size=(60, 50))
    second, last = growth(folder, epochs, reading)
    assert last["kilobytes"] <= second["kilobytes"] * 1.02 + FLOOR_KILOBYTES, (second, last)
    assert last["files"] <= second["files"]
    assert last["threads"] <= second["threads"]
    assert last["shared"] <= second["shared"] + 2, "other processes may use it, too"
