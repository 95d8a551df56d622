"""Run the cases of tests/reference/parity_cases.py in fastai and write what happened to tests/reference/parity.json.

Run it in an environment of its own, where fastai is installed (`pip install fastai==2.8.12`):

    python benchmarks/parity_reference.py                 # writes the file, two to three minutes on one core
    python benchmarks/parity_reference.py --stability     # writes nothing: how far do the numbers move with rounding alone?

Entries of the file (numbers carry 9 significant digits; every run is fp32 on the CPU with one thread):
    made_with     versions
    cases         name -> steps: one entry a training step, {loss, smooth_loss, lr [3 groups], mom [3 groups]};
                  epochs: one entry an epoch, {train_loss (smoothed), valid_loss, metric}; metric_name;
                  groups: sums over each of the three groups of parameters at the end (see `group_sums`; `growth` shows
                  weight decay, which the losses of two steps do not); statistics: sums of the running means and variances.
    state_dict    arch -> {keys, shapes}: default head, 3 outputs
    schedules     name -> {epochs, iterations an epoch, lr and mom of every step and group} for three groups
    combined_cos  [pct, start, middle, end] -> [[position, value], ...]
    even_mults    [start, stop, n, values];  learning_rates: how numbers and slices spread over three groups
    small         name -> {losses of every step, groups: [sum, size] of each of the three groups at the end}; see `SmallRun`
    heads         list of {options, n_features, n_out, layers, keys, shapes}: what create_head builds
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fastai import __version__ as fastai_version
from fastai import optimizer as optimizers
from fastai.callback.core import Callback
from fastai.callback.schedule import combined_cos
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import BCEWithLogitsLossFlat, CrossEntropyLossFlat
from fastai.metrics import accuracy_multi, error_rate
from fastai.optimizer import Adam
from fastai.torch_core import params
from fastai.vision.learner import create_head, vision_learner
from fastcore.basics import even_mults
from torch import nn
from torchvision import models

REFERENCE = Path(__file__).resolve().parent.parent / "tests" / "reference"
sys.path.insert(0, str(REFERENCE))
from parity_cases import (  # noqa: E402
    CASES,
    SMALL_RUNS,
    ParityCase,
    SmallRun,
    copies,
    fill_weights,
    group_sums,
    small_data,
    small_network,
    statistics_checksum,
    tensors,
)

HEADS: tuple[dict[str, Any], ...] = (
    {},
    {"concat_pool": False},
    {"pool": False},
    {"lin_ftrs": []},
    {"lin_ftrs": [64, 32], "ps": [0.1, 0.2, 0.3]},
    {"concat_pool": False, "lin_ftrs": [64, 32], "first_bn": False, "bn_final": True},
    {"first_bn": False, "ps": 0.0},
    {"bn_final": True, "y_range": (-1.0, 5.0)},
    {"lin_first": True},
    {"lin_first": True, "lin_ftrs": [64], "first_bn": False, "bn_final": True},
    {"lin_first": True, "ps": 0.0},
)


class Watch(Callback):
    """Collect what a run did: rates as used for each step, losses, figures of each epoch."""

    order = 70

    def __init__(self) -> None:
        self.steps: list[dict[str, Any]] = []
        self.epochs: list[dict[str, float]] = []

    def before_step(self) -> None:
        """The optimizer is about to use these rates."""
        hypers = self.opt.hypers
        self.steps.append({"lr": [float(h["lr"]) for h in hypers], "mom": [float(h["mom"]) for h in hypers]})

    def after_batch(self) -> None:
        """Losses of the step that just ended."""
        if self.training:
            self.steps[-1] |= {"loss": float(self.loss), "smooth_loss": float(self.smooth_loss)}

    def after_epoch(self) -> None:
        """Figures that the epoch's table row shows."""
        train_loss, valid_loss, metric = (float(v) for v in self.recorder.values[-1])
        self.epochs.append({"train_loss": train_loss, "valid_loss": valid_loss, "metric": metric})


