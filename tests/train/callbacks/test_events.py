"""What callbacks written for fastai do, and what they are told where that would do nothing."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from sightline.errors import OptionError, SightlineWarning
from sightline.train.callbacks.core import CastToTensor, TrainEvalCallback
from sightline.train.callbacks.gradients import GradientClip
from sightline.train.callbacks.logs import CSVLogger
from sightline.train.callbacks.mixing import MixUp
from sightline.train.callbacks.modes import MCDropoutCallback
from sightline.train.callbacks.trackers import ReduceLROnPlateau, SaveModelCallback
from sightline.train.events import EVENTS, Callback, CancelFitException, before_batch_cb, event
from sightline.train.progress import ProgressCallback
from sightline.train.recorder import Recorder
from train.callbacks.small import learner, quiet, same, weights_of


@pytest.mark.parametrize(
    ("cls", "name"),
    [
        (SaveModelCallback, "save_model"),
        (TrainEvalCallback, "train_eval"),
        (ProgressCallback, "progress"),
        (Recorder, "recorder"),
        (MixUp, "mix_up"),
        (GradientClip, "gradient_clip"),
        (CSVLogger, "csv_logger"),
        (ReduceLROnPlateau, "reduce_lr_on_plateau"),
        (MCDropoutCallback, "mc_dropout"),
        (Callback, "callback"),
    ],
)
def test_names_are_those_of_the_field(cls, name):
    assert cls.__new__(cls).name == name


def test_a_callback_is_found_in_the_learner_by_its_name_while_it_is_there():
    learn = learner(cbs=GradientClip(0.5))
    assert learn.gradient_clip.max_norm == 0.5
    with learn.removed_cbs(GradientClip):
        assert not hasattr(learn, "gradient_clip")
    assert learn.gradient_clip.max_norm == 0.5
    learn.remove_cb(learn.gradient_clip)
    assert not hasattr(learn, "gradient_clip")


def test_a_callback_does_not_take_the_place_of_the_learners_own():
    class Fit(Callback):
        pass

    class Epoch(Callback):
        pass

    learn = learner(cbs=[Fit, Epoch])
    quiet(learn, "fit", 1)
    assert learn.epoch == 0
    learn.remove_cbs([Fit, Epoch])
    quiet(learn, "fit", 1)


def test_scripts_may_remove_the_usual_callbacks(capsys):
    learn = learner(cbs=CastToTensor)
    learn.remove_cb(ProgressCallback).remove_cb(CastToTensor)
    learn.fit(1)
    assert capsys.readouterr().out == ""
    assert len(learn.recorder.losses) == 4


def test_functions_serve_as_handlers():
    seen = []

    def before_fit(cb):
        seen.append((cb.name, cb.n_epoch))

    quiet(learner(cbs=Callback(before_fit=before_fit, after_fit=lambda cb: seen.append("end"))), "fit", 2)
    assert seen == [("callback", 2), "end"]
    with pytest.raises(OptionError, match=r"no event 'begin_fit'. Did you mean 'before_fit'"):
        Callback(begin_fit=before_fit)


def test_before_batch_cb_takes_and_returns_the_batch():
    double = before_batch_cb(lambda cb, xb, yb: ((xb[0] * 2,), yb))
    seen = []
    look = Callback(after_pred=lambda cb: seen.append(torch.equal(cb.x, cb.learn.batch.image * 2)))
    quiet(learner(cbs=[double, look]), "fit", 1)
    assert seen
    assert all(seen)


def test_event_names_are_attributes():
    assert event.before_fit == "before_fit"
    assert set(vars(event)) == set(EVENTS)
    assert isinstance(event, SimpleNamespace)


@pytest.mark.parametrize("name", ["pred", "loss", "xb", "yb", "training", "epoch", "opt", "model", "dls"])
def test_hiding_what_is_the_learners_is_warned_of_with_the_way_to_change_it(name):
    cb = Callback(before_fit=lambda cb: setattr(cb, name, "mine"))
    learn = learner(cbs=cb)
    with pytest.warns(SightlineWarning, match=rf"self.{name} = .*self\.learn\.{name}"):
        quiet(learn, "fit", 1)
    assert getattr(cb, name) == "mine"
    assert getattr(learn, name) != "mine"


def test_a_value_of_ones_own_may_have_such_a_name_if_it_was_there_first():
    class ToFile(Callback):
        def __init__(self, path, lr):
            self.path, self.lr = path, lr

        def before_fit(self):
            self.path = f"{self.path}.txt"

    cb = ToFile("here", 3)
    quiet(learner(cbs=cb), "fit", 1)
    assert (cb.path, cb.lr) == ("here.txt", 3)


def test_everything_that_scripts_read_is_there():
    names = [name for name in vars(Callback) if type(vars(Callback)[name]).__name__ == "_OfLearner"]
    assert {"model", "opt", "loss_func", "metrics", "cbs", "dls", "lr", "loss_grad", "smooth_loss", "pred"} <= set(names)
    seen = {}
    look = Callback(after_loss=lambda cb: seen.update({name: getattr(cb, name) for name in names}))
    look.run_valid = False
    learn = learner(cbs=look, path="somewhere")
    quiet(learn, "fit", 1, 0.03)
    assert seen["path"].name == "somewhere"
    assert seen["loss_grad"].requires_grad
    assert seen["opt"].hypers[-1]["lr"] == 0.03
    assert seen["model"] is learn.model
    assert len(seen["xb"]) == len(seen["yb"]) == 1
    with pytest.raises(AttributeError):
        _ = look.no_such_thing


def test_a_callback_changes_hyper_parameters_by_hand():
    class Halve(Callback):
        def after_epoch(self):
            for hyper in self.opt.hypers:
                hyper["lr"] /= 2

    learn = quiet(learner(cbs=Halve), "fit", 3, 0.08)
    assert learn.recorder.lrs == pytest.approx([0.08] * 4 + [0.04] * 4 + [0.02] * 4)
    # The last step was made at the rate that it was told of.
    assert learn.opt.inner.param_groups[-1]["lr"] == pytest.approx(0.02)


def test_the_run_flag_turns_a_callback_off_until_the_fit_ends():
    class Once(Callback):
        def __init__(self):
            self.fits = self.epochs = 0

        def before_fit(self):
            self.fits += 1
            self.run = self.fits != 1

        def after_epoch(self):
            self.epochs += 1

    cb = Once()
    learn = learner(cbs=cb)
    quiet(learn, "fit", 2)
    assert (cb.epochs, cb.run) == (0, True)
    quiet(learn, "fit", 2)
    assert cb.epochs == 2


def test_a_callback_may_add_and_remove_others_in_a_fit():
    seen = []
    late = Callback(after_epoch=lambda cb: seen.append(cb.epoch))

    class Adds(Callback):
        def before_epoch(self):
            if self.epoch == 1:
                self.learn.add_cb(late)

        def after_fit(self):
            self.learn.remove_cb(late)

    learn = quiet(learner(cbs=Adds), "fit", 3)
    assert seen == [1, 2]
    assert late not in learn.cbs


def test_ordered_cbs_lists_who_sees_an_event():
    learn = learner(cbs=[GradientClip, MixUp])
    assert [type(cb).__name__ for cb in learn.ordered_cbs("before_step")] == ["GradientClip"]
    assert [type(cb).__name__ for cb in learn.ordered_cbs("before_fit")][:2] == ["TrainEvalCallback", "Recorder"]
    assert repr(learn.cbs[-1]) == "MixUp"


def test_the_loop_is_shown_with_who_sees_what(capsys):
    learner(cbs=GradientClip).show_training_loop()
    lines = capsys.readouterr().out.splitlines()
    assert "        before_step: [GradientClip]" in lines
    assert lines[0] == "before_fit: [TrainEvalCallback, Recorder, ProgressCallback]"
    assert {line.split(":")[0].strip() for line in lines} >= set(EVENTS) - {
        "after_create",
        "after_cancel_backward",
        "after_cancel_step",
    }


def test_a_state_of_other_names_is_refused():
    with pytest.raises(OptionError, match="save_model resumes from 'best' and 'last_saved_path', but was given 'weights'"):
        SaveModelCallback().load_state_dict({"weights": 1})


def test_a_loss_of_the_users_own_is_kept_for_backward():
    weights = []

    class Freeze(Callback):
        def after_loss(self):
            if self.training:
                self.learn.loss_grad = self.loss_grad * 0

        def after_create(self):
            weights.append(weights_of(self.model))

    def stop(cb):
        raise CancelFitException

    learn = learner(cbs=[Freeze, Callback(after_batch=stop)], wd=0.0)
    quiet(learn, "fit", 1, 0.1)
    trained = {name: t for name, t in weights_of(learn.model).items() if "running" not in name and "num_" not in name}
    assert same(trained, {name: weights[0][name] for name in trained})
