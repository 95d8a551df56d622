"""JPEG files of every kind are decoded in full, and those that are cut short are never half a picture."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.data.pictures.decode import read_image
from sightline.data.pictures.resize import moved, placements_of
from sightline.errors import ImageError
from sightline.preprocess import Preprocess

KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "without subsampling": {"subsampling": "4:4:4"},
    "half the colour across": {"subsampling": "4:2:2"},
    "progressive": {"progressive": True},
    "progressive without subsampling": {"progressive": True, "subsampling": "4:4:4"},
    "own Huffman tables": {"optimize": True},
    "restart markers": {"restart_marker_blocks": 2},
    "RGB as it is": {"keep_rgb": True},
    "16-bit tables of quantization": {"qtables": [[1] * 63 + [300]] * 2},
    "a comment": {"comment": b"\xff\xd9 looks like the end"},
}


def ramps(width: int, height: int) -> np.ndarray:
    """uint8 (H, W, 3) that changes slowly, so that every kind of JPEG keeps it."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([40 + 160 * x // width, 60 + 140 * y // height, 200 - 80 * x // width - 60 * y // height], axis=-1).astype(
        np.uint8
    )


def jpeg(pixels: np.ndarray, **options: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", **({} if "qtables" in options else {"quality": 98}) | options)
    return file.getvalue()


@pytest.mark.parametrize("size", [(64, 48), (33, 17), (9, 70), (1, 1)], ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_jpeg_gives_the_picture_that_was_drawn(kind: str, size: tuple[int, int]) -> None:
    pixels = ramps(*size)
    seen = np.asarray(read_image(jpeg(pixels, **KINDS[kind]))).astype(int)
    assert seen.shape == pixels.shape
    assert np.abs(seen - pixels).max() <= 12
    assert np.abs(seen - pixels).mean() <= 2


@pytest.mark.parametrize("kind", ["baseline", "progressive"])
def test_a_grey_jpeg_is_read_in_grey_and_in_colour(kind: str) -> None:
    grey = ramps(40, 30)[..., 0]
    content = jpeg(grey, **KINDS[kind])
    seen = np.asarray(read_image(content, channels=1))
    assert np.abs(seen.astype(int) - grey).max() <= 3
    assert np.array_equal(np.asarray(read_image(content)), np.repeat(seen[..., None], 3, axis=2))


def test_a_large_jpeg_is_decoded_in_full_before_it_is_made_small() -> None:
    # Decoders can halve a JPEG while they decode, in less time, but not to the same pixels.
    stripes = np.zeros((512, 512, 3), np.uint8)
    stripes[:, ::2] = 255
    image = read_image(jpeg(stripes, subsampling="4:4:4"))
    assert image.size == (512, 512)
    assert np.ptp(np.asarray(image)[256, 256:260, 0]) > 200, "the stripes, each a pixel wide, are there"
    pre = Preprocess(size=(32, 32))
    small = np.asarray(moved(image, placements_of(pre, image.size)))
    assert np.array_equal(small, np.asarray(Image.fromarray(np.asarray(image)).resize((32, 32), Image.Resampling.BILINEAR)))


@pytest.mark.parametrize("kind", ["baseline", "restart markers"])
def test_a_jpeg_that_is_cut_within_its_pixels_is_refused_wherever_that_is(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    content = jpeg(noise, **KINDS[kind])
    start = content.index(b"\xff\xda")
    for end in np.linspace(start + 14, len(content) * 0.9, 25).astype(int):
        with pytest.raises(ImageError, match="the file is cut short"):
            read_image(content[:end])


def test_bytes_after_the_end_of_a_jpeg_change_nothing() -> None:
    content = jpeg(ramps(40, 30))
    assert read_image(content + b"\x00" * 50 + content) == read_image(content)


def test_a_jpeg_that_declares_more_pixels_than_allowed_is_refused_before_they_are_decoded() -> None:
    content = bytearray(jpeg(ramps(16, 16)))
    frame = content.index(b"\xff\xc0")
    content[frame + 5 : frame + 9] = b"\xff\xdc\xff\xdc"
    with pytest.raises(ImageError, match="pixels"):
        read_image(bytes(content))
