"""What the geometric transforms of one list do together: one matrix a picture, so that one resampling does for all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from sightline.data.chance import BatchDraw, Floats, named
from sightline.data.geometry import Affine, Geometric, RandomResizedCropGPU, Warp, diagonal, identity
from sightline.data.transforms import PadMode
from sightline.errors import OptionError
from sightline.preprocess import Size, as_size

_V = TypeVar("_V")


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
