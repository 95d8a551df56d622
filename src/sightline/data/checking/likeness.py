"""Which small copies show the same picture: resized, compressed anew, or cut by a few percent at any side.

Two steps. Candidates: 64-bit perceptual hashes (pHash: the signs of the lowest 8 x 8 cosine coefficients, as the ImageHash
library has it, here of all pictures and all cuts at once), compared with their neighbours in sorted order only, so that work
grows with n log n. Verdict: one copy is laid over the other as exactly as that goes, by least squares over position, scale,
contrast and brightness, and what is left of the difference must be small beside what the picture has of detail.

Legend: N pictures, P pairs, V ways to cut, S = 32 pixels a side, H = 8 coefficients a side.
"""

from __future__ import annotations

from itertools import product
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

LIKENESS_RULES = 1
"""Another number for other rules: what was found by the old ones is then looked for anew."""
CUT = 0.05
"""Share of a side that a cut takes away at one end, in the cuts that are tried."""
MOST_CUT, LEAST_CUT = 0.08, -0.02
"""What may be cut at one end once the copies lie on one another."""
MOST_BITS = 10
"""In how many of 64 bits the hashes of candidates may differ."""
TABLES, NEIGHBOURS = 16, 4
"""How many sorted orders of the hashes there are, and how far candidates are looked for in each, to either side."""
LEAST_DETAIL = 4.0
"""Standard deviation in grey levels below which a picture shows too little to be told from others."""
MOST_LEFT, MOST_LEFT_SHARE = (5.0, 9.5), (0.2, 0.33)
"""What may be left of the difference between uncut copies, and between those of which `CUT` was cut: root mean square in grey
levels, and as a share of the detail. True copies leave less (share, 99 of 100: 0.12 and 0.30), others more (0.8)."""
MOST_LEFT_CHROMA = 7.0
"""The same in levels of colour."""
MOST_GAIN, MOST_OFFSET = 0.25, 24.0
_COEFFICIENTS, _STEPS, _PAIRS_AT_ONCE, _PICTURES_AT_ONCE = 8, 4, 512, 4096
_SMOOTH = 3
_NO_COLOUR, _GREY = 128, 2
_FAINT = 1e-6


class Pairs(NamedTuple):
    """Pairs of pictures, int64 `(P,)` each: `part` is taken to be cut out of `whole` by way `cut` of `_ways()`."""

    whole: Ints
    part: Ints
    cut: Ints


