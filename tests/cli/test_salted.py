"""A run on a folder salted with hundreds of odd and broken files ends well, names each it cannot use, loses no good one."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.small import SMALL
from data.salted import Salted, salted_folder
from sightline.escaping import for_terminal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs pipes, sockets and links")


@pytest.fixture(scope="module")
def salted(tmp_path_factory: pytest.TempPathFactory) -> Salted:
    return salted_folder(tmp_path_factory.mktemp("salted") / "pictures", bad=320)


def sightline(*arguments: object) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: what it writes must not depend on this one's settings."""
    command = [sys.executable, "-m", "sightline", *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONUTF8": "0", "LC_ALL": "C.UTF-8"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=240, check=False)


@pytest.mark.slow
def test_it_finishes_and_every_file_is_used_or_named_once(salted: Salted, tmp_path: Path) -> None:
    out = tmp_path / "run"
    done = sightline("train", salted.root, *SMALL[:-1], "2", "--epochs", "1", "--out", out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert f"{len(salted.bad)} pictures could not be read: set_aside.csv names each with its reason" in done.stdout
    facts = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert len(salted.bad) >= 320
    assert set(facts["data"]["unreadable"]) == {str(salted.root / name) for name in salted.bad}
    assert all(facts["data"]["unreadable"].values())
    assert facts["data"]["training"] + facts["data"]["validation"] <= len(salted.good | salted.bad)
    with (out / "set_aside.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["file"] for row in rows) == sorted(for_terminal(salted.root / name) for name in salted.bad)
    assert all(row["reason"] for row in rows)
    assert "\x1b" not in (out / "log.txt").read_text(encoding="utf-8")

    told = sightline("predict", out / "model.safetensors", salted.root, "--csv", tmp_path / "labels.csv", "--device", "cpu")
    assert told.returncode == 0, told.stdout + told.stderr
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        predicted = list(csv.DictReader(file))
    assert len(predicted) == len(salted.good) + len(salted.bad)
    assert sum(not row["error"] for row in predicted) == len(salted.good)
