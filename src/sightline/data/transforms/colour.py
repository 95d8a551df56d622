"""What users name of the values of an augmented batch: light and saturation, which take one pass, hue, and normalising."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch

from sightline.data.transforms.by_hand import OfBatches
from sightline.data.transforms.chance import BatchDraw, FixedDraw, Floats, named
from sightline.data.transforms.recolour import DARKEST, LogitChange, Numbers, denormalized, relit, statistics, turned
from sightline.errors import OptionError

_EACH_CHANNEL, _WHOLE = (0, 2, 3), (0, 1, 2, 3)


@dataclass(frozen=True)
class Colour(OfBatches, ABC):
    """A transform that changes values where they are, given in `batch_tfms`."""


@dataclass(frozen=True)
class Lighting(Colour):
    """A change of logits; those that follow one another are done together.

    Attributes:
        max_lighting: Largest change, 0 to below 1.
        p: Probability of a change.
        draw: Values to use instead of drawn ones: one, a list, or a function from the batch to one for each picture.
        batch: Whether one draw serves the whole batch.
    """

    max_lighting: float = 0.2
    p: float = 0.75
    draw: FixedDraw = None
    batch: bool = False

    def __post_init__(self) -> None:
        _check(self, "max_lighting", self.max_lighting, "all black or all white")

    @abstractmethod
    def after(self, change: LogitChange, draw: BatchDraw) -> LogitChange:
        """`change` followed by this one."""


@dataclass(frozen=True)
class Brightness(Lighting):
    """Moves mid-grey to a value between 0.5 (1 - `max_lighting`) and 0.5 (1 + `max_lighting`)."""

    def after(self, change: LogitChange, draw: BatchDraw) -> LogitChange:
        low, high = 0.5 * (1 - self.max_lighting), 0.5 * (1 + self.max_lighting)
        grey = draw.values("grey", low, high, p=self.p, neutral=0.5, fixed=self.draw, batch=self.batch)
        grey = grey.clip(DARKEST, 1 - DARKEST)
        return change.plus(np.log(grey / (1 - grey)))


@dataclass(frozen=True)
class Contrast(Lighting):
    """Multiplies the logits by a factor between 1 - `max_lighting` and its inverse, evenly drawn on a logarithmic scale."""

    def after(self, change: LogitChange, draw: BatchDraw) -> LogitChange:
        return change.times(_factor(draw, self.max_lighting, self))


@dataclass(frozen=True)
class Saturation(Lighting):
    """Moves the logits away from their grey, or towards it, by a factor drawn as that of `Contrast`.

    Grey pictures do not change; pictures of another number of channels than 1 and 3 are refused.
    """

    def after(self, change: LogitChange, draw: BatchDraw) -> LogitChange:
        return change.mixed_with_grey(_factor(draw, self.max_lighting, self))


@dataclass(frozen=True)
class Hue(Colour):
    """Turns the hue by a share of the colour circle; value and saturation (HSV) stay.

    The share is drawn as fastai draws it: between 1 - `max_hue` and its inverse, of which the whole turn counts for nothing.
    Grey pictures do not change; pictures of another number of channels than 1 and 3 are refused.

    Attributes:
        max_hue: Largest turn, 0 to below 1.
        p: Probability of a turn.
        draw: Values to use instead of drawn ones: one, a list, or a function from the batch to one for each picture.
        batch: Whether one draw serves the whole batch.
    """

    max_hue: float = 0.1
    p: float = 0.75
    draw: FixedDraw = None
    batch: bool = False

    def __post_init__(self) -> None:
        _check(self, "max_hue", self.max_hue, "any hue at all")

    def turns(self, draw: BatchDraw) -> Floats:
        """Shares of the colour circle, float64 `(N,)`."""
        return _factor(draw, self.max_hue, self, neutral=0.0, name="turn")


@dataclass(frozen=True)
class Normalize(OfBatches):
    """Subtracts a mean and divides by a standard deviation, channel by channel.

    Attributes:
        mean: One value a channel, in 0..1; None to have them measured on a batch.
        std: One value a channel, in 0..1; None to have them measured on a batch.
        axes: What is measured over: (0, 2, 3) gives one value a channel, (0, 1, 2, 3) the same for all channels.
    """

    by_hand: ClassVar[int | None] = 0

    mean: Sequence[float] | None = None
    std: Sequence[float] | None = None
    axes: Sequence[int] = _EACH_CHANNEL

    def __post_init__(self) -> None:
        if (self.mean is None) != (self.std is None):
            raise OptionError("Normalize takes mean and std together, or neither to have them measured on a batch.")
        for name, given in (("mean", self.mean), ("std", self.std)):
            if given is not None:
                object.__setattr__(self, name, tuple(torch.as_tensor(given, dtype=torch.float64).reshape(-1).tolist()))
        if self.mean is not None and self.std is not None and (len(self.mean) != len(self.std) or min(self.std) <= 0):
            raise OptionError(f"Normalize has mean={self.mean} and std={self.std}: expected as many of both, std above 0.")
        object.__setattr__(self, "axes", tuple(sorted(self.axes)))
        if self.axes not in (_EACH_CHANNEL, _WHOLE):
            raise OptionError(f"Normalize has axes={self.axes}: expected {_EACH_CHANNEL} or {_WHOLE}.")

    @classmethod
    def from_stats(
        cls, mean: Sequence[float], std: Sequence[float], dim: int = 1, ndim: int = 4, cuda: bool = True
    ) -> Normalize:
        """Normalizes by known statistics, such as `Normalize.from_stats(*imagenet_stats)`.

        Args:
            mean: One value a channel, in 0..1.
            std: One value a channel, in 0..1.
            dim: Where channels lie in a batch; 1 alone.
            ndim: Dimensions of a batch; 4 alone.
            cuda: Has no meaning: statistics follow the batch to its device.

        Raises:
            OptionError: Another `dim` or `ndim`, or statistics that make no sense.
        """
        if (dim, ndim) != (1, 4):
            raise OptionError(f"dim={dim} and ndim={ndim}: batches of pictures are (N, C, h, w), dim=1 and ndim=4.")
        return cls(mean, std)

    def decode(self, x: torch.Tensor) -> torch.Tensor:
        """Pictures, float `([N,] C, H, W)`, as they were before normalising.

        Raises:
            OptionError: Mean and std are not known yet.
        """
        if self.mean is None or self.std is None:
            raise OptionError("Normalize() has no statistics yet: give Normalize.from_stats(mean, std).")
        return denormalized(x if x.ndim == 4 else x.unsqueeze(0), self.mean, self.std).reshape(x.shape)

    decodes = decode

    def statistics(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and std where the pictures, `(N, C, h, w)`, lie, in a shape that is quick to apply to them.

        Raises:
            OptionError: Mean and std are not known yet, or are of another number of channels.
        """
        if self.mean is None or self.std is None:
            raise OptionError(
                "Normalize() has no statistics yet: measure them on a batch, or give Normalize.from_stats(mean, std)."
            )
        return statistics(self.mean, self.std, images)

    @property
    def is_measured(self) -> bool:
        """Whether mean and std are known."""
        return self.mean is not None

    def measured(self, images: torch.Tensor) -> Normalize:
        """With the mean and standard deviation of a batch; `self` where they are known already.

        Args:
            images: float `(N, C, h, w)` in 0..1.
        """
        if self.mean is not None:
            return self
        channels = images.shape[1]
        values = images.transpose(0, 1).reshape(channels if self.axes == _EACH_CHANNEL else 1, -1).double()
        mean, std = values.mean(1).expand(channels), (values.std(1) + 1e-7).expand(channels)
        return Normalize(mean.tolist(), std.tolist(), self.axes)


