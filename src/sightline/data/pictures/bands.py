"""Bands: a picture of any number of channels with the part of Pillow's interface that transforms use, band by band.

Pillow itself holds 1, 3 or 4 channels, and of those with transparency it weighs colours by their alpha when it resizes.
Channels that are measurements (near infrared, depth) must not be mixed, so here each one is a grey picture of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from PIL import Image

PILLOW_CHANNELS = (1, 3)
"""Numbers of channels that are Pillow images of mode 'L' or 'RGB'; all others are `Bands`."""


class Bands(Image.Image):
    """Several grey pictures of one size as one picture.

    It can be cropped, resized, transposed, rotated, filtered and warped as any Pillow image, and `np.asarray` gives uint8
    `(H, W, C)`. Conversions between colour modes have no meaning and are refused.
    """

    def __init__(self, bands: Sequence[Image.Image]) -> None:
        """Puts grey pictures (mode 'L') of one size together."""
        super().__init__()
        self.bands = tuple(bands)

    @classmethod
    def of(cls, pixels: npt.NDArray[np.uint8]) -> Self:
        """From uint8 `(H, W, C)`."""
        return cls([Image.fromarray(np.ascontiguousarray(pixels[..., band])) for band in range(pixels.shape[2])])

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.bands[0].size

    @property
    def width(self) -> int:
        """In pixels."""
        return self.size[0]

    @property
    def height(self) -> int:
        """In pixels."""
        return self.size[1]

    @property
    def mode(self) -> str:
        """No mode of Pillow's: the number of bands in words."""
        return f"{len(self.bands)} bands"

    @property
    def has_transparency_data(self) -> bool:
        """No: a fourth channel is a channel like the others."""
        return False

    @property
    def __array_interface__(self) -> Any:
        # As bytes, which live as long as what refers to them; the address of an array would not.
        pixels = np.stack([np.asarray(band) for band in self.bands], axis=-1)
        return {"shape": pixels.shape, "typestr": "|u1", "version": 3, "data": pixels.tobytes()}

    def __repr__(self) -> str:
        return f"<Bands {len(self.bands)} x {self.width}x{self.height}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bands) and self.bands == other.bands

    __hash__ = None  # type: ignore[assignment]

    def load(self) -> None:
        """Nothing: the pixels are there already."""

    def getbands(self) -> tuple[str, ...]:
        """The numbers of the bands."""
        return tuple(map(str, range(len(self.bands))))

    def split(self) -> tuple[Image.Image, ...]:
        """The bands, each a grey picture."""
        return self.bands

    def getchannel(self, channel: int | str) -> Image.Image:
        """One band."""
        return self.bands[int(channel)]

    def copy(self) -> Bands:
        """The same with pixels of its own."""
        return self._each("copy")

    def crop(self, *args: Any, **kwargs: Any) -> Bands:
        """Pillow's, of every band."""
        return self._each("crop", *args, **kwargs)

    def resize(self, *args: Any, **kwargs: Any) -> Bands:
        """Pillow's, of every band."""
        return self._each("resize", *args, **kwargs)

    def transpose(self, *args: Any, **kwargs: Any) -> Bands:
        """Pillow's, of every band."""
        return self._each("transpose", *args, **kwargs)

    def rotate(self, *args: Any, **kwargs: Any) -> Bands:
        """Pillow's, of every band."""
        return self._each("rotate", *args, **kwargs)

    def transform(self, *args: Any, **kwargs: Any) -> Bands:
        """Pillow's, of every band."""
        return self._each("transform", *args, **kwargs)

    def filter(self, *args: Any, **kwargs: Any) -> Bands:
        """Pillow's, of every band."""
        return self._each("filter", *args, **kwargs)

    def convert(self, *args: Any, **kwargs: Any) -> Image.Image:
        """Refused.

        Raises:
            ValueError: Always.
        """
        raise ValueError(f"a picture of {len(self.bands)} channels has no colour mode to convert from")

    def _each(self, operation: str, *args: Any, **kwargs: Any) -> Bands:
        return Bands([getattr(band, operation)(*args, **kwargs) for band in self.bands])


def picture_of(pixels: npt.NDArray[np.uint8]) -> Image.Image:
    """A picture of uint8 `(H, W)`, `(H, W, 3)`, or `(H, W, C)` with any other C."""
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.ndim == 3 and pixels.shape[2] not in PILLOW_CHANNELS:
        return Bands.of(pixels)
    return Image.fromarray(np.ascontiguousarray(pixels))
