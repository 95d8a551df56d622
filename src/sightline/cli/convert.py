"""`sightline convert`: weights that fastai saved, into a file that predicts here."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_target
from sightline.cli.options import DATA, MODEL, OUTPUT
from sightline.cli.settings import ResizeWay
from sightline.model.spelling import check_file, check_spelling
from sightline.starting import import_torch

CONVERT_EXAMPLES = """
A file that predicts, from what fastai's learn.save('old') wrote; the labels are those of learn.dls.vocab, in that order:

    sightline convert models/old.pth --arch resnet34 --labels cat,dog --out pets.safetensors

Weights to train further: vision_learner(dls, resnet34, weights='models/old.safetensors').

    sightline convert models/old.pth
"""


def convert(
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A .pth file that fastai's learn.save(...) or torch.save(...) wrote.")
    ],
    arch: Annotated[
        str | None,
        typer.Option("--arch", help="The architecture, such as resnet34 or convnext_tiny.", rich_help_panel=MODEL),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option("--labels", help="Names of the outputs in their order, separated by commas.", rich_help_panel=DATA),
    ] = None,
    vocab: Annotated[
        Path | None,
        typer.Option("--vocab", help="A file with those names, one a line, or a JSON list.", rich_help_panel=DATA),
    ] = None,
    multi_label: Annotated[
        bool, typer.Option("--multi-label", help="A picture may have several of the labels.", rich_help_panel=DATA)
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(min=0, max=1, help="With --multi-label: a label is given above this probability.", rich_help_panel=DATA),
    ] = 0.5,
    regression: given.Numbers = False,
    size: Annotated[
        int, typer.Option(min=1, help="Side in pixels of the pictures that the network was given.", rich_help_panel=DATA)
    ] = 224,
    item_size: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="With presizing: the size of item_tfms=Resize(...), --size being that of aug_transforms.",
            rich_help_panel=DATA,
        ),
    ] = None,
    resize: Annotated[
        ResizeWay, typer.Option(help="How pictures were brought to a square.", rich_help_panel=DATA)
    ] = ResizeWay.crop,
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize",
            help="Whether pictures were normalised; as fastai does for pretrained networks where not given.",
            rich_help_panel=DATA,
        ),
    ] = None,
    n_in: Annotated[int, typer.Option(min=1, help="Channels of the pictures.", rich_help_panel=DATA)] = 3,
    y_low: Annotated[
        float | None, typer.Option(help="Lower end of y_range=, if the learner had one.", rich_help_panel=MODEL)
    ] = None,
    y_high: Annotated[
        float | None, typer.Option(help="Upper end of y_range=, if the learner had one.", rich_help_panel=MODEL)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="The file to write; WEIGHTS with the ending .safetensors where not given.", rich_help_panel=OUTPUT),
    ] = None,
    debug: given.Debug = False,
) -> None:
    """Convert WEIGHTS that fastai saved into a file of sightline, without ever running code that they may hold.

    With --arch and the names of the outputs, the file predicts: it holds the network, its labels and how pictures are prepared.
    Without them, it holds the weights alone, to train further from. What learn.export(...) of fastai wrote (.pkl) cannot be
    read safely; the message says how to take its weights out.
    """
    check_file(weights)
    check_target("--out", out)
    if arch is not None:
        check_spelling(arch)
    import_torch()
    from sightline.cli.converting import run_conversion

    run_conversion(
        weights,
        arch,
        labels,
        vocab,
        out=out,
        y_range=(y_low, y_high),
        multi_label=multi_label,
        thresholds=threshold,
        regression=regression,
        size=size,
        item_size=item_size,
        resize=resize.value,
        normalize=normalize,
        n_in=n_in,
    )
