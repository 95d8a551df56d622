"""Pixels of a batch at new places: one bilinear look-up a pixel, by one 3x3 matrix a picture.

Shapes: N pictures, C channels, H and W pixels of the input, h and w of the output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from sightline.data.transforms.areas import Averaging, as_float, bilinear
from sightline.data.transforms.chance import Floats
from sightline.preprocess import Size

_CORNERS = np.array([[-1, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]], dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Resampling:
    """Where the pixels of a batch are looked up, worked out as far as it can be before pictures are seen.

    Attributes:
        along_x: float `(N, 3, 1, w)`; with `along_y` added, input coordinates x, y and depth of every output pixel.
        along_y: float `(N, 3, h, 1)`. From one row and one column they are made tenfold faster than by a product of all pixels
            with all matrices.
        shrink: By how much each picture is first made smaller.
        smaller: What makes pictures smaller, by such a factor.
        options: Of `grid_sample`.
    """

    along_x: torch.Tensor
    along_y: torch.Tensor
    shrink: Sequence[float]
    smaller: Mapping[float, Averaging]
    options: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        images: torch.Tensor,
        matrices: Floats,
        size: Size,
        *,
        shrink: Floats,
        mode: str = "bilinear",
        pad_mode: str = "reflection",
        align_corners: bool = True,
    ) -> Resampling:
        """For pictures seen through their matrices.

        Args:
            images: uint8 or float `(N, C, H, W)`; their size and device alone count.
            matrices: float64 `(N, 3, 3)` on the host, from output to input coordinates in -1..1.
            size: (h, w).
            shrink: float64 `(N,)`, by how much each picture is first made smaller by averaging areas; 1 for not at all.
                Pictures that need the same are resampled together, which is all of them unless boxes of their own are cut.
            mode: 'bilinear', 'nearest' or 'bicubic'.
            pad_mode: 'reflection', 'border' or 'zeros'.
            align_corners: Whether -1 and 1 are the centres of the outermost pixels instead of their outer edges.
        """
        picture = (images.shape[-2], images.shape[-1])
        on = on_device(matrices, images)
        ys, xs = (_places(count, align_corners, on) for count in size)
        return cls(
            along_x=(on[:, :, 0, None] * xs)[:, :, None, :],
            along_y=(on[:, :, 1, None] * ys + on[:, :, 2, None])[:, :, :, None],
            shrink=shrink.tolist(),
            smaller={factor: Averaging(picture, shrunk_size(picture, factor)) for factor in set(shrink.tolist()) if factor > 1},
            options={"mode": mode, "padding_mode": pad_mode, "align_corners": align_corners},
        )

    def seen(self, images: torch.Tensor, rows: slice = slice(None)) -> torch.Tensor:
        """The pictures in some rows of the batch, uint8 or float `(n, C, H, W)`, looked up: float `(n, C, h, w)`."""
        along_x, along_y, factors = self.along_x[rows], self.along_y[rows], self.shrink[rows]
        if len(set(factors)) <= 1:
            return self._looked_up(images, along_x, along_y, factors[0] if factors else 1.0)
        result = along_x.new_empty((len(images), images.shape[1], along_y.shape[-2], along_x.shape[-1]))
        for factor in sorted(set(factors)):
            chosen = rows_on([factor == other for other in factors], images)
            result[chosen] = self._looked_up(images[chosen], along_x[chosen], along_y[chosen], factor)
        return result

    def _looked_up(self, images: torch.Tensor, along_x: torch.Tensor, along_y: torch.Tensor, factor: float) -> torch.Tensor:
        images = as_float(self.smaller[factor](images) if factor > 1 else images)
        places, depth = (along_x + along_y).split([2, 1], dim=1)
        return F.grid_sample(images, places.div_(depth).permute(0, 2, 3, 1), **self.options)


def resizing(picture: Size, size: Size) -> Callable[[torch.Tensor], torch.Tensor]:
    """What brings pictures to another size, nothing else moved: what `Resampling` gives for unit matrices, corners aligned.

    Args:
        picture: (height, width) of the pictures.
        size: (h, w).

    Returns:
        A function of uint8 or float `(N, C, H, W)` to float `(N, C, h, w)`, or to what it is given where that has the size.
    """
    if picture == size:
        return lambda images: images
    factor = shrink_factor(picture, size)
    if factor > 1:
        return Averaging(picture, shrunk_size(picture, factor), size)
    return lambda images: bilinear(as_float(images), size)


def shrunk_size(picture: Size, factor: float) -> Size:
    """(height, width) of a picture (height, width) made smaller by a factor, if that is above 1."""
    return picture if factor <= 1 else (int(picture[0] * (1 / factor)), int(picture[1] * (1 / factor)))


def shrink_factor(picture: Size, size: Size) -> float:
    """By how much pictures are first made smaller: bilinear look-ups skip pixels where more than two become one."""
    return max(1.0, min(picture[0] / size[0], picture[1] / size[1]) / 2)


def shrink_factors(picture: Size, size: Size, matrices: Floats) -> Floats:
    """`shrink_factor` for a batch without boxes, none where the matrices enlarge by as much: float64 `(N,)`."""
    factor = shrink_factor(picture, size)
    corners = matrices @ _CORNERS.T
    reached = corners[:, :2] / corners[:, 2:]
    enlarged = 2 / np.ptp(reached)
    return np.full(len(matrices), factor if factor > enlarged else 1.0)


def box_shrink_factors(boxes: Floats, size: Size) -> Floats:
    """`shrink_factor` for boxes of their own, float64 `(N,)`, rounded down to half octaves so that few groups arise.

    Args:
        boxes: float64 `(N, 4)` of top, left, height, width in pixels.
        size: (h, w).
    """
    factors = np.maximum(np.minimum(boxes[:, 2] / size[0], boxes[:, 3] / size[1]) / 2, 1)
    return factors if len(np.unique(factors)) == 1 else 2 ** (np.floor(2 * np.log2(factors)) / 2)


def on_device(values: npt.ArrayLike, like: torch.Tensor) -> torch.Tensor:
    """The values as float32 where `like` lies; the host does not wait for the copy."""
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.float32)).to(like.device, non_blocking=True)


def rows_on(rows: npt.ArrayLike, like: torch.Tensor) -> torch.Tensor:
    """The numbers of rows that are True, int64 where `like` lies; the host does not wait for the copy."""
    return torch.from_numpy(np.flatnonzero(rows)).to(like.device, non_blocking=True)


def _places(count: int, align_corners: bool, like: torch.Tensor) -> torch.Tensor:
    """Where `count` pixels lie in -1..1."""
    if align_corners and count > 1:
        return torch.linspace(-1, 1, count, device=like.device, dtype=like.dtype)
    return (torch.arange(count, device=like.device, dtype=like.dtype) * 2 + 1) / count - 1
