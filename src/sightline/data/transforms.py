"""Transforms of one picture: what training draws at random, and the fixed form that validation and prediction share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline import preprocess as values
from sightline.data.chance import ItemDraw
from sightline.data.decode import Source, read_image
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


@dataclass(frozen=True)
class _Fixed(ItemTransform):
    """The picture part of a `Preprocess`."""

    pre: Preprocess

    def __call__(self, image: Image.Image, draw: ItemDraw | None = None) -> Image.Image:
        return apply_preprocess(image, self.pre)

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        return None if pre.size or pre.crop else replace(self.pre, batch_size_px=None, mean=None, std=None)


class ItemPipeline:
    """The item transforms in the order in which they run, from a picture's source to its pixels."""

    def __init__(self, transforms: object = None, channels: int = 3) -> None:
        """Orders and checks the transforms.

        Args:
            transforms: One `ItemTransform` or callable (Pillow image to Pillow image or array), a list of them, or None.
            channels: 3 for RGB, 1 for grey.

        Raises:
            OptionError: Something in `transforms` is not a transform of one picture.
        """
        given: list[Any] = list(transforms) if isinstance(transforms, Iterable) else [] if transforms is None else [transforms]
        for transform in given:
            _check_transform(transform)
        self.transforms: tuple[Callable[..., Any], ...] = tuple(
            sorted(given, key=lambda transform: getattr(transform, "order", 0))
        )
        self.channels = channels
        self.preprocess = Preprocess(channels=channels)
        """The evaluation form of the transforms, as far as a value can hold it."""
        self.custom_names: tuple[str, ...] = ()
        """What `preprocess` leaves out: a user's own callables, and combinations that a value has no room for."""
        self._named = tuple(zip(_scopes(self.transforms), self.transforms, strict=True))
        for name, transform in self._named:
            after = transform.preprocess(self.preprocess) if isinstance(transform, ItemTransform) else None
            self.preprocess = after or self.preprocess
            self.custom_names += () if after else (name,)

    @classmethod
    def from_preprocess(cls, pre: Preprocess) -> ItemPipeline:
        """The picture part of a `Preprocess`, in training and otherwise."""
        return cls(_Fixed(pre), pre.channels)

    def picture(self, source: Source, draw: ItemDraw) -> Image.Image:
        """The transformed picture, mode 'RGB' or 'L'.

        Raises:
            ImageError: The picture cannot be read.
        """
        image = read_image(source, channels=self.channels)
        if not draw.training and not self.custom_names:
            return apply_preprocess(image, self.preprocess)
        for scope, transform in self._named:
            if isinstance(transform, ItemTransform):
                image = transform(image, draw.scoped(f"{scope}."))
            else:
                image = read_image(_checked_result(scope, transform(image)), channels=self.channels)
        return image

    def sample(self, source: Source, draw: ItemDraw) -> npt.NDArray[np.uint8]:
        """The transformed picture's pixels: uint8 `(H, W, C)`, C being 3 (RGB) or 1 (grey).

        Raises:
            ImageError: The picture cannot be read.
        """
        pixels = np.array(self.picture(source, draw), dtype=np.uint8)
        return pixels[..., None] if pixels.ndim == 2 else pixels


def _check_word(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{name}={value!r} is not one of {', '.join(allowed)}. {did_you_mean(str(value), allowed)}".rstrip())


def _check_transform(transform: object) -> None:
    if isinstance(transform, type):
        name = transform.__name__
        raise OptionError(f"item_tfms holds the class {name}; give what it makes, such as {name}(224).")
    if not callable(transform):
        raise OptionError(
            f"item_tfms holds {transform!r}, which is not a transform of one picture: expected Resize(224),"
            " RandomResizedCrop(224) or a function from picture to picture. Transforms of whole batches, such as Rotate or"
            " Normalize, go to batch_tfms."
        )


def _checked_result(name: str, result: object) -> Image.Image | npt.NDArray[Any]:
    if isinstance(result, Image.Image | np.ndarray):
        return result
    raise OptionError(
        f"the item transform {name} returned a {type(result).__name__}; expected a Pillow image or an array (H, W, C) of uint8."
    )


def _scopes(transforms: Iterable[Callable[..., Any]]) -> list[str]:
    """A name for each transform; the second of a kind is called 'Resize2'."""
    names: list[str] = []
    for transform in transforms:
        name = getattr(transform, "__name__", type(transform).__name__)
        seen = sum(earlier.rstrip("0123456789") == name for earlier in names)
        names.append(f"{name}{seen + 1}" if seen else name)
    return names


def _interpolation(given: Interpolation | tuple[Interpolation, ...]) -> str:
    first = given[0] if isinstance(given, tuple | list) and given else given
    name = Image.Resampling(first).name.lower() if isinstance(first, int) and first in list(Image.Resampling) else first
    _check_word("resamples", cast(str, name), values.INTERPOLATIONS)
    return str(name)
