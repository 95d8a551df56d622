"""Small pictures on disk, drawn for the tests of data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from sightline.data.pictures.resize import moved, placements_of
from sightline.preprocess import Preprocess


def pixels(seed: int, size: tuple[int, int] = (12, 10)) -> np.ndarray:
    """Noise: uint8 (height, width, 3), `size` being (width, height)."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


def draw(path: Path, seed: int = 0, size: tuple[int, int] = (12, 10)) -> Path:
    """A picture of noise at `path`, its folder made where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(seed, size)).save(path)
    return path


def draw_folder(root: Path, counts: dict[str, int], size: tuple[int, int] = (12, 10)) -> Path:
    """Pictures below `root`, `counts` of each folder: {'train/cat': 3} makes train/cat/0.png to 2.png."""
    for number, (folder, count) in enumerate(counts.items()):
        for i in range(count):
            draw(root / folder / f"{i}.png", 100 * number + i, size)
    return root


def break_picture(path: Path) -> Path:
    """A file with a picture's name and something else inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"this is no picture")
    return path


def cut_short(path: Path) -> Path:
    """Cuts a picture's file: its header stays sound, its pixels cannot be decoded."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return path


def apply_preprocess(image: Image.Image, pre: Preprocess) -> Image.Image:
    """The picture part of a `Preprocess`, as validation and prediction apply it."""
    return moved(image, placements_of(pre, image.size))
