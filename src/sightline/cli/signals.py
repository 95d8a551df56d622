"""What a command does when it is told to stop: it leaves through its `finally` blocks, so that no half file stays behind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import NoReturn

STOPPING = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def leaving_in_order() -> Iterator[None]:
    """A block in which Ctrl-C raises KeyboardInterrupt and SIGTERM SystemExit(143); a second one of them ends it at once.

    What is within may set handlers of its own, and puts these back when it is done. A signal that whoever started the process
    has told it to ignore (`nohup`, `&` in a script) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is told of signals
        return
    before = {number: signal.getsignal(number) for number in STOPPING}
    ours = {number: handler for number, handler in before.items() if handler not in (signal.SIG_IGN, None)}
    for number in ours:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        # After a signal they are no longer in force, and stay so: the process is about to end, and shall not be held up.
        for number, handler in ours.items():
            if signal.getsignal(number) is _leave:
                signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    for again in STOPPING:
        if signal.getsignal(again) is _leave:
            signal.signal(again, signal.SIG_DFL)
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
