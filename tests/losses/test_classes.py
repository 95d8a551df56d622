"""Losses that PyTorch does not have, with weights and reductions."""

import pytest
import torch
from torch.nn import functional as F

from sightline.errors import OptionError
from sightline.losses.classes import DiceLoss, FocalLoss, LabelSmoothingCrossEntropy

SEED = torch.Generator().manual_seed(12)
LOGITS, CLASSES = torch.randn(9, 4, generator=SEED), torch.randint(0, 4, (9,), generator=SEED)
WEIGHTS = torch.tensor([0.5, 1.0, 3.0, 0.1])
MAPS, PLACES = torch.randn(2, 3, 4, 5, generator=SEED), torch.randint(0, 3, (2, 4, 5), generator=SEED)


def test_focal_loss_without_focus_is_cross_entropy_and_counts_sure_pictures_less():
    assert FocalLoss(gamma=0)(LOGITS, CLASSES).item() == pytest.approx(F.cross_entropy(LOGITS, CLASSES).item())
    sure = torch.tensor([[5.0, 0.0], [0.1, 0.0]])
    entropy, focal = (
        loss(sure, torch.tensor([0, 0])) for loss in (FocalLoss(0, reduction="none"), FocalLoss(reduction="none"))
    )
    assert (focal / entropy).tolist() == pytest.approx(((1 - sure.softmax(1)[:, 0]) ** 2).tolist(), rel=1e-4)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_weights_of_smoothed_labels_count_for_the_own_class_alone(reduction):
    spread = -LOGITS.log_softmax(1).mean(1)
    spread = {"mean": spread.mean(), "sum": spread.sum(), "none": spread}[reduction]
    own = F.cross_entropy(LOGITS, CLASSES, weight=WEIGHTS, reduction=reduction)
    got = LabelSmoothingCrossEntropy(0.3, WEIGHTS, reduction)(LOGITS, CLASSES)
    assert torch.allclose(got, 0.3 * spread + 0.7 * own, atol=1e-6)


def test_smoothed_labels_equal_pytorchs_own_and_are_activated_by_softmax():
    loss = LabelSmoothingCrossEntropy()
    assert loss(LOGITS, CLASSES).item() == pytest.approx(F.cross_entropy(LOGITS, CLASSES, label_smoothing=0.1).item(), rel=1e-6)
    assert torch.equal(loss.decodes(loss.activation(LOGITS)), LOGITS.argmax(1))


@pytest.mark.parametrize("square", [False, True])
def test_dice_loss_equals_its_formula_for_each_picture_and_class(square):
    p = MAPS.softmax(1)
    expected = torch.zeros(2, 3)
    for row in range(2):
        for k in range(3):
            here = PLACES[row] == k
            size = (p[row, k] ** 2 if square else p[row, k]).sum() + here.sum()
            expected[row, k] = 1 - (2 * p[row, k][here].sum() + 1e-6) / (size + 1e-6)
    for reduction, value in (("none", expected), ("sum", expected.sum()), ("mean", expected.mean())):
        assert torch.allclose(DiceLoss(reduction=reduction, square_in_union=square)(MAPS, PLACES), value, atol=1e-6)


def test_an_unknown_reduction_is_refused():
    with pytest.raises(OptionError, match="reduction='average': expected 'mean', 'sum' or 'none'"):
        FocalLoss(reduction="average")(LOGITS, CLASSES)


def test_dice_loss_of_a_perfect_map_is_nothing():
    perfect = 50.0 * F.one_hot(PLACES, 3).movedim(-1, 1)
    assert DiceLoss()(perfect, PLACES).item() == pytest.approx(0, abs=1e-5)
    assert torch.equal(DiceLoss().decodes(DiceLoss().activation(perfect)), PLACES)
