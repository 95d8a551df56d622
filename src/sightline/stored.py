"""JSON that a stranger may have written: parsed within limits, and checked field by field.

Everything here raises `ValueError` with what is wrong in words; whoever reads the file turns it into an error of its own that
says which file it was.
"""

from __future__ import annotations

import json
import math
import re
import reprlib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

DEEPEST = 16
"""Lists and objects within one another; what is stored here has six."""

MOST_VALUES = 500_000
"""Enough for 100,000 classes; a parsed value takes many times the memory of its text, so their number is limited first."""

LONGEST_NAME = 1_000
LONGEST_TEXT = 10_000
MOST_DIGITS = 20
"""Characters of a name, of a text, and of a whole number."""

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


def parse_json(text: str | bytes, *, nan: bool = False) -> Any:
    """The value of a JSON text, once its depth and the number of its values are known to be within limits.

    Args:
        text: UTF-8 where it is bytes.
        nan: Allow NaN and Infinity, which are no JSON, but which Python writes for losses that went wrong.

    Raises:
        ValueError: It is not JSON, holds more or deeper values than anything that is stored here, says a name twice in one
            object, or has a number that is not finite or too long.
    """
    text = text.decode("utf-8") if isinstance(text, bytes) else text
    if text.count('"') > 4 * MOST_VALUES:
        raise ValueError(f"it holds more than {2 * MOST_VALUES:,} texts")
    _check_structure(_STRING.sub("", text))
    return json.loads(
        text,
        object_pairs_hook=_without_repeats,
        parse_int=_whole,
        parse_float=_finite,
        parse_constant=float if nan else _finite,
    )


def _check_structure(bare: str) -> None:
    """Look at what remains of a text without its strings, before anything is made of it."""
    if sum(map(bare.count, ",[{")) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} deep")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        repeated = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"it says {shown(repeated)} twice")
    if any(len(name) > LONGEST_NAME for name in found):
        raise ValueError(f"it holds a name of more than {LONGEST_NAME:,} characters")
    return found


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"it holds a whole number of {len(digits):,} digits")
    return int(digits)


def _finite(words: str) -> float:
    value = float(words)
    if not math.isfinite(value):
        raise ValueError(f"it holds {words[:MOST_DIGITS]}, which is not a finite number")
    return value


def shown(value: object) -> str:
    """A value for a message: its repr, shortened however large it is."""
    short = reprlib.Repr()
    short.maxstring = short.maxother = short.maxlong = 80
    text = short.repr(value)
    return text if len(text) <= 200 else f"{text[:200]}..."


@dataclass(frozen=True)
class Kind:
    """What a stored value may be.

    Attributes:
        words: That in words, as they stand after "Expected".
        fits: Whether a value is of this kind.
    """

    words: str
    fits: Callable[[Any], bool]


FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NUMBER = Kind("a finite number", lambda value: type(value) in (int, float) and math.isfinite(value))
TEXT = Kind(f"a text of at most {LONGEST_TEXT:,} characters", lambda value: type(value) is str and len(value) <= LONGEST_TEXT)


def whole(least: int, most: int) -> Kind:
    """A whole number within bounds."""
    return Kind(f"a whole number from {least:,} to {most:,}", lambda value: type(value) is int and least <= value <= most)


def one_of(names: Collection[str]) -> Kind:
    """One of these names."""
    return Kind(f"one of {', '.join(names)}", lambda value: isinstance(value, str) and value in names)


def list_of(kind: Kind, least: int = 0, most: int = MOST_VALUES) -> Kind:
    """A list whose every value is of one kind."""
    count = f"{least:,}" if least == most else f"{least:,} to {most:,}"
    fits = lambda value: isinstance(value, list) and least <= len(value) <= most and all(map(kind.fits, value))
    return Kind(f"a list of {count}, each {kind.words}", fits)


def either(*kinds: Kind) -> Kind:
    """Any of several kinds."""
    return Kind(" or ".join(kind.words for kind in kinds), lambda value: any(kind.fits(value) for kind in kinds))


def or_null(kind: Kind) -> Kind:
    """A kind, or nothing."""
    return Kind(f"{kind.words} or null", lambda value: value is None or kind.fits(value))


def check_fields(data: Any, kinds: Mapping[str, Kind], *, needed: Collection[str] = ()) -> dict[str, Any]:
    """The values of an object, each known to be what it may be.

    Args:
        data: As it was parsed.
        kinds: What each name may hold.
        needed: Names that must be there.

    Raises:
        ValueError: It is no object, a name is unknown or absent, or a value is of another kind.
    """
    if not isinstance(data, Mapping):
        raise ValueError(f"it is {shown(data)}. Expected names with values.")
    for name, value in data.items():
        if name not in kinds:
            raise ValueError(f"it holds the unknown name {shown(name)}: was it written by a newer sightline?")
        if not kinds[name].fits(value):
            raise ValueError(f"it has {name}={shown(value)}. Expected {kinds[name].words}.")
    absent = [name for name in needed if name not in data]
    if absent:
        raise ValueError(f"it lacks {', '.join(absent)}. Is the file complete?")
    return dict(data)
