"""Figures for several labels a picture.

Those of a whole set are over scikit-learn: each function makes a metric, and takes what scikit-learn's function takes under the
same names. A label is decided for when its probability is at least `thresh`: one number, or one a label.
"""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from sightline.errors import SightlineWarning, listed
from sightline.metrics.fitting import expect_indicators
from sightline.metrics.whole_set import AccumMetric, ActivationType, skm_to_fastai

Threshold = float | Tensor | list[float]


def accuracy_multi(inp: Tensor, targ: Tensor, thresh: Threshold = 0.5, sigmoid: bool = True) -> Tensor:
    """Share of right decisions over all pictures and all labels.

    Args:
        inp: Outputs, float `(N, K)`.
        targ: 1 where the label is present, else 0, `(N, K)`.
        thresh: A label is decided for when its probability is above this; one number, or one a label.
        sigmoid: Whether `inp` still needs the sigmoid.

    Returns:
        Float in 0..1, no dimensions.
    """
    expect_indicators("accuracy_multi", inp, targ)
    probabilities = inp.sigmoid() if sigmoid else inp
    return ((probabilities > torch.as_tensor(thresh, device=inp.device)) == targ.bool()).float().mean()


def APScoreMulti(  # noqa: N802
    sigmoid: bool = True, average: str | None = "macro", pos_label: int = 1, sample_weight: Any = None
) -> AccumMetric:
    """Average precision of the labels' probabilities."""
    return _scored("average_precision_score", sigmoid, average=average, pos_label=pos_label, sample_weight=sample_weight)


def BrierScoreMulti(  # noqa: N802
    thresh: Threshold = 0.5, sigmoid: bool = True, sample_weight: Any = None, pos_label: int | None = None
) -> AccumMetric:
    """The mean over pictures and labels of `(p - y)^2`, p being the probability and y 1 where the label is present; in 0..1.

    `thresh` and `pos_label` make no difference: the score is of probabilities, and the same for presence and absence.
    """
    return _metric(_brier, sigmoid, None, name="brier_score_loss", sample_weight=sample_weight)


def F1ScoreMulti(  # noqa: N802
    thresh: Threshold = 0.5,
    sigmoid: bool = True,
    labels: Any = None,
    pos_label: int = 1,
    average: str | None = "macro",
    sample_weight: Any = None,
) -> AccumMetric:
    """The harmonic mean of precision and recall of each label, averaged."""
    return _by_average("f1_score", sigmoid, thresh, labels, pos_label, average, sample_weight)


def FBetaMulti(  # noqa: N802
    beta: float,
    thresh: Threshold = 0.5,
    sigmoid: bool = True,
    labels: Any = None,
    pos_label: int = 1,
    average: str | None = "macro",
    sample_weight: Any = None,
) -> AccumMetric:
    """The mean of precision and recall in which recall counts `beta` times as much, of each label, averaged."""
    return _by_average("fbeta_score", sigmoid, thresh, labels, pos_label, average, sample_weight, beta=beta)


def HammingLossMulti(  # noqa: N802
    thresh: Threshold = 0.5, sigmoid: bool = True, labels: Any = None, sample_weight: Any = None
) -> AccumMetric:
    """Share of wrong decisions over all pictures and labels; `labels` makes no difference, here as in scikit-learn."""
    return _scored("hamming_loss", sigmoid, thresh, sample_weight=sample_weight)


def JaccardMulti(  # noqa: N802
    thresh: Threshold = 0.5,
    sigmoid: bool = True,
    labels: Any = None,
    pos_label: int = 1,
    average: str | None = "macro",
    sample_weight: Any = None,
) -> AccumMetric:
    """Of the pictures that have a label or were given it, the share that are both, averaged."""
    return _by_average("jaccard_score", sigmoid, thresh, labels, pos_label, average, sample_weight)


