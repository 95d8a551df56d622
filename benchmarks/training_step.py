"""How long a training step takes: with fastai, with sightline, and in a loop written by hand.

Three claims, each a ratio of images a second within one run:
    step    sightline to fastai 2.8.12, both with their defaults, driven by `learn.fit` on batches that lie ready in memory
    loop    sightline to a loop of plain PyTorch, by hand, in bf16 and channels last with fused AdamW, on the same batches
    data    sightline on pictures from a folder, augmented, from the second epoch on, to the same loop by hand

    pip install sightline;  in another environment: pip install fastai==2.8.12
    python benchmarks/training_step.py --fastai-python /path/to/python                         resnet18, 128 px, batch 64
    python benchmarks/training_step.py --fastai-python ... --arch resnet50 --size 224 --bs 32
    python benchmarks/training_step.py --claims loop data --data imagenette-mini/train

Each side is a process of its own that stays alive; they compute in turn, never at once: fastai, by hand, sightline, data,
fastai, ... The first two rounds are warm-ups (kernels are made, choices timed, the cache of pictures filled) and not counted.
Random weights, ten classes, the head of `vision_learner` on all sides. What is timed is the training part of an epoch, from
`before_train` to `after_train`; validation is left out.

Printed: hardware, versions, for each side milliseconds a step and the process's peak memory, for each claim the median ratio,
its range and n. Quote the ratios: machines like those this runs on are shared, and absolute speeds vary with the neighbours;
CPU time varies less. (`cpu` counts the whole round, on pictures their reading and preparing too.)
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
from abc import ABC, abstractmethod
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

SIDES = {"fastai": "fastai", "hand": "a loop by hand", "sightline": "sightline", "data": "sightline on pictures"}
CLAIMS = {"step": ("sightline", "fastai"), "loop": ("sightline", "hand"), "data": ("data", "hand")}
APIS = {"fastai": "fastai.vision.all", "sightline": "sightline.fastai", "data": "sightline.fastai"}
CLASSES = 10
READY_BATCHES = 2


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--fastai-python", help="Python of an environment with fastai; needed for the claim 'step'")
    parser.add_argument("--claims", nargs="+", choices=CLAIMS, help="left out: those for which all is given")
    parser.add_argument("--arch", default="resnet18", help="torchvision constructor of a ResNet")
    parser.add_argument("--size", type=int, default=128, help="side of the square pictures, in pixels")
    parser.add_argument("--bs", type=int, default=64, help="batch size")
    parser.add_argument("--pairs", type=int, default=5, help="rounds that count")
    parser.add_argument("--seconds", type=float, default=6.0, help="about how long each side computes in a round")
    parser.add_argument("--data", type=Path, help="folder of pictures, a folder a class, for the claim 'data'")
    parser.add_argument("--out", type=Path, help="JSON file for all that was measured")
    parser.add_argument("--side", choices=SIDES, help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


# ---------------------------------------------------------------- one side, in a process of its own


class Side(ABC):
    """What trains; the same network, pictures and batch size on all sides."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        self.chosen = chosen

    @abstractmethod
    def train(self, steps: int) -> tuple[float, int]:
        """Seconds of some training steps, and how many they were; about `steps`."""

    def ready(self) -> list[tuple[Any, Any]]:
        """Batches of noise, as they come from any loader: float32, channel by channel."""
        import torch

        torch.manual_seed(0)
        shape = (self.chosen.bs, 3, self.chosen.size, self.chosen.size)
        return [(torch.randn(shape), torch.randint(0, CLASSES, shape[:1])) for _ in range(READY_BATCHES)]


