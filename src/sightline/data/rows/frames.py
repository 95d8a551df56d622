"""Tables of labels: a CSV file as a DataFrame that says what stands in the file, and nothing else."""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline.data.rows.csv_text import Records, is_picture_name, read_records
from sightline.data.rows.getters import LINE, column_of
from sightline.errors import SightlineWarning, TableError, counted, listed

if TYPE_CHECKING:
    import pandas as pd

Header = int | Literal["infer"] | None
_WHOLE = re.compile(r"-?[1-9]\d{0,17}|0")
_DECIMAL = re.compile(r"-?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_FLAGS = {"True": True, "TRUE": True, "true": True, "False": False, "FALSE": False, "false": False}
_SHOWN = 5


def read_labels(
    path: Path,
    *,
    header: Header = "infer",
    delimiter: str | None = None,
    quoting: int = 0,
    encoding: str | None = None,
    text_columns: Iterable[Any] = (0,),
    label_columns: Any = 1,
) -> pd.DataFrame:
    """The table in a CSV file; its index is the line on which each row begins.

    Args:
        path: The file.
        header: As for `read_text`, and so are the next three.
        delimiter: See `header`.
        quoting: See `header`.
        encoding: See `header`.
        text_columns: Columns, by name or position, that stay text as written.
        label_columns: One or several columns that `with_types` takes for labels.

    Raises:
        TableError: The file does not exist, is not such a table, or lacks a column.
    """
    frame = read_text(path, header=header, delimiter=delimiter, quoting=quoting, encoding=encoding)
    labels = label_columns if isinstance(label_columns, (list, tuple)) else [label_columns]
    return with_types(frame, text_columns, labels)


def read_text(
    path: Path,
    *,
    header: Header = "infer",
    delimiter: str | None = None,
    quoting: int = 0,
    encoding: str | None = None,
) -> pd.DataFrame:
    """A CSV file with all cells as text, empty ones missing; its index is the line on which each row begins.

    Nothing but an empty cell counts as missing: 'NA' and 'null' may be names. Rows without any text are left out.

    Args:
        path: The file.
        header: Row of the column names, counted from 0; 'infer' takes the first one, unless it names a picture; None where
            there are none, and columns are numbered.
        delimiter: Between cells, one character; None recognises comma, tab, semicolon and '|'.
        quoting: A constant of the csv module.
        encoding: Of the text; None recognises it, see `read_records`.

    Raises:
        TableError: The file does not exist, or is no table: rows have more or fewer cells than there are columns.
    """
    import pandas as pd

    records = read_records(path, delimiter=delimiter, quoting=quoting, encoding=encoding)
    names, first = _names(records, header, path)
    rows, lines = records.cells[first:], records.lines[first:]
    if not rows:
        raise TableError(f"{path} has column names ({listed(names, most=20)}), but no rows. Expected one for each picture.")
    rows = _squared(rows, lines, len(names), path)
    columns = [[cell or None for cell in cells] for cells in zip(*rows, strict=True)]
    frame = pd.DataFrame(dict(enumerate(columns)), index=pd.Index(lines, name=LINE), dtype="str")
    frame.columns = pd.Index(names, dtype=object)
    return _without_empty_ends(frame)


def with_types(frame: pd.DataFrame, text_columns: Iterable[Any], label_columns: Collection[Any]) -> pd.DataFrame:
    """The same table with numbers for text that says the same.

    Whole numbers become integers if all of a column are written plainly ('7', not '007' or '7.0'); other numbers become floats
    where every cell is such a number; all else stays text as it is written. Columns of True and False become bool, but for a
    single column of labels: several say together which of the columns a picture belongs to.

    Args:
        frame: As `read_text` gives it.
        text_columns: Columns, by name or position, that stay text.
        label_columns: Columns of labels.

    Raises:
        TableError: There is no such column.
    """
    text = [_position(frame, col) for col in text_columns]
    labels = [_position(frame, col) for col in label_columns]
    flags_are_names = labels if len(labels) == 1 else []
    columns = {
        position: frame.iloc[:, position] if position in text else _typed(frame.iloc[:, position], position in flags_are_names)
        for position in range(len(frame.columns))
    }
    import pandas as pd

    typed = pd.DataFrame(columns, index=frame.index)
    typed.columns = frame.columns
    return typed


def without_repeats(
    frame: pd.DataFrame, path: Path, fn_col: Any, label_cols: Sequence[Any], valid_col: Any = None
) -> pd.DataFrame:
    """The table with one row a file.

    Args:
        frame: As `read_labels` gives it.
        path: The file, for messages.
        fn_col: Column of the file names.
        label_cols: Columns of the labels.
        valid_col: Column that says which rows validate; None where there is none.

    Raises:
        TableError: A file has two different labels, or stands in both parts; files and lines are named.

    Warns:
        SightlineWarning: Rows say the same again, and are left out.
    """
    names = column_of(frame, fn_col)
    filled = names.notna()
    if not names[filled].duplicated().any():
        return frame
    told = [column_of(frame, col) for col in [*label_cols, *([] if valid_col is None else [valid_col])]]
    # By position, so that columns of one name do not meet.
    rows = names.to_frame(0).assign(**{f"{number}": column for number, column in enumerate(told)})
    again = filled & rows.duplicated()
    clashing = filled & ~again & names.duplicated()
    if clashing.any():
        raise _contradiction(rows[filled], clashing[filled], path)
    lines = frame.index[again]
    warnings.warn(
        f"{path} says the same of a file again in {counted(len(lines), 'row')} (first: {names[lines[0]]!r} on line "
        f"{lines[0]}). Each file is used once. To draw some more often, give weights.",
        SightlineWarning,
        stacklevel=3,
    )
    return frame[~again]


def _contradiction(rows: pd.DataFrame, clashing: pd.Series, path: Path) -> TableError:
    files = list(dict.fromkeys(rows.loc[clashing, 0].tolist()))
    some = rows[rows[0].isin(files[:_SHOWN])]
    told = []
    for name in files[:_SHOWN]:
        said = [f"{', '.join(map(str, row[1:]))} on line {line}" for line, *row in some[some[0] == name].itertuples()]
        told.append(f"{name!r} ({'; '.join(said[:_SHOWN])})")
    more = f" and {len(files) - _SHOWN:,} more" if len(files) > _SHOWN else ""
    return TableError(
        f"{path} contradicts itself about {counted(len(files), 'file')}: {', '.join(told)}{more}. Expected one row a file. "
        "Leave out the wrong rows; or, where a picture has several labels, put them into one cell, and say what separates "
        "them: label_delim= or --label-delim."
    )


def _names(records: Records, header: Header, path: Path) -> tuple[list[Any], int]:
    """The columns' names, and which record comes first after them."""
    first = records.cells[0]
    if header == "infer" and any(map(is_picture_name, first)):
        warnings.warn(
            f"{path} has no column names: its first line names a picture ({', '.join(first)[:80]!r}). Its columns are numbered "
            "from 0.",
            SightlineWarning,
            stacklevel=4,
        )
        return [str(number) for number in range(len(first))], 0
    if header is None:
        return list(range(_usual_width(records.cells))), 0
    place = 0 if header == "infer" else header
    if isinstance(place, bool) or not isinstance(place, int) or not 0 <= place < len(records.cells):
        raise TableError(
            f"header={header!r}: {path} has {counted(len(records.cells), 'row')}. Expected 'infer', None or one of them."
        )
    return [name.strip() or f"Unnamed: {number}" for number, name in enumerate(records.cells[place])], place + 1


def _usual_width(rows: list[list[str]]) -> int:
    return Counter(map(len, rows)).most_common(1)[0][0]


def _squared(rows: list[list[str]], lines: list[int], width: int, path: Path) -> list[list[str]]:
    """The rows with as many cells each as there are columns; empty cells past the last column are dropped."""
    if set(map(len, rows)) == {width}:
        return rows
    rows = [row[:width] if len(row) > width and not "".join(row[width:]).strip() else row for row in rows]
    wrong = [(line, len(row)) for line, row in zip(lines, rows, strict=True) if len(row) != width]
    if not wrong:
        return rows
    told = ", ".join(f"line {line} has {count}" for line, count in wrong[:_SHOWN])
    more = f" and {len(wrong) - _SHOWN:,} more" if len(wrong) > _SHOWN else ""
    raise TableError(
        f"{path} cannot be read as a table: {counted(width, 'cell')} a row were expected, but {told}{more}. Mend those rows; a "
        'cell that holds the separator itself has to stand in "quotes".'
    )


def _without_empty_ends(frame: pd.DataFrame) -> pd.DataFrame:
    """A separator at the end of every line makes a column of nothing."""
    width = len(frame.columns)
    while width > 1 and str(frame.columns[width - 1]).startswith("Unnamed: ") and frame.iloc[:, width - 1].isna().all():
        width -= 1
    return frame if width == len(frame.columns) else frame.iloc[:, :width]


def _position(frame: pd.DataFrame, col: Any) -> int:
    if isinstance(col, int) and -len(frame.columns) <= col < len(frame.columns):
        return col % len(frame.columns)
    names: list[Any] = frame.columns.tolist()
    return names.index(column_of(frame, col).name)


def _typed(column: pd.Series, flags_are_names: bool) -> pd.Series:
    import pandas as pd

    cells = column.tolist()
    filled = {cell.strip() for cell in cells if isinstance(cell, str)}
    blank = len(filled) == 0 or any(not isinstance(cell, str) or not cell.strip() for cell in cells)
    if not filled:
        return column
    if filled <= _FLAGS.keys():
        if flags_are_names:
            return column
        read: list[Any] = [_FLAGS[cell.strip()] if isinstance(cell, str) and cell.strip() else None for cell in cells]
    elif all(map(_WHOLE.fullmatch, filled)):
        read = [int(cell.strip()) if isinstance(cell, str) and cell.strip() else None for cell in cells]
    elif all(map(_DECIMAL.fullmatch, filled)) and not all(map(str.isdigit, filled)):
        read = [float(cell.strip()) if isinstance(cell, str) and cell.strip() else float("nan") for cell in cells]
        blank = False
    else:
        return column
    # With a blank among them, pandas would make floats of whole numbers: class 1 would be called 1.0.
    return pd.Series(read, index=column.index, name=column.name, dtype=object if blank else None)