def loaders(kind: str, *, flip_rows: bool = False, channels_last: bool = False) -> DataLoaders:
    """The data of a case as two loaders of one batch each."""
    made = []
    for split in ("train", "valid"):
        images, targets = tensors(split, kind)
        if flip_rows:
            images, targets = images.flip(0), targets.flip(0)
        rows = list(zip(images, targets, strict=True))
        loader = DataLoader(rows, bs=len(rows), shuffle=False, num_workers=0)
        if channels_last:
            loader.after_batch = lambda batch: (batch[0].contiguous(memory_format=torch.channels_last), batch[1])
        made.append(loader)
    return DataLoaders(*made, device=torch.device("cpu"))


def build(case: ParityCase, **data_options: bool) -> Learner:
    """fastai's learner for a case, holding the weights by formula."""
    single = case.kind == "single"
    learn = vision_learner(
        loaders(case.kind, **data_options),
        getattr(models, case.arch),
        n_out=case.n_out,
        loss_func=CrossEntropyLossFlat() if single else BCEWithLogitsLossFlat(),
        metrics=error_rate if single else accuracy_multi,
        **case.options,
    )
    fill_weights(learn.model)
    return learn


def run(case: ParityCase, **data_options: bool) -> dict[str, Any]:
    """Train a case and return its entry of the file."""
    learn = build(case, **data_options)
    groups = [list(group) for group in learn.splitter(learn.model)]
    before, watch = copies(groups), Watch()
    with learn.no_bar(), learn.no_logging():
        getattr(learn, case.method)(*case.arguments, cbs=watch)
    return {
        "steps": watch.steps,
        "epochs": watch.epochs,
        "metric_name": "error_rate" if case.kind == "single" else "accuracy_multi",
        "groups": group_sums(before, groups),
        "statistics": statistics_checksum(learn.model),
    }


def state_dict_facts(arch: str) -> dict[str, Any]:
    """Names and shapes of the tensors of a network with the default head."""
    model = build(ParityCase("", arch, "single", "fit", 1)).model
    state = model.state_dict()
    return {"keys": list(state), "shapes": [list(v.shape) for v in state.values()]}


