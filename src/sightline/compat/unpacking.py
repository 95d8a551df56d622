"""Archives unpacked: nothing lands outside of the folder, nothing but plain files and folders, and no more than there may be.

Links within an archive become copies of what they point to, so that none is ever made or followed.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import posixpath
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from sightline.errors import DataError

MOST_TIMES = 100
"""How many times as large as the archive its content may be; pictures hardly become smaller in an archive at all."""
ALWAYS_BYTES = 1 << 30
"""Content that is always small enough, however small the archive."""
MOST_ENTRIES = 5_000_000
_LARGEST_HEADER = 16 << 20
"""What may be read in one piece: no header of a sound archive is as large, and content is copied in smaller ones."""
_CHUNK = 1 << 20

_PACKED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ\x00": lzma.open}
_BROKEN = (
    tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, OSError, EOFError, RuntimeError, NotImplementedError,
    ValueError, KeyError,
)  # fmt: skip
"""What damaged, locked or unknown archives raise."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .zip, .tar, .tgz, .tar.bz2 or .tar.xz archive into an empty folder.

    Raises:
        DataError: It is no such archive, damaged, reaches outside of the folder, or holds more than it may.
    """
    room = _Room(archive, folder)
    try:
        entries = _of_zip(archive, room) if zipfile.is_zipfile(archive) else _of_tar(archive, room, folder)
        for name, content in entries:
            target = folder.joinpath(*_parts_of(name))
            target.parent.mkdir(parents=True, exist_ok=True)
            with content, target.open("wb") as file:
                shutil.copyfileobj(content, file, _CHUNK)
    except _BROKEN as error:
        raise DataError(
            f"{archive} cannot be unpacked: {error}. Expected a whole .tgz, .tar or .zip archive that stays in its folder. "
            "Delete it and fetch it again with untar_data(..., force_download=True)."
        ) from error


class _Room:
    """How much may still be unpacked."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._usual = max(ALWAYS_BYTES, MOST_TIMES * archive.stat().st_size)
        self._free = shutil.disk_usage(folder).free
        self._bytes = self._entries = 0

    def take(self, name: str, size: int) -> None:
        """Make room for an entry, before a byte of it is written."""
        self._entries += 1
        self._bytes += size
        if self._entries > MOST_ENTRIES:
            raise ValueError(f"it holds more than {MOST_ENTRIES:,} files")
        if self._bytes > self._usual:
            raise ValueError(f"with {name!r} it holds more than {self._usual:,} bytes, out of proportion to its own size")
        if self._bytes > self._free:
            raise ValueError(f"with {name!r} it holds more than the {self._free:,} bytes for which the disk has room")


def _of_zip(archive: Path, room: _Room) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(archive) as packed:
        for entry in packed.infolist():
            # Nothing beyond the size that is said here is ever read.
            room.take(entry.filename, entry.file_size)
            if not entry.is_dir():
                yield entry.filename, packed.open(entry)


def _of_tar(archive: Path, room: _Room, folder: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with _unpacked(archive) as plain, tarfile.open(fileobj=cast("IO[bytes]", _Careful(plain)), mode="r:") as packed:
        while (entry := packed.next()) is not None:
            packed.members.clear()  # type: ignore[attr-defined] # they would be kept, however many
            linked = _target_of(entry, folder)
            room.take(entry.name, entry.size if linked is None else linked.stat().st_size)
            if entry.isdir():
                continue
            content = packed.extractfile(entry) if linked is None else linked.open("rb")
            if content is None:
                raise ValueError(f"{entry.name!r} is neither a file nor a folder")
            yield entry.name, content
        # The checksum of what is packed comes last.
        while chunk := plain.read(_CHUNK):
            room.take("what follows its end", len(chunk))


def _target_of(entry: tarfile.TarInfo, folder: Path) -> Path | None:
    """The file that a link points to, which was unpacked before it; None for what is no link."""
    if entry.islnk():
        return folder.joinpath(*_parts_of(entry.linkname))
    if not entry.issym():
        return None
    if entry.linkname.startswith("/"):
        raise ValueError(f"the link {entry.name!r} leads out of its folder, to {entry.linkname!r}")
    beside = posixpath.dirname(entry.name).lstrip("/")
    return folder.joinpath(*_parts_of(posixpath.normpath(posixpath.join(beside, entry.linkname))))


@contextmanager
def _unpacked(archive: Path) -> Iterator[IO[bytes]]:
    with archive.open("rb") as file:
        start = file.read(6)
    opened: Any = next((how for magic, how in _PACKED.items() if start.startswith(magic)), io.open)
    with opened(archive, "rb") as plain:
        yield plain


class _Careful:
    """A file that gives nothing in pieces so large that a header of gigabytes could fill the memory."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _LARGEST_HEADER:
            raise tarfile.ReadError(f"a part of it of {size:,} bytes is too large")
        return self._file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


def _parts_of(name: str) -> list[str]:
    """The folders and the file of an entry; an absolute name is one within the folder.

    Raises:
        ValueError: It leads out of the folder, or is none on some system.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    if not parts or ".." in parts or "\0" in name or (":" in name and os.name == "nt"):
        raise ValueError(f"{name!r} leads out of its folder, or is no name of a file")
    return parts
