"""The values of a batch changed where they are: light and saturation in one pass, hue in another, normalising.

Light is changed in logit space, where values stay between black and white, with l = log(v / (1 - v)). Brightness adds to the
logits, contrast multiplies them, saturation mixes them with their own grey. Any row of these is
l' = scale l + luma grey(l) + shift with three numbers a picture, so a batch is passed over once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch

from sightline.data.transforms.chance import Floats
from sightline.data.transforms.resample import on_device
from sightline.errors import OptionError

DARKEST = 1e-7
"""Black and white are held this far from 0 and 1, where a logit is infinite."""
GREY = (0.2989, 0.5870, 0.1140)
"""Shares of red, green and blue in grey (ITU-R 601-2)."""


@dataclass(frozen=True)
class LogitChange:
    """logits -> scale logits + luma grey(logits) + shift.

    Attributes:
        scale: float64 `(N,)`.
        luma: float64 `(N,)`.
        shift: float64 `(N,)`.
    """

    scale: Floats
    luma: Floats
    shift: Floats

    @classmethod
    def none(cls, count: int) -> Self:
        """Changes nothing, for a number of pictures."""
        return cls(np.ones(count), np.zeros(count), np.zeros(count))

    @property
    def is_none(self) -> bool:
        """Whether nothing changes."""
        return bool((self.scale == 1).all() and (self.luma == 0).all() and (self.shift == 0).all())

    def times(self, factor: Floats) -> LogitChange:
        """Followed by a multiplication."""
        return LogitChange(self.scale * factor, self.luma * factor, self.shift * factor)

    def plus(self, offset: Floats) -> LogitChange:
        """Followed by an addition."""
        return LogitChange(self.scale, self.luma, self.shift + offset)

    def mixed_with_grey(self, share: Floats) -> LogitChange:
        """Followed by a mixture of `share` of the logits and 1 - `share` of their grey."""
        kept, white = self.times(share), sum(GREY)
        luma = kept.luma + (1 - share) * (self.scale + white * self.luma)
        return LogitChange(kept.scale, luma, kept.shift + (1 - share) * white * self.shift)


def relit(images: torch.Tensor, change: LogitChange) -> torch.Tensor:
    """The pictures, float `(N, C, h, w)` in 0..1, with their logits changed, in place."""
    if change.is_none:
        return images
    scale_N, luma_N, shift_N = (
        on_device(values[:, None, None, None], images) for values in (change.scale, change.luma, change.shift)
    )
    logits = images.logit_(eps=DARKEST)
    if (change.luma == 0).all():
        return logits.mul_(scale_N).add_(shift_N).sigmoid_()
    grey = _grey(logits).mul_(luma_N).add_(shift_N)
    return logits.mul_(scale_N).add_(grey).sigmoid_()


def turned(images: torch.Tensor, turns: Floats) -> torch.Tensor:
    """The pictures, float `(N, C, h, w)` in 0..1, with their hue turned by shares of the circle, in place."""
    rows = np.flatnonzero(turns % 1)
    _check_channels(images, "Hue")
    if images.shape[1] == 1 or not len(rows):
        return images
    chosen = torch.from_numpy(rows).to(images.device)
    images[chosen] = _hue_turned(images[chosen], on_device(turns[rows, None, None, None], images))
    return images


def normalized(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """The pictures, float `(N, C, h, w)` in 0..1, less each channel's mean, over its deviation; in place.

    Raises:
        OptionError: There are not as many values as channels.
    """
    if len(mean) != images.shape[1]:
        raise OptionError(
            f"Normalize has {len(mean)} values of mean and std, but the pictures have {images.shape[1]} channels."
        )
    mean_C, std_C = (on_device(np.reshape(values, (1, -1, 1, 1)), images) for values in (mean, std))
    return images.sub_(mean_C).div_(std_C)


def denormalized(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """What `normalized` was given: float `(N, C, h, w)`, a tensor of its own."""
    mean_C, std_C = (on_device(np.reshape(values, (1, -1, 1, 1)), images) for values in (mean, std))
    return images * std_C + mean_C


def _hue_turned(images: torch.Tensor, turns: torch.Tensor) -> torch.Tensor:
    """Float `(N, 3, h, w)`; `turns` `(N, 1, 1, 1)`.

    With the hue in sixths of the circle, a channel is value - chroma clip(min(k, 4 - k), 0, 1), where k = hue + n modulo 6 with
    n = 5, 3, 1 for red, green, blue: the closed form of the usual conversion from HSV.
    """
    red, green, blue = images.split(1, dim=1)
    value, darkest = images.amax(1, keepdim=True), images.amin(1, keepdim=True)
    chroma = value - darkest
    divisor = torch.where(chroma == 0, 1, chroma)
    hue = torch.where(value == green, (blue - red) / divisor + 2, (red - green) / divisor + 4)
    hue = torch.where(value == red, (green - blue) / divisor, hue) + 6 * turns
    places = torch.tensor([5.0, 3.0, 1.0], device=images.device).view(1, 3, 1, 1)
    k = (hue + places).remainder_(6)
    return value - chroma * torch.minimum(k, 4 - k).clamp_(0, 1)


def _grey(images: torch.Tensor) -> torch.Tensor:
    """`(N, 1, h, w)`, the weighted sum of the channels; one channel alone is its own grey."""
    _check_channels(images, "Saturation")
    if images.shape[1] == 1:
        return images.clone()
    red, green, blue = GREY
    return images[:, :1].mul(red).add_(images[:, 1:2], alpha=green).add_(images[:, 2:], alpha=blue)


def _check_channels(images: torch.Tensor, name: str) -> None:
    if images.shape[1] not in (1, 3):
        raise OptionError(f"{name} is for colour (3 channels) or grey (1), and these pictures have {images.shape[1]} channels.")
