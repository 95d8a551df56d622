"""`sightline bench`: the options of `train` and its own; what it does stands in `benching.py`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sightline.cli.beforehand import check_target, check_training
from sightline.cli.options import OUTPUT
from sightline.cli.train import settings_from, train
from sightline.starting import import_torch

BENCH_EXAMPLES = """
    sightline bench pets/ --arch resnet34

    sightline bench pets/ --arch resnet34 --fp32 --seconds 30 --json fp32.json
"""

WITHOUT_A_RUN = {"out": None, "profile": False, "save_minutes": 2.0, "save_steps": None}
"""Options of `train` that are about the run folder, of which there is none here, with what is said in their place."""


def _with_options_of(other: Callable[..., None]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Lets a command offer the options of another one in place of its `**options`, before its own."""

    def widened(command: Callable[..., None]) -> Callable[..., None]:
        theirs, own = (inspect.signature(one, eval_str=True).parameters.values() for one in (other, command))
        left_out = {*WITHOUT_A_RUN, "context", "like"}
        offered = [p.replace(kind=p.KEYWORD_ONLY) for p in theirs if p.name not in left_out]
        offered += [p for p in own if p.kind is p.KEYWORD_ONLY]
        vars(command)["__signature__"] = inspect.Signature(offered)
        command.__annotations__ = {parameter.name: parameter.annotation for parameter in offered}
        return command

    return widened


@_with_options_of(train)
def bench(
    *,
    seconds: Annotated[float, typer.Option(min=0.1, help="About how long to measure.", rich_help_panel=OUTPUT)] = 60.0,
    json: Annotated[Path | None, typer.Option(help="Write the figures into this file too.", rich_help_panel=OUTPUT)] = None,
    **options: Any,
) -> None:
    """Measure what `sightline train` reaches with the same options: pictures a second by stage, and what limits.

    Real steps are made for about a minute on the pictures in DATA, and nothing is saved. Beside the figures stand the share of
    what this machine can do at best, how long an epoch and the whole run would take, and what to try.
    """
    settings = settings_from({**options, **WITHOUT_A_RUN})
    check_training(settings)
    check_target("--json", json)
    import_torch()
    from sightline.cli.benching import run_bench

    run_bench(settings, seconds, json)
