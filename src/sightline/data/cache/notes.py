"""Notes: small facts about files, each of the same number of bytes, kept from run to run by the signatures of the files.

A note is found by what the system says of its file (`keys.signature_of`), so whoever asks again pays for that alone. One file
of notes a kind and folder of pictures; it is written whole, sealed by a checksum, and may be deleted at any time. Nothing here
fails because of the disk: where notes cannot be read or written, there are none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.atomic import whole_file
from sightline.data.cache.folder import CacheFolder

Rows = npt.NDArray[np.void]
FOLDER, ENDING = "notes", ".notes"
MOST_BYTES = 1 << 31
"""Of all files of notes together; the least recently used go first."""
_MAGIC = b"sightline notes 1\n"
_SEAL_BYTES = 16
_KEY = [("low", "<u8"), ("high", "<u8")]


class Notes:
    """The notes of one kind about the files of one folder."""

    def __init__(self, path: Path | None, fields: np.dtype[np.void], known: Rows) -> None:
        """As `open_notes` makes them.

        Args:
            path: Where they lie; None where nothing is kept.
            fields: What a note holds.
            known: Notes with their keys, sorted by the first half of the key.
        """
        self.path = path
        self._dtype = _with_key(fields)
        self._known = known
        self._used = np.zeros(len(known), dtype=bool)

    def find(self, signatures: Sequence[bytes | None]) -> tuple[npt.NDArray[np.bool_], Rows]:
        """Which files there are notes about, bool `(n,)`, and their notes, `(n,)`; what is not found is zeros.

        Args:
            signatures: 16 bytes for each file, None for what has no signature.
        """
        notes = np.zeros(len(signatures), dtype=self._dtype)
        found = np.zeros(len(signatures), dtype=bool)
        if len(self._known) and len(signatures):
            keys = _keys([signature or bytes(16) for signature in signatures])
            places = np.minimum(np.searchsorted(self._known["low"], keys["low"]), len(self._known) - 1)
            there = self._known[places]
            found = (there["low"] == keys["low"]) & (there["high"] == keys["high"])
            found &= np.array([signature is not None for signature in signatures])
            notes[found] = there[found]
            self._used[places[found]] = True
        return found, notes

    def add(self, signatures: Sequence[bytes], notes: Rows) -> None:
        """Keeps further notes, and says that those found before were of use; nothing happens where that is not possible.

        Args:
            signatures: 16 bytes for each file.
            notes: `(n,)` with the fields that the notes were opened with.
        """
        if self.path is None:
            return
        if not len(signatures):
            with suppress(OSError):
                os.utime(self.path)
            return
        new = np.zeros(len(signatures), dtype=self._dtype)
        for name in notes.dtype.names or ():
            if name in (self._dtype.names or ()):
                new[name] = notes[name]
        keys = _keys(signatures)
        new["low"], new["high"] = keys["low"], keys["high"]
        # Those that nobody asked for may be about files that are gone: they go where room is scarce.
        kept = np.concatenate([new, self._known[self._used], self._known[~self._used]])[: MOST_BYTES // self._dtype.itemsize]
        _, first = np.unique(kept["low"], return_index=True)
        self._known = kept[first]
        self._used = np.ones(len(self._known), dtype=bool)
        with suppress(OSError):
            _write(self.path, self._known)
            _make_room(self.path)


def open_notes(kind: str, files: Iterable[str], fields: np.dtype[np.void]) -> Notes:
    """The notes of a kind about files.

    Args:
        kind: What they are about, and which rules they follow: other rules, another kind.
        files: The files' absolute paths; the folder that all of them lie in says which notes are meant.
        fields: What a note holds.
    """
    nothing = np.zeros(0, dtype=_with_key(fields))
    folder = CacheFolder.planned()
    if isinstance(folder, str) or folder.bound <= 0:
        return Notes(None, fields, nothing)
    named = hashlib.blake2b(f"{kind}\n{fields}\n{_folder_of(files)}".encode(errors="surrogateescape"), digest_size=16)
    path = folder.path / FOLDER / f"{named.hexdigest()}{ENDING}"
    return Notes(path, fields, _read(path, nothing.dtype))


def _with_key(fields: np.dtype[np.void]) -> np.dtype[np.void]:
    return np.dtype([*_KEY, *((name, fields[name]) for name in fields.names or ())])


def _keys(signatures: Sequence[bytes]) -> Rows:
    return np.frombuffer(b"".join(signatures), dtype=np.dtype(_KEY))


def _folder_of(files: Iterable[str]) -> str:
    """The folder that all files lie in; what the first and the last of them by name have in common, all have."""
    listed = list(files)
    try:
        return os.path.commonpath([os.path.dirname(min(listed)), os.path.dirname(max(listed))]) if listed else ""
    except ValueError:  # on several Windows drives
        return ""


def _read(path: Path, dtype: np.dtype[np.void]) -> Rows:
    """The notes in a file; none where it is missing or damaged."""
    nothing = np.zeros(0, dtype=dtype)
    try:
        if path.stat().st_size > MOST_BYTES + len(_MAGIC) + _SEAL_BYTES:
            return nothing
        data = path.read_bytes()
    except OSError:
        return nothing
    body = memoryview(data)[len(_MAGIC) : -_SEAL_BYTES]
    sound = data.startswith(_MAGIC) and len(body) % dtype.itemsize == 0 and _seal(body) == data[-_SEAL_BYTES:]
    return np.frombuffer(body, dtype=dtype) if sound else nothing


def _write(path: Path, rows: Rows) -> None:
    body = rows.tobytes()
    with whole_file(path) as partial:
        partial.write_bytes(_MAGIC + body + _seal(body))


def _seal(body: bytes | memoryview) -> bytes:
    return hashlib.blake2b(body, digest_size=_SEAL_BYTES).digest()


def _make_room(newest: Path) -> None:
    """Removes the files of notes that were not used for longest, until all are within the bound."""
    others = sorted(
        (path for path in newest.parent.glob(f"*{ENDING}") if path != newest), key=lambda path: path.stat().st_mtime
    )
    over = sum(path.stat().st_size for path in [newest, *others]) - MOST_BYTES
    for path in others:
        if over <= 0:
            return
        over -= path.stat().st_size
        path.unlink()
