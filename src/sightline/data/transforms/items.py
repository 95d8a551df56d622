"""Transforms of one picture: what training draws at random, and the fixed form that validation and prediction share."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar, Final, cast

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline import preprocess as values
from sightline.data.pictures.resize import (
    CENTRE,
    DIHEDRAL,
    Placement,
    check_box_ranges,
    fitting,
    largest_box,
    moved,
    placements_of,
)
from sightline.data.transforms.by_hand import item_draw
from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.errors import OptionError, did_you_mean
from sightline.preprocess import Preprocess, as_size

Interpolation = str | int | Image.Resampling
Rows = npt.NDArray[np.int64]
_ATTEMPTS = 10
"""How often RandomResizedCrop looks for a box that fits before it takes the centre (torchvision, fastai)."""
_MOST_GROWTH = 4
"""A picture is not prepared beforehand where that would make it larger than itself and than its final size by this factor."""


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

    by_hand: ClassVar[int] = 1
    """What a call by hand means that says nothing: 0 for the form of training, 1 for that of evaluation."""

    @abstractmethod
    def __call__(self, image: Image.Image, draw: ItemDraw | int | None = None, split_idx: int | None = None) -> Image.Image:
        """The transformed picture.

        Args:
            image: The picture.
            draw: Where chance comes from; one that is not for training takes the evaluation form.
            split_idx: For calls by hand, in place of a draw: 0 for the random form, 1 for that of evaluation. None takes the
                latter, except for crops that are random by name.
        """

    @abstractmethod
    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` followed by the evaluation form of this transform, or None where the value has no room for it."""

    def is_fixed(self, training: bool) -> bool:
        """Whether it does the same to a picture every time."""
        return not training

    def ahead(self, picture: tuple[int, int]) -> tuple[Placement, ...]:
        """What can be done once to a picture (width, height), so that the random form then does less work for the same result.

        The same within a pixel of the final size, and no detail of it is lost.
        """
        return ()

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...] | None:
        """What this transform does to a picture (width, height) step by step; None where that is not known."""
        return None


class Placing(ItemTransform):
    """A transform that turns, cuts, pads or resizes, and does nothing else: points in the picture can follow it."""

    @abstractmethod
    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """What this transform does to a picture (width, height) step by step."""

    def __call__(self, image: Image.Image, draw: ItemDraw | int | None = None, split_idx: int | None = None) -> Image.Image:
        """The transformed picture."""
        return moved(image, self.placements(image.size, item_draw(draw, split_idx, self.by_hand)))


@dataclass(frozen=True)
class Resize(Placing):
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

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step."""
        place = CENTRE
        if draw.training and self.method != "squish":
            place = (draw.uniform("place.x"), draw.uniform("place.y"))
        return (fitting(picture, self._as_preprocess(Preprocess()), place, as_size(self.size)),)

    def is_fixed(self, training: bool) -> bool:
        """A squish has no place to draw."""
        return not training or self.method == "squish"

    def ahead(self, picture: tuple[int, int]) -> tuple[Placement, ...]:
        """The whole picture resized until what is cut out has its size, or until it fits into the padded box."""
        height, width = as_size(self.size)
        within = self.method == "pad"
        scale = (min if within else max)(width / picture[0], height / picture[1])
        sides = (max(1, round(picture[1] * scale)), max(1, round(picture[0] * scale)))
        if sides[0] * sides[1] > _MOST_GROWTH * max(picture[0] * picture[1], height * width):
            return ()
        return (Placement(picture, (0, 0), picture, sides, interpolation=str(self.resamples)),)

    def corners(self, pictures: Rows, draw: BatchDraw) -> Rows | None:
        """Where training cuts pictures that `ahead` has prepared.

        Args:
            pictures: int64 `(N, 2)`, their (width, height).
            draw: Where chance comes from.

        Returns:
            int64 `(N, 2)`, (left, top); None if there is more to be done to one of them than to cut it.
        """
        height, width = as_size(self.size)
        room: Rows = pictures - np.array([width, height])
        if self.method != "crop" or (room.min(axis=1) != 0).any():
            return None
        if not room.any():
            return room
        place = np.stack([draw.uniform("place.x"), draw.uniform("place.y")], axis=1)
        corners: Rows = (place * room).astype(np.int64)
        return corners

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` with this resize, or None where it holds one already."""
        return None if pre.size or pre.crop else self._as_preprocess(pre)

    def _as_preprocess(self, pre: Preprocess) -> Preprocess:
        method, pad_mode = cast(values.ResizeMethod, self.method), cast(values.PadMode, self.pad_mode)
        return replace(pre, size=as_size(self.size), method=method, pad_mode=pad_mode, interpolation=str(self.resamples))


