"""The frozen phase on pictures beside the one from stored features: accuracy after the whole `fine_tune`, and the phase's time.

A resnet18 is first trained from random weights on one data set (`--body`, a folder `train/<class>`); its body is then
fine-tuned on others, seed by seed, once for every way of training the head alone:

    train 1      fine_tune(2)                                          the usual frozen phase, one epoch
    features 1   fine_tune(2, frozen="features")                       one forward pass, the head trained as pictures come
    train 5      fine_tune(2, freeze_epochs=5)                         the usual frozen phase, five epochs
    features 5   fine_tune(2, freeze_epochs=5, frozen="features")      four more epochs of the head over what was kept

    python benchmarks/frozen_features.py --data data --body data/imagenette-mini/train --out frozen.json

`--data` holds folders: with `labels.csv` (fname, labels, is_valid; pictures in `images/`) or `train/<class>/*` and
`valid/<class>/*`; the set the body comes from is left out, and scikit-learn's digits, drawn at 32 px, are added. Runs that
`--out` holds already are not repeated, and `--for-s` ends after so many seconds, so that it can be done in pieces.

Printed for every set: mean error of every way (1 - accuracy, the mean over labels where there are several) after all of it and
after the frozen phase, the paired difference to the usual phase of as many epochs with its 95% t interval, and the seconds of
the frozen phase, of the clock and of the processor, which other programs on the machine disturb less. Stored features may
become the default if on every set the interval includes zero or favours them, and the mean is not worse by more than 1 point.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import statistics
import time
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from sightline import (
    Callback,
    ImageDataLoaders,
    Normalize,
    Resize,
    accuracy,
    accuracy_multi,
    aug_transforms,
    imagenet_stats,
    resnet18,
    set_seed,
    vision_learner,
)

if TYPE_CHECKING:
    import torch

WAYS: dict[str, dict[str, Any]] = {
    "train 1": {},
    "features 1": {"frozen": "features"},
    "train 5": {"freeze_epochs": 5},
    "features 5": {"frozen": "features", "freeze_epochs": 5},
}
AGAINST = {"features 1": "train 1", "features 5": "train 5"}
ALLOWED_LOSS = 0.01
DIGITS_PX = 32
# Two-sided 95% points of Student's t for 1 to 10 degrees of freedom.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228)


def options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of data sets")
    parser.add_argument("--body", type=Path, required=True, help="folder of classes that the body is trained on first")
    parser.add_argument("--body-epochs", type=int, default=8)
    parser.add_argument("--size", type=int, default=64, help="side in pixels")
    parser.add_argument("--bs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2, help="epochs after the frozen phase")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--for-s", type=float, default=math.inf, help="begin no new run after so many seconds")
    parser.add_argument("--out", type=Path, default=Path("frozen.json"), help="file of results; the body lies beside it")
    return parser.parse_args()


def transforms(size: int, squish: bool = False) -> dict[str, Any]:
    """Item and batch transforms, the same everywhere."""
    batch = [*aug_transforms(), Normalize.from_stats(*imagenet_stats)]
    return {"item_tfms": Resize(size, method="squish") if squish else Resize(size), "batch_tfms": batch}


def body_of(chosen: argparse.Namespace) -> dict[str, torch.Tensor]:
    """Weights of a body trained from random ones, from a file where they were trained before."""
    from safetensors.torch import load_file, save_file

    file = chosen.out.with_name(f"{chosen.out.stem}-body-{chosen.body_epochs}.safetensors")
    if not file.exists():
        set_seed(0)
        dls = ImageDataLoaders.from_folder(chosen.body, valid_pct=0.1, bs=chosen.bs, **transforms(chosen.size))
        learn = vision_learner(dls, resnet18, pretrained=False, metrics=accuracy)
        learn.fit_one_cycle(chosen.body_epochs, 3e-3)
        save_file({name: tensor.contiguous() for name, tensor in learn.model.body.state_dict().items()}, file)
    return load_file(file)


def draw_digits(folder: Path) -> Path:
    """100 of each of scikit-learn's digits as PNG files by class, the last 40 of each for validation."""
    from sklearn.datasets import load_digits

    found = load_digits()
    for label in range(10):
        pictures = found.images[found.target == label][:100]
        for i, picture in enumerate(pictures):
            part = folder / ("train" if i < 60 else "valid") / str(label)
            part.mkdir(parents=True, exist_ok=True)
            grey = Image.fromarray((picture * 15.9).astype(np.uint8))
            grey.resize((DIGITS_PX, DIGITS_PX), Image.Resampling.BICUBIC).save(part / f"{i}.png")
    return folder


def loaders(folder: Path, chosen: argparse.Namespace) -> tuple[ImageDataLoaders, Any]:
    """Data loaders of a set, and the metric that fits."""
    if (folder / "labels.csv").exists():
        csv = {"folder": "images", "label_delim": " ", "valid_col": "is_valid"}
        return ImageDataLoaders.from_csv(folder, bs=chosen.bs, **csv, **transforms(chosen.size)), accuracy_multi
    size = DIGITS_PX if folder.name == "digits" else chosen.size
    return ImageDataLoaders.from_folder(folder, bs=chosen.bs, **transforms(size)), accuracy


