"""Splitters that keep shares equal (stratified), groups together (grouped), or take turns (k-fold).

The one that does all of that, and lasts when pictures are added, is in `split_content.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from sightline.data.rows.getters import column_of, each_item
from sightline.data.rows.splitting import Splits, as_indices, by_mask, check_share, share_of, shuffled
from sightline.errors import OptionError, SplitError, counted


@dataclass(frozen=True, eq=False)
class StratifiedSplitter:
    """A random share for validation in which every label has the same share, to within one item.

    A label that only one item has stays in training. Where items have several labels, each label's share is kept as far as
    the items allow (iterative stratification: Sechidis, Tsoumakas, Vlahavas, "On the stratification of multi-label data",
    2011).

    Attributes:
        valid_pct: The share, in 0..1.
        seed: See `RandomSplitter`.
        labels: The labels, one an item; or a function from an item to its label; or a column's name. None inside a DataBlock
            takes its labels.
    """

    valid_pct: float = 0.2
    seed: int | None = None
    labels: Any = None

    def __post_init__(self) -> None:
        check_share("valid_pct", self.valid_pct)

    def knowing(self, labels: Sequence[Any], pictures: Sequence[Any]) -> StratifiedSplitter:
        """The same with the labels of a DataBlock, where none were given; pictures do not matter to it."""
        return replace(self, labels=labels) if self.labels is None else self

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: There are no labels, or not as many as items, or too few items.
        """
        if self.labels is None:
            raise SplitError(
                "StratifiedSplitter has no labels. Pass labels=, a list, a function or a column, or use it in a DataBlock."
            )
        share_of(len(items), self.valid_pct)
        names = [_label_names(value) for value in values_for(items, self.labels, "labels")]
        chosen = _balanced(names, self.valid_pct, shuffled(len(items), self.seed).tolist())
        return by_mask(chosen, "stratified sampling")


@dataclass(frozen=True, eq=False)
class GroupSplitter:
    """A random share for validation in which no group (a patient, a video, a place) is on both sides.

    Attributes:
        group: The group of each item: a list, a function from an item, or a column's name.
        valid_pct: The share of items aimed at, in 0..1; whole groups come as close to it as they can.
        seed: See `RandomSplitter`.
    """

    group: Any
    valid_pct: float = 0.2
    seed: int | None = None

    def __post_init__(self) -> None:
        check_share("valid_pct", self.valid_pct)

    def groups(self, items: Any) -> list[Any]:
        """The group of each item."""
        return values_for(items, self.group, "group")

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: There are fewer than two groups.
        """
        groups = self.groups(items)
        sizes = Counter(groups)
        if len(sizes) < 2:
            raise SplitError(
                f"All {counted(len(groups), 'item')} are of one group ({next(iter(sizes), None)!r}). Expected two or more."
            )
        names = list(sizes)
        goal, taken, valid = self.valid_pct * len(groups), 0, set()
        for position in shuffled(len(names), self.seed).tolist():
            name = names[position]
            if abs(taken + sizes[name] - goal) < abs(taken - goal):
                valid.add(name)
                taken += sizes[name]
        if not valid:
            # Every group is more than twice the share: the smallest one comes closest.
            valid = {min(names, key=lambda name: sizes[name])}
        return by_mask([group in valid for group in groups], "groups")


@dataclass(frozen=True)
class KFoldSplitter:
    """One of k equal random parts is for validation; over the folds 0..k-1 every item is, once.

    Attributes:
        k: Number of parts, at least 2.
        fold: Which of them, from 0.
        seed: The parts follow from it, so it must be the same for every fold.
    """

    k: int = 5
    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.k < 2 or not 0 <= self.fold < self.k:
            raise OptionError(f"k={self.k}, fold={self.fold}: expected k of at least 2 and fold from 0 to k-1.")

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: There are fewer items than parts.
        """
        if len(items) < self.k:
            raise SplitError(f"{counted(len(items), 'item')} cannot be parted into k={self.k}. Lower k, or give more items.")
        parts = np.array_split(shuffled(len(items), self.seed), self.k)
        return as_indices(np.concatenate([part for i, part in enumerate(parts) if i != self.fold])), as_indices(
            parts[self.fold]
        )


def values_for(items: Any, given: Any, what: str) -> list[Any]:
    """One value an item from a list, a function or a column's name.

    Raises:
        SplitError: The list has another length than the items.
        TableError: There is no such column.
    """
    if callable(given):
        function: Callable[[Any], Any] = given
        return [function(item) for item in each_item(items)]
    if isinstance(given, (str, int)) and hasattr(items, "columns"):
        return list(column_of(items, given).tolist())
    if isinstance(given, (str, int)):
        raise SplitError(f"{what}={given!r} names a column, but the items are a {type(items).__name__}. Expected a DataFrame.")
    values = list(given)
    if len(values) != len(items):
        raise SplitError(f"{what} has {counted(len(values), 'value')}, but there are {counted(len(items), 'item')}.")
    return values


def _label_names(value: Any) -> tuple[Hashable, ...]:
    # An item without any label still counts: it is shared out like those of a label of its own.
    if isinstance(value, (list, tuple, set, frozenset)):
        return tuple(value) or (None,)
    return (value,)


def _balanced(names: Sequence[tuple[Hashable, ...]], share: float, order: Sequence[int]) -> list[bool]:
    """For each item, whether it is for validation; rare labels are dealt out first, while there is still a choice."""
    holders: dict[Hashable, list[int]] = {}
    for row in order:
        for name in names[row]:
            holders.setdefault(name, []).append(row)
    wish = {name: [len(rows) * (1 - share), len(rows) * share] for name, rows in holders.items()}
    total = [len(names) * (1 - share), len(names) * share]
    side: list[int | None] = [None] * len(names)
    for name in sorted(holders, key=lambda name: len(holders[name])):
        for row in holders[name]:
            if side[row] is None:
                chosen = int((wish[name][1], total[1] / share if share else 0) > (wish[name][0], total[0] / (1 - share)))
                side[row] = chosen
                total[chosen] -= 1
                for other in names[row]:
                    wish[other][chosen] -= 1
    return [chosen == 1 for chosen in side]
