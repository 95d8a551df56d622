"""Item transforms draw by row and epoch in training, and have one evaluation form."""

from __future__ import annotations

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from data.drawn import apply_preprocess
from data.facts import FACTS, as_tuples
from reference.pictures import picture
from sightline.data.transforms.chance import ItemDraw
from sightline.data.transforms.geometry import Rotate
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.items import (
    CropPad,
    DihedralItem,
    FlipItem,
    PadMode,
    RandomCrop,
    RandomResizedCrop,
    RatioResize,
    Resize,
    ResizeMethod,
)
from sightline.errors import ImageError, OptionError
from sightline.preprocess import Preprocess

BOXES = 4000


def shown(image: Image.Image) -> np.ndarray:
    return np.asarray(image)


def sample(pipeline: ItemPipeline, source: Any = None, **draw: Any) -> np.ndarray:
    return pipeline.sample(picture(60, 100) if source is None else source, ItemDraw(**draw))


# Training


def test_training_crops_at_random_places_that_row_and_epoch_decide() -> None:
    pipeline = ItemPipeline(Resize(32))
    first = sample(pipeline, training=True, seed=1, epoch=0, row=5)
    assert np.array_equal(first, sample(pipeline, training=True, seed=1, epoch=0, row=5))
    for other in ({"epoch": 1}, {"row": 6}, {"seed": 2}):
        assert not np.array_equal(first, sample(pipeline, training=True, **({"seed": 1, "epoch": 0, "row": 5} | other)))


def test_training_crops_reach_both_ends_evenly() -> None:
    image = Image.fromarray(np.tile(np.arange(200, dtype=np.uint8), (20, 1)))
    lefts = np.array([shown(Resize(20)(image, ItemDraw(True, row=row)))[0, 0] for row in range(2000)], dtype=float)
    assert lefts.min() <= 1
    assert lefts.max() >= 178
    assert abs(lefts.mean() - 89.5) < 5


def test_squish_is_the_same_in_training() -> None:
    pipeline = ItemPipeline(Resize(32, ResizeMethod.Squish))
    assert np.array_equal(sample(pipeline, training=True), sample(pipeline))


@pytest.mark.parametrize("fact", FACTS["random_crops"], ids=lambda fact: f"{fact['source']} {fact['options']}")
def test_random_boxes_are_spread_like_the_reference(fact: dict[str, Any]) -> None:
    transform = RandomResizedCrop(32, **as_tuples(fact["options"]))
    height, width = fact["source"]
    drawn = [transform._box((width, height), ItemDraw(True, seed=3, row=row)) for row in range(BOXES)]
    (left, top), (box_w, box_h) = (np.array([box[i] for box in drawn], dtype=float).T for i in range(2))
    for values, name in ((box_w * box_h / (width * height), "area"), (np.log(box_w / box_h), "log_ratio")):
        expected = fact[name]
        error = 4 * expected["std"] * math.sqrt(1 / BOXES + 1 / FACTS["made_with"]["draws"])
        assert abs(values.mean() - expected["mean"]) <= error
        assert abs(values.std() - expected["std"]) <= error
        # One step of rounding beyond what the reference drew; its ends are reached.
        assert values.min() >= expected["min"] - 0.02
        assert values.max() <= expected["max"] + 0.02
    free_x, free_y = width - box_w, height - box_h
    assert abs((left[free_x > 0] / free_x[free_x > 0]).mean() - 0.5) < 0.03
    assert abs((top[free_y > 0] / free_y[free_y > 0]).mean() - 0.5) < 0.03
    assert (left + box_w <= width).all()
    assert (top + box_h <= height).all()


def test_a_picture_too_flat_for_any_box_gives_its_centre() -> None:
    left_top, box = RandomResizedCrop(32)._box((1000, 10), ItemDraw(True))
    assert (left_top, box) == ((493, 0), (13, 10))


def test_two_transforms_of_a_kind_draw_apart() -> None:
    seen: list[float] = []

    class Spy(Resize):
        def __call__(self, image: Image.Image, draw: ItemDraw | None = None) -> Image.Image:
            assert draw is not None
            seen.append(draw.uniform("place.x"))
            return image

    sample(ItemPipeline([Spy(9), Spy(9)]), training=True)
    assert seen[0] != seen[1]


