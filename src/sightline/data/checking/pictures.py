"""What is wrong with pictures, one by one: those that cannot be read, and those that are unlike the others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import PurePath
from typing import Any

import numpy as np
from PIL import Image

from sightline.data.checking.facts import Facts, reason_of
from sightline.data.checking.findings import Finding
from sightline.data.rows.table import Table
from sightline.errors import counted

LONG = 4.0
"""Long side over short side from which a picture is told to be long."""
HUGE = 40_000_000
"""Pixels from which a picture is told to be huge."""
_LEAST_SPREAD = 1.0
_GREY, _ODD = ("1", "L", "LA", "La", "I", "F", "I;16"), ("CMYK", "LAB", "YCbCr", "HSV")
_TOLD = ("not_a_file", "too_many_pixels", "truncated", "damaged")
"""Kinds of which not every file has the same to say."""
_SAME = {"MPO": "JPEG", "DIB": "BMP", "CUR": "ICO"}

_AGAIN = "Fetch them again, or remove them."
UNREADABLE: tuple[tuple[str, tuple[str, ...], str, str], ...] = (
    ("missing", ("there is no such file",), "Files that do not exist", "Correct the names, or leave those rows out."),
    ("broken_link", ("leads nowhere", "symbolic links"), "Links that lead nowhere", "Mend the links, or remove them."),
    ("no_permission", ("no permission",), "Files that may not be read by this user", "Give this user the right to read them."),
    ("empty_file", ("it is empty",), "Empty files (0 bytes)", _AGAIN),
    ("not_a_picture", ("it is not a picture",), "No pictures in a format that is read", "Convert them, or remove them."),
    ("not_a_file", ("not a",), "No files but folders, pipes, sockets or devices", "Remove them, or leave those rows out."),
    ("too_many_pixels", ("that are read",), "More pixels than are read", "Shrink them, if they are what they seem to be."),
    ("truncated", ("cut short",), "Files that are cut short", _AGAIN),
    ("damaged", ("",), "Damaged files", _AGAIN),
)
"""Why pictures cannot be read: a code, words of the reason, words for people, what to do. The first that fits is taken."""


def unreadable_findings(table: Table, facts: Facts) -> list[Finding]:
    """Findings about pictures that cannot be read, one for each kind of reason."""
    kinds: dict[str, list[int]] = {code: [] for code, *_ in UNREADABLE}
    reasons = {row: reason_of(facts[row]) for row in np.flatnonzero(facts["reason"] != b"").tolist()}
    for row, reason in reasons.items():
        kinds[_kind(reason)].append(row)
    return [
        Finding(
            code,
            "error",
            f"{what}: {counted(len(kinds[code]), 'picture')}.",
            to_do,
            len(kinds[code]),
            tuple(map(table.name, kinds[code])),
            tuple(reasons[row] for row in kinds[code]) if code in _TOLD else (),
        )
        for code, _, what, to_do in UNREADABLE
        if kinds[code]
    ]


def odd_findings(table: Table, facts: Facts, size: int | None = None) -> list[Finding]:
    """Findings about pictures that can be read, and that are not what a person would expect.

    Args:
        table: Names them.
        facts: Of each row, `(n,)`.
        size: Side in pixels that training brings pictures to; None compares with the usual size among them.
    """
    sound = facts["reason"] == b""
    short, long = np.minimum(facts["width"], facts["height"]), np.maximum(facts["width"], facts["height"])
    spread = facts["luma"].reshape(len(facts), -1).std(1) if len(facts) else np.zeros(0)
    modes = facts["mode"].astype(str)
    grey, pixels = np.isin(modes, _GREY) | np.char.startswith(modes, "I;"), facts["width"].astype(np.int64) * facts["height"]
    least = size / 2 if size else np.median(short[sound]) / 4 if sound.any() else 0
    rows: dict[str, Any] = {
        "wrong_ending": sound & _misnamed(table, facts),
        "small": sound & (short < least),
        "long": sound & (long > LONG * short),
        "huge": sound & (pixels > HUGE),
        "blank": sound & (facts["has_copy"] > 0) & (spread < _LEAST_SPREAD),
        "grey_among_colour": sound & grey & bool((sound & (modes != "") & ~grey).any()),
        "other_colours": sound & np.isin(modes, _ODD),
        "deep": sound & (facts["deep"] > 0),
        "transparent": sound & (facts["alpha"] > 0),
        "turned": sound & (facts["turn"] >= 2) & (facts["turn"] <= 8),
    }
    told: dict[str, Callable[[int], str]] = {
        "wrong_ending": lambda row: f"holds {_text(facts['format'][row])}",
        "small": lambda row: f"{facts['width'][row]} x {facts['height'][row]}",
        "other_colours": lambda row: _text(facts["mode"][row]),
        "deep": lambda row: _text(facts["mode"][row]),
        "turned": lambda row: f"flag {facts['turn'][row]}",
    }
    told |= {"long": told["small"], "huge": told["small"]}
    words = _words(size, least)
    return [
        _finding(table, code, np.flatnonzero(where).tolist(), told.get(code), *words[code])
        for code, where in rows.items()
        if where.any()
    ]


def _words(size: int | None, least: float) -> dict[str, tuple[Any, str, str]]:
    """Severity, what it is, and what to do, by code."""
    beside = f"half of the {size} that training uses" if size else "a quarter of what is usual among them"
    colour = "Nothing, unless one class has most of them: then colour gives it away."
    return {
        "wrong_ending": ("note", "Another format than the name says", "Nothing: they are read by what they hold."),
        "small": (
            "warning",
            f"A side of less than {least:.0f} pixels, {beside}",
            "See whether they are thumbnails of larger ones; what they lack no enlargement brings back.",
        ),
        "long": (
            "warning",
            f"More than {LONG:g} times as long as wide, or the other way round",
            "Look at them: a cut to a square leaves most of each out. Resize(size, method='pad') keeps all of it.",
        ),
        "huge": (
            "note",
            f"More than {HUGE // 1_000_000} million pixels, which take long to decode",
            "Shrink them once with resize_images.",
        ),
        "blank": ("warning", "Nothing but one colour", "Look at them, and remove those that were meant to show something."),
        "grey_among_colour": ("note", "Grey among others in colour", colour),
        "other_colours": ("note", "Colours of print or measurement", "Nothing: they are read as a person sees them."),
        "deep": ("note", "More than 8 bits a channel", "Nothing: their values are scaled and not cut off."),
        "transparent": ("note", "Transparent places", "Nothing, if white is what should be seen there."),
        "turned": ("note", "Turned upright by an EXIF flag", "Nothing: training, prediction and serving turn them alike."),
    }


def _finding(
    table: Table, code: str, rows: list[int], detail: Callable[[int], str] | None, severity: Any, what: str, to_do: str
) -> Finding:
    details = () if detail is None else tuple(map(detail, rows))
    told = f"{what}: {counted(len(rows), 'picture')}."
    return Finding(code, severity, told, to_do, len(rows), tuple(map(table.name, rows)), details)


def _misnamed(table: Table, facts: Facts) -> Any:
    """Whether files hold a format that their ending does not stand for, bool `(n,)`; endings that mean nothing are right."""
    formats = Image.registered_extensions()
    pairs = zip(table.sources, facts["format"], strict=True)
    return np.array([_lies(source, _text(held), formats) for source, held in pairs], dtype=bool)


def _lies(source: Any, held: str, formats: dict[str, str]) -> bool:
    said = formats.get(PurePath(source).suffix.lower(), "") if isinstance(source, str | PurePath) else ""
    return bool(said and held) and _SAME.get(said, said) != _SAME.get(held, held)


def _kind(reason: str) -> str:
    return next(code for code, words, *_ in UNREADABLE if any(word in reason for word in words))


def _text(value: Any) -> str:
    return bytes(value).decode()
