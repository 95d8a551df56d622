"""What a picture may cost: pixels, memory and time, judged by its header before a pixel is decoded.

A file of some kilobytes can hold a picture of gigabytes. What decoders take, in bytes a pixel, was measured with those that
come with Pillow 13; tests/data/pictures/hostile.py measures it again.
"""

from __future__ import annotations

import struct
from typing import Any

from PIL import Image

from sightline.data.pictures.modes import UnreadableError
from sightline.data.pictures.opening import PictureFile

MAX_PIXELS = 120_000_000
"""Pictures of more pixels are refused. Phones reach 108 million."""

MAX_BYTES = 580_000_000
"""Pictures that would take more memory than this while they are read are refused. 120 million pixels take 480 million alone."""

MAX_SLOW_PIXELS = 2_500_000
"""Pixels of a picture that Pillow decodes in Python, one by one, at some 400,000 a second."""

MAX_SCANNED = 2_000_000_000
"""Pixels of a progressive JPEG times its scans: an encoder makes about 10, and each of them goes through all pixels."""

MAX_STRIPS = 200_000
"""Pieces of a picture, each of which a decoder is set up for: there are hardly more than rows."""

_SLOW = {"qoi", "ppm", "ppm_plain", "bmp_rle"}
_HELD_BY_DECODER = {"WEBP": 12, "AVIF": 8}
"""Bytes a pixel that a decoder goes on holding beside the picture."""
_NARROW = {"1": 1, "L": 1, "P": 1}
"""Bytes a pixel as Pillow holds it, where it is neither 2 (16 bits) nor 4."""
_SCAN = b"\xff\xda"
_PNG = b"\x89PNG\r\n\x1a\n"
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_STRIP_TAGS = (273, 279, 324, 325)
_MOST_TAGS = 65_535
_CODESTREAM = b"\xff\x4f\xff\x51"
_CODESTREAM_WITHIN = 1 << 20
_BYTES_A_TILE = 10_000
_ROWS_A_STRIP = 278


def check_size(image: Image.Image, max_pixels: int, turned: bool = False) -> None:
    """Refuse a picture that is too large, by its header.

    Args:
        image: Opened, perhaps not loaded.
        max_pixels: Limit.
        turned: Whether it is to be turned upright, which needs a second one beside it.

    Raises:
        UnreadableError: Says what it has and what is allowed.
    """
    width, height = image.size
    if min(width, height) < 1:
        raise UnreadableError(f"it is {width} x {height} pixels, which is nothing")
    most = min(max_pixels, MAX_SLOW_PIXELS) if _is_slow(image) else max_pixels
    if width * height > most:
        raise UnreadableError(f"it is {width:,} x {height:,} pixels, more than the {most:,} that are read; shrink it")
    needed = width * height * _bytes_a_pixel(image, turned)
    if needed > MAX_BYTES:
        kind = f"{image.format or 'in memory'}, {image.mode}{', turned' * turned}"
        raise UnreadableError(
            f"it is {width:,} x {height:,} pixels ({kind}), which would take {needed / 1e6:,.0f} MB to read, more than the "
            f"{MAX_BYTES / 1e6:,.0f} MB that are allowed; shrink it"
        )


def check_file(image: Image.Image, file: PictureFile, max_pixels: int) -> None:
    """Refuse what only the file tells, before it is decoded; decoders in Python are allowed their small reads.

    Raises:
        UnreadableError: Decoding would take too long or too much memory.
    """
    place = file.tell()
    if _is_slow(image):
        file.allow_small_reads()
    if image.info.get("progressive"):
        file.seek(0)
        scans = file.read().count(_SCAN)
        if scans * image.width * image.height > MAX_SCANNED:
            raise UnreadableError(f"it has {scans:,} scans of {image.width:,} x {image.height:,} pixels, which take too long")
    if image.format == "JPEG2000":
        _check_codestream(image, file, max_pixels)
    if image.format == "TIFF" and file.size > MAX_BYTES and _codec(image) == "libtiff":
        raise UnreadableError(f"the file has {file.size / 1e6:,.0f} MB, more than the {MAX_BYTES / 1e6:,.0f} MB that are read")
    file.seek(place)


def check_unopened(file: PictureFile, max_pixels: int) -> None:
    """Refuse what takes long, or much memory, as soon as Pillow opens it.

    Raises:
        UnreadableError: Says what it is.
        struct.error: The file ends in its header.
    """
    head = file.read(16)
    file.seek(0)
    if head[:4] == b"\0\0\1\0":
        _check_icon(file, max_pixels)
    elif head[:4] in _TIFF:
        _check_strips(file, head)
    file.seek(0)


