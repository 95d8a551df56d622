"""Labelled pictures as a command line names them: folders that are the labels, or a table."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.cli.beforehand import table_path
from sightline.cli.settings import TableSettings
from sightline.data.rows.files import IMAGE_EXTENSIONS
from sightline.data.rows.frames import read_text, with_types, without_repeats
from sightline.data.rows.getters import column_of
from sightline.data.rows.inside import refuse_outside
from sightline.errors import SightlineWarning, TableError, listed

if TYPE_CHECKING:
    import pandas as pd

TRAIN_FOLDER = "train"
VALID_FOLDERS = ("valid", "val", "validation")
VALID_COLUMN = "is_valid"
TRIED = 20
MOST_FOLDERS = 100
"""Of more folders none is looked for the table's files in: each would be asked for every name and ending."""


@dataclass(frozen=True)
class LabelTable:
    """A table of labels whose columns are settled.

    Attributes:
        frame: File names as text, labels as text or numbers.
        fn_col: Column of the file names.
        label_cols: Columns of the labels.
        valid_col: Column that says which rows validate; None where there is none.
        folder: Folder within the data folder that the file names belong to.
        suffix: What the file names lack at their end.
        group_col: Column that says which pictures belong together; None where there is none.
    """

    frame: pd.DataFrame
    fn_col: str
    label_cols: tuple[str, ...]
    valid_col: str | None
    folder: str = ""
    suffix: str = ""
    group_col: str | None = None

    @property
    def holds_fractions(self) -> bool:
        """Whether all labels are numbers and some have a fractional part: measured values and not names."""
        columns = [self.frame[name] for name in self.label_cols]
        return all(column.dtype.kind in "if" for column in columns) and any((column % 1 > 0).any() for column in columns)


def read_table(settings: TableSettings, data: Path) -> LabelTable:
    """The table that the settings name, with the columns that they name or leave to be found.

    Args:
        settings: Its `labels` is the file: from here, or within `data`.
        data: The folder of the pictures.

    Raises:
        TableError: There is no such file, it is no table, it lacks a column, contradicts itself, or names files outside of
            `data`.
    """
    path = table_path(settings.labels or Path(), data)
    text = read_text(path)
    fn_col = _named(text, settings.fn_col) if settings.fn_col is not None else str(text.columns[0])
    valid_col = _valid_column(text, settings.valid_col)
    group_col = _named(text, settings.group_col) if settings.group_col is not None else None
    taken = {fn_col, valid_col, group_col}
    label_cols = tuple(_named(text, name) for name in settings.label_cols) or _first_label(text, path, taken)
    frame = with_types(text, (fn_col, *(label_cols if settings.label_delim is not None else ())), label_cols)
    if not settings.allow_outside:
        refuse_outside(frame, path, fn_col, data, settings.folder or "")
    frame = without_repeats(frame, path, fn_col, label_cols, valid_col)
    if settings.label_delim is None and len(label_cols) == 1:
        _say_several(frame[label_cols[0]])
    folder, suffix = settings.folder or "", settings.suffix
    if not folder and not suffix and len(frame):
        folder, suffix = _place_of([str(name) for name in frame[fn_col]], data)
    return LabelTable(frame, fn_col, label_cols, valid_col, folder, suffix, group_col)


def split_folders(data: Path) -> tuple[str, str] | None:
    """The folders for training and validation within `data`, if both are there."""
    valid = next((name for name in VALID_FOLDERS if (data / name).is_dir()), None)
    return (TRAIN_FOLDER, valid) if valid is not None and (data / TRAIN_FOLDER).is_dir() else None


def _say_several(column: pd.Series) -> None:
    """Say so where labels look like several names side by side, of which each is a label by itself, too."""
    labels = {label for label in column if isinstance(label, str)}
    for delimiter in " ,;|":
        joined = sorted(label for label in labels if delimiter in label and set(label.split(delimiter)) <= labels)
        if joined:
            warnings.warn(
                f"{joined[0]!r} and {len(joined) - 1} other labels are several labels side by side. If a picture may have "
                f"several, pass --label-delim {delimiter!r}; as it is, each combination counts as a label of its own.",
                SightlineWarning,
                stacklevel=3,
            )
            return


def _place_of(names: list[str], data: Path) -> tuple[str, str]:
    """Folder within `data`, and what is lacking at the end, that make a file name of the table a file; said where it is found.

    Nothing is assumed where there is no such place, or more than one: then the missing files are told.
    """
    # Some names may be wrong, so several are tried, from all over the table; the first that is found anywhere decides.
    tried = names[:: max(1, len(names) // TRIED)]
    if not data.is_dir() or any((data / name).is_file() for name in tried):
        return "", ""
    folders = [data, *sorted(entry for entry in data.iterdir() if entry.is_dir())]
    if len(folders) > MOST_FOLDERS:
        return "", ""
    places: set[tuple[Path, str]] = set()
    name = ""
    for name in tried:
        endings = ("", *IMAGE_EXTENSIONS)
        places = {(folder, ending) for folder in folders for ending in endings if (folder / f"{name}{ending}").is_file()}
        if places:
            break
    if len(places) != 1:
        return "", ""
    folder, suffix = places.pop()
    inside = "" if folder == data else folder.name
    lacking = f", with {suffix} at their end" if suffix else ""
    warnings.warn(
        f"The table's file names are taken to lie in {folder}{lacking}: {name!r} does.", SightlineWarning, stacklevel=2
    )
    return inside, suffix


def _named(frame: pd.DataFrame, name: str) -> str:
    return str(column_of(frame, name).name)


def _valid_column(frame: pd.DataFrame, name: str | None) -> str | None:
    if name is not None:
        return _named(frame, name)
    return VALID_COLUMN if VALID_COLUMN in frame.columns else None


def _first_label(frame: pd.DataFrame, path: Path, taken: set[str | None]) -> tuple[str, ...]:
    free = [str(name) for name in frame.columns if name not in taken]
    if not free:
        raise TableError(
            f"{path} has no column left for the labels: its columns are {listed(list(frame.columns))}. "
            "Expected file names in one column and labels in another; name them with --fn-col and --label-col."
        )
    return (free[0],)