# Evaluation


def test_validation_is_the_evaluation_form_of_the_value() -> None:
    for transform in (Resize(32), Resize((20, 40), "pad", "zeros"), RandomResizedCrop(32)):
        pipeline = ItemPipeline(transform)
        image = Image.fromarray(picture(60, 100))
        assert np.array_equal(sample(pipeline), shown(apply_preprocess(image, pipeline.preprocess)))
        again = ItemPipeline.from_preprocess(Preprocess.from_json(pipeline.preprocess.to_json()))
        assert np.array_equal(sample(pipeline), sample(again))
        assert np.array_equal(sample(pipeline), sample(again, training=True))


def test_resize_is_told_by_its_value() -> None:
    pre = ItemPipeline(Resize((20, 40), ResizeMethod.Pad, PadMode.Zeros, resamples="bicubic")).preprocess
    assert pre == Preprocess(size=(20, 40), method="pad", pad_mode="zeros", interpolation="bicubic")


def test_random_resized_crop_is_evaluated_by_squish_and_centre_crop() -> None:
    assert ItemPipeline(RandomResizedCrop(224)).preprocess == Preprocess(size=(256, 256), method="squish", crop=(224, 224))
    assert ItemPipeline(RandomResizedCrop(32, val_xtra=0)).preprocess == Preprocess(size=(32, 32), method="squish")


def test_no_transforms_leave_the_picture_as_it_is() -> None:
    pipeline = ItemPipeline()
    assert np.array_equal(sample(pipeline, training=True), picture(60, 100))
    assert pipeline.preprocess == Preprocess()


def test_grey_samples_have_one_channel() -> None:
    pixels = sample(ItemPipeline(Resize(32), channels=1))
    assert pixels.shape == (32, 32, 1)
    assert pixels.dtype == np.uint8
    assert pixels.flags.writeable
    assert ItemPipeline(Resize(32), channels=1).preprocess.channels == 1


def test_interpolation_can_be_given_as_in_pillow_or_in_pairs() -> None:
    for given in ("nearest", Image.Resampling.NEAREST, (Image.Resampling.NEAREST, Image.Resampling.NEAREST), 0):
        assert Resize(8, resamples=given) == Resize(8, resamples="nearest")


# Transforms without a resize, and the longest side


HASHES: list[tuple[Any, str]] = [
    (CropPad((50, 120)), "dc7d34ef7ff4a5c97dcc0da610e74729"),
    (CropPad((50, 120), "reflection"), "d202a3f771d98db515c0354b2c133df2"),
    (CropPad(40), "7b1a4cc19d9a49c0107dbae1739429ff"),
    (RandomCrop(40), "7b1a4cc19d9a49c0107dbae1739429ff"),
    (RandomCrop((70, 40)), "088be4285064fda6545a63b0e59e193d"),
    (RatioResize(64), "630d640fd04c8452d693fcdf3c215fbd"),
    (RatioResize(150), "e194c38c250021ed434f8ff2a588c98b"),
]
"""MD5 of what fastai 2.8.12 makes of `picture(60, 100)` in validation."""

WAYS = [
    "2d063fd99c8709bf0854f32c3d26f15e",
    "e83a01d99e11b212762900bdce8b09c8",
    "c34c755576b28a7a8c804a692ef38fd8",
    "c3a80d62f28c6c035d38828cd8d822e7",
    "f7f51b3123057fffc0bf105f76936439",
    "1be0a2111e21f4a6840f6d1f01e70740",
    "840fe31e4d278aaa9af746d1371477b2",
    "326f44e0750f086ffe677a5818de5361",
]
"""MD5 of `picture(60, 100)` after fastai's `dihedral(k)`, k from 0 to 7."""


def md5(pixels: np.ndarray) -> str:
    return hashlib.md5(np.ascontiguousarray(pixels).tobytes()).hexdigest()


