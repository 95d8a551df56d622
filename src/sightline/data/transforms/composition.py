"""What the geometric transforms of one list do together: one matrix a picture, so that one resampling does for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from sightline.data.pictures.resize import to_unit
from sightline.data.transforms.chance import BatchDraw, Floats, named
from sightline.data.transforms.geometry import Affine, Geometric, RandomResizedCropGPU, Warp, diagonal, identity
from sightline.data.transforms.items import PadMode
from sightline.data.transforms.resample import box_shrink_factors, shrink_factor, shrink_factors, shrunk_size
from sightline.errors import OptionError
from sightline.preprocess import Size, as_size

_V = TypeVar("_V")


@dataclass(frozen=True, eq=False)
class Lookup:
    """Where the pixels of a batch come from, and with that, where points in its pictures go.

    Attributes:
        matrices: float64 `(N, 3, 3)`, from output to input coordinates in -1..1.
        picture: Input (height, width) in pixels.
        size: Output (height, width) in pixels.
        shrink: float64 `(N,)`, by how much each picture is first made smaller; see `Resampling`.
        align_corners: As in `Geometric`.
        moves: Whether there is anything to look up.
    """

    matrices: Floats
    picture: Size
    size: Size
    shrink: Floats
    align_corners: bool = True
    moves: bool = True

    def paths(self) -> Floats:
        """From pixels of the input to -1..1 of the output, outer edges in both: float64 `(N, 3, 3)`."""
        shrunk = np.array([shrunk_size(self.picture, float(factor)) for factor in self.shrink])
        inward = _corners(shrunk) if self.align_corners else np.ones_like(shrunk, dtype=np.float64)
        outward = 1 / _corners(np.array([self.size])) if self.align_corners else np.ones((1, 2))
        taken = diagonal(inward[:, 1], inward[:, 0]) @ to_unit(self.picture[::-1])
        given: Floats = diagonal(outward[:, 1], outward[:, 0]) @ np.linalg.inv(self.matrices) @ taken
        return given


@dataclass(frozen=True)
class Geometry:
    """What the geometric transforms of one list do together: one matrix a picture, one resampling.

    Attributes:
        affines: In the order in which their matrices are multiplied.
        warps: Applied to the coordinates that come out of the affine part.
        crop: Cuts a box out of what the others made; None for none.
        size: Output (height, width) in pixels; None keeps the input's.
        mode: As in `Geometric`.
        pad_mode: As in `Geometric`.
        align_corners: As in `Geometric`.
    """

    affines: tuple[Affine, ...] = ()
    warps: tuple[Warp, ...] = ()
    crop: RandomResizedCropGPU | None = None
    size: Size | None = None
    mode: str = "bilinear"
    pad_mode: str = PadMode.Reflection
    align_corners: bool = True

    @classmethod
    def of(cls, transforms: Sequence[Geometric]) -> Geometry:
        """What the transforms agree upon.

        Raises:
            OptionError: They ask for different sizes, interpolations or paddings, or there are several crops.
        """
        crops = [transform for transform in transforms if isinstance(transform, RandomResizedCropGPU)]
        if len(crops) > 1:
            raise OptionError(f"batch_tfms holds {len(crops)} RandomResizedCropGPU; one box a picture is cut, so give one.")
        size = _agreed("size", [None if t.size is None else as_size(t.size) for t in transforms], None)
        return cls(
            affines=tuple(transform for transform in transforms if isinstance(transform, Affine)),
            warps=tuple(transform for transform in transforms if isinstance(transform, Warp)),
            crop=crops[0] if crops else None,
            size=size,
            mode=_agreed("mode", [t.mode for t in transforms], "bilinear"),
            pad_mode=_agreed("pad_mode", [t.pad_mode for t in transforms], PadMode.Reflection),
            align_corners=_agreed("align_corners", [t.align_corners for t in transforms], True),
        )

    def matrices(self, draw: BatchDraw, picture: Size) -> Floats:
        """The matrices of affine part and warps together: float64 `(N, 3, 3)`, before the crop.

        Args:
            draw: Where chance comes from.
            picture: Input (height, width) in pixels; a rotation in a picture that is not square depends on it.
        """
        height, width = picture
        total = identity(len(draw.rows))
        for scope, affine in named(self.affines):
            total = total @ affine.matrices(draw.scoped(scope))
        total[:, 0, 1] *= height / width
        total[:, 1, 0] *= width / height
        for scope, warp in named(self.warps):
            total = warp.matrices(draw.scoped(scope)) @ total
        return total

    def boxes(self, draw: BatchDraw, picture: Size) -> Floats | None:
        """The boxes of the crop in pixels, float64 `(N, 4)` of top, left, height, width; None without a crop."""
        return None if self.crop is None else self.crop.boxes(draw.scoped("RandomResizedCropGPU."), picture)

    def lookup(self, draw: BatchDraw, picture: Size) -> Lookup:
        """Where the pixels of an augmented batch come from; for `picture` see `matrices`."""
        size = self.size or picture
        matrices, boxes = self.matrices(draw, picture), self.boxes(draw, picture)
        if boxes is None:
            moves = size != picture or not (matrices == np.eye(3)).all()
            shrink = shrink_factors(picture, size, matrices)
        else:
            moves, shrink = True, box_shrink_factors(boxes, size)
            matrices = matrices @ box_matrices(boxes, picture, self.align_corners)
        # Averages of areas would be colours that 'nearest' is to keep out.
        shrink = shrink if self.mode == "bilinear" else np.ones(len(matrices))
        return Lookup(matrices, picture, size, shrink, self.align_corners, moves)

    def evaluation_path(self, picture: Size) -> tuple[Floats, Size]:
        """Outside training: from pixels to -1..1 of the output, float64 `(3, 3)`, and the output's (height, width)."""
        top, left, *cut = (0, 0, *picture) if self.crop is None else self.crop.centre_box(picture)
        box = (cut[0], cut[1])
        size = self.size or box
        shrink = np.array([shrink_factor(box, size)])
        uncut = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
        return Lookup(identity(1), box, size, shrink).paths()[0] @ uncut, size


