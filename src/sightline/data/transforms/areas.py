"""Pictures made smaller: averages of areas, and what bilinear interpolation makes of these, as sums of rows and columns.

Both are linear and treat height and width apart: a pixel of the result is a weighted sum of a few neighbouring rows, and of a
few neighbouring columns of those. So one sum a side does both at once, where PyTorch's own CPU code for areas takes about ten
times as long.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional as F

from sightline.data.transforms.chance import Floats
from sightline.preprocess import Size


class Taps(NamedTuple):
    """Each of m values as a weighted sum of k of n.

    Attributes:
        places: int64 `(m, k)`, which of the n.
        weights: float64 `(m, k)`; 0 where a sum has fewer than k members.
    """

    places: npt.NDArray[np.int64]
    weights: Floats

    @classmethod
    def averaging(cls, n: int, m: int) -> Taps:
        """Averages of the pixels that each of m pixels covers of n, those covered in part counted whole."""
        first, end = np.arange(m) * n // m, -(np.arange(1, m + 1) * -n // m)
        places = first[:, None] + np.arange(np.max(end - first))
        return cls(np.minimum(places, n - 1), (places < end[:, None]) / (end - first)[:, None])

    @classmethod
    def interpolating(cls, n: int, m: int) -> Taps:
        """Linear interpolation between n pixels; the centres of the outermost ones are those of the m."""
        # In float32, as PyTorch computes places.
        step = np.float32(n - 1) / np.float32(m - 1) if m > 1 else np.float32(0)
        at = np.arange(m, dtype=np.float32) * step
        first = at.astype(np.int64)
        share = (at - first).astype(np.float64)
        return cls(np.minimum(first[:, None] + np.arange(2), n - 1), np.stack([1 - share, share], axis=1))

    def then(self, other: Taps) -> Taps:
        """These, followed by sums of what they give."""
        places, shares = self.places[other.places], other.weights[:, :, None] * self.weights[other.places]
        first = places.min(axis=(1, 2))
        offsets = places - first[:, None, None]
        weights = np.zeros((len(first), np.max(offsets) + 1))
        np.add.at(weights, (np.arange(len(first))[:, None, None], offsets), shares)
        return Taps(np.minimum(first[:, None] + np.arange(weights.shape[1]), np.max(self.places)), weights)


class Averaging:
    """Makes pictures of one size smaller by averaging areas; bilinear interpolation may follow."""

    def __init__(self, picture: Size, between: Size, size: Size | None = None) -> None:
        """Works out the sums.

        Args:
            picture: (height, width) of the pictures.
            between: (height, width) of the averages.
            size: (h, w) to which these are interpolated, corners aligned; None leaves them as they are.
        """
        self.between, self.size = between, size
        taps = [Taps.averaging(n, m) for n, m in zip(picture, between, strict=True)]
        if size is not None:
            sides = zip(taps, between, size, strict=True)
            taps = [averages.then(Taps.interpolating(n, m)) for averages, n, m in sides]
        self._down, self._across = (
            (torch.from_numpy(side.places), torch.from_numpy(side.weights.astype(np.float32))) for side in taps
        )

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        """uint8 or float `(N, C, H, W)` to float `(N, C, h, w)`."""
        if images.device.type != "cpu" or images.dtype not in (torch.uint8, torch.float32):
            averages = F.interpolate(as_float(images), size=self.between, mode="area")
            return averages if self.size is None else bilinear(averages, self.size)
        count, channels, height, width = images.shape
        rows = _summed(as_float(images).permute(0, 2, 3, 1).reshape(count, height, -1), *self._down)
        # What are columns of the pictures lies as rows here, because whole rows are quick to add.
        columns = rows.view(count, -1, width, channels).permute(0, 2, 3, 1).reshape(count, width, -1)
        summed = _summed(columns, *self._across)
        return summed.transpose(1, 2).reshape(count, channels, -1, summed.shape[1])


def bilinear(images: torch.Tensor, size: Size) -> torch.Tensor:
    """The pictures, float `(N, C, H, W)`, at another size by bilinear interpolation, corners aligned."""
    return F.interpolate(images, size=size, mode="bilinear", align_corners=True)


def as_float(images: torch.Tensor) -> torch.Tensor:
    """The pictures in floating point, in the memory format that they have."""
    return images if images.is_floating_point() else images.float()


def _summed(rows: torch.Tensor, places: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Sums of rows, float32 `(N, n, length)` to `(N, m, length)`, by the `places` and `weights` `(m, k)` of `Taps`."""
    count, n, length = rows.shape
    if count > 1:
        starts = n * torch.arange(count)[:, None, None]
        places, weights = (places + starts).flatten(0, 1), weights.repeat(count, 1)
    summed = F.embedding_bag(places, rows.reshape(count * n, length), mode="sum", per_sample_weights=weights)
    return summed.view(count, -1, length)
