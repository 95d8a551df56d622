"""Metrics that follow a batch's mean, and the base of those of users."""

from types import SimpleNamespace

import pytest
import torch

from sightline.errors import OptionError
from sightline.metrics.fitting import flatten_check
from sightline.metrics.metric import (
    AvgLoss,
    AvgMetric,
    LossMetric,
    LossMetrics,
    Metric,
    Perplexity,
    ValueMetric,
    perplexity,
    to_detach,
)


def batch(size, loss=None, loss_func=None):
    labels = torch.arange(size).float()
    return SimpleNamespace(pred=labels.unsqueeze(1) + 1, y=labels, yb=(labels,), loss=loss, loss_func=loss_func)


def after(metric, *batches):
    metric.reset()
    for one in batches:
        metric.accumulate(one)
    return metric.value


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RocAucMetric", "roc_auc"),
        ("MyF1", "my_f1"),
        ("Metric", "metric"),
        ("HTTPMetric", "http"),
        ("Top5Accuracy", "top5_accuracy"),
    ],
)
def test_a_metric_is_named_by_its_class(name, expected):
    assert type(name, (Metric,), {})().name == expected


def test_avg_metric_weighs_batches_by_their_size_and_keeps_flat_labels_from_being_broadcast():
    def squared(pred, targ):
        return (pred - targ).square().mean() * len(targ)

    assert AvgMetric(squared).name == "squared"
    assert after(AvgMetric(squared), batch(3), batch(1)) == pytest.approx((3 * 3 + 1 * 1) / 4)
    assert after(AvgMetric(squared)) is None


def test_mean_loss_and_perplexity_weigh_batches_by_their_size():
    batches = batch(3, torch.tensor(1.0)), batch(1, torch.tensor([3.0, 5.0])), batch(7)
    assert after(AvgLoss(), *batches) == pytest.approx((3 * 1 + 4) / 4)
    assert after(Perplexity(), *batches) == pytest.approx(torch.tensor(1.75).exp().item())
    assert (AvgLoss().name, perplexity.name) == ("loss", "perplexity")
    assert after(Perplexity()) is None


def test_parts_of_a_loss_have_columns_of_their_own():
    def parts(near, far):
        return SimpleNamespace(near=torch.tensor(near), far=far)

    first, second = LossMetrics("near, far", "close,distant")
    assert (first.name, second.name) == ("close", "distant")
    batches = batch(3, loss_func=parts(1.0, 2.0)), batch(1, loss_func=parts(5.0, 6.0))
    assert after(first, *batches) == pytest.approx(2.0)
    assert after(second, *batches) == pytest.approx(3.0)
    assert [one.name for one in LossMetrics(["near", "far"])] == ["near", "far"]


def test_a_part_that_the_loss_does_not_have_is_no_zero():
    assert after(LossMetric("near"), batch(3, loss_func=torch.nn.MSELoss()), batch(3)) is None


def test_as_many_names_as_parts_are_expected():
    with pytest.raises(OptionError, match="LossMetrics has 2 attributes and 1 names"):
        LossMetrics("a,b", "c")


def test_tensors_are_detached_wherever_they_are():
    weight = torch.ones(2, requires_grad=True)
    found = to_detach({"a": [weight, 3], "b": (weight * 2,)})
    assert not found["a"][0].requires_grad
    assert found["a"][1] == 3
    assert found["b"][0].tolist() == [2, 2]


def test_outputs_and_labels_are_flattened_where_they_are_equally_many():
    inp, targ = flatten_check(torch.zeros(4, 1), torch.zeros(4))
    assert inp.shape == targ.shape == (4,)
    with pytest.raises(OptionError, match=r"Outputs \(4, 2\) and labels \(4,\) hold different numbers"):
        flatten_check(torch.zeros(4, 2), torch.zeros(4))


def test_a_figure_calculated_elsewhere_is_read():
    def seconds():
        return 2.5

    assert (ValueMetric(seconds).name, ValueMetric(seconds, "s").name, ValueMetric(seconds).value) == ("seconds", "s", 2.5)