def run_one(folder: Path, seed: int, way: str, body: dict[str, torch.Tensor], chosen: argparse.Namespace) -> dict[str, Any]:
    """Fine-tune once."""
    set_seed(seed)
    dls, metric = loaders(folder, chosen)
    learn = vision_learner(dls, resnet18, pretrained=False, metrics=metric)
    learn.model.body.load_state_dict(body)
    marks: list[tuple[float, float]] = []

    def mark(_: Callback) -> None:
        marks.append((time.perf_counter(), time.process_time()))

    with learn.no_logging():
        learn.fine_tune(chosen.epochs, cbs=Callback(before_fit=mark, after_fit=mark), **WAYS[way])
    wall_s, cpu_s = (end - start for start, end in zip(*marks[:2], strict=True))
    frozen = learn.recorder.record.of("epoch", phase=0)
    last = learn.recorder.record.of("epoch")[-1]
    return {
        "set": folder.name,
        "seed": seed,
        "way": way,
        "error": 1 - next(iter(last["metrics"].values())),
        "error_frozen": 1 - next(iter(frozen[-1]["metrics"].values())),
        "frozen_s": round(wall_s, 3),
        "frozen_cpu_s": round(cpu_s, 3),
        "precision": learn.runtime.precision,
    }


def run_all(chosen: argparse.Namespace) -> list[dict[str, Any]]:
    """Run what the file lacks, the ways of a seed one after the other, saving after every run."""
    began = time.monotonic()
    runs: list[dict[str, Any]] = json.loads(chosen.out.read_text())["runs"] if chosen.out.exists() else []
    done = {(run["set"], run["seed"], run["way"]) for run in runs}
    body = body_of(chosen)
    with TemporaryDirectory() as made:
        sets = [folder for folder in sorted(chosen.data.iterdir()) if folder.is_dir() and folder not in chosen.body.parents]
        sets.append(draw_digits(Path(made) / "digits"))
        for seed in range(chosen.seeds):
            for folder in sets:
                for way in WAYS:
                    if (folder.name, seed, way) in done or time.monotonic() - began > chosen.for_s:
                        continue
                    run = run_one(folder, seed, way, body, chosen)
                    print(run, flush=True)
                    runs.append(run)
                    facts = {name: str(value) for name, value in vars(chosen).items() if name not in ("data", "body", "out")}
                    chosen.out.write_text(json.dumps({"settings": facts, "machine": machine(), "runs": runs}, indent=1))
    return runs


def machine() -> dict[str, Any]:
    """What computed."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":", 1)[1].strip() for line in lines if "model name" in line), platform.machine())
    return {"cpu": name, "cores": os.cpu_count(), "torch": version("torch"), "python": platform.python_version()}


def report(runs: list[dict[str, Any]]) -> None:
    """Print the table, and what follows from it."""
    held: dict[str, list[bool]] = {way: [] for way in AGAINST}
    print(f"\n{'set':18} {'way':11} n   error  frozen   difference (95% interval)      frozen phase: s (sd)  CPU s (sd)")
    for name in dict.fromkeys(run["set"] for run in runs):
        found = {(run["way"], run["seed"]): run for run in runs if run["set"] == name}
        seeds = sorted({seed for _, seed in found if all((way, seed) in found for way in WAYS)})
        for way in WAYS if len(seeds) > 1 else ():
            of_way = [found[way, seed] for seed in seeds]
            error, early = (statistics.fmean(run[key] for run in of_way) for key in ("error", "error_frozen"))
            text = ""
            if way in AGAINST:
                mean, half = difference([run["error"] - found[AGAINST[way], run["seed"]]["error"] for run in of_way])
                held[way].append(mean - half <= 0 and mean <= ALLOWED_LOSS)
                text = f"{mean:+.4f} ({mean - half:+.4f} to {mean + half:+.4f})"
            times = "  ".join(spread([run[key] for run in of_way]) for key in ("frozen_s", "frozen_cpu_s"))
            print(f"{name:18} {way:11} {len(seeds)}  {error:.4f}  {early:.4f}  {text:30} {times}")
    print("\nNo worse than the usual phase:", {way: f"{sum(sets)} of {len(sets)} sets" for way, sets in held.items()})
    print(machine(), {run["precision"] for run in runs})


def difference(values: list[float]) -> tuple[float, float]:
    """Mean, and half of its 95% t interval."""
    return statistics.fmean(values), T_95[len(values) - 2] * statistics.stdev(values) / math.sqrt(len(values))


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    return f"{statistics.fmean(values):6.2f} ({statistics.stdev(values):.2f})"


if __name__ == "__main__":
    report(run_all(options()))
