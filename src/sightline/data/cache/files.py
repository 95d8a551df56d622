"""OpenFile: a file that several threads read and write at any place, and that says while it is open that it is in use."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from sightline.descriptors import Descriptor, hold, with_descriptors

if sys.platform != "win32":
    import fcntl

_POSITIONED = hasattr(os, "preadv") and hasattr(os, "pwrite")


class OpenFile:
    """A file of the cache.

    Read with `preadv` straight into its destination rather than through a memory map: as quick (8 us for 49 KB), but a file
    that is cut short meanwhile, or a disk that fails, is an answer here and would be the end of the process there (SIGBUS);
    and what was read does not count as memory of this process.

    It is open when it was used a moment ago; there may be more of them than the process can have open at once.

    Attributes:
        path: Where it is.
        last_used: See `descriptors.Holder`.
        busy: Whether it must stay open, because others must not remove it.
    """

    def __init__(self, path: Path, new: bool = False) -> None:
        """Opens it.

        Raises:
            OSError: It cannot be opened; or made, if it is to be new.
        """
        self.path = path
        self.last_used, self.busy = time.monotonic(), False
        self._flags = (os.O_RDWR if new else os.O_RDONLY) | getattr(os, "O_BINARY", 0)
        self._lock = threading.Lock()
        self._held: Descriptor | None = None
        self._open(self._flags | os.O_CREAT | os.O_EXCL if new else self._flags)

    @property
    def size(self) -> int:
        """In bytes.

        Raises:
            OSError: It was let go, and cannot be opened again.
        """
        return os.fstat(self._used().number).st_size

    def let_go(self) -> None:
        """Closes it until it is used again; it is not in use meanwhile, and others may remove it."""
        self._held = None

    def can_be_opened(self) -> bool:
        """Whether it is open, or can be opened again."""
        try:
            self._used()
        except OSError:
            return False
        return True

    def read_into(self, place: Any, offset: int) -> bool:
        """Fills a buffer (contiguous, writable) from `offset` on; whether that could be done."""
        view = memoryview(place).cast("B")
        try:
            held = self._used()
            if _POSITIONED:
                return os.preadv(held.number, [view], offset) == len(view)
            with self._lock:
                os.lseek(held.number, offset, os.SEEK_SET)
                data = os.read(held.number, len(view))
        except OSError:
            return False
        view[: len(data)] = data
        return len(data) == len(view)

    def write(self, data: Any, offset: int) -> None:
        """Writes all of a contiguous buffer.

        Raises:
            OSError: It cannot be written.
        """
        view = memoryview(data).cast("B")
        done = 0
        while done < len(view):
            done += self._written(view[done:], offset + done)

    def _written(self, view: memoryview, offset: int) -> int:
        held = self._used()
        if _POSITIONED:
            return os.pwrite(held.number, view, offset)
        with self._lock:
            os.lseek(held.number, offset, os.SEEK_SET)
            return os.write(held.number, view)

    def _used(self) -> Descriptor:
        """The open file, for as long as what this returns is referred to."""
        self.last_used = time.monotonic()
        return self._held or self._open(self._flags)

    def _open(self, flags: int) -> Descriptor:
        # Two threads may do so at once: one of the two is closed again when it was used.
        held = self._held = Descriptor(with_descriptors(lambda: os.open(self.path, flags, 0o666)))
        if sys.platform != "win32":
            # Shared by all who use the file, and gone with them however they end. Some file systems have no locks.
            with suppress(OSError):
                fcntl.flock(held.number, fcntl.LOCK_SH | fcntl.LOCK_NB)
        hold(self)
        return held


def removed(path: Path) -> bool:
    """Removes a file unless someone has it open; whether it is gone."""
    try:
        if sys.platform != "win32":
            descriptor = os.open(path, os.O_RDONLY)
            try:
                _claim(descriptor)
                os.unlink(path)
            finally:
                os.close(descriptor)
        else:
            os.unlink(path)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _claim(descriptor: int) -> None:
    """Refuses (`BlockingIOError`) a file that someone has open, where the file system has locks."""
    if sys.platform == "win32":
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError:
        return
