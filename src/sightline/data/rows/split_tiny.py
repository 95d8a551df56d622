"""Parts by thresholds, mended for labels so small that a part would have none of their pictures.

Shapes: U units (pictures that stay together), N pictures, L labels.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Numbers: TypeAlias = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Parting:
    """How 0..1 is cut into parts: part 0 ends at `ends[0]`, and so on; the last one ends at 1.

    Attributes:
        ends: Where each part but the last ends.
        trains: The part that is trained on; None where parts take turns as folds, and the last one is for testing.
    """

    ends: tuple[float, ...]
    trains: int | None

    @property
    def spans(self) -> list[tuple[float, float]]:
        """Where each part begins and ends."""
        return list(zip((0.0, *self.ends), (*self.ends, 1.0), strict=True))

    def rank(self, part: int) -> int:
        """0 for the part that labels need most: training, then validation (folds are all alike), then testing."""
        if self.trains is None:
            return int(part == len(self.ends))
        return 0 if part == self.trains else part + 1

    def part_of(self, key_U: npt.NDArray[np.float64]) -> Numbers:
        """The part of each key, int64 `(U,)`."""
        return np.searchsorted(np.asarray(self.ends), key_U, side="right").astype(np.int64)

    def distance(self, key: float, part: int) -> float:
        """How far a key is from a part."""
        first, end = self.spans[part]
        return max(first - key, key - end, 0.0)


class _Holding:
    """Which units hold which labels, and how many of a label's units are in each part."""

    def __init__(self, unit_N: Numbers, names_N: Sequence[tuple[Hashable, ...]], part_U: Numbers, parts: int) -> None:
        # By their names, so that the order of the pictures decides nothing.
        every = sorted({name for names in names_N for name in names}, key=lambda name: (type(name).__name__, str(name)))
        numbers: dict[Hashable, int] = {name: number for number, name in enumerate(every)}
        units, labels = [], []
        for unit, names in zip(unit_N.tolist(), names_N, strict=True):
            for name in names:
                units.append(unit)
                labels.append(numbers[name])
        count = max(len(numbers), 1)
        pairs = np.unique(np.asarray(units, dtype=np.int64) * count + np.asarray(labels, dtype=np.int64))
        self.by_unit = np.stack((pairs // count, pairs % count), axis=1)
        self.by_label = self.by_unit[np.lexsort((self.by_unit[:, 0], self.by_unit[:, 1]))]
        self.unit_starts = np.searchsorted(self.by_unit[:, 0], np.arange(len(part_U) + 1))
        self.label_starts = np.searchsorted(self.by_label[:, 1], np.arange(len(numbers) + 1))
        self.part_U = part_U
        self.counts_LP = np.zeros((len(numbers), parts), dtype=np.int64)
        np.add.at(self.counts_LP, (self.by_unit[:, 1], part_U[self.by_unit[:, 0]]), 1)

    def units_of(self, label: int) -> list[int]:
        units: list[int] = self.by_label[self.label_starts[label] : self.label_starts[label + 1], 0].tolist()
        return units

    def labels_of(self, unit: int) -> Numbers:
        return self.by_unit[self.unit_starts[unit] : self.unit_starts[unit + 1], 1]

    def can_spare(self, unit: int) -> bool:
        """Whether every label of the unit has another unit in the same part."""
        return bool((self.counts_LP[self.labels_of(unit), self.part_U[unit]] > 1).all())

    def gains(self, unit: int, part: int) -> bool:
        """Whether labels that lose their last unit in the unit's part would get their first in the other one."""
        labels = self.labels_of(unit)
        return bool(((self.counts_LP[labels, self.part_U[unit]] > 1) | (self.counts_LP[labels, part] == 0)).all())

    def spare(self, label: int, part: int, rank: Callable[[int], int]) -> list[int]:
        """Units of a label that may move to a part where it has none: best those that no label misses."""
        units = [] if self.counts_LP[label, part] else self.units_of(label)
        free = list(filter(self.can_spare, units))
        return free or [unit for unit in units if rank(part) < rank(int(self.part_U[unit])) and self.gains(unit, part)]

    def move(self, unit: int, part: int) -> None:
        labels = self.labels_of(unit)
        self.counts_LP[labels, self.part_U[unit]] -= 1
        self.counts_LP[labels, part] += 1
        self.part_U[unit] = part


def mended(
    parting: Parting, key_U: npt.NDArray[np.float64], unit_N: Numbers, names_N: Sequence[tuple[Hashable, ...]]
) -> Numbers:
    """The part of each unit, int64 `(U,)`; -1 for those that train in every fold.

    A label without a unit in a part gets the one whose key is closest, if that leaves no other label without. What cannot be
    had is given up in the order test, validation, training: every label can be trained on.

    Args:
        parting: Where the parts end.
        key_U: The key of each unit, in 0..1.
        unit_N: The unit of each picture.
        names_N: The labels of each picture, at least one.
    """
    parts = len(parting.ends) + 1
    always = parts
    holding = _Holding(unit_N, names_N, parting.part_of(key_U), parts + 1)
    keys = key_U.tolist()

    def closest(units: list[int], part: int) -> int:
        return min(units, key=lambda unit: (parting.distance(keys[unit], part), keys[unit]))

    sought = [part for part, (first, end) in enumerate(parting.spans) if end > first]
    sought.sort(key=parting.rank)
    rare_first = np.argsort(holding.counts_LP.sum(axis=1), kind="stable")
    for part in sought:
        for label in rare_first[holding.counts_LP[rare_first, part] == 0].tolist():
            if spare := holding.spare(label, part, parting.rank):
                holding.move(closest(spare, part), part)
    for label in rare_first[~_can_train(holding.counts_LP[rare_first], parting)].tolist():
        # One before it may have brought a unit that holds both.
        if not _can_train(holding.counts_LP[[label]], parting)[0]:
            holding.move(*_into_training(parting, holding.units_of(label), closest))
    return np.where(holding.part_U == always, -1, holding.part_U)


def _into_training(parting: Parting, units: list[int], closest: Callable[[list[int], int], int]) -> tuple[int, int]:
    """Which of a label's units must train, and its part then; with folds that is one past all others, which never validates."""
    if parting.trains is not None:
        return closest(units, parting.trains), parting.trains
    return closest(units, len(parting.ends)), len(parting.ends) + 1


def _can_train(counts_LP: Numbers, parting: Parting) -> npt.NDArray[np.bool_]:
    """Whether each label has something to train on, whichever fold validates."""
    if parting.trains is not None:
        return counts_LP[:, parting.trains] > 0
    folds = len(parting.ends)
    turns: npt.NDArray[np.bool_] = np.sum(counts_LP[:, :folds] > 0, axis=1) > 1
    return turns | (counts_LP[:, folds + 1] > 0)
