"""Between Pillow images, arrays and tensors: the small helpers that scripts call by fastai's names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from sightline.data.pictures.modes import UnreadableError, from_numbers
from sightline.errors import ImageError


def image2tensor(img: Any) -> Tensor:
    """uint8 `(C, H, W)` of a Pillow image, or the same of an array `(H, W[, C])` in its own type."""
    pixels = torch.from_numpy(np.array(img))
    return (pixels.unsqueeze(-1) if pixels.ndim == 2 else pixels).permute(2, 0, 1)


def to_image(x: Any) -> Image.Image:
    """A Pillow image of a tensor `(C, H, W)` or an array `(H, W, C)`, uint8 or floats in 0..1.

    A Pillow image is returned itself, one with transparency keeps it, and any number of channels but 1, 3 and 4 gives `Bands`.

    Raises:
        ImageError: The shape or the values are no picture's.
    """
    if isinstance(x, Image.Image):
        return x
    channels = x.shape[0 if isinstance(x, Tensor) else -1] if x.ndim == 3 else 1
    try:
        return from_numbers(x, 3 if channels in (1, 3, 4) else channels)
    except UnreadableError as error:
        raise ImageError(f"A {type(x).__name__} is no picture: {error}.") from error
