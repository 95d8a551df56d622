"""How one picture is brought to a size: cropped, padded or squished; and the picture part of a `Preprocess`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from PIL import Image

from sightline.errors import OptionError
from sightline.preprocess import Preprocess, Size

CENTRE = (0.5, 0.5)
_PADDINGS = {"reflection": "reflect", "border": "edge", "zeros": "constant"}


def apply_preprocess(image: Image.Image, pre: Preprocess) -> Image.Image:
    """The picture part of a `Preprocess`: its resize and its centre crop.

    Validation, prediction and everything built on them resize pictures here and nowhere else. What concerns whole batches
    (`batch_size_px`, mean and std) is done by `augment.BatchPipeline`.

    Args:
        image: A picture of mode 'RGB' or 'L', as `read_image` gives it.
        pre: What to do with it.
    """
    if pre.size is not None:
        image = _longest(image, pre) if pre.method == "longest" else fit(image, pre, CENTRE)
    if pre.crop is not None:
        height, width = pre.crop
        image = crop_pad(image, (width, height), ((image.width - width) // 2, (image.height - height) // 2), "zeros")
    return image


def fit(image: Image.Image, pre: Preprocess, place: tuple[float, float]) -> Image.Image:
    """The picture brought to `pre.size` by `pre.method`.

    Args:
        image: A picture of mode 'RGB' or 'L'.
        pre: Holds a size.
        place: In 0..1, where the box lies between left and right, top and bottom.
    """
    height, width = cast(Size, pre.size)
    if pre.method != "squish":
        pick = max if pre.method == "pad" else min
        scale = pick(image.width / width, image.height / height)
        box = (max(1, int(scale * width)), max(1, int(scale * height)))
        left_top = (int(place[0] * (image.width - box[0])), int(place[1] * (image.height - box[1])))
        image = crop_pad(image, box, left_top, pre.pad_mode)
    return resized(image, (height, width), pre.interpolation)


def _longest(image: Image.Image, pre: Preprocess) -> Image.Image:
    """The picture with its longest side at that of `pre.size`, its aspect kept."""
    longest = max(cast(Size, pre.size))
    scale = longest / max(image.size)
    size = (max(1, int(image.height * scale)), max(1, int(image.width * scale)))
    return fit(image, replace(pre, size=size, method="crop"), CENTRE)


def crop_pad(image: Image.Image, box: tuple[int, int], left_top: tuple[int, int], pad_mode: str) -> Image.Image:
    """The `box` (width, height) at `left_top` of the picture, which it may leave; what lies outside is filled by `pad_mode`."""
    (box_w, box_h), (left, top) = box, left_top
    inside = (max(left, 0), max(top, 0), min(left + box_w, image.width), min(top + box_h, image.height))
    if inside != (0, 0, image.width, image.height):
        image = image.crop(inside)
    before = (max(-left, 0), max(-top, 0))
    after = (box_w - image.width - before[0], box_h - image.height - before[1])
    if not any(before + after):
        return image
    widths = [(before[1], after[1]), (before[0], after[0])] + [(0, 0)] * (len(image.getbands()) > 1)
    return Image.fromarray(np.pad(np.asarray(image), widths, mode=cast(Any, _PADDINGS[pad_mode])))


def resized(image: Image.Image, size: Size, interpolation: str) -> Image.Image:
    """The picture at `size` (height, width), its aspect not kept."""
    height, width = size
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling[interpolation.upper()])


def check_box_ranges(min_scale: float, max_scale: float, ratio: tuple[float, float]) -> None:
    """Refuses areas and aspects of a random box that make no sense."""
    if not 0 < min_scale <= max_scale <= 1:
        raise OptionError(
            f"min_scale={min_scale} and max_scale={max_scale} are shares of the area: 0 < min_scale <= max_scale <= 1."
        )
    if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
        raise OptionError(f"ratio={ratio} is not a range of width over height, such as (3/4, 4/3).")


def largest_box(picture: Size, ratio: tuple[float, float]) -> Size:
    """(height, width) of the largest box in `picture` (height, width) whose width over height lies in the range `ratio`."""
    height, width = picture
    if width / height < ratio[0]:
        return max(1, int(width / ratio[0])), width
    if width / height > ratio[1]:
        return height, max(1, int(height * ratio[1]))
    return height, width
