"""Figures for numbers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor

from sightline.metrics.fitting import expect_numbers
from sightline.metrics.whole_set import AccumMetric, skm_to_fastai


def mse(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the squared differences; `inp` and `targ` hold equally many numbers."""
    expect_numbers("mse", inp, targ)
    return (inp.flatten() - targ.flatten()).square().mean()


def mae(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the absolute differences; `inp` and `targ` hold equally many numbers."""
    expect_numbers("mae", inp, targ)
    return (inp.flatten() - targ.flatten()).abs().mean()


def msle(inp: Tensor, targ: Tensor) -> Tensor:
    """Mean of the squared differences of `log(1 + x)`; `inp` and `targ` hold equally many numbers, NaN below -1."""
    expect_numbers("msle", inp, targ)
    return mse((1 + inp).log(), (1 + targ).log())


def _root_mean_square(inp: Tensor, targ: Tensor) -> Tensor:
    return mse(inp, targ).sqrt()


def _root_mean_square_percentage(inp: Tensor, targ: Tensor) -> Tensor:
    return (1 - torch.exp(inp - targ)).square().mean().sqrt()


rmse = AccumMetric(_root_mean_square, name="rmse", expect=expect_numbers)
"""Root of the mean squared difference over the whole set: one figure, not a mean over batches."""

exp_rmspe = AccumMetric(_root_mean_square_percentage, name="exp_rmspe", expect=expect_numbers)
"""Root of the mean squared relative error of the exponentials, over the whole set: for labels that are logarithms."""


def ExplainedVariance(sample_weight: Any = None) -> AccumMetric:  # noqa: N802
    """Share of the labels' variance that the outputs explain; a constant error counts for nothing."""
    return _scored("explained_variance_score", sample_weight=sample_weight)


def R2Score(sample_weight: Any = None) -> AccumMetric:  # noqa: N802
    """The coefficient of determination: 1 is perfect, 0 as good as the labels' mean."""
    return _scored("r2_score", sample_weight=sample_weight)


def PearsonCorrCoef(dim_argmax: int | None = None, **kwargs: Any) -> AccumMetric:  # noqa: N802
    """Pearson's correlation of outputs and labels, in -1..1; `kwargs` are those of `AccumMetric`."""
    return AccumMetric(_pearson, dim_argmax, **_named("pearsonr", kwargs))


def SpearmanCorrCoef(  # noqa: N802
    dim_argmax: int | None = None, axis: int | None = 0, nan_policy: str = "propagate", **kwargs: Any
) -> AccumMetric:
    """Spearman's correlation of the ranks of outputs and labels, in -1..1; `kwargs` are those of `AccumMetric`."""
    return AccumMetric(partial(_spearman, axis=axis, nan_policy=nan_policy), dim_argmax, **_named("spearmanr", kwargs))


def _pearson(inp: Any, targ: Any) -> float:
    from scipy.stats import pearsonr

    return float(pearsonr(inp, targ)[0])


def _spearman(inp: Any, targ: Any, **kwargs: Any) -> float:
    from scipy.stats import spearmanr

    return float(spearmanr(inp, targ, **kwargs)[0])


def _named(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "to_np": True, "expect": expect_numbers, **kwargs}


def _scored(function: str, **kwargs: Any) -> AccumMetric:
    from sklearn import metrics

    found = getattr(metrics, function)
    return skm_to_fastai(found, is_class=False, expect=expect_numbers, **kwargs)
