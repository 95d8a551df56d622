"""A picture drawn by formula, of any size: what the facts in `augment.json` were made from. Needs numpy alone."""

from __future__ import annotations

import numpy as np


def picture(height: int, width: int, number: int = 0) -> np.ndarray:
    """uint8 (height, width, 3) with no symmetry, some detail, and every channel different; `number` picks another one."""
    rows, columns = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    red = 140 + 70 * np.sin(5.0 * rows + 2.0 * columns + number) + 30 * columns
    green = 120 + 60 * np.cos(9.0 * columns - 3.0 * rows * columns + 0.5 * number) + 40 * rows
    blue = 90 + 110 * rows * columns + 45 * np.sin(14.0 * rows * (1 + columns) + number)
    return np.clip(np.rint(np.stack([red, green, blue], axis=-1)), 0, 255).astype(np.uint8)


def part(pixels: np.ndarray, steps: tuple[int, int]) -> np.ndarray:
    """Every steps[0]-th row and steps[1]-th column of (..., H, W), from the first: what the file keeps of an output."""
    return pixels[..., :: steps[0], :: steps[1]]
