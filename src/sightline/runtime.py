"""Runtime: on which device, in which precision and with which seeds a run computes, and why.

A `Runtime` is a value: it is planned once, printed in the plan with its reasons, and handed to whoever computes.
"""

from __future__ import annotations

import contextlib
import os
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import torch

from sightline.errors import OptionError, counted

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "fp16")


@dataclass(frozen=True)
class Runtime:
    """What computes, and how.

    Attributes:
        device: Where the network and its batches live.
        precision: 'fp32', or 'bf16' or 'fp16' for automatic mixed precision (weights stay float32).
        device_reason: Why this device, in words.
        precision_reason: Why this precision, in words.
        channels_last: Whether pictures lie in memory pixel by pixel, which GPUs with tensor cores prefer.
    """

    device: torch.device
    precision: Precision = "fp32"
    device_reason: str = "as asked for"
    precision_reason: str = "as asked for"
    channels_last: bool = False

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context in which the network's forward pass runs."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16 if self.precision == "bf16" else torch.float16)

    def with_precision(self, precision: Precision, reason: str = "as asked for") -> Runtime:
        """The same runtime in another precision, or in the nearest one that its device has; `precision_reason` says why."""
        if precision not in PRECISIONS:
            raise OptionError(f"precision={precision!r} is not one of {', '.join(PRECISIONS)}.")
        if precision == "fp16" and self.device.type != "cuda":
            native = has_native_bf16(self.device)
            found = "bf16, which this device has natively" if native else "fp32, because this device has no native bf16"
            precision, reason = "bf16" if native else "fp32", f"fp16 needs a CUDA GPU; instead {found}"
        elif precision == "bf16" and self.device.type == "cuda" and not has_native_bf16(self.device):
            precision, reason = "fp32", "this GPU has no bf16; fp16 is what it has"
        return replace(self, precision=precision, precision_reason=reason)

    def with_channels_last(self, channels_last: bool = True) -> Runtime:
        """The same runtime with pictures in the other memory format."""
        return replace(self, channels_last=channels_last)


def plan_runtime(device: str | torch.device | None = None, precision: Precision | None = None) -> Runtime:
    """The device and precision of a run, with reasons.

    Args:
        device: A device that is wanted; None takes the first of CUDA, Apple's MPS and the CPU that is there.
        precision: 'fp32', 'bf16' or 'fp16'; None is 'fp32', in which runs agree with published figures digit by digit.

    Raises:
        OptionError: There is no such device or precision, or this machine lacks the device.
    """
    found, why = _find_device() if device is None else (_named_device(device), "as asked for")
    plan = Runtime(found, "fp32", why, "the default: runs can be compared digit by digit")
    return plan if precision is None else plan.with_precision(precision)


def _find_device() -> tuple[torch.device, str]:
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device()), f"a GPU is there: {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "an Apple GPU is there"
    return torch.device("cpu"), "no GPU was found"


def _named_device(device: str | torch.device) -> torch.device:
    try:
        found = torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise OptionError(f"device={device!r} is not a device that PyTorch knows, such as 'cpu', 'cuda' or 'mps'.") from error
    lacks = _lacking(found)
    if lacks:
        raise OptionError(
            f"device={str(found)!r} is not there: {lacks}. Expected a device of this machine. Pass device='cpu', or leave "
            "device out to take the best that is there."
        )
    return found


def _lacking(device: torch.device) -> str:
    """Why a device cannot be used, empty where nothing speaks against it: PyTorch itself says so only at the first use."""
    if device.type == "cuda" and not torch.cuda.is_available():
        built = torch.backends.cuda.is_built()
        return "PyTorch finds no CUDA GPU" if built else "this build of PyTorch has no CUDA"
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        return f"PyTorch finds {counted(torch.cuda.device_count(), 'CUDA GPU')}, numbered from 0"
    if device.type == "mps" and not torch.backends.mps.is_available():
        return "PyTorch finds no Apple GPU"
    return ""


def has_native_bf16(device: torch.device) -> bool:
    """Whether a device computes in bfloat16 by itself; elsewhere it is emulated, slowly."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "mps":
        return bool(torch.backends.mps.is_macos_or_newer(14, 0))
    able: Mapping[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(able.get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16"))


def default_workers() -> int:
    """How many threads decode pictures where the user does not say: the CPUs of this process, at most 8."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return min(8, cpus)


def set_seed(seed: int, reproducible: bool = False) -> None:
    """Seed the global generators of Python, NumPy and PyTorch.

    Whatever is created afterwards without a seed of its own (loaders, splits, the head's first weights, dropout) follows from
    this one number.

    Args:
        seed: Any integer.
        reproducible: Also make PyTorch choose deterministic algorithms, slower on GPUs.
    """
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)
    if reproducible:
        # cuBLAS reads this once, when it starts; PyTorch refuses deterministic matrix products without it.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False


def fresh_seed() -> int:
    """A seed drawn from PyTorch's global generator: follows from `set_seed`, differs from call to call."""
    return int(torch.randint(0, 2**31 - 1, ()).item())


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
