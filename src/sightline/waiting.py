"""Waiting: how PyTorch's threads wait for one another, which must be said before PyTorch is loaded."""

from __future__ import annotations

import os
import time

WAIT_VARIABLE = "OMP_WAIT_POLICY"
_LOADAVG = "/proc/loadavg"
_LOOKS, _BETWEEN_LOOKS_S = 5, 0.003


def let_waiting_threads_sleep() -> None:
    """Say that waiting threads give way, where this machine is busy with something else too, or cannot tell.

    Threads that spin while they wait are a few percent quicker on a machine of one's own. Where two want the same CPU they
    keep the one that they wait for from running: steps were measured to take two to eight times as long. What the user said
    already stays. It is too late, and harmless, where PyTorch was imported before.
    """
    if is_shared():
        os.environ.setdefault(WAIT_VARIABLE, "PASSIVE")


def is_shared() -> bool:
    """Whether other work wants this machine's CPUs now; taken for granted where the system does not tell.

    What ends within a few milliseconds is no reason to sleep for the rest of a run, so a busy machine is looked at again.
    """
    return all(_is_busy(look) for look in range(_LOOKS))


def _is_busy(look: int) -> bool:
    if look:
        time.sleep(_BETWEEN_LOOKS_S)
    try:
        with open(_LOADAVG, encoding="ascii") as file:
            # "0.31 0.52 0.60 3/412 9183": three of 412 tasks are running, this one among them.
            running = int(file.read().split()[3].partition("/")[0]) - 1
        mine = len(os.sched_getaffinity(0))
    except (OSError, ValueError, IndexError, AttributeError):
        return True
    return running > 0 and running + mine > (os.cpu_count() or 1)


def waiting_in_words() -> str:
    """How threads of this process wait for one another, and why, as far as the environment says."""
    policy = os.environ.get(WAIT_VARIABLE, "").upper()
    if policy == "PASSIVE":
        return "waiting ones sleep, as on a machine that is busy with something else too"
    return "waiting ones spin" + (", as the environment says" if policy else ", as on a machine of one's own")
