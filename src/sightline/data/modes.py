"""Pixels of every kind brought to 8-bit RGB or grey: colour modes, transparency, 16 bits and more, arrays and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image


class UnreadableError(Exception):
    """Why a picture cannot be read, in words; `read_image` puts the picture's name before it."""


def in_eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """The picture in RGB or grey, transparency over white."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode in ("F", "I") or image.mode.startswith("I;16"):
        image = Image.fromarray(_eight_bits(np.asarray(image)))
    if image.has_transparency_data:
        image = _over_white(image)
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow knows no way from LAB to grey
    return image if image.mode == mode else image.convert(mode)


def _over_white(image: Image.Image) -> Image.Image:
    layered = "LA" if image.mode in ("1", "L", "LA", "La") else "RGBA"
    image = image if image.mode == layered else image.convert(layered)
    paper = Image.new(layered[:-1], image.size, "white")
    paper.paste(image, mask=image.getchannel("A"))
    return paper


def _eight_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Grey values of more than 8 bits brought to 0..255: by the range of the format, else by the range of the picture."""
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(low + high):
        raise UnreadableError("it holds values that are NaN or infinite")
    integers = np.issubdtype(values.dtype, np.integer)
    if integers and low >= 0 and high <= 65535:
        low, high = 0.0, 65535.0
    elif not integers and low >= 0 and high <= 255:
        low, high = 0.0, (1.0 if high <= 1 else 255.0)
    scale = 255.0 / (high - low) if high > low else 0.0
    grey = np.empty(values.shape, dtype=np.uint8)
    for top in range(0, len(values), 256):  # in strips, so that a large picture does not grow eightfold on the way
        grey[top : top + 256] = np.rint((values[top : top + 256].astype(np.float64) - low) * scale)
    return grey


def from_numbers(source: npt.NDArray[Any] | torch.Tensor) -> Image.Image:
    """A picture from an array (H, W[, C]) or a tensor ([C,] H, W)."""
    if isinstance(source, torch.Tensor):
        source = (source.float() if source.is_floating_point() else source).detach().cpu()
        values = (source.permute(1, 2, 0) if source.ndim == 3 else source).numpy()
        layout = "(H, W) or (C, H, W) with C = 1, 3 or 4"
    else:
        values, layout = source, "(H, W) or (H, W, C) with C = 1, 3 or 4"
    if values.ndim not in (2, 3) or values.size == 0 or (values.ndim == 3 and values.shape[2] not in (1, 3, 4)):
        raise UnreadableError(f"its shape is {tuple(source.shape)}, expected {layout}")
    return Image.fromarray(np.ascontiguousarray(_uint8(values[..., 0] if values.shape[2:] == (1,) else values)))


def _uint8(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype == np.uint16:
        return np.rint(values / 257.0).astype(np.uint8)
    if values.dtype.kind not in "fiu":
        raise UnreadableError(f"it holds {values.dtype} values, expected numbers")
    low, high = values.min(), values.max()
    top = 1 if values.dtype.kind == "f" else 255
    if not (low >= 0 and high <= top):
        raise UnreadableError(f"its {values.dtype} values run from {low} to {high}, expected 0 to {top}")
    return np.rint(values.astype(np.float64) * (255.0 / top)).astype(np.uint8)
