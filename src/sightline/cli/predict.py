"""`sightline predict`: labels for pictures, into a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_device, check_model_file, check_target, find_pictures
from sightline.cli.options import OUTPUT
from sightline.cli.settings import Machine
from sightline.starting import import_torch

PREDICT_EXAMPLES = """
The five most probable labels of every picture in a folder and below, as a table in a file:

    sightline predict pets.safetensors photos/ --top 5 --csv labels.csv

Two pictures, shown on screen:

    sightline predict pets.safetensors cat.jpg dog.jpg
"""


def predict(
    model: given.ModelFile,
    pictures: Annotated[
        list[Path], typer.Argument(metavar="PICTURES...", help="Picture files, or folders with pictures in them.")
    ],
    csv: Annotated[
        Path | None,
        typer.Option(
            "--csv", help="Write one row a picture to this file; without it, the first ones are shown.", rich_help_panel=OUTPUT
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, help="How many labels a picture, most probable first.", rich_help_panel=OUTPUT)
    ] = 3,
    bs: given.BatchSize = 64,
    device: given.Device = None,
    workers: given.Workers = None,
    fp32: given.Fp32 = False,
    backend: given.Backend = "torch",
    debug: given.Debug = False,
) -> None:
    """Predict the labels of PICTURES with an exported MODEL.

    Pictures are read as they are needed, so thousands of them take no more memory than a few. One that cannot be read gets a
    row with the reason.
    """
    files = find_pictures(pictures)
    check_model_file(model)
    check_device(device)
    check_target("--csv", csv)
    import_torch()
    from sightline.cli.predicting import run_prediction

    run_prediction(model, files, csv=csv, top=top, bs=bs, machine=Machine(device, workers, fp32, backend))
