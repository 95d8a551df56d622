"""Vocab: the names of the classes; and what a raw label may look like."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from sightline.errors import LabelError, close_matches, counted, listed
from sightline.stored import FLAG, NUMBER, TEXT, Kind, either, list_of

Label: TypeAlias = str | int | float | bool

NOT_AVAILABLE = "#na#"
"""Stands first in the vocabulary when `add_na=True`, for every label that is not known."""

STORED_NAMES: Kind = list_of(either(TEXT, NUMBER, FLAG), 1)
"""The names in a file: texts, numbers, True and False; never anything that would have to be built."""


class Vocab(Sequence[Label]):
    """The names of the classes, in the order of the network's outputs; immutable.

    Attributes:
        o2i: From name to position.
    """

    def __init__(self, names: Iterable[Label]) -> None:
        self._names = tuple(plain(name) for name in names)
        self.o2i: dict[Label, int] = {name: position for position, name in enumerate(self._names)}
        if len(self.o2i) != len(self._names):
            repeated = sorted({str(name) for name, count in Counter(self._names).items() if count > 1})
            raise LabelError(f"The vocabulary names {listed(repeated)} more than once. Give every class one name.")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, position: Any) -> Any:
        """The name at a position, or the names at several: a slice, a list, a tensor, an array."""
        if isinstance(position, slice):
            return self._names[position]
        return self.map_ids(position) if is_collection(position) else self._names[operator.index(plain(position))]

    @property
    def items(self) -> list[Label]:
        """The names as a list."""
        return list(self._names)

    def map_objs(self, objs: Iterable[Label]) -> list[int]:
        """The positions of names.

        Raises:
            KeyError: One of them is unknown.
        """
        return [self.o2i[plain(name)] for name in objs]

    def map_ids(self, ids: Iterable[Any]) -> list[Label]:
        """The names at positions."""
        return [self[position] for position in ids]

    def __iter__(self) -> Iterator[Label]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self.o2i

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Vocab, list, tuple)) and self._names == tuple(other)

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return repr(list(self._names))


def is_blank(label: object) -> bool:
    """Whether a label is missing: None, NaN, or text of nothing but spaces."""
    if isinstance(label, str):
        return not label.strip()
    if label is None:
        return True
    try:
        return bool(math.isnan(label))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        # pandas' NA refuses to be compared or converted; it is the only value that is unequal to itself in this way.
        return type(label).__name__ in {"NAType", "NaTType"}


def plain(label: Any) -> Any:
    """A label as Python's own type, so that it can be written as JSON and compared: numpy's int64(3) becomes 3."""
    return label.item() if hasattr(label, "item") and getattr(label, "ndim", 1) == 0 else label


def is_collection(label: object) -> bool:
    """Whether a label holds several values: a list, an array, and no text."""
    return not isinstance(label, (str, bytes)) and hasattr(label, "__iter__") and getattr(label, "ndim", 1) > 0


def names_of(label: Any) -> list[Any]:
    """The names in one multi-label label; a bare name counts as one, a blank one as none."""
    if is_collection(label):
        return list(label)
    return [] if is_blank(label) else [label]


def numbers_of(label: Any) -> list[float]:
    """The numbers in one label.

    Raises:
        LabelError: It holds something else, or nothing, or a number that is not finite.
    """
    try:
        values = [float(value) for value in (label if is_collection(label) else [label])]
    except (TypeError, ValueError):
        raise LabelError(f"Label {label!r} is not a number. Expected numbers, because the target is Regression.") from None
    if not values or not all(math.isfinite(value) for value in values):
        raise LabelError(f"Label {label!r} is missing, NaN or infinite. Expected finite numbers for every picture.")
    return values


def vocabulary(labels: Sequence[Any], names: Iterable[Any] | None, *, sort: bool, first: tuple[str, ...]) -> Vocab:
    """The vocabulary of these labels, or of `names` where they are given, after the `first` ones."""
    if names is None:
        found = list(dict.fromkeys(plain(label) for label in labels))
        try:
            names = sorted(found) if sort else found
        except TypeError:
            names = sorted(found, key=lambda name: (type(name).__name__, str(name)))
    return Vocab([*first, *(name for name in map(plain, names) if name not in first)])


def refuse_blank(labels: Sequence[Any]) -> None:
    """Make sure that every label is there.

    Raises:
        LabelError: Some are blank or NaN.
    """
    blank = [position for position, label in enumerate(labels) if is_blank(label)]
    if blank:
        raise LabelError(
            f"{counted(len(blank), 'label')} of {len(labels):,} blank or NaN (first: number {blank[0]}). "
            "Expected a label for every picture. Fill them in, or leave those pictures out."
        )


def refuse_unknown(strangers: Sequence[Any], vocab: Vocab) -> None:
    """Make sure that there are no strangers.

    Raises:
        LabelError: There are; the closest known names are offered.
    """
    if not strangers:
        return
    counts = {str(name): sum(str(other) == str(name) for other in strangers) for name in dict.fromkeys(strangers)}
    named = ", ".join(f"{name!r} x{count}" for name, count in list(counts.items())[:10])
    close = [match for name in list(counts)[:3] for match in close_matches(name, map(str, vocab), most=1)]
    hint = f" Closest: {listed(list(dict.fromkeys(close)))}." if close else ""
    raise LabelError(f"Labels that are not in the vocabulary: {named}. Expected one of the {len(vocab)} known names.{hint}")
