"""PyTorch, imported without looking for garbage meanwhile."""

from __future__ import annotations

import gc
import sys
from importlib import import_module


def import_torch() -> None:
    """Import PyTorch, where nobody has yet, with Python's garbage collector paused.

    It makes half a million objects that stay until the process ends. Looking through them for garbage took a fifth of the
    import and most of the process's end, so that they are declared permanent (`gc.freeze`), and no collection during training
    looks through them either. The few objects that are there before are permanent too: they go with their last reference as
    ever, but those that refer to one another stay. `gc.unfreeze()` takes that back.
    """
    if "torch" in sys.modules:
        return
    was_on = gc.isenabled()
    gc.disable()
    try:
        import_module("torch")
    finally:
        gc.freeze()
        if was_on:
            gc.enable()
