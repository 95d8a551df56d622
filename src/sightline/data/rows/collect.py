"""From items (paths, rows, tuples) to a Table: the getters and the splitter are called here, and their complaints collected."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sightline.data.blocks import LabelHints, TargetBlock, categories_of
from sightline.data.rows.files import nothing_found
from sightline.data.rows.getters import ColReader, column_of, each_item, row_name
from sightline.data.rows.sources import as_source, is_picture
from sightline.data.rows.split_content import ContentSplitter
from sightline.data.rows.split_fair import StratifiedSplitter
from sightline.data.rows.table import LEFT_OUT, NO_PART, Table, common_root, part_name
from sightline.errors import DataError, LabelError, NoImagesError, OptionError, SplitError, TableError, counted

Getter: TypeAlias = Callable[[Any], Any]
_SHOWN = 10


@dataclass(frozen=True)
class Recipe:
    """How an item becomes a row.

    Attributes:
        get_x: From an item to its picture; None takes the item itself.
        get_y: From an item to its label.
        block: Reads what `get_y` returned.
        rows: Items are rows that say where a picture is, and not pictures themselves.
    """

    get_x: Getter | None
    get_y: Getter
    block: TargetBlock
    rows: bool = False

    def source_of(self, item: Any) -> Any:
        """Where the picture of one item is; a picture given where training had rows is taken as it is."""
        if self.get_x is None or (self.rows and is_picture(item)):
            return item
        return self.get_x(item)

    def sources(self, items: Any) -> list[Any]:
        """The pictures' sources.

        Raises:
            TableError: Some items give nothing that a picture could be read from; they are listed.
        """
        if isinstance(self.get_x, ColReader) and hasattr(items, "columns"):
            found = self.get_x.read_frame(items)
        else:
            found = _called(self.source_of, items, "get_x", TableError)
        return _each(as_source, found, lambda row: row_name(items, row), TableError, "a picture's path for every row")

    def labels(self, items: Any, name: Callable[[int], str], wanted: Iterable[int]) -> list[Any]:
        """The labels of the wanted positions, None for all others.

        Raises:
            LabelError: Labels are blank or of the wrong kind; they are listed by picture.
        """
        wanted = list(wanted)
        if isinstance(self.get_y, ColReader) and hasattr(items, "columns"):
            raw = self.get_y.read_frame(items)
            raw = [raw[row] for row in wanted]
        else:
            raw = _called(self.get_y, _some(items, wanted), "get_y", LabelError)
        read = _each(self.block.read, raw, lambda position: f"{name(wanted[position])}", LabelError, self.block.expects)
        labels: list[Any] = [None] * len(items)
        for row, label in zip(wanted, read, strict=True):
            labels[row] = label
        return labels


def collect(items: Any, recipe: Recipe, splitter: Callable[[Any], Any], source: Any = None) -> Table:
    """The table of the items.

    Args:
        items: A DataFrame, or any sequence.
        recipe: How an item becomes a row.
        splitter: Called with the items; see `split.py`.
        source: What the user gave, for the message where there are no items.

    Raises:
        NoImagesError: There are no items.
        SplitError: The split does not fit the items.
        TableError: Sources are not usable, or a column is missing.
        LabelError: Labels are not usable.
    """
    if len(items) == 0:
        raise _nothing(source)
    sources = recipe.sources(items)
    root = common_root(sources)
    unlabelled = Table(tuple(sources), None, np.zeros(len(sources), dtype=np.int8), root=root)
    everything = range(len(items))
    if isinstance(splitter, (StratifiedSplitter, ContentSplitter)):
        labels = recipe.labels(items, unlabelled.name, everything)
        split, rank = split_of(splitter.knowing(labels, sources)(items), len(items))
    else:
        split, rank = split_of(splitter(items), len(items))
        labels = recipe.labels(items, unlabelled.name, np.flatnonzero(split != LEFT_OUT).tolist())
    grouped = getattr(splitter, "groups", None)
    groups = grouped(items) if callable(grouped) else None
    reasons = dict.fromkeys(np.flatnonzero(split == LEFT_OUT).tolist(), NO_PART)
    return replace(
        unlabelled,
        labels=tuple(labels),
        split=split,
        rank=rank,
        group=None if groups is None else tuple(groups),
        reasons=reasons,
    )


def split_of(parts: Any, n: int) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.int64]]:
    """Part numbers int8 `(n,)`, and the place of each row within its part int64 `(n,)`, from what a splitter returned.

    Raises:
        SplitError: Fewer than two parts, a position outside the items or in two parts, or nothing to train on.
    """
    parts = [np.asarray(list(part), dtype=np.int64).reshape(-1) for part in parts]
    if not 2 <= len(parts) <= 127:
        raise SplitError(
            f"The splitter returned {counted(len(parts), 'part')}. Expected (train, valid), or further parts after them."
        )
    split, rank = np.full(n, LEFT_OUT, dtype=np.int8), np.zeros(n, dtype=np.int64)
    for number, rows in enumerate(parts):
        outside = rows[(rows < 0) | (rows >= n)]
        if len(outside):
            raise SplitError(
                f"The splitter put position {outside[0]} into '{part_name(number)}', but there are {counted(n, 'item')}."
            )
        taken = rows[split[rows] != LEFT_OUT]
        if len(taken):
            both = f"both in '{part_name(int(split[taken[0]]))}' and '{part_name(number)}'"
            raise SplitError(
                f"{counted(len(taken), 'item')} {'is' if len(taken) == 1 else 'are'} {both} (first: position {taken[0]}). "
                "Expected each in one part: what is trained on cannot judge."
            )
        split[rows], rank[rows] = number, np.arange(len(rows))
    if not len(parts[0]):
        raise SplitError(
            f"The splitter left none of {counted(n, 'item')} for training. Expected some; check its share or folders."
        )
    return split, rank


def label_hints(items: Any, get_y: Getter) -> LabelHints:
    """What the table's columns say about the labels beyond their values."""
    if not isinstance(get_y, ColReader) or not hasattr(items, "columns"):
        return LabelHints()
    columns = [column_of(items, col) for col in get_y.cols]
    if len(columns) > 1:
        return LabelHints(columns=tuple(str(column.name) for column in columns), flags=_all_flags(columns))
    return LabelHints(categories=None if get_y.label_delim is not None else categories_of(columns[0]))


