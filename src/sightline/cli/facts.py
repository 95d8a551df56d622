"""What run.json in a run folder says, read without loading anything large: whether there is a run, which, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import OptionError
from sightline.locking import HOLDER, LOCK
from sightline.stored import parse_json

FAILED, FINISHED = "failed", "finished"
_WITHOUT_EFFECT = frozenset({"out", "workers", "cache", "profile", "save_minutes", "save_steps"})
"""Options that change nothing of what comes out: a run may be gone on with under other ones."""


def refuse_used(path: Path, options: Mapping[str, Any] | None) -> None:
    """Refuse a folder for a run that another one may lie in.

    Args:
        path: The folder.
        options: What the new run is told: one that was told the same may be gone on with. None: the folder must be new.

    Raises:
        OptionError: It holds something else than the beginning of a run with these options.
    """
    if not path.exists() or (path.is_dir() and not _content(path)) or _never_trained(path):
        return
    there = facts_of(path).get("options")
    if options is None or not isinstance(there, dict):
        raise OptionError(
            f"--out {path} holds something already. Expected a new or an empty folder, so that no run overwrites another. "
            "Give another name, or omit --out."
        )
    changed = [
        f"--{name.replace('_', '-')}: {there.get(name)} there, {value} now"
        for name, value in options.items()
        if name not in _WITHOUT_EFFECT and there.get(name) != value
    ]
    if changed:
        raise OptionError(
            f"--out {path} holds a run with other options ({'; '.join(changed)}). To go on with that one: "
            f"sightline resume {path}. For a new one give another name, or omit --out."
        )


def facts_of(path: Path) -> dict[str, Any]:
    """What run.json in a folder says; empty where there is none, or none that can be read."""
    try:
        found = parse_json((path / "run.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def has_finished(path: Path) -> bool:
    """Whether a run in this folder has come to its end."""
    return facts_of(path).get("outcome") == FINISHED


def _content(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir()} - {LOCK, HOLDER}


def has_begun(path: Path) -> bool:
    """Whether there is a run to go on with."""
    return "options" in facts_of(path) and not _never_trained(path)


def _never_trained(path: Path) -> bool:
    """Whether a folder holds nothing but the messages of a run that failed before it had trained: the next may have it."""
    if not path.is_dir() or _content(path) - {"run.json", "log.txt"}:
        return False
    return str(facts_of(path).get("outcome", "")).startswith(FAILED)
