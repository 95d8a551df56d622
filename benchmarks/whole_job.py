"""A whole job with fastai and with sightline, seed by seed: how well the network does, how long it takes, how much memory.

Both sides run the same lines of user code (see `train`), one subprocess a run, in turn: fastai seed 0, sightline seed 0,
fastai seed 1, ... Each run of sightline has an empty cache of its own, as a first run of a user has.

    pip install sightline;  in another environment: pip install fastai==2.8.12

    from scratch
    python benchmarks/whole_job.py --fastai-python PATH --data imagenette-mini --method fit_one_cycle --lr 3e-3 --epochs 4
    from a pretrained body
    python benchmarks/whole_job.py --data imagenette-mini --method fit_one_cycle --lr 3e-3 --epochs 5 --make-body body.pth
    python benchmarks/whole_job.py --fastai-python PATH --data ants-bees --method fine_tune --epochs 5 --body body.pth
    python benchmarks/whole_job.py --fastai-python PATH --data mosaic --kind multilabel --epochs 5 --out mosaic.json

`--kind folder` reads `train/<class>/*` and `valid/<class>/*` and compares `error_rate`; `--kind multilabel` reads
`labels.csv` (fname, labels separated by spaces, is_valid) with the pictures in `images/`, and compares `accuracy_multi`.
Runs that `--out` holds already are not repeated, so that an interrupted comparison goes on where it stopped; settings that
differ from those in the file are refused.

What is printed at the end: every pair, the mean difference (sightline less fastai) with its 95% t interval, the wall time of
both sides, their ratios with spread, versions, hardware and n. In the file, `train_s` is the time of the training call
alone, `total_s` that of the whole process, imports included, `cpu_s` what it and its workers computed, which other programs
on the machine disturb less, and `memory_mib` the most that the process and its workers held at once, shared pages counted
once (proportional set size, looked at once a second).
The claim holds if the interval includes zero or favours sightline, and the mean is not worse by more than 1 point.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

SIDES = ("fastai", "sightline")
METRICS = {"folder": "error_rate", "multilabel": "accuracy_multi"}
LOWER_IS_BETTER = {"error_rate": True, "accuracy_multi": False}
ALLOWED_LOSS = 0.01
SETTINGS = ("data", "kind", "arch", "size", "bs", "epochs", "method", "lr", "body", "threads", "workers", "device", "rotate")
# Two-sided 95% points of Student's t for 1 to 30 degrees of freedom.
T_95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131),
    *(2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of the data set")
    parser.add_argument("--fastai-python", default=sys.executable, help="Python of an environment with fastai")
    parser.add_argument("--kind", choices=METRICS, default="folder")
    parser.add_argument("--arch", default="resnet18", help="torchvision constructor")
    parser.add_argument("--size", type=int, default=128, help="side of the square that pictures are brought to, in pixels")
    parser.add_argument("--bs", type=int, default=64, help="batch size")
    parser.add_argument("--epochs", type=int, default=5, help="epochs after the one with a frozen body")
    parser.add_argument("--method", choices=("fine_tune", "fit_one_cycle"), default="fine_tune")
    parser.add_argument("--lr", type=float, default=None, help="learning rate of the call; left out: its default")
    parser.add_argument("--body", type=Path, default=None, help="weights of the body that both sides start from")
    parser.add_argument("--make-body", type=Path, default=None, help="train once with sightline, write such weights, and stop")
    parser.add_argument("--seeds", type=int, default=5, help="how many pairs")
    parser.add_argument("--threads", type=int, default=None, help="threads of PyTorch in each run; left out: its default")
    parser.add_argument("--workers", type=int, default=None, help="num_workers of both sides; left out: each side's default")
    parser.add_argument("--device", default="cpu", help="'cpu' or 'cuda'")
    parser.add_argument("--rotate", type=float, default=10.0, help="max_rotate of aug_transforms, fastai's default being 10")
    parser.add_argument("--out", type=Path, default=Path("whole_job.json"), help="file of results; read first, to go on")
    parser.add_argument("--one-run", choices=SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


def train(api: Any, chosen: argparse.Namespace) -> dict[str, float]:
    """The user's code, the same for both sides; `api` is the module that `from ... import *` would be.

    Returns:
        The metric and the loss over the validation set, and the seconds that training took.
    """
    import torch

    api.set_seed(chosen.seed)
    common: dict[str, Any] = {
        "item_tfms": api.Resize(chosen.size),
        "batch_tfms": api.aug_transforms(max_rotate=chosen.rotate),
        "bs": chosen.bs,
        "device": chosen.device,
    }
    if chosen.workers is not None:
        common["num_workers"] = chosen.workers
    if chosen.kind == "folder":
        dls = api.ImageDataLoaders.from_folder(chosen.data, **common)
    else:
        dls = api.ImageDataLoaders.from_csv(chosen.data, folder="images", label_delim=" ", valid_col="is_valid", **common)
    metric = getattr(api, METRICS[chosen.kind])
    learn = api.vision_learner(dls, getattr(api, chosen.arch), pretrained=False, metrics=metric)
    if chosen.body is not None:
        learn.model[0].load_state_dict(torch.load(chosen.body, weights_only=True))
    rate = {} if chosen.lr is None else {"base_lr" if chosen.method == "fine_tune" else "lr_max": chosen.lr}
    start = time.perf_counter()
    with learn.no_bar(), learn.no_logging():
        getattr(learn, chosen.method)(chosen.epochs, **rate)
        seconds = time.perf_counter() - start
        loss, value = (float(v) for v in learn.validate())
    if chosen.make_body is not None:
        torch.save(learn.model[0].state_dict(), chosen.make_body)
    return {"value": value, "loss": loss, "train_s": round(seconds, 2)}


def one_run(chosen: argparse.Namespace) -> None:
    """What a subprocess does: train once, print one line of JSON."""
    api = import_module("fastai.vision.all" if chosen.one_run == "fastai" else "sightline")
    import torch

    if chosen.threads is not None:
        torch.set_num_threads(chosen.threads)
    names = ("torch", "torchvision", chosen.one_run)
    print(json.dumps(train(api, chosen) | {"threads": torch.get_num_threads(), "versions": {n: version(n) for n in names}}))


def hardware(device: str) -> dict[str, Any]:
    """The machine, in words."""
    name = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        name = next((line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line), name)
    found = {"cpu": name, "cores": os.cpu_count(), "system": platform.system(), "python": platform.python_version()}
    if device.startswith("cuda"):
        import torch

        found["gpu"] = torch.cuda.get_device_name()
    return found


def settings(chosen: argparse.Namespace) -> dict[str, Any]:
    """What must agree for two runs to be comparable; of the data, the folder's name alone."""
    values = {name: getattr(chosen, name) for name in SETTINGS}
    return {name: value.name if isinstance(value, Path) else value for name, value in values.items()}