def _all_flags(columns: list[Any]) -> bool:
    """Whether pandas columns hold nothing but 0 and 1, or False and True, blanks apart."""
    filled = [column.dropna().infer_objects() for column in columns]
    return any(map(len, filled)) and all(cells.dtype.kind in "biuf" and cells.isin([0, 1]).all() for cells in filled)


def _nothing(source: Any) -> NoImagesError:
    if isinstance(source, (str, Path)) and Path(source).is_dir():
        return nothing_found(Path(source))
    return NoImagesError("There are no items: the list or table of pictures is empty. Expected at least two rows.")


def _some(items: Any, wanted: list[int]) -> Any:
    if len(wanted) == len(items):
        return items
    return items.iloc[wanted] if hasattr(items, "iloc") else [items[row] for row in wanted]


def _called(function: Getter, items: Any, what: str, error_class: type[DataError]) -> list[Any]:
    """`function` of every item; what goes wrong is told with the item, and how often it went wrong."""
    results: list[Any] = []
    failed: list[tuple[str, Exception]] = []
    for position, item in enumerate(each_item(items)):
        try:
            results.append(function(item))
        except (TableError, OptionError):
            raise
        except Exception as error:  # noqa: BLE001 - the user's own function may fail with anything
            failed.append((f"{str(item)!r}" if is_picture(item) else f"row {position}", error))
    if not failed:
        return results
    first_item, first = failed[0]
    told = str(first) if isinstance(first, DataError) else f"{what} failed for {first_item}: {type(first).__name__}: {first}."
    others = ", ".join(item for item, _ in failed[1:_SHOWN])
    more = (
        f" The same for {counted(len(failed) - 1, 'other item')}: {others}{', ...' if len(failed) > _SHOWN else ''}."
        if others
        else ""
    )
    raise error_class(told + more) from first


def _each(
    read: Callable[[Any], Any], values: list[Any], name: Callable[[int], str], error_class: type[DataError], expected: str
) -> list[Any]:
    """`read` of every value; its complaints are collected into one."""
    results: list[Any] = []
    findings: dict[str, list[str]] = {}
    known: dict[str, str] = {}
    for position, value in enumerate(values):
        # A large table says the same few names a million times.
        if type(value) is str and value in known:
            results.append(known[value])
            continue
        try:
            results.append(read(value))
        except DataError as error:
            findings.setdefault(str(error), []).append(name(position))
            continue
        if type(value) is str and type(results[-1]) is str:
            known[value] = results[-1]
    if not findings:
        return results
    bad = sum(map(len, findings.values()))
    what = "label" if error_class is LabelError else "file name"
    told = "; ".join(f"{reason}: {_names(names)}" for reason, names in list(findings.items())[:_SHOWN])
    raise error_class(
        f"{counted(bad, what)} of {len(values):,} cannot be used. {told}. Expected {expected}. "
        "Fill them in, or leave those rows out."
    )


def _names(names: list[str]) -> str:
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return f"{counted(len(names), 'row')} ({', '.join(names[:_SHOWN])}{more})"
