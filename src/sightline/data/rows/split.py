"""Splitters: which items are for training and which for validation.

A splitter is called with all items and returns `(train, valid)`, two int64 arrays of positions. The splits that keep shares or
groups together are in `split_fair.py`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.data.rows.getters import column_of, each_item, row_name
from sightline.data.rows.splitting import Indices, Splits, as_indices, by_mask, check_share, share_of, shuffled
from sightline.errors import OptionError, SplitError, TableError, counted, listed
from sightline.target import is_blank

if TYPE_CHECKING:
    import pandas as pd

_YES = frozenset({"true", "t", "yes", "y", "1", "1.0", "valid", "validation", "val"})
_NO = frozenset({"false", "f", "no", "n", "0", "0.0", "train", "training", ""})


@dataclass(frozen=True)
class RandomSplitter:
    """A random share for validation.

    Attributes:
        valid_pct: The share, in 0..1; that many items rounded down. 0 keeps everything for training.
        seed: Makes the split repeatable without touching PyTorch's global generator; None draws from that generator.
    """

    valid_pct: float = 0.2
    seed: int | None = None

    def __post_init__(self) -> None:
        check_share("valid_pct", self.valid_pct)

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`, in random order."""
        cut = share_of(len(items), self.valid_pct)
        order = shuffled(len(items), self.seed)
        return order[cut:], order[:cut]


@dataclass(frozen=True)
class RandomSubsetSplitter:
    """Random shares for training and for validation; the rest is left out.

    Attributes:
        train_sz: Share for training, in 0..1, rounded down.
        valid_sz: Share for validation, in 0..1, rounded down.
        seed: See `RandomSplitter`.
    """

    train_sz: float
    valid_sz: float
    seed: int | None = None

    def __post_init__(self) -> None:
        if not (0 < self.train_sz < 1 and 0 < self.valid_sz < 1 and self.train_sz + self.valid_sz <= 1):
            raise OptionError(
                f"train_sz={self.train_sz} and valid_sz={self.valid_sz}: expected shares between 0 and 1, together at most 1."
            )

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`, in random order."""
        train, valid = share_of(len(items), self.train_sz, "train_sz"), share_of(len(items), self.valid_sz, "valid_sz")
        order = shuffled(len(items), self.seed)
        return order[:train], order[train : train + valid]


@dataclass(frozen=True, eq=False)
class TrainTestSplitter:
    """scikit-learn's `train_test_split`, with its options and its meaning."""

    test_size: float | int | None = 0.2
    random_state: Any = None
    stratify: Any = None
    train_size: float | int | None = None
    shuffle: bool = True

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: scikit-learn refuses the options; its words are passed on.
        """
        from sklearn.model_selection import train_test_split

        try:
            train, valid = train_test_split(
                np.arange(len(items)),
                test_size=self.test_size,
                random_state=self.random_state,
                stratify=self.stratify,
                train_size=self.train_size,
                shuffle=self.shuffle,
            )
        except ValueError as error:
            raise SplitError(f"{counted(len(items), 'item')} cannot be split by {self}: {error}") from error
        return as_indices(train), as_indices(valid)


@dataclass(frozen=True, eq=False)
class IndexSplitter:
    """The given positions are for validation, all others for training."""

    valid_idx: Any

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: A position is outside the items or given twice.
        """
        valid = as_indices(self.valid_idx)
        outside = [int(i) for i in valid if not 0 <= i < len(items)]
        if outside:
            raise SplitError(f"valid_idx holds {listed(outside)}, but there are {counted(len(items), 'item')}, counted from 0.")
        if len(np.unique(valid)) < len(valid):
            raise SplitError(f"valid_idx names {len(valid) - len(np.unique(valid))} positions more than once. Name each once.")
        return np.setdiff1d(np.arange(len(items)), valid), valid


@dataclass(frozen=True)
class EndSplitter:
    """The last items (or the first) are for validation, for data that is ordered in time."""

    valid_pct: float = 0.2
    valid_last: bool = True

    def __post_init__(self) -> None:
        check_share("valid_pct", self.valid_pct)

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`, in order."""
        cut, order = share_of(len(items), self.valid_pct), np.arange(len(items))
        border = len(items) - cut if self.valid_last else cut
        return (order[:border], order[border:]) if self.valid_last else (order[border:], order[:border])


@dataclass(frozen=True)
class GrandparentSplitter:
    """Split by the name of the folder two levels above the file, as in `train/cats/1.jpg`; other files are left out.

    Attributes:
        train_name: Name, or several names, of the training folders.
        valid_name: The same for validation.
    """

    train_name: str | Sequence[str] = "train"
    valid_name: str | Sequence[str] = "valid"

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: No file lies in one of the two; the folders that were seen are named.
        """
        above = [Path(item).parent.parent.name for item in items]
        parts = [self._rows(above, names) for names in (self.train_name, self.valid_name)]
        for names, rows in zip((self.train_name, self.valid_name), parts, strict=True):
            if not len(rows):
                seen = ", ".join(f"{name!r} x{count:,}" for name, count in Counter(above).most_common(10))
                raise SplitError(
                    f"No picture lies in a folder {names!r} two levels above the file. The folders there are {seen or 'none'}. "
                    "Name yours (train=, valid= or GrandparentSplitter), or split at random with valid_pct=0.2."
                )
        return parts[0], parts[1]

    @staticmethod
    def _rows(above: list[str], names: str | Sequence[str]) -> Indices:
        wanted = [names] if isinstance(names, str) else list(names)
        return as_indices([row for name in wanted for row, folder in enumerate(above) if folder == name])


