"""Descriptors: files that are held open for later use, no more of them than the process can spare."""

from __future__ import annotations

import errno
import os
import threading
import weakref
from collections.abc import Callable
from functools import cache
from typing import Protocol, TypeVar

MOST_HELD = 256
"""Files that are held open for later at most, where the system allows as many."""
SHARE_HELD = 0.25
"""Of the descriptors that the process may have; the others are for what is really in use."""

Result = TypeVar("Result")


class Descriptor:
    """An open file, closed when nobody refers to it any more: never under one who reads it.

    Attributes:
        number: The system's number of it.
    """

    def __init__(self, number: int) -> None:
        """Takes over an open file."""
        self.number = number

    def __del__(self) -> None:
        os.close(self.number)


class Holder(Protocol):
    """Something that holds a file open for later, and opens it again where it was closed meanwhile.

    Attributes:
        last_used: When it was used last; larger is later.
        busy: Whether it must stay open now.
    """

    last_used: float
    busy: bool

    def let_go(self) -> None:
        """Refers to the open file no longer."""


def hold(holder: Holder) -> None:
    """Counts a file that was opened for later; those that were not used for longest are let go where there are too many."""
    _held().add(holder)


def with_descriptors(opening: Callable[[], Result]) -> Result:
    """What a call gives that opens something; tried again without the files held for later where descriptors are short.

    Raises:
        OSError: As the call does.
    """
    try:
        return opening()
    except OSError as error:
        if not is_short(error) or not _held().let_go():
            raise
    return opening()


def is_short(error: BaseException) -> bool:
    """Whether an error says that this process, or the whole system, has no descriptors left: no fault of the file's."""
    return isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE)


class _Held:
    """What is held open in this process, whoever holds it: the system counts descriptors by process."""

    def __init__(self) -> None:
        self._holders: weakref.WeakSet[Holder] = weakref.WeakSet()
        self._lock = threading.Lock()

    def add(self, holder: Holder) -> None:
        with self._lock:
            self._holders.add(holder)
            most = _most_held()
            if len(self._holders) > most:
                # Some more than necessary, so that this is not done again for the next one.
                self._close(len(self._holders) - most + most // 8)

    def let_go(self) -> bool:
        """Closes all that are not busy; whether there were any."""
        with self._lock:
            return self._close(len(self._holders))

    def _close(self, count: int) -> bool:
        idle = sorted((one for one in self._holders if not one.busy), key=lambda one: one.last_used)[:count]
        for one in idle:
            one.let_go()
            self._holders.discard(one)
        return bool(idle)


@cache
def _held() -> _Held:
    return _Held()


def _most_held() -> int:
    try:
        import resource
    except ImportError:
        return MOST_HELD
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_HELD if allowed == resource.RLIM_INFINITY else max(8, min(MOST_HELD, int(SHARE_HELD * allowed)))