class Library(Side):
    """A learner of fastai or sightline: the same lines for both."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        super().__init__(chosen)
        self.api = import_module(APIS[chosen.side])
        self.batches: list[tuple[Any, Any]] = []
        if chosen.side == "data":
            self.learn = self.learner_on(self.loaders_of_pictures())
        else:
            self.batches.extend(self.ready())
            loader = self.api.DataLoader(self.batches, bs=None)
            self.learn = self.learner_on(self.api.DataLoaders(loader, loader))

    def loaders_of_pictures(self) -> Any:
        resize, augment = self.api.Resize(self.chosen.size), self.api.aug_transforms()
        made = self.api.ImageDataLoaders.from_folder
        return made(self.chosen.data, valid_pct=0.02, seed=0, item_tfms=resize, batch_tfms=augment, bs=self.chosen.bs)

    def learner_on(self, dls: Any) -> Any:
        import torch

        arch = getattr(self.api, self.chosen.arch)
        return self.api.vision_learner(
            dls, arch, n_out=CLASSES, pretrained=False, normalize=False, loss_func=torch.nn.CrossEntropyLoss()
        )

    def train(self, steps: int) -> tuple[float, int]:
        if self.batches:
            self.batches[:] = (self.batches[:READY_BATCHES] * steps)[:steps]
        watch = stopwatch(self.api)
        with self.learn.no_bar(), self.learn.no_logging():
            self.learn.fit(1, 1e-3, cbs=watch)
        return watch.seconds, len(self.learn.dls.train)


def stopwatch(api: Any) -> Any:
    """A callback that times the training part of an epoch and leaves validation out."""

    class Stopwatch(api.Callback):
        def before_train(self) -> None:
            self.start = time.perf_counter()

        def after_train(self) -> None:
            self.seconds = time.perf_counter() - self.start

        def before_validate(self) -> None:
            raise api.CancelValidException

    return Stopwatch()


class ByHand(Side):
    """What someone writes who knows PyTorch well and uses no library."""

    def __init__(self, chosen: argparse.Namespace) -> None:
        super().__init__(chosen)
        import torch
        import torchvision

        self.batches = [(images.to(memory_format=torch.channels_last), labels) for images, labels in self.ready()]
        body = getattr(torchvision.models, chosen.arch)()
        self.network = torch.nn.Sequential(*list(body.children())[:-2], Pools(), *head_layers(2 * body.fc.in_features))
        self.network.to(memory_format=torch.channels_last).train()
        self.opt = torch.optim.AdamW(self.network.parameters(), lr=1e-3, betas=(0.9, 0.99), eps=1e-5, fused=True)

    def train(self, steps: int) -> tuple[float, int]:
        import torch

        loss_func = torch.nn.CrossEntropyLoss()
        start = time.perf_counter()
        for step in range(steps):
            images, labels = self.batches[step % READY_BATCHES]
            with torch.autocast("cpu", torch.bfloat16):
                outputs = self.network(images)
            loss_func(outputs.float(), labels).backward()
            self.opt.step()
            self.opt.zero_grad()
        return time.perf_counter() - start, steps


def Pools() -> Any:  # noqa: N802 - stands where a layer's class would
    """Maximum and mean of each channel, `(N, 2 * C)`; torch is imported in the process that computes only."""
    from torch import Tensor, cat, nn
    from torch.nn import functional as F

    class BothPools(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return cat([F.adaptive_max_pool2d(x, 1), F.adaptive_avg_pool2d(x, 1)], 1).flatten(1)

    return BothPools()


def head_layers(features: int) -> list[Any]:
    from torch import nn

    hidden = [nn.BatchNorm1d(features), nn.Dropout(0.25), nn.Linear(features, 512, bias=False), nn.ReLU(inplace=True)]
    return [*hidden, nn.BatchNorm1d(512), nn.Dropout(0.5), nn.Linear(512, CLASSES, bias=False)]


def serve(chosen: argparse.Namespace) -> None:
    """Trains as many steps as each line of the standard input says and answers with one line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    # What a library prints must not come between the answers.
    os.dup2(2, 1)
    side = (ByHand if chosen.side == "hand" else Library)(chosen)
    for line in sys.stdin:
        used = time.process_time()
        seconds, steps = side.train(int(line))
        answer = {"seconds": seconds, "steps": steps, "cpu": time.process_time() - used, "peak_mib": peak_mib()}
        print(json.dumps(answer | {"versions": versions()}), file=answers, flush=True)


def versions() -> dict[str, str]:
    names = ("torch", "torchvision", "fastai", "sightline")
    return {name: version(name) for name in names if name in sys.modules}


def peak_mib() -> float:
    try:
        import resource
    except ImportError:
        return 0.0
    unit = 2**10 if sys.platform.startswith("linux") else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


