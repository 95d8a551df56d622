"""Figures for numbers, against scikit-learn, scipy and numpy."""

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn import metrics as sk

from metrics.random_sets import NUMBER, OUTPUTS, PAIR, SEVEN, VALUES, WEIGHTS, normal, over_batches
from sightline.errors import OptionError
from sightline.metrics.gathering import check_metrics
from sightline.metrics.regression import (
    ExplainedVariance,
    PearsonCorrCoef,
    R2Score,
    SpearmanCorrCoef,
    exp_rmspe,
    mae,
    mse,
    msle,
    rmse,
)

GOT, TRUE = OUTPUTS.flatten().numpy(), VALUES.numpy()


@pytest.mark.parametrize(
    ("metric", "name", "expected"),
    [
        (mse, "mse", sk.mean_squared_error(TRUE, GOT)),
        (mae, "mae", sk.mean_absolute_error(TRUE, GOT)),
        (msle, "msle", sk.mean_squared_log_error(TRUE, GOT)),
        (rmse, "rmse", np.sqrt(sk.mean_squared_error(TRUE, GOT))),
        (exp_rmspe, "exp_rmspe", np.sqrt(np.mean(((np.exp(TRUE) - np.exp(GOT)) / np.exp(TRUE)) ** 2))),
        (ExplainedVariance(), "explained_variance_score", sk.explained_variance_score(TRUE, GOT)),
        (R2Score(), "r2_score", sk.r2_score(TRUE, GOT)),
        (R2Score(sample_weight=WEIGHTS), "r2_score", sk.r2_score(TRUE, GOT, sample_weight=WEIGHTS)),
        (PearsonCorrCoef(), "pearsonr", np.corrcoef(TRUE, GOT)[0, 1]),
        (SpearmanCorrCoef(), "spearmanr", stats.spearmanr(TRUE, GOT).statistic),
    ],
)
def test_a_figure_of_numbers_equals_its_formula_over_batches_of_unequal_size(metric, name, expected):
    assert getattr(metric, "name", None) in (name, None)
    assert over_batches(metric, NUMBER, OUTPUTS, VALUES) == pytest.approx(float(expected), rel=1e-5)


def test_figures_of_several_numbers_are_over_all_of_them():
    outputs, values = normal(60, 2, seed=1), normal(60, 2, seed=2)
    flat = values.flatten(), outputs.flatten()
    assert over_batches(rmse, PAIR, outputs, values) == pytest.approx(sk.mean_squared_error(*flat) ** 0.5, rel=1e-5)
    assert over_batches(R2Score(), PAIR, outputs, values) == pytest.approx(sk.r2_score(*flat), rel=1e-5)


def test_called_by_hand_one_column_stands_beside_flat_labels():
    assert rmse(OUTPUTS, VALUES) == pytest.approx(np.sqrt(sk.mean_squared_error(TRUE, GOT)), rel=1e-5)
    assert mse(torch.tensor([[1.0], [3.0]]), torch.tensor([1.0, 2.0])).item() == 0.5


@pytest.mark.parametrize("metric", [rmse, exp_rmspe, R2Score(), PearsonCorrCoef(), mae])
def test_figures_of_numbers_refuse_classes_before_training(metric):
    with pytest.raises(OptionError, match=r"compares as many numbers with one another.* For classes use error_rate"):
        check_metrics([metric], SEVEN)
