"""What is wrong with labels and parts: classes missing, tiny or much larger than others, names that mean the same."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from sightline.data.checking.findings import Finding
from sightline.data.rows.table import LEFT_OUT, TRAIN, Table, part_name
from sightline.errors import counted, listed
from sightline.target import is_blank

FEW = 10
"""Classes with fewer training pictures are told."""
UNEVEN = 100
"""So is a class that has this many times the pictures of another."""


def label_findings(table: Table) -> list[Finding]:
    """Findings about the labels of a table; where labels are numbers, only that some are missing."""
    if table.labels is None:
        return []
    blank = _blank(table)
    found = [blank] if blank else []
    if not are_names(table.labels):
        return found
    counts = {number: _counts(table, number) for number in sorted(set(table.split.tolist()) - {LEFT_OUT})}
    train = counts.get(TRAIN, Counter())
    others = {number: names for number, names in counts.items() if number != TRAIN}
    found += _alike(sum(counts.values(), Counter()))
    found += _one_class(counts)
    for number, names in others.items():
        found += _untaught(train, names, number) + _unjudged(train, names, number)
    return found + _tiny(train) + _uneven(train)


def are_names(labels: Sequence[Any]) -> bool:
    """Whether labels name classes, and are no numbers to estimate."""
    return not any(
        isinstance(value, float) and not is_blank(value)
        for label in labels
        for value in (label if isinstance(label, list | tuple) else [label])
    )


def meant(name: Any) -> str:
    """What a name has in common with those that differ from it in case, spaces or the form of its accents only."""
    return " ".join(unicodedata.normalize("NFKC", str(name)).split()).casefold()


def _counts(table: Table, number: int) -> Counter[str]:
    names = (
        str(name)
        for label in table.labels_of(table.rows(number))
        for name in (label if isinstance(label, list | tuple | set | frozenset) else [label])
        if not is_blank(name)
    )
    return Counter(names)


def _blank(table: Table) -> Finding | None:
    rows = [row for row in range(len(table)) if table.split[row] != LEFT_OUT and is_blank(table.labels_of([row])[0])]
    if not rows:
        return None
    return Finding(
        "no_label",
        "error",
        f"Without a label: {counted(len(rows), 'picture')}.",
        "Fill the labels in, or leave those rows out; training refuses them.",
        len(rows),
        tuple(map(table.name, rows)),
    )


def _alike(counts: Counter[str]) -> list[Finding]:
    spellings: dict[str, list[str]] = {}
    for name in sorted(counts):
        spellings.setdefault(meant(name), []).append(name)
    several = [names for names in spellings.values() if len(names) > 1]
    told = "; ".join(" and ".join(f"{name!r} x{counts[name]:,}" for name in names) for names in several[:10])
    return _about(
        "labels_alike",
        "error",
        [name for names in several for name in names],
        lambda _: f"{counted(len(several), 'label')} written in several ways, each of which counts as a class: {told}.",
        "Write each label one way: the same letters, no spaces at the ends.",
    )


def _one_class(counts: dict[int, Counter[str]]) -> list[Finding]:
    names = set().union(*counts.values())
    return _about(
        "one_class",
        "error",
        sorted(names) if len(names) == 1 else [],
        lambda told: f"All pictures have the same label, {told}: there is nothing to tell apart.",
        "Add pictures of another class.",
    )


def _untaught(train: Counter[str], names: Counter[str], number: int) -> list[Finding]:
    return _about(
        "class_not_in_train",
        "error",
        sorted(set(names) - set(train)),
        lambda told: f"Classes in '{part_name(number)}' that no training picture has: {told}.",
        "Correct the labels, or move some pictures of each into training; training refuses them as they are.",
    )


def _unjudged(train: Counter[str], names: Counter[str], number: int) -> list[Finding]:
    return _about(
        f"class_not_in_{part_name(number).replace(' ', '_')}",
        "warning",
        sorted(set(train) - set(names)),
        lambda told: f"Classes of which '{part_name(number)}' has no picture: {told}. Nothing is known of how well they go.",
        "Move some pictures of each there; a stratified split does that by itself.",
    )


def _tiny(train: Counter[str]) -> list[Finding]:
    return _about(
        "tiny_class",
        "warning",
        [name for name, count in sorted(train.items(), key=lambda pair: pair[1]) if count < FEW],
        lambda told: f"Classes with fewer than {FEW} training pictures: {told}.",
        "Add pictures of each, or join the class with another; so few are learned by heart.",
        train,
    )


def _uneven(train: Counter[str]) -> list[Finding]:
    largest = max(train.values(), default=0)
    small = [name for name, count in sorted(train.items(), key=lambda pair: pair[1]) if count * UNEVEN <= largest]
    top = max(train, key=lambda name: train[name], default="")
    return _about(
        "uneven_classes",
        "warning",
        small,
        lambda told: f"Classes with less than a hundredth of the {largest:,} training pictures of {top!r}: {told}.",
        "Look at the figures of each class and not at accuracy alone; add pictures, or draw with balanced_weights(dls).",
        train,
    )


def _about(
    code: str, severity: Any, names: list[str], what: Callable[[str], str], to_do: str, counts: Counter[str] | None = None
) -> list[Finding]:
    if not names:
        return []
    told = listed(names) if counts is None else _with_counts(names, counts)
    return [Finding(code, severity, what(told), to_do, len(names), classes=tuple(names))]


def _with_counts(names: list[str], counts: Counter[str], most: int = 10) -> str:
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(f"{name!r} x{counts[name]:,}" for name in names[:most]) + more
