"""Are the pictures there and readable? Asked once, before training, of every row."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from sightline.data.loading.crew import Crew, Watch, result_of
from sightline.data.pictures.decode import probe
from sightline.data.pictures.reading import Reader
from sightline.data.rows.files import get_image_files
from sightline.data.rows.table import Table
from sightline.errors import ImageError, OptionError, SightlineWarning, TableError, counted, did_you_mean
from sightline.runtime import default_workers
from sightline.target import is_blank

OnError: TypeAlias = Literal["set_aside", "raise"]
ON_ERROR: tuple[str, ...] = ("set_aside", "raise")

_SHOWN_MISSING = 20
_SHOWN_UNREADABLE = 10
_AT_ONCE = 32
"""Files a thread looks at before it asks for more."""


def is_picture(value: Any) -> bool:
    """Whether something is what a picture can be read from, as opposed to a row that says where one is."""
    if isinstance(value, (np.ndarray, Tensor)):
        return value.ndim in (2, 3)
    return isinstance(value, (str, Path, bytes, bytearray, memoryview, Image.Image))


def as_items(items: Any) -> Any:
    """What was given for pictures or rows, as something with a length; all that takes several pictures goes through here.

    Args:
        items: One picture (path, bytes, PIL image, array `(H, W[, C])`, tensor `(C, H, W)`) or one row (a mapping) becomes a
            list of it, a folder its pictures, an iterator a list. A list, a table or a stack of pictures stays as it is.
    """
    if isinstance(items, (str, Path)) and Path(items).is_dir():
        return get_image_files(items)
    if isinstance(items, Mapping) or is_picture(items):
        return [items]
    return items if hasattr(items, "__len__") else list(items)


def as_source(value: Any) -> Any:
    """What a getter returned, with text as a Path.

    Raises:
        TableError: Nothing that a picture could be read from.
    """
    if not isinstance(value, str) and is_picture(value):
        return value
    if is_blank(value):
        raise TableError("the file name is blank (None, NaN or nothing but spaces)")
    if isinstance(value, str):
        return Path(value)
    raise TableError(
        f"a {type(value).__name__}, expected a path, a PIL image, an array, a tensor or bytes (does get_x return one?)"
    )


def check_sources(table: Table, *, on_error: OnError, read: Reader) -> Table:
    """The table with unreadable pictures left out, or an error that lists them all.

    Args:
        table: Rows that are left out already are not looked at.
        on_error: 'set_aside' reads every file's header, leaves out what is not a picture and warns by name; 'raise' decodes
            every picture in full and refuses the whole table if one fails.
        read: Reads a picture; the headers of files that a user's own function reads are not looked at.

    Raises:
        TableError: Files do not exist, whatever `on_error` says.
        ImageError: Pictures cannot be read, and `on_error` is 'raise'.
        OptionError: `on_error` is neither.
    """
    if on_error not in ON_ERROR:
        raise OptionError(f"on_error={on_error!r} is not one of {ON_ERROR}. {did_you_mean(str(on_error), ON_ERROR)}".rstrip())
    rows = np.flatnonzero(table.split >= 0).tolist()
    _refuse_missing(table, rows)
    unreadable = find_unreadable(table, rows, decode=on_error == "raise", read=read)
    if not unreadable:
        return table
    named = named_reasons((table.name(row), reason) for row, reason in unreadable.items())
    if on_error == "raise":
        raise ImageError(
            f"{counted(len(unreadable), 'picture')} of {len(rows):,} cannot be read: {named}. "
            "Repair or remove them, or pass on_error='set_aside' to train without them."
        )
    warnings.warn(
        f"{counted(len(unreadable), 'picture')} of {len(rows):,} cannot be read and set aside: {named}. "
        "All of them are in dls.set_aside; on_error='raise' refuses them instead.",
        SightlineWarning,
        stacklevel=2,
    )
    return table.leave_out(unreadable)


def find_unreadable(table: Table, rows: Iterable[int], *, decode: bool, read: Reader) -> dict[int, str]:
    """Why pictures cannot be read, by row; from their headers, or by decoding them."""
    watch = Watch(table.name)

    def reason_of(row: int) -> str | None:
        source = table.sources[row]
        with watch.reading(row):
            if decode:
                return failure(lambda: read(source))
            return probe(source) if isinstance(source, Path) and read.create is None else None

    def reasons_of(some: list[int]) -> list[tuple[int, str]]:
        return [(row, reason) for row in some if (reason := reason_of(row)) is not None]

    rows = list(rows)
    chunks = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    crew = Crew(default_workers(), "sightline-check")
    try:
        futures = [crew.submit(reasons_of, some) for some in chunks]
        return {row: reason for future in futures for row, reason in result_of(future, watch.look)}
    finally:
        crew.dismiss()


def failure(read: Callable[[], Any]) -> str | None:
    """Why a picture cannot be read, or None if it can."""
    try:
        read()
    except ImageError as error:
        return reason_in(error)
    return None


def reason_in(error: ImageError) -> str:
    """The reason alone; who keeps it knows the picture's name."""
    return (str(error).partition(" cannot be read: ")[2] or str(error)).rstrip(".")


def named_reasons(findings: Iterable[tuple[str, str]], most: int = _SHOWN_UNREADABLE) -> str:
    """'a.jpg' (why), 'b.jpg' (why) and 3 more."""
    shown = [f"{name!r} ({reason})" for name, reason in findings]
    more = f" and {len(shown) - most:,} more" if len(shown) > most else ""
    return ", ".join(shown[:most]) + more


def _refuse_missing(table: Table, rows: list[int]) -> None:
    missing = [row for row in rows if isinstance(table.sources[row], Path) and not os.path.lexists(table.sources[row])]
    if not missing:
        return
    shown = ", ".join(repr(table.name(row)) for row in missing[:_SHOWN_MISSING])
    more = f" and {len(missing) - _SHOWN_MISSING:,} more" if len(missing) > _SHOWN_MISSING else ""
    raise TableError(
        f"{counted(len(missing), 'file')} of {len(rows):,} {'does' if len(missing) == 1 else 'do'} not exist: {shown}{more}. "
        f"Expected every picture of the table{_looked_in(table)}. {_hint(table.sources[missing[0]])}"
    )


def _looked_in(table: Table) -> str:
    return f" below {table.root}" if table.root is not None else f" (relative paths start at {Path.cwd()})"


def _hint(path: Path) -> str:
    """What would mend the first missing path, as far as the disk tells."""
    if not path.parent.is_dir():
        return f"There is no folder {path.parent}: check path= and folder=, or the names in the table."
    beside = [entry.name for entry in path.parent.iterdir()]
    endings = [name[len(path.name) :] for name in beside if name.startswith(f"{path.name}.")]
    if endings:
        return f"There is {path.name + endings[0]!r}: pass suff={endings[0]!r}."
    return did_you_mean(path.name, beside) or "Correct the table, or leave those rows out."
