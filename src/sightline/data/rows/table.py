"""Table: one row a picture, with its label and its split; what is known of the data before a single pixel is read."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.errors import TableError, counted
from sightline.escaping import for_terminal

if TYPE_CHECKING:
    import pandas as pd

TRAIN, VALID, LEFT_OUT = 0, 1, -1
"""Numbers in `Table.split`; 2 and up are further parts."""

NO_PART = "in no part of the split"
"""The reason of rows that the splitter did not choose."""

_SHOWN = 8


@dataclass(frozen=True, eq=False)
class Table:
    """The rows of a data set.

    Attributes:
        sources: What each row's picture is read from: a path, or a picture in memory (PIL image, array, tensor, bytes).
        labels: Raw label of each row (a name, a list of names, a number, a list of numbers); None where there are no labels.
            A row that is left out may have None.
        split: int8 `(n,)`; 0 is training, 1 validation, further numbers further parts, -1 left out.
        group: What each row belongs together with; None where it was not said.
        root: The folder that names are shown relative to.
        reasons: Why a row was left out, by row.
        rank: int64 `(n,)`, the place of each row within its part; None for the table's own order.
    """

    sources: tuple[Any, ...]
    labels: tuple[Any, ...] | None
    split: npt.NDArray[np.int8]
    group: tuple[Any, ...] | None = None
    root: Path | None = None
    reasons: Mapping[int, str] = field(default_factory=dict)
    rank: npt.NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        for name, values in (("labels", self.labels), ("split", self.split), ("group", self.group), ("rank", self.rank)):
            if values is not None and len(values) != len(self.sources):
                raise TableError(
                    f"{name} has {counted(len(values), 'value')}, but there are {counted(len(self.sources), 'picture')}."
                )

    def __len__(self) -> int:
        return len(self.sources)

    def rows(self, split: int) -> npt.NDArray[np.int64]:
        """int64 positions of the rows in a part, in the order in which the splitter named them."""
        found = np.flatnonzero(self.split == split).astype(np.int64)
        return found if self.rank is None else found[np.argsort(self.rank[found], kind="stable")]

    def fingerprint(self) -> str:
        """32 letters that follow from the names of the pictures, their labels and parts, in their order."""
        digest = hashlib.blake2b(digest_size=16)
        for row, part in enumerate(self.split.tolist()):
            label = None if self.labels is None else self.labels[row]
            digest.update(f"{self.name(row)}\n{label!r}\n{part}\n".encode(errors="surrogateescape"))
        return digest.hexdigest()

    @property
    def parts(self) -> list[int]:
        """The numbers of the parts that hold rows, left-out rows apart; training and validation always count."""
        return sorted({TRAIN, VALID, *(int(number) for number in np.unique(self.split) if number >= 0)})

    def name(self, row: int) -> str:
        """What to call a row in a message: its path below the root, or 'picture 12' if it has none."""
        source = self.sources[row]
        if not isinstance(source, (str, Path)):
            return f"picture {row}"
        return source_name(source, self.root)

    def labels_of(self, rows: Iterable[int]) -> list[Any]:
        """The raw labels of some rows."""
        wanted: list[int] = rows.tolist() if isinstance(rows, np.ndarray) else list(rows)
        return [None] * len(wanted) if self.labels is None else [self.labels[row] for row in wanted]

    def counts(self) -> dict[str, dict[Any, int]]:
        """How often each label occurs, by part ('train', 'valid', 'part 2', 'left out'); a list of names counts for each."""
        numbers = [*self.parts, *([LEFT_OUT] if (self.split == LEFT_OUT).any() else [])]
        return {part_name(number): self._label_counts(number) for number in numbers}

    def leave_out(self, reasons: Mapping[int, str]) -> Table:
        """The same table with some rows left out, each with its reason."""
        if not reasons:
            return self
        split = self.split.copy()
        split[list(reasons)] = LEFT_OUT
        return replace(self, split=split, reasons={**self.reasons, **reasons})

    @property
    def set_aside(self) -> dict[int, str]:
        """Rows that were meant to be used and cannot be, with the reason."""
        return {row: reason for row, reason in self.reasons.items() if reason != NO_PART}

    def to_frame(self) -> pd.DataFrame:
        """A DataFrame with the columns path (or source), label, split, and, where there are any, group and reason."""
        import pandas as pd

        columns: dict[str, Any] = {
            "path": [
                str(source) if isinstance(source, (str, Path)) else self.name(row) for row, source in enumerate(self.sources)
            ]
        }
        if self.labels is not None:
            columns["label"] = pd.Series(list(self.labels), dtype=object)
        columns["split"] = [part_name(int(number)) for number in self.split]
        if self.group is not None:
            columns["group"] = list(self.group)
        if self.reasons:
            columns["reason"] = [self.reasons.get(row, "") for row in range(len(self))]
        return pd.DataFrame(columns)

    def __repr__(self) -> str:
        lines = [f"Table: {counted(len(self), 'picture')}" + (f" in {for_terminal(self.root)}" if self.root else "")]
        for number in self.parts:
            lines.append(f"  {part_name(number):<8} {len(self.rows(number)):>7,}  {self._label_summary(number)}".rstrip())
        left_out = self.rows(LEFT_OUT)
        if len(left_out):
            why = [f"{for_terminal(self.name(row))}: {self.reasons[row]}" for row in left_out.tolist() if row in self.reasons]
            more = f"; and {len(why) - _SHOWN:,} more" if len(why) > _SHOWN else ""
            lines.append(f"  left out {len(left_out):>7,}  {'; '.join(why[:_SHOWN])}{more}".rstrip())
        return "\n".join(lines)

    def _label_counts(self, number: int) -> dict[Any, int]:
        names = [name for label in self.labels_of(self.rows(number)) for name in _each_name(label)]
        return dict(Counter(name for name in names if name is not None))

    def _label_summary(self, number: int) -> str:
        counts = self._label_counts(number)
        if not counts:
            return ""
        if all(isinstance(value, float) for value in counts):
            return f"{min(counts):g} to {max(counts):g}"
        shown = sorted(counts.items(), key=lambda pair: (-pair[1], str(pair[0])))
        more = f" and {len(shown) - _SHOWN:,} more labels" if len(shown) > _SHOWN else ""
        return ", ".join(f"{for_terminal(name)} {count:,}" for name, count in shown[:_SHOWN]) + more


def part_name(number: int) -> str:
    """'train', 'valid', 'part 2', or 'left out'."""
    return {TRAIN: "train", VALID: "valid", LEFT_OUT: "left out"}.get(number, f"part {number}")


def source_name(source: str | Path, root: Path | None) -> str:
    """A path as it is shown: below `root` where it lies there, with '/' between folders."""
    text = Path(source).as_posix()
    # Asked of every row of a table: cutting the text is five times as fast as pathlib's own way.
    return text if root is None else text.removeprefix(f"{root.as_posix().rstrip('/')}/")


def common_root(sources: Iterable[Any]) -> Path | None:
    """The folder that all paths among the sources lie in, or None where there is none."""
    folders = {os.path.dirname(source) or "." for source in sources if isinstance(source, (str, Path))}
    try:
        shared = os.path.commonpath(folders) if folders else ""
    except ValueError:
        # Absolute and relative paths, or paths on several Windows drives, have nothing in common.
        return None
    return Path(shared) if shared else None


def _each_name(label: Any) -> tuple[Any, ...]:
    return tuple(label) if isinstance(label, (list, tuple, set, frozenset)) else (label,)
