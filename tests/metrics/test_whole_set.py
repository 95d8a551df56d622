"""Functions over whole sets as metrics: the user's own, scikit-learn's, and the best value of an argument."""

from functools import partial

import pytest
from sklearn import metrics as sk

from metrics.random_sets import CLASSES, LABELS, LOGITS, MULTI_LOGITS, NUMBER, OUTPUTS, SEVEN, SEVERAL, VALUES, over_batches
from sightline.errors import OptionError
from sightline.metrics.gathering import check_metrics
from sightline.metrics.multi_label import accuracy_multi
from sightline.metrics.regression import rmse
from sightline.metrics.single_label import F1Score
from sightline.metrics.whole_set import AccumMetric, ActivationType, optim_metric, skm_to_fastai


def largest_error(preds, targs):
    return (preds - targs).abs().max()


def test_a_function_of_the_users_own_sees_the_whole_set_at_once():
    metric = AccumMetric(largest_error)
    assert metric.name == "largest_error"
    expected = (OUTPUTS.flatten() - VALUES).abs().max().item()
    assert over_batches(metric, NUMBER, OUTPUTS, VALUES) == pytest.approx(expected)
    assert metric(OUTPUTS, VALUES) == pytest.approx(expected)


def test_a_partial_is_named_by_its_function_unless_a_name_is_given():
    assert AccumMetric(partial(largest_error)).name == "largest_error"
    metric = AccumMetric(largest_error, name="worst")
    metric.name = "the worst"
    assert metric.name == "the worst"


@pytest.mark.parametrize(
    ("metric", "target", "outputs", "labels", "expected"),
    [
        (skm_to_fastai(sk.accuracy_score), SEVEN, LOGITS, CLASSES, sk.accuracy_score(CLASSES, LOGITS.argmax(1))),
        (
            skm_to_fastai(sk.zero_one_loss, thresh=0.3, flatten=False),
            SEVERAL,
            MULTI_LOGITS,
            LABELS,
            sk.zero_one_loss(LABELS, MULTI_LOGITS.sigmoid() >= 0.3),
        ),
        (
            skm_to_fastai(sk.log_loss, activation=ActivationType.Softmax, flatten=False),
            SEVEN,
            LOGITS,
            CLASSES,
            sk.log_loss(CLASSES, LOGITS.double().softmax(1), labels=range(7)),
        ),
        (skm_to_fastai(sk.max_error, is_class=False), NUMBER, OUTPUTS, VALUES, sk.max_error(VALUES, OUTPUTS.flatten())),
    ],
)
def test_any_function_of_scikit_learn_becomes_a_metric(metric, target, outputs, labels, expected):
    assert over_batches(metric, target, outputs, labels) == pytest.approx(expected, rel=1e-5)


def test_an_activation_may_be_named_by_text():
    assert AccumMetric(largest_error, activation="sigmoid").activation is ActivationType.Sigmoid
    with pytest.raises(ValueError, match="tanh"):
        AccumMetric(largest_error, activation="tanh")


def test_half_precision_is_taken():
    assert F1Score(average="macro")(LOGITS.bfloat16(), CLASSES) == pytest.approx(
        sk.f1_score(CLASSES, LOGITS.bfloat16().argmax(1), average="macro")
    )
    assert rmse(OUTPUTS.bfloat16().float(), VALUES) == pytest.approx(rmse(OUTPUTS, VALUES), rel=0.01)


def test_what_cannot_stand_side_by_side_is_refused_before_training():
    with pytest.raises(OptionError, match=r"largest_error compares one by one, but got \(14, 7\) and \(14,\)"):
        check_metrics([AccumMetric(largest_error)], SEVEN)


def test_the_best_threshold_is_found():
    metric = optim_metric(accuracy_multi, "thresh", (0.05, 0.95), get_x=True)
    assert metric.__name__ == "opt_accuracy_multi"
    best, thresh = metric(MULTI_LOGITS, LABELS)
    assert best == accuracy_multi(MULTI_LOGITS, LABELS, thresh=thresh).item()
    assert best >= accuracy_multi(MULTI_LOGITS, LABELS).item()


def test_the_search_descends_when_asked_as_exactly_as_asked():
    def parabola(preds, targs, at):
        return (at - 0.3) ** 2 + 1

    figure, at = optim_metric(parabola, "at", (0, 1), tol=1e-8, do_neg=False, get_x=True)(OUTPUTS, VALUES)
    assert (figure, at) == (pytest.approx(1), pytest.approx(0.3))
    assert optim_metric(lambda p, t, at: -parabola(p, t, at), "at", (0, 1))(OUTPUTS, VALUES) == pytest.approx(-1)
