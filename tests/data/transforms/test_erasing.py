"""RandomErasing: rectangles of noise, drawn for each picture, of the area and aspect that were asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from data.facts import FACTS, as_tuples
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import BatchDraw
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.erasing import RandomErasing
from sightline.data.transforms.tensor_kinds import TensorImage
from sightline.data.transforms.user_transforms import Transform
from sightline.errors import OptionError

COUNT = 20_000
DRAW = BatchDraw(seed=5, epoch=0, rows=np.arange(COUNT))


def trained(
    transforms: Any, count: int = 8, *, side: int = 24, seed: int = 0, epoch: int = 0, rows: Any = None
) -> torch.Tensor:
    batch = torch.full((count, side, side, 3), 128, dtype=torch.uint8)
    rows = np.arange(count) if rows is None else np.array(rows)
    return BatchPipeline(transforms).train(batch, seed=seed, epoch=epoch, rows=rows)


def erased(images: torch.Tensor) -> torch.Tensor:
    """Whether each pixel differs from what it was: bool `(N, h, w)`."""
    return (images - 128 / 255).abs().amax(1) > 1e-6


@pytest.mark.parametrize("fact", FACTS["erasings"], ids=lambda fact: f"{fact['options']}")
def test_boxes_are_spread_like_those_of_the_reference(fact: dict[str, Any]) -> None:
    size = tuple(fact["input"])
    boxes = RandomErasing(p=1.0, **as_tuples(fact["options"])).boxes(DRAW, size)[:, 0].astype(float)
    top, left, bottom, right = boxes.T
    height, width = bottom - top, right - left
    seen = (height > 0) & (width > 0)
    free_y, free_x = size[0] - height, size[1] - width
    for name, values in (("area", height * width / (size[0] * size[1])), ("log_aspect", np.log(height[seen] / width[seen]))):
        reach = fact[name]["max"] - fact[name]["min"]
        for statistic in ("mean", "std"):
            assert abs(getattr(values, statistic)() - fact[name][statistic]) < 0.015 * reach, (name, statistic)
        for statistic in ("min", "max"):
            assert abs(getattr(values, statistic)() - fact[name][statistic]) < 0.06 * reach, (name, statistic)
    assert abs((top[free_y > 0] / free_y[free_y > 0]).mean() - fact["place_y"]) < 0.015
    assert abs((left[free_x > 0] / free_x[free_x > 0]).mean() - fact["place_x"]) < 0.015


def test_half_of_the_pictures_lose_a_rectangle_of_their_own() -> None:
    size = (1000, 1000)  # large, so that rounding and cutting do not matter
    boxes = RandomErasing().boxes(DRAW, size)[:, 0]
    height, width = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    drawn = boxes.any(1)
    assert abs(drawn.mean() - 0.5) < 0.015
    area, aspect = (height * width / 1e6)[drawn], np.log(np.maximum(height, 1) / np.maximum(width, 1))[drawn]
    # U(0, 0.3) and U(-log(1 / 0.3), log(1 / 0.3)): mean 0.15 and 0, deviation reach / sqrt(12).
    assert abs(area.mean() - 0.15) < 0.005
    assert abs(area.std() - 0.3 / math.sqrt(12)) < 0.005
    assert area.max() < 0.302
    assert abs(aspect.std() - 2 * math.log(1 / 0.3) / math.sqrt(12)) < 0.02
    assert np.abs(aspect).max() < math.log(1 / 0.3) + 0.2
    assert len(np.unique(boxes[drawn], axis=0)) > 0.99 * drawn.sum()


def test_each_of_several_rectangles_is_drawn_for_its_share_of_the_area() -> None:
    boxes = RandomErasing(p=1.0, sl=0.2, sh=0.2, min_aspect=1.0, max_count=3).boxes(DRAW, (1200, 1200))
    count = boxes.any(2).sum(1)
    assert np.allclose([np.mean(count == n) for n in (1, 2, 3)], 1 / 3, atol=0.015)
    for n in (1, 2, 3):
        sides = (boxes[..., 2] - boxes[..., 0])[count == n][:, :n]
        assert (sides == round(math.sqrt(0.2 * 1200 * 1200 / n))).all()


def test_the_noise_has_mean_0_and_deviation_1_after_normalising() -> None:
    images = trained([RandomErasing(p=1.0, sl=0.5, sh=0.5), Normalize([128 / 255] * 3, [0.01] * 3)], 64, side=48)
    noise = images[images.abs() > 1e-6]
    assert 0.4 < len(noise) / images.numel() < 0.52
    assert abs(noise.mean()) < 0.02
    assert abs(noise.std() - 1) < 0.02


def test_rectangles_are_solid_and_change_every_channel() -> None:
    images = trained(RandomErasing(p=1.0, sl=0.1, sh=0.2))
    assert len({tuple(mask.flatten().tolist()) for mask in erased(images)}) == 8
    for image, mask in zip(images, erased(images), strict=True):
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        box = image[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert mask.sum() == box[0].numel()
        assert ((box - 128 / 255).abs() > 1e-6).float().mean() > 0.99


def test_box_and_noise_follow_from_seed_epoch_and_row_alone() -> None:
    transform = RandomErasing(p=1.0)
    whole = trained(transform, 4, rows=[7, 3, 99, 12])
    assert torch.equal(whole[2:3], trained(transform, 1, rows=[99]))
    assert not torch.equal(whole, trained(transform, 4, rows=[7, 3, 99, 12], epoch=1))
    assert not torch.equal(whole, trained(transform, 4, rows=[7, 3, 99, 12], seed=1))


def test_two_of_them_erase_at_different_places() -> None:
    one, two = (trained([RandomErasing(p=1.0)] * n, 32) for n in (1, 2))
    assert erased(two).sum() > 1.3 * erased(one).sum()


def test_nothing_is_erased_outside_training_and_a_file_can_do_without() -> None:
    pipeline = BatchPipeline(RandomErasing(p=1.0))
    batch = torch.full((4, 24, 24, 3), 128, dtype=torch.uint8)
    assert not erased(pipeline.evaluate(batch)).any()
    assert pipeline.custom_names == ()


def test_erasing_comes_last_but_for_transforms_of_a_higher_order() -> None:
    seen = {}

    class Watching(Transform):
        def encodes(self, x: TensorImage):
            seen[self.order] = x.clone()
            return x

    trained([RandomErasing(p=1.0, sl=0.2), Watching(order=101), Watching(order=99.5)])
    assert not erased(seen[99.5]).any()
    assert erased(seen[101]).flatten(1).any(1).all()


def test_the_global_generator_is_left_alone() -> None:
    state = torch.get_rng_state()
    trained(RandomErasing(p=1.0))
    assert torch.equal(state, torch.get_rng_state())


def test_options_stand_in_the_order_of_the_reference() -> None:
    assert RandomErasing() == RandomErasing(0.5, 0.0, 0.3, 0.3, 1)
    assert RandomErasing.order == 100


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"p": 2}, "p=2, which is not a probability"),
        ({"sl": 0.4}, "sl=0.4 and sh=0.3 are shares"),
        ({"sh": 1.5}, "sh=1.5 are shares"),
        ({"min_aspect": 0}, "min_aspect=0 is not above 0"),
        ({"max_count": 0}, "max_count=0 rectangles"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(options: dict[str, Any], words: str) -> None:
    with pytest.raises(OptionError, match=words):
        RandomErasing(**options)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_gpu_erases_the_same_boxes_and_repeats_its_noise() -> None:
    batch = torch.full((8, 24, 24, 3), 128, dtype=torch.uint8)
    pipeline = BatchPipeline(RandomErasing(p=1.0))
    one, other = (pipeline.train(batch.cuda(), seed=0, epoch=0, rows=np.arange(8)).cpu() for _ in range(2))
    assert torch.equal(one, other)
    assert torch.equal(erased(one), erased(trained(RandomErasing(p=1.0))))
