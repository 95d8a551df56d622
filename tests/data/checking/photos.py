"""Pictures with something to see in them, drawn for the tests of copies: soft shapes of several sizes, as photos have."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image


def scene(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A picture unlike all others: noise of several scales, one over the other; `size` is (width, height)."""
    rng = np.random.default_rng(seed)
    total = np.zeros((size[1], size[0], 3))
    for cells, strength in ((4, 70), (9, 45), (20, 25)):
        noise = Image.fromarray(rng.integers(0, 256, (cells, cells, 3), dtype=np.uint8))
        total += (np.asarray(noise.resize(size, Image.Resampling.BICUBIC), dtype=float) - 128) / 128 * strength
    return Image.fromarray(np.clip(128 + total, 0, 255).astype(np.uint8))


def as_jpeg(image: Image.Image, quality: int = 90) -> bytes:
    """The bytes of a JPEG file."""
    file = BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def without(image: Image.Image, sides: str, share: float = 0.05) -> Image.Image:
    """The picture with a share cut off at some of its sides, 'l', 't', 'r', 'b'."""
    width, height = image.size
    cut = {side: share * (side in sides) for side in "ltrb"}
    box = (cut["l"] * width, cut["t"] * height, width - cut["r"] * width, height - cut["b"] * height)
    return image.crop(tuple(map(round, box)))


def write(path: Path, content: bytes) -> Path:
    """A file at `path`, its folder made where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path
