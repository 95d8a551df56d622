"""How fast whole batches are augmented and normalised, with fastai and with sightline: uint8 pictures in, floats out.

Both sides get the same pictures (drawn by formula, already decoded and of one size), run `aug_transforms()` and `Normalize` as
in training or as in validation, and stop where the network would begin: fastai by the pipeline that its loaders run, sightline
by `BatchPipeline`, with the host prepared as a `Learner` prepares it. One process a side, asked in turn: fastai, sightline,
fastai, ... Nothing is decoded, copied or trained.

    python benchmarks/augmentation_speed.py --fastai-python fastai/bin/python --pairs 7 --threads 1 2

`--fastai-python` is a Python that has fastai 2.8.12; this script runs in one that has sightline.

What is printed: milliseconds a picture of both sides (the quickest turn), and the ratio (fastai over sightline) of every pair
as minimum, median and maximum, by wall time and by the time that processors computed (which other programs on the machine
disturb less); hardware, versions, date and n. A turn is the median of some batches, after one that is not counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

CASES: dict[str, tuple[int, int | None, int]] = {
    "128 px": (128, None, 64),
    "224 px": (224, None, 64),
    "460 -> 224 px": (460, 224, 16),
}
"""Side of the pictures as they come, side to which batches are brought (None: as they are), pictures in a batch."""
FORMS = ("training", "validation")
BATCHES = 5


def pictures(count: int, side: int) -> Any:
    """uint8 `(count, side, side, 3)`: soft shapes with some noise, like photographs."""
    import numpy as np

    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] / side
    waves = rng.uniform(1, 9, (count, 3, 2))
    soft = 0.5 + 0.4 * np.sin(waves[..., 0, None, None] * x * 3 + waves[..., 1, None, None] * y * 3)
    noisy = 255 * soft + rng.normal(0, 8, soft.shape)
    return np.ascontiguousarray(noisy.clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1))


def of_fastai(side: int, size: int | None, count: int) -> dict[str, Callable[[], Any]]:
    """One batch in training and one in validation, by fastai's pipeline of its loaders."""
    import torch
    from fastai.data.transforms import IntToFloatTensor, Normalize
    from fastai.vision.augment import aug_transforms
    from fastai.vision.core import TensorImage, imagenet_stats
    from fasttransform import Pipeline

    batch = torch.from_numpy(pictures(count, side)).permute(0, 3, 1, 2).contiguous()

    def pipeline(split_idx: int) -> Callable[[], Any]:
        steps = [IntToFloatTensor(), *aug_transforms(size=size), Normalize.from_stats(*imagenet_stats, cuda=False)]
        run = Pipeline(steps, split_idx=split_idx)
        return lambda: run(TensorImage(batch))

    return {"training": pipeline(0), "validation": pipeline(1)}


def of_sightline(side: int, size: int | None, count: int) -> dict[str, Callable[[], Any]]:
    """One batch in training and one in validation, by what sightline's loaders run."""
    from itertools import count as numbers

    import numpy as np
    import torch

    from sightline import Normalize, aug_transforms, imagenet_stats
    from sightline.data.transforms.batch_pipeline import BatchPipeline

    batch, rows, epochs = torch.from_numpy(pictures(count, side)), np.arange(count), numbers()
    run = BatchPipeline([*aug_transforms(size=size), Normalize.from_stats(*imagenet_stats)])
    return {
        "training": lambda: run.train(batch, seed=0, epoch=next(epochs), rows=rows),
        "validation": lambda: run.evaluate(batch),
    }


def serve(side_name: str, threads: int) -> None:
    """Answers each line on standard input, [case, form], by [wall, processor] milliseconds a picture."""
    if side_name == "sightline":
        from sightline.runtime import plan_runtime

        plan_runtime("cpu").prepare_host()
    import torch

    torch.set_num_threads(threads)
    made: dict[str, dict[str, Callable[[], Any]]] = {}
    for line in sys.stdin:
        case, form = json.loads(line)
        if case not in made:
            made = {case: (of_fastai if side_name == "fastai" else of_sightline)(*CASES[case])}
        made[case][form]()
        wall, cpu = [], []
        for _ in range(BATCHES):
            start, computed = time.perf_counter(), time.process_time()
            made[case][form]()
            wall.append(time.perf_counter() - start)
            cpu.append(time.process_time() - computed)
        share = 1000 / CASES[case][2]
        print(json.dumps([statistics.median(wall) * share, statistics.median(cpu) * share]), flush=True)


class Side:
    """A process that augments when it is asked to."""

    def __init__(self, name: str, python: str, threads: int) -> None:
        command = [python, __file__, "--serve", name, "--threads", str(threads)]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def turn(self, case: str, form: str) -> list[float]:
        """[wall, processor] milliseconds a picture."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps([case, form]), file=self.process.stdin, flush=True)
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{self.process.args!r} ended; its messages are above.")
        return json.loads(answer)

    def end(self) -> None:
        """Lets the process go."""
        self.process.communicate()


def compare(threads: int, pairs: int, fastai_python: str) -> None:
    """All cases with one number of threads."""
    theirs, ours = Side("fastai", fastai_python, threads), Side("sightline", sys.executable, threads)
    for case in CASES:
        for form in FORMS:
            turns = [(theirs.turn(case, form), ours.turn(case, form)) for _ in range(pairs)]
            told = []
            for clock, name in enumerate(("wall", "processors")):
                ratios = sorted(their[clock] / our[clock] for their, our in turns)
                fastai, sightline = (min(turn[side][clock] for turn in turns) for side in (0, 1))
                spread = f"{ratios[0]:.1f} / {statistics.median(ratios):.1f} / {ratios[-1]:.1f}"
                told.append(f"{name} {fastai:.3f} v {sightline:.3f} ms a picture, ratio {spread}")
            print(f"{threads} thread{'s' * (threads > 1)}, {case}, {form}: {'; '.join(told)} (n={pairs})", flush=True)
    theirs.end()
    ours.end()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fastai-python", default=sys.executable, help="a Python that has fastai")
    parser.add_argument("--pairs", type=int, default=7, help="how many turns of each side there are")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, os.cpu_count() or 1], help="threads of PyTorch")
    parser.add_argument("--serve", choices=("fastai", "sightline"), help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        serve(chosen.serve, chosen.threads[0])
        return
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, ", end="")
    print(f"torch {version('torch')}, numpy {version('numpy')}; {time.strftime('%Y-%m-%d')}; fastai v sightline,")
    print("ratio (fastai over sightline) as minimum / median / maximum of the pairs")
    for threads in chosen.threads:
        compare(threads, chosen.pairs, chosen.fastai_python)


if __name__ == "__main__":
    main()
