"""Devices: which there are, and what they compute by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from sightline.errors import OptionError, counted


def find_device() -> tuple[torch.device, str]:
    """The first of CUDA, Apple's MPS and the CPU that is there, and why it is taken."""
    if torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device()), f"a GPU is there: {torch.cuda.get_device_name()}"
    if torch.backends.mps.is_available():
        return torch.device("mps"), "an Apple GPU is there"
    return torch.device("cpu"), "no GPU was found"


def named_device(device: str | torch.device) -> torch.device:
    """The device of that name.

    Raises:
        OptionError: There is none, or this machine lacks it.
    """
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
        return torch.backends.mps.is_available() and bool(torch.backends.mps.is_macos_or_newer(14, 0))
    return bool(bf16_instructions()) or bool(_cpu_capabilities().get("bf16", False))


def bf16_instructions() -> str:
    """By which instructions a CPU multiplies matrices in bfloat16 faster than in 32 bits: 'AMX', 'AVX512-BF16' or ''."""
    able = _cpu_capabilities()
    return "AMX" if able.get("amx_bf16") else "AVX512-BF16" if able.get("avx512_bf16") else ""


def _cpu_capabilities() -> Mapping[str, Any]:
    return dict(getattr(torch.cpu, "get_capabilities", dict)())
