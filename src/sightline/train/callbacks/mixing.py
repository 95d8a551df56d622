"""Mixing: training pictures that are blended or patched together from two, and learn the labels of both.

What is drawn follows from seed, epoch and row alone, so a run mixes the same pictures in the same way whenever it is repeated.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline import draws
from sightline.errors import OptionError, TrainingError
from sightline.train.events import Callback

Numbers: TypeAlias = npt.NDArray[np.float64]

GRID = 4096
"""At how many points a distribution function is tabulated."""


@dataclass(frozen=True)
class Chance:
    """The random numbers of one batch.

    Attributes:
        seed: Of the run.
        epoch: Passes over the data before this one.
        rows: int64 `(N,)`, the rows of the batch.
    """

    seed: int
    epoch: int
    rows: npt.NDArray[np.int64]

    def uniform(self, what: str) -> Numbers:
        """Float64 `(N,)` in [0, 1), one a row; other names of what is drawn give other numbers."""
        return draws.uniform(self.seed, self.epoch, self.rows, f"mix.{what}")


class MixHandler(Callback, ABC):
    """Base of callbacks that mix every training picture with another one of its batch.

    The step then descends `objective.mixed_mean`: the losses of both labels in the shares of both pictures, for several labels
    and numbers as well. Validation and metrics never see a mixed picture.

    Attributes:
        alpha: Both parameters of the Beta distribution that shares come from.
    """

    run_valid = False
    needs_pictures = True

    def __init__(self, alpha: float = 0.5) -> None:
        """Take the parameter of the Beta distribution.

        Raises:
            OptionError: It is not above 0.
        """
        self.alpha = alpha
        self._inverse = inverse_beta(alpha, type(self).__name__)

    @property
    def lam(self) -> Tensor | None:
        """The share `(N,)` that pictures of the present batch have of their own."""
        return self.learn.lam

    @property
    def yb1(self) -> tuple[Tensor, ...]:
        """The labels that were mixed in, a tuple like `yb`."""
        return self.learn.yb1

    @abstractmethod
    def shares(self, chance: Chance, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """How a batch is mixed.

        Returns:
            The share of the picture itself at every pixel, float32 `(N, 1, H, W)` or `(N, 1, 1, 1)`, and as a whole, `(N,)`.
        """

    def before_batch(self) -> None:
        """Mix the pictures.

        Raises:
            TrainingError: The batch holds no labelled pictures, or another callback mixed them already.
        """
        learn = self.learn
        if learn.lam is not None:
            raise TrainingError(f"{self.name}: the batch is mixed already. Use MixUpCutMix to have both, or take one away.")
        if learn.x.ndim != 4 or not learn.yb:
            raise TrainingError(
                f"{self.name} mixes labelled pictures (N, C, H, W), not inputs of shape {tuple(learn.x.shape)}."
            )
        chance, device = self._chance(), learn.x.device
        partner = torch.from_numpy(np.argsort(chance.uniform("partner"), kind="stable")).to(device)
        height, width = learn.x.shape[-2:]
        pixels, learn.lam = self.shares(chance, height, width, device)
        learn.yb1 = tuple(y[partner] for y in learn.yb)
        learn.xb = (torch.lerp(learn.x[partner], learn.x, pixels.to(learn.x.dtype)), *learn.xb[1:])

    def _chance(self) -> Chance:
        n, rows = len(self.x), np.asarray(self.learn.batch.index, dtype=np.int64)
        # A callback may have changed how many pictures there are: then they are known by their places.
        rows = rows if len(rows) == n else self.iter * n + np.arange(n, dtype=np.int64)
        options: Any = getattr(self.dl, "options", None)
        return Chance(0 if options is None else options.seed, self.dl.epoch, rows)


class MixUp(MixHandler):
    """Blends every training picture with another one (Zhang et al., "mixup", 2018); its own share is always the larger one."""

    def __init__(self, alpha: float = 0.4) -> None:
        """Take the parameter of the Beta distribution of shares."""
        super().__init__(alpha)

    def shares(self, chance: Chance, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        lam = self._inverse(chance.uniform("blend"))
        whole = _sent(np.maximum(lam, 1 - lam), device)
        return whole.reshape(-1, 1, 1, 1), whole


class CutMix(MixHandler):
    """Puts a box of another picture into every training picture (Yun et al., "CutMix", 2019); each has a box of its own."""

    def __init__(self, alpha: float = 1.0) -> None:
        """Take the parameter of the Beta distribution of the share outside the box, before the border cuts boxes off."""
        super().__init__(alpha)

    def shares(self, chance: Chance, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        side = np.sqrt(1 - self._inverse(chance.uniform("box.area")))
        top, bottom = _span(side, chance.uniform("box.y"), height)
        left, right = _span(side, chance.uniform("box.x"), width)
        lam = 1 - (bottom - top) * (right - left) / (height * width)
        edges = _sent(np.stack([top, bottom, left, right]), device)[:, :, None]
        y, x = torch.arange(height, device=device), torch.arange(width, device=device)
        rows, columns = (y >= edges[0]) & (y < edges[1]), (x >= edges[2]) & (x < edges[3])
        inside = rows[:, :, None] & columns[:, None, :]
        return (~inside[:, None]).float(), _sent(lam, device)


class MixUpCutMix(MixHandler):
    """Mixes every training picture either as `MixUp` or as `CutMix` does, chosen by lot."""

    def __init__(
        self, mixup_alpha: float = 0.4, cutmix_alpha: float = 1.0, cutmix_prob: float = 0.5, per_batch: bool = False
    ) -> None:
        """Take what both need.

        Args:
            mixup_alpha: See `MixUp`.
            cutmix_alpha: See `CutMix`.
            cutmix_prob: How probable `CutMix` is.
            per_batch: Draw lots once for all pictures of a batch, rather than for each.

        Raises:
            OptionError: A parameter is outside what it may be.
        """
        super().__init__(mixup_alpha)
        if not 0 <= cutmix_prob <= 1:
            raise OptionError(f"MixUpCutMix(cutmix_prob={cutmix_prob!r}): expected a probability from 0 to 1.")
        self.mixup, self.cutmix = MixUp(mixup_alpha), CutMix(cutmix_alpha)
        self.cutmix_prob, self.per_batch = cutmix_prob, per_batch

    def shares(self, chance: Chance, height: int, width: int, device: torch.device) -> tuple[Tensor, Tensor]:
        lot = chance.uniform("kind")
        cut = _sent((lot[:1] if self.per_batch else lot) < self.cutmix_prob, device)
        blended, boxed = (mix.shares(chance, height, width, device) for mix in (self.mixup, self.cutmix))
        return torch.where(cut.reshape(-1, 1, 1, 1), boxed[0], blended[0]), torch.where(cut, boxed[1], blended[1])


def inverse_beta(alpha: float, who: str) -> Callable[[Numbers], Numbers]:
    """The inverse distribution function of Beta(alpha, alpha): uniform numbers in 0..1 become numbers that are so distributed.

    It is tabulated for the lower half, over x to the power min(alpha, 1), in which the density has no pole.

    Raises:
        OptionError: `alpha` is not above 0.
    """
    if not alpha > 0 or not np.isfinite(alpha):
        raise OptionError(f"{who}(alpha={alpha!r}): expected a finite number above 0, such as 0.4.")
    power = min(alpha, 1.0)
    grid = np.linspace(0.0, 0.5**power, GRID + 1)
    lower = grid ** (1 / power)
    # In proportion to its value in the middle: for large alphas the density itself is beyond what floats hold.
    density = (4 * lower * (1 - lower)) ** (alpha - power) * (2 * (1 - lower)) ** (power - 1)
    steps = (density[1:] + density[:-1]) / 2
    cumulated = np.concatenate([[0.0], np.cumsum(steps)])
    cumulated *= 0.5 / cumulated[-1]

    def inverse(u: Numbers) -> Numbers:
        lower_half = np.interp(np.minimum(u, 1 - u), cumulated, grid) ** (1 / power)
        return np.where(u < 0.5, lower_half, 1 - lower_half)

    return inverse


def _span(side: Numbers, place: Numbers, length: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """First and past-last pixel of boxes along one side, cut off at the border: int64 `(N,)` each.

    Args:
        side: Share of the length that a box has.
        place: Where its centre is, in 0..1.
        length: In pixels.
    """
    half = np.round(length * side).astype(np.int64) // 2
    centre = (place * length).astype(np.int64)
    return np.clip(centre - half, 0, length), np.clip(centre + half, 0, length)


def _sent(numbers: npt.NDArray[Any], device: torch.device) -> Tensor:
    """Drawn numbers on the device, those with a fraction as float32."""
    tensor = torch.from_numpy(numbers)
    return tensor.to(device, torch.float32 if tensor.is_floating_point() else tensor.dtype)
