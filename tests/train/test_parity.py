"""Training runs against fastai's own numbers, to 1e-4 relative; `benchmarks/parity_reference.py` made them."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.metrics.multi_label import accuracy_multi
from sightline.metrics.single_label import error_rate
from sightline.target import MultiLabel, Regression, SingleLabel
from sightline.train.events import Callback
from sightline.train.learner import Learner
from sightline.train.lookahead import Lookahead, ranger
from sightline.train.optim import Adam, OptimWrapper
from sightline.train.optimizers import SGD, Lamb, Larc, QHAdam, RAdam, RMSProp
from sightline.train.schedule import combined_cos, even_mults, spread
from sightline.train.vision import vision_learner

REFERENCE = Path(__file__).parent.parent / "reference"
sys.path.insert(0, str(REFERENCE))

import parity_cases as cases  # noqa: E402

FACTS = json.loads((REFERENCE / "parity.json").read_text())
CLOSE = 1e-4


class BeforeStep(Callback):
    """Notes the rates that each step uses."""

    def __init__(self) -> None:
        self.rates: list[dict[str, list[float]]] = []

    def before_step(self) -> None:
        hypers = self.learn.opt.hypers
        self.rates.append({"lr": [h["lr"] for h in hypers], "mom": [h["mom"] for h in hypers]})


def loaders(kind: str) -> DataLoaders:
    target = (
        SingleLabel.learn(cases.label_names("train", kind))
        if kind == "single"
        else MultiLabel.learn(cases.label_names("train", kind), names=cases.TAG_NAMES)
    )
    return DataLoaders(*([cases.tensors(split, kind)] for split in ("train", "valid")), target=target)


def learner(case: cases.ParityCase):
    metric = error_rate if case.kind == "single" else accuracy_multi
    learn = vision_learner(loaders(case.kind), getattr(torchvision.models, case.arch), metrics=metric, **case.options)
    cases.fill_weights(learn.model)
    # The reference has its pictures channel by channel; the other format adds in another order, which long runs blow up.
    return learn.to_contiguous()


@pytest.mark.parametrize("case", cases.CASES, ids=[case.name for case in cases.CASES])
def test_training_gives_the_reference_numbers(case):
    expected = FACTS["cases"][case.name]
    learn, rates = learner(case), BeforeStep()
    groups = [list(group) for group in learn.splitter(learn.model)]
    before = cases.copies(groups)
    with learn.no_logging():
        getattr(learn, case.method)(*case.arguments, cbs=rates)
    steps = learn.recorder.record.of("step")
    assert [row["loss"] for row in steps] == pytest.approx([row["loss"] for row in expected["steps"]], rel=CLOSE)
    assert [row["smooth_loss"] for row in steps] == pytest.approx([row["smooth_loss"] for row in expected["steps"]], rel=CLOSE)
    for name in ("lr", "mom"):
        wanted = np.array([row[name] for row in expected["steps"]])
        assert np.array([row[name] for row in rates.rates]) == pytest.approx(wanted, rel=CLOSE)
        assert np.array([row[name] for row in steps]) == pytest.approx(wanted, rel=CLOSE)
    epochs = learn.recorder.record.of("epoch")
    assert [row["valid_loss"] for row in epochs] == pytest.approx([row["valid_loss"] for row in expected["epochs"]], rel=CLOSE)
    assert [row["metrics"][expected["metric_name"]] for row in epochs] == pytest.approx(
        [row["metric"] for row in expected["epochs"]], abs=1e-6
    )
    for sums, wanted in zip(cases.group_sums(before, groups), expected["groups"], strict=True):
        assert [sums["sum"], sums["size"]] == pytest.approx([wanted["sum"], wanted["size"]], rel=CLOSE)
        assert sums["path"] == pytest.approx(wanted["path"], rel=CLOSE)
        # A small difference of large numbers: rounding shows in it first, and so do decay and its exemptions.
        assert sums["growth"] == pytest.approx(wanted["growth"], rel=6e-4)
    assert cases.statistics_checksum(learn.model) == pytest.approx(expected["statistics"], rel=CLOSE)


@pytest.mark.parametrize("arch", ["resnet18", "resnet34"])
def test_state_dict_has_the_reference_order_and_shapes(arch):
    learn = learner(cases.ParityCase("", arch, "single", "fit", 1))
    state = learn.model.state_dict()
    assert list(state) == FACTS["state_dict"][arch]["keys"]
    assert [list(value.shape) for value in state.values()] == FACTS["state_dict"][arch]["shapes"]


def test_rates_spread_over_groups_as_in_the_reference():
    for fact in FACTS["learning_rates"]:
        given = slice(*fact["given"]["slice"]) if isinstance(fact["given"], dict) else fact["given"]
        assert spread(given, 3) == pytest.approx(fact["lr"], rel=1e-7)
    for fact in FACTS["even_mults"]:
        assert even_mults(*fact["given"]) == pytest.approx(fact["values"], rel=1e-7)


def test_two_part_cosine_equals_the_reference():
    for fact in FACTS["combined_cos"]:
        curve = combined_cos(*fact["shape"])
        assert [curve(place) for place, _ in fact["points"]] == pytest.approx([value for _, value in fact["points"]], rel=1e-6)


@pytest.mark.parametrize("name", list(FACTS["schedules"]))
def test_schedules_equal_the_reference(name):
    fact = FACTS["schedules"][name]
    rows = [(torch.ones(1, 2), torch.zeros(1)) for _ in range(fact["iterations"])]
    learn, rates = _tiny_learner(rows), BeforeStep()
    arguments = [slice(*a["slice"]) if isinstance(a, dict) else a for a in fact["arguments"]]
    with learn.no_logging():
        getattr(learn, fact["method"])(*arguments, **fact["keywords"], cbs=rates)
    # The reference places the parts of a schedule in 32 bits.
    assert np.array([row["lr"] for row in rates.rates]) == pytest.approx(np.array(fact["lr"]), rel=1e-5)
    assert np.array([row["mom"] for row in rates.rates]) == pytest.approx(np.array(fact["mom"]), rel=1e-6)


@pytest.mark.parametrize("case", cases.SMALL_RUNS, ids=[case.name for case in cases.SMALL_RUNS])
def test_optimizers_and_schedules_train_as_in_the_reference(case):
    expected = FACTS["small"][case.name]
    x, y = cases.small_data()
    dls = DataLoaders([(x, y)], [(x, y)], target=Regression.learn([0.0, 1.0]))
    learn = Learner(dls, cases.small_network(), opt_func=_optimizer(case), splitter=lambda m: [list(p.parameters()) for p in m])
    arguments = [slice(*a) if isinstance(a, tuple) else a for a in case.arguments]
    with learn.no_logging():
        getattr(learn, case.method)(*arguments, **{"wd": 0.1, **case.keywords})
    assert [row["loss"] for row in learn.recorder.record.of("step")] == pytest.approx(expected["losses"], rel=CLOSE)
    groups = learn.opt.param_lists
    sums = [[group["sum"], group["size"]] for group in cases.group_sums(cases.copies(groups), groups)]
    assert np.array(sums) == pytest.approx(np.array(expected["groups"]), rel=CLOSE)


def _optimizer(case):
    if case.optimizer.startswith("torch."):
        return partial(OptimWrapper, opt=getattr(torch.optim, case.optimizer.removeprefix("torch.")), **case.options)
    named = {"Adam": Adam, "ranger": ranger, **{f.__name__: f for f in (SGD, RMSProp, RAdam, QHAdam, Larc, Lamb)}}
    opt_func = partial(named[case.optimizer], **case.options)
    return (lambda params, lr: Lookahead(opt_func(params, lr))) if case.lookahead else opt_func


def _tiny_learner(rows):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    dls = DataLoaders(rows, rows[:1], target=Regression.learn([0.0, 1.0]))
    return Learner(dls, model, splitter=lambda m: [list(layer.parameters()) for layer in m])
