"""Predict a folder's files with fastai and with sightline, the same network on both sides, pair by pair.

Claim: decisions are those of 32 bits for at least 99.5% of the files, and on a CPU that computes in bf16 the time is limited by
its matrix products alone: on two cores with AVX512-BF16, resnet18 at 128 px takes 1/2.2 of fastai's CPU time for 2,000 files of
224 px (n=5, 2.1-2.3, on a busy machine); with AMX, where a prototype took 1/6.6, this is to be measured.

Each side runs in a fresh process, in turns, the same three lines: fastai `load_learner`, sightline `Predictor.load`; then
`dls.test_dl(files)` and `get_preds(dl=dl)`. Timed from before loading the file to the predictions; imports are not counted. The
first pair is a warm-up. sightline runs in the Python that runs this, fastai in its own:

    python benchmarks/predict_files.py --data imagenette-mini --fastai-python fa/bin/python
    python benchmarks/predict_files.py --data imagenette-mini --fastai-python fa/bin/python --weights w.pth --backend openvino

Without `--weights` a network is trained first, 3 epochs at 64 px from scratch, for decisions of an untrained one mean nothing.
With `--weights` (a state_dict of `vision_learner(dls, arch, pretrained=False)` of either library) that one is used, its classes
being the folders. Prints hardware, versions, n, images a second by wall and by CPU time (which other programs on the machine
disturb less), their ratios with spread, peak memory, and how many decisions are those of sightline in 32 bits and of fastai.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

MEASURE = """
import json, resource, sys, time
job = json.load(open(sys.argv[1]))
{imports}
def seconds():
    use = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(u.ru_utime + u.ru_stime for u in use)
before = time.perf_counter(), seconds()
{load}
preds = learn.get_preds(dl=learn.dls.test_dl(job["files"]))[0]
wall, cpu = time.perf_counter() - before[0], seconds() - before[1]
peaks = [resource.getrusage(who).ru_maxrss / 1024 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
json.dump({{"wall": wall, "cpu": cpu, "peak": peaks[0], "worker": peaks[1], "decided": preds.argmax(1).tolist()}},
          open(job["answer"], "w"))
"""
FASTAI = MEASURE.format(
    imports="import warnings; warnings.filterwarnings('ignore')\nfrom fastai.vision.all import *",
    load="learn = load_learner(job['model'])",
)
SIGHTLINE = MEASURE.format(
    imports="from sightline import Predictor",
    load="learn = Predictor.load(job['model'], 'cpu', job['precision'], backend=job['backend'])",
)
EXPORT_BY_FASTAI = """
import json, sys, torch, warnings
warnings.filterwarnings("ignore")
from fastai.vision.all import *
job = json.load(open(sys.argv[1]))
dls = ImageDataLoaders.from_folder(job["data"], train="train", valid="valid", item_tfms=Resize(job["size"]))
learn = vision_learner(dls, globals()[job["arch"]], pretrained=False)
learn.model.load_state_dict(torch.load(job["weights"], weights_only=True))
learn.export(job["model"])
"""


def options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/<class>/* and valid/<class>/*")
    parser.add_argument("--fastai-python", default=sys.executable, help="a Python that has fastai")
    parser.add_argument("--weights", type=Path, help="state_dict of the network; left out: one is trained")
    parser.add_argument("--arch", default="resnet18")
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--files", type=int, default=2000, help="how many files, in order of their names")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--precision", choices=("fp32", "bf16"), help="of sightline; left out: what it plans")
    parser.add_argument("--backend", default="torch", help="of sightline: torch or openvino")
    return parser.parse_args()


def make_models(chosen: argparse.Namespace, folder: Path) -> dict[str, str]:
    """The same network as each side exports it."""
    from sightline import ImageDataLoaders, Resize, set_seed, vision_learner
    from sightline.convert import convert_weights

    set_seed(0)
    dls = ImageDataLoaders.from_folder(chosen.data, train="train", valid="valid", item_tfms=Resize(64), bs=64)
    weights = chosen.weights
    if weights is None:
        import torch

        learn = vision_learner(dls, chosen.arch, pretrained=False)
        learn.unfreeze()
        learn.fit_one_cycle(3, 3e-3)
        weights = folder / "weights.pth"
        torch.save(learn.model.state_dict(), weights)
    ours = folder / "model.safetensors"
    convert_weights(weights, chosen.arch, list(dls.vocab), out=ours, size=chosen.size, normalize=False)
    theirs = folder / "model.pkl"
    job = {"data": str(chosen.data.resolve()), "size": chosen.size, "arch": chosen.arch, "weights": str(weights.resolve())}
    run(chosen.fastai_python, EXPORT_BY_FASTAI, {**job, "model": str(theirs)}, folder)
    return {"sightline": str(ours), "fastai": str(theirs)}


def run(python: str, code: str, job: dict[str, Any], folder: Path) -> Any:
    """What a fresh process answers."""
    question, answer = folder / "job.json", folder / "answer.json"
    answer.unlink(missing_ok=True)
    question.write_text(json.dumps({**job, "answer": str(answer)}))
    done = subprocess.run([python, "-c", code, str(question)], capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise SystemExit(f"{python} ended with exit code {done.returncode}:\n{done.stderr[-3000:]}")
    return json.loads(answer.read_text()) if answer.exists() else None


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Median and range in words."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"


def equal(one: Sequence[int], other: Sequence[int]) -> str:
    """The share of equal decisions in words."""
    differ = sum(a != b for a, b in zip(one, other, strict=True))
    return f"{1 - differ / len(one):.2%} ({differ} of {len(one):,} differ)"


def report(pairs: list[tuple[Any, Any]], exact: Any, files: int) -> None:
    """Print what was measured."""
    for kind, words in (("wall", "by wall time"), ("cpu", "by CPU time")):
        sides = (spread([files / side[kind] for side in sides], 0) for sides in zip(*pairs, strict=True))
        ratio = spread([theirs[kind] / ours[kind] for theirs, ours in pairs])
        print(f"images/s {words}: fastai {next(sides)}, sightline {next(sides)}; ratio {ratio}, n={len(pairs)}")
    for name, sides in zip(("fastai", "sightline"), zip(*pairs, strict=True), strict=True):
        workers = max(side["worker"] for side in sides)
        print(f"peak memory, {name}: {max(side['peak'] for side in sides):,.0f} MB, its largest worker {workers:,.0f} MB")
    theirs, ours = pairs[-1]
    print(f"decisions equal to sightline's in 32 bits: {equal(ours['decided'], exact['decided'])}")
    print(f"decisions equal to fastai's: {equal(ours['decided'], theirs['decided'])}")


def main() -> None:
    """Run all pairs and print."""
    chosen = options()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; torch {version('torch')}; {vars(chosen)}")
    files = sorted(str(path.resolve()) for path in chosen.data.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = files[: chosen.files]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        models = make_models(chosen, folder)
        theirs = {"model": models["fastai"], "files": files}
        ours = {"model": models["sightline"], "files": files, "precision": chosen.precision, "backend": chosen.backend}
        exact = run(sys.executable, SIGHTLINE, {**ours, "precision": "fp32", "backend": "torch"}, folder)
        pairs = [
            (run(chosen.fastai_python, FASTAI, theirs, folder), run(sys.executable, SIGHTLINE, ours, folder))
            for _ in range(chosen.pairs + 1)
        ]
    report(pairs[1:], exact, len(files))


if __name__ == "__main__":
    main()
