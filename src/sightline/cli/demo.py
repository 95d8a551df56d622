"""`sightline demo`: the whole road on handwritten digits."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli import options as given
from sightline.cli.beforehand import check_device
from sightline.cli.options import OUTPUT
from sightline.starting import import_torch


def demo(
    out: Annotated[
        Path | None,
        typer.Option(help="The run folder, new or empty; runs/demo-<time> where not given.", rich_help_panel=OUTPUT),
    ] = None,
    seed: Annotated[int, typer.Option(help="Fixes the split, the first weights and every random draw.")] = 42,
    device: given.Device = None,
    debug: given.Debug = False,
) -> None:
    """Train a small network on 1,797 handwritten digits in about a minute, and show what comes out.

    The pictures are written out as folders first, so everything after that is what `sightline train` does with yours.
    """
    check_device(device)
    import_torch()
    from sightline.demo import run_demo

    run_demo(out=out, seed=seed, device=device)