@pytest.mark.parametrize(("transform", "expected"), HASHES, ids=lambda given: f"{given}"[:40])
def test_evaluation_pixels_equal_the_reference_and_travel_as_a_value(transform: Any, expected: str) -> None:
    pipeline = ItemPipeline(transform)
    assert md5(sample(pipeline)) == expected
    assert pipeline.custom_names == ()
    again = ItemPipeline.from_preprocess(Preprocess.from_json(json.loads(json.dumps(pipeline.preprocess.to_json()))))
    assert md5(sample(again)) == expected


def test_the_eight_ways_are_drawn_evenly_and_equal_the_reference() -> None:
    pipeline = ItemPipeline(DihedralItem())
    found = [md5(sample(pipeline, training=True, row=row)) for row in range(400)]
    assert set(found) == set(WAYS)
    assert max(abs(found.count(way) - 50) for way in WAYS) < 25
    assert md5(sample(pipeline)) == WAYS[0]
    rarely = ItemPipeline(DihedralItem(0.2))
    assert sum(md5(sample(rarely, training=True, row=row)) == WAYS[0] for row in range(400)) > 300


def test_items_are_mirrored_half_of_the_time_in_training_alone() -> None:
    pipeline = ItemPipeline(FlipItem())
    found = [md5(sample(pipeline, training=True, row=row)) for row in range(400)]
    assert set(found) == set(WAYS[:2])
    assert abs(found.count(WAYS[1]) - 200) < 40
    assert md5(sample(pipeline)) == WAYS[0]
    assert pipeline.preprocess == Preprocess()


def test_random_crops_lie_anywhere_in_training_and_pad_what_is_too_small() -> None:
    # fastai draws left from 0 to 60 and, where the picture is 10 pixels too low, top from -10 to -1.
    starts = []
    for row in range(3000):
        (step,) = RandomCrop((70, 40)).placements((100, 60), ItemDraw(True, row=row))
        starts.append(step.left_top)
    lefts, tops = np.array(starts).T
    assert (lefts.min(), lefts.max(), tops.min(), tops.max()) == (0, 60, -10, -1)
    assert abs(lefts.mean() - 30) < 1.5
    assert abs(tops.mean() + 5.5) < 0.25
    padded = sample(ItemPipeline(RandomCrop((70, 40))), training=True)
    assert padded.shape == (70, 40, 3)
    assert (padded.max(axis=(1, 2)) == 0).sum() == 10


def test_what_fastai_runs_before_a_resize_runs_before_it() -> None:
    pipeline = ItemPipeline([Resize(32), CropPad(50), FlipItem(), DihedralItem()])
    assert [type(transform) for transform in pipeline.transforms] == [CropPad, FlipItem, DihedralItem, Resize]
    assert sample(pipeline).shape == (32, 32, 3)


def test_a_random_crop_after_a_resize_is_told_by_its_value() -> None:
    pipeline = ItemPipeline([Resize(48), RandomCrop(32), FlipItem()])
    assert pipeline.preprocess == Preprocess(size=(48, 48), crop=(32, 32))
    assert pipeline.custom_names == ()
    assert np.array_equal(sample(pipeline), sample(ItemPipeline(Resize(48)))[8:40, 8:40])


def test_values_of_older_files_are_read() -> None:
    old = {"size": [48, 48], "method": "squish", "pad_mode": "reflection", "interpolation": "bilinear", "crop": [60, 60]}
    old |= {"batch_size_px": None, "channels": 3, "mean": None, "std": None}
    assert Preprocess.from_json(old) == Preprocess(size=(48, 48), method="squish", crop=(60, 60))