def _corners(sizes: npt.NDArray[Any]) -> Floats:
    """From -1..1 over outer edges to -1..1 over the centres of the outermost pixels, for sizes `(N, 2)` in pixels."""
    factors: Floats = sizes / np.maximum(sizes - 1, 1)
    return np.where(sizes > 1, factors, 1.0)  # a side of one pixel has one centre; nothing there tells points apart


def box_matrices(boxes: Floats, picture: Size, align_corners: bool) -> Floats:
    """The matrices that map the output onto boxes of the picture: float64 `(N, 3, 3)`.

    Args:
        boxes: float64 `(N, 4)` of top, left, height, width in pixels.
        picture: (height, width) in pixels.
        align_corners: As in `Geometric`.
    """
    whole = np.array(picture, dtype=np.float64)[::-1]
    start, extent = boxes[:, 1::-1], boxes[:, :1:-1]  # x before y
    if align_corners:  # -1 and 1 are the centres of the outermost pixels, half a pixel inside
        extent, whole = extent - 1, np.maximum(whole - 1, 1)
    scale, shift = extent / whole, (2 * start + extent) / whole - 1
    matrices = diagonal(scale[:, 0], scale[:, 1])
    matrices[:, :2, 2] = shift
    return matrices


def _agreed(name: str, given: Sequence[_V], default: _V) -> _V:
    """The one value other than the default that is given, or the default."""
    others = list(dict.fromkeys(value for value in given if value != default))
    if len(others) > 1:
        raise OptionError(
            f"batch_tfms asks for {name}={others[0]!r} and {name}={others[1]!r}; a batch is resampled once, so give one."
        )
    return others[0] if others else default
