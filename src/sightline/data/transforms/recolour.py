"""The values of a batch changed where they are: light and saturation in one pass, hue in another, normalising.

Light is changed in logit space, where values stay between black and white, with l = log(v / (1 - v)). Brightness adds to the
logits, contrast multiplies them, saturation mixes them with their own grey. Any row of these is
l' = scale l + luma grey(l) + shift with three numbers a picture, so a batch is passed over once.

On a CPU large pictures that draw less than others cost less.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple, Self

import numpy as np
import torch

from sightline.data.transforms.chance import Floats
from sightline.data.transforms.resample import on_device, rows_on
from sightline.errors import OptionError

DARKEST = 1e-7
"""Black and white are held this far from 0 and 1, where a logit is infinite."""
GREY = (0.2989, 0.5870, 0.1140)
"""Shares of red, green and blue in grey (ITU-R 601-2)."""
_SMALL = 2**13
"""Pictures of fewer pixels are all changed alike: telling them apart would take longer than it saves."""


class Numbers(NamedTuple):
    """logits -> scale logits + luma grey(logits) + shift, of one picture."""

    scale: float
    luma: float
    shift: float

    @property
    def kind(self) -> int:
        """What it takes: 0 nothing, 1 odds, 2 logits, 3 the logits of all channels."""
        return 3 if self.luma != 0 else 2 if self.scale != 1 else 1 if self.shift != 0 else 0


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

    def each(self) -> list[Numbers]:
        """The change of each picture."""
        return [Numbers(*values) for values in np.stack([self.scale, self.luma, self.shift], axis=1).tolist()]

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


def relit(images: torch.Tensor, changes: Sequence[Numbers]) -> torch.Tensor:
    """The pictures, float `(N, C, h, w)` in 0..1, with their logits changed, in place."""
    if images.device.type != "cpu" or images.shape[-2] * images.shape[-1] < _SMALL:
        return _relit(images, changes, max(2, *(change.kind for change in changes)))
    start = 0
    for kind, run in groupby(changes, key=lambda change: change.kind):
        alike = list(run)
        _relit(images[start : start + len(alike)], alike, kind)
        start += len(alike)
    return images


def turned(images: torch.Tensor, turns: Floats) -> torch.Tensor:
    """The pictures, float `(N, C, h, w)` in 0..1, with their hue turned by shares of the circle, in place."""
    turning = turns % 1 != 0
    _check_channels(images, "Hue")
    if images.shape[1] == 1 or not turning.any():
        return images
    chosen = rows_on(turning, images)
    turned_by = on_device(turns[turning, None, None, None], images)
    return images.index_copy_(0, chosen, _hue_turned(images.index_select(0, chosen), turned_by))


def normalized(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """The pictures, float `(N, C, h, w)` in 0..1, less each channel's mean, over its deviation; in place.

    Raises:
        OptionError: There are not as many values as channels.
    """
    mean_C, std_C = statistics(mean, std, images)
    return images.sub_(mean_C).div_(std_C)


def statistics(mean: Sequence[float], std: Sequence[float], images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and deviation of each channel where the pictures, `(N, C, h, w)`, lie: float32 `(1, C, 1, 1)` or `(1, C, 1, w)`.

    Raises:
        OptionError: There are not as many values as channels.
    """
    if len(mean) != images.shape[1]:
        raise OptionError(
            f"Normalize has {len(mean)} values of mean and std, but the pictures have {images.shape[1]} channels."
        )
    # Where pictures lie pixel by pixel, whole rows of pixels are passed over tenfold faster than one pixel after the other.
    width = 1 if images.is_contiguous() else images.shape[-1]
    of_row = (np.broadcast_to(np.reshape(values, (1, -1, 1, 1)), (1, len(mean), 1, width)) for values in (mean, std))
    mean_C, std_C = (on_device(values, images).contiguous(memory_format=torch.channels_last) for values in of_row)
    return mean_C, std_C


def denormalized(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """What `normalized` was given: float `(N, C, h, w)`, a tensor of its own."""
    mean_C, std_C = (on_device(np.reshape(values, (1, -1, 1, 1)), images) for values in (mean, std))
    return images * std_C + mean_C


def _relit(images: torch.Tensor, changes: Sequence[Numbers], kind: int) -> torch.Tensor:
    """Pictures that take changes of one kind, or of several up to it, in place."""
    images.clamp_(DARKEST, 1 - DARKEST)
    if kind == 0:
        return images
    if kind == 1:
        # The odds v / (1 - v) are multiplied, which takes no logarithm.
        factor = _spread([math.exp(-change.shift) for change in changes], images)
        return images.div_(images.mul(1 - factor).add_(factor))
    scale, luma, shift = (_spread(values, images) for values in zip(*changes, strict=True))
    logits = _logits(images)
    if kind == 3:
        shift = _grey(logits).mul_(luma).add_(shift)
    return logits.mul_(scale).add_(shift).sigmoid_()


def _spread(values: Sequence[float], images: torch.Tensor) -> float | torch.Tensor:
    """One value a picture as it is multiplied with them: `(N, 1, 1, 1)`, or a plain number for one picture."""
    return values[0] if len(values) == 1 else on_device(np.reshape(values, (-1, 1, 1, 1)), images)


def _logits(images: torch.Tensor) -> torch.Tensor:
    """The logits of pictures, float between 0 and 1, in place."""
    if images.device.type != "cpu" or images.dtype != torch.float32 or images.requires_grad:
        return images.logit_()
    values = images.div_(1 - images).numpy()
    np.log(values, out=values)  # NumPy's logarithm takes a third of the time of PyTorch's
    return images


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
    places = torch.arange(5, 0, -2, device=images.device, dtype=images.dtype).view(1, 3, 1, 1)
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
