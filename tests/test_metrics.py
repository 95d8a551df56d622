"""Metrics against scikit-learn and torchmetrics, and their gathering over batches of unequal size."""

from functools import partial

import numpy as np
import pytest
import torch
from sklearn import metrics as sk

from sightline.errors import OptionError
from sightline.metrics import accumulator, accuracy, accuracy_multi, error_rate, mae, metric_name, mse, rmse, top_k_accuracy
from sightline.target import MultiLabel, Regression, SingleLabel

CLASSES = SingleLabel.learn(list("abcdefg"))
LOGITS = torch.randn(50, 7, generator=torch.Generator().manual_seed(3))
LABELS = torch.randint(0, 7, (50,), generator=torch.Generator().manual_seed(4))


def over_batches(metric, target, logits, labels, sizes=(20, 17, 13)):
    gathered = accumulator(metric, target)
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


def test_names_of_metrics():
    assert metric_name(error_rate) == "error_rate"
    assert metric_name(partial(accuracy_multi, thresh=0.2)) == "accuracy_multi"
    assert metric_name(rmse) == "rmse"


def test_what_is_no_metric_is_refused():
    with pytest.raises(OptionError, match=r"metrics holds 'error_rate'. Expected functions"):
        accumulator("error_rate", CLASSES)
