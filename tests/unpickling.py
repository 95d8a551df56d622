"""A watch over the whole suite: no code of sightline's ever unpickles, whoever does it on its behalf.

`torch.load` says `weights_only=True`; `pickle`, `marshal`, `shelve` and NumPy's objects are never read. What Python and the
libraries unpickle for themselves, such as modules that are imported or caches of compiled code, is theirs: the frames of the
call tell. Programs that a test starts are not watched; tests/house reads the source of all of it.
"""

from __future__ import annotations

import functools
import pickle
import shelve
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

import sightline

PACKAGE = str(Path(sightline.__file__).parent)
THEIR_OWN = (
    "importlib", "multiprocessing", "concurrent/futures", "execnet", "xdist", "torch/_inductor", "torch/_dynamo",
    "torch/_functorch", "torch/utils/_triton", "joblib", "_pytest",
)  # fmt: skip
"""Whose own files and messages are unpickled by themselves, also while sightline waits for them."""


class UnpicklerUsed(BaseException):
    """Not an Exception: whoever tries one unpickler after the other must not swallow it."""


class Watch:
    """What was seen; `on` from the moment at which it watches."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def start(self) -> None:
        """Watch from now on; there is no end to it in this process."""
        sys.addaudithook(self._heard)
        torch.load = self._guarded(torch.load, "torch.load", unless=lambda options: options.get("weights_only") is True)
        np.load = self._guarded(np.load, "numpy.load", unless=lambda options: not options.get("allow_pickle"))
        pickle.load = self._guarded(pickle.load, "pickle.load")
        pickle.loads = self._guarded(pickle.loads, "pickle.loads")
        shelve.open = self._guarded(shelve.open, "shelve.open")

    def take(self) -> list[str]:
        """What was seen since it was last asked."""
        seen, self.seen = self.seen, []
        return seen

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if event in ("pickle.find_class", "marshal.loads", "marshal.load"):
            self._look(event)

    def _guarded(self, function: Callable[..., Any], name: str, unless: Callable[[Any], bool] = lambda _: False) -> Any:
        @functools.wraps(function)
        def guarded(*args: Any, **options: Any) -> Any:
            if not unless(options):
                self._look(name)
            return function(*args, **options)

        return guarded

    def _look(self, what: str) -> None:
        culprit = of_sightline(sys._getframe(2))
        if culprit is not None:
            self.seen.append(f"{what} by {culprit}")
            raise UnpicklerUsed(self.seen[-1])


def of_sightline(frame: FrameType | None) -> str | None:
    """The place in sightline for which something is unpickled; None where it is for somebody else."""
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(PACKAGE):
            return f"{name.removeprefix(PACKAGE)}:{frame.f_lineno}"
        if any(f"/{part}" in name or f"<frozen {part}" in name for part in THEIR_OWN):
            return None
        frame = frame.f_back
    return None
