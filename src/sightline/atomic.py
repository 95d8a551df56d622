"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`; when the block ends well, what was written there takes the name `path`.

    The folder is made where it is missing. After an error the old file, if any, is untouched and the temporary one is gone.

    Raises:
        OSError: The folder cannot be made or written to.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    partial.touch()
    mode = partial.stat().st_mode
    try:
        yield partial
        # Some writers replace the file by one that only its owner may read.
        partial.chmod(mode)
        with partial.open("rb") as written:
            os.fsync(written.fileno())
        os.replace(partial, path)
        _settle(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def remove_partials(folder: Path) -> None:
    """Take away what processes left half written when they were killed; only where no other process writes now."""
    for partial in folder.glob(".*.part"):
        partial.unlink(missing_ok=True)


def _settle(folder: Path) -> None:
    """See that a new name outlives a loss of power; where the system cannot do that for folders, it is not asked."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_text(path: str | Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, whole or not at all."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8")
