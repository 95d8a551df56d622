"""Figures for one label a picture.

Functions of a batch come first. The others are figures of a whole set over scikit-learn: each function makes a metric, and
takes what scikit-learn's function takes under the same names.
"""

from __future__ import annotations

import warnings
from typing import Any

from torch import Tensor

from sightline.errors import OptionError, SightlineWarning, listed
from sightline.metrics.fitting import expect_classes, expect_two_classes
from sightline.metrics.whole_set import AccumMetric, ActivationType, skm_to_fastai


def accuracy(inp: Tensor, targ: Tensor, axis: int = -1) -> Tensor:
    """Share of pictures whose largest output is the right class.

    Args:
        inp: Outputs or probabilities, float `(N, K)`.
        targ: Classes, int64 `(N,)`.
        axis: The dimension of the classes.

    Returns:
        Float in 0..1, no dimensions.
    """
    expect_classes("accuracy", inp, targ)
    return (inp.argmax(dim=axis).flatten() == targ.flatten()).float().mean()


def error_rate(inp: Tensor, targ: Tensor, axis: int = -1) -> Tensor:
    """Share of pictures whose largest output is a wrong class: 1 - accuracy; see `accuracy` for shapes."""
    return 1 - accuracy(inp, targ, axis=axis)


def top_k_accuracy(inp: Tensor, targ: Tensor, k: int = 5, axis: int = -1) -> Tensor:
    """Share of pictures whose class is among the `k` largest outputs (all of them where there are fewer)."""
    expect_classes("top_k_accuracy", inp, targ)
    best = inp.topk(k=min(k, inp.shape[axis]), dim=axis)[1]
    return (best == targ.unsqueeze(dim=axis).expand_as(best)).any(dim=axis).float().mean()


def APScoreBinary(  # noqa: N802
    axis: int = -1, average: str | None = "macro", pos_label: int = 1, sample_weight: Any = None
) -> AccumMetric:
    """Average precision of the probability of the second of two classes."""
    return _scored(
        "average_precision_score",
        axis,
        activation=ActivationType.BinarySoftmax,
        expect=expect_two_classes,
        average=average,
        pos_label=pos_label,
        sample_weight=sample_weight,
    )


def BalancedAccuracy(axis: int = -1, sample_weight: Any = None, adjusted: bool = False) -> AccumMetric:  # noqa: N802
    """The mean over classes of the share of their pictures that were recognised."""
    return _scored("balanced_accuracy_score", axis, sample_weight=sample_weight, adjusted=adjusted)


def BrierScore(axis: int = -1, sample_weight: Any = None, pos_label: int | None = None) -> AccumMetric:  # noqa: N802
    """How far probabilities are from what happened; 0 is perfect.

    With two classes the mean over pictures of `(p - y)^2`, p being the probability of the second class and y 1 where it is the
    right one, in 0..1. With more, the mean of the sum over classes, in 0..2.

    Args:
        axis: The dimension of the classes.
        sample_weight: A weight for each picture of the set.
        pos_label: Which of two classes p is the probability of; the figure is the same for both.
    """
    return skm_to_fastai(
        brier_score_loss,
        axis=axis,
        activation=ActivationType.Softmax,
        flatten=False,
        expect=expect_classes,
        sample_weight=sample_weight,
        pos_label=pos_label,
    )


def CohenKappa(  # noqa: N802
    axis: int = -1, labels: Any = None, weights: str | None = None, sample_weight: Any = None
) -> AccumMetric:
    """Cohen's kappa: agreement with the labels beyond what chance would bring; `weights='quadratic'` for ordered classes."""
    return _scored("cohen_kappa_score", axis, labels=labels, weights=weights, sample_weight=sample_weight)


def F1Score(  # noqa: N802
    axis: int = -1, labels: Any = None, pos_label: int = 1, average: str | None = "binary", sample_weight: Any = None
) -> AccumMetric:
    """The harmonic mean of precision and recall; for more than two classes choose an average, such as `average='macro'`."""
    return _by_average("f1_score", axis, labels, pos_label, average, sample_weight)


def FBeta(  # noqa: N802
    beta: float,
    axis: int = -1,
    labels: Any = None,
    pos_label: int = 1,
    average: str | None = "binary",
    sample_weight: Any = None,
) -> AccumMetric:
    """The mean of precision and recall in which recall counts `beta` times as much; see `F1Score`."""
    return _by_average("fbeta_score", axis, labels, pos_label, average, sample_weight, beta=beta)


def HammingLoss(axis: int = -1, sample_weight: Any = None) -> AccumMetric:  # noqa: N802
    """Share of pictures with a wrong decision."""
    return _scored("hamming_loss", axis, sample_weight=sample_weight)


def Jaccard(  # noqa: N802
    axis: int = -1, labels: Any = None, pos_label: int = 1, average: str | None = "binary", sample_weight: Any = None
) -> AccumMetric:
    """Of the pictures that are of a class or were taken for it, the share that are both; averaged as `F1Score`."""
    return _by_average("jaccard_score", axis, labels, pos_label, average, sample_weight)


