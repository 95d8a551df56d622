"""What a DataBlock without blocks gives: pictures and labels as the getters return them, nothing read or encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.data.loading.any_loader import Rows


@dataclass(frozen=True, eq=False)
class RawPairs:
    """Items as pairs of what `get_x` and `get_y` make of them.

    Attributes:
        all_items: All items: a list, or a DataFrame's rows.
        get_x: From an item to its picture; None takes the item itself.
        get_y: From an item to its label; likewise.
        rows: int64 `(n,)`, the items that are served.
    """

    all_items: Any
    get_x: Callable[[Any], Any] | None
    get_y: Callable[[Any], Any] | None
    rows: Rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, position: Any) -> Any:
        """The pair at a position; a list of pairs for several."""
        if isinstance(position, slice | list | tuple) or getattr(position, "ndim", 0) == 1:
            return [self[int(one)] for one in np.arange(len(self))[position]]
        row = int(self.rows[position])
        item = self.all_items.iloc[row] if hasattr(self.all_items, "iloc") else self.all_items[row]
        return tuple(item if getter is None else getter(item) for getter in (self.get_x, self.get_y))

    def __iter__(self) -> Iterator[Any]:
        return (self[position] for position in range(len(self)))

    @property
    def items(self) -> Any:
        """The items themselves: rows of a DataFrame, or a list."""
        return self.all_items.iloc[self.rows] if hasattr(self.all_items, "iloc") else [self.all_items[row] for row in self.rows]


@dataclass(frozen=True, eq=False)
class RawDatasets(RawPairs):
    """The same in parts.

    Attributes:
        splits: int64 positions of each part.
    """

    splits: tuple[Rows, ...] = ()

    def subset(self, i: int) -> RawPairs:
        """A part by its number."""
        return RawPairs(self.all_items, self.get_x, self.get_y, self.splits[i])

    @property
    def train(self) -> RawPairs:
        """The training part."""
        return self.subset(0)

    @property
    def valid(self) -> RawPairs:
        """The validation part."""
        return self.subset(1)

    @property
    def n_subsets(self) -> int:
        """Number of parts."""
        return len(self.splits)


def raw_datasets(
    items: Any, get_x: Callable[[Any], Any] | None, get_y: Callable[[Any], Any] | None, splits: Any
) -> RawDatasets:
    """The parts of `items` as a splitter said."""
    parts = tuple(np.asarray(list(part), dtype=np.int64) for part in splits)
    return RawDatasets(items, get_x, get_y, np.arange(len(items), dtype=np.int64), splits=parts)
