"""What happens to the values of an augmented batch: brightness and contrast in one pass, and normalising.

Light is changed in logit space, where values stay between black and white: l' = scale l + shift, with l = log(v / (1 - v)).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from sightline.data.chance import BatchDraw, FixedDraw, Floats, named
from sightline.data.resample import on_device
from sightline.errors import OptionError

_DARKEST = 1e-7
"""Black and white are held this far from 0 and 1, where a logit is infinite."""


@dataclass(frozen=True)
class Colour(ABC):
    """A transform that changes values where they are, given in `batch_tfms`.

    Attributes:
        max_lighting: Largest change, 0 to below 1.
        p: Probability of a change.
        draw: Values to use instead of drawn ones.
        batch: Whether one draw serves the whole batch.
    """

    max_lighting: float = 0.2
    p: float = 0.75
    draw: FixedDraw = None
    batch: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_lighting < 1:
            raise OptionError(f"max_lighting={self.max_lighting} is not between 0 (no change) and 1 (all black or all white).")
        if not 0 <= self.p <= 1:
            raise OptionError(f"{type(self).__name__} has p={self.p}, which is not a probability between 0 and 1.")

    @abstractmethod
    def logit_change(self, draw: BatchDraw) -> tuple[Floats, Floats]:
        """Scale and shift of the logits, float64 `(N,)` each."""


@dataclass(frozen=True)
class Brightness(Colour):
    """Moves mid-grey to a value between 0.5 (1 - `max_lighting`) and 0.5 (1 + `max_lighting`)."""

    def logit_change(self, draw: BatchDraw) -> tuple[Floats, Floats]:
        """Scale and shift of the logits."""
        low, high = 0.5 * (1 - self.max_lighting), 0.5 * (1 + self.max_lighting)
        grey = draw.values("grey", low, high, p=self.p, neutral=0.5, fixed=self.draw, batch=self.batch)
        grey = grey.clip(_DARKEST, 1 - _DARKEST)
        return np.ones_like(grey), np.log(grey / (1 - grey))


@dataclass(frozen=True)
class Contrast(Colour):
    """Multiplies the logits by a factor between 1 - `max_lighting` and its inverse, evenly drawn on a logarithmic scale."""

    def logit_change(self, draw: BatchDraw) -> tuple[Floats, Floats]:
        """Scale and shift of the logits."""
        reach = -math.log(1 - self.max_lighting)
        if self.draw is None:
            factor = np.exp(draw.values("factor", -reach, reach, p=self.p, batch=self.batch))
        else:
            factor = draw.values("factor", 1, 1, p=self.p, neutral=1, fixed=self.draw, batch=self.batch)
        return factor, np.zeros_like(factor)


@dataclass(frozen=True)
class Normalize:
    """Subtracts a mean and divides by a standard deviation, channel by channel.

    Attributes:
        mean: One value a channel, in 0..1; None to have them measured on a batch.
        std: One value a channel, in 0..1; None to have them measured on a batch.
    """

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise OptionError("Normalize takes mean and std together, or neither to have them measured on a batch.")
        for name, given in (("mean", self.mean), ("std", self.std)):
            if given is not None:
                object.__setattr__(self, name, tuple(float(value) for value in np.asarray(given, dtype=np.float64).reshape(-1)))
        if self.mean is not None and self.std is not None and (len(self.mean) != len(self.std) or min(self.std) <= 0):
            raise OptionError(f"Normalize has mean={self.mean} and std={self.std}: expected as many of both, std above 0.")

    @classmethod
    def from_stats(cls, mean: Sequence[float], std: Sequence[float]) -> Normalize:
        """Normalizes by known statistics, such as `Normalize.from_stats(*IMAGENET_STATS)`."""
        return cls(mean, std)

    @property
    def is_measured(self) -> bool:
        """Whether mean and std are known."""
        return self.mean is not None

    def measured(self, batch: torch.Tensor) -> Normalize:
        """With the mean and standard deviation of a batch; `self` where they are known already.

        Args:
            batch: uint8 `(N, H, W, C)`.
        """
        if self.mean is not None:
            return self
        values = batch.reshape(-1, batch.shape[-1]).double() / 255
        return Normalize(values.mean(0).tolist(), (values.std(0) + 1e-7).tolist())


def logit_changes(colours: Sequence[Colour], draw: BatchDraw) -> tuple[Floats, Floats]:
    """Scale and shift of the logits by all transforms together, in the order given: float64 `(N,)` each."""
    scale, shift = np.ones(len(draw.rows)), np.zeros(len(draw.rows))
    for scope, colour in named(colours):
        factor, offset = colour.logit_change(draw.scoped(scope))
        scale, shift = scale * factor, shift * factor + offset
    return scale, shift


def relit(images: torch.Tensor, scale: Floats, shift: Floats) -> torch.Tensor:
    """The pictures with their logits changed, in place.

    Args:
        images: float `(N, C, h, w)` in 0..1.
        scale: float64 `(N,)`.
        shift: float64 `(N,)`.
    """
    if (scale == 1).all() and (shift == 0).all():
        return images
    scale_N, shift_N = (on_device(values[:, None, None, None], images) for values in (scale, shift))
    return images.logit_(eps=_DARKEST).mul_(scale_N).add_(shift_N).sigmoid_()


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
