"""Stopping when asked to: SIGTERM and Ctrl-C wait for the step that is being made, so that the run can be kept first."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, NoReturn

TERMINATED = 128 + 15
"""Exit code of a process that SIGTERM ended."""


class Stop:
    """Whether someone asked the run to stop.

    Attributes:
        asked: The number of the signal; None while nobody did.
    """

    def __init__(self) -> None:
        self.asked: int | None = None

    def leave(self, words: str) -> NoReturn:
        """End the run as the signal says, once everything is kept.

        Args:
            words: How to go on.

        Raises:
            KeyboardInterrupt: It was Ctrl-C.
            SystemExit: It was SIGTERM; the exit code is 143.
        """
        if self.asked == signal.SIGINT:
            raise KeyboardInterrupt(words)
        raise SystemExit(TERMINATED)

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Take note of a signal; the second Ctrl-C does not wait.

        Raises:
            KeyboardInterrupt: It is the second.
        """
        if self.asked is not None and number == signal.SIGINT:
            raise KeyboardInterrupt("stopped by the second Ctrl-C, before the run was kept")
        self.asked = number
        again = " Press Ctrl-C again to stop at once." if number == signal.SIGINT else ""
        # Not print: the signal may have come in the middle of one.
        with suppress(OSError, ValueError, AttributeError):
            os.write(sys.__stderr__.fileno(), f"\nStopping after this step.{again}\n".encode())  # type: ignore[union-attr]


@contextmanager
def stop_signals() -> Iterator[Stop]:
    """A block within which SIGTERM and Ctrl-C are noted, and after which they do what they did before.

    Signals that are ignored stay so; outside of the main thread, where Python allows no handlers, nothing is noted.
    """
    stop = Stop()
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in map(int, (signal.SIGINT, signal.SIGTERM)):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, stop.handle)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