def results_so_far(chosen: argparse.Namespace) -> dict[str, Any]:
    """The file's content, or an empty one.

    Raises:
        SystemExit: The file holds runs of other settings.
    """
    fresh = {"settings": settings(chosen), "hardware": hardware(chosen.device), "runs": []}
    if not chosen.out.exists():
        return fresh
    found = json.loads(chosen.out.read_text(encoding="utf-8"))
    changed = {k: (found["settings"].get(k), v) for k, v in fresh["settings"].items() if found["settings"].get(k) != v}
    if changed:
        words = ", ".join(f"{k}: {old!r} there, {new!r} now" for k, (old, new) in changed.items())
        raise SystemExit(f"{chosen.out} holds runs of other settings ({words}). Give another --out, or the same settings.")
    return found


def save(results: dict[str, Any], out: Path) -> None:
    """Write the file in one piece, so that an interruption leaves the old one."""
    beside = out.with_name(out.name + ".part")
    beside.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    beside.replace(out)


def run_side(side: str, seed: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """Train once in a subprocess.

    Raises:
        SystemExit: The subprocess failed; its words are shown.
    """
    command = [chosen.fastai_python if side == "fastai" else sys.executable, __file__, "--one-run", side, "--seed", str(seed)]
    for name in (*SETTINGS, "make_body"):
        if getattr(chosen, name) is not None:
            command += [f"--{name.replace('_', '-')}", str(getattr(chosen, name))]
    threads = {} if chosen.threads is None else {"OMP_NUM_THREADS": str(chosen.threads)}
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | threads | {"SIGHTLINE_CACHE": cache}
        start, start_cpu = time.perf_counter(), children_cpu_s()
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
        with Memory(process.pid) as memory:
            out, errors = process.communicate()
        spent = {"total_s": time.perf_counter() - start, "cpu_s": children_cpu_s() - start_cpu, "memory_mib": memory.most_mib}
    if process.returncode:
        raise SystemExit(f"{side}, seed {seed}, failed:\n{errors[-3000:]}")
    said = json.loads(out.splitlines()[-1])
    return {"side": side, "seed": seed, **said, **{name: round(figure, 2) for name, figure in spent.items()}}


class Memory:
    """The most memory that a process and its children hold at once, looked at from a thread; Linux only, 0 elsewhere."""

    def __init__(self, pid: int) -> None:
        self.most_mib = 0.0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1):
            self.most_mib = max(self.most_mib, sum(map(own_mib, with_children(self._pid))))


