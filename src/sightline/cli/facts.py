"""What run.json in a run folder says, read without loading anything large: whether there is a run, which, and how it ended."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import OptionError
from sightline.locking import HOLDER, LOCK
from sightline.stored import parse_json

FAILED, FINISHED = "failed", "finished"
_WITHOUT_EFFECT = frozenset({"out", "workers", "cache", "profile", "save_minutes", "save_steps"})
"""Options that change nothing of what comes out: a run may be gone on with under other ones."""
_PATHS = frozenset({"data", "labels", "weights"})
_LARGEST = 64 * 2**20
"""Bytes of a run.json that is read."""


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
    facts = facts_of(path)
    there = facts.get("options")
    if options is None or not isinstance(there, dict):
        raise OptionError(
            f"--out {path} holds something already. Expected a new or an empty folder, so that no run overwrites another. "
            "Give another name, or omit --out."
        )
    changed = [
        f"--{name.replace('_', '-')}: {there.get(name)} there, {value} now"
        for name, value in options.items()
        if name not in _WITHOUT_EFFECT and not _is_same(name, there.get(name), value, Path(str(facts.get("folder", ""))))
    ]
    if changed:
        raise OptionError(
            f"--out {path} holds a run with other options ({'; '.join(changed)}). To go on with that one: "
            f"sightline resume {path}. For a new one give another name, or omit --out."
        )


def _is_same(name: str, there: Any, here: Any, folder: Path) -> bool:
    """Whether two values of an option mean the same; relative paths begin in the folder in which a command was given."""
    if there == here or name not in _PATHS or not (isinstance(there, str) and isinstance(here, str)):
        return bool(there == here)
    return os.path.normpath(folder / there) == os.path.abspath(here)


def facts_of(path: Path) -> dict[str, Any]:
    """What run.json in a folder says; empty where there is none, or none that can be read."""
    file = path / "run.json"
    try:
        if not file.is_file() or file.stat().st_size > _LARGEST:
            return {}
        found = parse_json(file.read_text(encoding="utf-8"), nan=True)
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
