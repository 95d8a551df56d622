"""Options that several commands share, with their help texts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

DATA, MODEL, TRAINING, OUTPUT = "Data", "Model", "Training", "Output and machine"
"""Headings of the help page."""

LabelsFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--labels", help="A CSV table with one row a picture, in place of folders that name the labels.", rich_help_panel=DATA
    ),
]
FileColumn: TypeAlias = Annotated[
    str | None, typer.Option("--fn-col", help="Column of the file names; the first one where not given.", rich_help_panel=DATA)
]
LabelColumns: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--label-col", help="Column of the labels; the second one where not given. Repeat it for several.", rich_help_panel=DATA
    ),
]
LabelDelimiter: TypeAlias = Annotated[
    str | None,
    typer.Option("--label-delim", help="What separates several labels in one cell, such as ' '.", rich_help_panel=DATA),
]
ValidColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--valid-col", help="Column that says which rows validate; 'is_valid' where there is one.", rich_help_panel=DATA
    ),
]
Folder: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--folder", help="Folder within DATA with the table's files; looked for where not given.", rich_help_panel=DATA
    ),
]
Suffix: TypeAlias = Annotated[
    str,
    typer.Option(
        "--suffix", help="What the table's file names lack, such as .jpg; looked for where not given.", rich_help_panel=DATA
    ),
]
Numbers: TypeAlias = Annotated[
    bool, typer.Option("--regression", help="The labels are numbers to estimate, not names.", rich_help_panel=DATA)
]
GroupColumn: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--group-col",
        help="Column that says which pictures belong together (a patient, a place): all validate, or none.",
        rich_help_panel=DATA,
    ),
]
AllowOutside: TypeAlias = Annotated[
    bool,
    typer.Option("--allow-outside", help="Let the table name files outside of DATA, if you trust it.", rich_help_panel=DATA),
]
BatchSize: TypeAlias = Annotated[int, typer.Option("--bs", min=1, help="Pictures a batch.", rich_help_panel=TRAINING)]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", help="cpu, cuda, cuda:1 or mps; the best one where not given.", rich_help_panel=OUTPUT)
]
Workers: TypeAlias = Annotated[
    int | None,
    typer.Option("--workers", min=0, help="Threads that read pictures; by the CPUs where not given.", rich_help_panel=OUTPUT),
]
Fp32: TypeAlias = Annotated[bool, typer.Option("--fp32", help="Compute in 32-bit floats.", rich_help_panel=OUTPUT)]
Backend: TypeAlias = Annotated[
    str,
    typer.Option("--backend", help="What computes on a CPU: torch; or openvino, if installed.", rich_help_panel=OUTPUT),
]
Debug: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--debug", envvar="SIGHTLINE_DEBUG", help="After an error, show where in the code it came from.", rich_help_panel=OUTPUT
    ),
]
ModelFile: TypeAlias = Annotated[
    Path, typer.Argument(metavar="MODEL", help="A .safetensors file that `sightline train` or learn.export(...) wrote.")
]
