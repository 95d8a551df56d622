"""The run folder of `sightline train`: what is shown goes to its log too, and what was reached is there after every epoch."""

from __future__ import annotations

import json
import math
import os
import platform
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import RenderableType

from sightline.atomic import remove_partials, write_text
from sightline.cli.endings import TERMINATED
from sightline.cli.facts import FAILED, FINISHED, facts_of, has_begun, has_finished, refuse_used
from sightline.console import PlainConsole
from sightline.errors import OptionError, SightlineWarning
from sightline.locking import locked
from sightline.versions import versions_in_use

LOG_WIDTH = 120


class Run:
    """One run and its folder.

    Attributes:
        path: The folder.
        goes_on: Whether it was begun by another process.
        screen: Where people look.
        log: The same text in log.txt, without colours.
        facts: What run.json says.
    """

    def __init__(self, path: Path, log: TextIO, before: dict[str, Any] | None) -> None:
        """Begin a run, or go on with the one of which run.json said `before`; see `open_run`."""
        self.path, self.goes_on = path, before is not None
        self.screen = PlainConsole()
        self.log = PlainConsole(file=log, width=LOG_WIDTH, no_color=True, force_terminal=False)
        now = {
            "outcome": "running",
            "pid": os.getpid(),
            "python": platform.python_version(),
            "system": platform.platform(),
            "versions": versions_in_use(),
        }
        began = {"command": [Path(sys.argv[0]).name, *sys.argv[1:]], "folder": str(Path.cwd()), "began": _now()}
        earlier = (before or {}).get("went_on")
        again = {} if before is None else {"went_on": [*(earlier if isinstance(earlier, list) else []), _now()]}
        self.facts: dict[str, Any] = {**began, **(before or {}), **again, **now}

    @property
    def model_path(self) -> Path:
        """Where the trained network goes."""
        return self.path / "model.safetensors"

    @property
    def checkpoints(self) -> Path:
        """Where the run is kept, to be gone on with."""
        return self.path / "checkpoints"

    @property
    def history_path(self) -> Path:
        """Where the figures of every epoch go."""
        return self.path / "history.csv"

    def say(self, what: RenderableType = "", *, style: str | None = None) -> None:
        """Print to the screen and into the log."""
        for console in (self.screen, self.log):
            console.print(what, style=style, markup=False, soft_wrap=isinstance(what, str))

    def note(self, **facts: Any) -> None:
        """Add to run.json and write it."""
        self.facts.update(facts)
        text = json.dumps(_without_infinities(self.facts), indent=2, allow_nan=False, default=str)
        write_text(self.path / "run.json", text + "\n")


@contextmanager
def open_run(out: Path | None, name: str, options: Mapping[str, Any]) -> Iterator[Run]:
    """A run in a folder that no other process works in meanwhile; run.json says how it ended, whatever happens.

    Args:
        out: The folder: new, empty, or of a run with these options that has not finished; None makes runs/<name>-<time>.
        name: What the run is about.
        options: What it was told, in plain values.

    Raises:
        OptionError: The folder holds something else, the run in it has finished, or another process works in it.
    """
    path = out if out is not None else _new_folder(name)
    refuse_used(path, options)
    if has_finished(path):
        raise OptionError(f"{path} holds this run, and it has finished. To train anew, name another folder.")
    with locked(path):
        remove_partials(path)
        before = facts_of(path) if has_begun(path) else None
        with (path / "log.txt").open(
            "w" if before is None else "a", encoding="utf-8", errors="backslashreplace", buffering=1
        ) as log:
            run = Run(path, log, before)
            run.note(options=run.facts.get("options", dict(options)))
            with _outcome_of(run), _warnings_in(run.log):
                yield run


@contextmanager
def _outcome_of(run: Run) -> Iterator[None]:
    try:
        yield
        run.note(outcome=FINISHED, ended=_now())
    except Exception as error:
        run.log.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
        with suppress(OSError):
            run.note(outcome=f"{FAILED}: {type(error).__name__}: {error}", ended=_now())
        raise
    except BaseException as ending:
        stopped = isinstance(ending, KeyboardInterrupt) or getattr(ending, "code", None) == TERMINATED
        how = "Ctrl-C" if isinstance(ending, KeyboardInterrupt) else "SIGTERM"
        # Else it is such as SystemExit, when whoever reads the screen through a pipe has gone.
        run.note(outcome=f"stopped by {how}" if stopped else f"ended early: {type(ending).__name__}", ended=_now())
        raise


@contextmanager
def _warnings_in(log: PlainConsole) -> Iterator[None]:
    """Our own warnings go to the log too, as notes."""
    with warnings.catch_warnings():
        elsewhere = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, SightlineWarning):
                log.print(f"Note: {message}", markup=False, soft_wrap=True)
            elsewhere(message, category, *place, **more)

        warnings.showwarning = show
        yield


def _without_infinities(value: Any) -> Any:
    """The same with None for numbers that JSON does not know."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(key): _without_infinities(one) for key, one in value.items()}
    return [_without_infinities(one) for one in value] if isinstance(value, list | tuple) else value


def claim_folder(out: Path | None, name: str) -> Path:
    """The folder `out`, new or empty, or a new one runs/<name>-<time>; made where it is missing.

    Raises:
        OptionError: It holds something already.
    """
    path = out if out is not None else _new_folder(name)
    refuse_used(path, None)
    path.mkdir(parents=True, exist_ok=True)
    return path


def _new_folder(name: str) -> Path:
    """runs/<name>-<time>, with a number behind it where another run began in the same second."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    base = Path("runs") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (base if number == 1 else base.with_name(f"{base.name}-{number}") for number in range(1, 1000))
    return next(path for path in candidates if not path.exists())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
