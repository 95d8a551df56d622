"""One function that turns whatever holds a picture into what a person would see, and one that checks a file's header.

Training, prediction and serving all read pictures here, so they cannot disagree about rotation flags, transparency,
16-bit values or which files are refused. Pillow does the decoding: it survives damaged files, and reads what people have.
"""

from __future__ import annotations

import os
import re
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import IO, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from sightline.data.modes import UnreadableError, from_numbers, in_eight_bits
from sightline.errors import ImageError, OptionError

FORMATS: tuple[str, ...] = (
    "JPEG",
    "PNG",
    "WEBP",
    "GIF",
    "BMP",
    "TIFF",
    "AVIF",
    "PPM",
    "JPEG2000",
    "ICO",
    "DIB",
    "PCX",
    "QOI",
    "SGI",
    "TGA",
)
"""What is read, by Pillow's names. The list is closed on purpose: EPS would run Ghostscript, others fetch or unpack."""

MAX_PIXELS = 120_000_000
"""Pictures of more pixels are refused: Pillow holds 4 bytes a pixel, so this one is 480 MB. Phones reach 108 million."""

Source = str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes] | Image.Image | npt.NDArray[Any] | torch.Tensor
"""What `read_image` accepts."""

_QUIET_PILLOW = ("ignore", None, Warning, re.compile(r"PIL\."), 0)
_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def read_image(source: Source, *, channels: int = 3, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """The picture as a person would see it, in 8 bits.

    Rotation flags (EXIF) are applied, transparency is laid over white, 16-bit and floating-point values are scaled to 0..255
    without clipping, CMYK, LAB, YCbCr and palettes are converted, and of an animation the first frame is taken.

    Args:
        source: A path, the bytes of a file, an open binary file, a Pillow image, an array `(H, W)`, `(H, W, 1)`,
            `(H, W, 3)` or `(H, W, 4)`, or a tensor `(C, H, W)` or `(H, W)`. Numbers are uint8 in 0..255, uint16 in 0..65535,
            or floating-point in 0..1.
        channels: 3 for RGB, 1 for grey.
        max_pixels: Pictures of more pixels are refused before they are decoded.

    Returns:
        A decoded Pillow image of mode 'RGB' or 'L'; a Pillow image that needs no change is returned itself.

    Raises:
        ImageError: The picture cannot be read; the message names it and says why.
        OptionError: `channels` is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise OptionError(f"channels={channels!r} is neither 1 (grey) nor 3 (RGB), the two ways in which pictures are read.")
    try:
        with _pillow_kept_quiet():
            if isinstance(source, np.ndarray | torch.Tensor):
                return in_eight_bits(from_numbers(source), channels)
            with _opened(source, max_pixels) as image:
                image.load()  # before the EXIF data is looked at: the other way round a damaged PNG passes as sound
                return in_eight_bits(_turned_upright(image), channels)
    except Exception as error:  # decoders fail with a dozen classes, from OSError to struct.error
        raise ImageError(f"{_name_of(source)} cannot be read: {_reason(error)}.") from error


def probe(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Why a file cannot be a readable picture, judged by its header alone; None where the header is sound.

    Damage after the header is found by `read_image` only. Thousands of files a second.

    Args:
        path: The file.
        max_pixels: As in `read_image`.
    """
    try:
        with _pillow_kept_quiet(), _opened(path, max_pixels):
            return None
    except Exception as error:  # noqa: BLE001 - as in read_image
        return _reason(error)


class PILImage:
    """Pictures in colour: `PILImage.create(source)` reads a Pillow image of mode 'RGB'."""

    channels: ClassVar[int] = 3

    @classmethod
    def create(cls, source: Source) -> Image.Image:
        """The picture that `source` holds, see `read_image`."""
        return read_image(source, channels=cls.channels)


class PILImageBW:
    """Pictures in grey: `PILImageBW.create(source)` reads a Pillow image of mode 'L'."""

    channels: ClassVar[int] = 1

    @classmethod
    def create(cls, source: Source) -> Image.Image:
        """The picture that `source` holds, see `read_image`."""
        return read_image(source, channels=cls.channels)


@contextmanager
def _pillow_kept_quiet() -> Iterator[None]:
    """Pillow's remarks on damaged metadata and large pictures neither reach the user nor turn into errors.

    `warnings.catch_warnings` replaces the interpreter's list of filters, which goes wrong when several threads decode.
    Adding one entry to that list and removing one is atomic, and the entries count the decoders at work.
    """
    filters = cast("list[object]", warnings.filters)
    filters.insert(0, _QUIET_PILLOW)
    try:
        yield
    finally:
        with suppress(ValueError):  # someone else restored an older list meanwhile
            filters.remove(_QUIET_PILLOW)


@contextmanager
def _opened(source: Source, max_pixels: int) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked, closed afterwards if it was opened here."""
    if isinstance(source, Image.Image):
        _check_size(source, max_pixels)
        yield source
        return
    with Image.open(_readable(source), formats=FORMATS) as image:
        _check_size(image, max_pixels)
        yield image


def _readable(source: Source) -> str | IO[bytes]:
    """What Pillow can open: a path that leads to a regular file with something in it, or a binary file object."""
    if isinstance(source, bytes | bytearray | memoryview):
        if len(source) == 0:
            raise UnreadableError("it is empty (0 bytes)")
        return BytesIO(source)
    if isinstance(source, str | os.PathLike):
        status = os.stat(source)  # before opening: opening a named pipe would wait for ever
        if stat.S_ISDIR(status.st_mode):
            raise UnreadableError("it is a folder, not a file")
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableError("it is not a regular file (a pipe, socket or device)")
        if status.st_size == 0:
            raise UnreadableError("it is empty (0 bytes)")
        return os.fspath(source)
    if hasattr(source, "read"):
        return cast("IO[bytes]", source)
    raise UnreadableError("expected a path, bytes, an open binary file, a Pillow image, an array or a tensor")


def _check_size(image: Image.Image, max_pixels: int) -> None:
    width, height = image.size
    if width * height > max_pixels:
        raise UnreadableError(f"it is {width:,} x {height:,} pixels, more than the {max_pixels:,} that are read; shrink it")
    if min(width, height) < 1:
        raise UnreadableError(f"it is {width} x {height} pixels, which is nothing")


def _turned_upright(image: Image.Image) -> Image.Image:
    """The picture turned as its EXIF or XMP data says; damaged metadata says nothing."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - metadata is parsed by the same decoders, with the same dozen classes of failure
        return image
    if turn is None:
        return image
    turned = image.transpose(turn)
    turned.info = {key: value for key, value in image.info.items() if key == "transparency"}  # else it would be turned again
    return turned


def _name_of(source: Source) -> str:
    """How a message calls the source: its quoted path, or what kind of thing it is."""
    if isinstance(source, str | os.PathLike):
        return repr(str(source))  # quoted, so that a newline or an undecodable byte in a name cannot spoil a log
    if isinstance(source, bytes | bytearray | memoryview):
        return f"A picture of {len(source):,} bytes"
    kind = type(source).__name__
    return f"{'An' if kind[0] in 'aeiouAEIOU' else 'A'} {kind}"


def _reason(error: Exception) -> str:
    """Why a picture cannot be read, as the rest of a sentence."""
    if isinstance(error, UnreadableError):
        return str(error)
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, PermissionError):
        return "there is no permission to read it"
    if isinstance(error, UnidentifiedImageError):
        return f"it is not a picture in a format that is read here ({', '.join(FORMATS)})"
    if isinstance(error, Image.DecompressionBombError):
        return f"it has more than the {MAX_PIXELS:,} pixels that are read"
    if isinstance(error, MemoryError):
        return "there is not enough memory to decode it"
    said = str(error).strip().rstrip(".")
    if isinstance(error, OSError) and error.errno is not None:
        return f"the system says '{error.strerror}'"
    cut = "truncated" in said.lower() or "unexpected end" in said.lower()
    return f"the file is {'cut short' if cut else 'damaged'} ({said or type(error).__name__})"