def _check_strips(file: PictureFile, head: bytes) -> None:
    """Strips of a TIFF file: Pillow makes a list of them."""
    order, big = "<" if head[:2] == b"II" else ">", 43 in head[2:4]
    place, number, entry = ("Q", "Q", "HHQQ") if big else ("I", "H", "HHII")
    (start,) = struct.unpack_from(order + place, head, 8 if big else 4)
    file.seek(start)
    (count,) = struct.unpack(order + number, file.read(struct.calcsize("=" + number)))
    width = struct.calcsize("=" + entry)
    entries = file.read(min(count, _MOST_TAGS) * width)
    for at in range(0, len(entries) - width + 1, width):
        tag, _, values, _ = struct.unpack_from(order + entry, entries, at)
        if tag in _STRIP_TAGS and values > MAX_STRIPS:
            raise UnreadableError(f"it lies in {values:,} strips or tiles, more than the {MAX_STRIPS:,} that are read")


def _check_icon(file: PictureFile, max_pixels: int) -> None:
    """The picture in an icon: Pillow decodes it before it tells its size."""
    (count,) = struct.unpack("<H", file.read(6)[4:])
    entries = [file.read(16) for _ in range(count)]
    for offset in {struct.unpack("<I", entry[12:])[0] for entry in entries if len(entry) == 16}:
        file.seek(offset)
        head = file.read(24)
        if len(head) == 24:
            width, height = struct.unpack(">II", head[16:]) if head[:8] == _PNG else struct.unpack("<ii", head[4:12])
            if abs(width * height) > min(max_pixels, MAX_BYTES // 16):
                raise UnreadableError(f"it holds a picture of {abs(width):,} x {abs(height):,} pixels, more than icons have")


def _check_codestream(image: Image.Image, file: PictureFile, max_pixels: int) -> None:
    """What a JPEG 2000 file really holds: its outer header may say otherwise; tiles are decoded one at a time."""
    file.seek(0)
    head = file.read(_CODESTREAM_WITHIN)
    start = head.find(_CODESTREAM)
    numbers = head[start + 8 : start + 40]
    if start < 0 or len(numbers) < 32:
        raise UnreadableError("the file is damaged (no header of the pixels)")
    right, bottom, left, top, tile_width, tile_height, _, _ = struct.unpack(">8I", numbers)
    pixels = max(0, right - left) * max(0, bottom - top)
    tile = min(pixels, tile_width * tile_height)
    bands = len(image.getbands())
    needed = pixels * _held(image) + tile * 5.5 * bands + _BYTES_A_TILE * pixels / max(1, tile)
    if pixels > max_pixels or needed > MAX_BYTES:
        raise UnreadableError(f"it is {right - left:,} x {bottom - top:,} pixels, more than can be decoded; shrink it")


def _codec(image: Image.Image) -> str:
    tiles: Any = getattr(image, "tile", None)
    return tiles[0][0] if tiles else ""


def _is_slow(image: Image.Image) -> bool:
    return _codec(image) in _SLOW


def _held(image: Image.Image) -> int:
    """Bytes a pixel of the picture as Pillow holds it."""
    return 2 if image.mode.startswith("I;16") else _NARROW.get(image.mode, 4)


def _bytes_a_pixel(image: Image.Image, turned: bool) -> float:
    """What is held at the worst moment between opening a file and having a picture in 8 bits, over the pixels."""
    held = _held(image) + _HELD_BY_DECODER.get(image.format or "", 0)
    return max(held + _while_decoding(image), held + _held(image) * turned + _while_converting(image))


def _while_decoding(image: Image.Image) -> float:
    if image.info.get("progressive"):
        areas: list[int] = [across * down for _, across, down, _ in getattr(image, "layer", ())]
        return 2 * sum(areas) / max([*areas, 1])
    if _codec(image) == "libtiff":
        rows = getattr(image, "tag_v2", {}).get(_ROWS_A_STRIP, image.height)
        return 4.0 * min(1.0, rows / image.height) if isinstance(rows, int) else 4.0
    return 4 if _is_slow(image) or image.format == "SGI" else 0


def _while_converting(image: Image.Image) -> int:
    """Bytes a pixel of what `in_eight_bits` makes beside the picture."""
    if image.has_transparency_data:
        return 5 if image.mode == "RGBA" else 6 if image.mode == "LA" else 9
    if image.mode == "RGB":
        return 0
    if image.mode.startswith("I;16"):
        return 6
    return 8 if image.mode in ("I", "F") else 4
