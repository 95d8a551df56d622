"""Draws of transforms: named, repeatable, one a picture or one a batch."""

from __future__ import annotations

import numpy as np

from sightline.data.transforms.chance import BatchDraw, ItemDraw, named
from sightline.data.transforms.geometry import Flip, Rotate


def test_a_picture_draws_what_its_row_draws_in_any_batch() -> None:
    whole = BatchDraw(seed=1, epoch=2, rows=np.array([5, 9, 40]), scope="Rotate.").uniform("angle")
    assert whole[1] == ItemDraw(True, seed=1, epoch=2, row=9, scope="Rotate.").uniform("angle")


def test_values_are_neutral_where_nothing_is_applied() -> None:
    values = BatchDraw(seed=0, epoch=0, rows=np.arange(4000)).values("zoom", 2, 3, p=0.25, neutral=1)
    applied = values != 1
    assert abs(applied.mean() - 0.25) < 0.03
    assert values[applied].min() >= 2
    assert values[applied].max() < 3


def test_the_value_says_nothing_about_whether_it_is_applied() -> None:
    draw = BatchDraw(seed=0, epoch=0, rows=np.arange(4000))
    values = draw.values("angle", 0, 1, p=0.5, neutral=-1)
    assert abs(values[values >= 0].mean() - 0.5) < 0.03


def test_fixed_values_are_masked_by_probability_like_drawn_ones() -> None:
    values = BatchDraw(seed=0, epoch=0, rows=np.arange(4000)).values("angle", 0, 1, p=0.5, fixed=7)
    assert set(values.tolist()) == {0, 7}
    assert abs((values == 7).mean() - 0.5) < 0.03


def test_the_second_transform_of_a_kind_has_another_name() -> None:
    assert [name for name, _ in named([Flip(), Rotate(), Flip()])] == ["Flip.", "Rotate.", "Flip1."]
