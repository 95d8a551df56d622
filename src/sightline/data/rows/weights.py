"""Weights: which training rows are drawn more often than others, as the user says or so that labels balance."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from sightline.data.loading.any_loader import Weights
from sightline.data.rows.table import TRAIN, Table
from sightline.errors import LabelError, OptionError, counted

_NOTHING = ("no label",)


def checked_weights(wgts: Any, n: int, what: str = "training rows") -> Weights:
    """Weights as float64 `(n,)`.

    Raises:
        OptionError: Not one for each row, negative or not finite, or all zero.
    """
    weights: Weights = np.asarray(wgts.tolist() if hasattr(wgts, "tolist") else list(wgts), dtype=np.float64).reshape(-1)
    if len(weights) != n:
        raise OptionError(f"There are {counted(len(weights), 'weight')} for {n:,} {what}. Expected one for each.")
    if not np.isfinite(weights).all() or (weights < 0).any() or not weights.any():
        row = int(np.argmin(np.isfinite(weights) & (weights >= 0)))
        raise OptionError(
            f"Weights must be finite, not negative and not all zero; the one at position {row} is {weights[row]}. "
            "balanced_weights(dls) makes some that let every label occur equally often."
        )
    return weights


def training_weights(wgts: Any, table: Table | None, n: int) -> Weights:
    """Weights of the training rows, from one for each of them or one for each row of the whole table.

    Args:
        wgts: Numbers, in the order of `dls.train_ds.items` or of the items that the data was made from.
        table: The whole table; None where there is none.
        n: Number of training rows.

    Raises:
        OptionError: Neither as many as training rows nor as many as rows, or they are no weights.
    """
    if table is not None and len(wgts) == len(table) != n:
        return checked_weights(checked_weights(wgts, len(table))[table.rows(TRAIN)], n)
    either = "training rows" if table is None else f"training rows (and {len(table):,} rows in all)"
    return checked_weights(wgts, n, either)


def balanced_weights(data: Any) -> Weights:
    """Weights that let every label occur equally often in training, for `weighted_dataloaders`.

    A row weighs the inverse of how often its label occurs; where pictures have several labels, the mean of that over its
    labels (balance is then as good as the combinations allow).

    Args:
        data: `DataLoaders` or `Datasets`, whose training rows are counted; or labels, one for each row.

    Returns:
        float64 `(n,)`, mean 1.

    Raises:
        LabelError: Labels are numbers, or not known.
    """
    labels = _labels_of(data)
    names = [_names(label) for label in labels]
    counts = Counter(name for row in names for name in row)
    weights = np.array([np.mean([1 / counts[name] for name in row]) for row in names])
    balanced: Weights = weights / weights.mean()
    return balanced


def _labels_of(data: Any) -> list[Any]:
    table = getattr(data, "table", None)
    if isinstance(table, Table):
        labels = table.labels_of(table.rows(TRAIN))
    elif hasattr(data, "loaders"):
        raise LabelError("These loaders hold ready-made batches, so their labels are not known. Pass a list of labels.")
    else:
        labels = data.tolist() if hasattr(data, "tolist") else list(data)
    numbers = [label for label in labels if isinstance(label, float)]
    if not labels or numbers or (isinstance(labels[0], (list, tuple)) and any(isinstance(v, float) for v in labels[0])):
        raise LabelError(f"Labels are {'numbers' if labels else 'missing'} and cannot be balanced. Expected names of classes.")
    return labels


def _names(label: Any) -> tuple[Any, ...]:
    return (tuple(label) or _NOTHING) if isinstance(label, (list, tuple, set, frozenset)) else (label,)
