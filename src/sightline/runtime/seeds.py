"""Seeds: what makes a run the same when it is run again."""

from __future__ import annotations

import os
import random

import numpy as np
import torch

from sightline.errors import OptionError


def set_seed(seed: int, reproducible: bool = False) -> None:
    """Seed the global generators of Python, NumPy and PyTorch.

    Whatever is created afterwards without a seed of its own (loaders, splits, the head's first weights, dropout) follows from
    this one number.

    Args:
        seed: Any integer that PyTorch takes, of at most 63 bits.
        reproducible: Also compute deterministically, see `compute_deterministically`.

    Raises:
        OptionError: The seed is larger than that.
    """
    if not -(1 << 63) <= seed < 1 << 63:
        raise OptionError(f"seed={seed} is too large. Expected a whole number of at most 63 bits, such as 42.")
    random.seed(seed)
    np.random.seed(seed % (1 << 32))
    torch.manual_seed(seed)
    if reproducible:
        compute_deterministically()


def compute_deterministically() -> None:
    """Make PyTorch compute the same bits from the same numbers, on this machine, for the rest of the process.

    A CPU does so anyway. On GPUs it is slower, and has to be asked for before the first computation there. What has no
    deterministic way there computes as ever and is named by a warning of PyTorch's.
    """
    # cuBLAS reads this once, when it starts; PyTorch refuses deterministic matrix products without it.
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    # The quick forms of attention add gradients up in the order in which they come, and where warnings suffice go on to.
    torch.backends.cuda.enable_flash_sdp(False)
    torch.backends.cuda.enable_mem_efficient_sdp(False)
    torch.backends.cuda.enable_cudnn_sdp(False)


def determinism_in_words() -> str:
    """Whether a run that is run again gives the same bits, for the plan."""
    if torch.are_deterministic_algorithms_enabled():
        return "the same seed gives the same bits on this machine: deterministic algorithms, as asked for"
    if torch.cuda.is_available():
        return (
            "the same seed gives the same pictures in the same order; sums on a GPU differ in their last bits (--deterministic)"
        )
    return "the same seed gives the same bits on this machine"


def fresh_seed() -> int:
    """A seed drawn from PyTorch's global generator: follows from `set_seed`, differs from call to call."""
    return int(torch.randint(0, 2**31 - 1, ()).item())