# ---------------------------------------------------------------- all sides, in turn


class Worker:
    """A side's process."""

    def __init__(self, side: str, python: str, arguments: list[str]) -> None:
        self.side, self.steps = side, 2
        self.answers: list[dict[str, Any]] = []
        command = [python, __file__, *arguments, "--side", side]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def compute(self, seconds: float) -> None:
        """One round of about so many seconds."""
        stdin, stdout = self.process.stdin, self.process.stdout
        if stdin is None or stdout is None:
            raise RuntimeError("the process has no pipes")
        print(self.steps, file=stdin, flush=True)
        line = stdout.readline()
        if not line:
            raise SystemExit(f"The side '{self.side}' ended with exit code {self.process.wait()}; see above.")
        self.answers.append(json.loads(line))
        self.steps = max(2, round(seconds / self.step_s(-1)))

    def step_s(self, number: int) -> float:
        return self.answers[number]["seconds"] / self.answers[number]["steps"]

    def close(self) -> None:
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def measure(chosen: argparse.Namespace, claims: list[str], arguments: list[str]) -> dict[str, Worker]:
    """All rounds; the first two are warm-ups: one of two steps, by which the length of a round is found, and a whole one."""
    wanted = [side for side in SIDES if any(side in CLAIMS[claim] for claim in claims)]
    pythons = {"fastai": chosen.fastai_python}
    workers = {side: Worker(side, pythons.get(side) or sys.executable, arguments) for side in wanted}
    try:
        for _ in range(chosen.pairs + 2):
            for worker in workers.values():
                worker.compute(chosen.seconds)
    finally:
        for worker in workers.values():
            worker.close()
    for worker in workers.values():
        del worker.answers[:2]
    return workers


def spread(values: list[float], form: str) -> str:
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:{form}} (from {low:{form}} to {high:{form}}, n={len(values)})"


def ratios(workers: dict[str, Worker], claim: str, what: str) -> list[float]:
    """How many times less ('seconds' or 'cpu') the first side of a claim took than the second, round by round."""
    ours, theirs = (workers[side].answers for side in CLAIMS[claim])
    return [(b[what] / b["steps"]) / (a[what] / a["steps"]) for a, b in zip(ours, theirs, strict=True)]


def main() -> None:
    """Measure and print."""
    chosen = options()
    if chosen.side:
        serve(chosen)
        return
    able = {"step": chosen.fastai_python, "loop": True, "data": chosen.data}
    claims = chosen.claims or [claim for claim in CLAIMS if able[claim]]
    if lacking := [claim for claim in claims if not able[claim]]:
        raise SystemExit(f"For {lacking[0]!r} there must be {'--fastai-python' if lacking[0] == 'step' else '--data'}.")
    workers = measure(chosen, claims, sys.argv[1:])
    named = {side: worker.answers[-1]["versions"] for side, worker in workers.items()}
    print(f"{processor()}, {os.cpu_count()} cores, {platform.system()}; {named}")
    print(f"{chosen.arch}, {chosen.size} px, batch {chosen.bs}; {time.strftime('%Y-%m-%d')}")
    for side, worker in workers.items():
        steps_ms = [1e3 * worker.step_s(number) for number in range(chosen.pairs)]
        cpu_s = statistics.median(answer["cpu"] / answer["steps"] for answer in worker.answers)
        peak = worker.answers[-1]["peak_mib"]
        print(f"{SIDES[side]:22} {spread(steps_ms, '.0f')} ms a step, {cpu_s:.2f} s of CPU, peak {peak:.0f} MiB")
    for claim in claims:
        faster, cheaper = (spread(ratios(workers, claim, what), ".2f") for what in ("seconds", "cpu"))
        print(f"{claim}: {' to '.join(SIDES[side] for side in CLAIMS[claim])} {faster}; by CPU time {cheaper}")
    if chosen.out:
        kept = {side: worker.answers for side, worker in workers.items()}
        chosen.out.write_text(json.dumps({"machine": processor(), "arguments": sys.argv[1:], "sides": kept}, indent=1))


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


if __name__ == "__main__":
    main()
