"""A folder that one process at a time works in; the lock of a process that died is no lock."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from sightline.atomic import write_text
from sightline.errors import OptionError

LOCK, HOLDER = ".lock", ".lock.json"


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """A block in which no other process has this folder; made where it is missing.

    The system lets go of a lock when its process ends, however that happens.

    Raises:
        OptionError: Another process has it; its name and number are given.
        OSError: The folder cannot be made or written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise OptionError(
            f"{folder} is in use by {_holder(folder)}. Wait until it has ended, stop it, or name another folder."
        ) from None
    try:
        write_text(folder / HOLDER, json.dumps({"pid": os.getpid(), "host": platform.node()}))
        yield
    finally:
        # The lock's own file stays: whoever is waiting for it has it open already.
        with suppress(OSError):
            (folder / HOLDER).unlink()
        lock.release()


def _holder(folder: Path) -> str:
    with suppress(OSError, ValueError, KeyError, TypeError):
        said = json.loads((folder / HOLDER).read_text(encoding="utf-8"))
        return f"process {said['pid']} on {said['host']}"
    return "another process"
