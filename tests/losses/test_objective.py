"""Objectives: the target's loss, and the user's own in every shape in which people write them."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.errors import ModelError, OptionError, TrainingError
from sightline.losses.classes import LabelSmoothingCrossEntropy
from sightline.losses.flat import (
    BaseLoss,
    BCELossFlat,
    BCEWithLogitsLossFlat,
    CrossEntropyLossFlat,
    FocalLossFlat,
    LabelSmoothingCrossEntropyFlat,
    MSELossFlat,
)
from sightline.losses.objective import Objective
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


SEVERAL, NUMBER = MultiLabel.learn([["a", "b", "c"]]), Regression.learn([1.0, 2.0])
PRESENT = torch.tensor([[0, 1, 1], [1, 0, 0], [0, 0, 0], [1, 1, 1], [0, 0, 1], [1, 0, 1]]).float()
WEIGHTS = torch.tensor([1.0, 5.0, 2.0])
SHARES, PARTNERS = torch.tensor([0.9, 0.5, 1.0, 0.75, 0.6, 0.8]), torch.tensor([3, 0, 5, 1, 2, 4])


@pytest.mark.parametrize("make", [nn.CrossEntropyLoss, CrossEntropyLossFlat])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_items_of_a_weighted_loss_are_each_pictures_own_and_leave_its_reduction_alone(make, reduction):
    loss_func = make(weight=WEIGHTS, reduction=reduction)
    objective = Objective(CLASSES, loss_func)
    expected = WEIGHTS[LABELS] * F.cross_entropy(LOGITS, LABELS, reduction="none")
    assert torch.allclose(objective.items(LOGITS, LABELS), expected, atol=1e-6)
    assert loss_func.reduction == reduction
    assert torch.allclose(objective.mean(LOGITS, LABELS), loss_func(LOGITS, LABELS).mean())


@pytest.mark.parametrize(
    ("loss_func", "target", "labels"),
    [
        (FocalLossFlat(weight=WEIGHTS), CLASSES, LABELS),
        (LabelSmoothingCrossEntropy(), CLASSES, LABELS),
        (LabelSmoothingCrossEntropyFlat(eps=0.2), CLASSES, LABELS),
        (BCEWithLogitsLossFlat(), SEVERAL, PRESENT),
        (BCEWithLogitsLossFlat(pos_weight=WEIGHTS), SEVERAL, PRESENT),
        (MSELossFlat(), Regression.learn([[1.0, 2.0, 3.0]]), PRESENT),
    ],
)
def test_items_of_an_unweighted_mean_average_to_it(loss_func, target, labels):
    objective = Objective(target, loss_func)
    items = objective.items(LOGITS, labels)
    assert items.shape == (6,)
    assert items.mean().item() == pytest.approx(objective.mean(LOGITS, labels).item(), rel=1e-6)


def test_a_loss_that_learns_is_used_itself_and_not_a_copy():
    class Learned(nn.Module):
        reduction = "mean"

        def __init__(self):
            super().__init__()
            self.temperature = nn.Parameter(torch.tensor(2.0))

        def forward(self, logits, labels):
            return F.cross_entropy(logits / self.temperature, labels, reduction=self.reduction)

    loss_func = Learned()
    objective = Objective(CLASSES, loss_func)
    loss_func.temperature.data = torch.tensor(1.0)
    assert torch.allclose(objective.items(LOGITS, LABELS), F.cross_entropy(LOGITS, LABELS, reduction="none"))


def test_the_reduction_comes_back_when_the_loss_fails():
    loss_func = nn.CrossEntropyLoss(weight=torch.ones(7))
    with pytest.raises(RuntimeError, match="weight"):
        Objective(CLASSES, loss_func).items(LOGITS, LABELS)
    assert loss_func.reduction == "mean"


def test_a_loss_that_is_no_module_moves_too():
    class Mine:
        def to(self, device):
            self.device = device

        def __call__(self, logits, labels):
            return logits.mean()

    loss_func = Mine()
    Objective(CLASSES, loss_func).to(torch.device("meta"))
    assert loss_func.device == torch.device("meta")


def test_a_class_in_place_of_a_loss_is_refused():
    with pytest.raises(OptionError, match=r"cannot be called .* Expected such as FocalLossFlat\(\)"):
        Objective(CLASSES, FocalLossFlat)


def test_outputs_of_another_width_are_named():
    with pytest.raises(ModelError, match=r"outputs of shape \(6, 3\)\. Expected \(N, 2\)"):
        Objective(SingleLabel.learn(["a", "b"])).mixed_mean(LOGITS, LABELS, LABELS, SHARES)


# ---------------------------------------------------------------- mixed pictures


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHTS])
def test_the_loss_of_mixed_classes_is_mixed(reduction, weight):
    loss_func = CrossEntropyLossFlat(weight=weight, reduction=reduction)
    of_class = torch.ones(3) if weight is None else weight
    entropy = -LOGITS.log_softmax(1) * of_class
    expected = [
        SHARES[row] * entropy[row, LABELS[row]] + (1 - SHARES[row]) * entropy[row, LABELS[PARTNERS[row]]] for row in range(6)
    ]
    total = sum(expected).item() / (1 if reduction == "sum" else 6)
    got = Objective(CLASSES, loss_func).mixed_mean(LOGITS, LABELS, LABELS[PARTNERS], SHARES)
    assert got.item() == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize(
    "loss_func", [None, nn.CrossEntropyLoss(), F.cross_entropy, LabelSmoothingCrossEntropyFlat(), FocalLossFlat()]
)
def test_classes_mix_with_every_loss(loss_func):
    objective = Objective(CLASSES, loss_func)
    own, partner = objective.items(LOGITS, LABELS), objective.items(LOGITS, LABELS[PARTNERS])
    got = objective.mixed_mean(LOGITS, LABELS, LABELS[PARTNERS], SHARES)
    assert got.item() == pytest.approx((SHARES * own + (1 - SHARES) * partner).mean().item(), rel=1e-6)
    alone = objective.mixed_mean(LOGITS, LABELS, LABELS[PARTNERS], torch.ones(6))
    assert alone.item() == pytest.approx(objective.mean(LOGITS, LABELS).item(), rel=1e-6)


def test_label_smoothing_mixes_as_smoothed_mixed_labels():
    mixed = SHARES[:, None] * F.one_hot(LABELS, 3) + (1 - SHARES[:, None]) * F.one_hot(LABELS[PARTNERS], 3)
    expected = -((0.9 * mixed + 0.1 / 3) * LOGITS.log_softmax(1)).sum(1).mean()
    got = Objective(CLASSES, LabelSmoothingCrossEntropy(0.1)).mixed_mean(LOGITS, LABELS, LABELS[PARTNERS], SHARES)
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    "loss_func", [None, nn.BCEWithLogitsLoss(), BCEWithLogitsLossFlat(), BCEWithLogitsLossFlat(reduction="sum")]
)
def test_several_labels_are_mixed_themselves(loss_func):
    mixed = SHARES[:, None] * PRESENT + (1 - SHARES[:, None]) * PRESENT[PARTNERS]
    reduction = getattr(loss_func, "reduction", "mean")
    expected = F.binary_cross_entropy_with_logits(LOGITS, mixed, reduction=reduction)
    got = Objective(SEVERAL, loss_func).mixed_mean(LOGITS, PRESENT, PRESENT[PARTNERS], SHARES)
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("loss_func", [None, nn.MSELoss(), MSELossFlat()])
def test_numbers_are_mixed_themselves(loss_func):
    outputs, values = LOGITS[:, :1], LOGITS[:, 1]
    expected = (outputs.flatten() - (SHARES * values + (1 - SHARES) * values[PARTNERS])).square().mean()
    got = Objective(NUMBER, loss_func).mixed_mean(outputs, values, values[PARTNERS], SHARES)
    assert got.item() == pytest.approx(expected.item(), rel=1e-6)


# ---------------------------------------------------------------- activation and decision


@pytest.mark.parametrize(
    "loss_func", [None, nn.CrossEntropyLoss(), F.cross_entropy, BaseLoss(nn.MultiMarginLoss), FocalLossFlat()]
)
def test_a_loss_that_says_nothing_else_leaves_activation_and_decision_to_the_target(loss_func):
    objective = Objective(CLASSES, loss_func)
    assert torch.allclose(objective.activate(LOGITS), LOGITS.softmax(1))
    assert torch.equal(objective.decide(objective.activate(LOGITS)), LOGITS.argmax(1))
    assert objective.outcome == CLASSES


@pytest.mark.parametrize("thresh", [0.2, [0.2, 0.9, 0.5], torch.tensor([0.2, 0.9, 0.5]), torch.tensor(0.2)])
def test_a_loss_with_a_threshold_decides_by_it(thresh):
    objective = Objective(SEVERAL, BCEWithLogitsLossFlat(thresh=thresh))
    p = objective.activate(LOGITS)
    assert torch.allclose(p, LOGITS.sigmoid())
    assert torch.equal(objective.decide(p), p > torch.as_tensor(thresh))
    assert torch.equal(objective.outcome.decide(p), p > torch.as_tensor(thresh))
    assert SEVERAL.thresholds == 0.5


def test_thresholds_that_cannot_be_are_refused():
    with pytest.raises(OptionError, match=r"thresholds=\(0\.2, 0\.3\): expected one number in 0\.\.1, or 3 of them"):
        Objective(SEVERAL, BCEWithLogitsLossFlat(thresh=[0.2, 0.3]))


@pytest.mark.parametrize("loss_func", [nn.BCELoss(), BCELossFlat()])
def test_outputs_of_a_loss_of_probabilities_are_not_activated_again(loss_func):
    objective = Objective(SEVERAL, loss_func)
    p = LOGITS.sigmoid()
    assert torch.equal(objective.activate(p), p)
    assert objective.outcome.activated
    assert torch.equal(objective.outcome.activate(p), p)
    assert torch.allclose(objective.items(p, PRESENT), SEVERAL.loss(LOGITS, PRESENT), atol=1e-6)
    assert torch.allclose(objective.outcome.loss(p, PRESENT), SEVERAL.loss(LOGITS, PRESENT), atol=1e-6)


def test_a_loss_of_the_users_own_may_bring_its_activation():
    class Cool(nn.Module):
        def forward(self, logits, labels):
            return F.cross_entropy(logits / 2, labels)

        def activation(self, x):
            return (x / 2).softmax(-1)

    class Ready(Cool):
        def activation(self, x):
            return x

    assert torch.allclose(Objective(CLASSES, Cool()).activate(LOGITS), (LOGITS / 2).softmax(1))
    assert Objective(CLASSES, Cool()).outcome == CLASSES
    assert Objective(CLASSES, Cool()).own_activation is not None
    assert Objective(CLASSES, Ready()).outcome.activated
    assert Objective(CLASSES, Ready()).own_activation is None
    assert Objective(CLASSES, FocalLossFlat()).own_activation is None


def test_a_threshold_may_be_changed_between_fits():
    objective = Objective(SEVERAL, BCEWithLogitsLossFlat())
    objective.loss_func.thresh = 0.9
    assert objective.outcome.thresholds == 0.9


def test_the_objective_has_the_names_that_losses_have():
    objective = Objective(CLASSES)
    assert torch.allclose(objective.activation(LOGITS), LOGITS.softmax(dim=1))
    assert torch.equal(objective.decodes(LOGITS), LOGITS.argmax(dim=1))
    assert objective.reduction == "mean"
    assert objective.thresh is None
    assert Objective(CLASSES, nn.CrossEntropyLoss(reduction="sum")).reduction == "sum"


def test_the_threshold_of_the_objective_can_be_set():
    objective = Objective(MultiLabel.learn([["a", "b"]]))
    assert objective.thresh == 0.5
    objective.thresh = 0.2
    assert objective.thresh == 0.2
    assert objective.decodes(torch.tensor([[0.1, 0.3]])).tolist() == [[False, True]]
