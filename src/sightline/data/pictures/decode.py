"""One function that turns whatever holds a picture into what a person would see, and one that checks a file's header.

Training, prediction and serving all read pictures here, so they cannot disagree about rotation flags, transparency,
16-bit values or which files are refused. Pillow does the decoding: it survives damaged files, and reads what people have.
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any, ClassVar, cast

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image, UnidentifiedImageError

from sightline.data.pictures.bands import PILLOW_CHANNELS, Bands
from sightline.data.pictures.handy import HandyImage
from sightline.data.pictures.limits import MAX_BYTES, MAX_PIXELS, check_file, check_size, check_unopened
from sightline.data.pictures.modes import UnreadableError, bands_of_pages, from_numbers, in_eight_bits
from sightline.data.pictures.opening import PictureFile, bytes_of_picture, open_picture
from sightline.data.pictures.stored_arrays import check_array, is_array_file, read_array
from sightline.descriptors import is_short
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
    without clipping, CMYK, LAB, YCbCr and palettes are converted, and of an animation the first frame is taken. Colour profiles
    and gamma values are not applied: published weights were trained on pictures that were read without them.

    Pictures of any other number of channels are taken as they are: transparency is a channel of its own, and a TIFF file with
    as many grey pages gives one channel a page.

    Args:
        source: A path, the bytes of a file, an open binary file, a Pillow image, an array `(H, W)`, `(H, W, 1)`,
            `(H, W, 3)` or `(H, W, 4)`, or a tensor `(C, H, W)` or `(H, W)`; a path may lead to an array, too (.npy). Numbers
            are uint8 in 0..255, uint16 in 0..65535, or floating-point in 0..1.
        channels: 3 for RGB, 1 for grey, any other number for an array `(H, W, channels)` or a picture with as many channels.
        max_pixels: Pictures of more pixels are refused before they are decoded.

    Returns:
        A decoded Pillow image of mode 'RGB' or 'L', or `Bands`; a Pillow image that needs no change is returned itself.

    Raises:
        ImageError: The picture cannot be read; the message names it and says why.
        OptionError: `channels` is no number of channels.
    """
    if isinstance(channels, bool) or not isinstance(channels, int) or channels < 1:
        raise OptionError(f"channels={channels!r} is neither 1 (grey) nor 3 (RGB) nor another number of channels, at least 1.")
    try:
        with _pillow_kept_quiet():
            if isinstance(source, np.ndarray | torch.Tensor):
                return in_eight_bits(from_numbers(source, channels), channels)
            if is_array_file(source):
                return in_eight_bits(from_numbers(read_array(source, max_pixels, MAX_BYTES), channels), channels)
            with _opened(source, max_pixels) as image:
                pages = _pages(image, channels, max_pixels)
                if pages:
                    return bands_of_pages(pages)
                image.load()  # before the EXIF data is looked at: the other way round a damaged PNG passes as sound
                return in_eight_bits(_turned_upright(image, max_pixels), channels)
    except Exception as error:  # decoders fail with a dozen classes, from OSError to struct.error
        raise ImageError(f"{_name_of(source)} cannot be read: {_reason(error)}.") from error


def load_image(fn: Source, mode: str | None = None) -> Image.Image:
    """A picture in the colour mode in which it is stored, turned upright; or in another one.

    Args:
        fn: A path, bytes, an open binary file or a Pillow image.
        mode: Pillow's name of a colour mode to convert to, such as 'RGB' or 'L'.

    Raises:
        ImageError: The picture cannot be read.
    """
    try:
        with _pillow_kept_quiet(), _opened(fn, MAX_PIXELS) as image:
            image.load()
            upright = _turned_upright(image, MAX_PIXELS)
            return upright.convert(mode) if mode else upright.copy()
    except Exception as error:
        raise ImageError(f"{_name_of(fn)} cannot be read: {_reason(error)}.") from error


def probe(path: str | os.PathLike[str], *, max_pixels: int = MAX_PIXELS) -> str | None:
    """Why a file cannot be a readable picture, judged by its header alone; None where the header is sound.

    Damage after the header is found by `read_image` only. Thousands of files a second.

    Args:
        path: The file.
        max_pixels: As in `read_image`.
    """
    try:
        if is_array_file(path):
            check_array(path, max_pixels, MAX_BYTES)
            return None
        with _pillow_kept_quiet(), _opened(path, max_pixels, decoding=False):
            return None
    except Exception as error:  # noqa: BLE001 - as in read_image
        return _reason(error)


