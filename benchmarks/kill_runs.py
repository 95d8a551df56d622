"""Kill `sightline train` at random moments, go on with the same command, and compare with a run that nobody killed.

Claim: whatever stops a run, weights and history are in the end, bit for bit, those of an unbroken one; no half file stays.

    python benchmarks/kill_runs.py --runs 50

Pictures are drawn (three colours, 48 px), the network is small and on the CPU, so that a run takes seconds. Each run is killed
once, twice or three times (the whole process group), at a moment of its training drawn from the seed; `--how` says by which
signal: SIGTERM and Ctrl-C must end with 143 and 130, and how long they took is told. Prints a line a run, and n, how many went
on from a checkpoint, how many ended otherwise than the unbroken one, and what else was left in their folders.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 210)}
JOB = ["--arch", "test_resnet", "--no-pretrained", "--freeze-epochs", "2", "--size", "32", "--bs", "4", "--device", "cpu"]
FILES = {"history.csv", "log.txt", "model.safetensors", "run.json"}
SIGNALS = {"kill": (signal.SIGKILL, -signal.SIGKILL), "term": (signal.SIGTERM, 143), "ctrl-c": (signal.SIGINT, 130)}
UNTIMED = 4
"""The first columns of history.csv: phase, epoch and both losses; those after them tell times too."""


def options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=20, help="of the second phase")
    parser.add_argument("--how", choices=SIGNALS, default="kill")
    return parser.parse_args()


def draw_pictures(folder: Path) -> None:
    """48 noisy pictures of one colour, of 48 x 40 pixels."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("valid", 4)):
        for name, colour in COLOURS.items():
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                noise = rng.integers(-40, 40, (40, 48, 3))
                picture = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(picture).save(folder / part / name / f"{number}.png")


def start(pictures: Path, out: Path, epochs: int) -> subprocess.Popen[str]:
    """`sightline train` in a process group of its own."""
    command = [sys.executable, "-m", "sightline", "train", str(pictures), *JOB, "--epochs", str(epochs)]
    command += ["--save-steps", "5", "--out", str(out)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def result(out: Path) -> tuple[dict[str, torch.Tensor], list[list[str]]]:
    """Weights, and the history without its times."""
    rows = [line.split(",")[:UNTIMED] for line in (out / "history.csv").read_text(encoding="utf-8").splitlines()]
    return load_file(out / "model.safetensors"), rows


def are_equal(one: Any, other: Any) -> bool:
    """Whether two results are, bit for bit."""
    (tensors, rows), (others, other_rows) = one, other
    same = tensors.keys() == others.keys() and all(torch.equal(tensors[name], others[name]) for name in tensors)
    return same and rows == other_rows


def trains(process: subprocess.Popen[str], out: Path, before: int) -> bool:
    """Wait until the table of a (further) training begins in the log; whether the process is still there then."""
    log = out / "log.txt"
    while process.poll() is None:
        if log.exists() and log.read_text(encoding="utf-8").count("train_loss") > before:
            return True
        time.sleep(0.01)
    return False


def broken_off(pictures: Path, out: Path, chosen: argparse.Namespace, rng: random.Random) -> list[float]:
    """Stop a run one to three times; how many seconds each took to end."""
    number, code = SIGNALS[chosen.how]
    seconds = []
    for _ in range(rng.choice([1, 1, 2, 3])):
        log = out / "log.txt"
        before = log.read_text(encoding="utf-8").count("train_loss") if log.exists() else 0
        process = start(pictures, out, chosen.epochs)
        if trains(process, out, before):
            time.sleep(rng.uniform(0, 2))
            asked = time.monotonic()
            with suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            process.wait()
            seconds.append(time.monotonic() - asked)
        _, errors = process.communicate()
        if process.returncode not in {0, code}:
            raise SystemExit(f"It ended with {process.returncode}, not {code}:\n{errors}")
    return seconds


def main() -> None:
    """Command line."""
    chosen, rng = options(), random.Random()
    rng.seed(chosen.seed)
    os.environ.update(OMP_NUM_THREADS="1")
    with tempfile.TemporaryDirectory() as place:
        os.environ["SIGHTLINE_CACHE"] = str(Path(place, "cache"))
        pictures = Path(place, "pictures")
        draw_pictures(pictures)
        start(pictures, Path(place, "unbroken"), chosen.epochs).communicate()
        wanted = result(Path(place, "unbroken"))
        wrong = resumed = 0
        left: set[str] = set()
        seconds: list[float] = []
        for number in range(chosen.runs):
            out = Path(place, str(number))
            seconds += broken_off(pictures, out, chosen, rng)
            shown, errors = start(pictures, out, chosen.epochs).communicate()
            good = are_equal(result(out), wanted)
            wrong += not good
            resumed += "Going on from" in shown
            left |= {path.name for path in out.rglob("*") if path.is_file()} - FILES - {".lock"}
            print(number, "equal" if good else f"DIFFERENT\n{errors}", flush=True)
    print(
        f"{chosen.how}: n={chosen.runs} runs, {len(seconds)} stops, {resumed} went on from a checkpoint, "
        f"{wrong} ended otherwise"
    )
    print(
        f"left over: {sorted(left) or 'nothing'}; seconds to end: {statistics.median(seconds):.2f}, at most {max(seconds):.2f}"
    )
    print(f"torch {torch.__version__}, Python {sys.version.split()[0]}")


if __name__ == "__main__":
    main()
