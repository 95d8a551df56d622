"""What all splitters share: shares, masks, and permutations that leave PyTorch's global generator alone."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from sightline.errors import OptionError, SplitError, counted

Indices: TypeAlias = npt.NDArray[np.int64]
Splits: TypeAlias = tuple[Indices, Indices]


def by_mask(mask: Collection[bool], what: str) -> Splits:
    """`(train, valid)` from true for validation; both must hold something."""
    chosen = np.asarray(list(mask), dtype=bool)
    if len(chosen) and (chosen.all() or not chosen.any()):
        side = "validation" if chosen.all() else "training"
        raise SplitError(f"By {what}, all {counted(len(chosen), 'item')} are for {side}. Expected some for each.")
    return as_indices(np.flatnonzero(~chosen)), as_indices(np.flatnonzero(chosen))


def check_share(name: str, share: float) -> None:
    """Refuse a share outside 0..1 (1 itself would leave nothing to train on)."""
    if isinstance(share, bool) or not isinstance(share, (int, float)) or not 0 <= share < 1:
        raise OptionError(
            f"{name}={share!r} is not a share. Expected a number from 0 up to, but not including, 1, such as 0.2."
        )


def share_of(n: int, share: float, name: str = "valid_pct") -> int:
    """`share` of `n` items, rounded down.

    Raises:
        SplitError: The share is above zero, but not one whole item.
    """
    count = int(share * n)
    if share > 0 and count == 0:
        raise SplitError(
            f"{name}={share} of {counted(n, 'item')} is not one whole item, so that part would be empty. "
            f"Expected at least {math.ceil(1 / share):,} items. Give more items or a larger share."
        )
    return count


def shuffled(n: int, seed: int | None) -> Indices:
    """A permutation from a generator of its own, or from PyTorch's global one when `seed` is None."""
    generator = None if seed is None else torch.Generator().manual_seed(int(seed))
    return as_indices(torch.randperm(n, generator=generator).numpy())


def as_indices(values: Any) -> Indices:
    """int64 positions from any collection of them."""
    return np.asarray(list(values) if isinstance(values, (set, range, Iterator)) else values, dtype=np.int64).reshape(-1)
