"""What `sightline bench` does: the learner that `sightline train` would train, measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.table import Table

from sightline.atomic import write_text
from sightline.cli.settings import TrainSettings
from sightline.cli.training import load_pictures, make_learner, schedule_of
from sightline.console import PlainConsole
from sightline.runtime import cpus, set_seed
from sightline.train.learner import Learner
from sightline.train.measuring.bench import HEADER, Bench, bench
from sightline.train.measuring.stages import Steps
from sightline.train.measuring.timing import measure_steps
from sightline.versions import versions_in_use

_SHARE_FROZEN = 0.15


def run_bench(settings: TrainSettings, seconds: float, file: Path | None = None) -> Bench:
    """Measure a run and show the figures.

    Args:
        settings: What would be trained.
        seconds: About how long.
        file: Where to write the figures as JSON, too.

    Raises:
        SightlineError: Data, options or weights cannot be used.
        OSError: The file cannot be written.
    """
    set_seed(settings.seed)
    learn = make_learner(settings, load_pictures(settings))
    schedule = schedule_of(settings)
    plan = str(learn.plan(**schedule))
    screen = PlainConsole()
    screen.print(plan, soft_wrap=True)
    screen.print()
    found, frozen = _measured(learn, seconds, schedule)
    run_seconds = _run_seconds(found, frozen, schedule)
    _show(screen, found)
    screen.print("\n" + _duration_words(found, run_seconds, schedule), soft_wrap=True)
    if file is not None:
        facts = {"run_seconds": run_seconds, "cpus": cpus(), "versions": versions_in_use()}
        text = json.dumps({**found.to_json(), **facts, "plan": plan, "options": settings.to_json()}, indent=2, default=str)
        write_text(file, text + "\n")
        screen.print(f"\nThe figures are in {file}.", soft_wrap=True)
    return found


def _measured(learn: Learner, seconds: float, schedule: dict[str, Any]) -> tuple[Bench, Steps]:
    """The job with everything training, and the steps in which the head alone does, if there are any."""
    console = PlainConsole(stderr=True)
    with console.status("Measuring ...") as status:

        def tell(what: str) -> None:
            status.update(f"Measuring {what} ...")

        if not schedule["freeze_epochs"] or schedule["frozen"] != "train":
            found = bench(learn, seconds, tell=tell)
            return found, found.steps
        found = bench(learn, (1 - _SHARE_FROZEN) * seconds, tell=tell)
        tell("steps of the head alone")
        learn.freeze()
        return found, measure_steps(learn, _SHARE_FROZEN * seconds)


def _run_seconds(found: Bench, frozen: Steps, schedule: dict[str, Any]) -> float:
    """How long the whole run would take: its epochs, and what the first of all takes longer because pictures are decoded."""
    total: float = schedule["epochs"] * found.epoch_seconds()
    heads = schedule["freeze_epochs"]
    if heads and schedule["frozen"] == "features":
        # One pass forwards; what follows it is next to nothing.
        forwards = sum(stage.median for stage in found.steps.parts if stage.name in ("wait", "forward"))
        total += forwards * found.pictures[0]
    elif heads:
        total += heads * found.epoch_seconds(steps=frozen)
    longer = max(0.0, found.epoch_seconds(first=True) - found.epoch_seconds())
    return total + (longer if total else 0.0)


def _show(screen: PlainConsole, found: Bench) -> None:
    if not screen.is_terminal:
        screen.print(str(found), soft_wrap=True)
        return
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column, name in enumerate(HEADER):
        table.add_column(name, justify="left" if column == 0 else "right")
    for row in found.rows:
        table.add_row(*row.cells(), style="bold" if row.stage.startswith("whole step") else None)
    screen.print(table)
    for sentence in found.sentences():
        screen.print("\n" + sentence)


def _duration_words(found: Bench, run_seconds: float, schedule: dict[str, Any]) -> str:
    later, first = found.epoch_seconds(), found.epoch_seconds(first=True)
    decoding = f" (the first, which decodes the pictures, {in_words(first)})" if first > 1.2 * later else ""
    heads = f"{schedule['freeze_epochs']} of the head alone and " if schedule["freeze_epochs"] else ""
    return (
        f"An epoch takes about {in_words(later)}{decoding}, the whole run, {heads}{schedule['epochs']} of everything, "
        f"about {in_words(run_seconds)}."
    )


def in_words(seconds: float) -> str:
    """A duration for people, such as '3.2 s', '4 min 10 s' or '2 h 5 min'."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes_left = divmod(minutes, 60)
    return f"{hours:,} h {minutes_left} min" if hours else f"{minutes} min {rest} s"
