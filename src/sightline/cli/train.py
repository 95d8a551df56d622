"""`sightline train`: the options; what they do stands in `training.py`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_training
from sightline.cli.facts import facts_of, has_finished
from sightline.cli.options import DATA, MODEL, OUTPUT, TRAINING
from sightline.cli.settings import FrozenWay, OnError, ResizeWay, TableSettings, TrainSettings
from sightline.errors import OptionError
from sightline.starting import import_torch

TRAIN_EXAMPLES = """
Folders that name the labels (pets/cat/1.jpg), a fifth of the pictures kept for validation:

    sightline train pets/ --arch resnet34 --epochs 3

A table with several labels a picture:

    sightline train planet/ --labels planet/train.csv --folder train --suffix .jpg --label-delim ' '

Numbers to estimate, from random weights:

    sightline train faces/ --labels ages.csv --label-col age --regression --no-pretrained --epochs 20
"""

RESUME_EXAMPLES = """
    sightline resume runs/pets-20260101-120000
"""


def train(
    context: typer.Context,
    data: Annotated[
        Path | None, typer.Argument(metavar="DATA", help="The folder with the pictures; with --like, that of the other run.")
    ] = None,
    labels: given.LabelsFile = None,
    fn_col: given.FileColumn = None,
    label_col: given.LabelColumns = None,
    label_delim: given.LabelDelimiter = None,
    valid_col: given.ValidColumn = None,
    folder: given.Folder = None,
    suffix: given.Suffix = "",
    regression: given.Numbers = False,
    group_col: given.GroupColumn = None,
    allow_outside: given.AllowOutside = False,
    valid: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=0.99,
            help="Share kept for validation, copies of a picture on one side; 0.2 unless DATA has the folders train and "
            "valid, or the table says.",
            rich_help_panel=DATA,
        ),
    ] = None,
    test: Annotated[
        float, typer.Option(min=0.0, max=0.9, help="Share kept for a test after training.", rich_help_panel=DATA)
    ] = 0.0,
    folds: Annotated[
        int | None, typer.Option(min=2, help="Validate on one of so many parts of about the same size.", rich_help_panel=DATA)
    ] = None,
    fold: Annotated[int, typer.Option(min=0, help="Which of the --folds, from 0.", rich_help_panel=DATA)] = 0,
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
    deterministic: Annotated[
        bool,
        typer.Option("--deterministic", help="The same bits each time on a GPU too; slower there.", rich_help_panel=TRAINING),
    ] = False,
    like: Annotated[
        Path | None,
        typer.Option(help="Do again what another run folder says; what else is given here differs.", rich_help_panel=OUTPUT),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The run folder: new, or of a run to go on with; runs/<name>-<time> where not given.", rich_help_panel=OUTPUT
        ),
    ] = None,
    save_minutes: Annotated[
        float, typer.Option(min=0.0, help="Keep the run this often, to go on from there.", rich_help_panel=OUTPUT)
    ] = 2.0,
    save_steps: Annotated[
        int | None, typer.Option(min=1, help="Keep it after so many training steps too.", rich_help_panel=OUTPUT)
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
    model.safetensors, run.json, history.csv and log.txt, renewed after every epoch. Whatever stops a run, the same command
    with the same --out goes on with it, and so does `sightline resume`: the model is the one that it would have been.
    """
    options = {name: value for name, value in locals().items() if name not in {"context", "like"}}
    start(settings_from(options) if like is None else settings_like(like, options, given_in(context)), like)


def resume(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run folder, such as runs/pets-20260101-120000.")],
    workers: given.Workers = None,
    debug: given.Debug = False,
) -> None:
    """Go on with a run that was stopped or killed, as `sightline train` was told to do it.

    It goes on after the last step that was kept, in the middle of an epoch too; weights and history are in the end, to the last
    bit, those of a run that nobody stopped (on a CPU; on a GPU with --deterministic).
    """
    settings = settings_of(run)
    start(replace(settings, out=run, workers=settings.workers if workers is None else workers))


def start(settings: TrainSettings, like: Path | None = None) -> None:
    """Check what can be checked at once, and train."""
    check_training(settings)
    if settings.out is not None and has_finished(settings.out):
        typer.echo(f"{settings.out} holds this run, and it has finished. To train anew, name another folder.")
        return
    import_torch()
    from sightline.cli.training import run_training

    run_training(settings, like=like)


def settings_of(run: Path) -> TrainSettings:
    """What the run in a folder was told.

    Raises:
        OptionError: There is no such run, or its options are not of this version.
    """
    facts = facts_of(run)
    if not isinstance(facts.get("options"), dict):
        there = "its run.json cannot be read" if (run / "run.json").exists() else "there is no run.json"
        raise OptionError(f"{run} holds no run to go on with: {there}. Expected a folder that `sightline train` made.")
    try:
        return TrainSettings.from_json(facts["options"], beside=Path(str(facts.get("folder", ""))))
    except OptionError as error:
        raise OptionError(f"{run / 'run.json'}: {error}") from None


def settings_like(run: Path, options: Mapping[str, Any], given_here: Collection[str]) -> TrainSettings:
    """What another run was told, but for what is given here.

    Raises:
        OptionError: There is no such run.
    """
    before = settings_of(run).flat()
    before |= {"label_col": before["label_cols"], "fp32": before["precision"] == "fp32", "bf16": before["precision"] == "bf16"}
    here = {name: options[name] for name in given_here if name in options}
    if {"fp32", "bf16"} & here.keys():
        before |= {"fp32": False, "bf16": False}
    return settings_from({name: before.get(name, value) for name, value in options.items()} | {"out": None} | here)


def given_in(context: typer.Context) -> list[str]:
    """The names of the options that stand on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return [name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"]


def settings_from(options: Mapping[str, Any]) -> TrainSettings:
    """What is to be trained, from the options of `train` by their names, all of them.

    Raises:
        typer.BadParameter: Two of them exclude each other, or the data is missing.
    """
    values = {name: value for name, value in options.items() if name != "debug"}
    if values["data"] is None:
        raise typer.BadParameter("Missing argument 'DATA': the folder with the pictures.")
    if values["folds"] is not None and values["valid"] is not None:
        raise typer.BadParameter("--folds and --valid exclude each other: one of the folds validates.")
    if values["fold"] >= (values["folds"] or 1):
        raise typer.BadParameter(
            f"--fold {values['fold']}: expected a number from 0 to one less than --folds, which says how many."
        )
    fp32, bf16 = values.pop("fp32"), values.pop("bf16")
    if fp32 and bf16:
        raise typer.BadParameter("--fp32 and --bf16 exclude each other: give one of them, or none.")
    if values["weights"] is not None and not values["pretrained"]:
        raise typer.BadParameter(
            "--weights and --no-pretrained exclude each other: begin from those weights, or from random ones."
        )
    of_table = [one.name for one in fields(TableSettings) if one.name != "label_cols"]
    columns = tuple(values.pop("label_col") or ())
    table = TableSettings(label_cols=columns, **{name: values.pop(name) for name in of_table})
    return TrainSettings(table=table, precision="fp32" if fp32 else "bf16" if bf16 else None, **values)
