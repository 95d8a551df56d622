"""RandomErasing: rectangles of noise in normalised pictures, drawn for each picture.

Source: Zhong et al., "Random erasing data augmentation" (2017), with the ranges of fastai.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from sightline import draws
from sightline.data.transforms.by_hand import OfBatches
from sightline.data.transforms.chance import BatchDraw
from sightline.errors import OptionError
from sightline.preprocess import Size


@dataclass(frozen=True)
class RandomErasing(OfBatches):
    """With probability `p` fills rectangles of a picture with noise of mean 0 and deviation 1, in training only.

    The rectangle of a picture holds a share of its area between `sl` and `sh`, at an aspect (height over width) between
    `min_aspect` and its inverse, evenly drawn on a logarithmic scale. What would be higher or wider than the picture is cut.
    fastai erases the same rectangle in all pictures of a batch; here each picture has its own.

    Attributes:
        p: Probability that a picture is changed.
        sl: Smallest share of the area.
        sh: Largest share of the area.
        min_aspect: Smallest aspect, above 0 and at most 1.
        max_count: Most rectangles in a picture; each of n is drawn for an nth of the area.
    """

    order: ClassVar[int] = 100

    p: float = 0.5
    sl: float = 0.0
    sh: float = 0.3
    min_aspect: float = 0.3
    max_count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.p <= 1:
            raise OptionError(f"RandomErasing has p={self.p}, which is not a probability between 0 and 1.")
        if not 0 <= self.sl <= self.sh <= 1:
            raise OptionError(f"sl={self.sl} and sh={self.sh} are shares of the area: expected 0 <= sl <= sh <= 1.")
        if not 0 < self.min_aspect <= 1:
            raise OptionError(f"min_aspect={self.min_aspect} is not above 0 and at most 1.")
        if self.max_count < 1:
            raise OptionError(f"max_count={self.max_count} rectangles: expected at least 1.")

    def erased(self, images: torch.Tensor, draw: BatchDraw) -> torch.Tensor:
        """The pictures, float `(N, C, h, w)`, erased in place.

        The noise follows from seed, epoch and row, on each kind of device in its own way.
        """
        boxes = self.boxes(draw, (images.shape[-2], images.shape[-1]))
        noise = torch.Generator(images.device)
        seeds = (draw.uniform("noise") * 2**53).astype(np.int64).tolist()
        for row in np.flatnonzero(boxes.any(axis=(1, 2))).tolist():
            noise.manual_seed(seeds[row])
            for top, left, bottom, right in boxes[row].tolist():
                if bottom > top and right > left:
                    box = images[row, :, top:bottom, left:right]
                    # Numbers drawn in one piece take a fraction of the time, and are the same in every memory format.
                    box.copy_(torch.randn(box.shape, generator=noise, device=images.device, dtype=images.dtype))
        return images

    def boxes(self, draw: BatchDraw, picture: Size) -> npt.NDArray[np.int64]:
        """int64 `(N, max_count, 4)` of top, left, bottom, right in pixels; boxes that are not drawn are empty, all 0.

        Args:
            draw: Where chance comes from.
            picture: (height, width) in pixels.
        """
        shape = (self.max_count,)
        count = 1 + np.floor(draw.uniform("count") * self.max_count)
        count = np.where(draw.uniform("apply") < self.p, count, 0)[:, None]
        drawn = np.arange(self.max_count) < count
        share = draws.between(draw.uniform("area", shape=shape), self.sl, self.sh) / np.maximum(count, 1)
        area = share * picture[0] * picture[1]
        reach = -math.log(self.min_aspect)
        aspect = np.exp(draws.between(draw.uniform("aspect", shape=shape), -reach, reach))
        spans = []
        for name, extent, side in (("top", area * aspect, picture[0]), ("left", area / aspect, picture[1])):
            length = np.rint(np.sqrt(extent))
            start = np.floor(draw.uniform(name, shape=shape) * (np.maximum(side - length, 0) + 1))
            spans.append((start * drawn, np.minimum(start + length, side) * drawn))
        (top, bottom), (left, right) = spans
        return np.stack([top, left, bottom, right], axis=-1).astype(np.int64)
