"""Matrices: fastai's for given draws, spread like fastai's where chance decides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from data.facts import FACTS
from sightline.data.transforms import geometry
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.chance import BatchDraw
from sightline.data.transforms.colour import Lighting
from sightline.data.transforms.composition import Geometry, box_matrices
from sightline.data.transforms.geometry import Dihedral, Flip, Geometric, RandomResizedCropGPU, Rotate, Warp, Zoom
from sightline.data.transforms.recolour import LogitChange
from sightline.data.transforms.resample import Resampling
from sightline.errors import OptionError

COUNT = 20_000
MOVED = [fact for fact in FACTS["warps"] if fact["training"] and fact["affine"] is not None]
DRAW = BatchDraw(seed=11, epoch=0, rows=np.arange(COUNT))


def made(transforms: list[Any]) -> list[Geometric]:
    return [getattr(geometry, name)(p=1.0, **draws) for name, draws in transforms if hasattr(geometry, name)]


def few(count: int) -> BatchDraw:
    return BatchDraw(seed=0, epoch=0, rows=np.arange(count))


# Given draws


@pytest.mark.parametrize("fact", MOVED, ids=lambda fact: f"{fact['transforms']}"[:60])
def test_matrices_for_given_draws_equal_the_reference(fact: dict[str, Any]) -> None:
    matrices = Geometry.of(made(fact["transforms"])).matrices(few(fact["count"]), tuple(fact["input"]))
    affine = np.concatenate([fact["affine"], np.tile([[[0, 0, 1]]], (fact["count"], 1, 1))], axis=1)
    expected = affine if fact["homography"] is None else np.array(fact["homography"]) @ affine
    # A projective matrix is known up to a factor; compared where it sends the corners, and up to that factor.
    assert np.allclose(matrices / matrices[:, 2:, 2:], expected / expected[:, 2:, 2:], atol=5e-6)
    ends = matrices @ np.array([[-1, 1, -1, 1], [-1, -1, 1, 1], [1, 1, 1, 1]])
    assert np.allclose((ends[:, :2] / ends[:, 2:]).transpose(0, 2, 1), fact["corners"], atol=2e-5)


@pytest.mark.parametrize(("tilt_x", "tilt_y", "expected"), FACTS["homographies"])
def test_warps_equal_the_reference(tilt_x: float, tilt_y: float, expected: list[list[float]]) -> None:
    matrix = Warp(0.5, p=1, draw_x=tilt_x, draw_y=tilt_y).matrices(few(1))[0]
    assert np.allclose(matrix, expected, atol=2e-6)


def test_a_warp_sends_its_tilted_corners_to_the_corners() -> None:
    rng = np.random.default_rng(0)
    tilt_x, tilt_y = rng.uniform(-0.4, 0.4, (2, 50))
    matrices = Warp(0.4, p=1, draw_x=tilt_x.tolist(), draw_y=tilt_y.tolist()).matrices(few(50))
    for x, y in ((-1, -1), (-1, 1), (1, -1), (1, 1)):
        tilted = np.stack([x - x * y * tilt_y, y - x * y * tilt_x, np.ones(50)], axis=1)
        reached = np.einsum("nij,nj->ni", matrices, tilted)
        assert np.allclose(reached[:, :2] / reached[:, 2:], [x, y])


def test_a_rotation_of_a_picture_that_is_not_square_keeps_right_angles() -> None:
    height, width = 40, 120
    matrix = Geometry.of([Rotate(draw=30, p=1)]).matrices(few(1), (height, width))[0]
    to_pixels = np.diag([width / 2, height / 2])
    in_pixels = to_pixels @ matrix[:2, :2] @ np.linalg.inv(to_pixels)
    assert np.allclose(in_pixels @ in_pixels.T, np.eye(2))


# Drawn


def summary_of(values: np.ndarray, neutral: float) -> dict[str, float]:
    changed = values[np.abs(values - neutral) > 1e-9]
    return {"share": len(changed) / len(values), **{name: getattr(changed, name)() for name in ("min", "max", "mean", "std")}}


def drawn_by(options: dict[str, Any]) -> dict[str, np.ndarray]:
    """What chance decides for 20,000 pictures, read off the matrices and the changes of the logits."""
    transforms = aug_transforms(**options)
    parts = {type(t).__name__: t for t in transforms}
    rotation, zoom, warp = (parts[name].matrices(DRAW.scoped(name)) for name in ("Rotate", "Zoom", "Warp"))
    # A corner (x, y) goes to tilted (x - x y tilt_y, y - x y tilt_x): where the inverse sends (-1, -1).
    tilted = np.linalg.inv(warp) @ np.array([-1, -1, 1])
    tilted = tilted[:, :2] / tilted[:, 2:]
    scale = zoom[:, 0, 0]
    light = {n: part.after(LogitChange.none(COUNT), DRAW.scoped(n)) for n, part in parts.items() if isinstance(part, Lighting)}
    return {
        "angle": np.degrees(np.arctan2(rotation[:, 0, 1], rotation[:, 0, 0])),
        "zoom": 1 / scale,
        "tilt_x": -1 - tilted[:, 1],
        "tilt_y": -1 - tilted[:, 0],
        "brightness": light["Brightness"].shift,
        "contrast": np.log(light["Contrast"].scale),
        "centre": (zoom[np.abs(scale - 1) > 1e-3, :2, 2] / (1 - scale[np.abs(scale - 1) > 1e-3, None]) + 1) / 2,
    }


@pytest.mark.parametrize("fact", [f for f in FACTS["draws"] if not f["whole_batch"]], ids=lambda fact: f"{fact['options']}")
def test_ranges_and_shares_of_what_is_drawn_equal_the_reference(fact: dict[str, Any]) -> None:
    drawn = drawn_by(fact["options"])
    for name in ("angle", "zoom", "tilt_x", "tilt_y", "brightness", "contrast"):
        ours, theirs = summary_of(drawn[name], 1.0 if name == "zoom" else 0.0), fact[name]
        reach = theirs["max"] - theirs["min"]
        changed = COUNT * theirs["share"]
        assert abs(ours["share"] - theirs["share"]) < 4 * math.sqrt(2 * 0.25 / COUNT), name
        assert abs(ours["mean"] - theirs["mean"]) < 4 * theirs["std"] * math.sqrt(2 / changed), name
        assert abs(ours["std"] - theirs["std"]) < 4 * theirs["std"] * math.sqrt(2 / changed), name
        assert abs(ours["min"] - theirs["min"]) < 0.002 * reach, name
        assert abs(ours["max"] - theirs["max"]) < 0.002 * reach, name
    for axis, name in enumerate(("centre_x", "centre_y")):
        centre, expected = drawn["centre"][:, axis], fact[name]
        assert abs(centre.mean() - expected["mean"]) < 0.015, name
        assert abs(centre.std() - expected["std"]) < 0.01, name
        assert centre.min() > -1e-6, name
        assert centre.max() < 1 + 1e-6, name
    both = (np.abs(drawn["tilt_x"]) > 1e-9) & (np.abs(drawn["tilt_y"]) > 1e-9)
    assert abs(both.mean() - fact["both_tilts"]) < 0.02, "the two tilts are decided apart"


@pytest.mark.parametrize("fact", FACTS["draws"][:3], ids=lambda fact: f"{fact['options']}")
def test_shares_of_mirrored_pictures_equal_the_reference(fact: dict[str, Any]) -> None:
    first = aug_transforms(**fact["options"])[0]
    matrices = first.matrices(DRAW)
    if "flip" in fact:
        assert isinstance(first, Flip)
        assert abs((matrices[:, 0, 0] < 0).mean() - fact["flip"]) < 0.02
        return
    ways = Dihedral(p=1, draw=list(range(8))).matrices(few(8))
    shares = [(np.abs(matrices - way).max(axis=(1, 2)) < 1e-9).mean() for way in ways]
    assert np.allclose(shares, fact["dihedral"], atol=0.02)


def test_all_eight_ways_of_a_square_are_different() -> None:
    ways = Dihedral(p=1, draw=list(range(8))).matrices(few(8))
    assert len({tuple(way.ravel()) for way in ways}) == 8
    assert np.allclose(np.abs(np.linalg.det(ways)), 1)


def test_one_draw_may_serve_the_whole_batch() -> None:
    for transform in aug_transforms(batch=True, p_affine=1, p_lighting=1, max_rotate=45):
        if isinstance(transform, Lighting):
            change = transform.after(LogitChange.none(9), few(9))
            drawn = np.stack([change.scale, change.shift], axis=-1)
        else:
            drawn = transform.matrices(few(9))
        assert np.ptp(drawn, axis=0).max() == 0


def test_what_is_drawn_are_angles_of_different_pictures() -> None:
    angles = np.arcsin(Rotate(10, p=1).matrices(DRAW)[:, 0, 1])
    assert len(np.unique(angles)) == COUNT
    assert abs(np.corrcoef(angles[:-1], angles[1:])[0, 1]) < 0.03


def test_draws_of_different_transforms_are_independent() -> None:
    drawn = drawn_by({"p_affine": 1.0, "p_lighting": 1.0})
    names = ["angle", "zoom", "tilt_x", "tilt_y", "brightness", "contrast"]
    correlations = np.corrcoef([drawn[name] for name in names]) - np.eye(len(names))
    assert np.abs(correlations).max() < 0.03


# Written as for fastai


def test_options_may_be_given_by_place_as_in_the_reference() -> None:
    assert Flip(0.1, 1, 32, "nearest", "zeros", False, True) == Flip(
        p=0.1, draw=1, size=32, mode="nearest", pad_mode="zeros", align_corners=False, batch=True
    )
    assert Dihedral(0.1, 3, 32, "nearest", "zeros", True, False) == Dihedral(
        p=0.1, draw=3, size=32, mode="nearest", pad_mode="zeros", batch=True, align_corners=False
    )
    assert Rotate(20, 0.1, 5, 32, "nearest", "zeros", False, True) == Rotate(
        max_deg=20, p=0.1, draw=5, size=32, mode="nearest", pad_mode="zeros", align_corners=False, batch=True
    )
    assert Zoom(0.9, 1.2, 0.1, 1.1, 0.2, 0.3, 32, "nearest", "zeros", True, False) == Zoom(
        min_zoom=0.9, max_zoom=1.2, p=0.1, draw=1.1, draw_x=0.2, draw_y=0.3, size=32, mode="nearest", pad_mode="zeros",
        batch=True, align_corners=False,
    )  # fmt: skip
    assert Warp(0.3, 0.1, 0.2, 0.1, 32, "nearest", "zeros", True, False) == Warp(
        magnitude=0.3, p=0.1, draw_x=0.2, draw_y=0.1, size=32, mode="nearest", pad_mode="zeros", batch=True, align_corners=False
    )
    assert RandomResizedCropGPU(32, 0.2, (0.5, 2), "nearest", 0.9, 0.8) == RandomResizedCropGPU(
        size=32, min_scale=0.2, ratio=(0.5, 2), mode="nearest", valid_scale=0.9, max_scale=0.8
    )


def test_draws_may_be_functions_of_the_batch() -> None:
    drawn = Rotate(p=1, draw=lambda x: x.new_zeros(x.size(0)) + torch.arange(len(x)) * 10).matrices(few(3))
    assert np.allclose(drawn, Rotate(p=1, draw=[0, 10, 20]).matrices(few(3)))
    assert np.allclose(Flip(p=1, draw=lambda _: 1).matrices(few(2)), Flip(p=1, draw=1).matrices(few(2)))


# Boxes


def test_boxes_are_drawn_for_each_picture_and_lie_inside() -> None:
    boxes = RandomResizedCropGPU(20, min_scale=0.3).boxes(DRAW, (40, 60))
    top, left, height, width = boxes.T
    assert (boxes[:, :2] >= 0).all()
    assert (top + height <= 40).all()
    assert (left + width <= 60).all()
    assert len(np.unique(boxes, axis=0)) > COUNT / 4
    shares = height * width / (40 * 60)
    assert shares.min() > 0.28
    ratios = width / height
    assert ratios.min() > 0.7
    assert ratios.max() < 1.42
    free = 40 - height
    assert abs((top[free > 0] / free[free > 0]).mean() - 0.5) < 0.02


def test_boxes_draw_like_the_same_transform_of_single_pictures() -> None:
    fact = FACTS["random_crops"][0]  # the same rule, run on single pictures by the reference
    boxes = RandomResizedCropGPU(20).boxes(DRAW, tuple(fact["source"]))
    area = boxes[:, 2] * boxes[:, 3] / math.prod(fact["source"])
    assert abs(area.mean() - fact["area"]["mean"]) < 0.008
    assert abs(np.log(boxes[:, 3] / boxes[:, 2]).std() - fact["log_ratio"]["std"]) < 0.005


def test_a_picture_too_flat_for_any_box_gives_its_centre() -> None:
    assert RandomResizedCropGPU(20).boxes(few(3), (10, 1000)).tolist() == [[0, 493, 10, 13]] * 3


@pytest.mark.parametrize("align_corners", [True, False])
def test_a_box_is_resampled_like_the_cut_picture(align_corners: bool) -> None:
    images = torch.rand(2, 3, 30, 40)
    boxes = np.array([[3.0, 5.0, 20.0, 16.0], [0.0, 0.0, 30.0, 40.0]])
    seen = Resampling.of(
        images,
        box_matrices(boxes, (30, 40), align_corners),
        (24, 24),
        shrink=np.ones(2),
        pad_mode="border",
        align_corners=align_corners,
    ).seen(images)
    for image, (top, left, height, width), result in zip(images, boxes.astype(int), seen, strict=True):
        cut = image[None, :, top : top + height, left : left + width]
        expected = F.interpolate(cut, size=(24, 24), mode="bilinear", align_corners=align_corners)[0]
        inner = slice(None) if align_corners else slice(2, -2)  # at the edge of a box look-ups may reach beyond it
        assert torch.allclose(result[:, inner, inner], expected[:, inner, inner], atol=1e-5)


# What the transforms of one list agree upon


def test_options_given_once_hold_for_all() -> None:
    agreed = Geometry.of([Flip(), Rotate(size=24, pad_mode="zeros"), Zoom(mode="nearest")])
    assert (agreed.size, agreed.pad_mode, agreed.mode, agreed.align_corners) == ((24, 24), "zeros", "nearest", True)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: Geometry.of([Flip(size=24), Rotate(size=32)]),
            r"size=\(24, 24\) and size=\(32, 32\); a batch is resampled once",
        ),
        (lambda: Geometry.of([Flip(pad_mode="zeros"), Zoom(pad_mode="border")]), "pad_mode='zeros' and pad_mode='border'"),
        (lambda: Geometry.of([RandomResizedCropGPU(8), RandomResizedCropGPU(8)]), "2 RandomResizedCropGPU"),
        (lambda: Flip(p=1.5), "Flip has p=1.5, which is not a probability"),
        (lambda: Flip(pad_mode="mirror"), "pad_mode='mirror' is not one of reflection, border, zeros"),
        (lambda: Flip(mode="linear"), r"mode='linear' .* Did you mean 'bilinear'"),
        (lambda: Flip(size=-1), "size=-1 is not a number of pixels"),
        (lambda: Zoom(1.2, 1.1), "min_zoom=1.2 and max_zoom=1.1 are not a range"),
        (lambda: Warp(0.8), "magnitude=0.8 is not between 0 and 0.7"),
        (lambda: RandomResizedCropGPU(8, valid_scale=2), "valid_scale=2 is not a share of the sides"),
        (
            lambda: Rotate(draw=[1.0, 2.0]).matrices(few(3)),
            "The draw of angle has 2 values for 3 pictures; give one for each",
        ),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(make, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()
