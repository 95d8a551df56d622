"""Depth read from names: blocks in order, stems first."""

from __future__ import annotations

from sightline.model.depth import lower_half, units_by_level, units_by_pattern


def test_names_that_match_nothing_belong_to_the_block_before_or_to_the_stem():
    names = ["cls", "stem.w", "blocks.0.w", "blocks.0.b", "down.w", "blocks.1.w", "norm.w"]
    assert units_by_pattern(names, r"blocks\.\d+\.") == (
        ("cls", "stem.w"),
        ("blocks.0.w", "blocks.0.b", "down.w"),
        ("blocks.1.w", "norm.w"),
    )


def test_a_body_of_unknown_build_is_divided_by_the_outermost_level_with_several_parts():
    names = ["trunk.stem.w", "trunk.a.conv.w", "trunk.a.conv.b", "trunk.b.conv.w", "trunk.c.conv.w", "trunk.d.conv.w"]
    assert [unit[0] for unit in units_by_level(names)] == [
        "trunk.stem.w",
        "trunk.a.conv.w",
        "trunk.b.conv.w",
        "trunk.c.conv.w",
        "trunk.d.conv.w",
    ]


def test_parameters_that_a_body_holds_itself_come_first():
    assert units_by_level(["a.w", "b.w", "c.w", "token"])[0] == ("token",)


def test_a_body_of_one_layer_is_one_block_and_one_without_parameters_is_none():
    assert units_by_level(["weight", "bias"]) == (("weight", "bias"),)
    assert units_by_level([]) == ()


def test_an_odd_block_goes_to_the_lower_half():
    assert [lower_half((("a",),) * n) for n in (1, 2, 3, 13)] == [1, 1, 2, 7]
