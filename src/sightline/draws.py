"""Random numbers as a pure function of (seed, epoch, row, name of the draw).

Nothing here has a state: the same four values give the same number in any process, with any number of workers, after any
restart. The bits come from the splitmix64 finaliser (Steele, Lea, Flood, "Fast splittable pseudorandom number generators",
2014), applied to a counter.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def uniform(
    seed: int, epoch: int, rows: npt.NDArray[np.int64], draw: str, shape: tuple[int, ...] = ()
) -> npt.NDArray[np.float64]:
    """Uniform numbers in [0, 1), one or `shape` of them for each row.

    Args:
        seed: Any integer; the run's seed.
        epoch: Counts the passes over the data, from 0.
        rows: int64 `(N,)` row indices.
        draw: What is drawn, such as 'rotate.angle'; different names give independent numbers.
        shape: Shape of what each row gets.

    Returns:
        float64 `(N, *shape)`.
    """
    key = _key(seed, epoch, draw)
    count = int(np.prod(shape, dtype=np.int64)) if shape else 1
    counters = np.asarray(rows, dtype=np.int64).astype(np.uint64)[:, None]
    # Arrays of unsigned integers wrap around without a warning, which is what a hash wants.
    keyed: npt.NDArray[np.uint64] = counters + np.array([key], dtype=np.uint64)
    offsets: npt.NDArray[np.uint64] = np.arange(1, count + 1, dtype=np.uint64)
    bits = _mix(np.add(_mix(keyed), offsets, dtype=np.uint64))
    return ((bits >> np.uint64(11)).astype(np.float64) * 2.0**-53).reshape(len(counters), *shape)


def single(seed: int, epoch: int, row: int, draw: str) -> float:
    """What `uniform` gives for one row, without the cost of arrays."""
    bits = _mix_one(_mix_one((int(row) + _key(seed, epoch, draw)) & _MASK) + 1)
    return float((bits >> 11) * 2.0**-53)


def permutation(seed: int, epoch: int, n: int) -> npt.NDArray[np.int64]:
    """The order of `n` rows in one epoch: int64 `(n,)`, each of 0..n-1 once."""
    return np.argsort(uniform(seed, epoch, np.arange(n, dtype=np.int64), "order"), kind="stable").astype(np.int64)


def between(u: npt.NDArray[np.float64], low: float, high: float) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) stretched to [low, high)."""
    return low + (high - low) * u


def _key(seed: int, epoch: int, draw: str) -> int:
    return int.from_bytes(hashlib.blake2b(f"{seed}/{epoch}/{draw}".encode(), digest_size=8).digest(), "little")


def _mix(bits: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    bits = bits + _GOLDEN
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


def _mix_one(bits: int) -> int:
    """`_mix` of one number."""
    bits = (bits + int(_GOLDEN)) & _MASK
    bits = ((bits ^ (bits >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    bits = ((bits ^ (bits >> 27)) * 0x94D049BB133111EB) & _MASK
    return bits ^ (bits >> 31)