@dataclass(frozen=True)
class RandomResizedCrop(Placing):
    """In training a random box of random area and aspect, resized to `size`; otherwise a squish and a centre crop.

    Attributes:
        size: Pixels: one number for a square, or (height, width).
        min_scale: Smallest share of the picture's area.
        ratio: Range of width over height of the box.
        resamples: Interpolation, as in `Resize`.
        val_xtra: Outside training, the share of `size` (rounded up to 8 pixels) that the centre crop cuts away again.
        max_scale: Largest share of the picture's area.
    """

    by_hand: ClassVar[int] = 0

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

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step in training, a squish and a centre crop otherwise."""
        if not draw.training:
            return placements_of(self._as_preprocess(Preprocess()), picture)
        left_top, box = self._box(picture, draw)
        return (Placement(picture, left_top, box, as_size(self.size), interpolation=str(self.resamples)),)

    def ahead(self, picture: tuple[int, int]) -> tuple[Placement, ...]:
        """The whole picture shrunk as far as the smallest box that may be drawn still has as many pixels as `size`."""
        (height, width), (across, down) = as_size(self.size), picture
        area = self.min_scale * across * down
        fallback_h, fallback_w = largest_box((down, across), self.ratio)
        least_w = min(math.sqrt(area * self.ratio[0]), fallback_w)
        least_h = min(math.sqrt(area / self.ratio[1]), fallback_h)
        scale = max(width / least_w, height / least_h)
        if scale >= 1:
            return ()
        sides = (math.ceil(down * scale), math.ceil(across * scale))
        return (Placement(picture, (0, 0), picture, sides, interpolation=str(self.resamples)),)

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
class RandomCrop(Placing):
    """Cuts a box of `size` out of the picture, nothing resized: at a random place in training, in the centre otherwise.

    A picture that is smaller is padded with black, likewise at a random place in training.

    Attributes:
        size: Pixels: one number for a square, or (height, width).
    """

    by_hand: ClassVar[int] = 0

    size: int | tuple[int, int]

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", as_size(self.size))

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step."""
        height, width = size = as_size(self.size)
        if not draw.training:
            return (Placement.cut(picture, size),)
        left_top = (
            _random_start(picture[0] - width, draw.uniform("place.x")),
            _random_start(picture[1] - height, draw.uniform("place.y")),
        )
        return (Placement.cut(picture, size, left_top),)

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` with the centre crop, or None where it holds one already."""
        return None if pre.crop else replace(pre, crop=as_size(self.size))


@dataclass(frozen=True)
class CropPad(Placing):
    """Cuts or pads the picture around its centre to `size`, nothing resized. Like fastai's it runs before a `Resize`.

    Attributes:
        size: Pixels: one number for a square, or (height, width).
        pad_mode: What fills the border of a picture that is smaller: 'zeros', 'border' or 'reflection'; see `PadMode`.
    """

    order: ClassVar[int] = 0

    size: int | tuple[int, int]
    pad_mode: str = PadMode.Zeros

    def __post_init__(self) -> None:
        _check_word("pad_mode", self.pad_mode, values.PAD_MODES)
        object.__setattr__(self, "size", as_size(self.size))

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step."""
        return (Placement.cut(picture, as_size(self.size), pad_mode=self.pad_mode),)

    def is_fixed(self, training: bool) -> bool:
        """Always."""
        return True

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` with the crop, or None where it holds one already."""
        if pre.crop:
            return None
        return replace(pre, crop=as_size(self.size), crop_pad_mode=cast(values.PadMode, self.pad_mode))


@dataclass(frozen=True)
class RatioResize(Placing):
    """Resizes the picture so that its longest side is `max_sz`, its aspect kept.

    Attributes:
        max_sz: Pixels of the longest side.
        resamples: Interpolation, as in `Resize`.
    """

    max_sz: int
    resamples: Interpolation | tuple[Interpolation, ...] = "bilinear"

    def __post_init__(self) -> None:
        if not isinstance(self.max_sz, int) or self.max_sz < 1:
            raise OptionError(f"max_sz={self.max_sz!r} is not a number of pixels, at least 1.")
        object.__setattr__(self, "resamples", _interpolation(self.resamples))

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step, the same in training and otherwise."""
        return placements_of(self._as_preprocess(Preprocess()), picture)

    def is_fixed(self, training: bool) -> bool:
        """Always."""
        return True

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` with this resize, or None where it holds one already."""
        return None if pre.size or pre.crop else self._as_preprocess(pre)

    def _as_preprocess(self, pre: Preprocess) -> Preprocess:
        return replace(pre, size=as_size(self.max_sz), method="longest", interpolation=str(self.resamples))


@dataclass(frozen=True)
class FlipItem(Placing):
    """In training mirrors left and right with probability `p`. Like fastai's it runs before a `Resize`."""

    order: ClassVar[int] = 0

    p: float = 0.5

    def __post_init__(self) -> None:
        _check_probability(self)

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step, or none."""
        return (Placement.laid(picture, 1),) if draw.training and draw.uniform("apply") < self.p else ()

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` itself: outside training nothing happens."""
        return pre


@dataclass(frozen=True)
class DihedralItem(Placing):
    """In training, with probability `p`, one of eight ways to lay down a picture. Like fastai's it runs before a `Resize`."""

    order: ClassVar[int] = 0

    p: float = 1.0

    def __post_init__(self) -> None:
        _check_probability(self)

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        """One step, or none."""
        if not draw.training or draw.uniform("apply") >= self.p:
            return ()
        return (Placement.laid(picture, int(draw.uniform("way") * len(DIHEDRAL))),)

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        """`pre` itself: outside training nothing happens."""
        return pre


def _random_start(room: int, chance: float) -> int:
    """Where a box begins that has `room` to spare; a box that is larger than the picture begins before it (fastai's range)."""
    return int(chance * (room + 1)) if room >= 0 else -1 - int(chance * -room)


def _check_probability(transform: FlipItem | DihedralItem) -> None:
    if not 0 <= transform.p <= 1:
        raise OptionError(f"{type(transform).__name__} has p={transform.p}, which is not a probability between 0 and 1.")


def _check_word(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise OptionError(f"{name}={value!r} is not one of {', '.join(allowed)}. {did_you_mean(str(value), allowed)}".rstrip())


def _interpolation(given: Interpolation | tuple[Interpolation, ...]) -> str:
    first = given[0] if isinstance(given, tuple | list) and given else given
    name = Image.Resampling(first).name.lower() if isinstance(first, int) and first in list(Image.Resampling) else first
    _check_word("resamples", cast(str, name), values.INTERPOLATIONS)
    return str(name)
