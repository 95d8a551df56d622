"""From the bytes of a table to its records: encodings, separators and quotes. What is wrong is told with its line."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
import stat
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from sightline.data.rows.files import IMAGE_EXTENSIONS
from sightline.errors import OptionError, SightlineWarning, TableError, did_you_mean

MOST_BYTES = 1 << 30
"""Larger tables are refused before they are read: a million rows are some 50 MB."""
SEPARATORS = (",", "\t", ";", "|")
_PROBED = 50
"""Records that are looked at to tell what separates cells."""
_FIRST = 10_000
"""Letters within which the first line is looked for."""
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NO_TEXT = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
_ZIP = b"PK\x03\x04"


@dataclass(frozen=True)
class Records:
    """The records of a table, those without any text left out.

    Attributes:
        cells: The cells of each, as they are written.
        lines: The line on which each begins, counted from 1.
        delimiter: What separates cells.
    """

    cells: list[list[str]]
    lines: list[int]
    delimiter: str


def read_records(
    path: Path, *, delimiter: str | None = None, quoting: int = csv.QUOTE_MINIMAL, encoding: str | None = None
) -> Records:
    """The records of a CSV file.

    Args:
        path: The file, at most 1 GiB.
        delimiter: One character; None recognises comma, tab, semicolon and '|'.
        quoting: csv.QUOTE_NONE takes quotes for letters; anything else understands them.
        encoding: Python's name of it; None recognises UTF-8, UTF-16 and UTF-32, and takes what is none of them for
            Windows-1252, with a warning.

    Raises:
        TableError: The file is not there, is no text, or its quotes do not end; the line is named.
        OptionError: The delimiter is not one character, or the encoding is unknown.

    Warns:
        SightlineWarning: The text is read as Windows-1252.
    """
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise OptionError(f"delimiter={delimiter!r}: expected one character, such as ',' or ';'.")
    text = _decoded(_read(path), path, encoding).rstrip("\x1a")
    if "\0" in text:
        raise _no_table(path, f"line {_line_of(text, text.index(chr(0)))} holds a NUL byte, which no text has")
    if delimiter is None and text[:4].lower() == "sep=" and text[4:5]:
        delimiter = text[4]  # a spreadsheet's own way to say it
        text = text[5:].lstrip(" ") if text[5:6] in ("\r", "\n") else text
    return _parsed(text, delimiter or _separator_of(text, quoting), quoting, path)


def is_picture_name(cell: str) -> bool:
    """Whether a cell ends as picture files do."""
    return os.path.splitext(cell.strip())[1].lower() in IMAGE_EXTENSIONS


def _read(path: Path) -> bytes:
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise _no_table(path, "it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise _no_table(path, "it is no ordinary file")
        if found.st_size > MOST_BYTES:
            raise _no_table(path, f"it has {found.st_size:,} bytes, more than {MOST_BYTES:,}")
        data = path.read_bytes()
    except FileNotFoundError:
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        hint = did_you_mean(path.name, beside) or "Check path= and csv_fname=."
        raise TableError(f"There is no file {path}. {hint}") from None
    except (OSError, ValueError) as error:
        if isinstance(error, TableError):
            raise
        raise _no_table(path, getattr(error, "strerror", None) or str(error)) from error
    if data.startswith(_ZIP):
        raise _no_table(path, "it is a spreadsheet or another archive, which would have to be saved as CSV first")
    if not data.strip():
        raise _no_table(path, "it is empty")
    return data


def _decoded(data: bytes, path: Path, encoding: str | None) -> str:
    if encoding is not None:
        try:
            return data.decode(encoding).removeprefix("\ufeff")
        except LookupError:
            raise OptionError(f"encoding={encoding!r} is unknown. Expected one that Python has, such as 'utf-8'.") from None
        except UnicodeDecodeError as error:
            raise _no_table(path, f"line {_line_of(data, error.start)} is not {encoding}") from error
    mark, name = next(((mark, name) for mark, name in _MARKS if data.startswith(mark)), (b"", _without_mark(data)))
    try:
        return data[len(mark) :].decode(name)
    except UnicodeDecodeError as error:
        if name != "utf-8" or mark:
            raise _no_table(path, f"it begins like {name} and is not") from error
        return _legacy(data, error.start, path)


def _without_mark(data: bytes) -> str:
    """UTF-16 without a mark shows by the zeros in every second byte of Western text."""
    head = data[:2000]
    for name, zeros in (("utf-16-le", head[1::2]), ("utf-16-be", head[::2])):
        if zeros.count(0) > 0.7 * len(zeros):
            return name
    return "utf-8"


def _legacy(data: bytes, at: int, path: Path) -> str:
    line = _line_of(data, at)
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError as error:
        raise _no_table(path, f"line {line} is not UTF-8") from error
    if _NO_TEXT.search(text) is not None:
        raise _no_table(path, f"line {line} is not UTF-8, and other lines hold control characters, which no text has")
    around = text[max(0, at - 12) : at + 12].splitlines()
    shown = next((part for part in around if any(letter > "\x7f" for letter in part)), "")
    warnings.warn(
        f"{path} is not UTF-8 (first in line {line}), and is read as Windows-1252: {shown!r}. If that looks wrong, save the "
        "table as UTF-8, or say encoding=.",
        SightlineWarning,
        stacklevel=2,
    )
    return text


def _line_of(data: bytes | str, at: int) -> int:
    before = data[:at] if isinstance(data, str) else data[:at].decode("latin-1")
    return (before.count("\n") or before.count("\r")) + 1


def _separator_of(text: str, quoting: int) -> str:
    """What cuts the first records into equally many cells; picture names decide where several do."""
    found: dict[str, tuple[bool, bool, int]] = {}
    for separator in SEPARATORS:
        try:
            rows = [row for row in islice(_reader(text, separator, quoting), _PROBED) if "".join(row)]
        except csv.Error:
            continue
        widths = Counter(len(row) for row in rows)
        if not rows or max(widths) < 2:
            continue
        named = sum(any(map(is_picture_name, row)) for row in rows) * 2 >= len(rows)
        found[separator] = (len(widths) == 1, named, len(rows[0]) > 1)
    # Of equals, the first: the order of SEPARATORS is that of how usual they are.
    return max(found, key=lambda separator: found[separator]) if found else SEPARATORS[0]


def _parsed(text: str, delimiter: str, quoting: int, path: Path) -> Records:
    cells: list[list[str]] = []
    lines: list[int] = []
    for line, row in _numbered(_reader(text, delimiter, quoting), path):
        if "".join(row).strip():
            cells.append(row)
            lines.append(line)
    if not cells:
        raise _no_table(path, "it holds no text")
    return Records(cells, lines, delimiter)


def _reader(text: str, delimiter: str, quoting: int) -> Any:
    """The reader of csv, which has no name for its type."""
    quotes: Literal[0, 3] = csv.QUOTE_NONE if quoting == csv.QUOTE_NONE else csv.QUOTE_MINIMAL
    spaced = _spaced(text, delimiter)
    # newline="" lets a line end as it likes, and leaves those within quotes as they are.
    return csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, quoting=quotes, strict=True, skipinitialspace=spaced)


def _numbered(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Each record with the line on which it begins."""
    line = 0
    try:
        for row in reader:
            yield line + 1, row
            line = reader.line_num
    except csv.Error as error:
        told = "a quote is not closed, or a cell has more than 131,072 letters"
        why = str(error) if "expected after" in str(error) else told
        raise _no_table(path, f"the row that begins on line {line + 1} cannot be read ({why})") from error


def _spaced(text: str, delimiter: str) -> bool:
    """Whether the first line shows that spaces after the separator are but its looks."""
    first = text[:_FIRST].lstrip("\r\n").partition("\n")[0].partition("\r")[0]
    parts = first.split(delimiter)[1:]
    return delimiter != " " and bool(parts) and all(part.startswith(" ") for part in parts)


def _no_table(path: Path, why: str) -> TableError:
    return TableError(f"{path} cannot be read as a table: {why}. Expected comma-separated text in UTF-8.")
