"""Schedules and the spreading of one value over parameter groups."""

import math

import numpy as np
import pytest

from sightline.errors import OptionError
from sightline.train.schedule import (
    SchedCos,
    SchedExp,
    SchedLin,
    SchedNo,
    SchedPoly,
    annealer,
    combine_scheds,
    combined_cos,
    layer_decay,
    one_cycle,
    spread,
    warm_restarts,
)


def test_cosine_goes_from_start_to_end_by_half_a_wave():
    assert [SchedCos(1.0, 3.0)(p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 2.0, 3.0])
    assert SchedCos(0.0, 1.0)(0.25) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)


def test_building_blocks_follow_their_formulas():
    assert SchedLin(1.0, 3.0)(0.25) == pytest.approx(1.5)
    assert SchedNo(1.0, 3.0)(0.25) == 1.0
    assert SchedExp(1e-4, 1.0)(0.25) == pytest.approx(1e-3)
    assert SchedPoly(0.0, 8.0, 3)(0.5) == pytest.approx(1.0)
    assert SchedExp(np.array([1e-4, 1e-2]), np.array([1.0, 1.0]))(0.5) == pytest.approx([1e-2, 1e-1])


def test_a_function_of_ones_own_becomes_a_schedule():
    @annealer
    def halfway(start, end, pos):
        return start if pos < 0.5 else end

    assert [halfway(1.0, 2.0)(p) for p in (0.0, 0.49, 0.5)] == [1.0, 1.0, 2.0]
    assert halfway.__name__ == "halfway"


def test_a_part_without_a_share_is_passed_over():
    curve = combine_scheds([0.0, 1.0], [SchedNo(5.0, 5.0), SchedLin(1.0, 2.0)])
    assert [curve(p) for p in (0.0, 1.0)] == pytest.approx([1.0, 2.0])
    assert combined_cos(1.0, 1.0, 2.0, 9.0)(1.0) == pytest.approx(2.0)


def test_warm_restarts_begin_anew_exactly_where_a_cycle_ends():
    epochs, scheds = warm_restarts(np.array([1.0]), n_cycles=3, cycle_len=2, cycle_mult=2)
    assert epochs == 14
    values = [float(scheds["lr"](step / 14)[0]) for step in range(14)]
    assert [place for place, value in enumerate(values) if value == pytest.approx(1.0)] == [0, 2, 6]
    assert values[1] == pytest.approx(0.5)


def test_cycles_of_equal_length_are_a_multiple_of_one():
    assert warm_restarts(np.array([1.0]), n_cycles=3, cycle_len=2, cycle_mult=1)[0] == 6


def test_layer_decay_gives_each_group_its_share_of_the_one_above():
    assert spread(layer_decay(1e-3, 0.5), 4) == pytest.approx([1.25e-4, 2.5e-4, 5e-4, 1e-3])
    with pytest.raises(OptionError, match=r"factor=1\.5"):
        layer_decay(1e-3, 1.5)


def test_one_cycle_rises_over_its_share_then_falls():
    lr = one_cycle(np.array([1e-3, 1e-2]), div=25, div_final=1e5, pct_start=0.25, moms=(0.95, 0.85, 0.95))["lr"]
    assert lr(0.0) == pytest.approx([1e-3 / 25, 1e-2 / 25])
    assert lr(0.25) == pytest.approx([1e-3, 1e-2])
    assert lr(1.0) == pytest.approx([1e-8, 1e-7])


def test_momentum_goes_the_other_way():
    mom = one_cycle(np.array([1.0]), div=25, div_final=1e5, pct_start=0.3, moms=(0.95, 0.85, 0.95))["mom"]
    assert [float(mom(p)) for p in (0.0, 0.3, 1.0)] == pytest.approx([0.95, 0.85, 0.95])


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1e-3, [1e-3, 1e-3, 1e-3]),
        (slice(2e-3), [2e-4, 2e-4, 2e-3]),
        (slice(1e-5, 1e-3), [1e-5, 1e-4, 1e-3]),
        ([1.0, 2.0, 3.0], [1.0, 2.0, 3.0]),
    ],
)
def test_spread_over_three_groups(value, expected):
    assert spread(value, 3) == pytest.approx(expected)


def test_spread_over_one_group_takes_the_highest():
    assert spread(slice(1e-5, 1e-3), 1) == [1e-3]


def test_wrong_numbers_are_named():
    with pytest.raises(OptionError, match="2 values were given for 3 parameter groups"):
        spread([1.0, 2.0], 3)
    with pytest.raises(OptionError, match="has no end"):
        spread(slice(None), 3)
    with pytest.raises(OptionError, match="sum to 1"):
        combine_scheds([0.5, 0.6], [lambda p: p, lambda p: p])
    with pytest.raises(OptionError, match=r"pct_start=1\.5"):
        one_cycle(np.array([1.0]), div=25, div_final=1e5, pct_start=1.5, moms=(0.9, 0.8, 0.9))


def test_wrong_cycles_are_refused():
    with pytest.raises(OptionError, match="cycle_len=0: expected a whole number, at least 1"):
        warm_restarts(np.array([1.0]), n_cycles=1, cycle_len=0, cycle_mult=2)


def test_two_cosines_meet_in_the_middle():
    assert combined_cos(0.4, 0.0, 1.0, 0.5)(0.4) == pytest.approx(1.0)


@pytest.mark.parametrize(("share", "first", "last"), [(0.0, 1.0, 0.01), (1.0, 0.25, 1.0)])
def test_a_cycle_may_only_fall_or_only_rise(share, first, last):
    lr = one_cycle(np.array([1.0]), div=4, div_final=100, pct_start=share, moms=(0.9, 0.8, 0.9))["lr"]
    assert [float(lr(pos)[0]) for pos in (0.0, 1.0)] == pytest.approx([first, last])
