"""What `sightline check` does: a folder or a table -> findings -> a table on screen, JSON, a CSV file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table as ScreenTable
from rich.text import Text

from sightline.atomic import whole_file
from sightline.cells import csv_line
from sightline.cli.labelled import LabelTable, read_table, split_folders
from sightline.cli.settings import TableSettings
from sightline.console import PlainConsole
from sightline.data.checking.checks import check_pictures
from sightline.data.checking.findings import COLUMNS, DataCheck, Finding, shown_files
from sightline.data.checking.folders import Survey, survey
from sightline.data.rows.files import nothing_found
from sightline.data.rows.getters import ColReader, parent_label
from sightline.data.rows.split import ColSplitter
from sightline.data.rows.table import LEFT_OUT, NO_PART, TRAIN, VALID, Table
from sightline.errors import OptionError, counted
from sightline.escaping import for_terminal
from sightline.target import is_blank

SHOWN = 5
"""How many files of a finding are shown where not all are asked for."""
_COLOURS = {"error": "red", "warning": "yellow", "note": "cyan"}


def run_check(
    data: Path,
    settings: TableSettings,
    *,
    size: int,
    near: bool,
    every: bool,
    as_json: bool,
    out: Path | None,
    workers: int | None = None,
) -> DataCheck:
    """Look at the data, and show or write what was found.

    Args:
        data: The folder.
        settings: How labels are to be read.
        size: Side in pixels that training will use.
        near: Look for copies that differ in their bytes, too.
        every: Show all files of each finding.
        as_json: Print JSON and nothing else.
        out: A CSV file to write.
        workers: Threads that read.

    Raises:
        DataError: There are no pictures, or the table cannot be used.
        OptionError: The CSV file would be written over what is read.
    """
    seen = survey(data)
    table = _labelled(data, settings, seen)
    _refuse_overwriting(out, settings, table)
    progress = _progress(not as_json)
    with progress:
        task = progress.add_task("checking", total=len(table))
        further = seen.findings()
        found = check_pictures(
            table, size=size, near=near, workers=workers, further=further, advance=lambda n: progress.advance(task, n)
        )
    if out is not None:
        _write(found, out)
    if as_json:
        typer.echo(json.dumps(found.to_json(), indent=2))
    else:
        _show(found, every, out)
    return found


def _labelled(data: Path, settings: TableSettings, seen: Survey) -> Table:
    """The pictures with labels and parts, whatever is wrong with them.

    Raises:
        DataError: There are none, or the table cannot be used.
    """
    if settings.labels is not None:
        return _from_table(read_table(settings, data), settings, data)
    if not seen.pictures:
        raise nothing_found(data)
    folders = split_folders(data)
    parts = {} if folders is None else {folders[0]: TRAIN, folders[1]: VALID}
    numbers = [parts.get(file.relative_to(data).parts[0], LEFT_OUT if parts else TRAIN) for file in seen.pictures]
    split = np.array(numbers, dtype=np.int8)
    reasons = dict.fromkeys(np.flatnonzero(split == LEFT_OUT).tolist(), NO_PART)
    labels = tuple(parent_label(file) for file in seen.pictures)
    return Table(tuple(seen.pictures), labels, split, root=data, reasons=reasons)


def _from_table(table: LabelTable, settings: TableSettings, data: Path) -> Table:
    names = ColReader(table.fn_col, pref=data / table.folder, suff=table.suffix).read_frame(table.frame)
    sources = tuple(Path("") if is_blank(name) else Path(name) for name in names)
    split = np.zeros(len(sources), dtype=np.int8)
    if table.valid_col is not None:
        split[list(ColSplitter(table.valid_col)(table.frame)[1])] = VALID
    return Table(sources, tuple(_labels(table, settings)), split, root=data)


def _labels(table: LabelTable, settings: TableSettings) -> list[Any]:
    """Labels as text or lists of it; as fractions where they are numbers to estimate."""
    values = ColReader(list(table.label_cols), label_delim=settings.label_delim).read_frame(table.frame)
    if settings.regression or (settings.label_delim is None and table.holds_fractions):
        return [[float(number) for number in value] if isinstance(value, list) else float(value) for value in values]
    if len(table.label_cols) > 1 and settings.label_delim is None:
        return [_flagged(table.label_cols, value) for value in values]
    return values


def _flagged(columns: tuple[str, ...], cells: list[Any]) -> list[Any]:
    """The names of the columns that are set, or what stands in them."""
    if all(cell in (0, 1, True, False) for cell in cells):
        return [name for name, cell in zip(columns, cells, strict=True) if cell]
    return [cell for cell in cells if not is_blank(cell)]


def _refuse_overwriting(out: Path | None, settings: TableSettings, table: Table) -> None:
    read = (
        {os.path.realpath(path) for path in (settings.labels, *table.sources) if isinstance(path, Path)}
        if out is not None
        else set()
    )
    if out is not None and os.path.realpath(out) in read:
        raise OptionError(f"--out {out} would write over what is read. Expected another name for the findings.")


def _write(found: DataCheck, out: Path) -> None:
    rows = found.to_frame().itertuples(index=False)
    lines = [csv_line(COLUMNS), *(csv_line(None if cell is None else cell for cell in row) for row in rows)]
    with whole_file(out) as partial:
        partial.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")


def _show(found: DataCheck, every: bool, out: Path | None) -> None:
    screen = PlainConsole()
    table = ScreenTable("", "found", "what to do", box=None, header_style="bold", pad_edge=False, padding=(0, 2, 1, 0))
    for column in table.columns[1:]:
        column.overflow = "fold"
    for finding in found.findings:
        table.add_row(Text(finding.severity, style=_COLOURS[finding.severity]), _told(finding, every), finding.to_do)
    if found.findings:
        screen.print(table)
    again = f" Of {counted(found.known, 'picture')} all was known from before." if found.known else ""
    screen.print(found.headline + again, style="bold", soft_wrap=True)
    if out is not None:
        screen.print(f"{out} has a row for each file of each finding.", soft_wrap=True)


def _told(finding: Finding, every: bool) -> Text:
    told = Text(for_terminal(finding.what))
    for line in shown_files(finding, None if every else SHOWN):
        told.append(f"\n  {line}", style="dim")
    return told


def _progress(wanted: bool) -> Progress:
    screen = PlainConsole(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
    )
    return Progress(*columns, console=screen, transient=True, disable=not (wanted and screen.is_terminal))
