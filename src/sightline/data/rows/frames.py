"""Reading a CSV file of labels without losing what stands in it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from sightline.data.rows.getters import column_of
from sightline.errors import TableError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd


def read_labels(
    path: Path,
    *,
    header: int | Literal["infer"] | None = "infer",
    delimiter: str | None = None,
    quoting: int = 0,
    text_columns: Iterable[Any] = (0,),
    label_columns: Any = 1,
) -> pd.DataFrame:
    """The table in a CSV file.

    Args:
        path: The file.
        header: pandas' meaning: row of the column names, 'infer', or None where there are none.
        delimiter: Between values; None takes a comma.
        quoting: A constant of the csv module.
        text_columns: Columns, by name or position, that stay text as written.
        label_columns: One or several columns whose whole numbers become integers if all are written plainly ('7', not '007'
            or '7.0'), whose other numbers become floats where every cell is such a number, and that stay text otherwise.
            Several columns of True and False become bool: together they say which of the columns a picture belongs to.

    Raises:
        TableError: The file does not exist, is not such a table, or lacks a column.
    """
    import pandas as pd

    options: dict[str, Any] = {"header": header, "sep": delimiter or ",", "quoting": quoting}
    try:
        written: pd.DataFrame = pd.read_csv(path, dtype=str, **options)
        parsed: pd.DataFrame = pd.read_csv(path, **options)
    except FileNotFoundError:
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise TableError(
            f"There is no file {path}. {did_you_mean(path.name, beside) or 'Check path= and csv_fname=.'}"
        ) from None
    except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise TableError(
            f"{path} cannot be read as a table: {str(error).strip()}. Expected comma-separated text in UTF-8."
        ) from error
    labels = label_columns if isinstance(label_columns, (list, tuple)) else [label_columns]
    for col in text_columns:
        name = column_of(parsed, col).name
        parsed[name] = written[name]
    for col in labels:
        name = column_of(parsed, col).name
        flags = len(labels) > 1 and parsed[name].dtype.kind == "b"
        if not flags and not _same_numbers(parsed[name], written[name]):
            parsed[name] = written[name]
    return parsed


def _same_numbers(parsed: pd.Series, written: pd.Series) -> bool:
    """Whether a column of numbers says the same as its text did."""
    if parsed.dtype.kind == "f":
        return True
    return parsed.dtype.kind == "i" and bool((parsed.astype(str) == written.str.strip()).all())
