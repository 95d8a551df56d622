"""Schedules: from the share of a fit that is done, 0..1, to the value of a hyper-parameter.

A value is one number or a NumPy array with one number for each parameter group.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from sightline.errors import OptionError

Values: TypeAlias = float | npt.NDArray[np.float64]
Schedule: TypeAlias = Callable[[float], Values]


def cosine(start: Values, end: Values, progress: float) -> Values:
    """Half a cosine wave from `start` to `end`."""
    return start + (1 + math.cos(math.pi * (1 - progress))) * (end - start) / 2


def combine(shares: Sequence[float], schedules: Sequence[Schedule]) -> Schedule:
    """Schedules one after the other, each over its share of the whole and seeing its own progress 0..1.

    Raises:
        OptionError: Shares are negative, do not sum to 1, or are not as many as the schedules.
    """
    if len(shares) != len(schedules) or min(shares) < 0 or not math.isclose(sum(shares), 1.0):
        raise OptionError(f"shares={list(shares)}: expected {len(schedules)} numbers, none negative, that sum to 1.")
    starts = np.concatenate([[0.0], np.cumsum(shares)])

    def combined(progress: float) -> Values:
        part = min(int(np.flatnonzero(progress >= starts).max()), len(schedules) - 1)
        return schedules[part]((progress - float(starts[part])) / shares[part])

    return combined


def rise_and_fall(share: float, start: Values, middle: Values, end: Values) -> Schedule:
    """Cosine from `start` to `middle` over the first `share`, then cosine to `end`."""
    return combine([share, 1 - share], [lambda p: cosine(start, middle, p), lambda p: cosine(middle, end, p)])


def one_cycle(
    lr_max: npt.NDArray[np.float64], *, div: float, div_final: float, pct_start: float, moms: Sequence[float]
) -> dict[str, Schedule]:
    """Rate up and down again, momentum down and up again (Smith and Topin, "Super-convergence", 2018).

    Args:
        lr_max: Highest rate of every group.
        div: The first rate is `lr_max / div`.
        div_final: The last rate is `lr_max / div_final`.
        pct_start: Share of the steps during which the rate rises, strictly between 0 and 1.
        moms: Momentum at the start, in the middle and at the end.

    Raises:
        OptionError: `pct_start` or `moms` is outside what it may be.
    """
    if not 0 < pct_start < 1:
        raise OptionError(f"pct_start={pct_start}: expected a share of the steps, above 0 and below 1.")
    if len(moms) != 3:
        raise OptionError(f"moms={tuple(moms)}: expected three momentums: at the start, in the middle, at the end.")
    return {
        "lr": rise_and_fall(pct_start, lr_max / div, lr_max, lr_max / div_final),
        "mom": rise_and_fall(pct_start, moms[0], moms[1], moms[2]),
    }


def spread(value: float | slice | Sequence[float], groups: int) -> list[float]:
    """One value for each of `groups` parameter groups, lowest group first.

    A number goes to all groups. `slice(b)` gives b to the last group and b / 10 to all others. `slice(a, b)` gives a geometric
    series from a to b. A sequence is taken as it is.

    Raises:
        OptionError: A sequence of another length than there are groups, or a slice without an end.
    """
    if isinstance(value, slice):
        if value.stop is None:
            raise OptionError(f"{value} has no end. Expected slice(highest) or slice(lowest, highest).")
        if value.start:
            return even_mults(value.start, value.stop, groups)
        return [value.stop / 10] * (groups - 1) + [value.stop]
    try:
        values = [float(v) for v in np.atleast_1d(np.asarray(value, dtype=np.float64))]
    except (TypeError, ValueError) as error:
        raise OptionError(f"{value!r} is not a number, a slice, or one number for each parameter group.") from error
    if len(values) == 1:
        return values * groups
    if len(values) != groups:
        raise OptionError(f"{len(values)} values were given for {groups} parameter groups. Give one, or one for each group.")
    return values


def even_mults(start: float, stop: float, n: int) -> list[float]:
    """`n` values from `start` to `stop`, each the one before times the same factor."""
    if n == 1:
        return [float(stop)]
    return [float(start * (stop / start) ** (i / (n - 1))) for i in range(n)]
