"""BnFreeze, MCDropout, shortened and skipped epochs."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import OptionError
from sightline.train.callbacks.core import ShortEpochCallback, SkipToEpoch
from sightline.train.callbacks.modes import BnFreeze, MCDropoutCallback, set_bn_eval
from train.callbacks.small import learner, network, quiet


def statistics(learn) -> torch.Tensor:
    return learn.model[0][1].running_mean.clone()


@pytest.mark.parametrize(("train_bn", "cbs", "moves"), [(False, BnFreeze, False), (False, None, True), (True, BnFreeze, True)])
def test_statistics_stand_still_where_the_layer_does_not_train(train_bn, cbs, moves):
    learn = learner(cbs=cbs, train_bn=train_bn)
    learn.freeze()
    before = statistics(learn)
    quiet(learn, "fit", 1)
    assert torch.equal(statistics(learn), before) is not moves


def test_bn_layers_without_weights_are_left_alone_and_modes_come_back():
    model = nn.Sequential(nn.BatchNorm2d(3, affine=False), nn.Sequential(nn.BatchNorm2d(3)), nn.BatchNorm2d(3))
    model[1].requires_grad_(False)
    set_bn_eval(model)
    assert [model[0].training, model[1][0].training, model[2].training] == [True, False, True]
    set_bn_eval(model, use_eval=False)
    assert model[1][0].training


def test_dropout_stays_on_only_for_the_pass_that_asks():
    learn = learner(model=network())
    learn.model[1][0].p = 0.5
    one, other = (learn.get_preds(cbs=MCDropoutCallback())[0] for _ in range(2))
    assert not torch.equal(one, other)
    assert torch.equal(learn.get_preds()[0], learn.get_preds()[0])


@pytest.mark.parametrize(("pct", "train", "valid"), [(0.01, 2, 2), (0.0, 1, 1), (0.5, 3, 2), (1.0, 4, 2)])
def test_an_epoch_ends_after_its_share(pct, train, valid):
    # A batch counts as begun: as in fastai, an epoch of 4 batches with a share of 0.01 ends after the second.
    learn = learner(cbs=ShortEpochCallback(pct))
    seen = []
    learn.add_cb(counting(seen))
    quiet(learn, "fit", 1)
    assert (seen.count("train"), seen.count("valid")) == (train, valid)
    assert learn.recorder.values[0][1] is not None


def counting(seen: list[str]):
    from sightline.train.events import Callback

    cb = Callback(after_loss=lambda cb: seen.append("train" if cb.training else "valid"))
    cb.order = -5
    return cb


def test_a_shortened_fit_leaves_predictions_whole():
    learn = learner(cbs=ShortEpochCallback(0.0, short_valid=False))
    quiet(learn, "fit", 1)
    assert len(learn.get_preds()[0]) == 9
    with pytest.raises(OptionError, match=r"pct=5.*share"):
        ShortEpochCallback(5)


def test_skipped_epochs_leave_no_rows():
    learn = quiet(learner(cbs=SkipToEpoch(2)), "fit", 3)
    assert [row["epoch"] for row in learn.recorder.record.of("epoch")] == [2]
