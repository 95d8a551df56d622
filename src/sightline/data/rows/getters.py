"""Getters: small functions from an item (a path, a table's row, a tuple) to its picture or its label."""

from __future__ import annotations

import operator
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.transforms.annotations import takes
from sightline.errors import LabelError, OptionError, TableError, did_you_mean, listed
from sightline.target import is_blank

if TYPE_CHECKING:
    import pandas as pd

LINE = "line"
"""What the index of a table is called that was read from a file: its rows are known by their lines."""


def parent_label(item: str | Path) -> str:
    """The name of the folder that a file lies in."""
    return Path(item).parent.name


@dataclass(frozen=True)
class RegexLabeller:
    """The first group of a regular expression found in the path; separators are '/' on every system.

    Attributes:
        pat: The expression, with one group in parentheses.
        match: Whether it must match from the beginning instead of anywhere.
    """

    pat: str | re.Pattern[str]
    match: bool = False

    def __post_init__(self) -> None:
        try:
            groups = re.compile(self.pat).groups
        except re.error as error:
            raise LabelError(f"{self.pat!r} is not a regular expression: {error}.") from error
        if groups < 1:
            raise LabelError(f"{self._pattern!r} has no group. Put parentheses around the label, as in r'^(.+)_\\d+\\.jpg$'.")

    @property
    def _pattern(self) -> str:
        return self.pat if isinstance(self.pat, str) else self.pat.pattern

    def __call__(self, item: str | Path) -> str:
        """The label of one path.

        Raises:
            LabelError: The expression is not found in it.
        """
        text = str(item).replace(os.sep, "/")
        expression = re.compile(self.pat)
        found = expression.match(text) if self.match else expression.search(text)
        if found is None or found.group(1) is None:
            raise LabelError(
                f"The pattern {self._pattern!r} was not found in {text!r}. Correct the pattern, or leave that file out."
            )
        return found.group(1)


class ColReader:
    """Reads one or several columns of a row.

    Args:
        cols: A name or a position, or several of them: a list, an array, an Index of pandas.
        pref: Put before the value; a `Path` gets a separator between, and is left out before an absolute path.
        suff: Put after it.
        label_delim: Splits the text of the cell into several labels; a blank cell has none.
    """

    def __init__(self, cols: Any, pref: str | Path = "", suff: str = "", label_delim: str | None = None) -> None:
        several = isinstance(cols, Sequence) and not isinstance(cols, str)
        self.cols: list[Any] = cols.tolist() if hasattr(cols, "tolist") else list(cols) if several else [cols]
        for name, given in (("pref", pref), ("suff", suff)):
            if not isinstance(given, str | Path):
                raise OptionError(f"ColReader({name}={given!r}): expected text or a Path. For more, compose: Pipeline([...]).")
        self.pref = pref
        self.suff = suff
        self.label_delim = label_delim

    def __repr__(self) -> str:
        return f"ColReader({self.cols}, pref={self.pref!r}, suff={self.suff!r}, label_delim={self.label_delim!r})"

    def __call__(self, row: Any) -> Any:
        """The value of one row, or the list of values where several columns are read.

        Raises:
            TableError: There is no such column.
        """
        values = [self._dress(_cell(row, col)) for col in self.cols]
        return values[0] if len(values) == 1 else values

    def read_frame(self, frame: pd.DataFrame) -> list[Any]:
        """What calling the reader on every row gives, in one go."""
        columns = [[self._dress(value) for value in column_of(frame, col).tolist()] for col in self.cols]
        return columns[0] if len(columns) == 1 else [list(values) for values in zip(*columns, strict=True)]

    def _dress(self, value: Any) -> Any:
        if self.label_delim is not None:
            return [] if is_blank(value) else [part for part in str(value).split(self.label_delim) if part]
        # A missing file name must not become the path 'folder/nan.jpg'.
        if not (self.pref or self.suff) or is_blank(value):
            return value
        if isinstance(self.pref, Path):
            return os.path.join(self.pref, f"{value}{self.suff}")
        return f"{self.pref}{value}{self.suff}"