def alike_pairs(luma: npt.NDArray[np.uint8], chroma: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Pairs of positions that show the same picture, the smaller first, each once.

    Args:
        luma: uint8 `(N, S, S)`, grey.
        chroma: uint8 `(N, C, C, 2)`, colour as YCbCr has it.
    """
    telling = np.flatnonzero(detail_of(luma) >= LEAST_DETAIL)
    if len(telling) < 2:
        return []
    pairs = _candidates(luma[telling])
    found: set[tuple[int, int]] = set()
    for start in range(0, len(pairs.whole), _PAIRS_AT_ONCE):
        whole, part, cut = (values[start : start + _PAIRS_AT_ONCE] for values in pairs)
        some = Pairs(telling[whole], telling[part], cut)
        same = _same(luma, chroma, some)
        found.update(zip(some.whole[same].tolist(), some.part[same].tolist(), strict=True))
    return sorted({(min(pair), max(pair)) for pair in found})


def detail_of(luma: npt.NDArray[np.uint8]) -> Floats:
    """How much pictures show beyond a smooth slope of light: standard deviation in grey levels, float32 `(N,)`."""
    basis = _cosines(luma.shape[-1])[:_SMOOTH]
    details = []
    for start in range(0, len(luma), _PICTURES_AT_ONCE):
        grey = luma[start : start + _PICTURES_AT_ONCE].astype(np.float32)
        smooth = basis @ grey @ basis.T
        energy = (grey**2).sum((1, 2)) - (smooth**2).sum((1, 2))
        details.append(np.sqrt(np.maximum(energy, 0.0)) / luma.shape[-1])
    return np.concatenate(details) if details else np.zeros(0, dtype=np.float32)


def hashes_of(luma: npt.NDArray[np.uint8]) -> Hashes:
    """Perceptual hashes uint64 `(N, V)`: of the whole copies first, then of all ways to cut them."""
    basis = _cosines(luma.shape[-1])[:_COEFFICIENTS]
    basis[0] *= np.sqrt(2)  # the library has no norm for the mean, which moves the median
    ways = [basis @ _resampling(*way, luma.shape[-1]) for way in _ends()]
    hashes = np.zeros((len(luma), len(ways) ** 2), dtype=np.uint64)
    for start in range(0, len(luma), _PICTURES_AT_ONCE):
        grey = luma[start : start + _PICTURES_AT_ONCE].astype(np.float32)
        for number, (rows, columns) in enumerate(product(ways, ways)):
            coefficients = (rows @ grey @ columns.T).reshape(len(grey), -1)
            bits = coefficients > np.median(coefficients, axis=1, keepdims=True)
            hashes[start : start + len(grey), number] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    return hashes


def _ends() -> list[tuple[float, float]]:
    """What is cut at the beginning and at the end of one side."""
    return [(0.0, 0.0), (CUT, 0.0), (0.0, CUT), (CUT, CUT)]


def _candidates(luma: npt.NDArray[np.uint8]) -> Pairs:
    """Pairs whose hashes differ in few bits, each with the way to cut that brings them closest."""
    hashes = hashes_of(luma)
    (n, ways), asked, whole = hashes.shape, hashes.reshape(-1), hashes[:, 0]
    own = np.arange(len(asked), dtype=np.int64) // ways
    found = [np.zeros((0, 3), dtype=np.int64)]
    for turn in range(0, 64, 64 // TABLES):
        turned = _turned(whole, turn)
        order = np.argsort(turned, kind="stable")
        places = np.searchsorted(turned[order], _turned(asked, turn))
        for step in range(-NEIGHBOURS, NEIGHBOURS):
            other = order[np.clip(places + step, 0, n - 1)]
            bits = _ones(asked ^ whole[other])
            near = np.flatnonzero((bits <= MOST_BITS) & (other != own))
            found.append(np.stack([own[near] * n + other[near], bits[near], near % ways], axis=1))
        found = [_closest(np.concatenate(found))]
    pairs, _, cuts = found[0].T
    return Pairs(pairs // n, pairs % n, cuts)


def _closest(rows: Ints) -> Ints:
    """Of rows (pair, bits, cut) `(R, 3)` that of each pair with the fewest bits."""
    rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
    return rows[np.unique(rows[:, 0], return_index=True)[1]]


def _turned(hashes: Hashes, by: int) -> Hashes:
    """Hashes with their bits turned around; in sorted order those are neighbours that agree from that bit on."""
    return hashes << np.uint64(by) | hashes >> np.uint64(64 - by) if by else hashes


def _ones(values: Hashes) -> npt.NDArray[np.uint8]:
    """How many bits are set."""
    bits = np.array([value.bit_count() for value in range(1 << 16)], dtype=np.uint8)
    counts: npt.NDArray[np.uint8] = bits[values.view(np.uint16)].reshape(-1, 4).sum(1, dtype=np.uint8)
    return counts


def _same(luma: npt.NDArray[np.uint8], chroma: npt.NDArray[np.uint8], pairs: Pairs) -> npt.NDArray[np.bool_]:
    """Whether pairs show the same picture, bool `(P,)`."""
    whole, part = (luma[rows].astype(np.float32) for rows in (pairs.whole, pairs.part))
    boxes_P4, gain, offset, left = _laid_over(whole, part, _boxes(pairs.cut))
    cuts = np.stack([boxes_P4[:, 0], 1 - boxes_P4[:, 1], boxes_P4[:, 2], 1 - boxes_P4[:, 3]])
    fits = (cuts >= LEAST_CUT).all(0) & (cuts <= MOST_CUT).all(0)
    fits &= (np.abs(gain - 1) <= MOST_GAIN) & (np.abs(offset + 128 * (gain - 1)) <= MOST_OFFSET)
    detail = np.minimum(detail_of(luma[pairs.whole]), detail_of(luma[pairs.part]))
    cut = np.minimum(np.abs(cuts).max(0) / CUT, 1.0)
    fits &= left <= MOST_LEFT[0] + (MOST_LEFT[1] - MOST_LEFT[0]) * cut
    fits &= left <= (MOST_LEFT_SHARE[0] + (MOST_LEFT_SHARE[1] - MOST_LEFT_SHARE[0]) * cut) * detail
    ends = boxes_P4.clip(0.0, 1.0)
    colours = chroma[pairs.whole].astype(np.float32), chroma[pairs.part].astype(np.float32)
    rows, columns = _sampling(ends[:, :2], chroma.shape[1]), _sampling(ends[:, 2:], chroma.shape[1])
    moved = np.einsum("pij,pjkc,plk->pilc", rows, colours[0], columns, optimize=True)
    same_colours = np.sqrt(((moved - colours[1]) ** 2).mean((1, 2, 3))) <= MOST_LEFT_CHROMA
    # A grey copy of a picture in colour shows the same.
    either_grey = np.minimum(*(np.abs(values - _NO_COLOUR).max((1, 2, 3)) for values in colours)) <= _GREY
    same: npt.NDArray[np.bool_] = fits & (same_colours | either_grey)
    return same


def _laid_over(whole: Floats, part: Floats, boxes_P4: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Finds the box of `whole` that looks most like `part`, by Gauss-Newton steps.

    Args:
        whole: float32 `(P, S, S)`.
        part: The same.
        boxes_P4: Where to begin: top, bottom, left, right, as shares of the sides.

    Returns:
        Boxes `(P, 4)`; gain and offset of the brightness `(P,)`; what is left of the difference, in grey levels `(P,)`.
    """
    size = part.shape[1]
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    for _ in range(_STEPS):
        moved = _cut_out(whole, boxes_P4)
        down, across = np.gradient(moved, axis=1) * size, np.gradient(moved, axis=2) * size
        columns = [down * (1 - at)[:, None], down * at[:, None], across * (1 - at), across * at, moved, np.ones_like(moved)]
        slopes = np.stack(columns, axis=-1)[:, 1:-1, 1:-1].reshape(len(part), -1, 6)
        wanted = part[:, 1:-1, 1:-1].reshape(len(part), -1, 1)
        square = slopes.transpose(0, 2, 1) @ slopes
        ridge = _FAINT * np.trace(square, axis1=1, axis2=2)[:, None, None] / 6 * np.eye(6, dtype=np.float32)
        answer = np.linalg.solve(square + ridge, slopes.transpose(0, 2, 1) @ wanted)[..., 0]
        gain, offset = answer[:, 4], answer[:, 5]
        boxes_P4 = (boxes_P4 + np.clip(answer[:, :4] / np.maximum(gain, 0.5)[:, None], -CUT, CUT)).astype(np.float32)
    moved = _cut_out(whole, boxes_P4)
    left = (gain[:, None, None] * moved + offset[:, None, None] - part)[:, 1:-1, 1:-1]
    left_P: Floats = np.sqrt((left**2).mean((1, 2)))
    return boxes_P4, gain.astype(np.float32), offset.astype(np.float32), left_P


def _boxes(cuts: Ints) -> Floats:
    """Boxes `(P, 4)`: top, bottom, left, right."""
    ends = _ends()
    boxes = [(*ends[cut // len(ends)], *ends[cut % len(ends)]) for cut in range(len(ends) ** 2)]
    ways = np.array([(top, 1 - bottom, left, 1 - right) for top, bottom, left, right in boxes], dtype=np.float32)
    found: Floats = ways[cuts]
    return found


def _cut_out(whole: Floats, boxes_P4: Floats) -> Floats:
    """What lies in the boxes, brought to the size of the whole."""
    size = whole.shape[1]
    rows, columns = _sampling(boxes_P4[:, :2], size), _sampling(boxes_P4[:, 2:], size)
    found: Floats = np.matmul(np.matmul(rows, whole), columns.transpose(0, 2, 1))
    return found


def _sampling(ends_P2: Floats, size: int) -> Floats:
    """Matrices `(P, size, size)` that stretch what lies between two ends of a side over the whole of it (Keys' cubic)."""
    at = (np.arange(size, dtype=np.float32) + 0.5) / size
    first, last = ends_P2[:, :1], ends_P2[:, 1:]
    places = np.clip((first + (last - first) * at) * size - 0.5, 0, size - 1)
    away = np.abs(places[:, :, None] - np.arange(size, dtype=np.float32))
    near, far = (1.5 * away - 2.5) * away**2 + 1, ((-0.5 * away + 2.5) * away - 4) * away + 2
    weights = np.where(away < 1, near, np.where(away < 2, far, 0.0))
    sampling: Floats = (weights / weights.sum(2, keepdims=True)).astype(np.float32)
    return sampling


def _resampling(begin: float, end: float, size: int) -> Floats:
    matrix: Floats = _sampling(np.array([[begin, 1 - end]], dtype=np.float32), size)[0]
    return matrix


def _cosines(size: int) -> Floats:
    """The orthonormal cosine transform (DCT-II) as a matrix `(size, size)`, slowest waves first."""
    from scipy.fft import dct

    matrix: Floats = dct(np.eye(size, dtype=np.float32), axis=0, norm="ortho")
    return matrix
