"""Runtime: the device, the form of numbers and of memory in which a run computes, each with its reason."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import Literal, TypeVar, cast

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from sightline.errors import OptionError
from sightline.runtime.devices import bf16_instructions, find_device, has_native_bf16, named_device
from sightline.runtime.host import fit_threads, keep_freed_memory

Precision = Literal["fp32", "bf16", "fp16"]
PRECISIONS: tuple[str, ...] = ("fp32", "bf16", "fp16")
PRECISION_VARIABLE = "SIGHTLINE_PRECISION"
"""The environment variable that says which precision is planned where nothing else is asked for."""

ASKED = "as asked for"

Module = TypeVar("Module", bound=nn.Module)


@dataclass(frozen=True)
class Runtime:
    """What computes, and how: a value, planned once, printed in the plan, and handed to whoever computes.

    Attributes:
        device: Where the network and its batches live.
        precision: 'fp32', or 'bf16' or 'fp16' for automatic mixed precision (weights stay float32).
        device_reason: Why this device, in words.
        precision_reason: Why this precision, in words.
        channels_last: Whether pictures and kernels lie in memory pixel by pixel.
        format_reason: Why, in words.
    """

    device: torch.device
    precision: Precision = "fp32"
    device_reason: str = ASKED
    precision_reason: str = ASKED
    channels_last: bool = False
    format_reason: str = ASKED

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """The context in which the network's forward pass runs."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16 if self.precision == "bf16" else torch.float16)

    @property
    def fuses(self) -> bool:
        """Whether optimizers step by one kernel: not where numbers were asked for in 32 bits, as they are published."""
        return self.precision != "fp32" or self.channels_last

    def place(self, model: Module) -> Module:
        """The network itself, moved to the device and into the memory format."""
        model.to(self.device)
        if any(map(is_lazy, (*model.parameters(), *model.buffers()))):
            # Lazy layers have no sizes before their first batch, and so no format.
            return model
        # The format is one of pictures: networks for volumes keep theirs.
        pictures = all(parameter.ndim < 5 for parameter in model.parameters())
        model.to(memory_format=torch.channels_last if self.channels_last and pictures else torch.contiguous_format)
        return model

    def prepare_host(self) -> bool:
        """Make this process ready to compute on its CPUs, if they are the device; returns whether freed memory is kept."""
        if self.device.type != "cpu":
            return False
        fit_threads()
        return keep_freed_memory()

    def with_precision(self, precision: Precision, reason: str = ASKED) -> Runtime:
        """The same runtime in another precision, or in the nearest one that its device has; `precision_reason` says why."""
        if precision not in PRECISIONS:
            raise OptionError(f"precision={precision!r} is not one of {', '.join(PRECISIONS)}.")
        if precision == "fp16" and self.device.type != "cuda":
            native = has_native_bf16(self.device)
            found = "bf16, which this device has natively" if native else "fp32, because this device has no native bf16"
            precision, reason = "bf16" if native else "fp32", f"fp16 needs a CUDA GPU; instead {found}"
        elif precision == "bf16" and self.device.type == "cuda" and not has_native_bf16(self.device):
            precision, reason = "fp32", "this GPU has no bf16; fp16 is what it has"
        return replace(self, precision=precision, precision_reason=reason)._formatted()

    def _formatted(self) -> Runtime:
        """The same runtime with the memory format that is best for it, unless one was asked for."""
        if self.format_reason == ASKED:
            return self
        channels_last, reason = _planned_format(self)
        return replace(self, channels_last=channels_last, format_reason=reason)

    def with_channels_last(self, channels_last: bool = True) -> Runtime:
        """The same runtime with pictures in the other memory format."""
        return replace(self, channels_last=channels_last, format_reason=ASKED)

    def on(self, device: str | torch.device) -> Runtime:
        """The plan for another device; what was asked for stays.

        Raises:
            OptionError: There is no such device, or this machine lacks it.
        """
        there = plan_runtime(device, self.precision if self.precision_reason == ASKED else None)
        return there.with_channels_last(self.channels_last) if self.format_reason == ASKED else there


def plan_runtime(device: str | torch.device | None = None, precision: Precision | None = None) -> Runtime:
    """The device, precision and memory format of a run, with reasons.

    Args:
        device: A device that is wanted; None takes the first of CUDA, Apple's MPS and the CPU that is there.
        precision: 'fp32', 'bf16' or 'fp16'; None is what the environment variable SIGHTLINE_PRECISION says, else 'bf16' where
            the device computes in it by itself (GPUs from CUDA 8.0 on, CPUs with AMX or AVX512-BF16) and 'fp32' elsewhere.

    Raises:
        OptionError: There is no such device or precision, or this machine lacks the device.
    """
    found, why = find_device() if device is None else (named_device(device), ASKED)
    runtime = Runtime(found, device_reason=why, format_reason="")
    if precision is not None:
        return runtime.with_precision(precision)
    if said := os.environ.get(PRECISION_VARIABLE):
        return runtime.with_precision(cast(Precision, said), f"as the environment variable {PRECISION_VARIABLE} says")
    return runtime.with_precision(*_planned_precision(found))


def _planned_precision(device: torch.device) -> tuple[Precision, str]:
    if device.type == "cuda" and has_native_bf16(device):
        return "bf16", "this GPU computes it natively; weights stay in 32 bits"
    if device.type == "cpu" and (instructions := bf16_instructions()):
        return "bf16", f"this CPU computes it natively ({instructions}); weights stay in 32 bits"
    lacks = {"cuda": "this GPU has no native bf16", "cpu": "this CPU has neither AMX nor AVX512-BF16"}
    return "fp32", lacks.get(device.type, f"bf16 is not proven faster on {device.type}")


def _planned_format(runtime: Runtime) -> tuple[bool, str]:
    """Whether pictures lie pixel by pixel, and why: what was asked for in 32 bits adds up as published figures did."""
    device, precision = runtime.device.type, runtime.precision
    if device == "cpu" and (precision != "fp32" or runtime.precision_reason.startswith("this CPU")):
        return True, "convolutions on a CPU are fastest pixel by pixel"
    if device == "cuda" and precision != "fp32":
        return True, "tensor cores read pixel by pixel"
    if device == "cpu":
        return False, "in 32 bits as asked for, sums are made in the order of published figures"
    return False, f"nothing is gained in 32 bits on {device}"
