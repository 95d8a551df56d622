"""Resizing gives fastai's pixels, bit for bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.drawn import apply_preprocess
from data.facts import FACTS, as_tuples
from reference.pictures import part, picture
from sightline.data.pictures.resize import crop_pad, largest_box
from sightline.data.transforms import items as transforms
from sightline.data.transforms.chance import ItemDraw
from sightline.preprocess import Preprocess


class GivenPlaces(ItemDraw):
    """Draws that a test decides."""

    places = (0.0, 0.0)

    def uniform(self, name: str) -> float:
        return self.places[["place.x", "place.y"].index(name)]


def made(fact: dict[str, Any]) -> np.ndarray:
    name, options = fact["transform"]
    transform = getattr(transforms, name)(**as_tuples(options))
    image = Image.fromarray(picture(*fact["source"]))
    if fact["places"] is None:
        pre = transform.preprocess(Preprocess())
        assert np.array_equal(np.asarray(transform(image, split_idx=1)), np.asarray(apply_preprocess(image, pre)))
        return np.asarray(apply_preprocess(image, pre))
    draw = GivenPlaces(training=True)
    object.__setattr__(draw, "places", fact["places"])
    return np.asarray(transform(image, draw))


@pytest.mark.parametrize(
    "fact", FACTS["resizes"], ids=lambda fact: f"{fact['transform']} of {fact['source']} at {fact['places']}"
)
def test_resized_pixels_equal_the_reference_bit_for_bit(fact: dict[str, Any]) -> None:
    pixels = made(fact)
    assert list(pixels.shape[:2]) == fact["size"]
    shown = np.moveaxis(part(np.moveaxis(pixels, -1, 0), fact["steps"]), 0, -1)
    assert shown.tolist() == fact["pixels"]


def test_grey_pictures_are_padded_like_colour() -> None:
    colour = picture(20, 30)
    for pad_mode in ("reflection", "border", "zeros"):
        pre = Preprocess(size=(16, 16), method="pad", pad_mode=pad_mode)
        red = np.asarray(apply_preprocess(Image.fromarray(colour[..., 0]), pre))
        assert np.array_equal(red, np.asarray(apply_preprocess(Image.fromarray(colour), pre))[..., 0])


def test_without_a_size_the_picture_is_left_alone() -> None:
    image = Image.fromarray(picture(20, 30))
    assert apply_preprocess(image, Preprocess()) is image


def test_longest_keeps_the_aspect() -> None:
    pre = Preprocess(size=(32, 32), method="longest")
    assert apply_preprocess(Image.fromarray(picture(50, 100)), pre).size == (32, 16)
    assert apply_preprocess(Image.fromarray(picture(100, 50)), pre).size == (16, 32)


def test_a_centre_crop_larger_than_the_picture_is_filled_with_black() -> None:
    image = Image.fromarray(np.full((4, 6, 3), 200, np.uint8))
    cropped = np.asarray(apply_preprocess(image, Preprocess(crop=(6, 4))))
    assert cropped.shape == (6, 4, 3)
    assert cropped[[0, -1]].max() == 0
    assert cropped[1:-1].min() == 200


def test_a_picture_of_one_row_survives_every_method() -> None:
    for method in ("crop", "pad", "squish", "longest"):
        for size in ((1, 1000), (1000, 1)):
            apply_preprocess(Image.fromarray(picture(*size)), Preprocess(size=(49, 31), method=method))


def test_a_box_inside_the_picture_is_cut_as_slicing_cuts_it() -> None:
    pixels = picture(20, 30)
    assert np.array_equal(np.asarray(crop_pad(Image.fromarray(pixels), (7, 5), (11, 3), "zeros")), pixels[3:8, 11:18])


@pytest.mark.parametrize(
    ("aspect", "box"), [((1, 1), (60, 60)), ((3 / 4, 4 / 3), (60, 80)), ((2, 3), (50, 100)), ((1.5, 2), (60, 100))]
)
def test_the_largest_box_keeps_within_the_aspect(aspect: tuple[float, float], box: tuple[int, int]) -> None:
    assert largest_box((60, 100), aspect) == box
