"""The figures that are shown where nobody asks for others."""

from __future__ import annotations

from typing import Any

from sightline.metrics.multi_label import accuracy_multi
from sightline.metrics.regression import rmse
from sightline.metrics.single_label import error_rate
from sightline.target import Target


def default_metrics(target: Target) -> list[Any]:
    """The metrics that fit these labels: those which `target.default_metrics` names."""
    known = {"error_rate": error_rate, "accuracy_multi": accuracy_multi, "rmse": rmse}
    return [known[name] for name in target.default_metrics]
