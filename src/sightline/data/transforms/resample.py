"""Pixels of a batch at new places: one bilinear look-up a pixel, by one 3x3 matrix a picture.

Shapes: N pictures, C channels, H and W pixels of the input, h and w of the output.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from sightline.data.transforms.chance import Floats
from sightline.preprocess import Size

_CORNERS = np.array([[-1, -1, 1], [-1, 1, 1], [1, -1, 1], [1, 1, 1]], dtype=np.float64)


def resample(
    images: torch.Tensor,
    matrices: Floats,
    size: Size,
    *,
    shrink: Floats,
    mode: str = "bilinear",
    pad_mode: str = "reflection",
    align_corners: bool = True,
) -> torch.Tensor:
    """The pictures seen through their matrices.

    Args:
        images: float `(N, C, H, W)`.
        matrices: float64 `(N, 3, 3)` on the host, from output to input coordinates in -1..1.
        size: (h, w).
        shrink: float64 `(N,)`, by how much each picture is first made smaller by averaging areas; 1 for not at all. Pictures
            that need the same are resampled together, which is all of them unless boxes of their own are cut.
        mode: 'bilinear', 'nearest' or 'bicubic'.
        pad_mode: 'reflection', 'border' or 'zeros'.
        align_corners: Whether -1 and 1 are the centres of the outermost pixels instead of their outer edges.

    Returns:
        float `(N, C, h, w)`.
    """

    def look_up(chosen: torch.Tensor, chosen_matrices: Floats, factor: float) -> torch.Tensor:
        grid = _grid(on_device(chosen_matrices, chosen), size, align_corners)
        return F.grid_sample(area_shrunk(chosen, factor), grid, mode=mode, padding_mode=pad_mode, align_corners=align_corners)

    factors = np.unique(shrink)
    if len(factors) == 1:
        return look_up(images, matrices, float(factors[0]))
    result = images.new_empty((len(images), images.shape[1], *size))
    for factor in factors:
        rows = np.flatnonzero(shrink == factor)
        chosen = torch.from_numpy(rows).to(images.device)
        result[chosen] = look_up(images[chosen], matrices[rows], float(factor))
    return result


def resized(images: torch.Tensor, size: Size) -> torch.Tensor:
    """The pictures at another size, nothing else moved: what `resample` gives for unit matrices, corners aligned.

    Args:
        images: float `(N, C, H, W)`.
        size: (h, w).
    """
    if tuple(images.shape[-2:]) == tuple(size):
        return images
    smaller = area_shrunk(images, shrink_factor((images.shape[-2], images.shape[-1]), size))
    return F.interpolate(smaller, size=size, mode="bilinear", align_corners=True)


def area_shrunk(images: torch.Tensor, factor: float) -> torch.Tensor:
    """The pictures made smaller by averaging areas, if `factor` is above 1."""
    if factor <= 1:
        return images
    return F.interpolate(images, size=shrunk_size((images.shape[-2], images.shape[-1]), factor), mode="area")


def shrunk_size(picture: Size, factor: float) -> Size:
    """(height, width) of what `area_shrunk` gives for a picture (height, width)."""
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


def _grid(matrices: torch.Tensor, size: Size, align_corners: bool) -> torch.Tensor:
    """Input coordinates of every output pixel: float32 `(N, h, w, 2)`.

    Built from one row and one column instead of a product of all pixels with all matrices, which is tenfold faster on a CPU.
    """
    ys, xs = (_places(count, align_corners, matrices) for count in size)

    def component(row: int) -> torch.Tensor:
        along_x = matrices[:, row, 0, None] * xs
        along_y = matrices[:, row, 1, None] * ys + matrices[:, row, 2, None]
        return along_x[:, None, :] + along_y[:, :, None]

    grid = matrices.new_empty((2, len(matrices), *size))
    depth = component(2).reciprocal_()
    torch.mul(component(0), depth, out=grid[0])
    torch.mul(component(1), depth, out=grid[1])
    return grid.permute(1, 2, 3, 0)


def _places(count: int, align_corners: bool, like: torch.Tensor) -> torch.Tensor:
    """Where `count` pixels lie in -1..1."""
    if align_corners and count > 1:
        return torch.linspace(-1, 1, count, device=like.device)
    return (torch.arange(count, device=like.device) * 2 + 1) / count - 1