@pytest.mark.parametrize("transform", [Resize((60, 100)), RandomCrop((60, 100)), CropPad((60, 100)), RatioResize(100), None])
def test_a_picture_that_has_the_size_already_is_not_touched(transform: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("resize", "crop", "transpose"):
        monkeypatch.setattr(Image.Image, name, lambda *_: pytest.fail("the picture was resampled or cut for nothing"))
    assert np.array_equal(sample(ItemPipeline(transform)), picture(60, 100))
    if transform is not None:
        assert np.array_equal(sample(ItemPipeline(transform), training=True), picture(60, 100))


# A user's own


def test_a_users_function_runs_before_the_resize_and_is_listed() -> None:
    sizes: list[tuple[int, int]] = []

    def darkened(image: Image.Image) -> np.ndarray:
        sizes.append(image.size)
        return np.asarray(image) // 2

    pipeline = ItemPipeline([Resize(32), darkened])
    pixels = sample(pipeline)
    assert sizes == [(100, 60)]
    assert pipeline.custom_names == ("darkened",)
    assert pipeline.preprocess.size == (32, 32)
    assert pixels.mean() < 0.6 * sample(ItemPipeline(Resize(32))).mean()


def test_a_users_function_with_an_order_runs_there() -> None:
    class Last:
        order = 9

        def __call__(self, image: Image.Image) -> Image.Image:
            assert image.size == (32, 32)
            return image

    assert sample(ItemPipeline([Last(), Resize(32)])).shape == (32, 32, 3)


def test_a_users_function_may_return_another_mode() -> None:
    pixels = sample(ItemPipeline([lambda image: image.convert("CMYK"), Resize(32)]))
    assert pixels.shape == (32, 32, 3)


def test_a_combination_beyond_a_value_works_and_is_listed() -> None:
    pipeline = ItemPipeline([Resize(48), RandomResizedCrop(32)])
    assert sample(pipeline).shape == (32, 32, 3)
    assert pipeline.custom_names == ("RandomResizedCrop",)
    step = apply_preprocess(Image.fromarray(picture(60, 100)), Preprocess(size=(48, 48)))
    expected = apply_preprocess(step, Preprocess(size=(40, 40), method="squish", crop=(32, 32)))
    assert np.array_equal(sample(pipeline), shown(expected))


# What is refused


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Resize(0), "size=0 is not a number of pixels or a pair"),
        (lambda: Resize(32, "stretch"), "method='stretch' is not one of crop, pad, squish"),
        (lambda: Resize(32, "squash"), r"Did you mean 'squish'\?"),
        (lambda: Resize(32, pad_mode="reflect"), r"pad_mode='reflect' is not one of .* Did you mean 'reflection'\?"),
        (lambda: Resize(32, resamples="cubic"), r"resamples='cubic' .* Did you mean 'bicubic'\?"),
        (lambda: RandomResizedCrop(32, min_scale=0), "min_scale=0 and max_scale=1.0 are shares of the area"),
        (lambda: RandomResizedCrop(32, min_scale=0.9, max_scale=0.5), "0 < min_scale <= max_scale <= 1"),
        (lambda: RandomResizedCrop(32, ratio=(2, 1)), r"ratio=\(2, 1\) is not a range of width over height"),
        (lambda: RandomResizedCrop(32, val_xtra=-1), "val_xtra=-1 is negative"),
        (lambda: RandomCrop(0), "size=0 is not a number of pixels"),
        (lambda: CropPad(8, "zero"), r"pad_mode='zero' .* Did you mean 'zeros'\?"),
        (lambda: RatioResize((8, 8)), r"max_sz=\(8, 8\) is not a number of pixels"),
        (lambda: FlipItem(2), "FlipItem has p=2, which is not a probability"),
        (lambda: DihedralItem(-0.1), "DihedralItem has p=-0.1, which is not a probability"),
        (lambda: ItemPipeline([Resize]), r"the class Resize; give what it makes, such as Resize\(224\)"),
        (lambda: ItemPipeline([Rotate(10)]), "Transforms of whole batches, such as Rotate or Normalize, go to batch_tfms"),
        (lambda: ItemPipeline(32), "item_tfms holds 32, which is not a transform of one picture"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(make, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()


def test_a_users_function_that_returns_nothing_is_named() -> None:
    def forgetful(image: Image.Image) -> None:
        image.convert("L")

    with pytest.raises(
        OptionError, match="the item transform forgetful returned a NoneType; expected a Pillow image or an array"
    ):
        sample(ItemPipeline(forgetful))


def test_an_unreadable_picture_is_an_image_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="there is no such file"):
        sample(ItemPipeline(Resize(32)), tmp_path / "missing.png")
