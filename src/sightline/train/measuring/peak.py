"""Peak: what this machine can do at best, measured, for a job's own figures to be held against."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from sightline.runtime import Precision, Runtime

_FIRST_SIDE, _LAST_SIDE = 512, 16384
_LONG_ENOUGH_S = 0.02
_COPIED_MIB = 256
_FEWEST, _MOST = 3, 50
DTYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Peak:
    """The best of several repeats.

    Attributes:
        flops: Floating-point operations a second of a large matrix product, or of the same as a convolution: the quicker.
        copies: Bytes a second that a large copy within the device's memory moves, read and written bytes together.
        precision: In which the product was computed.
    """

    flops: float
    copies: float
    precision: Precision


def measure_peak(runtime: Runtime, seconds: float = 3.0) -> Peak:
    """Measure a device in the precision in which a run computes on it.

    Args:
        runtime: Device and precision.
        seconds: About how long; every measurement is repeated three times at least.
    """
    device, dtype = runtime.device, DTYPES[runtime.precision]
    with torch.no_grad():
        side = _side(device, dtype)
        # Convolutions may be allowed formats that matrix products are not, such as TF32; both count as this machine's best.
        quickest = min(_quickest(make(side, device, dtype), device, seconds / 3) for make in (_product, _convolution))
        copying = _quickest(_copy(device), device, seconds / 3)
    return Peak(2 * side**3 / quickest, 2 * _COPIED_MIB * 2**20 / copying, runtime.precision)


def wait_for(device: torch.device) -> None:
    """Return when a device has done all that it was told to do; a CPU always has."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _side(device: torch.device, dtype: torch.dtype) -> int:
    """How large a square must be for its product to take long enough to be timed."""
    side = _FIRST_SIDE
    while side < _LAST_SIDE and _quickest(_product(side, device, dtype), device, 0.0) < _LONG_ENOUGH_S:
        side *= 2
    return side


def _product(side: int, device: torch.device, dtype: torch.dtype) -> Callable[[], Any]:
    one, other = _numbers((2, side, side), device, dtype)
    return lambda: one @ other


def _convolution(side: int, device: torch.device, dtype: torch.dtype) -> Callable[[], Any]:
    """The same product as a convolution with kernels of one pixel, the pictures together `side` pixels large."""
    pixels = _numbers((1, side, side // 32, 32), device, dtype).contiguous(memory_format=torch.channels_last)
    kernels = _numbers((side, side, 1, 1), device, dtype)
    return lambda: F.conv2d(pixels, kernels)


def _numbers(shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Unlike one another, as in a network: a GPU multiplies equal ones faster. The process's random numbers are left alone."""
    generator = torch.Generator(device).manual_seed(0)
    return torch.randn(shape, generator=generator, device=device, dtype=dtype)


def _copy(device: torch.device) -> Callable[[], Any]:
    source = torch.ones(_COPIED_MIB * 2**20 // 4, device=device)
    target = torch.empty_like(source)
    return lambda: target.copy_(source)


def _quickest(work: Callable[[], Any], device: torch.device, seconds: float) -> float:
    """The shortest time in seconds that some work took, of as many repeats as fit, after one that is not counted."""
    work()
    wait_for(device)
    shortest, began = math.inf, time.perf_counter()
    for repeat in range(_MOST):
        start = time.perf_counter()
        work()
        wait_for(device)
        now = time.perf_counter()
        shortest = min(shortest, now - start)
        if repeat + 1 >= _FEWEST and now - began > seconds:
            break
    return shortest
