"""Whatever serves as a metric is gathered over batches of unequal size, and checked before training."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from sklearn import metrics as sk

from metrics.random_sets import over_batches
from sightline.errors import OptionError
from sightline.metrics.defaults import default_metrics
from sightline.metrics.gathering import accumulators, check_metrics, named_metrics
from sightline.metrics.metric import Metric
from sightline.metrics.multi_label import accuracy_multi
from sightline.metrics.regression import mae, mse, rmse
from sightline.metrics.single_label import F1Score, accuracy, error_rate, top_k_accuracy
from sightline.target import MultiLabel, Regression, SingleLabel

CLASSES = SingleLabel.learn(list("abcdefg"))
LOGITS = torch.randn(50, 7, generator=torch.Generator().manual_seed(3))
LABELS = torch.randint(0, 7, (50,), generator=torch.Generator().manual_seed(4))


def test_a_torchmetrics_metric_is_given_probabilities():
    from torchmetrics.classification import MulticlassAUROC, MultilabelF1Score

    expected = sk.roc_auc_score(LABELS, LOGITS.softmax(1).numpy(), multi_class="ovr")
    assert over_batches(MulticlassAUROC(7), CLASSES, LOGITS, LABELS, sizes=(20, 17, 13)) == pytest.approx(expected, rel=1e-5)
    labels = torch.randint(0, 2, (50, 7)).float()
    expected = sk.f1_score(labels, LOGITS.sigmoid() > 0.5, average="macro")
    got = over_batches(MultilabelF1Score(7), MultiLabel.learn([list("abcdefg")]), LOGITS, labels, sizes=(20, 17, 13))
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


class Largest(Metric):
    """As a user writes one."""

    def reset(self):
        self.largest = float("-inf")

    def accumulate(self, learn):
        self.largest = max(self.largest, learn.pred.max().item())

    @property
    def value(self):
        return self.largest


def test_a_metric_of_the_users_own_is_reset_fed_and_read():
    metric = Largest()
    assert metric.name == "largest"
    assert over_batches(metric, CLASSES, LOGITS, LABELS, sizes=(20, 30)) == LOGITS.max().item()
    assert over_batches(metric, CLASSES, LOGITS[:5], LABELS[:5], sizes=5) == LOGITS[:5].max().item()
    assert metric.value == LOGITS[:5].max().item()
    assert [name for name, _ in named_metrics([Largest])] == ["largest"]


def test_a_metric_reads_the_learner_where_there_is_one():
    class LastLoss(Metric):
        def accumulate(self, learn):
            self.loss = learn.loss

        @property
        def value(self):
            return self.loss

    learn = SimpleNamespace(pred=LOGITS, y=LABELS, yb=(LABELS,), loss=torch.tensor(0.25))
    (gathered,) = accumulators([LastLoss()], CLASSES, learn)
    assert gathered.value() is None
    gathered.add(LOGITS, LABELS)
    assert gathered.value() == 0.25


def test_a_metric_in_use_twice_counts_for_itself():
    metric = F1Score(average="macro")
    first, second = accumulators([metric, metric], CLASSES)
    first.add(LOGITS[:20], LABELS[:20])
    second.add(LOGITS, LABELS)
    first.add(LOGITS[20:], LABELS[20:])
    assert first.value() == second.value() == metric.value == metric(LOGITS.argmax(1), LABELS)


def test_a_metric_without_a_value_is_found_before_training():
    class Half(Metric):
        pass

    with pytest.raises(OptionError, match=r"The metric Half has no value. Expected a property `value`"):
        check_metrics([Half()], CLASSES)


def test_functions_in_every_shape_serve_as_metrics():
    def largest(*args):
        return args[0].max()

    class Callable:
        def __call__(self, logits, labels):
            return 0.5

    metrics = [largest, lambda logits, labels: 1, Callable(), partial(top_k_accuracy, k=2)]
    assert [name for name, _ in named_metrics(metrics)] == ["largest", "<lambda>", "Callable", "top_k_accuracy"]
    assert over_batches(largest, CLASSES, LOGITS, LABELS, sizes=50) == pytest.approx(LOGITS.max().item())
    assert over_batches(Callable(), CLASSES, LOGITS, LABELS, sizes=(49, 1)) == 0.5
    check_metrics(metrics, CLASSES)


@pytest.mark.parametrize(
    "target", [CLASSES, MultiLabel.learn([["a", "b"]]), Regression.learn([1.0]), Regression.learn([[1.0, 2.0]])]
)
def test_default_metrics_fit_their_labels(target):
    metrics = default_metrics(target)
    check_metrics(metrics, target)
    assert [name for name, _ in named_metrics(metrics)] == list(target.default_metrics)