def with_children(pid: int) -> list[int]:
    """A process, its children, theirs, and so on."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [pid]
    return [pid, *(each for child in children for each in with_children(child))]


def own_mib(pid: int) -> float:
    """The memory of a process in MiB, pages that several share counted in shares; 0 once it has ended."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(row.split()[1]) for row in rows if row.startswith("Pss:")) / 1024


def children_cpu_s() -> float:
    """Seconds that finished subprocesses and their own children computed; 0 on Windows, which does not count them."""
    used = os.times()
    return used.children_user + used.children_system


def run_all(chosen: argparse.Namespace) -> dict[str, Any]:
    """Run what the file lacks, in turn, saving after every run."""
    results = results_so_far(chosen)
    finished = {(run["side"], run["seed"]) for run in results["runs"]}
    for seed in range(chosen.seeds):
        for side in SIDES:
            if (side, seed) in finished:
                continue
            run = run_side(side, seed, chosen)
            results["runs"].append(run)
            save(results, chosen.out)
            print(
                f"seed {seed} {side:9}  {run['value']:.4f}  train {run['train_s']:.1f} s, in all {run['total_s']:.1f} s",
                flush=True,
            )
    return results


def compare(values: dict[str, list[float]], lower_is_better: bool) -> dict[str, Any]:
    """Mean paired difference, sightline less fastai, with its 95% t interval and what follows from it.

    Args:
        values: For each side one figure a seed, in the same order; at least two seeds.
        lower_is_better: Whether a negative difference favours sightline.
    """
    differences = [ours - theirs for ours, theirs in zip(values["sightline"], values["fastai"], strict=True)]
    count = len(differences)
    mean = statistics.fmean(differences)
    half = T_95[min(count - 2, len(T_95) - 1)] * statistics.stdev(differences) / math.sqrt(count)
    loss = mean if lower_is_better else -mean
    return {
        "n": count,
        "mean": {side: statistics.fmean(of_side) for side, of_side in values.items()},
        "mean_difference": mean,
        "interval_95": [mean - half, mean + half],
        # The interval touches zero or lies wholly on our side exactly when its better end does.
        "no_worse": loss - half <= 0,
        "within_1_point": loss <= ALLOWED_LOSS,
    }


def report(results: dict[str, Any], metric: str, seeds: int) -> dict[str, Any] | None:
    """Print pairs and summary; returns the summary, or None where fewer than two pairs are finished."""
    runs = {(run["side"], run["seed"]): run for run in results["runs"]}
    pairs = [seed for seed in range(seeds) if all((side, seed) in runs for side in SIDES)]
    print(f"\n{metric} on {results['settings']['data']}\nseed    fastai  sightline  difference")
    for seed in pairs:
        theirs, ours = (runs[side, seed]["value"] for side in SIDES)
        print(f"{seed:4}    {theirs:.4f}     {ours:.4f}     {ours - theirs:+.4f}")
    if len(pairs) < 2:
        print("An interval needs two pairs or more.")
        return None
    summary = compare({side: [runs[side, s]["value"] for s in pairs] for side in SIDES}, LOWER_IS_BETTER[metric])
    low, high = summary["interval_95"]
    print(f"mean difference {summary['mean_difference']:+.4f}, 95% interval {low:+.4f} to {high:+.4f}, n = {summary['n']}")
    better = "lower" if LOWER_IS_BETTER[metric] else "higher"
    print(f"({better} is better) no worse: {summary['no_worse']}; within 1 point: {summary['within_1_point']}")
    for figure, unit in (("total_s", "s"), ("train_s", "s"), ("cpu_s", "s"), ("memory_mib", "MiB")):
        theirs, ours = ([runs[side, s][figure] for s in pairs] for side in SIDES)
        ratios = sorted(a / b for a, b in zip(theirs, ours, strict=True)) if all(ours) else [math.nan]
        print(
            f"{figure:10}  fastai {statistics.median(theirs):.1f} {unit}, sightline {statistics.median(ours):.1f} {unit}, "
            f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        )
    print(results["settings"], results["hardware"], *(runs[side, pairs[0]]["versions"] for side in SIDES), sep="\n")
    return summary


def main() -> None:
    """Command line."""
    chosen = options()
    chosen.data = chosen.data.resolve()
    chosen.body = None if chosen.body is None else chosen.body.resolve()
    if chosen.one_run:
        one_run(chosen)
        return
    if chosen.make_body is not None:
        print(run_side("sightline", 0, chosen))
        return
    results = run_all(chosen)
    summary = report(results, METRICS[chosen.kind], chosen.seeds)
    save(results | {"summary": summary}, chosen.out)


if __name__ == "__main__":
    main()
