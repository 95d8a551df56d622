"""Transforms of one picture: what training draws at random, and the fixed form that validation and prediction share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Final, cast

from PIL import Image

from sightline import preprocess as values
from sightline.data.chance import ItemDraw
from sightline.data.resize import CENTRE, apply_preprocess, check_box_ranges, crop_pad, fit, largest_box, resized
from sightline.errors import OptionError, did_you_mean
from sightline.preprocess import Preprocess, as_size

Interpolation = str | int | Image.Resampling
_ATTEMPTS = 10
"""How often RandomResizedCrop looks for a box that fits before it takes the centre (torchvision, fastai)."""


class ResizeMethod:
    """How a picture meets a size of another aspect; the values can be given as words, too."""

    Crop: Final = "crop"
    Pad: Final = "pad"
    Squish: Final = "squish"


class PadMode:
    """What lies beyond the border of a picture; the values can be given as words, too."""

    Reflection: Final = "reflection"
    Border: Final = "border"
    Zeros: Final = "zeros"


class ItemTransform(ABC):
    """A transform of one picture, given in `item_tfms`."""

    order: ClassVar[int] = 1
    """Transforms run by rising order; a user's own callables without an `order` have 0."""

    @abstractmethod
    def __call__(self, image: Image.Image, draw: ItemDraw | None = None) -> Image.Image:
        """The transformed picture; without a draw, or with one that is not for training, the evaluation form."""

    @abstractmethod
    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` followed by the evaluation form of this transform, or None where the value has no room for it."""


@dataclass(frozen=True)
class Resize(ItemTransform):
    """Brings a picture to `size`.

    'crop' takes the largest box of the size's aspect, at a random place in training and in the centre otherwise; 'pad' puts
    the picture into the smallest enclosing box, again at a random place in training; 'squish' ignores the aspect.

    Attributes:
        size: Pixels: one number for a square, or (height, width).
        method: 'crop', 'pad' or 'squish'; see `ResizeMethod`.
        pad_mode: What fills the border of 'pad': 'reflection', 'border' or 'zeros'; see `PadMode`.
        resamples: Interpolation: 'bilinear', 'nearest', 'bicubic', 'lanczos' or Pillow's number. Of a pair (pictures, masks),
            as fastai has it, the first one counts.
    """

    size: int | tuple[int, int]
    method: str = ResizeMethod.Crop
    pad_mode: str = PadMode.Reflection
    resamples: Interpolation | tuple[Interpolation, ...] = "bilinear"

    def __post_init__(self) -> None:
        _check_word("method", self.method, ("crop", "pad", "squish"))
        _check_word("pad_mode", self.pad_mode, values.PAD_MODES)
        object.__setattr__(self, "size", as_size(self.size))
        object.__setattr__(self, "resamples", _interpolation(self.resamples))

    def __call__(self, image: Image.Image, draw: ItemDraw | None = None) -> Image.Image:
        """The picture at `size`."""
        place = CENTRE
        if draw is not None and draw.training and self.method != "squish":
            place = (draw.uniform("place.x"), draw.uniform("place.y"))
        return fit(image, self._as_preprocess(Preprocess()), place)

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` with this resize, or None where it holds one already."""
        return None if pre.size or pre.crop else self._as_preprocess(pre)

    def _as_preprocess(self, pre: Preprocess) -> Preprocess:
        method, pad_mode = cast(values.ResizeMethod, self.method), cast(values.PadMode, self.pad_mode)
        return replace(pre, size=as_size(self.size), method=method, pad_mode=pad_mode, interpolation=str(self.resamples))


@dataclass(frozen=True)
class RandomResizedCrop(ItemTransform):
    """In training a random box of random area and aspect, resized to `size`; otherwise a squish and a centre crop.

    Attributes:
        size: Pixels: one number for a square, or (height, width).
        min_scale: Smallest share of the picture's area.
        ratio: Range of width over height of the box.
        resamples: Interpolation, as in `Resize`.
        val_xtra: Outside training, the share of `size` (rounded up to 8 pixels) that the centre crop cuts away again.
        max_scale: Largest share of the picture's area.
    """

    size: int | tuple[int, int]
    min_scale: float = 0.08
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    resamples: Interpolation | tuple[Interpolation, ...] = "bilinear"
    val_xtra: float = 0.14
    max_scale: float = 1.0

    def __post_init__(self) -> None:
        check_box_ranges(self.min_scale, self.max_scale, self.ratio)
        if self.val_xtra < 0:
            raise OptionError(f"val_xtra={self.val_xtra} is negative; give the share that is cut away, such as 0.14.")
        object.__setattr__(self, "size", as_size(self.size))
        object.__setattr__(self, "resamples", _interpolation(self.resamples))

    def __call__(self, image: Image.Image, draw: ItemDraw | None = None) -> Image.Image:
        """The picture at `size`."""
        if draw is None or not draw.training:
            return apply_preprocess(image, self._as_preprocess(Preprocess()))
        (left, top), box = self._box(image.size, draw)
        return resized(crop_pad(image, box, (left, top), "zeros"), as_size(self.size), str(self.resamples))

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` with the squish and the centre crop, or None where it holds a resize already."""
        return None if pre.size or pre.crop else self._as_preprocess(pre)

    def _as_preprocess(self, pre: Preprocess) -> Preprocess:
        height, width = size = as_size(self.size)
        extra = math.ceil(max(size) * self.val_xtra / 8) * 8
        crop = size if extra else None
        resized = (height + extra, width + extra)
        return replace(pre, size=resized, method="squish", interpolation=str(self.resamples), crop=crop)

    def _box(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[tuple[int, int], tuple[int, int]]:
        """((left, top), (width, height)) of the box in pixels."""
        width, height = picture
        low, high = math.log(self.ratio[0]), math.log(self.ratio[1])
        for attempt in range(_ATTEMPTS):
            share = self.min_scale + (self.max_scale - self.min_scale) * draw.uniform(f"area.{attempt}")
            ratio = math.exp(low + (high - low) * draw.uniform(f"ratio.{attempt}"))
            box_w = round(math.sqrt(share * width * height * ratio))
            box_h = round(math.sqrt(share * width * height / ratio))
            if 0 < box_w <= width and 0 < box_h <= height:
                left = int(draw.uniform("place.x") * (width - box_w + 1))
                top = int(draw.uniform("place.y") * (height - box_h + 1))
                return (left, top), (box_w, box_h)
        box_h, box_w = largest_box((height, width), self.ratio)
        return ((width - box_w) // 2, (height - box_h) // 2), (box_w, box_h)


def _check_word(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{name}={value!r} is not one of {', '.join(allowed)}. {did_you_mean(str(value), allowed)}".rstrip())


def _interpolation(given: Interpolation | tuple[Interpolation, ...]) -> str:
    first = given[0] if isinstance(given, tuple | list) and given else given
    name = Image.Resampling(first).name.lower() if isinstance(first, int) and first in list(Image.Resampling) else first
    _check_word("resamples", cast(str, name), values.INTERPOLATIONS)
    return str(name)
