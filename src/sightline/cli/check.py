"""`sightline check`: the options; what they do stands in `checking.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_labelled, check_target
from sightline.cli.options import DATA, OUTPUT
from sightline.cli.settings import TableSettings
from sightline.starting import import_torch

CHECK_EXAMPLES = """
    sightline check pets/

    sightline check planet/ --labels train.csv --label-delim ' ' --out findings.csv

Before a run in a pipeline, which then ends with exit code 1 if there are errors:

    sightline check pets/ --strict
"""


def check(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The folder with the pictures.")],
    labels: given.LabelsFile = None,
    fn_col: given.FileColumn = None,
    label_col: given.LabelColumns = None,
    label_delim: given.LabelDelimiter = None,
    valid_col: given.ValidColumn = None,
    folder: given.Folder = None,
    suffix: given.Suffix = "",
    regression: given.Numbers = False,
    allow_outside: given.AllowOutside = False,
    size: Annotated[
        int, typer.Option(min=1, help="Side in pixels that training will use; far smaller ones are told.", rich_help_panel=DATA)
    ] = 224,
    near: Annotated[
        bool,
        typer.Option(
            "--near/--no-near", help="Look for copies that were resized, compressed anew or cut, too.", rich_help_panel=DATA
        ),
    ] = True,
    every: Annotated[
        bool, typer.Option("--all", help="Show all files of each finding, not the first few.", rich_help_panel=OUTPUT)
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the findings as JSON, and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write a CSV table too, with a row for each file of each finding.", rich_help_panel=OUTPUT),
    ] = None,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="End with exit code 1 if there are errors among the findings.", rich_help_panel=OUTPUT),
    ] = False,
    workers: given.Workers = None,
    debug: given.Debug = False,
) -> None:
    """Look at the pictures and labels in DATA before they cost an epoch.

    Files that cannot be read, that are there twice or in two parts, labels that contradict each other, classes that are too
    small, and more: each finding with its files and what to do. What was seen is kept, so that a second look is quick.

    The exit code is 0 whatever was found, unless --strict is given.
    """
    table = TableSettings(
        labels=labels,
        fn_col=fn_col,
        label_cols=tuple(label_col or ()),
        label_delim=label_delim,
        valid_col=valid_col,
        folder=folder,
        suffix=suffix,
        regression=regression,
        allow_outside=allow_outside,
    )
    check_labelled(data, table)
    check_target("--out", out)
    import_torch()
    from sightline.cli.checking import run_check

    found = run_check(data, table, size=size, near=near, every=every, as_json=json, out=out, workers=workers)
    if strict and not found.ok:
        raise typer.Exit(1)