Change = Sequence[Numbers] | Floats
"""What is drawn for a batch: changes of the logits, or turns of the hue `(N,)` in shares of the circle."""


def changes(colours: Sequence[Colour], draw: BatchDraw) -> list[Change]:
    """What the transforms do to a batch, in the order given; light and saturation that follow one another are one change.

    Args:
        colours: What to do.
        draw: Where chance comes from.
    """
    found: list[Change] = []
    for is_lighting, group in groupby(named(colours), key=lambda entry: isinstance(entry[1], Lighting)):
        if is_lighting:
            change = LogitChange.none(len(draw.rows))
            for scope, colour in group:
                change = colour.after(change, draw.scoped(scope)) if isinstance(colour, Lighting) else change
            found += [] if change.is_none else [change.each()]
        else:
            found += [colour.turns(draw.scoped(scope)) for scope, colour in group if isinstance(colour, Hue)]
    return found


def coloured(images: torch.Tensor, drawn: Sequence[Change], rows: slice = slice(None)) -> torch.Tensor:
    """The pictures after the changes that were drawn for a batch, in place.

    Args:
        images: float `(n, C, h, w)` in 0..1.
        drawn: What `changes` gave for the batch.
        rows: Which pictures of the batch these are.

    Raises:
        OptionError: Saturation or hue of pictures that have neither 1 nor 3 channels.
    """
    for change in drawn:
        images = turned(images, change[rows]) if isinstance(change, np.ndarray) else relit(images, change[rows])
    return images


def _factor(draw: BatchDraw, reach: float, of: Any, *, neutral: float = 1.0, name: str = "factor") -> Floats:
    """A factor between 1 - `reach` and its inverse, evenly drawn on a logarithmic scale, or `neutral`: float64 `(N,)`."""
    if of.draw is not None:
        return draw.values(name, 1, 1, p=of.p, neutral=neutral, fixed=of.draw, batch=of.batch)
    limit = -math.log(1 - reach)
    # NaN marks pictures that are left alone: 0 is a logarithm like any other.
    drawn = draw.values(name, -limit, limit, p=of.p, neutral=math.nan, batch=of.batch)
    return np.where(np.isnan(drawn), neutral, np.exp(drawn))


def _check(transform: Any, name: str, reach: float, beyond: str) -> None:
    if not 0 <= reach < 1:
        raise OptionError(f"{name}={reach} is not between 0 (no change) and 1 ({beyond}).")
    if not 0 <= transform.p <= 1:
        raise OptionError(f"{type(transform).__name__} has p={transform.p}, which is not a probability between 0 and 1.")
