"""Cells of the CSV files that are written here: text that a spreadsheet would take for a formula is made harmless.

File names, labels and error messages come from strangers, and a spreadsheet computes what begins with '=' and the like. Such
text gets an apostrophe in front, which spreadsheets understand as 'this is text'. Numbers stay as they are. To read such a
file back, pass each cell through `read_back`, or in pandas: `frame["file"].map(sightline.cells.read_back)`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_FORMULA = re.compile(r"'*[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""How text begins that a spreadsheet may compute, full-width signs included; or that was made harmless already."""
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-](?:inf|nan)")
_TO_QUOTE = re.compile(r"[,;\t|\"\r\n]")
"""What some program takes for the end of a cell: spreadsheets separate by ';' where ',' is the decimal sign."""


def harmless(text: str) -> str:
    """The text of a cell, with an apostrophe in front where a spreadsheet would compute it; numbers are left alone.

    >>> [harmless(text) for text in ("=1+1", "-0.5", "-cat.jpg", "cat.jpg")]
    ["'=1+1", '-0.5', "'-cat.jpg", 'cat.jpg']
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def read_back(cell: str) -> str:
    """The text that `harmless` was given.

    >>> read_back("'=1+1")
    '=1+1'
    """
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell


def csv_line(cells: Iterable[object]) -> str:
    """One line of a CSV file, its end included; None is a blank cell.

    >>> print(csv_line(["=1+1", "a;b", 0.5, None]), end="")
    '=1+1,"a;b",0.5,
    """
    return ",".join(_written(cell) for cell in cells) + "\n"


def _written(cell: object) -> str:
    text = "" if cell is None else harmless(cell) if isinstance(cell, str) else str(cell)
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text
