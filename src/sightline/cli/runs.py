"""The run folder of `sightline train`: what is shown goes to its log too, and what was reached is there after every epoch."""

from __future__ import annotations

import json
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console, RenderableType

from sightline.atomic import write_text
from sightline.errors import OptionError, SightlineWarning
from sightline.versions import versions_in_use

LOG_WIDTH = 120


FAILED = "failed"


class Run:
    """One run and its folder.

    Attributes:
        path: The folder.
        screen: Where people look.
        log: The same text in log.txt, without colours.
        facts: What run.json says.
    """

    def __init__(self, path: Path, log: TextIO) -> None:
        """Begin a run in an empty folder; see `open_run`."""
        self.path = path
        self.screen = Console(highlight=False)
        self.log = Console(file=log, width=LOG_WIDTH, highlight=False, no_color=True, force_terminal=False)
        self.facts: dict[str, Any] = {
            "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
            "began": _now(),
            "outcome": "running",
            "python": platform.python_version(),
            "system": platform.platform(),
            "versions": versions_in_use(),
        }

    @property
    def model_path(self) -> Path:
        """Where the trained network goes."""
        return self.path / "model.safetensors"

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
        write_text(self.path / "run.json", json.dumps(self.facts, indent=2, allow_nan=True, default=str) + "\n")


@contextmanager
def open_run(out: Path | None, name: str) -> Iterator[Run]:
    """A run in a folder of its own; run.json says how it ended, whatever happens.

    Args:
        out: The folder, new or empty; None makes runs/<name>-<time>.
        name: What the run is about.

    Raises:
        OptionError: The folder holds something already.
    """
    path = claim_folder(out, name)
    with (path / "log.txt").open("w", encoding="utf-8", buffering=1) as log:
        run = Run(path, log)
        run.note()
        try:
            with _warnings_in(run.log):
                yield run
            run.note(outcome="finished", ended=_now())
        except KeyboardInterrupt:
            run.note(outcome="stopped by Ctrl-C", ended=_now())
            raise
        except Exception as error:
            run.log.print(f"{type(error).__name__}: {error}", markup=False, soft_wrap=True)
            run.note(outcome=f"{FAILED}: {type(error).__name__}: {error}", ended=_now())
            raise
        except BaseException as ending:
            # Such as SystemExit, when whoever reads the screen through a pipe has gone.
            run.note(outcome=f"ended early: {type(ending).__name__}", ended=_now())
            raise


@contextmanager
def _warnings_in(log: Console) -> Iterator[None]:
    """Our own warnings go to the log too, as notes."""
    with warnings.catch_warnings():
        elsewhere = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, SightlineWarning):
                log.print(f"Note: {message}", markup=False, soft_wrap=True)
            elsewhere(message, category, *place, **more)

        warnings.showwarning = show
        yield


def claim_folder(out: Path | None, name: str) -> Path:
    """The folder `out`, or a new one runs/<name>-<time>; made where it is missing.

    Raises:
        OptionError: It holds something already.
    """
    path = out if out is not None else _new_folder(name)
    refuse_used(path)
    path.mkdir(parents=True, exist_ok=True)
    return path


def refuse_used(path: Path) -> None:
    """Refuse a folder for a run that another one may lie in.

    Raises:
        OptionError: It holds something already.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())) and not _never_trained(path):
        raise OptionError(
            f"--out {path} holds something already. Expected a new or an empty folder, so that no run overwrites another. "
            "Give another name, or omit --out."
        )


def _never_trained(path: Path) -> bool:
    """Whether a folder holds nothing but the messages of a run that failed before it had trained: the next may have it."""
    if not path.is_dir() or {entry.name for entry in path.iterdir()} - {"run.json", "log.txt"}:
        return False
    try:
        outcome = json.loads((path / "run.json").read_text(encoding="utf-8")).get("outcome", "")
    except (OSError, ValueError, AttributeError):
        return False
    return str(outcome).startswith(FAILED)


def _new_folder(name: str) -> Path:
    """runs/<name>-<time>, with a number behind it where another run began in the same second."""
    stem = re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"
    base = Path("runs") / f"{stem}-{datetime.now():%Y%m%d-%H%M%S}"
    candidates = (base if number == 1 else base.with_name(f"{base.name}-{number}") for number in range(1, 1000))
    return next(path for path in candidates if not path.exists())


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