class Steps:
    """Make a tiny three-group learner and record the rates of a training method."""

    RUNS: tuple[tuple[str, str, int, tuple[Any, ...], dict[str, Any]], ...] = (
        ("fine_tune", "fine_tune", 5, (3,), {}),
        (
            "fine_tune, two frozen epochs, own rates",
            "fine_tune",
            4,
            (2, 1e-2),
            {"freeze_epochs": 2, "lr_mult": 10, "pct_start": 0.5, "div": 10.0},
        ),
        ("fit_one_cycle", "fit_one_cycle", 5, (2, 1e-3), {}),
        ("fit_one_cycle of the learner's own rate", "fit_one_cycle", 3, (2,), {}),
        (
            "fit_one_cycle over a range",
            "fit_one_cycle",
            4,
            (2, slice(1e-5, 1e-3)),
            {"div": 10.0, "div_final": 1e3, "pct_start": 0.4, "moms": (0.9, 0.8, 0.99)},
        ),
        ("fit_flat_cos", "fit_flat_cos", 5, (2, 1e-3), {}),
        ("fit_flat_cos over a slice", "fit_flat_cos", 4, (3, slice(1e-3)), {"pct_start": 0.5}),
        ("fit_sgdr", "fit_sgdr", 4, (2, 1, 1e-3), {}),
        ("fit", "fit", 3, (2, slice(1e-3)), {}),
    )

    @classmethod
    def facts(cls) -> dict[str, Any]:
        """All schedules."""
        return {name: cls.one(*rest) for name, *rest in cls.RUNS}

    @staticmethod
    def one(method: str, iterations: int, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> dict[str, Any]:
        """Rates of every step of one call."""
        rows = [(torch.ones(2), torch.zeros(1)) for _ in range(iterations)]
        data = DataLoaders(DataLoader(rows, bs=1), DataLoader(rows[:1], bs=1), device=torch.device("cpu"))
        model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
        learn = Learner(
            data,
            model,
            loss_func=nn.MSELoss(),
            opt_func=Adam,
            splitter=lambda m: [params(layer) for layer in m],
            metrics=nn.L1Loss(),
        )
        watch = Watch()
        with learn.no_bar(), learn.no_logging():
            getattr(learn, method)(*arguments, **keywords, cbs=watch)
        shown = [{"slice": [a.start, a.stop]} if isinstance(a, slice) else a for a in arguments]
        return {
            "method": method,
            "arguments": shown,
            "keywords": {k: list(v) if isinstance(v, tuple) else v for k, v in keywords.items()},
            "iterations": iterations,
            "lr": [s["lr"] for s in watch.steps],
            "mom": [s["mom"] for s in watch.steps],
        }


def small_facts(case: SmallRun) -> dict[str, Any]:
    """Losses of every step of a small run, and what became of the weights."""

    def opt_func(parameters: Any, **options: Any) -> Any:
        wrapped, name = case.optimizer.startswith("torch."), case.optimizer.removeprefix("torch.")
        if wrapped:
            return optimizers.OptimWrapper(parameters, getattr(torch.optim, name), **options, **case.options)
        made = getattr(optimizers, name)(parameters, **options, **case.options)
        return optimizers.Lookahead(made) if case.lookahead else made

    rows = list(zip(*small_data(), strict=True))
    data = DataLoaders(DataLoader(rows, bs=16), DataLoader(rows, bs=16), device=torch.device("cpu"))
    learn = Learner(data, small_network(), loss_func=nn.MSELoss(), opt_func=opt_func, splitter=lambda m: [params(p) for p in m])
    losses: list[float] = []
    watch = Callback(after_batch=lambda cb: losses.append(float(cb.loss)) if cb.training else None)
    arguments = [slice(*a) if isinstance(a, tuple) else a for a in case.arguments]
    with learn.no_bar(), learn.no_logging():
        getattr(learn, case.method)(*arguments, **{"wd": 0.1, **case.keywords}, cbs=watch)
    sums = group_sums(copies(learn.opt.param_lists), learn.opt.param_lists)
    return {"losses": losses, "groups": [[s["sum"], s["size"]] for s in sums]}


def learning_rate_facts() -> list[dict[str, Any]]:
    """How one number or slice becomes a rate for each of three groups."""
    learn = build(CASES[0])
    learn.create_opt()
    facts = []
    for value in (1e-3, slice(1e-3), slice(1e-5, 1e-3), slice(3e-4, 2e-3), [1e-5, 1e-4, 2e-3]):
        learn.opt.set_hyper("lr", value)
        shown = {"slice": [value.start, value.stop]} if isinstance(value, slice) else value
        facts.append({"given": shown, "lr": [float(h["lr"]) for h in learn.opt.hypers]})
    return facts


def cosine_facts() -> list[dict[str, Any]]:
    """Values of the two-part cosine on a grid of positions."""
    facts = []
    for shape in ((0.25, 4e-5, 1e-3, 1e-8), (0.25, 0.95, 0.85, 0.95), (0.99, 8e-5, 2e-3, 2e-8), (0.3, 2e-4, 1e-3, 1e-8)):
        curve = combined_cos(*shape)
        facts.append({"shape": list(shape), "points": [[p, float(curve(p))] for p in np.linspace(0, 1, 21).tolist()]})
    return facts


def head_facts(options: dict[str, Any], n_features: int = 512, n_out: int = 3) -> dict[str, Any]:
    """Layers of one head, in order, with the numbers that each holds."""
    given = {k: list(v) if isinstance(v, list) else v for k, v in options.items()}
    head = create_head(n_features, n_out, **given)
    leaves = [m for m in head.modules() if m is not head and not (list(m.children()) and isinstance(m, nn.Sequential))]
    inside = {id(child) for m in leaves for child in m.children()}
    state = head.state_dict()
    return {
        "options": options,
        "n_features": n_features,
        "n_out": n_out,
        "layers": [layer_facts(m) for m in leaves if id(m) not in inside],
        "keys": list(state),
        "shapes": [list(v.shape) for v in state.values()],
    }


def layer_facts(layer: nn.Module) -> dict[str, Any]:
    """Class name of a layer and its numbers."""
    facts: dict[str, Any] = {"layer": type(layer).__name__}
    if isinstance(layer, nn.Linear):
        facts |= {"in": layer.in_features, "out": layer.out_features, "bias": layer.bias is not None}
    elif isinstance(layer, nn.Dropout):
        facts |= {"p": layer.p}
    elif isinstance(layer, nn.BatchNorm1d):
        facts |= {"features": layer.num_features, "momentum": layer.momentum, "eps": layer.eps}
        facts |= {"weight": float(layer.weight[0]), "bias": float(layer.bias[0])}
    elif hasattr(layer, "low"):
        facts |= {"low": layer.low, "high": layer.high}
    return facts


def rounded(value: Any) -> Any:
    """The same structure with floats cut to 9 significant digits."""
    if isinstance(value, float):
        return float(f"{value:.9g}")
    if isinstance(value, dict):
        return {k: rounded(v) for k, v in value.items()}
    return [rounded(v) for v in value] if isinstance(value, list | tuple) else value


def all_facts() -> dict[str, Any]:
    """Everything that the file holds."""
    return {
        "made_with": {"fastai": fastai_version, "torch": torch.__version__.split("+")[0], "threads": torch.get_num_threads()},
        "cases": {case.name: run(case) for case in CASES},
        "state_dict": {arch: state_dict_facts(arch) for arch in ("resnet18", "resnet34")},
        "schedules": Steps.facts(),
        "combined_cos": cosine_facts(),
        "even_mults": [
            {"given": [a, b, n], "values": list(even_mults(a, b, n))} for a, b, n in ((1e-5, 1e-3, 3), (1e-6, 1e-2, 5))
        ],
        "learning_rates": learning_rate_facts(),
        "small": {case.name: small_facts(case) for case in SMALL_RUNS},
        "heads": [head_facts(options) for options in HEADS],
    }


def written(facts: dict[str, Any]) -> str:
    """JSON with one line for each case, schedule or head: small, and a change shows as one line."""
    lines = []
    for key, value in rounded(facts).items():
        if isinstance(value, dict) and key != "made_with":
            body = ",\n".join(f"  {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items())
            lines.append(f" {json.dumps(key)}: {{\n{body}\n }}")
        elif isinstance(value, list):
            body = ",\n".join(f"  {json.dumps(v)}" for v in value)
            lines.append(f" {json.dumps(key)}: [\n{body}\n ]")
        else:
            lines.append(f" {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def spread(one: dict[str, Any], other: dict[str, Any]) -> tuple[float, float]:
    """Largest relative difference of training losses and of validation losses between two runs of a case."""

    def worst(pairs: list[tuple[float, float]]) -> float:
        return max(abs(a - b) / abs(a) for a, b in pairs)

    steps = [(a["loss"], b["loss"]) for a, b in zip(one["steps"], other["steps"], strict=True)]
    epochs = [(a["valid_loss"], b["valid_loss"]) for a, b in zip(one["epochs"], other["epochs"], strict=True)]
    return worst(steps), worst(epochs)


def report_stability() -> None:
    """Print how far each case moves when only the order of additions changes."""
    for case in CASES:
        torch.set_num_threads(1)
        base = run(case)
        losses = (
            " ".join(f"{s['loss']:.4f}" for s in base["steps"])
            + " | "
            + " ".join(f"{e['valid_loss']:.4f}" for e in base["epochs"])
        )
        moved = {
            "rows reversed": spread(base, run(case, flip_rows=True)),
            "channels last": spread(base, run(case, channels_last=True)),
        }
        torch.set_num_threads(2)
        moved["2 threads"] = spread(base, run(case))
        print(
            case.name,
            losses,
            {k: f"{a:.1e} {b:.1e}" for k, (a, b) in moved.items()},
            [e["metric"] for e in base["epochs"]],
            flush=True,
        )


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--stability", action="store_true", help="compare reruns that differ in rounding alone")
    parser.add_argument("--out", type=Path, default=REFERENCE / "parity.json")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.stability:
        report_stability()
        return
    options.out.write_text(written(all_facts()), encoding="utf-8")


if __name__ == "__main__":
    main()
