"""Keys: what tells one kept picture from another, and whether a file is still the one that was read."""

from __future__ import annotations

import hashlib
import os
import stat
import time
from typing import Any, NamedTuple

from sightline.data.pictures.modes import UnreadableError
from sightline.data.pictures.opening import open_picture
from sightline.data.pictures.stored_arrays import ARRAY_ENDING
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.versions import __version__

FORMAT = 1
"""Of the files, and of what the keys are made from."""
RACY_NS = 3_000_000_000
"""A file that was changed less than this ago may change again without its time showing it: clocks of files tick slowly."""
MOST_BYTES = 1 << 28
"""Larger files are not read into memory as a whole, and so not kept."""


class Signature(NamedTuple):
    """What the system tells of a file without reading it.

    Attributes:
        digest: 16 bytes that follow from path, size, times and inode.
        changed_ns: When it was last changed.
    """

    digest: bytes
    changed_ns: int


class FileRead(NamedTuple):
    """A file's content.

    Attributes:
        data: All of it.
        content: 16 bytes that follow from it.
        signature: By which the file can be told to be the same without reading it; None where that is not safe.
    """

    data: bytes
    content: bytes
    signature: bytes | None


def is_keepable(source: Any) -> bool:
    """Whether something is a picture's file; an array's is read as it lies there."""
    return isinstance(source, str | os.PathLike) and os.fspath(source)[-len(ARRAY_ENDING) :].lower() != ARRAY_ENDING


def signature_of(source: Any) -> Signature | None:
    """The signature of a picture's file; None for what is no file or is not to be kept."""
    if not is_keepable(source):
        return None
    path = os.fspath(source)
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    if not stat.S_ISREG(found.st_mode) or not 0 < found.st_size <= MOST_BYTES:
        return None
    place = path if os.path.isabs(path) else os.path.abspath(path)
    told = f"{found.st_size}/{found.st_mtime_ns}/{found.st_ctime_ns}/{found.st_ino}/{place}"
    digest = hashlib.blake2b(told.encode(errors="surrogateescape"), digest_size=16).digest()
    return Signature(digest, max(found.st_mtime_ns, found.st_ctime_ns))


def read_file(source: Any) -> FileRead | None:
    """A picture's file with its keys; None for what is no file, cannot be read or is not to be kept."""
    began, before = time.time_ns(), signature_of(source)
    if before is None:
        return None
    try:
        with open_picture(source) as file:
            data = file.read(MOST_BYTES + 1)
    except (OSError, UnreadableError):
        return None
    if len(data) > MOST_BYTES:  # it has grown since
        return None
    # As git does it: had the file been changed since, and within one tick of its clock, its signature would be the same.
    settled = began - before.changed_ns > RACY_NS and signature_of(source) == before
    return FileRead(data, hashlib.blake2b(data, digest_size=16).digest(), before.digest if settled else None)


def recipe_of(items: ItemPipeline, training: bool) -> str:
    """The name of everything that determines kept pixels besides the file: 32 letters."""
    from PIL import __version__ as pillow
    from PIL import features

    decoders = (f"{name} {features.version(name)}" for name in ("libjpeg_turbo", "jpg", "webp", "jpg_2000", "libtiff"))
    words = f"{FORMAT}; sightline {__version__}; Pillow {pillow}; {', '.join(decoders)}; {items.recipe(training)}"
    return hashlib.blake2b(words.encode(), digest_size=16).hexdigest()
