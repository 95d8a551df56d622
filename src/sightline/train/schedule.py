"""Schedules: from the share of a fit that is done, 0..1, to the value of a hyper-parameter.

A value is one number or a NumPy array with one number for each parameter group. Building blocks have the field's names:
`SchedLin`, `SchedCos`, `SchedNo`, `SchedExp`, `SchedPoly`, joined by `combine_scheds`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sightline.errors import OptionError

Values: TypeAlias = float | npt.NDArray[np.float64]
Schedule: TypeAlias = Callable[[float], Values]

_ROUNDING = 1e-9


@dataclass(frozen=True)
class LayerDecay:
    """A rate for every parameter group that shrinks with depth: see `layer_decay`.

    Attributes:
        lr: Rate of the last group.
        factor: Each group's rate is that of the group above it times this.
    """

    lr: float
    factor: float

    def rates(self, groups: int) -> list[float]:
        """Rates of so many groups, lowest group first."""
        return [self.lr * self.factor**above for above in reversed(range(groups))]


Rates: TypeAlias = float | slice | Sequence[float] | LayerDecay
"""One value for all parameter groups, a slice (see `spread`), a `layer_decay`, or one value for each group."""


@dataclass(frozen=True)
class Annealer:
    """A curve between two values: calling it with progress 0..1 gives `f(start, end, progress)`."""

    f: Callable[[Any, Any, float], Any]
    start: Any
    end: Any

    def __call__(self, pos: float) -> Any:
        return self.f(self.start, self.end, pos)


def annealer(f: Callable[[Any, Any, float], Any]) -> Callable[[Any, Any], Annealer]:
    """Turn `f(start, end, progress)` into a maker of schedules: `annealer(f)(start, end)(progress)`."""

    def between(start: Any, end: Any) -> Annealer:
        return Annealer(f, start, end)

    between.__name__, between.__doc__ = getattr(f, "__name__", "annealer"), f.__doc__
    return between


def sched_lin(start: Values, end: Values, pos: float) -> Values:
    """A straight line from `start` to `end`."""
    return start + pos * (end - start)


def sched_cos(start: Values, end: Values, pos: float) -> Values:
    """Half a cosine wave from `start` to `end`."""
    return start + (1 + math.cos(math.pi * (1 - pos))) * (end - start) / 2


def sched_no(start: Values, end: Values, pos: float) -> Values:
    """Always `start`."""
    return start


def sched_exp(start: Values, end: Values, pos: float) -> Values:
    """From `start` to `end` by equal factors; both above 0."""
    return start * (end / start) ** pos


def SchedLin(start: Values, end: Values) -> Annealer:  # noqa: N802 - names of the field, here and below
    """A straight line from `start` to `end`."""
    return Annealer(sched_lin, start, end)


def SchedCos(start: Values, end: Values) -> Annealer:  # noqa: N802
    """Half a cosine wave from `start` to `end`."""
    return Annealer(sched_cos, start, end)


def SchedNo(start: Values, end: Values) -> Annealer:  # noqa: N802
    """Always `start`."""
    return Annealer(sched_no, start, end)


def SchedExp(start: Values, end: Values) -> Annealer:  # noqa: N802
    """From `start` to `end` by equal factors; both above 0."""
    return Annealer(sched_exp, start, end)


def SchedPoly(start: Values, end: Values, power: float) -> Schedule:  # noqa: N802
    """From `start` to `end` along progress to the power of `power`."""
    return lambda pos: start + (end - start) * pos**power


def combine_scheds(pcts: Sequence[float], scheds: Sequence[Schedule]) -> Schedule:
    """Schedules one after the other, each over its share of the whole and seeing its own progress 0..1.

    Raises:
        OptionError: Shares are negative, do not sum to 1, or are not as many as the schedules.
    """
    shares = [float(share) for share in pcts]
    if len(shares) != len(scheds) or not shares or min(shares) < 0 or not math.isclose(sum(shares), 1.0):
        raise OptionError(f"pcts={shares}: expected {len(scheds)} numbers, none negative, that sum to 1.")
    parts = [(share, sched) for share, sched in zip(shares, scheds, strict=True) if share > 0]
    starts = np.concatenate([[0.0], np.cumsum([share for share, _ in parts])])[:-1]

    def combined(pos: float) -> Values:
        # A border that is reached up to rounding is reached.
        part = max(0, int(np.searchsorted(starts, pos + _ROUNDING, side="right")) - 1)
        share, sched = parts[part]
        return sched(max(0.0, pos - float(starts[part])) / share)

    return combined


def combined_cos(pct: float, start: Values, middle: Values, end: Values) -> Schedule:
    """Cosine from `start` to `middle` over the first share `pct`, then cosine to `end`."""
    return combine_scheds([pct, 1 - pct], [SchedCos(start, middle), SchedCos(middle, end)])


def one_cycle(
    lr_max: npt.NDArray[np.float64], *, div: float, div_final: float, pct_start: float, moms: Sequence[float]
) -> dict[str, Schedule]:
    """Rate up and down again, momentum down and up again (Smith and Topin, "Super-convergence", 2018).

    Args:
        lr_max: Highest rate of every group.
        div: The first rate is `lr_max / div`.
        div_final: The last rate is `lr_max / div_final`.
        pct_start: Share of the steps during which the rate rises, 0 to 1.
        moms: Momentum at the start, in the middle and at the end.

    Raises:
        OptionError: `pct_start` or `moms` is outside what it may be.
    """
    if not 0 <= pct_start <= 1:
        raise OptionError(f"pct_start={pct_start}: expected a share of the steps, from 0 to 1.")
    if len(moms) != 3:
        raise OptionError(f"moms={tuple(moms)}: expected three momentums: at the start, in the middle, at the end.")
    return {
        "lr": combined_cos(pct_start, lr_max / div, lr_max, lr_max / div_final),
        "mom": combined_cos(pct_start, moms[0], moms[1], moms[2]),
    }


def flat_cos(lr: npt.NDArray[np.float64], *, div_final: float, pct_start: float) -> dict[str, Schedule]:
    """Rates as they are for the first share `pct_start`, then a cosine down to `lr / div_final`.

    Raises:
        OptionError: `pct_start` is no share.
    """
    if not 0 <= pct_start <= 1:
        raise OptionError(f"pct_start={pct_start}: expected a share of the steps, from 0 to 1.")
    return {"lr": combined_cos(pct_start, lr, lr, lr / div_final)}


def warm_restarts(
    lr_max: npt.NDArray[np.float64], *, n_cycles: int, cycle_len: int, cycle_mult: int
) -> tuple[int, dict[str, Schedule]]:
    """Cosines from `lr_max` to 0, each `cycle_mult` times as long as the one before (Loshchilov and Hutter, "SGDR", 2017).

    Args:
        lr_max: Rate at the start of every cycle, of every group.
        n_cycles: How many cycles.
        cycle_len: Epochs of the first.
        cycle_mult: Growth from cycle to cycle.

    Returns:
        The epochs of all cycles together, and the schedule.

    Raises:
        OptionError: One of the three is not a whole number, at least 1.
    """
    for name, value in (("n_cycles", n_cycles), ("cycle_len", cycle_len), ("cycle_mult", cycle_mult)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise OptionError(f"{name}={value!r}: expected a whole number, at least 1.")
    lengths = [cycle_len * cycle_mult**i for i in range(n_cycles)]
    shares = [length / sum(lengths) for length in lengths]
    return sum(lengths), {"lr": combine_scheds(shares, [SchedCos(lr_max, 0.0)] * n_cycles)}


def layer_decay(lr: float, factor: float = 0.75) -> LayerDecay:
    """Rates that shrink with depth, for every argument that takes rates.

    With many groups: `vision_learner(..., splitter=by_blocks())`, then `learn.fit_one_cycle(5, layer_decay(1e-3, 0.75))`.

    Args:
        lr: Rate of the last group.
        factor: Each group's rate is that of the group above it times this, above 0 and at most 1.

    Raises:
        OptionError: A number outside its range.
    """
    if not 0 < factor <= 1:
        raise OptionError(f"factor={factor!r}: expected a number above 0 and at most 1.")
    if not lr > 0:
        raise OptionError(f"lr={lr!r}: expected a positive number.")
    return LayerDecay(lr, factor)


def spread(value: Rates, groups: int) -> list[float]:
    """One value for each of `groups` parameter groups, lowest group first.

    A number goes to all groups. `slice(b)` gives b to the last group and b / 10 to all others. `slice(a, b)` gives a geometric
    series from a to b. `layer_decay(...)` gives its own rates. A sequence is taken as it is.

    Raises:
        OptionError: A sequence of another length than there are groups, or a slice without an end.
    """
    if isinstance(value, LayerDecay):
        return value.rates(groups)
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
