"""A job measured: what the figures are made of, what is said of them, and that the learner stays as it was."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
import torch
from torch import nn

from sightline import ImageDataLoaders, Learner, Resize, aug_transforms
from sightline.errors import OptionError
from sightline.runtime import plan_runtime
from sightline.train.events import Callback, CancelBatchException
from sightline.train.measuring import timing
from sightline.train.measuring.bench import HEADER, Bench, bench
from sightline.train.measuring.limits import advice, what_limits
from sightline.train.measuring.peak import Peak, measure_peak
from sightline.train.measuring.stages import PARTS, Stage, Step, Steps, summed
from sightline.train.measuring.timing import measure_steps
from train.callbacks.small import learner, quiet, same, weights_of

QUICK = Peak(1e12, 1e10, "fp32")


@pytest.fixture(autouse=True)
def _known_peak(request, monkeypatch):
    """The peak itself is measured by its own test alone."""
    if "the_peak" not in request.node.name:
        monkeypatch.setattr("sightline.train.measuring.bench.measure_peak", lambda runtime, seconds: QUICK)


def network(classes: int = 3) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, stride=2, padding=1),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, classes),
    )  # fmt: skip


@pytest.fixture
def learn(colour_folder) -> Learner:
    dls = ImageDataLoaders.from_folder(
        colour_folder, train="train", valid="valid", item_tfms=Resize(16), batch_tfms=aug_transforms(size=16), bs=6,
        num_workers=0, device="cpu",
    )  # fmt: skip
    return Learner(dls, network())


# ---------------------------------------------------------------- figures


def test_all_stages_of_a_job_are_measured(learn):
    found = bench(learn, 0.2)
    assert [row.stage for row in found.rows] == [
        "decode", "gather", "augment", *PARTS, "whole step, first epoch", "whole step", "validation, first pass", "validation",
    ]  # fmt: skip
    for row in found.rows:
        assert 0 < row.slowest <= row.images_per_second <= row.quickest < math.inf
        assert row.ms_per_batch == pytest.approx(1000 * 6 / row.images_per_second)
    assert sum(row.share for row in found.rows if row.share is not None) == pytest.approx(1)
    assert found.pictures == (36, 12)
    assert found.cached


def test_a_step_takes_as_long_as_its_parts(learn):
    steps = measure_steps(learn, 0.1)
    parts = [sum(one) for one in zip(*(stage.seconds for stage in steps.parts), strict=True)]
    assert parts == pytest.approx(list(steps.whole.seconds))
    assert {stage.pictures for stage in steps.parts} == {steps.whole.pictures}


def test_without_a_cache_nothing_is_gathered(colour_folder):
    options = {"item_tfms": Resize(16), "bs": 6, "num_workers": 0, "device": "cpu", "cache": False}
    dls = ImageDataLoaders.from_folder(colour_folder, train="train", valid="valid", **options)
    found = bench(Learner(dls, network()), 0.1)
    assert [stage.name for stage in found.feeding] == ["decode", "augment"]
    assert not found.cached


def test_batches_of_ones_own_are_measured_from_the_step_on():
    found = bench(learner(), 0.05)
    assert found.feeding == ()
    assert found.workers is None
    assert [row.stage for row in found.rows][: len(PARTS)] == list(PARTS)
    assert "waiting for the batch" in found.limits


def test_operations_are_those_of_the_layers(learn):
    # Two for each multiplication and addition. The first layer needs no gradient of its input.
    first, second, last = 2 * 16 * 16 * 4 * 27, 2 * 8 * 8 * 8 * 36, 2 * 8 * 3
    assert measure_steps(learn, 0.01).flops == 2 * first + 3 * second + 3 * last


def test_operations_of_frozen_layers_are_those_of_the_forward_pass(learn):
    first, second, last = 2 * 16 * 16 * 4 * 27, 2 * 8 * 8 * 8 * 36, 2 * 8 * 3
    learn.model[:-1].requires_grad_(False)
    assert measure_steps(learn, 0.01).flops == first + second + 2 * last


def test_the_peak_is_that_of_a_product_and_a_copy(monkeypatch):
    monkeypatch.setattr("sightline.train.measuring.peak._LONG_ENOUGH_S", 0.0)
    monkeypatch.setattr("sightline.train.measuring.peak._COPIED_MIB", 1)
    chance = torch.get_rng_state()
    peak = measure_peak(plan_runtime("cpu", "fp32"), 0.0)
    assert torch.equal(chance, torch.get_rng_state())
    assert peak.precision == "fp32"
    assert peak.flops > 1e8
    assert peak.copies > 1e7


def test_repeats_are_neighbours_taken_together():
    stage = Stage.of("decode", [(0.1 * number, 10) for number in range(1, 19)])
    assert stage.seconds == pytest.approx([(0.2 * number - 0.05) / 10 for number in range(1, 10)])
    assert stage.pictures == 180
    assert stage.images_per_second == pytest.approx(10 / 0.95)
    assert stage.spread == pytest.approx((10 / 1.75, 10 / 0.15))


def test_steps_of_later_epochs_count_where_there_are_any():
    slow, quick = (0.5, 0.1, 0.2, 0.1, 0.1), (0.1, 0.1, 0.2, 0.05, 0.05)
    steps = summed([Step(0, slow, 5)] * 3 + [Step(1, quick, 5)] * 3, 8.0)
    assert steps.first.median == pytest.approx(0.2)
    assert steps.whole.median == pytest.approx(0.1)
    assert steps.share("backward") == pytest.approx(0.4)
    assert steps.network == pytest.approx(5 / 0.4)
    assert summed([Step(0, slow, 5)] * 3, 8.0).whole.median == pytest.approx(0.2)


def test_marks_of_a_gpu_are_its_own(monkeypatch):
    class Event:
        def __init__(self, enable_timing):
            self.recorded_on = None

        def record(self, stream):
            self.recorded_on = stream

        def elapsed_time(self, other):
            return 250.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: f"stream of {device}")
    mark = timing._mark(torch.device("cuda", 1))
    assert mark.recorded_on == "stream of cuda:1"
    assert timing._between(mark, mark) == 0.25


# ---------------------------------------------------------------- nothing is left behind


def test_the_learner_stays_as_it_was():
    learn = quiet(learner(wd=0.1), "fit", 1, 0.01)
    weights, state, rows = weights_of(learn.model), learn.opt.state_dict(), list(learn.recorder.record.rows)
    first = next(iter(learn.opt.inner.state.values()))["exp_avg"].clone()
    counts = lambda: (learn.epochs_done, learn.dls.train.epoch, learn.dls.valid.epoch, learn.run)
    chance, dls, counted = torch.get_rng_state(), learn.dls, counts()
    learn.bench(0.05)
    assert same(weights, weights_of(learn.model))
    assert torch.equal(first, next(iter(learn.opt.inner.state.values()))["exp_avg"])
    assert learn.opt.state_dict().keys() == state.keys()
    assert learn.recorder.record.rows == rows
    assert torch.equal(chance, torch.get_rng_state())
    assert learn.dls is dls
    assert counts() == counted
    assert learn.recorder.sweep is None


def test_a_learner_that_never_trained_has_no_optimizer_afterwards(learn):
    learn.bench(0.05)
    assert learn.opt is None
    assert learn.dls.train.epoch == 0
    assert learn.recorder.losses == []


def test_callbacks_of_the_learner_take_part_unless_they_stay_away_from_passes_beside_a_fit():
    seen = []
    takes_part = Callback(after_step=lambda cb: seen.append("takes part"))
    stays_away = Callback(after_step=lambda cb: seen.append("stays away"))
    stays_away.remove_on_fetch = True
    measure_steps(learner(cbs=[takes_part, stays_away]), 0.01)
    assert set(seen) == {"takes part"}


def test_the_learner_stays_as_it_was_after_an_error():
    class Broken(Callback):
        def after_loss(self):
            if self.train_iter == 2:
                raise ZeroDivisionError

    learn = learner(cbs=Broken())
    weights = weights_of(learn.model)
    with pytest.raises(ZeroDivisionError):
        learn.bench(0.05)
    assert same(weights, weights_of(learn.model))
    assert learn.recorder.record.rows == []


def test_callbacks_that_let_no_step_through_are_told_of():
    def cancel(cb):
        raise CancelBatchException

    with pytest.raises(OptionError, match="No step went through"):
        learner(cbs=Callback(before_batch=cancel)).bench(0.01)


def test_loaders_that_give_nothing_are_told_of(monkeypatch):
    learn = learner()
    monkeypatch.setattr(type(learn.dls.train), "__iter__", lambda self: iter(()))
    with pytest.raises(OptionError, match="No step went through"):
        learn.bench(0.01)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, True, "60"])
def test_a_time_that_is_none_is_refused(seconds):
    with pytest.raises(OptionError, match=r"seconds=.*expected a positive number"):
        learner().bench(seconds)


def test_without_a_training_batch_there_is_nothing_to_measure():
    with pytest.raises(OptionError, match="no training batch"):
        learner(sizes=()).bench(0.01)


# ---------------------------------------------------------------- what is said of the figures


def stage(name: str, per_second: float) -> Stage:
    return Stage(name, (1 / per_second,), 100)


def made_up(
    wait: float, forward: float, backward: float, optimizer: float = 1e9, callbacks: float = 1e9, first: float | None = None,
    feeding: tuple[Stage, ...] = (), **other,
) -> Bench:  # fmt: skip
    """A bench from pictures a second of every part."""
    parts = tuple(map(stage, PARTS, (wait, forward, backward, optimizer, callbacks)))
    whole = Stage("whole step", (sum(one.median for one in parts),), 100)
    steps = Steps(parts, whole, stage("whole step, first epoch", first or whole.images_per_second), 2e9)
    runtime = plan_runtime("cpu", "bf16")
    return replace(Bench(feeding, steps, (), QUICK, runtime, 64, 2, (1000, 0)), **other)


def test_the_network_limits_where_pictures_come_quickly():
    found = made_up(1e4, 400, 200, feeding=(stage("decode", 1000), stage("augment", 1e9)))
    assert what_limits(found) == (
        "The network's backward pass limits: it takes 66% of a step. "
        "Pictures could come 7.5 times as fast as the network takes them."
    )


def test_decoding_limits_where_the_network_waits_for_it():
    found = made_up(310, 1900, 1900, feeding=(stage("decode", 310), stage("augment", 5000)))
    said = what_limits(found)
    assert said.startswith("Decoding limits: 310 pictures a second against 950 of the network; 75% of a step is waiting")
    assert any("cache" in tip for tip in advice(found))


def test_a_cache_takes_decoding_away_after_the_first_epoch():
    found = made_up(5000, 400, 200, first=90, feeding=(stage("decode", 310), stage("augment", 1e9)), cached=True)
    said = what_limits(found)
    assert said.startswith("The network's backward pass limits")
    assert said.endswith("In the first epoch, in which pictures are decoded, it is 90 pictures a second, later 130.")


def test_what_is_kept_does_not_count_as_decoding():
    found = made_up(500, 1900, 1900, feeding=(stage("decode", 310), stage("augment", 600)), cached=True)
    assert what_limits(found).startswith("Augmenting limits: 600 pictures a second")
    assert "Fewer transforms" in advice(found)[0]


def test_callbacks_and_the_optimizer_can_limit():
    assert what_limits(made_up(1e5, 400, 400, callbacks=100)).startswith("What callbacks do limits: it takes 67%")
    assert "one by one" in advice(made_up(1e5, 400, 400, callbacks=100))[0]
    assert "larger batch" in advice(made_up(1e5, 400, 400, optimizer=100))[0]


def test_native_bf16_is_advised_where_it_is_not_used(monkeypatch):
    monkeypatch.setattr("sightline.train.measuring.limits.has_native_bf16", lambda device: True)
    slow = made_up(1e5, 400, 200, runtime=plan_runtime("cpu", "fp32"))
    assert "bf16" in advice(slow)[0]
    assert not any("bf16" in tip for tip in advice(made_up(1e5, 400, 200)))


def test_more_threads_are_advised_where_cpus_are_idle(monkeypatch):
    monkeypatch.setattr("sightline.train.measuring.limits.cpus", lambda: 16)
    found = made_up(310, 1900, 1900, feeding=(stage("decode", 310),))
    assert advice(found)[0].startswith("2 threads decode on 16 CPUs")


def test_the_share_of_the_peak_is_that_of_network_and_gradients():
    found = made_up(1e9, 200, 200)
    # 2 GFLOP in 1/100 s, of 1,000 a second.
    assert found.share_of_peak == pytest.approx(0.2)
    assert "2 GFLOP a picture, which is 200 GFLOP/s: 20% of the best" in found.machine_words()


def test_an_epoch_is_its_steps_and_its_validation():
    validation = (stage("validation, first pass", 50), stage("validation", 100))
    found = made_up(1e9, 200, 200, first=20, validation=validation, pictures=(1000, 300))
    assert found.epoch_seconds() == pytest.approx(13, rel=1e-3)
    assert found.epoch_seconds(first=True) == pytest.approx(56)
    assert made_up(1e9, 200, 200).epoch_seconds() == pytest.approx(10, rel=1e-3)


def test_it_reads_as_a_table_and_sentences():
    found = made_up(1e4, 400, 200, feeding=(stage("decode", 1000),))
    lines = str(found).splitlines()
    assert lines[0].split("  ")[0] == HEADER[0]
    assert lines[1].split() == ["decode", "1,000", "1,000", "1,000", "64"]
    assert found.limits in lines
    assert repr(found) == str(found)


def test_it_is_plain_values_too():
    found = made_up(1e4, 400, 200, feeding=(stage("decode", 1000),))
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["stages"][0] == {
        "stage": "decode", "images_per_second": 1000, "slowest": 1000, "quickest": 1000, "ms_per_batch": 64, "share": None,
    }  # fmt: skip
    assert values["limits"] == found.limits
    assert values["gflop_per_picture"] == 2
    assert set(values) == {
        "device", "precision", "channels_last", "batch_size", "workers", "cached", "pictures", "stages", "gflop_per_picture",
        "gflops", "peak_gflops", "share_of_peak", "copies_gb_per_second", "epoch_seconds", "limits", "advice",
    }  # fmt: skip
