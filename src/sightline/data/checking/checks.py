"""The check as users call it, whole and brief: pictures, copies, labels and parts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.data.checking.duplicates import Copies, copy_findings, find_copies, same_contents
from sightline.data.checking.facts import look_at
from sightline.data.checking.findings import DataCheck, Finding, ordered, shown_files
from sightline.data.checking.folders import empty_beside
from sightline.data.checking.labels import label_findings
from sightline.data.checking.pictures import odd_findings, unreadable_findings
from sightline.data.pictures.contents import hashes_within
from sightline.data.pictures.reading import Reader
from sightline.data.rows.sources import as_source
from sightline.data.rows.table import LEFT_OUT, NO_PART, TRAIN, VALID, Table, common_root
from sightline.errors import DataError, OptionError, counted
from sightline.escaping import for_terminal

BRIEF_SECONDS = 5.0
_BRIEF_LINES = 8
_PARTS = {"train": TRAIN, "valid": VALID}


def check_pictures(
    pictures: Table | Sequence[Any],
    labels: Sequence[Any] | None = None,
    parts: Sequence[Any] | None = None,
    *,
    size: int | None = None,
    near: bool = True,
    read: Reader | None = None,
    workers: int | None = None,
    further: Sequence[Finding] = (),
    advance: Callable[[int], None] | None = None,
) -> DataCheck:
    """Looks at every picture, and at labels and parts, before they cost an epoch.

    Each file is read and decoded in full, once: what was seen is kept, and the next check of unchanged files costs no more
    than asking the system for their times.

    Args:
        pictures: A table; or paths or pictures in memory, one for each.
        labels: A label for each picture: a name, a list of names, numbers; None where there are none. Not with a table.
        parts: The part of each picture: 'train' or 'valid', or a number (0 training, 1 validation, 2 and up further ones, -1
            none); None for data that is not split yet. Not with a table.
        size: Side in pixels that training brings pictures to, which small ones are compared with.
        near: Also look for pictures that are the same to the eye: resized, compressed anew, or cut by a few percent.
        read: Reads a picture; None as training does where nothing else is said.
        workers: Threads that read; None goes by the CPUs, 0 reads in this one.
        further: Findings from elsewhere that belong to the same data.
        advance: Told how many more pictures were looked at, now and then.

    Raises:
        OptionError: Labels or parts do not fit the pictures, or are given with a table.
    """
    began = time.monotonic()
    table = pictures if isinstance(pictures, Table) else _table_of(pictures, labels, parts)
    if table is pictures and (labels is not None or parts is not None):
        raise OptionError("labels= and parts= were given with a table, which has its own. Expected one or the other.")
    rows = [row for row in range(len(table)) if table.reasons.get(row) != NO_PART]
    table = _only(table, rows)
    looked = look_at(table.sources, read, workers, advance)
    findings = [
        *further,
        *_nothing_left(looked.facts["reason"]),
        *unreadable_findings(table, looked.facts),
        *copy_findings(table, find_copies(looked, near=near)),
        *label_findings(table),
        *odd_findings(table, looked.facts, size),
    ]
    return DataCheck(ordered(findings), len(table), table.root, time.monotonic() - began, looked.known)


def check_briefly(table: Table, seconds: float = BRIEF_SECONDS) -> list[str]:
    """What a run should know of its data before it begins, in a few lines; none where there is nothing to say.

    Labels and parts, and pictures with the same bytes in several parts or with several labels. Nothing is decoded.

    Args:
        table: The rows of the run.
        seconds: How long files may be read for that; how far it came is said where it was not enough.
    """
    rows = np.flatnonzero(table.split != LEFT_OUT)
    # Those that judge come first: a leak is a copy of one of them.
    order = rows[np.argsort(table.split[rows] == TRAIN, kind="stable")].tolist()
    contents, unread = hashes_within(seconds, [table.sources[row] for row in order])
    groups = [[order[place] for place in places] for places in same_contents(contents)]
    worth = ("leak", "two_labels")
    found = [finding for finding in copy_findings(table, Copies(groups, [])) if finding.code in worth]
    lines = [_line(finding) for finding in ordered([*found, *label_findings(table), *empty_beside(table)])]
    if len(lines) > _BRIEF_LINES:
        lines = [
            *lines[: _BRIEF_LINES - 1],
            f"and {counted(len(lines) - _BRIEF_LINES + 1, 'further finding')}: see dls.check()",
        ]
    if unread:
        lines.append(
            f"Copies were looked for among {len(rows) - unread:,} of {counted(len(rows), 'picture')} in the {seconds:g} s that "
            "this may take; `sightline check` looks at all."
        )
    return lines


def _nothing_left(reasons: npt.NDArray[np.bytes_]) -> list[Finding]:
    if (reasons == b"").any():
        return []
    told = f"Not one of {counted(len(reasons), 'picture')} can be used." if len(reasons) else "There are no pictures."
    return [Finding("no_pictures", "error", told, "Check the path, and what the files are.", len(reasons))]


def _line(finding: Finding) -> str:
    first = next(iter(shown_files(finding, 1)), "")
    return f"{finding.severity}: {for_terminal(finding.what)}{f' First: {first}.' if first else ''}"


def _table_of(pictures: Sequence[Any], labels: Sequence[Any] | None, parts: Sequence[Any] | None) -> Table:
    for name, values in (("labels", labels), ("parts", parts)):
        if values is not None and len(values) != len(pictures):
            raise OptionError(f"{name} has {counted(len(values), 'value')}, but there are {counted(len(pictures), 'picture')}.")
    split = np.array([_number(part) for part in parts] if parts is not None else [TRAIN] * len(pictures), dtype=np.int8)
    sources = tuple(_source(picture) for picture in pictures)
    return Table(sources, None if labels is None else tuple(labels), split, root=common_root(sources))


def _source(picture: Any) -> Any:
    """A picture's source; what is none stays as it is, and is found when it is read."""
    try:
        return as_source(picture)
    except DataError:
        return Path(str(picture))


def _number(part: Any) -> int:
    number = _PARTS.get(part, part) if isinstance(part, str) else part
    if isinstance(number, str) or not LEFT_OUT <= int(number) <= 127:
        raise OptionError(f"parts holds {part!r}. Expected 'train', 'valid', or a number from -1 (none) to 127.")
    return int(number)


def _only(table: Table, rows: list[int]) -> Table:
    if len(rows) == len(table):
        return table
    labels = None if table.labels is None else tuple(table.labels[row] for row in rows)
    reasons = {place: table.reasons[row] for place, row in enumerate(rows) if row in table.reasons}
    sources = tuple(table.sources[row] for row in rows)
    return replace(table, sources=sources, labels=labels, split=table.split[rows], group=None, rank=None, reasons=reasons)
