"""Figures for one label a picture, against scikit-learn, torchmetrics and closed forms."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from metrics.random_sets import CLASSES, LOGITS, SEVEN, SEVERAL, TWO, TWO_LOGITS, WEIGHTS, YES, over_batches
from sightline.errors import OptionError, SightlineWarning
from sightline.metrics.gathering import accumulators, check_metrics
from sightline.metrics.single_label import (
    APScoreBinary,
    BalancedAccuracy,
    BrierScore,
    CohenKappa,
    F1Score,
    FBeta,
    HammingLoss,
    Jaccard,
    MatthewsCorrCoef,
    Precision,
    Recall,
    RocAuc,
    RocAucBinary,
    accuracy,
    error_rate,
    top_k_accuracy,
)
from sightline.target import Regression

DECIDED, PROBABILITIES = LOGITS.argmax(1), LOGITS.softmax(1).numpy()
TWO_DECIDED, SECOND = TWO_LOGITS.argmax(1), TWO_LOGITS.softmax(1)[:, 1].numpy()


def test_accuracy_and_error_rate_equal_scikit_learn():
    expected = sk.accuracy_score(CLASSES, DECIDED)
    assert accuracy(LOGITS, CLASSES).item() == pytest.approx(expected)
    assert over_batches(error_rate, SEVEN, LOGITS, CLASSES) == pytest.approx(1 - expected)


@pytest.mark.parametrize("k", [1, 3, 5, 7, 9])
def test_top_k_equals_scikit_learn_and_takes_a_k_above_the_number_of_classes(k):
    expected = 1.0 if k >= 7 else sk.top_k_accuracy_score(CLASSES, LOGITS.numpy(), k=k, labels=range(7))
    assert over_batches(partial(top_k_accuracy, k=k), SEVEN, LOGITS, CLASSES) == pytest.approx(expected)


def test_top_k_looks_along_its_axis():
    assert top_k_accuracy(LOGITS.T.reshape(1, 7, 60), CLASSES.reshape(1, 60), k=2, axis=1) == top_k_accuracy(
        LOGITS, CLASSES, k=2
    )


@pytest.mark.parametrize(
    ("metric", "name", "expected"),
    [
        (BalancedAccuracy(), "balanced_accuracy_score", sk.balanced_accuracy_score(CLASSES, DECIDED)),
        (
            BalancedAccuracy(adjusted=True),
            "balanced_accuracy_score",
            sk.balanced_accuracy_score(CLASSES, DECIDED, adjusted=True),
        ),
        (CohenKappa(), "cohen_kappa_score", sk.cohen_kappa_score(CLASSES, DECIDED)),
        (CohenKappa(weights="quadratic"), "cohen_kappa_score", sk.cohen_kappa_score(CLASSES, DECIDED, weights="quadratic")),
        (F1Score(average="macro"), "f1_score", sk.f1_score(CLASSES, DECIDED, average="macro")),
        (F1Score(average="micro", labels=[1, 2]), "f1_score", sk.f1_score(CLASSES, DECIDED, average="micro", labels=[1, 2])),
        (
            F1Score(average="macro", sample_weight=WEIGHTS),
            "f1_score",
            sk.f1_score(CLASSES, DECIDED, average="macro", sample_weight=WEIGHTS),
        ),
        (FBeta(2, average="weighted"), "fbeta_score", sk.fbeta_score(CLASSES, DECIDED, beta=2, average="weighted")),
        (HammingLoss(), "hamming_loss", sk.hamming_loss(CLASSES, DECIDED)),
        (Jaccard(average="macro"), "jaccard_score", sk.jaccard_score(CLASSES, DECIDED, average="macro")),
        (MatthewsCorrCoef(), "matthews_corrcoef", sk.matthews_corrcoef(CLASSES, DECIDED)),
        (Precision(average="macro"), "precision_score", sk.precision_score(CLASSES, DECIDED, average="macro")),
        (Recall(average="weighted"), "recall_score", sk.recall_score(CLASSES, DECIDED, average="weighted")),
        (RocAuc(), "roc_auc_score", sk.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr")),
        (
            RocAuc(multi_class="ovo", average="weighted"),
            "roc_auc_score",
            sk.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovo", average="weighted"),
        ),
    ],
)
def test_a_figure_of_many_classes_equals_scikit_learn_over_batches_of_unequal_size(metric, name, expected):
    assert metric.name == name
    assert over_batches(metric, SEVEN, LOGITS, CLASSES) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("metric", "expected"),
    [
        (APScoreBinary(), sk.average_precision_score(YES, SECOND)),
        (F1Score(), sk.f1_score(YES, TWO_DECIDED)),
        (FBeta(0.5), sk.fbeta_score(YES, TWO_DECIDED, beta=0.5)),
        (Jaccard(), sk.jaccard_score(YES, TWO_DECIDED)),
        (Precision(pos_label=0), sk.precision_score(YES, TWO_DECIDED, pos_label=0)),
        (Recall(), sk.recall_score(YES, TWO_DECIDED)),
        (RocAucBinary(), sk.roc_auc_score(YES, SECOND)),
        (RocAucBinary(max_fpr=0.3), sk.roc_auc_score(YES, SECOND, max_fpr=0.3)),
        (RocAuc(), sk.roc_auc_score(YES, SECOND)),
        (BrierScore(), sk.brier_score_loss(YES, SECOND)),
        (BrierScore(sample_weight=WEIGHTS), sk.brier_score_loss(YES, SECOND, sample_weight=WEIGHTS)),
    ],
)
def test_a_figure_of_two_classes_equals_scikit_learn(metric, expected):
    assert over_batches(metric, TWO, TWO_LOGITS, YES) == pytest.approx(expected, rel=1e-6)


def test_figures_equal_torchmetrics():
    from torchmetrics.functional import classification as tm

    figures = {
        F1Score(average="macro"): tm.multiclass_f1_score(LOGITS, CLASSES, 7),
        MatthewsCorrCoef(): tm.multiclass_matthews_corrcoef(LOGITS, CLASSES, 7),
        RocAuc(): tm.multiclass_auroc(LOGITS.softmax(1), CLASSES, 7),
    }
    for metric, expected in figures.items():
        assert over_batches(metric, SEVEN, LOGITS, CLASSES) == pytest.approx(expected.item(), rel=1e-5)


def test_brier_score_of_many_classes_is_the_mean_summed_squared_error_of_probabilities():
    expected = np.mean(
        [
            sum((p - (k == label)) ** 2 for k, p in enumerate(row))
            for row, label in zip(PROBABILITIES, CLASSES.tolist(), strict=True)
        ]
    )
    assert over_batches(BrierScore(), SEVEN, LOGITS, CLASSES) == pytest.approx(expected, rel=1e-6)
    assert BrierScore()(torch.eye(7)[CLASSES], CLASSES) == 0
    assert BrierScore()(torch.eye(7)[(CLASSES + 1) % 7], CLASSES) == 2


@pytest.mark.parametrize("make", [F1Score, partial(FBeta, 2), Jaccard, Precision, Recall])
def test_a_binary_average_of_many_classes_is_found_before_training(make):
    with pytest.raises(OptionError, match=r"has average='binary', which is for two classes, but there are 7.*average='macro'"):
        check_metrics([make()], SEVEN)


@pytest.mark.parametrize(
    ("metric", "target", "words"),
    [
        (RocAucBinary(), SEVEN, "roc_auc_score was asked for two classes, but there are 7 outputs"),
        (APScoreBinary(), SEVEN, "average_precision_score was asked for two classes"),
        (F1Score(average="macro"), SEVERAL, "f1_score compares outputs .* one class a picture.*F1ScoreMulti"),
        (RocAuc(), SEVERAL, "roc_auc_score compares outputs .* one class a picture"),
        (CohenKappa(), Regression.learn([1.0]), "cohen_kappa_score compares .* for numbers mse"),
        (F1Score(average="makro"), SEVEN, "f1_score cannot be computed .* scikit-learn says: .*makro"),
        (RocAuc(max_fpr=0.1), SEVEN, "roc_auc_score cannot be computed .*max_fpr"),
        (F1Score(average=None), SEVEN, "f1_score gives a ndarray. Expected one number; choose an average"),
        (F1Score, SEVEN, r"metrics holds F1Score itself. Give what it makes, such as metrics=F1Score\(\)"),
    ],
)
def test_a_figure_that_does_not_fit_is_found_before_training(metric, target, words):
    with pytest.raises(OptionError, match=words):
        check_metrics([metric], target)


def test_roc_auc_of_a_set_without_a_class_is_nan_and_says_so():
    few = CLASSES < 5
    with pytest.warns(SightlineWarning, match=r"no picture of class number '5' and '6' of 7"):
        figure = over_batches(RocAuc(), SEVEN, LOGITS[few], CLASSES[few], sizes=int(few.sum()))
    assert math.isnan(figure)


def test_roc_auc_takes_one_of_two_ways_to_compare_classes():
    with pytest.raises(OptionError, match="multi_class='raise': expected 'ovr' or 'ovo'"):
        RocAuc(multi_class="raise")


def test_a_class_that_is_never_decided_for_counts_as_zero_without_a_warning():
    (gathered,) = accumulators([Precision(average="macro")], SEVEN)
    gathered.add(torch.eye(7)[torch.zeros(60, dtype=torch.int64)], CLASSES)
    assert gathered.value() == pytest.approx((CLASSES == 0).float().mean().item() / 7)


def test_called_by_hand_a_metric_takes_decisions_or_probabilities_as_scikit_learn_does():
    expected = sk.f1_score(CLASSES, DECIDED, average="macro")
    metric = F1Score(average="macro")
    assert metric(DECIDED, CLASSES) == pytest.approx(expected)
    assert metric(torch.as_tensor(PROBABILITIES), CLASSES) == pytest.approx(expected)
    assert type(metric(DECIDED, CLASSES)) is float
    assert RocAuc()(torch.as_tensor(PROBABILITIES), CLASSES) == pytest.approx(
        sk.roc_auc_score(CLASSES, PROBABILITIES, multi_class="ovr")
    )
    assert RocAucBinary()(TWO_LOGITS.softmax(1), YES) == pytest.approx(sk.roc_auc_score(YES, SECOND))
    assert F1Score(average=None)(DECIDED, CLASSES).shape == (7,)


def test_called_by_hand_with_outputs_where_probabilities_are_needed_is_refused():
    with pytest.raises(
        OptionError, match=r"roc_auc_score called by hand takes probabilities, but got .* apply the softmax first"
    ):
        RocAuc()(LOGITS, CLASSES)
