"""Averages of areas, as sums of rows and columns, are those of PyTorch; so is what interpolation makes of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from sightline.data.transforms.areas import Averaging, Taps
from sightline.data.transforms.resample import resizing, shrunk_size


def odd_sizes(count: int) -> list[tuple[int, ...]]:
    """Height and width of a picture, of its averages, and of what these become."""
    rng = np.random.default_rng(5)
    pictures = rng.integers(1, 150, (count, 2))
    return [
        tuple(row) for row in np.hstack([pictures, rng.integers(1, pictures + 1), rng.integers(1, 90, (count, 2))]).tolist()
    ]


def exactly(images: torch.Tensor, between: tuple[int, int]) -> torch.Tensor:
    return F.interpolate(images.double(), size=between, mode="area")


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_averages_of_odd_sizes_equal_those_of_pytorch(layout: torch.memory_format) -> None:
    for number, (height, width, h, w, *_) in enumerate(odd_sizes(150)):
        images = (torch.rand(1 + number % 3, 1 + number % 4, height, width) + 0.01).contiguous(memory_format=layout)
        found = Averaging((height, width), (h, w))(images)
        assert found.shape == (*images.shape[:2], h, w)
        assert torch.allclose(found.double(), exactly(images, (h, w)), rtol=1e-6, atol=0)


def test_averages_of_bytes_equal_those_of_floats() -> None:
    pixels = torch.randint(0, 256, (2, 47, 31, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    found = Averaging((47, 31), (20, 17))(pixels)
    assert found.dtype == torch.float32
    assert torch.allclose(found.double(), exactly(pixels, (20, 17)), rtol=1e-6)


def test_averages_that_are_interpolated_equal_one_after_the_other() -> None:
    for height, width, k, m, h, w in odd_sizes(100):
        images = torch.rand(2, 3, height, width)
        expected = F.interpolate(exactly(images, (k, m)).float(), size=(h, w), mode="bilinear", align_corners=True)
        assert torch.allclose(Averaging((height, width), (k, m), (h, w))(images), expected, atol=2e-6)


def test_numbers_of_another_kind_are_averaged_too() -> None:
    images = torch.rand(2, 3, 30, 20, dtype=torch.float64)
    assert torch.allclose(Averaging((30, 20), (7, 9))(images), exactly(images, (7, 9)))
    expected = F.interpolate(exactly(images, (7, 9)), size=(5, 6), mode="bilinear", align_corners=True)
    assert torch.allclose(Averaging((30, 20), (7, 9), (5, 6))(images), expected)


def test_the_weights_of_every_sum_are_one_together() -> None:
    for n, m in ((460, 448), (7, 7), (100, 3), (5, 1), (1, 1)):
        averages = Taps.averaging(n, m)
        for taps in (averages, averages.then(Taps.interpolating(m, 11)), Taps.interpolating(n, m)):
            assert np.allclose(taps.weights.sum(axis=1), 1)
            assert taps.places.min() >= 0
            assert taps.places.max() < n


@pytest.mark.parametrize(("picture", "size"), [((96, 130), (20, 25)), ((31, 40), (30, 33)), ((20, 20), (50, 41))])
def test_pictures_are_brought_to_a_size_by_averages_and_interpolation(picture: tuple[int, int], size: tuple[int, int]) -> None:
    images = torch.randint(0, 256, (2, *picture, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    factor = max(1, min(picture[0] / size[0], picture[1] / size[1]) / 2)
    smaller = exactly(images, shrunk_size(picture, factor)).float()
    expected = F.interpolate(smaller, size=size, mode="bilinear", align_corners=True)
    assert torch.allclose(resizing(picture, size)(images), expected, atol=1e-3)
    assert resizing(picture, picture)(images) is images
