"""How fast pictures become augmented batches, with fastai and with sightline: the first epoch, and those after it.

Both sides run the same lines (see `feed`) over a folder with `train/<class>/*` and `valid/<class>/*`, each with its defaults
and without a network, one subprocess a run, in turn: fastai, sightline, fastai, ... sightline starts with an empty cache each
time, so its first epoch decodes every picture and builds the cache; later epochs read it.

    python benchmarks/input_pipeline.py --data imagenette-mini --fastai-python fastai/bin/python --pairs 5 --out input.json

`--fastai-python` is a Python that has fastai 2.8.12; this script runs in one that has sightline. Runs that `--out` holds
already are not repeated: pairs can be run one by one, at quiet moments.

What is printed at the end: for each row the images a second of both sides, and the ratio (sightline over fastai) of every pair
as minimum, median and maximum, by wall time and by the time that processors computed (which other programs on the machine
disturb less); the most memory of each process tree (PSS: shared pages counted once, files in the page cache that are not
mapped not counted); versions, hardware and n. The bare passes over the batches are timed, neither imports nor the making of
loaders; `later` is the median of the epochs after the first.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

SIDES = ("fastai", "sightline")
MODULES = {"fastai": "fastai.vision.all", "sightline": "sightline"}
SAMPLED_EVERY_S = 0.1


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set, with train and valid")
    parser.add_argument("--fastai-python", type=Path, default=Path(sys.executable), help="a Python that has fastai")
    parser.add_argument("--size", type=int, default=128, help="side of the square that pictures are brought to, in pixels")
    parser.add_argument("--bs", type=int, default=64, help="batch size")
    parser.add_argument("--epochs", type=int, default=4, help="passes over the training pictures in a run, the first included")
    parser.add_argument("--pairs", type=int, default=5, help="how many runs of each side there should be")
    parser.add_argument("--out", type=Path, default=Path("input_pipeline.json"), help="file of results; read first, to go on")
    parser.add_argument("--one-run", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def feed(api: Any, chosen: argparse.Namespace) -> dict[str, Any]:
    """The user's code, the same for both sides: seconds and seconds of processors of each pass, and pictures in a pass."""
    dls = api.ImageDataLoaders.from_folder(
        chosen.data, item_tfms=api.Resize(chosen.size), batch_tfms=api.aug_transforms(), bs=chosen.bs, device="cpu"
    )
    wall, cpu, pictures = [], [], 0
    for _ in range(chosen.epochs):
        start, busy = time.perf_counter(), processor_s()
        pictures = sum(len(images) for images, _ in dls.train)
        wall.append(time.perf_counter() - start)
        cpu.append(processor_s() - busy)
    return {"wall": wall, "cpu": cpu, "pictures": pictures, "reading": str(getattr(dls, "reading", ""))}


def processor_s() -> float:
    """What this process and those of its children that have ended computed, in seconds."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def one_run(chosen: argparse.Namespace) -> None:
    """What a subprocess does: feed once, print one line of JSON."""
    result = feed(import_module(MODULES[chosen.one_run]), chosen)
    packages = ("torch", "pillow", chosen.one_run)
    print(json.dumps(result | {"versions": {name: version(name) for name in packages}}))


def watched(side: str, chosen: argparse.Namespace) -> dict[str, Any]:
    """One run in a process of its own, with the most memory of its tree."""
    python = chosen.fastai_python if side == "fastai" else sys.executable
    command = [str(python), __file__, "--one-run", side, "--data", str(chosen.data)]
    for name in ("size", "bs", "epochs"):
        command += [f"--{name}", str(getattr(chosen, name))]
    with tempfile.TemporaryDirectory() as cache, tempfile.TemporaryFile("w+") as said:
        environment = os.environ | {"SIGHTLINE_CACHE": cache}
        with subprocess.Popen(command, stdout=said, env=environment) as run:
            most = 0
            while run.poll() is None:
                most = max(most, sum(map(pss_kib, tree(run.pid))))
                time.sleep(SAMPLED_EVERY_S)
        if run.returncode:
            raise SystemExit(f"{side} failed; see above.")
        said.seek(0)
        return {"side": side, "pss_mib": round(most / 1024), **json.loads(said.read().splitlines()[-1])}


def tree(pid: int) -> list[int]:
    """A process and all below it, as far as Linux tells."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return [pid]
    return [pid, *(below for child in children for below in tree(int(child)))]


def pss_kib(pid: int) -> int:
    """Memory of a process in KiB, what it shares counted in part; 0 where that cannot be told."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def hardware() -> dict[str, Any]:
    """The machine, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line), name)
    return {"cpu": name, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}


def results_so_far(chosen: argparse.Namespace) -> dict[str, Any]:
    """The file's content, or an empty one.

    Raises:
        SystemExit: The file holds runs of other settings.
    """
    settings = {"data": chosen.data.name, "size": chosen.size, "bs": chosen.bs, "epochs": chosen.epochs}
    fresh = {"settings": settings, "hardware": hardware(), "runs": []}
    if not chosen.out.exists():
        return fresh
    found: dict[str, Any] = json.loads(chosen.out.read_text(encoding="utf-8"))
    if found["settings"] != settings:
        raise SystemExit(f"{chosen.out} holds runs of other settings ({found['settings']}). Give another --out.")
    return found


def images_a_second(run: dict[str, Any], clock: str, *, first: bool) -> float:
    """Of a run's first epoch, or the median of its later ones."""
    seconds = run[clock][0] if first else statistics.median(run[clock][1:])
    return float(run["pictures"] / seconds)


def table(found: dict[str, Any]) -> str:
    """The comparison in words."""
    by_side = {side: [run for run in found["runs"] if run["side"] == side] for side in SIDES}
    pairs = list(zip(*by_side.values(), strict=False))
    lines = [f"{'':52}{'fastai':>8}{'sightl.':>8}{'ratio min':>10}{'median':>8}{'max':>6}"]
    for title, first in (("first epoch, cache being built", True), ("later epochs", False)):
        for clock, unit in (("wall", "images/s"), ("cpu", "images/s of a core")):
            theirs, ours = ([images_a_second(run, clock, first=first) for run in side] for side in zip(*pairs, strict=True))
            ratios = [other / one for one, other in zip(theirs, ours, strict=True)]
            figures = f"{min(ratios):10.2f}{statistics.median(ratios):8.2f}{max(ratios):6.2f}"
            lines.append(
                f"{title}, {unit}"[:52].ljust(52) + f"{statistics.median(theirs):8.0f}{statistics.median(ours):8.0f}{figures}"
            )
    theirs, ours = ([run["pss_mib"] for run in side] for side in zip(*pairs, strict=True))
    ratios = [other / one for one, other in zip(theirs, ours, strict=True)]
    figures = f"{min(ratios):10.2f}{statistics.median(ratios):8.2f}{max(ratios):6.2f}"
    lines.append("most memory, MiB".ljust(52) + f"{statistics.median(theirs):8.0f}{statistics.median(ours):8.0f}{figures}")
    versions = {name: number for run in found["runs"] for name, number in run["versions"].items()}
    return "\n".join([*lines, f"n={len(pairs)} pairs; {found['settings']}; {found['hardware']}; {versions}"])


def main() -> None:
    """Runs what is missing, then prints the comparison."""
    chosen = options()
    if chosen.one_run:
        one_run(chosen)
        return
    found = results_so_far(chosen)
    for number in range(2 * chosen.pairs):
        if number < len(found["runs"]):
            continue
        found["runs"].append(watched(SIDES[number % 2], chosen))
        chosen.out.write_text(json.dumps(found, indent=1), encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
