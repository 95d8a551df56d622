"""Trackers: when they stop, save and lower the rate; what they keep across phases and runs."""

from __future__ import annotations

import math
import operator

import numpy as np
import pytest
import torch

from sightline.errors import NonFiniteLossError, OptionError, SightlineWarning
from sightline.train.callbacks.trackers import (
    EarlyStoppingCallback,
    ReduceLROnPlateau,
    SaveModelCallback,
    TerminateOnNaNCallback,
    TrackerCallback,
)
from sightline.train.events import Callback
from train.callbacks.small import Pretend, learner, quiet, same, weights_of


def epochs_of(learn) -> int:
    return len(learn.recorder.values)


class Note(Callback):
    """Keeps what the network's last bias is after every epoch."""

    order = 59

    def __init__(self) -> None:
        self.biases, self.lrs = [], []

    def after_epoch(self) -> None:
        self.biases.append(self.model[1][1].bias.detach().clone())

    def before_batch(self) -> None:
        if self.training and self.iter == 0:
            self.lrs.append(self.opt.hypers[-1]["lr"])


@pytest.mark.parametrize(
    ("monitor", "comp"),
    [("valid_loss", np.less), ("train_loss", np.less), ("error_rate", np.less), ("accuracy", np.greater)],
)
def test_lower_is_better_for_losses_and_errors(monitor, comp):
    assert TrackerCallback(monitor).comp is comp


def test_min_delta_is_what_a_value_must_be_better_by():
    for monitor, values, best in [("valid_loss", [1.0, 0.95, 0.8], 0.8), ("accuracy", [0.5, 0.55, 0.7], 0.7)]:
        tracker = TrackerCallback(monitor, min_delta=0.1)
        seen = []
        note = Callback(after_epoch=lambda cb, tracker=tracker, seen=seen: seen.append(tracker.new_best))
        note.order = 61
        quiet(learner(cbs=[Pretend(values, monitor), tracker, note]), "fit", 3)
        assert seen == [True, False, True]
        assert tracker.best == best


def test_a_comparison_of_ones_own_serves():
    tracker = TrackerCallback("accuracy", comp=operator.lt)
    quiet(learner(cbs=[Pretend([0.5, 0.4], "accuracy"), tracker]), "fit", 2)
    assert tracker.best == 0.4


def test_an_unknown_column_is_named_with_what_is_there():
    with pytest.raises(
        OptionError, match=r"monitor='acuracy'.*'train_loss', 'valid_loss', 'error_rate' and 'accuracy'.*mean 'acc"
    ):
        quiet(learner(cbs=EarlyStoppingCallback("acuracy")), "fit", 1)


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 6), (9, 7)])
def test_early_stopping_waits_for_its_patience(patience, epochs):
    values = [1.0, 0.9, 1.0, 0.8, 0.9, 0.9, 0.9]
    learn = quiet(learner(cbs=[Pretend(values), EarlyStoppingCallback(patience=patience)]), "fit", 7)
    assert epochs_of(learn) == epochs


def test_a_phase_is_measured_by_itself_unless_told_otherwise():
    for reset, epochs, best in [(True, 3, 0.5), (False, 2, 0.5)]:
        early = EarlyStoppingCallback(patience=2, reset_on_fit=reset)
        learn = quiet(learner(), "fine_tune", 4, cbs=[Pretend([0.5, 0.9, 0.95, 0.91, 0.7]), early])
        # The second phase alone: 0.9 is its best, and two epochs without a better one end it.
        assert epochs_of(learn) == epochs
        assert early.best == best


def test_a_first_epoch_that_is_nan_is_gone_on_from():
    learn = quiet(learner(cbs=[Pretend([math.nan, 0.9, 0.8, 1.0]), EarlyStoppingCallback(patience=2)]), "fit", 4)
    assert epochs_of(learn) == 4


