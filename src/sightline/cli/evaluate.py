"""`sightline evaluate`: how good a model is on labelled pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_device, check_labelled, check_model_file
from sightline.cli.options import DATA
from sightline.cli.settings import Machine, TableSettings
from sightline.starting import import_torch

EVALUATE_EXAMPLES = """
    sightline evaluate pets.safetensors pets-of-may/

    sightline evaluate planet.safetensors planet/ --labels may.csv --label-delim ' '
"""


def evaluate(
    model: given.ModelFile,
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The folder with the pictures.")],
    labels: given.LabelsFile = None,
    fn_col: given.FileColumn = None,
    label_col: given.LabelColumns = None,
    label_delim: given.LabelDelimiter = None,
    valid_col: given.ValidColumn = None,
    folder: given.Folder = None,
    suffix: given.Suffix = "",
    allow_outside: given.AllowOutside = False,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="Use the training part too, where DATA or the table has a validation part.", rich_help_panel=DATA
        ),
    ] = False,
    bs: given.BatchSize = 64,
    device: given.Device = None,
    workers: given.Workers = None,
    fp32: given.Fp32 = False,
    backend: given.Backend = "torch",
    debug: given.Debug = False,
) -> None:
    """Compare what MODEL predicts with the labels of the pictures in DATA.

    Where DATA has the folders train and valid, or the table says which rows validate, that part is used.
    """
    table = TableSettings(
        labels, fn_col, tuple(label_col or ()), label_delim, valid_col, folder, suffix, allow_outside=allow_outside
    )
    check_model_file(model)
    check_labelled(data, table)
    check_device(device)
    import_torch()
    from sightline.cli.evaluating import run_evaluation

    run_evaluation(model, data, table, every=every, bs=bs, machine=Machine(device, workers, fp32, backend))
