"""Losses under the field's names, against PyTorch's own and closed forms, with weights and reductions."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from sightline.errors import OptionError
from sightline.losses.flat import (
    BaseLoss,
    BCELossFlat,
    BCEWithLogitsLossFlat,
    CrossEntropyLossFlat,
    FocalLossFlat,
    L1LossFlat,
    LabelSmoothingCrossEntropyFlat,
    MSELossFlat,
)

SEED = torch.Generator().manual_seed(11)
LOGITS, CLASSES = torch.randn(12, 5, generator=SEED), torch.randint(0, 5, (12,), generator=SEED)
LABELS = torch.randint(0, 2, (12, 5), generator=SEED)
WEIGHTS = torch.rand(5, generator=SEED) + 0.1
OUTPUTS, VALUES = torch.randn(12, 1, generator=SEED), torch.randn(12, generator=SEED)
REDUCTIONS = {"none": lambda values: values, "mean": torch.mean, "sum": torch.sum}

LOG_P = LOGITS.double() - LOGITS.double().exp().sum(1, keepdim=True).log()
ENTROPY = torch.stack([-LOG_P[row, label] for row, label in enumerate(CLASSES)])
OF_CLASS = torch.stack([WEIGHTS[label] for label in CLASSES]).double()


def close(got, expected):
    return got.shape == expected.shape and torch.allclose(got.double(), expected.double(), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_cross_entropy_equals_its_formula_and_its_weighted_mean_is_divided_by_the_weights(reduction):
    reduce = REDUCTIONS[reduction]
    assert close(CrossEntropyLossFlat(reduction=reduction)(LOGITS, CLASSES), reduce(ENTROPY))
    weighted = (OF_CLASS * ENTROPY).sum() / OF_CLASS.sum() if reduction == "mean" else reduce(OF_CLASS * ENTROPY)
    assert close(CrossEntropyLossFlat(weight=WEIGHTS, reduction=reduction)(LOGITS, CLASSES), weighted)
    assert close(CrossEntropyLossFlat(WEIGHTS, reduction=reduction)(LOGITS, CLASSES), weighted)


def test_cross_entropy_takes_what_pytorch_takes():
    smooth = CrossEntropyLossFlat(label_smoothing=0.1, ignore_index=2)
    assert close(smooth(LOGITS, CLASSES), F.cross_entropy(LOGITS, CLASSES, label_smoothing=0.1, ignore_index=2))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int32, torch.int64])
def test_classes_may_be_small_integers(dtype):
    assert close(CrossEntropyLossFlat()(LOGITS, CLASSES.to(dtype)), ENTROPY.mean())


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("gamma", [0.0, 2.0, 1.5])
def test_focal_loss_equals_its_formula_and_its_mean_is_over_pictures(reduction, gamma):
    for weight, entropy in ((None, ENTROPY), (WEIGHTS, OF_CLASS * ENTROPY)):
        expected = REDUCTIONS[reduction]((1 - (-entropy).exp()) ** gamma * entropy)
        assert close(FocalLossFlat(gamma=gamma, weight=weight, reduction=reduction)(LOGITS, CLASSES), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_label_smoothing_is_the_cross_entropy_of_smoothed_labels(reduction):
    smoothed = F.one_hot(CLASSES, 5) * 0.8 + 0.2 / 5
    expected = REDUCTIONS[reduction](-(smoothed * LOG_P).sum(1))
    assert close(LabelSmoothingCrossEntropyFlat(eps=0.2, reduction=reduction)(LOGITS, CLASSES), expected)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_binary_cross_entropy_equals_its_formula(reduction):
    p = LOGITS.double().sigmoid()
    each = -(LABELS * p.log() + (1 - LABELS) * (1 - p).log())
    expected = REDUCTIONS[reduction](each.flatten())
    assert close(BCEWithLogitsLossFlat(reduction=reduction)(LOGITS, LABELS), expected)
    assert close(BCELossFlat(reduction=reduction)(LOGITS.sigmoid(), LABELS), expected)
    by_label = REDUCTIONS[reduction](each * WEIGHTS)
    assert close(BCEWithLogitsLossFlat(weight=WEIGHTS, reduction=reduction)(LOGITS, LABELS), by_label)
    positive = REDUCTIONS[reduction](-(WEIGHTS * LABELS * p.log() + (1 - LABELS) * (1 - p).log()))
    assert close(BCEWithLogitsLossFlat(pos_weight=WEIGHTS, reduction=reduction)(LOGITS, LABELS), positive)


def test_weights_by_label_do_not_go_with_flattened_labels():
    with pytest.raises(OptionError, match=r"flatten=True with pos_weight.* Leave it out"):
        BCEWithLogitsLossFlat(pos_weight=WEIGHTS, flatten=True)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_errors_of_numbers_do_not_broadcast_one_column_over_flat_labels(reduction):
    difference = OUTPUTS.flatten().double() - VALUES
    assert close(MSELossFlat(reduction=reduction)(OUTPUTS, VALUES), REDUCTIONS[reduction](difference**2))
    assert close(L1LossFlat(reduction=reduction)(OUTPUTS, VALUES), REDUCTIONS[reduction](difference.abs()))
    assert MSELossFlat()(torch.ones(2, 1), torch.tensor([1, 3])).item() == 2


def test_any_loss_is_flattened_along_its_axis():
    maps, places = torch.randn(2, 5, 3, 4), torch.randint(0, 5, (2, 3, 4))
    for reduction in ("mean", "sum"):
        loss = CrossEntropyLossFlat(axis=1, weight=WEIGHTS, reduction=reduction)
        assert close(loss(maps, places), F.cross_entropy(maps, places, weight=WEIGHTS, reduction=reduction))
    assert loss.activation(maps).sum(1).allclose(torch.ones(2, 3, 4))
    assert loss.decodes(maps).shape == (2, 3, 4)
    smooth = BaseLoss(nn.SmoothL1Loss, beta=0.5, is_2d=False, floatify=True)
    assert close(smooth(OUTPUTS, VALUES.long()), F.smooth_l1_loss(OUTPUTS.flatten(), VALUES.long().float(), beta=0.5))


def test_the_reduction_can_be_read_and_set():
    loss = FocalLossFlat()
    assert loss.reduction == loss.func.reduction == "mean"
    loss.reduction = "none"
    assert loss(LOGITS, CLASSES).shape == (12,)


def test_weights_move_with_their_loss():
    for loss in (CrossEntropyLossFlat(weight=WEIGHTS), FocalLossFlat(weight=WEIGHTS)):
        assert loss.to("meta").func.weight.device.type == "meta"


@pytest.mark.parametrize(
    ("loss", "activated", "decided"),
    [
        (CrossEntropyLossFlat(), LOGITS.softmax(1), LOGITS.argmax(1)),
        (FocalLossFlat(), LOGITS.softmax(1), LOGITS.argmax(1)),
        (LabelSmoothingCrossEntropyFlat(), LOGITS.softmax(1), LOGITS.argmax(1)),
        (BCEWithLogitsLossFlat(thresh=0.2), LOGITS.sigmoid(), LOGITS.sigmoid() > 0.2),
        (BCEWithLogitsLossFlat(thresh=WEIGHTS.tolist()), LOGITS.sigmoid(), LOGITS.sigmoid() > WEIGHTS),
        (BCELossFlat(), LOGITS, LOGITS),
        (MSELossFlat(), LOGITS, LOGITS),
        (L1LossFlat(), LOGITS, LOGITS),
    ],
)
def test_a_loss_knows_activation_and_decision(loss, activated, decided):
    assert torch.equal(loss.activation(LOGITS), activated)
    assert torch.equal(loss.decodes(activated), decided)
