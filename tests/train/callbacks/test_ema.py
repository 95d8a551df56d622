"""EMA: what is averaged, where the averaged weights stand in, and that the trained ones come back bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import OptionError
from sightline.train.callbacks.ema import EMACallback
from sightline.train.callbacks.gradients import GradientAccumulation
from sightline.train.callbacks.trackers import SaveModelCallback
from sightline.train.events import Callback, CancelFitException
from train.callbacks.small import Pretend, learner, quiet, same, weights_of


class Keep(Callback):
    """Keeps the network's state at some events."""

    order = 70

    def __init__(self) -> None:
        self.steps, self.ends_of_training, self.starts_of_training, self.validated = [], [], [], []

    def after_step(self) -> None:
        self.steps.append(weights_of(self.model))

    def before_train(self) -> None:
        self.starts_of_training.append(weights_of(self.model))

    def after_train(self) -> None:
        self.ends_of_training.append(weights_of(self.model))

    def after_validate(self) -> None:
        self.validated.append(weights_of(self.model))


def by_hand(
    start: dict[str, torch.Tensor], steps: list[dict[str, torch.Tensor]], decays: list[float]
) -> dict[str, torch.Tensor]:
    average = {name: tensor.clone() for name, tensor in start.items()}
    for step, decay in zip(steps, decays, strict=True):
        for name, tensor in step.items():
            kept = average[name] * decay + tensor * (1 - decay) if tensor.is_floating_point() else tensor
            average[name] = kept
    return average


@pytest.mark.parametrize("warmup", [True, False])
def test_the_average_is_the_formula_over_weights_and_statistics(warmup):
    ema, keep = EMACallback(0.5, warmup=warmup), Keep()
    learn = learner(cbs=[ema, keep])
    start = weights_of(learn.model)
    quiet(learn, "fit", 2, 0.1)
    decays = [min(0.5, (1 + n) / (10 + n)) if warmup else 0.5 for n in range(1, 9)]
    expected = by_hand(start, keep.steps, decays)
    left = weights_of(learn.model)
    assert all(torch.allclose(left[name].double(), expected[name].double(), atol=1e-6) for name in expected)
    assert "0.1.running_mean" in left
    assert left["0.1.num_batches_tracked"] == 8
    assert not torch.allclose(left["0.1.running_var"], keep.steps[-1]["0.1.running_var"])


def test_training_goes_on_with_the_trained_weights_exactly():
    plain_keep, keep = Keep(), Keep()
    quiet(learner(cbs=plain_keep), "fit", 3, 0.1)
    learn = quiet(learner(cbs=[EMACallback(0.9), keep]), "fit", 3, 0.1)
    assert all(same(one, other) for one, other in zip(plain_keep.steps, keep.steps, strict=True))
    assert same(keep.starts_of_training[1], keep.ends_of_training[0])
    assert not same(keep.validated[0], keep.ends_of_training[0])
    assert same(weights_of(learn.model), keep.validated[-1])


def test_what_is_validated_is_what_is_left():
    learn = quiet(learner(cbs=EMACallback(0.9)), "fit", 2, 0.1)
    assert learn.validate() == pytest.approx(learn.recorder.values[-1][1:])


def test_the_phases_of_fine_tune_are_one_average():
    ema, keep = EMACallback(0.9), Keep()
    quiet(learner(cbs=[ema, keep]), "fine_tune", 1, 0.1, freeze_epochs=1)
    assert ema.steps == 8
    assert same(keep.starts_of_training[1], keep.ends_of_training[0])


def test_a_new_run_begins_with_the_weights_as_they_are():
    ema = EMACallback(0.99, warmup=False)
    learn = quiet(learner(cbs=ema), "fit", 1, 0.1)
    left = weights_of(learn.model)
    quiet(learn, "fit", 0)
    assert same(weights_of(learn.model), left)
    assert ema.steps == 0


def test_the_best_averaged_weights_are_saved_and_loaded(tmp_path):
    keep = Keep()
    cbs = [EMACallback(0.8), keep, Pretend([1.0, 0.5, 0.9]), SaveModelCallback()]
    learn = quiet(learner(path=tmp_path, cbs=cbs), "fit", 3, 0.1)
    assert same(weights_of(learn.model), keep.validated[1])


def test_steps_that_were_not_made_are_not_averaged():
    ema = EMACallback()
    quiet(learner((4, 4, 4, 4), cbs=[ema, GradientAccumulation(8)]), "fit", 1)
    assert ema.steps == 2


def test_a_cancelled_fit_leaves_the_average_and_a_failed_one_the_trained_weights():
    def cancel(cb):
        if cb.iter == 2 and cb.training:
            raise CancelFitException

    ema = EMACallback(0.9)
    learn = quiet(learner(cbs=[ema, Callback(after_batch=cancel)]), "fit", 2, 0.1)
    assert same(weights_of(learn.model), ema.average)

    def fail(cb):
        raise KeyError

    keep = Keep()
    learn = learner(cbs=[EMACallback(0.9), keep, Callback(after_validate=fail)])
    with pytest.raises(KeyError):
        quiet(learn, "fit", 1, 0.1)
    assert same(weights_of(learn.model), keep.steps[-1])


def test_a_saved_run_goes_on_as_if_it_had_not_stopped():
    def run(epochs, ema, learn, **options):
        quiet(learn, "fit", epochs, 0.1, **options)
        return learn

    whole = learner(model=nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), cbs=EMACallback(0.9), opt_func=sgd)
    whole.model[1].load_state_dict(start := nn.Linear(192, 3).state_dict())
    quiet(whole, "fit", 4, 0.1)
    saved: dict = {}

    def keep(cb):
        saved.update(ema=cb.learn.ema.state_dict(), model=weights_of(cb.model))

    last = Callback(after_epoch=keep)
    last.order = 99
    first = learner(model=nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), cbs=[EMACallback(0.9), last], opt_func=sgd)
    first.model[1].load_state_dict(start)
    quiet(first, "fit", 2, 0.1)
    second = learner(model=nn.Sequential(nn.Flatten(), nn.Linear(192, 3)), cbs=EMACallback(0.9), opt_func=sgd)
    second.model.load_state_dict(saved["model"])
    second.ema.load_state_dict(saved["ema"])
    quiet(second, "fit", 4, 0.1, start_epoch=2)
    assert same(weights_of(second.model), weights_of(whole.model))


def test_the_average_of_another_network_is_refused():
    ema = EMACallback()
    ema.load_state_dict({"steps": 3, "average": {"0.0.weight": torch.zeros(2)}, "trained": {}})
    with pytest.raises(OptionError, match="of another network"):
        quiet(learner(cbs=ema), "fit", 1)


def sgd(params, lr):
    return torch.optim.SGD(params, lr=lr)


@pytest.mark.parametrize("decay", [1, -0.1, 2])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(OptionError, match="decay="):
        EMACallback(decay)