def picture_size(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """(width, height) of a picture as its file's header says, before it is turned upright; None where that cannot be read."""
    try:
        with _pillow_kept_quiet(), _opened(path, MAX_PIXELS, decoding=False) as image:
            return image.size
    except Exception:  # noqa: BLE001 - as in read_image
        return None


@contextmanager
def opened_picture(source: Source, *, max_pixels: int = MAX_PIXELS) -> Iterator[Image.Image]:
    """A picture of which no more than the header was read, for who wants to see that, too; `read_image` takes it from there.

    Raises:
        Exception: It cannot be opened; of whatever class Pillow has for that, and `read_image(source)` says why.
    """
    with _pillow_kept_quiet(), _opened(source, max_pixels) as image:
        yield image


class PILImage(HandyImage):
    """Pictures in colour: `PILImage.create(source)` reads a Pillow image of mode 'RGB'.

    `isinstance(picture, PILImage)` holds for every Pillow image. A class of your own that inherits from this one, with a
    `create` that returns a Pillow image, an array or a tensor, reads pictures in a way of your own: `ImageBlock(cls=Mine)`.
    """

    channels: ClassVar[int] = 3
    looks_like: ClassVar[tuple[str, ...]] = ()

    def __init_subclass__(cls, **options: Any) -> None:
        """Takes the number of channels from `_open_args = {"mode": "RGBA"}`, as fastai's scripts write it."""
        super().__init_subclass__(**options)
        mode = cls.__dict__.get("_open_args", {}).get("mode")
        if mode is not None and "channels" not in cls.__dict__:
            cls.channels = Image.getmodebands(mode)

    @classmethod
    def create(cls, fn: Source, mode: str | None = None) -> Image.Image:
        """The picture that `fn` holds, see `read_image`; in another colour mode of Pillow's, see `load_image`."""
        image = read_image(fn, channels=cls.channels) if mode is None else load_image(fn, mode)
        return image if isinstance(image, Bands) else cls.of(image)


class PILImageBW(PILImage):
    """Pictures in grey: `PILImageBW.create(source)` reads a Pillow image of mode 'L'."""

    channels: ClassVar[int] = 1
    looks_like: ClassVar[tuple[str, ...]] = ("L",)
    colours: ClassVar[str] = "Greys"


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
def _opened(source: Source, max_pixels: int, *, decoding: bool = True) -> Iterator[Image.Image]:
    """The picture with its header read and its size checked, closed afterwards if it was opened here."""
    if isinstance(source, Image.Image):
        check_size(source, max_pixels)
        yield source
        return
    with _readable(source) as file:
        check_unopened(file, max_pixels)
        with Image.open(file, formats=FORMATS) as image:
            check_size(image, max_pixels)
            if decoding:
                check_file(image, file, max_pixels)
            yield image


def _readable(source: Source) -> PictureFile:
    """What Pillow can open: the path of a regular file with something in it, or bytes."""
    if isinstance(source, bytes | bytearray | memoryview):
        return bytes_of_picture(source)
    if isinstance(source, str | os.PathLike):
        return open_picture(source)
    if hasattr(source, "read"):
        file = cast("IO[bytes]", source)
        with suppress(OSError, AttributeError):  # not every file can be wound back
            file.seek(0)
        return bytes_of_picture(file.read())
    raise UnreadableError("expected a path, bytes, an open binary file, a Pillow image, an array or a tensor")


def _pages(image: Image.Image, channels: int, max_pixels: int) -> list[Image.Image]:
    """The pages of a TIFF file where each is one of the wanted channels; else none."""
    if channels in PILLOW_CHANNELS or image.format != "TIFF" or getattr(image, "n_frames", 1) != channels:
        return []
    pages = []
    for number in range(channels):
        image.seek(number)
        check_size(image, max_pixels // channels)  # all of them are held at once
        image.load()
        if len(image.getbands()) > 1:
            raise UnreadableError(f"page {number + 1} of it has {len(image.getbands())} channels, expected one channel a page")
        pages.append(_turned_upright(image, max_pixels).copy())
    return pages


def _turned_upright(image: Image.Image, max_pixels: int) -> Image.Image:
    """The picture turned as its EXIF or XMP data says; damaged metadata says nothing."""
    try:
        turn = _TURNS.get(image.getexif().get(_ORIENTATION_TAG, 1))
    except Exception:  # noqa: BLE001 - metadata is parsed by the same decoders, with the same dozen classes of failure
        return image
    if turn is None:
        return image
    check_size(image, max_pixels, turned=True)
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
    """Why a picture cannot be read, as the rest of a sentence.

    Raises:
        OSError: No file at all can be opened now, which says nothing about the picture.
    """
    if isinstance(error, UnreadableError):
        return str(error)
    if is_short(error):
        raise error
    if isinstance(error, FileNotFoundError):
        broken = error.filename is not None and os.path.islink(error.filename)
        return "it is a link that leads nowhere" if broken else "there is no such file"
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
