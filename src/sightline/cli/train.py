"""`sightline train`: the options; what they do stands in `training.py`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_training
from sightline.cli.options import DATA, MODEL, OUTPUT, TRAINING
from sightline.cli.settings import FrozenWay, OnError, ResizeWay, TableSettings, TrainSettings
from sightline.starting import import_torch

TRAIN_EXAMPLES = """
Folders that name the labels (pets/cat/1.jpg), a fifth of the pictures kept for validation:

    sightline train pets/ --arch resnet34 --epochs 3

A table with several labels a picture:

    sightline train planet/ --labels planet/train.csv --folder train --suffix .jpg --label-delim ' '

Numbers to estimate, from random weights:

    sightline train faces/ --labels ages.csv --label-col age --regression --no-pretrained --epochs 20
"""


def train(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="The folder with the pictures.")],
    labels: given.LabelsFile = None,
    fn_col: given.FileColumn = None,
    label_col: given.LabelColumns = None,
    label_delim: given.LabelDelimiter = None,
    valid_col: given.ValidColumn = None,
    folder: given.Folder = None,
    suffix: given.Suffix = "",
    regression: given.Numbers = False,
    valid: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Share kept for validation; 0.2 unless DATA has the folders train and valid, or the table says.",
            rich_help_panel=DATA,
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option(help="Fixes the split, the first weights and every random draw.", rich_help_panel=DATA)
    ] = 42,
    size: Annotated[
        int, typer.Option(min=1, help="Pictures are brought to this many pixels a side.", rich_help_panel=DATA)
    ] = 224,
    resize: Annotated[
        ResizeWay,
        typer.Option(help="How: cut to a square, fill up to a square, or change the proportions.", rich_help_panel=DATA),
    ] = ResizeWay.crop,
    augment: Annotated[
        bool,
        typer.Option(
            "--augment/--no-augment", help="Turn, flip, zoom and light pictures differently each epoch.", rich_help_panel=DATA
        ),
    ] = True,
    flip: Annotated[
        bool, typer.Option("--flip/--no-flip", help="Whether a mirrored picture still has its label.", rich_help_panel=DATA)
    ] = True,
    on_error: Annotated[
        OnError, typer.Option(help="Unreadable pictures: list them and go on, or stop.", rich_help_panel=DATA)
    ] = OnError.set_aside,
    arch: Annotated[
        str, typer.Option(help="Any torchvision classifier (resnet18, convnext_tiny, ...) or timm name.", rich_help_panel=MODEL)
    ] = "resnet34",
    weights: Annotated[
        str | None, typer.Option(help="A file (.safetensors, .pth) or a name of published weights.", rich_help_panel=MODEL)
    ] = None,
    pretrained: Annotated[
        bool,
        typer.Option(
            "--pretrained/--no-pretrained", help="Begin from published weights, or from random ones.", rich_help_panel=MODEL
        ),
    ] = True,
    epochs: Annotated[int, typer.Option(min=0, help="Epochs in which everything trains.", rich_help_panel=TRAINING)] = 3,
    freeze_epochs: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Epochs before those in which the head alone trains; 1, or 0 from random weights.",
            rich_help_panel=TRAINING,
        ),
    ] = None,
    frozen: Annotated[
        FrozenWay,
        typer.Option(
            help="How the head trains in those: on pictures, or on features of each picture, computed once.",
            rich_help_panel=TRAINING,
        ),
    ] = FrozenWay.train,
    lr: Annotated[float, typer.Option(help="Base learning rate.", rich_help_panel=TRAINING)] = 2e-3,
    bs: given.BatchSize = 64,
    fp32: Annotated[bool, typer.Option("--fp32", help="Compute in 32-bit floats.", rich_help_panel=TRAINING)] = False,
    bf16: Annotated[
        bool, typer.Option("--bf16", help="Compute in bfloat16 where that is safe.", rich_help_panel=TRAINING)
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="The run folder, new or empty; runs/<name>-<time> where not given.", rich_help_panel=OUTPUT),
    ] = None,
    profile: Annotated[
        bool,
        typer.Option(
            "--profile", help="Write a trace of a few steps, trace.json, into the run folder too.", rich_help_panel=OUTPUT
        ),
    ] = False,
    device: given.Device = None,
    workers: given.Workers = None,
    cache: Annotated[
        bool,
        typer.Option(
            "--cache/--no-cache",
            help="Decode each picture once and keep it in ~/.cache/sightline/samples, or decode it in each epoch.",
            rich_help_panel=OUTPUT,
        ),
    ] = True,
    debug: given.Debug = False,
) -> None:
    """Fine-tune a classifier on the pictures in DATA, and write a run folder with the model.

    Labels are the names of the folders that hold the pictures, or stand in a table (--labels). The run folder gets
    model.safetensors, run.json, history.csv and log.txt, renewed after every epoch: Ctrl-C leaves the last whole one.
    """
    settings = settings_from(locals())
    check_training(settings)
    import_torch()
    from sightline.cli.training import run_training

    run_training(settings)


def settings_from(options: Mapping[str, Any]) -> TrainSettings:
    """What is to be trained, from the options of `train` by their names, all of them.

    Raises:
        typer.BadParameter: Two of them exclude each other.
    """
    values = {name: value for name, value in options.items() if name != "debug"}
    fp32, bf16 = values.pop("fp32"), values.pop("bf16")
    if fp32 and bf16:
        raise typer.BadParameter("--fp32 and --bf16 exclude each other: give one of them, or none.")
    if values["weights"] is not None and not values["pretrained"]:
        raise typer.BadParameter(
            "--weights and --no-pretrained exclude each other: begin from those weights, or from random ones."
        )
    of_table = ("labels", "fn_col", "label_delim", "valid_col", "folder", "suffix", "regression")
    columns = tuple(values.pop("label_col") or ())
    table = TableSettings(label_cols=columns, **{name: values.pop(name) for name in of_table})
    return TrainSettings(table=table, precision="fp32" if fp32 else "bf16" if bf16 else None, **values)
