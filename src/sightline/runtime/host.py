"""The host: its CPUs, its memory, and how freed memory is kept."""

from __future__ import annotations

import ctypes
import math
import os
import sys
from pathlib import Path

import torch

CACHE_VARIABLE = "SIGHTLINE_CACHE"
"""The environment variable that names the folder for what may be deleted at any time; 0 is none."""
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_CGROUP = Path("/sys/fs/cgroup")


def cpus() -> int:
    """How many CPUs this process may use: those it is bound to, fewer where a container is given a smaller share."""
    bound = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    share = _share()
    return bound if share is None else max(1, min(bound, math.ceil(share)))


def _share() -> float | None:
    """The CPUs' worth of time that a container is given (control groups, version 2, then 1); None where it is not limited."""
    try:
        quota, period = (_CGROUP / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError):
        pass
    try:
        quota_us = int((_CGROUP / "cpu" / "cpu.cfs_quota_us").read_text())
        return quota_us / int((_CGROUP / "cpu" / "cpu.cfs_period_us").read_text()) if quota_us > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def cache_place(inside: str = "") -> Path | str:
    """Where to keep what may be deleted at any time, an absolute path; or why nowhere, as the rest of a sentence.

    Args:
        inside: A folder within ~/.cache/sightline, which is taken where the environment names no place.
    """
    named = os.environ.get(CACHE_VARIABLE, "")
    if named == "0":
        return f"{CACHE_VARIABLE}=0"
    try:
        return (Path(named).expanduser() if named else Path.home() / ".cache" / "sightline" / inside).absolute()
    except RuntimeError:
        more = f"{CACHE_VARIABLE}={named!r} is within one" if named else f"{CACHE_VARIABLE} names no other"
        return f"there is no home folder for the cache, and {more}"


def default_workers() -> int:
    """How many threads decode pictures where the user does not say: the CPUs of this process, at most 8."""
    return min(8, cpus())


def fit_threads() -> int:
    """Let PyTorch compute with no more threads than there are CPUs, which it does not see from within a container.

    Returns:
        With how many it computes.
    """
    if torch.get_num_threads() > cpus():
        torch.set_num_threads(cpus())
    return torch.get_num_threads()


def keep_freed_memory() -> bool:
    """Tell the C library to keep the memory that a step frees for the next one.

    Otherwise every large tensor is taken from the system, filled with zeros page by page, and given back, in every step.
    glibc's allocator alone has these settings; a user's own, through its environment variables, are left alone.

    Returns:
        Whether memory is kept.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    if "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", ""):
        return False
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "gnu_get_libc_version") or not hasattr(libc, "mallopt"):
        return False
    settings = ((_M_MMAP_THRESHOLD, 1 << 30), (_M_TRIM_THRESHOLD, (1 << 31) - 1))
    taken = [libc.mallopt(name, value) for name, value in settings]
    return all(taken)


def peak_memory_mib(device: torch.device) -> float:
    """The most memory that was in use so far, in MiB: of the GPU's, or of this process where there is none."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    try:
        import resource
    except ImportError:
        return 0.0
    # Linux counts kibibytes, macOS bytes.
    unit = 2**10 if os.uname().sysname == "Linux" else 1
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
