"""Labels against each other: the target is learned from the training part, and the other parts must agree with it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Collection
from typing import Any, Literal, TypeAlias

import torch
from torch import Tensor

from sightline.data.rows.table import TRAIN, Table, part_name
from sightline.errors import LabelError, OptionError, SightlineWarning, SplitError, close_matches, counted, did_you_mean, listed
from sightline.target import NOT_AVAILABLE, Target

Unknown: TypeAlias = Literal["error", "drop"]
UNKNOWN: tuple[str, ...] = ("error", "drop")
_SHOWN = 10


def settle_unknown(table: Table, target: Target, *, unknown: Unknown, given: bool) -> Table:
    """The table without rows whose labels the target does not know, or an error that lists them.

    Args:
        table: Its labels are read.
        target: Learned from the training part.
        unknown: 'error' refuses such rows, 'drop' leaves them out and says so.
        given: The vocabulary was given by the user.

    Raises:
        LabelError: There are such rows and `unknown` is 'error'.
        SplitError: Dropping them leaves a part empty.
        OptionError: `unknown` is neither.
    """
    if unknown not in UNKNOWN:
        raise OptionError(f"unknown={unknown!r} is not one of {UNKNOWN}. {did_you_mean(str(unknown), UNKNOWN)}".rstrip())
    strange = {number: rows for number in table.parts if (rows := _unknown_rows(table, target, number))}
    if not strange:
        return table
    where = "; ".join(_finding(table, target, number, rows, given) for number, rows in strange.items())
    rows = [row for found in strange.values() for row in found]
    if unknown == "error":
        raise LabelError(f"{where}.\n{_expected(table, target, rows, given)}\n{_ways_out(len(rows), given)}")
    warnings.warn(f"{where}. Left out, as unknown='drop' says.", SightlineWarning, stacklevel=2)
    kept = table.leave_out(dict.fromkeys(rows, "its label is unknown"))
    refuse_emptied(table, kept, f"Leaving out {counted(len(rows), 'row')} with unknown labels", classes=True)
    return kept


def refuse_emptied(before: Table, after: Table, what: str, *, classes: bool) -> None:
    """Refuse a table in which a part, or a class of the training part, lost its last picture.

    Args:
        before: The table as it was.
        after: The table with more rows left out.
        what: What was done to it, as the beginning of a sentence.
        classes: Labels are names; False where they are numbers.

    Raises:
        SplitError: A part is empty now.
        LabelError: A class has no training picture any more.
    """
    for number in before.parts:
        if len(before.rows(number)) and not len(after.rows(number)):
            raise SplitError(
                f"{what} left '{part_name(number)}' empty: {_why(before, after)}. Expected pictures in every part."
            )
    gone = _training_names(before) - _training_names(after) if classes else set()
    if gone:
        raise LabelError(
            f"{what} left no training picture of {listed(sorted(map(str, gone)))}: {_why(before, after)}. "
            "Expected some of every class. Mend those pictures, or remove the class."
        )


def say_untaught(table: Table, target: Target) -> None:
    """Warn of names of a given vocabulary that no training picture has.

    Warns:
        SightlineWarning: There are such names; they are listed.
    """
    taught = _training_names(table)
    untaught = [name for name in target.vocab or () if name not in taught and name != NOT_AVAILABLE]
    if untaught:
        warnings.warn(
            f"{counted(len(untaught), 'class', 'classes')} of the vocabulary {'has' if len(untaught) == 1 else 'have'} no "
            f"training picture: {listed(untaught)}. They cannot be learned. Add pictures of each, or take them out of vocab=.",
            SightlineWarning,
            stacklevel=4,
        )


def encode(table: Table, target: Target) -> Tensor:
    """The targets of all rows as one tensor, `(n, ...)` as `target.encode` says; zeros for rows that are left out."""
    rows = [row for number in table.parts for row in table.rows(number).tolist()]
    encoded = target.encode(table.labels_of(rows))
    everything = torch.zeros(len(table), *encoded.shape[1:], dtype=encoded.dtype)
    everything[torch.tensor(rows, dtype=torch.int64)] = encoded
    return everything


def _unknown_rows(table: Table, target: Target, number: int) -> list[int]:
    rows = table.rows(number)
    return [int(rows[position]) for position in target.unknown(table.labels_of(rows))]


def _strangers(table: Table, target: Target, row: int) -> list[Any]:
    """The names in one row's label that the target does not know."""
    return [name for name in _names(table.labels_of([row])[0]) if name not in (target.vocab or ())]


def _finding(table: Table, target: Target, number: int, rows: list[int], given: bool) -> str:
    """'3 rows in split 'valid' have labels never seen in 'train': 'lynx' x3 (first: 'valid/0412.jpg')'."""
    found = [(name, row) for row in rows for name in _strangers(table, target, row)]
    first = dict(reversed(found))
    counts = Counter(name for name, _ in found).most_common()
    told = ", ".join(f"{name!r} x{count} (first: {table.name(first[name])!r})" for name, count in counts[:_SHOWN])
    more = f" and {len(counts) - _SHOWN:,} more names" if len(counts) > _SHOWN else ""
    why = "that are not in the vocabulary" if given else "never seen in 'train'"
    have = "has" if len(rows) == 1 else "have"
    return f"{counted(len(rows), 'row')} in split '{part_name(number)}' {have} labels {why}: {told}{more}"


def _expected(table: Table, target: Target, rows: list[int], given: bool) -> str:
    vocab = target.vocab or ()
    unknown = dict.fromkeys(str(name) for row in rows for name in _strangers(table, target, row))
    close = list(dict.fromkeys(match for name in unknown for match in close_matches(name, map(str, vocab), most=1)))
    closest = f"; closest {'is' if len(close) == 1 else 'are'} {listed(close)}" if close else ""
    source = "given as vocab" if given else "learned from 'train'"
    return f"Expected one of the {len(vocab)} names {source}{closest}."


def _ways_out(total: int, given: bool) -> str:
    these = "this row" if total == 1 else f"these {total:,} rows"
    way = "add the names to vocab" if given else "move an example of each into 'train'"
    return f'Correct the labels, {way}, or pass unknown="drop" to leave {these} out.'


def _names(label: Any) -> Collection[Any]:
    return label if isinstance(label, (list, tuple)) else [label]


def _training_names(table: Table) -> set[Any]:
    return {name for label in table.labels_of(table.rows(TRAIN)) for name in _names(label)}


def _why(before: Table, after: Table) -> str:
    rows = [row for row in after.reasons if row not in before.reasons]
    told = ", ".join(f"{before.name(row)!r} ({after.reasons[row]})" for row in rows[:_SHOWN])
    return told + (f" and {len(rows) - _SHOWN:,} more" if len(rows) > _SHOWN else "")
