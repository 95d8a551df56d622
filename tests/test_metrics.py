"""Metrics against scikit-learn and torchmetrics, and their gathering over batches of unequal size."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from sightline.errors import OptionError
from sightline.metrics import (
    accumulators,
    accuracy,
    accuracy_multi,
    check_metrics,
    error_rate,
    mae,
    mse,
    named_metrics,
    rmse,
    top_k_accuracy,
)
from sightline.target import MultiLabel, Regression, SingleLabel

CLASSES = SingleLabel.learn(list("abcdefg"))
LOGITS = torch.randn(50, 7, generator=torch.Generator().manual_seed(3))
LABELS = torch.randint(0, 7, (50,), generator=torch.Generator().manual_seed(4))


def over_batches(metric, target, logits, labels, sizes=(20, 17, 13)):
    (gathered,) = accumulators([metric], target)
    for part, other in zip(logits.split(sizes), labels.split(sizes), strict=True):
        gathered.add(part, other)
    return gathered.value()


def test_accuracy_and_error_rate_equal_scikit_learn():
    expected = sk.accuracy_score(LABELS, LOGITS.argmax(1))
    assert accuracy(LOGITS, LABELS).item() == pytest.approx(expected)
    assert over_batches(error_rate, CLASSES, LOGITS, LABELS) == pytest.approx(1 - expected)


@pytest.mark.parametrize("k", [1, 3, 5, 7, 9])
def test_top_k_equals_scikit_learn_and_takes_a_k_above_the_number_of_classes(k):
    expected = 1.0 if k >= 7 else sk.top_k_accuracy_score(LABELS, LOGITS.numpy(), k=k, labels=range(7))
    assert top_k_accuracy(LOGITS, LABELS, k=k).item() == pytest.approx(expected)


def test_accuracy_multi_counts_every_label():
    labels = torch.randint(0, 2, (50, 7), generator=torch.Generator().manual_seed(5)).float()
    expected = 1 - sk.hamming_loss(labels, LOGITS.sigmoid() > 0.3)
    assert accuracy_multi(LOGITS, labels, thresh=0.3).item() == pytest.approx(expected)
    target = MultiLabel.learn([list("abcdefg")])
    assert over_batches(partial(accuracy_multi, thresh=0.3), target, LOGITS, labels) == pytest.approx(expected, rel=1e-6)


def test_regression_figures_equal_scikit_learn_and_rmse_is_one_figure_over_the_whole_set():
    values, labels = torch.randn(50, 1), torch.randn(50)
    target = Regression.learn([1.0, 2.0])
    flat = values.flatten().numpy()
    for metric, expected in (
        (mse, sk.mean_squared_error(labels, flat)),
        (mae, sk.mean_absolute_error(labels, flat)),
        (rmse, np.sqrt(sk.mean_squared_error(labels, flat))),
    ):
        assert over_batches(metric, target, values, labels) == pytest.approx(float(expected), rel=1e-5)


def test_a_torchmetrics_metric_is_given_probabilities():
    from torchmetrics.classification import MulticlassAUROC, MultilabelF1Score

    expected = sk.roc_auc_score(LABELS, LOGITS.softmax(1).numpy(), multi_class="ovr")
    assert over_batches(MulticlassAUROC(7), CLASSES, LOGITS, LABELS) == pytest.approx(expected, rel=1e-5)
    labels = torch.randint(0, 2, (50, 7)).float()
    expected = sk.f1_score(labels, LOGITS.sigmoid() > 0.5, average="macro")
    got = over_batches(MultilabelF1Score(7), MultiLabel.learn([list("abcdefg")]), LOGITS, labels)
    assert got == pytest.approx(expected, rel=1e-5)


def test_columns_are_named_and_what_is_called_alike_is_numbered():
    metrics = [error_rate, partial(accuracy_multi, thresh=0.2), rmse, partial(accuracy_multi, thresh=0.8)]
    assert [name for name, _ in named_metrics(metrics)] == ["error_rate", "accuracy_multi", "rmse", "accuracy_multi_2"]


def test_a_collection_of_torchmetrics_has_a_column_for_each():
    from torchmetrics import MetricCollection
    from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

    collection = MetricCollection({"acc": MulticlassAccuracy(7, average="micro"), "f1": MulticlassF1Score(7)})
    gathered = accumulators([collection], CLASSES)
    for one in gathered:
        one.add(LOGITS, LABELS)
    assert [one.name for one in gathered] == ["acc", "f1"]
    assert gathered[0].value() == pytest.approx(sk.accuracy_score(LABELS, LOGITS.argmax(1)))
    assert gathered[1].value() == pytest.approx(sk.f1_score(LABELS, LOGITS.argmax(1), average="macro"), rel=1e-5)


def test_one_torchmetrics_metric_used_twice_counts_for_itself():
    from torchmetrics.classification import MulticlassAccuracy

    metric = MulticlassAccuracy(7, average="micro")
    first, second = accumulators([metric, metric], CLASSES)
    first.add(LOGITS, LABELS)
    assert second.value() is None
    assert first.value() is not None


@pytest.mark.parametrize(
    ("metric", "target", "words"),
    [
        (accuracy_multi, CLASSES, "accuracy_multi compares .* use error_rate or accuracy"),
        (accuracy_multi, SingleLabel.learn(list("abcd")), "accuracy_multi compares"),
        (error_rate, MultiLabel.learn([["a", "b"]]), "accuracy compares .* For several labels a picture use accuracy_multi"),
        (accuracy, Regression.learn([1.0]), "for numbers mse, mae or rmse"),
        (rmse, CLASSES, "rmse compares .* For classes use error_rate"),
    ],
)
def test_a_metric_that_does_not_fit_the_labels_is_found_before_training(metric, target, words):
    with pytest.raises(OptionError, match=words):
        check_metrics([metric], target)


def test_metrics_that_fit_pass_the_check():
    from torchmetrics.classification import MulticlassAUROC, MultilabelF1Score

    check_metrics([accuracy, error_rate, top_k_accuracy, MulticlassAUROC(7)], CLASSES)
    check_metrics([accuracy_multi, MultilabelF1Score(2)], MultiLabel.learn([["a", "b"]]))
    check_metrics([mse, mae, rmse], Regression.learn([[1.0, 2.0]]))
    check_metrics([lambda logits, labels: logits[99, 99]], CLASSES)


def test_a_torchmetrics_metric_without_a_single_number_is_found_before_training():
    from torchmetrics.classification import MulticlassAccuracy

    with pytest.raises(OptionError, match=r"gives a tensor of shape \(7,\)\. Expected one number"):
        check_metrics([MulticlassAccuracy(7, average=None)], CLASSES)
    with pytest.raises(OptionError, match="holds the class MulticlassAccuracy"):
        accumulators([MulticlassAccuracy], CLASSES)


def test_what_is_no_metric_is_refused():
    with pytest.raises(OptionError, match=r"metrics holds 'error_rate'. Expected functions"):
        accumulators(["error_rate"], CLASSES)
