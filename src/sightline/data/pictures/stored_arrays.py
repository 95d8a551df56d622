"""Arrays on disk, as NumPy saves them (.npy): their header judged, their numbers read; never one that holds objects."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.data.pictures.modes import UnreadableError
from sightline.data.pictures.opening import open_picture

ARRAY_ENDING = ".npy"
"""Files with this ending hold an array as NumPy saves it, `(H, W[, C])`."""

_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


class _Header(NamedTuple):
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype[Any]

    @property
    def bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def is_array_file(source: Any) -> bool:
    """Whether something is the path of an array."""
    return isinstance(source, str | os.PathLike) and os.fspath(source)[-len(ARRAY_ENDING) :].lower() == ARRAY_ENDING


def check_array(path: Any, max_pixels: int, max_bytes: int) -> None:
    """Refuse an array that `read_array` would refuse; its numbers are not read.

    Raises:
        UnreadableError: It is no array of a picture's shape, or too large.
        ValueError: Its header is damaged.
        OSError: It cannot be opened.
    """
    with _opened(path, max_pixels, max_bytes):
        pass


def read_array(path: Any, max_pixels: int, max_bytes: int) -> npt.NDArray[Any]:
    """The array in a file, `(H, W)` or `(H, W, C)`; raises as `check_array` does."""
    with _opened(path, max_pixels, max_bytes) as (file, header):
        array = np.frombuffer(bytearray(file.read(header.bytes)), dtype=header.dtype)
    return array.reshape(header.shape, order="F" if header.by_columns else "C")


@contextmanager
def _opened(path: Any, max_pixels: int, max_bytes: int) -> Iterator[tuple[IO[bytes], _Header]]:
    with open_picture(path) as file:
        version = np.lib.format.read_magic(file)
        if version not in _HEADERS:
            raise UnreadableError(f"it is an array of format {version[0]}.{version[1]}, expected 1.0 or 2.0")
        header = _Header(*_HEADERS[version](file))
        if header.dtype.hasobject or header.dtype.fields:
            raise UnreadableError(f"it holds {header.dtype} values, expected numbers")
        if len(header.shape) not in (2, 3) or min(header.shape) < 1:
            raise UnreadableError(f"it holds an array of shape {header.shape}, expected (H, W) or (H, W, C)")
        height, width = sorted(header.shape)[-2:]
        if height * width > max_pixels or header.bytes > max_bytes:
            raise UnreadableError(f"it is {width:,} x {height:,} pixels, more than the {max_pixels:,} that are read")
        if file.tell() + header.bytes > file.size:
            raise UnreadableError("the file is cut short")
        yield file, header
