"""A loss that is no number, or leaves all proportion, stops the fit; the weights are then the last good ones."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import DivergedLossError, NonFiniteLossError
from sightline.target import Regression, SingleLabel
from sightline.train import last_good, recorder
from sightline.train.callbacks.mixing import MixUp
from sightline.train.callbacks.trackers import TerminateOnNaNCallback
from sightline.train.events import Callback
from sightline.train.guard import Guard
from sightline.train.last_good import LastGood
from sightline.train.learner import Learner
from sightline.train.optimizers import SGD
from train.small import convolutional


class Accident(Callback):
    """Something happens before the step with this number, from 0; what the weights were before each step is kept."""

    run_valid = False

    def __init__(self, step, what):
        self.step, self.what, self.before, self.count = step, what, [], 0

    def before_batch(self):
        self.before.append([one.detach().clone() for one in self.model.state_dict().values()])
        if self.count == self.step and self.what == "pictures":
            self.learn.xb = (self.learn.xb[0] * math.nan,)

    def before_step(self):
        if self.count == self.step and self.what == "gradients":
            for parameter in self.model.parameters():
                parameter.grad = torch.full_like(parameter, math.inf)

    def after_batch(self):
        self.count += 1


@pytest.fixture
def often(monkeypatch):
    """Weights are kept before every step."""
    monkeypatch.setattr(last_good, "SHARE", 0)


@pytest.fixture
def as_on_a_gpu(monkeypatch):
    """Losses are read at the end of an epoch only."""
    monkeypatch.setattr(recorder, "reads_freely", lambda device: False)
    monkeypatch.setattr(recorder, "READ_EVERY_S", 1e9)


def stopped(learn, accident, error=NonFiniteLossError, match="became nan", epochs=3, lr=None):
    with learn.no_logging(), pytest.raises(error, match=match) as caught:
        learn.fit(epochs, lr, cbs=accident)
    return str(caught.value)


def state(learn):
    return list(learn.model.state_dict().values())


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("what", ["pictures", "gradients"])
def test_the_weights_are_those_of_the_last_step_whose_loss_was_a_number(often, what):
    learn, accident = convolutional(), Accident(5, what)
    words = stopped(learn, accident)
    # Those before the step, whose loss they gave; statistics of normalisation have seen its pictures by then.
    last = 4 if what == "pictures" else 5
    assert words.endswith(f"The weights are again those after step {last} of this fit.")
    parameters = [one.clone() for one in learn.model.parameters()]
    names = list(learn.model.state_dict())
    kept = dict(zip(names, accident.before[last], strict=True))
    assert all(torch.equal(now, kept[name]) for (name, _), now in zip(learn.model.named_parameters(), parameters, strict=True))
    assert all(one.isfinite().all() for one in state(learn))


@pytest.mark.parametrize("what", ["pictures", "gradients"])
@pytest.mark.parametrize("step", [0, 1, 6, 11])
def test_on_a_gpu_too_where_losses_are_read_late(often, as_on_a_gpu, what, step):
    learn = convolutional()
    words = stopped(learn, Accident(step, what), match="became (nan|NaN)")
    assert all(one.isfinite().all() for one in state(learn))
    last = max(0, step - 1) if what == "pictures" else step
    assert ("those from before this fit" if last == 0 else f"those after step {last} of this fit") in words


def test_the_learner_can_be_used_and_trained_on_at_once(often, as_on_a_gpu):
    learn = convolutional()
    stopped(learn, Accident(6, "gradients"))
    assert math.isfinite(learn.validate()[0])
    with learn.no_logging():
        learn.fit_one_cycle(2)
    assert all(math.isfinite(loss) for loss in learn.recorder.losses)


def test_a_last_step_that_spoils_the_weights_is_noticed_though_no_loss_tells(often):
    learn = convolutional()
    words = stopped(
        learn, Accident(3, "gradients"), match=r"weights became NaN or infinite in the last steps up to 4", epochs=1
    )
    assert "those after step 3 of this fit" in words
    assert all(one.isfinite().all() for one in state(learn))


def test_before_anything_was_kept_the_weights_are_those_from_before_the_fit():
    learn = convolutional()
    before = [one.clone() for one in state(learn)]
    assert stopped(learn, Accident(0, "pictures")).endswith("The weights are again those from before this fit.")
    assert same(state(learn), before)


def test_weights_that_were_spoilt_before_the_fit_are_said_to_be():
    learn = convolutional()
    with torch.no_grad():
        learn.model[1][2].weight.fill_(math.nan)
    assert "not finite when this fit began: load saved ones" in stopped(learn, Accident(99, ""))


def test_masks_of_infinities_are_no_accident():
    learn = convolutional()
    learn.model[0].register_buffer("mask", torch.tensor([0.0, -math.inf]))
    with learn.no_logging():
        learn.fit(2)


@pytest.mark.parametrize("what", ["pictures", "gradients"])
def test_terminate_on_nan_ends_without_an_error_and_with_good_weights(often, what, capsys):
    for step in (5, 3):
        learn = convolutional(cbs=TerminateOnNaNCallback)
        learn.fit(3, cbs=Accident(step, what))
        assert "the fit ends. The weights are again those after step" in capsys.readouterr().out
        assert all(one.isfinite().all() for one in state(learn))


def test_weights_and_strides_stay_where_they_are(often):
    learn = convolutional().to_channelslast(use_amp=False)
    places = [(one.data_ptr(), one.stride()) for one in state(learn)]
    stopped(learn, Accident(2, "pictures"))
    assert [(one.data_ptr(), one.stride()) for one in state(learn)] == places


def test_keeping_costs_half_a_percent_at_most():
    model = nn.Sequential(*(nn.Linear(300, 300) for _ in range(20)))
    kept, now, renewed = LastGood(model), 0.0, 0
    copies = last_good.torch.where

    class Clock:
        def perf_counter(self):
            nonlocal now
            now += 0.001
            return now

    def counting(*args, **options):
        nonlocal renewed
        renewed += "out" not in options
        return copies(*args, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(last_good, "time", Clock())
        patch.setattr(last_good.torch, "where", counting)
        for step in range(2000):
            kept.renew(torch.tensor(1.0), step)
    # A copy takes one tick of this clock, and a look at it another.
    assert 5 <= renewed <= 0.005 * now / 0.001 + 1


# -------------------------------------------------------------------- divergence


def numbers():
    torch.manual_seed(2)
    pictures = torch.randn(32, 3, 4, 4)
    data = list(zip(pictures.split(16), pictures.mean(dim=(1, 2, 3)).split(16), strict=True))
    model = nn.Sequential(nn.Flatten(), nn.Linear(48, 1))
    return Learner(DataLoaders(data, data[:1], target=Regression()), model, opt_func=SGD)


def test_a_loss_out_of_all_proportion_stops_the_fit(often):
    learn = numbers()
    words = stopped(learn, None, DivergedLossError, r"became 1?\d.*e\+\d+ at step", epochs=40, lr=0.9)
    assert "for 10 steps running: 1,000 times what is usual here (1)" in words
    assert "guard.factor = math.inf" in words
    assert "The weights are again those " in words
    assert learn.validate()[0] < 100


def test_it_does_so_on_a_gpu_too(often, as_on_a_gpu):
    learn = numbers()
    stopped(learn, None, DivergedLossError, "10 steps running", epochs=40, lr=0.9)
    assert learn.validate()[0] < 100


def test_classes_diverge_too():
    learn = convolutional(opt_func=SGD)
    learn.loss_func = lambda logits, labels: nn.functional.cross_entropy(logits * 10.0**learn.train_iter, labels)
    stopped(learn, None, DivergedLossError, "10 steps running", epochs=9, lr=0.0)


def test_it_can_be_told_to_let_every_number_pass():
    learn = numbers()
    learn.recorder.guard.factor = math.inf
    with learn.no_logging():
        learn.fit(15, 0.9)
    assert learn.recorder.losses[-1] > 1e4


def judged(losses, *, labels=None, bs=64):
    """Let a guard see these losses of steps."""
    labels = torch.zeros(64, dtype=torch.int64) if labels is None else labels
    learn = convolutional()
    guard = Guard()
    guard.begin(learn)
    for step, loss in enumerate(losses):
        guard.before_step(torch.tensor(loss), labels[:bs])
        guard.judge({"loss": loss, "step": step + 1, "epoch": 0, "lr": [0.1]})


def test_sound_runs_are_never_stopped():
    judged([0.7] + [900.0] * 50)  # bad, but no more
    judged([1e-7] + [5.0] * 50)  # resumed when all was learned
    judged([3.0] + ([1e6] * 9 + [1.0]) * 20)  # bursts
    judged([3.0] + [1e7 * 0.9**i for i in range(60)])  # it recovers
    judged([1e9, *[1e11] * 50])  # regression on a large scale
    large = torch.linspace(0, 2e4, 64)
    judged([2.0] + [1e8] * 50, labels=large)  # goes on from what was learned, unlearns all of it
    judged([1e-3] * 3 + [5.0] * 10 + [4000.0] * 50, bs=1)  # batches of one: the first 16 pictures say what is usual
    judged([-5.0, -1e9] * 30)


def test_what_stays_out_of_proportion_is_stopped():
    for losses in ([0.7] + [2000.0] * 10, [50.0] + [6e4] * 10, [2.0] + [10.0**i for i in range(4, 14)]):
        with pytest.raises(DivergedLossError):
            judged(losses)


def test_a_search_for_a_rate_diverges_as_it_likes():
    learn = numbers()
    before = [one.clone() for one in state(learn)]
    with learn.no_logging():
        learn.lr_find(end_lr=1e3, num_it=60, stop_div=False, show_plot=False)
    assert same(state(learn), before)
    assert max(learn.recorder.losses) > 1e4 or not all(loss.isfinite() for loss in learn.recorder.losses)


def test_mixed_pictures_train_as_ever():
    learn = convolutional()
    with learn.no_logging():
        learn.fit(2, cbs=MixUp())
    assert isinstance(learn.target, SingleLabel)
