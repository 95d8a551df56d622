"""Pictures' files opened so that no reader waits for ever: never a pipe or a device, whatever a path leads to meanwhile."""

from __future__ import annotations

import io
import math
import os
import stat
from typing import Any

from sightline.data.pictures.modes import UnreadableError
from sightline.descriptors import with_descriptors

_FEWEST_READS = 50_000
_BYTES_A_READ = 256
"""What a decoder's reads give on the average is more: a file of tiny pieces, each read in Python, takes for ever."""
_NEVER_WAITING = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


class PictureFile(io.BufferedReader):
    """A file of a picture, or its bytes, for decoders to read.

    It lends nobody its descriptor: libtiff would map the file, and a mapped file that someone cuts short kills the process.

    Attributes:
        size: Bytes in it.
    """

    def __init__(self, raw: Any, size: int) -> None:
        """Reads `raw`, of which `size` bytes are there."""
        super().__init__(raw)
        self.size = size
        self._reads_left: float = _FEWEST_READS + size // _BYTES_A_READ

    def allow_small_reads(self) -> None:
        """For decoders that read byte by byte; who calls this sees to it that there are not too many."""
        self._reads_left = math.inf

    def read(self, size: int | None = -1, /) -> bytes:
        """As every file does.

        Raises:
            UnreadableError: It was asked more often than any sound picture makes a decoder ask.
        """
        self._reads_left -= 1
        if self._reads_left < 0:
            raise UnreadableError("it is made of more pieces than a picture needs")
        return super().read(size)

    def fileno(self) -> int:
        """None, as for bytes.

        Raises:
            UnsupportedOperation: Always.
        """
        raise io.UnsupportedOperation("fileno")


def open_picture(path: str | os.PathLike[str]) -> PictureFile:
    """A regular file with something in it.

    Raises:
        UnreadableError: It is none.
        OSError: It cannot be opened.
    """
    refuse_irregular(os.stat(path))  # before opening: to open a device may be to use it
    file = io.FileIO(with_descriptors(lambda: os.open(path, _NEVER_WAITING)))
    try:
        status = os.fstat(file.fileno())  # and afterwards: the path may lead to something else by now
        refuse_irregular(status)
        return PictureFile(file, status.st_size)
    except BaseException:
        file.close()
        raise


def bytes_of_picture(content: bytes | bytearray | memoryview) -> PictureFile:
    """The same for a file's content.

    Raises:
        UnreadableError: There is none.
    """
    if len(content) == 0:
        raise UnreadableError("it is empty (0 bytes)")
    return PictureFile(io.BytesIO(content), len(content))


def refuse_irregular(status: os.stat_result) -> None:
    """Refuse what is no file with something in it.

    Raises:
        UnreadableError: Says what it is.
    """
    if stat.S_ISDIR(status.st_mode):
        raise UnreadableError("it is a folder, not a file")
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableError("it is not a regular file (a pipe, socket or device)")
    if status.st_size == 0:
        raise UnreadableError("it is empty (0 bytes)")
