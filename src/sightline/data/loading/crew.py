"""Crew: threads that work for one iterator and are left behind where they hang; Watch: which pictures are being waited for.

A read from a file system that no longer answers never comes back, and nothing can end the thread that asked. What can be done
is to say so, to go on waiting for a while, and then to end without that thread.
"""

from __future__ import annotations

import threading
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sightline.errors import DataError, SightlineWarning, counted, listed

NOTE_AFTER_S = 60.0
"""From then on a picture that is not read yet is named."""
END_AFTER_S = 300.0
"""Then the run ends."""
LOOK_EVERY_S = 2.0
"""How often those who wait look what they are waiting for."""
LEAVE_AFTER_S = 3.0
"""How long work that is under way may take to end when its results are no longer wanted."""

Result = TypeVar("Result")


class Crew:
    """A few threads that do what they are given, in its order.

    They do not keep the process from ending, as those of `ThreadPoolExecutor` would.
    """

    def __init__(self, size: int, name: str) -> None:
        """Starts no thread before there is work.

        Args:
            size: The most threads.
            name: What they are called.
        """
        self.size = size
        self.name = name
        self._tasks: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None] = SimpleQueue()
        self._threads: list[threading.Thread] = []

    def submit(self, work: Callable[..., Result], *arguments: Any) -> Future[Result]:
        """Has `work` called with the arguments by one of the threads."""
        future: Future[Result] = Future()
        self._tasks.put((future, work, arguments))
        if len(self._threads) < self.size:
            thread = threading.Thread(target=_serve, args=(self._tasks,), name=f"{self.name}_{len(self._threads)}", daemon=True)
            self._threads.append(thread)
            thread.start()
        return future

    def dismiss(self) -> bool:
        """Ends the threads; what has not begun is not done. Whether all of them ended: one that hangs is left behind."""
        while True:
            try:
                task = self._tasks.get_nowait()
            except Empty:
                break
            if task is not None:
                task[0].cancel()
        for _ in self._threads:
            self._tasks.put(None)
        until = time.monotonic() + LEAVE_AFTER_S
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        return not any(thread.is_alive() for thread in self._threads)


class Watch:
    """Which pictures are being read, and since when. Used by several threads at once."""

    def __init__(self, name: Callable[[int], str]) -> None:
        """Calls rows by `name` in its messages."""
        self._name = name
        self._reading: dict[int, tuple[int, float]] = {}
        self._told: set[int] = set()

    @contextmanager
    def reading(self, row: int) -> Iterator[None]:
        """A block in which this thread reads the picture of a row."""
        thread = threading.get_ident()
        self._reading[thread] = (row, time.monotonic())
        try:
            yield
        finally:
            self._reading.pop(thread, None)

    def look(self) -> None:
        """Called by who waits, again and again.

        Raises:
            DataError: A picture has been read for `END_AFTER_S` seconds without an end.

        Warns:
            SightlineWarning: One has been for `NOTE_AFTER_S` seconds; it is named once.
        """
        hung = self._read_for(END_AFTER_S)
        if hung:
            raise DataError(
                f"{listed(self._names(hung))} could not be read within {END_AFTER_S:,.0f} s: nothing came back, not even an "
                "error. Expected the disk or network that holds the pictures to answer. See whether it does, and start again."
            )
        slow = [row for row in self._read_for(NOTE_AFTER_S) if row not in self._told]
        if slow:
            self._told.update(slow)
            warnings.warn(
                f"Still waiting for {counted(len(slow), 'picture')}, after {NOTE_AFTER_S:,.0f} s: {listed(self._names(slow))}. "
                f"If nothing comes within {END_AFTER_S:,.0f} s, this ends with an error; Ctrl-C ends it now.",
                SightlineWarning,
                stacklevel=2,
            )

    def _read_for(self, seconds: float) -> list[int]:
        since = time.monotonic() - seconds
        return sorted({row for row, began in list(self._reading.values()) if began < since})

    def _names(self, rows: list[int]) -> list[str]:
        return [self._name(row) for row in rows]


def result_of(future: Future[Result], look: Callable[[], None]) -> Result:
    """What a future gives or raises; `look` is called now and then while it does not, and may raise in its place."""
    while True:
        try:
            return future.result(LOOK_EVERY_S)
        except TimeoutError:
            if future.done():  # in time after all; or the error is that of the work
                return future.result()
        look()


def _serve(tasks: SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]] | None]) -> None:
    while (task := tasks.get()) is not None:
        _do(*task)
        task = None  # nothing is held while there is nothing to do


def _do(future: Future[Any], work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = work(*arguments)
    except BaseException as error:  # noqa: BLE001 - it is handed on, whatever it is
        future.set_exception(error)
    else:
        future.set_result(result)