def MatthewsCorrCoef(sample_weight: Any = None, **kwargs: Any) -> AccumMetric:  # noqa: N802
    """Matthews' correlation of decisions and labels, in -1..1."""
    return _scored("matthews_corrcoef", sample_weight=sample_weight, **kwargs)


def Precision(  # noqa: N802
    axis: int = -1, labels: Any = None, pos_label: int = 1, average: str | None = "binary", sample_weight: Any = None
) -> AccumMetric:
    """Of the pictures that were taken for a class, the share that are of it; averaged as `F1Score`."""
    return _by_average("precision_score", axis, labels, pos_label, average, sample_weight)


def Recall(  # noqa: N802
    axis: int = -1, labels: Any = None, pos_label: int = 1, average: str | None = "binary", sample_weight: Any = None
) -> AccumMetric:
    """Of the pictures of a class, the share that were taken for it; averaged as `F1Score`."""
    return _by_average("recall_score", axis, labels, pos_label, average, sample_weight)


def RocAuc(  # noqa: N802
    axis: int = -1,
    average: str | None = "macro",
    sample_weight: Any = None,
    max_fpr: float | None = None,
    multi_class: str = "ovr",
) -> AccumMetric:
    """Area under the ROC curve of the probabilities; each class against the rest ('ovr') or against each other one ('ovo').

    It is NaN, and a warning says so, where a class has no picture in the set.

    Raises:
        OptionError: `multi_class` is neither.
    """
    if multi_class not in ("ovr", "ovo"):
        raise OptionError(f"multi_class={multi_class!r}: expected 'ovr' or 'ovo'.")
    return skm_to_fastai(
        roc_auc_score,
        axis=axis,
        activation=ActivationType.Softmax,
        flatten=False,
        expect=expect_classes,
        average=average,
        sample_weight=sample_weight,
        max_fpr=max_fpr,
        multi_class=multi_class,
    )


def RocAucBinary(  # noqa: N802
    axis: int = -1,
    average: str | None = "macro",
    sample_weight: Any = None,
    max_fpr: float | None = None,
    multi_class: str = "raise",
) -> AccumMetric:
    """Area under the ROC curve of the probability of the second of two classes."""
    return skm_to_fastai(
        roc_auc_score,
        axis=axis,
        activation=ActivationType.BinarySoftmax,
        expect=expect_two_classes,
        average=average,
        sample_weight=sample_weight,
        max_fpr=max_fpr,
        multi_class=multi_class,
    )


def brier_score_loss(targ: Any, probabilities: Any, sample_weight: Any = None, pos_label: int | None = None) -> float:
    """The Brier score of classes `(N,)` and their probabilities `(N, K)`, or `(N,)` of the second class; see `BrierScore`."""
    import numpy as np

    if probabilities.ndim == 1 or probabilities.shape[1] == 2:
        second = probabilities if probabilities.ndim == 1 else probabilities[:, 1]
        squares = (second - (targ == 1)) ** 2
    else:
        squares = ((probabilities - np.eye(probabilities.shape[1])[targ]) ** 2).sum(axis=1)
    return float(np.average(squares, weights=sample_weight))


def roc_auc_score(targ: Any, probabilities: Any, **kwargs: Any) -> float:
    """scikit-learn's figure of classes `(N,)` and probabilities `(N, K)`, or `(N,)` of the second of two; see `RocAuc`."""
    import numpy as np

    two = probabilities.ndim == 1 or probabilities.shape[1] == 2
    classes = range(2 if two else probabilities.shape[1])
    missing = sorted({*classes} - {*np.unique(targ).tolist()})
    if missing:
        warnings.warn(
            f"roc_auc_score is NaN: the set holds no picture of class number {listed(missing)} of {len(classes)}. "
            "Have an example of each among the validation pictures, as StratifiedSplitter does.",
            SightlineWarning,
            stacklevel=2,
        )
        return float("nan")
    scores = probabilities[:, 1] if probabilities.ndim == 2 and two else probabilities
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(targ, scores, **kwargs)  # type: ignore[no-any-return]


def _scored(function: str, axis: int = -1, *, expect: Any = expect_classes, **kwargs: Any) -> AccumMetric:
    from sklearn import metrics

    return skm_to_fastai(getattr(metrics, function), axis=axis, expect=expect, **kwargs)


def _by_average(
    function: str, axis: int, labels: Any, pos_label: int, average: str | None, sample_weight: Any, **kwargs: Any
) -> AccumMetric:
    return _scored(
        function,
        axis,
        labels=labels,
        pos_label=pos_label,
        average=average,
        sample_weight=sample_weight,
        # The figure of scikit-learn's default, without a warning for each class that was never decided for.
        zero_division=0,
        **kwargs,
    )
