"""May a table name that file? What a CSV file says stays within the folder of the pictures, unless the user allows more."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.data.rows.getters import column_of
from sightline.errors import TableError, counted

if TYPE_CHECKING:
    import pandas as pd

_MAY_LEAVE = re.compile(r"[/\\]|[A-Za-z]:|.*\.\.", re.DOTALL)
"""Names that begin like absolute ones, or go up somewhere; all others stay inside, and most tables have no others."""
_SHOWN = 5


def refuse_outside(frame: pd.DataFrame, path: Path, fn_col: Any, data: Path, folder: str | Path = "") -> None:
    """Make sure that a table's file names lie within the folder of the pictures.

    Names are judged as they are written: 'a/../b.jpg' and absolute names within the folder are fine. Links that lie in the
    folder are followed wherever they lead, for whoever wrote the table did not put them there.

    Args:
        frame: As `read_labels` gives it.
        path: The table's file, for messages.
        fn_col: Column of the file names.
        data: The folder of the pictures.
        folder: Folder that file names are relative to, from `data`; the user's own word, so it may lie anywhere.

    Raises:
        TableError: Some lie elsewhere; they are named by line.
    """
    names = column_of(frame, fn_col)
    asked = [place for place, name in enumerate(names.tolist()) if isinstance(name, str) and _MAY_LEAVE.match(name)]
    base = os.path.abspath(data / folder)
    roots = {os.path.abspath(data), base, os.path.realpath(data), os.path.realpath(base)}
    outside = [place for place in asked if not _is_inside(names.iloc[place], base, roots)]
    if outside:
        told = ", ".join(f"{names.iloc[place]!r} on line {frame.index[place]}" for place in outside[:_SHOWN])
        more = f" and {len(outside) - _SHOWN:,} more" if len(outside) > _SHOWN else ""
        raise TableError(
            f"{path} names {counted(len(outside), 'file')} outside of {data}: {told}{more}. Expected names of files within it. "
            "Correct them, or, if you trust the table, pass outside=True (--allow-outside)."
        )


def _is_inside(name: str, base: str, roots: Iterable[str]) -> bool:
    # A table may be written on one system and read on another: what leads out of a folder on either is refused on both.
    place = os.path.normpath(os.path.join(base, name.replace("\\", "/")))
    return any(place == root or place.startswith(root.rstrip(os.sep) + os.sep) for root in roots)
