"""What chance decides for one picture or one batch: named draws that depend on seed, epoch and row alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from sightline import draws
from sightline.errors import OptionError

_T = TypeVar("_T")
Floats = npt.NDArray[np.float64]
FixedDraw = float | Sequence[float] | Callable[[torch.Tensor], Any] | None
"""A value to use instead of chance: one for all pictures, one for each, or a function of a tensor `(N,)` of zeros that returns
such values; None draws."""


@dataclass(frozen=True)
class ItemDraw:
    """What a transform of one picture asks for random numbers, and whether it may.

    Attributes:
        training: Whether the picture is for training; if not, transforms take their evaluation form and draw nothing.
        seed: The run's seed.
        epoch: Counts the passes over the data, from 0.
        row: The picture's row in the table.
        scope: Keeps the draws of two transforms of one kind apart.
    """

    training: bool = False
    seed: int = 0
    epoch: int = 0
    row: int = 0
    scope: str = ""

    def uniform(self, name: str) -> float:
        """A number in [0, 1), the same whenever seed, epoch, row, scope and name are."""
        return draws.single(self.seed, self.epoch, self.row, self.scope + name)

    def scoped(self, scope: str) -> ItemDraw:
        """The same draws under another prefix."""
        return replace(self, scope=scope)


@dataclass(frozen=True)
class BatchDraw:
    """What a transform of a whole batch asks for random numbers.

    Attributes:
        seed: The run's seed.
        epoch: Counts the passes over the data, from 0.
        rows: int64 `(N,)`, each picture's row in the table.
        scope: Keeps the draws of two transforms of one kind apart.
    """

    seed: int
    epoch: int
    rows: npt.NDArray[np.int64]
    scope: str = ""

    def scoped(self, scope: str) -> BatchDraw:
        """The same draws under another prefix."""
        return replace(self, scope=scope)

    def uniform(self, name: str, *, shape: tuple[int, ...] = (), batch: bool = False) -> Floats:
        """Numbers in [0, 1).

        Args:
            name: What is drawn, such as 'angle'.
            shape: Shape of what each picture gets.
            batch: Whether all pictures get what the first one draws.

        Returns:
            float64 `(N, *shape)`.
        """
        drawn = draws.uniform(self.seed, self.epoch, self.rows[:1] if batch else self.rows, self.scope + name, shape)
        return np.broadcast_to(drawn, (len(self.rows), *shape)) if batch else drawn

    def values(
        self,
        name: str,
        low: float,
        high: float,
        *,
        p: float = 1.0,
        neutral: float = 0.0,
        fixed: FixedDraw = None,
        batch: bool = False,
    ) -> Floats:
        """What each picture gets: with probability `p` a value between `low` and `high`, else `neutral`.

        Args:
            name: What is drawn.
            low: Smallest value.
            high: Largest value, not reached itself.
            p: Probability of a value other than `neutral`.
            neutral: The value that changes nothing.
            fixed: Used in place of a drawn value.
            batch: Whether one decision and one value serve the whole batch.

        Returns:
            float64 `(N,)`.

        Raises:
            OptionError: `fixed` lists fewer values than there are pictures.
        """
        low_to_high = (
            self._spread(name, fixed) if fixed is not None else draws.between(self.uniform(name, batch=batch), low, high)
        )
        if p >= 1:
            return low_to_high
        return np.where(self.uniform(f"{name}.apply", batch=batch) < p, low_to_high, neutral)

    def _spread(self, name: str, fixed: float | Sequence[float] | Callable[[torch.Tensor], Any]) -> Floats:
        count = len(self.rows)
        given = np.asarray(fixed(torch.zeros(count)) if callable(fixed) else fixed, dtype=np.float64)
        if given.ndim > 1 or (given.ndim == 1 and len(given) < count):
            raise OptionError(
                f"The draw of {self.scope}{name} has {given.shape[0]} values for {count} pictures; give one for each."
            )
        return np.broadcast_to(given[:count] if given.ndim else given, (count,)).copy()


def named(transforms: Sequence[_T]) -> list[tuple[str, _T]]:
    """Each transform with a prefix for its draws; the second of a kind gets another one than the first."""
    kinds = [type(transform).__name__ for transform in transforms]
    return [(f"{kind}{kinds[:i].count(kind) or ''}.", transforms[i]) for i, kind in enumerate(kinds)]