@dataclass(frozen=True)
class ItemGetter:
    """Element `i` of an item."""

    i: Any

    def __call__(self, item: Any) -> Any:
        return item[self.i]


@dataclass(frozen=True)
class AttrGetter:
    """Attribute `nm` of an item, or `default` where it has none."""

    nm: str
    default: Any = None

    def __call__(self, item: Any) -> Any:
        return getattr(item, self.nm, self.default)


class Pipeline:
    """Functions applied one after the other, the first first.

    Attributes:
        fs: The functions.
        split_idx: Handed to those that are transforms: 0 for the form of training, 1 for that of validation.
    """

    def __init__(
        self, funcs: Callable[[Any], Any] | Sequence[Callable[[Any], Any]] | None = None, split_idx: int | None = None
    ) -> None:
        self.fs: list[Callable[..., Any]] = [] if funcs is None else [funcs] if callable(funcs) else list(funcs)
        self.split_idx = split_idx

    def __call__(self, item: Any) -> Any:
        for function in self.fs:
            told = self.split_idx is not None and takes(function, "split_idx")
            item = function(item, split_idx=self.split_idx) if told else function(item)
        return item

    def __len__(self) -> int:
        return len(self.fs)

    def __getitem__(self, position: int) -> Callable[..., Any]:
        return self.fs[position]

    def __repr__(self) -> str:
        return " -> ".join(getattr(function, "__name__", repr(function)) for function in self.fs) or "nothing"


def using_attr(function: Callable[[Any], Any], attr: str) -> Pipeline:
    """`function` applied to an attribute of the item, such as the 'name' of a path."""
    return Pipeline([operator.attrgetter(attr), function])


def column_of(frame: pd.DataFrame, col: Any) -> pd.Series:
    """One column of a table, by name or position.

    Raises:
        TableError: There is no such column; the closest names are offered.
    """
    if isinstance(col, int) and -len(frame.columns) <= col < len(frame.columns):
        return frame.iloc[:, col]
    if col not in frame.columns:
        raise _no_column(col, list(frame.columns))
    found: pd.Series[Any] = frame[col]
    if getattr(found, "ndim", 1) != 1:
        raise TableError(f"The table has several columns named {col!r}. Give each column its own name.")
    return found


def _cell(row: Any, col: Any) -> Any:
    fields = getattr(row, "_fields", None)
    if fields is not None and col in fields:
        return getattr(row, col)
    try:
        # On a pandas row a number is a position, whatever the columns are called.
        return row.iloc[col] if isinstance(col, int) and hasattr(row, "iloc") else row[col]
    except (KeyError, IndexError, TypeError):
        names = (
            getattr(row, "index", None) if hasattr(row, "iloc") else fields or (row.keys() if hasattr(row, "keys") else None)
        )
        raise _no_column(col, list(names) if names is not None else []) from None


def _no_column(col: Any, names: list[Any]) -> TableError:
    has = f"{len(names)} columns: {listed(names, most=20)}" if names else "no columns (is it a pandas DataFrame?)"
    hint = did_you_mean(str(col), [str(name) for name in names])
    return TableError(f"There is no column {col!r}. The table has {has}. {hint}".rstrip())


def row_name(items: Any, position: int) -> str:
    """What to call a row without a picture in a message: 'line 3' of the file it was read from, counted from 1; or 'row 2'."""
    index = getattr(items, "index", None)
    return f"line {index[position]}" if getattr(index, "name", None) == LINE else f"row {position}"  # type: ignore[index]


def each_item(items: Any) -> Iterator[Any]:
    """The items one by one: a DataFrame's rows with their own types (a float column does not turn the row to floats)."""
    if hasattr(items, "iloc"):
        as_objects = items.astype(object)
        return (as_objects.iloc[position] for position in range(len(items)))
    return iter(items)
