"""Packs: many kept pictures in one file, with what they are written last.

    "sightline pack 1" | pixels of one picture, then of the next, uint8 (H, W, C) | entries | where the entries are, their
    checksum and the same words again

A pack is used only if its end is there and agrees with its length. Each picture has a checksum of its own. Nothing in it is
ever executed: it holds numbers alone.
"""

from __future__ import annotations

import os
import secrets
import struct
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from sightline.data.cache.files import OpenFile

ENDING = ".pack"
MARK = b"sightline pack 1"
_END = struct.Struct(f"<QQII{len(MARK)}s")
Records: TypeAlias = npt.NDArray[Any]

_WHERE = [
    ("offset", "<u8"), ("height", "<u4"), ("width", "<u4"), ("read_height", "<u4"), ("read_width", "<u4"), ("crc", "<u4"),
    ("channels", "<u4"),
]  # fmt: skip
ENTRY = np.dtype([("content", "<u8", 2), ("signature", "<u8", 2), *_WHERE])
"""A picture in a pack: keys of its file (no signature: zeros), where its pixels are, their size, that of the picture as it was
read, their checksum. An entry of height 0 says only that a file with this signature has that content."""
PLACE = np.dtype([("pack", "<i4"), ("known", "?"), *_WHERE])
"""Where a row's picture is: number of the pack (or one of the next three), whether its checksum was compared, and as above."""
NOT_SOUGHT, NOT_KEPT, NOT_FOUND = -1, -2, -3
"""Not looked for yet; decoded, and not to be kept; looked for, and to be decoded when it is asked for."""
_LARGEST_SIDE = 1 << 24


def crc_of(pixels: Any) -> int:
    """The checksum of contiguous pixels."""
    return zlib.crc32(pixels)


class NewPack:
    """A pack that is being filled.

    Attributes:
        file: It, open.
        end: Where the next picture goes.
        process: Who fills it; a forked process must not.
    """

    def __init__(self, folder: Path) -> None:
        """Begins a file in `folder`.

        Raises:
            OSError: It cannot be made.
        """
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():016x}-{os.getpid()}-{secrets.token_hex(4)}{ENDING}"
        self.file = OpenFile(folder / name, new=True)
        self.process = os.getpid()
        self._entries: list[tuple[Any, ...]] = []
        self.end = len(MARK)
        self._begin()
        self.file.write(MARK, 0)

    def entries(self) -> Records:
        """Those of the pictures and notes so far."""
        return np.array(self._entries, dtype=ENTRY)

    def add(self, content: bytes, signature: bytes | None, pixels: npt.NDArray[np.uint8], read: tuple[int, int]) -> Records:
        """Writes a picture, uint8 `(H, W, C)`, that was (width, height) when it was read; returns its `PLACE`, of pack 0.

        Raises:
            OSError: It cannot be written; the pack is as it was before.
        """
        height, width, channels = pixels.shape
        self._begin()
        self.file.write(np.ascontiguousarray(pixels), self.end)
        where = (self.end, height, width, read[1], read[0], crc_of(np.ascontiguousarray(pixels)), channels)
        self._entries.append((_numbers(content), _numbers(signature), *where))
        self.end += pixels.nbytes
        return np.array((0, True, *where), dtype=PLACE)

    def note(self, content: bytes, signature: bytes) -> None:
        """Writes down that a file with this signature has that content."""
        self._begin()
        self._entries.append((_numbers(content), _numbers(signature), *(0,) * len(_WHERE)))

    def finish(self) -> None:
        """Writes what makes the pack one; what is added later is written over it, and it is none until this is called again.

        Raises:
            OSError: It cannot be written.
        """
        if not self.file.busy:
            return
        entries = self.entries().tobytes()
        end = _END.pack(self.end, len(self._entries), zlib.crc32(entries), 0, MARK)
        self.file.write(entries + end, self.end)
        self.file.busy = False

    def _begin(self) -> None:
        # Open to its end: whoever meets a pack without one, and in nobody's use, takes it for left behind.
        self.file.busy = True


def read_entries(file: OpenFile) -> Records | None:
    """The entries of a pack, None if it is not whole."""
    try:
        size = file.size
    except OSError:
        return None
    end = bytearray(_END.size)
    if size < len(MARK) + _END.size or not file.read_into(end, size - _END.size):
        return None
    start, count, crc, _, mark = _END.unpack(end)
    if mark != MARK or start + count * ENTRY.itemsize + _END.size != size:
        return None
    entries = np.empty(count, dtype=ENTRY)
    if count and (not file.read_into(entries.view(np.uint8), start) or crc_of(entries.view(np.uint8)) != crc):
        return None
    sides = np.stack([entries["height"], entries["width"], entries["channels"]]) if count else np.zeros((3, 0))
    if (sides > _LARGEST_SIDE).any():
        return None
    lengths = sides.astype(np.float64).prod(axis=0)
    return entries if (entries["offset"] + lengths <= start).all() else None


class Index:
    """The entries of several packs, found by their keys."""

    def __init__(self, packs: Mapping[int, Records]) -> None:
        """Puts the entries of packs, by number, in order."""
        entries = np.concatenate([np.empty(0, dtype=ENTRY), *packs.values()])
        places = np.zeros(len(entries), dtype=PLACE)
        places["pack"] = np.repeat(np.array([*packs], dtype=np.int32), [len(found) for found in packs.values()])
        for name, _ in _WHERE:
            places[name] = entries[name]
        is_picture = entries["height"] > 0
        self._contents = _Sorted(entries["content"][is_picture], places[is_picture])
        # A note leads to the picture with the content that it tells of.
        places[~is_picture] = self._contents.find(entries["content"][~is_picture])
        signed = (entries["signature"] != 0).any(axis=1) & (places["pack"] >= 0)
        self._signatures = _Sorted(entries["signature"][signed], places[signed])

    def with_contents(self, digests: list[bytes]) -> Records:
        """The `PLACE` of each content, of pack `NOT_SOUGHT` where there is none."""
        return self._contents.find(_numbers_of(digests))

    def with_signatures(self, digests: list[bytes]) -> Records:
        """The same by signature."""
        return self._signatures.find(_numbers_of(digests))


class _Sorted:
    """Places by a key of two numbers."""

    def __init__(self, keys: npt.NDArray[np.uint64], places: Records) -> None:
        order = np.argsort(keys[:, 0], kind="stable")
        self._keys, self._places = keys[order], places[order]

    def find(self, keys: npt.NDArray[np.uint64]) -> Records:
        found = np.zeros(len(keys), dtype=PLACE)
        found["pack"] = NOT_SOUGHT
        at = np.searchsorted(self._keys[:, 0], keys[:, 0])
        at[at == len(self._keys)] = 0
        if len(self._keys):
            same = (self._keys[at] == keys).all(axis=1)
            found[same] = self._places[at[same]]
        return found


def _numbers(digest: bytes | None) -> tuple[int, ...]:
    return struct.unpack("<QQ", digest or bytes(16))


def _numbers_of(digests: list[bytes]) -> npt.NDArray[np.uint64]:
    return np.frombuffer(b"".join(digests), dtype="<u8").reshape(-1, 2)