def test_early_stopping_says_since_when(capsys):
    learner(cbs=[Pretend([1.0, 1.1, 1.2]), EarlyStoppingCallback(patience=2)]).fit(5)
    assert "No improvement since epoch 0: early stopping" in capsys.readouterr().out


def test_a_nan_is_no_improvement():
    learn = quiet(learner(cbs=[Pretend([1.0, math.nan, 0.9]), EarlyStoppingCallback()]), "fit", 3)
    assert epochs_of(learn) == 2


def test_a_skipped_epoch_is_no_reason_to_stop():
    learn = learner(cbs=[Pretend([1.0, 0.9]), EarlyStoppingCallback()])
    quiet(learn, "fit", 4, start_epoch=2)
    assert [row["epoch"] for row in learn.recorder.record.of("epoch")] == [2, 3]


def test_save_model_leaves_the_best_weights(tmp_path):
    note = Note()
    learn = learner(path=tmp_path, cbs=[Pretend([1.0, 0.5, 0.9]), note, SaveModelCallback()])
    quiet(learn, "fit", 3, 0.1)
    assert torch.equal(learn.model[1][1].bias.detach(), note.biases[1])
    assert not torch.equal(note.biases[1], note.biases[2])
    assert learn.save_model.last_saved_path == tmp_path / "models" / "model.safetensors"


def test_the_best_of_the_first_phase_outlives_a_worse_second_one(tmp_path):
    note = Note()
    cbs = [Pretend([0.5, 0.9, 0.8]), note, SaveModelCallback(fname="best")]
    learn = quiet(learner(path=tmp_path), "fine_tune", 2, 0.1, cbs=cbs)
    assert torch.equal(learn.model[1][1].bias.detach(), note.biases[0])
    cbs = [Pretend([0.9, 0.5, 0.8]), note, SaveModelCallback(fname="best")]
    quiet(learn, "fine_tune", 2, 0.1, cbs=cbs)
    assert torch.equal(learn.model[1][1].bias.detach(), note.biases[3 + 1])


def test_the_second_phase_goes_on_from_the_end_of_the_first_and_not_from_its_best(tmp_path):
    ends = []

    class Ends(Callback):
        order = 99

        def before_fit(self):
            ends.append(weights_of(self.model))

        def after_fit(self):
            ends.append(weights_of(self.model))

    quiet(
        learner(path=tmp_path),
        "fine_tune",
        1,
        0.1,
        freeze_epochs=2,
        cbs=[Pretend([0.5, 0.9, 0.8]), SaveModelCallback(), Ends()],
    )
    assert same(ends[1], ends[2])


def test_a_class_given_to_fine_tune_is_one_callback_for_both_phases(tmp_path):
    learn = learner(path=tmp_path, cbs=[Pretend([0.5, 0.9])])
    found = []
    quiet(learn, "fine_tune", 1, cbs=[SaveModelCallback, Callback(before_fit=lambda cb: found.append(cb.learn.save_model))])
    assert found[0] is found[1]
    assert found[0].best == 0.5


def test_a_new_run_forgets_the_best_unless_told_not_to():
    for reset, best in [(True, 0.7), (False, 0.5)]:
        tracker = TrackerCallback(reset_on_fit=reset)
        learn = learner(cbs=[Pretend([0.5, 0.7]), tracker])
        quiet(learn, "fit", 1)
        quiet(learn, "fit", 1)
        assert tracker.best == best


def test_save_model_by_epoch_and_at_the_end(tmp_path):
    learn = learner(path=tmp_path, cbs=[SaveModelCallback(every_epoch=2, fname="e")])
    quiet(learn, "fit", 4)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["e_0.safetensors", "e_2.safetensors"]
    learn = learner(path=tmp_path, cbs=[SaveModelCallback(at_end=True, fname="end", with_opt=True)])
    quiet(learn, "fine_tune", 1)
    assert same(weights_of(learn.model), weights_of(learner(path=tmp_path).load("end").model))
    with pytest.raises(OptionError, match="every_epoch and at_end are both set"):
        SaveModelCallback(every_epoch=True, at_end=True)