@dataclass(frozen=True)
class FuncSplitter:
    """Items for which a function is true are for validation."""

    func: Callable[[Any], Any]

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`."""
        return by_mask([bool(self.func(item)) for item in each_item(items)], f"{getattr(self.func, '__name__', self.func)}")


@dataclass(frozen=True, eq=False)
class MaskSplitter:
    """Items whose mask is true are for validation."""

    mask: Any

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            SplitError: The mask has another length than the items.
        """
        mask = [bool(value) for value in self.mask]
        if len(mask) != len(items):
            raise SplitError(f"The mask has {counted(len(mask), 'value')}, but there are {counted(len(items), 'item')}.")
        return by_mask(mask, "the mask")


@dataclass(frozen=True)
class FileSplitter:
    """Files whose name stands in a text file, one a line, are for validation."""

    fname: str | Path

    def __call__(self, items: Any) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            TableError: The text file cannot be read.
            SplitError: None of its names is among the items.
        """
        try:
            names = {line.strip() for line in Path(self.fname).read_text(encoding="utf-8").splitlines()}
        except (OSError, UnicodeDecodeError) as error:
            raise TableError(f"The list of validation files {self.fname} cannot be read: {error}") from error
        return by_mask([Path(item).name in names for item in items], f"the names in {self.fname}")


@dataclass(frozen=True, eq=False)
class ColSplitter:
    """Split a DataFrame by a column.

    Attributes:
        col: Name or position of the column.
        on: The value, or values, that mean validation; None takes the column as true and false.
    """

    col: Any = "is_valid"
    on: Any = None

    def __call__(self, items: pd.DataFrame) -> Splits:
        """Positions of `(train, valid)`.

        Raises:
            TableError: The items are no DataFrame or lack the column.
            SplitError: The column cannot be read as true and false, or one side is empty.
        """
        if not hasattr(items, "columns"):
            raise TableError(
                f"ColSplitter reads a column, but the items are a {type(items).__name__}. Expected a pandas DataFrame."
            )
        values = column_of(items, self.col).tolist()
        if self.on is None:
            mask = self._truths(values, items)
        else:
            wanted = self.on if isinstance(self.on, (list, tuple, set, frozenset)) else [self.on]
            mask = [value in wanted for value in values]
        return by_mask(mask, f"column {self.col!r}")

    def _truths(self, values: list[Any], items: pd.DataFrame) -> list[bool]:
        words = ["" if value is None else str(value).strip().lower() for value in values]
        strange = [
            f"{row_name(items, row)}: {value!r}"
            for row, value in enumerate(values)
            if is_blank(value) or words[row] not in _YES | _NO
        ]
        if strange:
            raise SplitError(
                f"Column {self.col!r} says neither yes nor no for {counted(len(strange), 'row')} ({', '.join(strange[:5])}). "
                "Expected True or False, 1 or 0, 'valid' or 'train'. Fill it in, or name the value that means validation: "
                "ColSplitter(col, on='test')."
            )
        return [word in _YES for word in words]
