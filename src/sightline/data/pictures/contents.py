"""What files hold, as 16 bytes each: the same bytes, the same 16, wherever a file lies and whatever it is called."""

from __future__ import annotations

import hashlib
import math
import os
import stat
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

import numpy as np
from PIL import Image
from torch import Tensor

from sightline.data.cache.keys import is_keepable, read_file, signature_of
from sightline.data.cache.notes import open_notes
from sightline.descriptors import with_descriptors
from sightline.runtime import default_workers

DIGEST_BYTES = 16
NOTE = np.dtype([("content", "V16")])
"""What is kept of a file."""
KIND = "contents 1"
_AT_ONCE = 64
_CHUNK_BYTES = 1 << 20
_Told: TypeAlias = tuple[bytes | None, bytes | None]


def content_hashes(files: Sequence[Any], workers: int | None = None) -> list[bytes | None]:
    """16 bytes that follow from what each file holds (BLAKE2b); None for what cannot be read or is empty.

    Known files are not read again: what is kept of them is found by their sizes, times and places, as in the cache of
    pictures, and lies beside it.

    Args:
        files: Paths. Pictures in memory (bytes, Pillow images, arrays, tensors) are taken, too.
        workers: Threads that read; None goes by the CPUs, 0 reads in this one.
    """
    return hashes_within(math.inf, files, workers)[0]


def hashes_within(seconds: float, files: Sequence[Any], workers: int | None = None) -> tuple[list[bytes | None], int]:
    """As `content_hashes`, as far as it comes in a time; and for how many files the time was too short: those are None."""
    until = time.monotonic() + seconds
    found: list[bytes | None] = [None] * len(files)
    named = [row for row, file in enumerate(files) if isinstance(file, str | os.PathLike)]
    paths = [os.path.abspath(files[row]) for row in named]
    told = [signature_of(path) for path in paths]
    notes = open_notes(KIND, paths, NOTE)
    known, kept = notes.find([None if one is None else one.digest for one in told])
    rows = np.array(named, dtype=np.int64)[known]
    for row, content in zip(rows.tolist(), kept["content"][known], strict=True):
        found[row] = content.tobytes()
    wanted = np.setdiff1d(np.arange(len(files)), rows).tolist()
    read = _in_threads(lambda row: None if time.monotonic() > until else content_of(files[row]), wanted, workers)
    new = {row: one for row, one in zip(wanted, read, strict=True) if one is not None}
    found = [new[row][0] if row in new else content for row, content in enumerate(found)]
    lasting = [(content, signature) for content, signature in new.values() if content is not None and signature is not None]
    notes.add([mark for _, mark in lasting], np.frombuffer(b"".join(content for content, _ in lasting), dtype=NOTE))
    return found, len(wanted) - len(new)


def content_of(source: Any) -> _Told:
    """16 bytes that follow from what one file or picture holds, and the signature to keep them by, where that is safe."""
    if isinstance(source, str | os.PathLike):
        read = read_file(source) if is_keepable(source) else None
        return (read.content, read.signature) if read is not None else (_content_of_file(source), None)
    if isinstance(source, bytes | bytearray | memoryview):
        return (_digest(b"", source) if len(source) else None), None
    if isinstance(source, Image.Image):
        return _digest(f"{source.mode} {source.size}".encode(), source.tobytes()), None
    if isinstance(source, Tensor):
        source = source.detach().cpu().numpy()
    if isinstance(source, np.ndarray):
        return _digest(f"{source.dtype} {source.shape}".encode(), np.ascontiguousarray(source).data), None
    return None, None


def _in_threads(work: Callable[[int], _Told | None], rows: list[int], workers: int | None) -> list[_Told | None]:
    if workers == 0 or len(rows) < _AT_ONCE:
        return [work(row) for row in rows]
    chunks = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    with ThreadPoolExecutor(workers or default_workers(), thread_name_prefix="sightline-contents") as pool:
        return [one for some in pool.map(lambda chunk: [work(row) for row in chunk], chunks) for one in some]


def _content_of_file(path: Any) -> bytes | None:
    """For files that are not kept: larger than memory should hold, or arrays."""
    try:
        status = os.stat(path)  # before opening: opening a named pipe would wait for ever
        if not stat.S_ISREG(status.st_mode) or status.st_size == 0:
            return None
        digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
        with with_descriptors(lambda: open(path, "rb")) as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
    except (OSError, ValueError):
        return None
    return digest.digest()


def _digest(head: bytes, body: Any) -> bytes:
    return hashlib.blake2b(head + bytes(body) if head else body, digest_size=DIGEST_BYTES).digest()
