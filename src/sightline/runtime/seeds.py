"""Seeds: what makes a run the same when it is run again."""

from __future__ import annotations

import os
import random

import numpy as np
import torch


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
