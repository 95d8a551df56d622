"""The order of a pass: which rows come when, as a pure function of options and epoch."""

from __future__ import annotations

import numpy as np

from sightline import draws
from sightline.data.loading.any_loader import LoaderOptions, Rows, Weights


def pass_keys(options: LoaderOptions, epoch: int, rows: Rows, n_used: int, table_size: int) -> Rows:
    """Keys of the rows of one pass, in order.

    Args:
        options: Whether rows are shuffled, drawn by weight, or only some of them taken.
        epoch: Counts the passes.
        rows: int64 `(n,)`, the rows that are served.
        n_used: How many keys are wanted.
        table_size: Number of rows of the whole table. `key % table_size` is the row; `key // table_size` counts how often the
            row came before in this pass.

    Returns:
        int64 `(n_used,)`.
    """
    if not options.shuffle:
        if options.partial_n is None or options.partial_n >= len(rows):
            return rows[:n_used]
        return rows[np.sort(draws.permutation(options.seed, epoch, len(rows))[:n_used])]
    if options.weights is None:
        return rows[draws.permutation(options.seed, epoch, len(rows))][:n_used]
    drawn = rows[weighted(options.weights, options.seed, epoch, n_used)]
    return drawn + table_size * _times_before(drawn)


def weighted(weights: Weights, seed: int, epoch: int, count: int) -> Rows:
    """`count` positions drawn with replacement, int64: each as often as its weight says, in the mean over epochs."""
    edges = np.cumsum(weights / weights.sum())
    # The last edge is 1 but for rounding; a position without weight must never be drawn.
    last = int(np.flatnonzero(weights)[-1])
    numbers = draws.uniform(seed, epoch, np.arange(count, dtype=np.int64), "weighted order")
    return np.minimum(np.searchsorted(edges, numbers, side="right"), last).astype(np.int64)


def _times_before(rows: Rows) -> Rows:
    """How often each entry occurred before it: [7, 3, 7, 7] gives [0, 0, 1, 2]."""
    by_row = np.argsort(rows, kind="stable")
    starts = np.flatnonzero(np.diff(rows[by_row], prepend=-1))
    lengths = np.diff(np.append(starts, len(rows)))
    counts = np.empty(len(rows), dtype=np.int64)
    counts[by_row] = np.arange(len(rows)) - np.repeat(starts, lengths)
    return counts
