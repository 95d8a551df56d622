"""Pixels of every kind in 8 bits and the wanted channels: colour modes, transparency, 16 bits and more, arrays, tensors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from sightline.data.pictures.bands import PILLOW_CHANNELS, Bands, picture_of

_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
"""A tag of TIFF files, and its value where high numbers are dark, as scanners of film write them."""


class UnreadableError(Exception):
    """Why a picture cannot be read, in words; `read_image` puts the picture's name before it."""


def in_eight_bits(image: Image.Image, channels: int) -> Image.Image:
    """The picture in RGB or grey with transparency over white, or as `Bands` of any other number of channels."""
    if isinstance(image, Bands) or channels not in PILLOW_CHANNELS:
        return _in_bands(image, channels)
    mode = "L" if channels == 1 else "RGB"
    image = _shallow(image)
    if image.has_transparency_data:
        image = _over_white(image)
    if image.mode == "LAB":
        image = image.convert("RGB")  # Pillow knows no way from LAB to grey
    return image if image.mode == mode else image.convert(mode)


def _in_bands(image: Image.Image, channels: int) -> Bands:
    """A picture that has these channels as they are; alpha is added where only that is missing."""
    image = _shallow(image)
    if isinstance(image, Bands) and len(image.bands) == channels:
        return image
    if channels == 4 and image.mode in ("1", "L", "LA", "La", "P", "PA", "RGB", "RGBa"):
        image = image.convert("RGBA")
    elif channels == 2 and image.mode in ("1", "L", "La"):
        image = image.convert("LA")
    bands = image.split()
    if len(bands) != channels or image.mode in ("P", "PA"):
        raise UnreadableError(
            f"it has {len(bands)} channel{'s' * (len(bands) != 1)} (mode {image.mode}), and {channels} are expected"
        )
    return Bands(bands)


def bands_of_pages(pages: list[Image.Image]) -> Bands:
    """One picture of the pages of a TIFF file, each of which is a channel."""
    if len({page.size for page in pages}) > 1:
        raise UnreadableError(f"its pages have several sizes, {', '.join(f'{w} x {h}' for w, h in {p.size for p in pages})}")
    return Bands([in_eight_bits(page, 1) for page in pages])


def _shallow(image: Image.Image) -> Image.Image:
    """A picture of 8 bits a channel."""
    if image.mode not in ("F", "I") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    grey = _eight_bits(values)
    if getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey  # Pillow turns these over at 8 bits, and not at more
    clear = image.info.get("transparency")
    if isinstance(clear, int):
        grey[values == clear] = 255
    return Image.fromarray(grey)


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


def from_numbers(source: npt.NDArray[Any] | torch.Tensor, channels: int = 3) -> Image.Image:
    """A picture from an array `(H, W[, C])` or a tensor `([C,] H, W)`, its channels as they are given.

    Where neither 1 nor 3 `channels` are wanted, an array may also be `(C, H, W)`, as readers of satellite pictures give it, if
    its shape fits no other way.
    """
    allowed = (1, 3, 4) if channels in PILLOW_CHANNELS else (channels,)
    if isinstance(source, torch.Tensor):
        source = (source.float() if source.is_floating_point() else source).detach().cpu()
        # A tensor that can only be (H, W, C) is taken as one: tensor(np.array(picture)).
        turned = source.ndim == 3 and (source.shape[0] in allowed or source.shape[2] not in allowed)
        values, axes = (source.permute(1, 2, 0) if turned else source).numpy(), "(H, W) or (C, H, W)"
    else:
        values, axes = source, "(H, W) or (H, W, C)"
        if values.ndim == 3 and channels not in PILLOW_CHANNELS and values.shape[2] != channels == values.shape[0]:
            values = values.transpose(1, 2, 0)
    taken = allowed if channels in PILLOW_CHANNELS else (*allowed, 1, 3)
    if values.ndim not in (2, 3) or values.size == 0 or (values.ndim == 3 and values.shape[2] not in taken):
        counts = "1, 3 or 4" if channels in PILLOW_CHANNELS else str(channels)
        more = "; for other numbers of channels there is ImageBlock(channels=...)" if channels in PILLOW_CHANNELS else ""
        raise UnreadableError(f"its shape is {tuple(source.shape)}, expected {axes} with C = {counts}{more}")
    pixels = _uint8(values)
    if channels in PILLOW_CHANNELS and pixels.shape[2:] == (4,):
        return Image.fromarray(np.ascontiguousarray(pixels))  # as RGBA: its transparency is laid over white
    return picture_of(pixels)


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
