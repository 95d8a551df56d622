"""Which pictures are there more than once: the same bytes, or the same to the eye; and what that does to labels and parts."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.data.cache.notes import open_notes
from sightline.data.checking.facts import Looked, look_at
from sightline.data.checking.findings import Finding
from sightline.data.checking.likeness import LIKENESS_RULES, alike_pairs
from sightline.data.rows.table import LEFT_OUT, Table, part_name
from sightline.errors import counted
from sightline.versions import __version__

Groups = list[list[int]]
_PAIR = np.dtype([("count", "<u4"), ("one", "<u4"), ("other", "<u4")])


class Copies(NamedTuple):
    """Rows that show the same picture.

    Attributes:
        exact: Groups of rows whose files hold the same bytes.
        near: Groups of rows that look alike, of which at least two files differ.
    """

    exact: Groups
    near: Groups


def duplicate_groups(files: Sequence[Any], workers: int | None = None) -> list[int]:
    """A group number for each picture; exact and near duplicates share one, and every other picture has its own.

    Files that cannot be read are alone, unless they hold the same bytes.

    Args:
        files: Paths, or pictures in memory.
        workers: Threads that read; None goes by the CPUs.

    Returns:
        Numbers from 0 on, in the order in which the groups first occur.
    """
    looked = look_at(files, workers=workers)
    copies = find_copies(looked)
    first = list(range(len(files)))
    for group in [*copies.exact, *copies.near]:
        for row in group:
            first[row] = min(group)
    numbers: dict[int, int] = {}
    return [numbers.setdefault(row, len(numbers)) for row in first]


def same_contents(contents: Iterable[bytes | None]) -> Groups:
    """Groups of positions with the same content, two or more each, in order."""
    places: dict[bytes, list[int]] = {}
    for row, content in enumerate(contents):
        if content is not None:
            places.setdefault(content, []).append(row)
    return [rows for rows in places.values() if len(rows) > 1]


def find_copies(looked: Looked, *, near: bool = True) -> Copies:
    """Which of the pictures are copies of one another.

    Args:
        looked: What looking at them gave.
        near: Also look for those that differ in their bytes.
    """
    exact = same_contents(looked.contents)
    if not near:
        return Copies(exact, [])
    again = {row for rows in exact for row in rows[1:]}
    single = np.array([row for row in np.flatnonzero(looked.facts["has_copy"]).tolist() if row not in again], dtype=np.int64)
    pairs = _pairs(looked.facts["luma"][single], looked.facts["chroma"][single])
    copies_of = {rows[0]: rows for rows in exact}
    joined = _joined([(int(single[one]), int(single[other])) for one, other in pairs])
    return Copies(exact, [sorted(copy for row in rows for copy in copies_of.get(row, [row])) for rows in joined])


def _pairs(luma: npt.NDArray[np.uint8], chroma: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """`alike_pairs`, which are kept: the same pictures in the same order have the same ones."""
    key = hashlib.blake2b(luma.tobytes() + chroma.tobytes(), digest_size=16).digest()
    notes = open_notes(f"pairs {__version__} {LIKENESS_RULES}", [], _PAIR)
    known, first = notes.find([key])
    keys = [_numbered(key, number) for number in range(int(first["count"][0]))]
    all_known, kept = notes.find(keys)
    if known[0] and all_known.all():
        return list(zip(kept["one"].tolist(), kept["other"].tolist(), strict=True))
    pairs = alike_pairs(luma, chroma)
    new = np.zeros(len(pairs) + 1, dtype=_PAIR)
    new["count"][0] = len(pairs)
    new["one"][1:], new["other"][1:] = np.array(pairs, dtype=np.uint32).reshape(-1, 2).T
    notes.add([key, *(_numbered(key, number) for number in range(len(pairs)))], new)
    return pairs


def _numbered(key: bytes, number: int) -> bytes:
    return hashlib.blake2b(key + number.to_bytes(8, "little"), digest_size=16).digest()


def copy_findings(table: Table, copies: Copies) -> list[Finding]:
    """What the copies do: pictures of training among those that judge, one picture with two labels, and the plain ones."""
    findings: list[Finding | None] = []
    for groups, exact in ((copies.exact, True), (copies.near, False)):
        labelled = [rows for rows in groups if _labels(table, rows) > 1]
        leaking = [rows for rows in groups if len({int(table.split[row]) for row in rows} - {LEFT_OUT}) > 1]
        others = [rows for rows in groups if rows not in leaking and rows not in labelled]
        findings += [_leaks(table, leaking, exact), _conflicts(table, labelled, exact), _plain(table, others, exact)]
    return [finding for finding in findings if finding is not None]


def _leaks(table: Table, groups: Groups, exact: bool) -> Finding | None:
    looks = "the same bytes" if exact else "the same to the eye (resized, compressed anew or cut)"
    return _finding(
        table,
        groups,
        "leak" if exact else "near_leak",
        "error" if exact else "warning",
        lambda count: f"In more than one part, {looks}: {count}. Validation figures come out too good.",
        "Keep all copies of a picture in one part, or remove all but one.",
    )


def _conflicts(table: Table, groups: Groups, exact: bool) -> Finding | None:
    return _finding(
        table,
        groups,
        "two_labels" if exact else "near_two_labels",
        "error" if exact else "warning",
        lambda count: f"With different labels, {'the same bytes' if exact else 'the same to the eye'}: {count}.",
        "Decide which label is right and remove the other copies; or pass several labels a picture, if all are right.",
    )


def _plain(table: Table, groups: Groups, exact: bool) -> Finding | None:
    return _finding(
        table,
        groups,
        "duplicates" if exact else "near_duplicates",
        "warning" if exact else "note",
        lambda count: f"There more than once, {'the same bytes' if exact else 'the same to the eye'}: {count}.",
        "Remove all but one of each, unless they are meant to count more; a random split would tear them apart.",
    )


def _finding(table: Table, groups: Groups, code: str, severity: Any, what: Callable[[str], str], to_do: str) -> Finding | None:
    if not groups:
        return None
    rows = [row for group in groups for row in group]
    details = tuple(_where(table, row) for row in rows)
    numbers = tuple(number for number, group in enumerate(groups) for _ in group)
    told = what(counted(len(groups), "picture"))
    return Finding(code, severity, told, to_do, len(groups), tuple(map(table.name, rows)), details, numbers)


def _where(table: Table, row: int) -> str:
    """'train, cat'."""
    number = int(table.split[row])
    part = [part_name(number)] if len(set(table.split.tolist()) - {LEFT_OUT}) > 1 else []
    label = None if table.labels is None else table.labels[row]
    return ", ".join([*part, *([] if label is None else [label_text(label)])])


def label_text(label: Any) -> str:
    """A label as it is told: several names side by side."""
    return " + ".join(sorted(map(str, label))) if isinstance(label, list | tuple | set | frozenset) else str(label)


def _labels(table: Table, rows: list[int]) -> int:
    return len({label_text(label) for label in table.labels_of(rows) if label is not None})


def _joined(pairs: Iterable[tuple[int, int]]) -> Groups:
    """Groups of what hangs together by pairs."""
    above: dict[int, int] = {}

    def top(row: int) -> int:
        above.setdefault(row, row)
        while above[row] != row:
            above[row] = above[above[row]]
            row = above[row]
        return row

    for one, other in pairs:
        low, high = sorted((top(one), top(other)))
        above[high] = low
    groups: dict[int, list[int]] = {}
    for row in sorted(above):
        groups.setdefault(top(row), []).append(row)
    return list(groups.values())
