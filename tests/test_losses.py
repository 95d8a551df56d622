"""Objectives: the target's loss, and the user's own in every shape in which people write them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.errors import TrainingError
from sightline.losses import Objective
from sightline.target import MultiLabel, Regression, SingleLabel

CLASSES = SingleLabel.learn(["a", "b", "c"])
LOGITS, LABELS = torch.randn(6, 3, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 1, 2, 2, 1, 0])


def test_default_is_the_loss_of_the_target():
    objective = Objective(CLASSES)
    assert objective.name == "cross-entropy"
    assert objective.mean(LOGITS, LABELS).item() == pytest.approx(F.cross_entropy(LOGITS, LABELS).item())
    assert objective.items(LOGITS, LABELS).shape == (6,)


@pytest.mark.parametrize(
    "loss_func",
    [
        nn.CrossEntropyLoss(),
        F.cross_entropy,
        lambda p, y: F.cross_entropy(p, y),
        lambda p, y: F.cross_entropy(p, y, reduction="none"),
    ],
)
def test_items_average_to_the_mean_for_every_way_to_write_a_loss(loss_func):
    objective = Objective(CLASSES, loss_func)
    expected = F.cross_entropy(LOGITS, LABELS, reduction="none")
    assert torch.allclose(objective.items(LOGITS, LABELS), expected, atol=1e-6)
    assert objective.mean(LOGITS, LABELS).item() == pytest.approx(expected.mean().item(), rel=1e-6)


def test_class_weights_keep_the_users_own_reduction():
    loss_func = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 5.0, 2.0]))
    assert Objective(CLASSES, loss_func).mean(LOGITS, LABELS).item() == pytest.approx(loss_func(LOGITS, LABELS).item())
    assert loss_func.reduction == "mean"


def test_users_squared_error_does_not_broadcast_over_flat_labels():
    target = Regression.learn([1.0, 2.0])
    logits, labels = torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 2.0])
    assert Objective(target, nn.MSELoss()).mean(logits, labels).item() == 0.5


def test_multilabel_items_average_over_labels():
    target = MultiLabel.learn([["a", "b"]])
    logits, labels = torch.randn(4, 2), torch.ones(4, 2)
    items = Objective(target, nn.BCEWithLogitsLoss()).items(logits, labels)
    assert torch.allclose(items, target.loss(logits, labels))


def test_a_loss_that_returns_no_tensor_is_named():
    def broken(logits, target):
        return 3

    with pytest.raises(TrainingError, match="The loss broken returned int"):
        Objective(CLASSES, broken).mean(LOGITS, LABELS)
