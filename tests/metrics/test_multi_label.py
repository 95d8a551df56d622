"""Figures for several labels a picture, against scikit-learn, torchmetrics and closed forms."""

import math
from functools import partial

import pytest
import torch
from sklearn import metrics as sk

from metrics.random_sets import LABELS, MULTI_LOGITS, SEVEN, SEVERAL, WEIGHTS, over_batches
from sightline.errors import OptionError, SightlineWarning
from sightline.metrics.gathering import check_metrics
from sightline.metrics.multi_label import (
    APScoreMulti,
    BrierScoreMulti,
    F1ScoreMulti,
    FBetaMulti,
    HammingLossMulti,
    JaccardMulti,
    MatthewsCorrCoefMulti,
    PrecisionMulti,
    RecallMulti,
    RocAucMulti,
    accuracy_multi,
)
from sightline.target import MultiLabel

P = MULTI_LOGITS.sigmoid().numpy()
EACH = [0.2, 0.5, 0.7, 0.4, 0.9]


@pytest.mark.parametrize("thresh", [0.5, 0.3, 0, EACH, torch.tensor(EACH)])
def test_accuracy_multi_counts_every_label(thresh):
    expected = 1 - sk.hamming_loss(LABELS, torch.as_tensor(P) > torch.as_tensor(thresh))
    assert over_batches(partial(accuracy_multi, thresh=thresh), SEVERAL, MULTI_LOGITS, LABELS) == pytest.approx(
        expected, rel=1e-6
    )
    assert accuracy_multi(torch.as_tensor(P), LABELS, thresh=thresh, sigmoid=False).item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metric", "name", "expected"),
    [
        (APScoreMulti(), "average_precision_score", sk.average_precision_score(LABELS, P)),
        (F1ScoreMulti(), "f1_score", sk.f1_score(LABELS, P >= 0.5, average="macro")),
        (F1ScoreMulti(0.3, average="samples"), "f1_score", sk.f1_score(LABELS, P >= 0.3, average="samples")),
        (F1ScoreMulti(EACH), "f1_score", sk.f1_score(LABELS, P >= EACH, average="macro")),
        (F1ScoreMulti(0), "f1_score", sk.f1_score(LABELS, P >= 0, average="macro")),
        (FBetaMulti(2, thresh=0.6), "fbeta_score", sk.fbeta_score(LABELS, P >= 0.6, beta=2, average="macro")),
        (HammingLossMulti(thresh=0.4), "hamming_loss", sk.hamming_loss(LABELS, P >= 0.4)),
        (JaccardMulti(labels=[0, 3]), "jaccard_score", sk.jaccard_score(LABELS, P >= 0.5, average="macro", labels=[0, 3])),
        (PrecisionMulti(average="micro"), "precision_score", sk.precision_score(LABELS, P >= 0.5, average="micro")),
        (RecallMulti(average="weighted"), "recall_score", sk.recall_score(LABELS, P >= 0.5, average="weighted")),
        (RocAucMulti(), "roc_auc_score", sk.roc_auc_score(LABELS, P)),
        (RocAucMulti(average="micro", max_fpr=0.5), "roc_auc_score", sk.roc_auc_score(LABELS, P, average="micro", max_fpr=0.5)),
        (BrierScoreMulti(), "brier_score_loss", ((P - LABELS.numpy()) ** 2).mean()),
        (
            BrierScoreMulti(sample_weight=WEIGHTS),
            "brier_score_loss",
            WEIGHTS @ ((P - LABELS.numpy()) ** 2).mean(1) / WEIGHTS.sum(),
        ),
    ],
)
def test_a_figure_of_several_labels_equals_scikit_learn_over_batches_of_unequal_size(metric, name, expected):
    assert metric.name == name
    assert over_batches(metric, SEVERAL, MULTI_LOGITS, LABELS) == pytest.approx(float(expected), rel=1e-6)


def test_figures_equal_torchmetrics():
    from torchmetrics.functional import classification as tm

    integers = LABELS.long()
    figures = {
        F1ScoreMulti(): tm.multilabel_f1_score(MULTI_LOGITS, integers, 5),
        MatthewsCorrCoefMulti(): tm.multilabel_matthews_corrcoef(MULTI_LOGITS, integers, 5),
        MatthewsCorrCoefMulti(thresh=0.3): tm.multilabel_matthews_corrcoef(MULTI_LOGITS, integers, 5, threshold=0.3),
        APScoreMulti(): tm.multilabel_average_precision(MULTI_LOGITS, integers, 5),
    }
    for metric, expected in figures.items():
        assert over_batches(metric, SEVERAL, MULTI_LOGITS, LABELS) == pytest.approx(expected.item(), rel=1e-5)


def test_weights_of_pictures_count_for_each_of_their_labels():
    twice = torch.cat([MULTI_LOGITS, MULTI_LOGITS[:20]]), torch.cat([LABELS, LABELS[:20]])
    weights = [2.0] * 20 + [1.0] * 40
    expected = MatthewsCorrCoefMulti()(twice[0].sigmoid(), twice[1])
    assert over_batches(MatthewsCorrCoefMulti(sample_weight=weights), SEVERAL, MULTI_LOGITS, LABELS) == pytest.approx(expected)


def test_outputs_that_are_probabilities_already_are_left_alone():
    expected = sk.f1_score(LABELS, P >= 0.5, average="macro")
    assert over_batches(F1ScoreMulti(sigmoid=False), SEVERAL, torch.as_tensor(P), LABELS) == pytest.approx(expected)


def test_one_label_alone_has_figures_too():
    target = MultiLabel.learn([["a"], []])
    logits, labels = MULTI_LOGITS[:, :1], LABELS[:, :1]
    assert over_batches(F1ScoreMulti(), target, logits, labels) == pytest.approx(
        sk.f1_score(labels[:, 0], logits[:, 0] >= 0, average="macro")
    )
    assert over_batches(RocAucMulti(), target, logits, labels) == pytest.approx(sk.roc_auc_score(labels[:, 0], logits[:, 0]))


def test_roc_auc_of_a_label_that_no_picture_has_is_nan_and_says_so():
    labels = LABELS.clone()
    labels[:, 3] = 0
    with pytest.warns(SightlineWarning, match="number '3' of 5 labels is on all pictures of the set, or on none"):
        assert math.isnan(over_batches(RocAucMulti(), SEVERAL, MULTI_LOGITS, labels))


def test_called_by_hand_probabilities_are_decided_and_outputs_refused():
    expected = sk.f1_score(LABELS, P >= 0.3, average="macro")
    assert F1ScoreMulti(0.3)(torch.as_tensor(P), LABELS) == pytest.approx(expected)
    assert F1ScoreMulti()(torch.as_tensor(P >= 0.3), LABELS) == pytest.approx(expected)
    with pytest.raises(OptionError, match=r"f1_score called by hand takes probabilities, .* apply the sigmoid first"):
        F1ScoreMulti()(MULTI_LOGITS, LABELS)


@pytest.mark.parametrize(
    ("metric", "target", "words"),
    [
        (accuracy_multi, SEVEN, "accuracy_multi compares .* use error_rate or accuracy"),
        (F1ScoreMulti(), SEVEN, "f1_score compares outputs with labels of the same shape"),
        (RocAucMulti(), SEVEN, "roc_auc_score compares outputs with labels of the same shape"),
        (F1ScoreMulti(average="binary"), SEVERAL, "f1_score cannot be computed .* scikit-learn says"),
    ],
)
def test_a_figure_that_does_not_fit_is_found_before_training(metric, target, words):
    with pytest.raises(OptionError, match=words):
        check_metrics([metric], target)
