"""The recorder: figures are of the step and epoch that they stand beside, whatever callbacks do."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import NonFiniteLossError
from sightline.metrics.single_label import accuracy
from sightline.target import SingleLabel
from sightline.train.events import (
    Callback,
    CancelEpochException,
    CancelFitException,
    CancelTrainException,
    CancelValidException,
)
from sightline.train.learner import Learner


def learner(**options) -> Learner:
    torch.manual_seed(0)
    rows = [(torch.randn(4, 3), torch.randint(0, 2, (4,))) for _ in range(5)]
    return Learner(
        DataLoaders(rows, rows[:2], target=SingleLabel.learn(["a", "b"])), nn.Linear(3, 2), metrics=accuracy, **options
    )


def fitted(epochs: int = 3, **options) -> Learner:
    learn = learner(**options)
    with learn.no_logging():
        learn.fit(epochs, 1e-2)
    return learn


class Raise(Callback):
    def __init__(self, event: str, what: type[Exception], epochs: tuple[int, ...]) -> None:
        def handler():
            if self.learn.epoch in epochs:
                raise what

        setattr(self, event, handler)


def test_smoothed_losses_are_a_corrected_exponential_average():
    learn = fitted(1)
    steps = learn.recorder.record.of("step")
    total = 0.0
    for count, row in enumerate(steps, start=1):
        total = 0.98 * total + 0.02 * row["loss"]
        assert row["smooth_loss"] == pytest.approx(total / (1 - 0.98**count))
    assert learn.recorder.values[0][0] == steps[-1]["smooth_loss"]


def test_a_skipped_validation_has_no_figures():
    learn = fitted(cbs=Raise("before_validate", CancelValidException, (1,)))
    assert [row["valid_loss"] is None for row in learn.recorder.record.of("epoch")] == [False, True, False]
    assert learn.recorder.values[1][2] is None


@pytest.mark.parametrize("skipped", [(0,), (1,), (0, 1, 2)])
def test_a_skipped_epoch_has_no_row(skipped):
    learn = fitted(cbs=Raise("before_epoch", CancelEpochException, skipped))
    assert [row["epoch"] for row in learn.recorder.record.of("epoch")] == [e for e in range(3) if e not in skipped]


@pytest.mark.parametrize("skipped", [(0,), (1,)])
def test_an_epoch_without_training_has_validation_figures_alone(skipped):
    learn = fitted(cbs=Raise("before_train", CancelTrainException, skipped))
    rows = learn.recorder.record.of("epoch")
    assert [row["train_loss"] is None for row in rows] == [e in skipped for e in range(3)]
    assert all(row["valid_loss"] is not None for row in rows)


def test_reading_the_columns_changes_no_figure():
    from torchmetrics.classification import MulticlassAccuracy

    class Reader(Callback):
        def after_batch(self):
            assert "MulticlassAccuracy" in self.recorder.metric_names

    figures = []
    for cbs in (None, Reader()):
        learn = learner(cbs=cbs)
        learn.metrics = MulticlassAccuracy(2, average="micro")
        with learn.no_logging():
            learn.fit(1)
        figures.append(learn.recorder.values[0][2])
    assert figures[0] == figures[1] > 0


def test_there_are_no_figures_before_the_first_fit():
    assert learner().recorder.values == []


def test_losses_that_are_read_late_end_up_in_their_own_fit(monkeypatch):
    from sightline.train import recorder

    monkeypatch.setattr(recorder, "reads_freely", lambda device: False)
    monkeypatch.setattr(recorder, "READ_EVERY_S", 1e9)
    learn = learner(cbs=Raise("after_batch", CancelFitException, (0,)))
    with learn.no_logging():
        learn.fit(1)
        assert len(learn.recorder.losses) == 1
        learn.remove_cb(Raise)
        learn.fit(1)
    assert len(learn.recorder.losses) == 5
    steps = learn.recorder.record.of("step")
    assert [row["phase"] for row in steps] == [0] + [1] * 5
    assert steps[1]["smooth_loss"] == pytest.approx(steps[1]["loss"])


def test_a_loss_that_is_no_number_does_not_spoil_the_weights_on_a_cpu():
    learn = learner()
    learn.loss_func = lambda logits, target: logits.mean() * (float("nan") if learn.train_iter == 2 else 1.0)
    with learn.no_logging(), pytest.raises(NonFiniteLossError, match=r"became nan at step 3 \(epoch 0, batch 2 of 5"):
        learn.fit(1)
    assert all(torch.isfinite(p).all() for p in learn.model.parameters())
    learn.loss_func = None
    with learn.no_logging():
        learn.fit(1)
    assert len(learn.recorder.losses) == 5


def test_metrics_of_training_batches_are_kept_where_they_are_wanted():
    class Right(Callback):
        def before_fit(self):
            self.right = self.seen = 0

        def after_batch(self):
            if self.training:
                self.right += int((self.pred.argmax(1) == self.y).sum())
                self.seen += len(self.y)

    from sightline.train.recorder import Recorder

    learn = learner(cbs=[Right(), Recorder(train_metrics=True)])
    assert sum(isinstance(cb, Recorder) for cb in learn.cbs) == 1
    learn.metrics = accuracy
    with learn.no_logging():
        learn.fit(1, 1e-2)
        valid_loss, valid_accuracy = learn.validate()
    assert learn.recorder.metric_names == ["epoch", "train_loss", "train_accuracy", "valid_loss", "valid_accuracy", "time"]
    train_loss, train_accuracy, *valid = learn.recorder.values[0]
    assert train_loss == pytest.approx(float(learn.smooth_loss))
    assert train_accuracy == pytest.approx(learn.right.right / learn.right.seen)
    assert valid == pytest.approx([valid_loss, valid_accuracy])
    assert learn.recorder.valid_losses == pytest.approx([valid_loss])
    assert learn.recorder.log[:-1] == [0, *learn.recorder.values[0]]


def test_smoothed_losses_are_tensors_without_dimensions():
    learn = fitted(1)
    assert torch.stack(learn.recorder.losses).shape == (5,)
    assert learn.recorder.losses[-1].item() == learn.smooth_loss.item() == pytest.approx(learn.recorder.values[0][0])
    assert learner().recorder.losses == []
