"""How soon a program can begin: importing, the first batch, the first training step, and what the command answers by itself.

Claims: `import sightline` costs less than 0.1 s beyond starting Python; from import to first batch takes at most 1/2.5 of
fastai's time (the aim is 1/4); help, the version and a wrong option are answered within 0.3 s.

Run, in an environment that has both libraries: python benchmarks/import_time.py [--pairs 5] [start] [batch] [step]
Each pair runs both sides one after the other in fresh processes, in turns; the first pair is a warm-up and not counted. Prints
hardware, versions, n, and of each ratio the median and the spread. Seconds and CPU seconds are those of the whole process, its
end included; memory is its peak. On a machine that is also busy with something else the ratio of CPU seconds is the steadier.
Bytecode is kept between runs, as pip does when it installs. Without fastai, its rows are left out.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

FIRST_BATCH = """
from {library} import *
dls = ImageDataLoaders.from_folder({data!r}, train="train", valid="valid", item_tfms=Resize(128), bs=64)
dls.one_batch()
"""
FIRST_STEP = (
    FIRST_BATCH
    + """
learn = vision_learner(dls, resnet18, pretrained=False, metrics=error_rate)
learn.fit(1, cbs=ShortEpochCallback(pct=0.0))
"""
)
PROGRAMS = {"batch": FIRST_BATCH, "step": FIRST_STEP}
COMMANDS = (["--help"], ["train", "--help"], ["--version"], ["train", "pets", "--epohcs", "3"], ["train", "no-such-folder"])
WITHIN_S = 0.3
SETTINGS = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@dataclass(frozen=True)
class Cost:
    """What a process took: wall and CPU seconds, and MB of memory at its peak."""

    wall: float
    cpu: float
    peak: float


def cost(command: Sequence[str], code: int | None = 0) -> Cost:
    """What a fresh Python takes with these arguments; its exit code must be `code`, any where that is None."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=SETTINGS)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if code is not None and process.returncode != code:
        raise SystemExit(f"{' '.join(command)!r} ended with exit code {process.returncode}")
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def spread(values: list[float], unit: str = "") -> str:
    """Median and range in words."""
    return f"{statistics.median(values):.2f}{unit} ({min(values):.2f}-{max(values):.2f})"


def compare(name: str, ours: str, theirs: str, pairs: int) -> None:
    """Run both sides in turns and print the ratios."""
    costs = [(cost(["-c", theirs]), cost(["-c", ours])) for _ in range(pairs + 1)][1:]
    ratios = {kind: spread([getattr(b, kind) / getattr(a, kind) for b, a in costs], "x") for kind in ("wall", "cpu", "peak")}
    sides = (statistics.median(ours.wall for _, ours in costs), statistics.median(theirs.wall for theirs, _ in costs))
    walls = " against ".join(f"{seconds:.2f} s" for seconds in sides)
    print(f"{name}: {ratios['wall']} in time, {ratios['cpu']} in CPU time, {ratios['peak']} in memory; {walls}, n={pairs}")


def draw_pictures(folder: Path) -> None:
    """Four classes of 64 and 16 pictures, 300 x 224 pixels."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for part, count in (("train", 64), ("valid", 16)):
        for name in "abcd":
            (folder / part / name).mkdir(parents=True)
            for number in range(count):
                picture = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8)).resize((300, 224))
                picture.save(folder / part / name / f"{number}.jpg", quality=88)


def has_fastai() -> str | None:
    """The version of fastai, if it is there."""
    try:
        return version("fastai")
    except PackageNotFoundError:
        return None


def print_start(pairs: int) -> None:
    """What importing the package and asking the command cost."""
    differences = [cost(["-c", "import sightline"]).wall - cost(["-c", "pass"]).wall for _ in range(pairs + 1)][1:]
    print(f"import sightline: {spread(differences, ' s')} beyond an empty Python; claim below 0.1 s, n={pairs}")
    for command in COMMANDS:
        walls = [cost(["-m", "sightline", *command], code=None).wall for _ in range(pairs + 1)][1:]
        print(f"sightline {' '.join(command)}: {spread(walls, ' s')}; claim below {WITHIN_S} s, n={pairs}")


def print_against_fastai(rows: Sequence[str], pairs: int) -> None:
    """What the first batch and the first step cost, beside fastai."""
    with tempfile.TemporaryDirectory() as folder:
        draw_pictures(Path(folder))
        for name in rows:
            theirs = PROGRAMS[name].format(library="fastai.vision.all", data=folder)
            for library in ("sightline", "sightline.fastai"):
                ours = PROGRAMS[name].format(library=library, data=folder)
                compare(f"import to first {name}, {library}", ours, theirs, pairs)


def main() -> None:
    """Run all pairs and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="*", metavar="ROW", help="start, batch or step; all where none is given")
    parser.add_argument("--pairs", type=int, default=5)
    given = parser.parse_args()
    rows = given.rows or ["start", *PROGRAMS]
    fastai = has_fastai()
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"torch {version('torch')}, fastai {fastai}"
    )
    if "start" in rows:
        print_start(given.pairs)
    if fastai is not None:
        print_against_fastai([name for name in PROGRAMS if name in rows], given.pairs)


if __name__ == "__main__":
    main()
