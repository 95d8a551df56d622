"""Schedules and the spreading of one value over parameter groups."""

import math

import numpy as np
import pytest

from sightline.errors import OptionError
from sightline.train.schedule import combine, cosine, one_cycle, rise_and_fall, spread


def test_cosine_goes_from_start_to_end_by_half_a_wave():
    assert [cosine(1.0, 3.0, p) for p in (0.0, 0.5, 1.0)] == pytest.approx([1.0, 2.0, 3.0])
    assert cosine(0.0, 1.0, 0.25) == pytest.approx((1 - math.cos(math.pi / 4)) / 2)


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
        combine([0.5, 0.6], [lambda p: p, lambda p: p])
    with pytest.raises(OptionError, match=r"pct_start=1\.5"):
        one_cycle(np.array([1.0]), div=25, div_final=1e5, pct_start=1.5, moms=(0.9, 0.8, 0.9))


def test_rise_and_fall_meets_in_the_middle():
    assert rise_and_fall(0.4, 0.0, 1.0, 0.5)(0.4) == pytest.approx(1.0)
