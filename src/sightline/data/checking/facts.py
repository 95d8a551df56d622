"""Facts: what is known of each picture's file after it was read and decoded in full, once; kept from run to run.

Shapes: n pictures. A fact is a row of `FIELDS`; its `luma` and `chroma` are a small copy of the picture, for look-alikes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from PIL import __version__ as pillow
from torch import Tensor

from sightline.data.cache.keys import is_keepable, read_file, signature_of
from sightline.data.cache.notes import Notes, open_notes
from sightline.data.pictures.bands import Bands
from sightline.data.pictures.contents import DIGEST_BYTES, KIND, NOTE, content_of
from sightline.data.pictures.decode import opened_picture
from sightline.data.pictures.reading import Reader
from sightline.data.rows.sources import reason_in
from sightline.errors import ImageError
from sightline.runtime import default_workers
from sightline.versions import __version__

REASON_BYTES = 240
LUMA, CHROMA = 32, 8
"""Sides of the small copies, in pixels."""
FIELDS = np.dtype([
    ("content", "V16"),
    ("reason", f"S{REASON_BYTES}"),  # why it cannot be read, UTF-8; empty where it can
    ("format", "S10"),  # Pillow's names
    ("mode", "S8"),
    ("width", "<u4"),  # as a person sees it
    ("height", "<u4"),
    ("turn", "u1"),  # the EXIF flag, 1 for upright
    ("deep", "u1"),  # more than 8 bits a channel
    ("alpha", "u1"),  # some of it is transparent, or may be
    ("has_copy", "u1"),
    ("luma", "u1", (LUMA, LUMA)),
    ("chroma", "u1", (CHROMA, CHROMA, 2)),
])  # fmt: skip
Facts = npt.NDArray[np.void]
_RULES = f"facts 1; sightline {__version__}; Pillow {pillow}"
_AT_ONCE = 16
_DEEP_MODES = ("I", "F")
_ORIENTATION_TAG = 0x0112


@dataclass(frozen=True)
class Looked:
    """What looking at pictures gave.

    Attributes:
        facts: `(n,)` of `FIELDS`.
        contents: 16 bytes that follow from what each file holds, None for what cannot be read.
        known: How many were known from before.
    """

    facts: Facts
    contents: list[bytes | None]
    known: int


def look_at(
    sources: Sequence[Any],
    read: Reader | None = None,
    workers: int | None = None,
    advance: Callable[[int], None] | None = None,
) -> Looked:
    """The facts of pictures; each is decoded in full unless that was done before.

    Args:
        sources: Paths, or pictures in memory.
        read: Reads a picture; None takes `read_image`. What a user's own function makes of files is not kept.
        workers: Threads that read; None goes by the CPUs, 0 reads in this one.
        advance: Told how many more pictures were looked at, now and then.
    """
    read = read or Reader()
    advance = advance or (lambda count: None)
    named = [row for row, source in enumerate(sources) if is_keepable(source)] if read.create is None else []
    paths = [os.path.abspath(sources[row]) for row in named]
    told = [signature_of(path) for path in paths]
    notes = open_notes(f"{_RULES}; {read.channels} channels", paths, FIELDS)
    found, kept = notes.find([None if one is None else one.digest for one in told])
    facts = np.zeros(len(sources), dtype=FIELDS)
    known = np.array(named, dtype=np.int64)[found]
    for name in FIELDS.names or ():
        facts[name][known] = kept[name][found]
    advance(len(known))
    wanted = np.setdiff1d(np.arange(len(sources)), known).tolist()
    settled: dict[int, bytes] = {}
    try:
        for row, one, signature in _each(sources, wanted, read, workers):
            facts[row] = one
            if signature is not None and read.create is None:
                settled[row] = signature
            advance(1)
    finally:  # what was looked at before Ctrl-C need not be looked at again
        _keep(notes, paths, facts, settled)
    contents = [content if any(content) else None for content in (cell.tobytes() for cell in facts["content"])]
    return Looked(facts, contents, len(known))


def reason_of(fact: np.void) -> str:
    """Why a picture cannot be read, or nothing."""
    return bytes(fact["reason"]).decode(errors="replace")


def _keep(notes: Notes, paths: list[str], facts: Facts, settled: dict[int, bytes]) -> None:
    rows, signatures = list(settled), list(settled.values())
    notes.add(signatures, facts[rows])
    if rows:
        contents = np.zeros(len(rows), dtype=NOTE)
        contents["content"] = facts["content"][rows]
        open_notes(KIND, paths, NOTE).add(signatures, contents)


def _each(
    sources: Sequence[Any], rows: list[int], read: Reader, workers: int | None
) -> Iterator[tuple[int, Facts, bytes | None]]:
    """Row, facts and signature (None where it says nothing) of each, in order."""
    if workers == 0 or len(rows) < _AT_ONCE:
        yield from ((row, *_looked_at(sources[row], read)) for row in rows)
        return
    chunks = [rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE)]
    pool = ThreadPoolExecutor(workers or default_workers(), thread_name_prefix="sightline-check")
    try:
        for some in pool.map(lambda chunk: [(row, *_looked_at(sources[row], read)) for row in chunk], chunks):
            yield from some
    finally:
        pool.shutdown(cancel_futures=True)


def _looked_at(source: Any, read: Reader) -> tuple[Facts, bytes | None]:
    """The facts of one picture, a row `()` of `FIELDS`, and the signature to keep them by."""
    fact = np.zeros((), dtype=FIELDS)
    file = read_file(source) if is_keepable(source) else None
    content = file.content if file is not None else content_of(source)[0]
    fact["content"] = np.void(content or bytes(DIGEST_BYTES))
    try:
        picture = read(source) if read.create is not None else _decoded(source if file is None else file.data, fact, read)
        _describe(picture, fact)
    except ImageError as error:
        fact["reason"] = reason_in(error).encode(errors="replace")[:REASON_BYTES]
    return fact, None if file is None else file.signature


def _decoded(source: Any, fact: Facts, read: Reader) -> Image.Image:
    """The picture as training sees it; what its file's header says is noted on the way.

    Raises:
        ImageError: It cannot be read.
    """
    if isinstance(source, str | os.PathLike | np.ndarray | Tensor):
        return read(source)
    try:
        with opened_picture(source) as image:
            _note_header(image, fact)
            picture = read(image)
            _note_turn(image, fact)
            return picture
    except ImageError:
        raise
    except Exception:  # noqa: BLE001 - decoders fail with a dozen classes; `read` knows how to say which
        return read(source)


def _note_header(image: Image.Image, fact: Facts) -> None:
    fact["format"], fact["mode"] = (image.format or "").encode(), image.mode.encode()
    fact["width"], fact["height"] = image.size
    tiles = getattr(image, "tile", None)
    layout = str(tiles[0][3]) if tiles else ""
    fact["deep"] = image.mode.startswith(_DEEP_MODES) or "16" in layout
    fact["alpha"] = image.has_transparency_data


def _note_turn(image: Image.Image, fact: Facts) -> None:
    """Notes the rotation flag, which some formats have after the pixels; damaged metadata says nothing."""
    fact["turn"] = 1
    with suppress(Exception):
        fact["turn"] = min(max(int(image.getexif().get(_ORIENTATION_TAG, 1)), 0), 255)


def _describe(picture: Image.Image, fact: Facts) -> None:
    fact["width"], fact["height"] = picture.size
    if isinstance(picture, Bands):
        return
    small = picture.convert("RGB").resize((LUMA, LUMA), Image.Resampling.BILINEAR, reducing_gap=2.0).convert("YCbCr")
    planes = np.asarray(small)
    each = LUMA // CHROMA
    blocks = planes[..., 1:].reshape(CHROMA, each, CHROMA, each, 2).mean((1, 3))
    fact["luma"], fact["chroma"], fact["has_copy"] = planes[..., 0], np.rint(blocks), 1
