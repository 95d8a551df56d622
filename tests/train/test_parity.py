"""Training runs against fastai's own numbers, to 1e-4 relative; `benchmarks/parity_reference.py` made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from sightline.data.dataloaders import DataLoaders
from sightline.metrics import accuracy_multi, error_rate
from sightline.target import MultiLabel, SingleLabel
from sightline.train.events import Callback
from sightline.train.schedule import even_mults, rise_and_fall, spread
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
    return learn


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
        curve = rise_and_fall(*fact["shape"])
        assert [curve(place) for place, _ in fact["points"]] == pytest.approx([value for _, value in fact["points"]], rel=1e-6)


@pytest.mark.parametrize(
    "name", [name for name, fact in FACTS["schedules"].items() if fact["method"] in {"fine_tune", "fit_one_cycle", "fit"}]
)
def test_schedules_equal_the_reference(name):
    fact = FACTS["schedules"][name]
    rows = [(torch.ones(1, 2), torch.zeros(1)) for _ in range(fact["iterations"])]
    learn, rates = _tiny_learner(rows), BeforeStep()
    arguments = [slice(*a["slice"]) if isinstance(a, dict) else a for a in fact["arguments"]]
    with learn.no_logging():
        getattr(learn, fact["method"])(*arguments, **fact["keywords"], cbs=rates)
    assert np.array([row["lr"] for row in rates.rates]) == pytest.approx(np.array(fact["lr"]), rel=1e-6)
    assert np.array([row["mom"] for row in rates.rates]) == pytest.approx(np.array(fact["mom"]), rel=1e-6)


def _tiny_learner(rows):
    from torch import nn

    from sightline.target import Regression
    from sightline.train.learner import Learner

    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    dls = DataLoaders(rows, rows[:1], target=Regression.learn([0.0, 1.0]))
    return Learner(dls, model, splitter=lambda m: [list(layer.parameters()) for layer in m])
