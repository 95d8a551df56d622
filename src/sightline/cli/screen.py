"""What commands that predict do alike: load a file, show a bar, name the outputs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TypeVar, cast

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sightline.cli.settings import Machine
from sightline.console import PlainConsole
from sightline.predict import Backend, Predictor
from sightline.target import Target

Item = TypeVar("Item")


def load_predictor(model: Path, machine: Machine) -> Predictor:
    """The predictor of an exported file.

    Raises:
        BundleError: It cannot be loaded.
        MissingExtraError: The backend is not installed.
        OptionError: There is no such device or backend.
    """
    backend = cast(Backend, machine.backend)
    return Predictor.load(model, machine.device, "fp32" if machine.fp32 else None, backend=backend)


def with_bar(items: Iterable[Item], total: int, title: str, size: Callable[[Item], int] = lambda item: 1) -> Iterator[Item]:
    """The items, while a bar on standard error shows how far they are and how many pictures go by each second.

    Args:
        items: What is gone through.
        total: How many pictures they are in all.
        title: What happens to them.
        size: How many pictures an item is.
    """
    console = PlainConsole(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=28),
        MofNCompleteColumn(),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[rate]:,.0f} images/s"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    began = time.monotonic()
    done = 0
    with bar:
        task = bar.add_task(title, total=total, rate=0.0)
        for item in items:
            done += size(item)
            bar.update(task, completed=done, rate=done / max(time.monotonic() - began, 1e-9))
            yield item


def output_names(target: Target) -> list[str]:
    """What to call the network's outputs in a table."""
    names = target.vocab or getattr(target, "names", None)
    if names:
        return [str(name) for name in names]
    return ["value"] if target.num_outputs == 1 else [f"value_{k}" for k in range(1, target.num_outputs + 1)]
