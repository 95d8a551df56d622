"""Where every pixel of an augmented batch comes from: flips, turns, zooms, warps and crops as one 3x3 matrix a picture.

A matrix maps output coordinates to input coordinates, both normalised to -1..1 over width (x) and height (y). Matrices of
several transforms are multiplied, so a batch is resampled once, whatever was asked for.

Source of the ranges and conventions: fastai's vision augmentation, whose users expect them. Shapes: N pictures, C channels,
H and W pixels of the input, h and w of the output.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sightline.data.pictures.resize import DIHEDRAL, check_box_ranges, largest_box
from sightline.data.transforms.by_hand import OfBatches
from sightline.data.transforms.chance import BatchDraw, FixedDraw, Floats
from sightline.data.transforms.items import PadMode
from sightline.errors import OptionError, did_you_mean
from sightline.preprocess import PAD_MODES, Size, as_size

MODES = ("bilinear", "nearest", "bicubic")
_ATTEMPTS = 10


class Geometric(OfBatches, ABC):
    """A transform that moves pixels, given in `batch_tfms`. What is here is agreed upon by all of them in one list.

    Outside training nothing moves; another `size` is then reached by bilinear interpolation with corners aligned, whatever
    `mode` and `align_corners` say, because that is what an exported model does. Each kind lists these options itself, in the
    order in which fastai takes them.

    Attributes:
        size: Output size in pixels, one number or (height, width); None keeps the input's.
        mode: Interpolation: 'bilinear', 'nearest' or 'bicubic'.
        pad_mode: What lies beyond the border: 'reflection', 'border' or 'zeros'.
        align_corners: Whether -1 and 1 are the centres of the outermost pixels instead of their outer edges.
        batch: Whether one draw serves the whole batch.
    """

    by_hand: ClassVar[int | None] = 0

    size: int | tuple[int, int] | None
    mode: str
    pad_mode: str
    align_corners: bool
    batch: bool

    def __post_init__(self) -> None:
        for name, value, allowed in (("mode", self.mode, MODES), ("pad_mode", self.pad_mode, PAD_MODES)):
            if value not in allowed:
                raise OptionError(f"{name}={value!r} is not one of {', '.join(allowed)}. {did_you_mean(str(value), allowed)}")
        if self.size is not None:
            as_size(self.size)
        p = getattr(self, "p", 1.0)
        if not 0 <= p <= 1:
            raise OptionError(f"{type(self).__name__} has p={p}, which is not a probability between 0 and 1.")


@dataclass(frozen=True)
class BatchResize(Geometric):
    """Brings whole batches to `size`, in training and validation; nothing else moves."""

    size: int | tuple[int, int] | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    align_corners: bool = True
    batch: bool = False


class Affine(Geometric):
    """A geometric transform that keeps parallel lines parallel."""

    @abstractmethod
    def matrices(self, draw: BatchDraw) -> Floats:
        """One matrix a picture for a square: float64 `(N, 3, 3)`, last row (0, 0, 1)."""


@dataclass(frozen=True)
class Flip(Affine):
    """Mirrors left and right with probability `p`; a fixed `draw` is 1 (mirror) or 0."""

    p: float = 0.5
    draw: FixedDraw = None
    size: int | tuple[int, int] | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    align_corners: bool = True
    batch: bool = False

    def matrices(self, draw: BatchDraw) -> Floats:
        """One matrix a picture."""
        flipped = draw.values("flip", 1, 1, p=self.p, fixed=self.draw, batch=self.batch)
        return diagonal(1 - 2 * flipped, np.ones_like(flipped))


@dataclass(frozen=True)
class Dihedral(Affine):
    """With probability `p` one of the eight ways to lay down a square; a fixed `draw` is their number, 0 to 7."""

    p: float = 0.5
    draw: FixedDraw = None
    size: int | tuple[int, int] | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    batch: bool = False
    align_corners: bool = True

    def matrices(self, draw: BatchDraw) -> Floats:
        """One matrix a picture."""
        ways = draw.values("way", 0, len(DIHEDRAL), p=self.p, fixed=self.draw, batch=self.batch).astype(np.int64)
        matrices = identity(len(ways))
        matrices[:, :2, :2] = DIHEDRAL[ways]
        return matrices


@dataclass(frozen=True)
class Rotate(Affine):
    """Turns by -`max_deg` to `max_deg` degrees with probability `p`."""

    max_deg: float = 10.0
    p: float = 0.5
    draw: FixedDraw = None
    size: int | tuple[int, int] | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    align_corners: bool = True
    batch: bool = False

    def matrices(self, draw: BatchDraw) -> Floats:
        """One matrix a picture."""
        degrees = draw.values("angle", -self.max_deg, self.max_deg, p=self.p, fixed=self.draw, batch=self.batch)
        angle = np.deg2rad(degrees)
        matrices = diagonal(np.cos(angle), np.cos(angle))
        matrices[:, 0, 1], matrices[:, 1, 0] = np.sin(angle), -np.sin(angle)
        return matrices


@dataclass(frozen=True)
class Zoom(Affine):
    """Enlarges by a factor of `min_zoom` to `max_zoom` with probability `p`, around a centre drawn over the whole picture.

    `draw` fixes the factor, `draw_x` and `draw_y` the centre in 0..1.
    """

    min_zoom: float = 1.0
    max_zoom: float = 1.1
    p: float = 0.5
    draw: FixedDraw = None
    draw_x: FixedDraw = None
    draw_y: FixedDraw = None
    size: int | tuple[int, int] | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    batch: bool = False
    align_corners: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.min_zoom <= self.max_zoom:
            raise OptionError(f"min_zoom={self.min_zoom} and max_zoom={self.max_zoom} are not a range of factors above 0.")

    def matrices(self, draw: BatchDraw) -> Floats:
        """One matrix a picture."""
        factor = draw.values("factor", self.min_zoom, self.max_zoom, p=self.p, neutral=1, fixed=self.draw, batch=self.batch)
        scale = 1 / factor
        matrices = diagonal(scale, scale)
        for axis, (name, fixed) in enumerate((("x", self.draw_x), ("y", self.draw_y))):
            matrices[:, axis, 2] = (1 - scale) * (2 * draw.values(name, 0, 1, fixed=fixed, batch=self.batch) - 1)
        return matrices


@dataclass(frozen=True)
class Warp(Geometric):
    """Changes the perspective: tilts of -`magnitude` to `magnitude` along x and along y, each with probability `p`."""

    magnitude: float = 0.2
    p: float = 0.5
    draw_x: FixedDraw = None
    draw_y: FixedDraw = None
    size: int | tuple[int, int] | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    batch: bool = False
    align_corners: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.magnitude < 0.7:
            raise OptionError(f"magnitude={self.magnitude} is not between 0 and 0.7, where a picture is folded onto a line.")

    def matrices(self, draw: BatchDraw) -> Floats:
        """One matrix a picture: float64 `(N, 3, 3)`, applied to coordinates that come out of the affine part."""
        tilt_x, tilt_y = (
            draw.values(name, -self.magnitude, self.magnitude, p=self.p, fixed=fixed, batch=self.batch)
            for name, fixed in (("tilt.x", self.draw_x), ("tilt.y", self.draw_y))
        )
        return _perspective(tilt_x, tilt_y)


@dataclass(frozen=True)
class RandomResizedCropGPU(Geometric):
    """Cuts a random box out of each picture and brings it to `size`; outside training the centre, at `valid_scale`.

    Attributes:
        size: Output size in pixels, one number or (height, width).
        min_scale: Smallest share of the picture's area.
        ratio: Range of width over height of the box.
        valid_scale: Outside training, the share of either side that is kept.
        max_scale: Largest share of the picture's area.
    """

    size: int | tuple[int, int]
    min_scale: float = 0.08
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    mode: str = "bilinear"
    valid_scale: float = 1.0
    max_scale: float = 1.0
    pad_mode: str = PadMode.Reflection
    align_corners: bool = True
    batch: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        as_size(self.size)
        check_box_ranges(self.min_scale, self.max_scale, self.ratio)
        if not 0 < self.valid_scale <= 1:
            raise OptionError(f"valid_scale={self.valid_scale} is not a share of the sides between 0 and 1.")

    def boxes(self, draw: BatchDraw, picture: Size) -> Floats:
        """One box a picture in pixels: float64 `(N, 4)` of top, left, height, width."""
        height, width = picture
        shape, low, high = (_ATTEMPTS,), math.log(self.ratio[0]), math.log(self.ratio[1])
        area = (
            height
            * width
            * (self.min_scale + (self.max_scale - self.min_scale) * draw.uniform("area", shape=shape, batch=self.batch))
        )
        ratio = np.exp(low + (high - low) * draw.uniform("ratio", shape=shape, batch=self.batch))
        heights, widths = np.rint(np.sqrt(area / ratio)), np.rint(np.sqrt(area * ratio))
        fits = (heights <= height) & (widths <= width) & (heights > 0) & (widths > 0)
        first = (np.arange(len(fits)), fits.argmax(axis=1))
        box_h, box_w = heights[first], widths[first]
        top = np.floor(draw.uniform("top", batch=self.batch) * (height - box_h + 1))
        left = np.floor(draw.uniform("left", batch=self.batch) * (width - box_w + 1))
        drawn = np.stack([top, left, box_h, box_w], axis=1)
        return np.where(np.any(fits, axis=1, keepdims=True), drawn, np.array(self._largest_box(picture, 1.0), dtype=np.float64))

    def centre_box(self, picture: Size) -> tuple[int, int, int, int]:
        """Top, left, height and width in pixels of what is kept outside training."""
        return self._largest_box(picture, self.valid_scale)

    def _largest_box(self, picture: Size, scale: float) -> tuple[int, int, int, int]:
        height, width = picture
        box_h, box_w = (int(side * scale) for side in largest_box(picture, self.ratio))
        return (height - box_h) // 2, (width - box_w) // 2, box_h, box_w


def _perspective(tilt_x: Floats, tilt_y: Floats) -> Floats:
    """The matrices `(N, 3, 3)` that map four tilted corners onto the corners (x, y) of the square -1..1.

    A tilted corner is (x - x y tilt_y, y - x y tilt_x). That M (tilted, 1) is a multiple of (x, y, 1) at all four corners
    leaves one matrix, which is symmetric.
    """
    shear = 2 * tilt_x * tilt_y / (1 - tilt_x**2 - tilt_y**2)
    slope_x, slope_y = -tilt_y * shear - tilt_x, -tilt_x * shear - tilt_y
    matrices = identity(len(tilt_x))
    matrices[:, 0, 1] = matrices[:, 1, 0] = shear
    matrices[:, 0, 2] = matrices[:, 2, 0] = slope_x
    matrices[:, 1, 2] = matrices[:, 2, 1] = slope_y
    return matrices


def identity(count: int) -> Floats:
    """Matrices that move nothing: float64 `(count, 3, 3)`."""
    return np.tile(np.eye(3), (count, 1, 1))


def diagonal(x: Floats, y: Floats) -> Floats:
    """Matrices that scale x and y: float64 `(N, 3, 3)`."""
    matrices = identity(len(x))
    matrices[:, 0, 0], matrices[:, 1, 1] = x, y
    return matrices