def MatthewsCorrCoefMulti(thresh: Threshold = 0.5, sigmoid: bool = True, sample_weight: Any = None) -> AccumMetric:  # noqa: N802
    """Matthews' correlation of all decisions, of every picture and label, with what is so; in -1..1."""
    return _metric(_matthews, sigmoid, thresh, name="matthews_corrcoef", sample_weight=sample_weight)


def PrecisionMulti(  # noqa: N802
    thresh: Threshold = 0.5,
    sigmoid: bool = True,
    labels: Any = None,
    pos_label: int = 1,
    average: str | None = "macro",
    sample_weight: Any = None,
) -> AccumMetric:
    """Of the pictures that were given a label, the share that have it, averaged."""
    return _by_average("precision_score", sigmoid, thresh, labels, pos_label, average, sample_weight)


def RecallMulti(  # noqa: N802
    thresh: Threshold = 0.5,
    sigmoid: bool = True,
    labels: Any = None,
    pos_label: int = 1,
    average: str | None = "macro",
    sample_weight: Any = None,
) -> AccumMetric:
    """Of the pictures that have a label, the share that were given it, averaged."""
    return _by_average("recall_score", sigmoid, thresh, labels, pos_label, average, sample_weight)


def RocAucMulti(  # noqa: N802
    sigmoid: bool = True, average: str | None = "macro", sample_weight: Any = None, max_fpr: float | None = None
) -> AccumMetric:
    """Area under the ROC curve of each label's probability, averaged; NaN where a label is on all pictures or on none."""
    options = {"average": average, "sample_weight": sample_weight, "max_fpr": max_fpr}
    return _metric(_roc_auc, sigmoid, None, name="roc_auc_score", **options)


def _roc_auc(targ: Any, probabilities: Any, **kwargs: Any) -> Any:
    on_all_or_none = [label for label, column in enumerate(targ.T) if column.all() or not column.any()]
    if on_all_or_none:
        warnings.warn(
            f"roc_auc_score is NaN: number {listed(on_all_or_none)} of {targ.shape[1]} labels is on all pictures of the set, "
            "or on none. Have pictures with and without each label among the validation pictures.",
            SightlineWarning,
            stacklevel=2,
        )
        return float("nan")
    from sklearn.metrics import roc_auc_score

    return roc_auc_score(targ, probabilities, **kwargs)


def _brier(targ: Any, probabilities: Any, sample_weight: Any = None) -> float:
    import numpy as np

    return float(np.average(((probabilities - targ) ** 2).mean(axis=1), weights=sample_weight))


def _matthews(targ: Any, decided: Any, sample_weight: Any = None) -> float:
    import numpy as np

    weights = None if sample_weight is None else np.repeat(sample_weight, targ.shape[1])
    from sklearn.metrics import matthews_corrcoef

    return float(matthews_corrcoef(targ.ravel(), decided.ravel(), sample_weight=weights))


def _metric(function: Any, sigmoid: bool, thresh: Threshold | None, **kwargs: Any) -> AccumMetric:
    activation = ActivationType.Sigmoid if sigmoid else ActivationType.No
    return skm_to_fastai(
        function, is_class=False, thresh=thresh, activation=activation, flatten=False, expect=expect_indicators, **kwargs
    )


def _scored(function: str, sigmoid: bool, thresh: Threshold | None = None, **kwargs: Any) -> AccumMetric:
    from sklearn import metrics

    return _metric(getattr(metrics, function), sigmoid, thresh, **kwargs)


def _by_average(
    function: str,
    sigmoid: bool,
    thresh: Threshold,
    labels: Any,
    pos_label: int,
    average: str | None,
    sample_weight: Any,
    **kwargs: Any,
) -> AccumMetric:
    return _scored(
        function,
        sigmoid,
        thresh,
        labels=labels,
        pos_label=pos_label,
        average=average,
        sample_weight=sample_weight,
        # The figure of scikit-learn's default, without a warning for each label that was never decided for.
        zero_division=0,
        **kwargs,
    )
