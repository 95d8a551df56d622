"""Reader: how a picture is read from where it lies, by the library or in a way of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from sightline.data.pictures.bands import Bands
from sightline.data.pictures.decode import PILImage, PILImageBW, read_image
from sightline.errors import ImageError


@dataclass(frozen=True)
class Reader:
    """Reads one picture.

    Attributes:
        channels: How many it has: 3 for RGB, 1 for grey, or any other number.
        create: A user's own function from a source to a Pillow image, an array or a tensor; None takes `read_image`.
        name: What to call that function.
    """

    channels: int = 3
    create: Callable[[Any], Any] | None = None
    name: str = ""

    @classmethod
    def of(cls, picture_class: type[PILImage], channels: int) -> Reader:
        """Reads as `create` of a class says, if that is the user's own."""
        own = picture_class.create.__func__ not in (PILImage.create.__func__, PILImageBW.create.__func__)  # type: ignore[attr-defined]
        if not own:
            return cls(channels)
        return cls(channels, picture_class.create, f"{picture_class.__name__}.create")

    def __call__(self, source: Any) -> Image.Image:
        """The picture: mode 'RGB' or 'L', or `Bands`.

        Raises:
            ImageError: It cannot be read.
        """
        if self.create is None or isinstance(source, Image.Image | np.ndarray | Tensor):
            return read_image(source, channels=self.channels)
        try:
            made = self.create(source)
        except ImageError:
            raise
        except Exception as error:  # the user's own function may fail with anything
            name = repr(str(source)) if isinstance(source, str | Path) else f"A {type(source).__name__}"
            raise ImageError(f"{name} cannot be read: {self.name} failed with {type(error).__name__}: {error}.") from error
        return read_image(made, channels=self.channels)

    def picture(self, source: Any) -> Image.Image:
        """The same for people: with `show`, `shape` and the like of `PILImage`, unless it is `Bands`.

        Raises:
            ImageError: It cannot be read.
        """
        image = self(source)
        return image if isinstance(image, Bands) else (PILImageBW if self.channels == 1 else PILImage).of(image)