def test_nothing_is_loaded_where_nothing_was_saved(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "model.safetensors").write_bytes(b"of another run")
    quiet(learner(path=tmp_path, cbs=SaveModelCallback()), "fit", 0)


def test_rates_are_divided_after_patience_and_not_below_the_least():
    note = Note()
    values = [1.0, 1.0, 1.0, 0.9, 1.0, 1.0, 1.0]
    learn = learner(cbs=[Pretend(values), note, ReduceLROnPlateau(patience=2, factor=10, min_lr=5e-4)])
    quiet(learn, "fit", 7, slice(1e-3, 1e-1))
    # By hand: two epochs without a better one after epoch 0 and after epoch 3; the lower group stops at min_lr.
    assert note.lrs == pytest.approx([0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.001])
    assert [hyper["lr"] for hyper in learn.opt.hypers] == pytest.approx([5e-4, 1e-3])


def test_the_torch_optimizer_steps_at_the_reduced_rate():
    learn = learner(cbs=[Pretend([1.0, 1.0, 1.0]), ReduceLROnPlateau()])
    quiet(learn, "fit", 3, 0.1)
    assert learn.recorder.lrs == pytest.approx([0.1] * 8 + [0.01] * 4)


def test_under_a_schedule_the_schedule_rules_and_that_is_said():
    learn, plain = learner(cbs=[Pretend([1.0] * 3), ReduceLROnPlateau()]), learner()
    with pytest.warns(SightlineWarning, match=r"schedule sets the learning rates.*learn.fit"):
        quiet(learn, "fit_one_cycle", 3, 0.1)
    quiet(plain, "fit_one_cycle", 3, 0.1)
    assert learn.recorder.lrs == plain.recorder.lrs


def test_a_factor_that_would_raise_rates_is_refused():
    with pytest.raises(OptionError, match=r"factor=0.1.*above 1"):
        ReduceLROnPlateau(factor=0.1)


def explode(learn, step: int):
    return lambda logits, target: logits.mean() * (math.nan if learn.train_iter == step and learn.training else 1.0)


def test_terminate_on_nan_ends_quietly_before_the_weights_are_spoilt(capsys):
    learn = learner(cbs=TerminateOnNaNCallback)
    learn.loss_func = explode(learn, 5)
    learn.fit(3)
    assert "The loss became nan in epoch 1, batch 1: the fit ends." in capsys.readouterr().out
    assert len(learn.recorder.losses) == 5
    assert all(torch.isfinite(parameter).all() for parameter in learn.model.parameters())
    learn.remove_cb(TerminateOnNaNCallback)
    with pytest.raises(NonFiniteLossError):
        quiet(learn, "fit", 3)


def test_a_saved_run_goes_on_with_its_best_and_its_waiting(tmp_path):
    early, save = EarlyStoppingCallback(patience=2), SaveModelCallback()
    quiet(learner(path=tmp_path, cbs=[Pretend([0.5, 0.9]), early, save]), "fit", 2)
    again, saved = EarlyStoppingCallback(patience=2), SaveModelCallback()
    again.load_state_dict(early.state_dict())
    saved.load_state_dict(save.state_dict())
    learn = quiet(learner(path=tmp_path, cbs=[Pretend([0.8, 0.8]), again, saved]), "fit", 4, start_epoch=2)
    assert epochs_of(learn) == 1
    assert (again.best, saved.best) == (0.5, 0.5)
    quiet(learn, "fit", 1)
    assert again.best == 0.8


def test_a_search_for_a_rate_leaves_trackers_alone():
    early = EarlyStoppingCallback(patience=5)
    learn = learner(cbs=[Pretend([0.5, 0.7]), early])
    quiet(learn, "fit", 1)
    learn.lr_find(num_it=8, show_plot=False, suggest_funcs=None)
    assert early.best == 0.5
    quiet(learn, "fit", 1)
    assert early.best == 0.7
