"""Batches and predictions that are kept during a fit."""

from __future__ import annotations

import torch

from sightline.train.callbacks.collecting import CollectDataCallback, FetchPredsCallback
from sightline.train.callbacks.trackers import EarlyStoppingCallback
from sightline.train.events import Callback
from train.callbacks.small import learner, quiet


def test_every_batch_is_kept_with_outputs_and_loss():
    collect = CollectDataCallback()
    learn = quiet(learner(cbs=collect), "fit", 1)
    assert len(collect.data) == 4 + 2
    (x,), (y,), pred, loss = collect.data[0]
    assert torch.equal(x, learn.dls.train.source[0][0])
    assert torch.equal(y, learn.dls.train.source[0][1])
    assert pred.shape == (6, 3)
    assert float(loss) == learn.recorder.record.of("step")[0]["loss"]


def test_predictions_are_those_of_the_validation_they_come_after():
    fetch = FetchPredsCallback(with_input=True, with_decoded=True, cbs=EarlyStoppingCallback)
    learn = quiet(learner(cbs=[fetch, EarlyStoppingCallback(patience=9)]), "fit", 2)
    images, probabilities, targets, decided = fetch.preds
    assert images.shape == (9, 3, 8, 8)
    assert torch.equal(probabilities, learn.get_preds()[0])
    assert torch.equal(decided, probabilities.argmax(1))
    assert len(targets) == 9
    assert any(isinstance(cb, EarlyStoppingCallback) for cb in learn.cbs)


def test_fetching_leaves_the_figures_of_the_fit_alone():
    plain = quiet(learner(), "fit", 2)
    fetching = quiet(learner(cbs=FetchPredsCallback(ds_idx=0)), "fit", 2)
    assert fetching.recorder.values == plain.recorder.values


def test_a_loader_of_ones_own_is_predicted_on():
    fetch = FetchPredsCallback(dl=[(torch.rand(2, 3, 8, 8), torch.zeros(2, dtype=torch.int64))])
    quiet(learner(cbs=[fetch, Callback()]), "fit", 1)
    assert fetch.preds[0].shape == (2, 3)
