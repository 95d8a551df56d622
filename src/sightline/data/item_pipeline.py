"""ItemPipeline: the transforms of one picture in the order in which they run, from its source to its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.data.chance import ItemDraw
from sightline.data.decode import Source, read_image
from sightline.data.resize import apply_preprocess
from sightline.data.transforms import ItemTransform
from sightline.errors import OptionError
from sightline.preprocess import Preprocess


@dataclass(frozen=True)
class _Fixed(ItemTransform):
    """The picture part of a `Preprocess`."""

    pre: Preprocess

    def __call__(self, image: Image.Image, draw: ItemDraw | None = None) -> Image.Image:
        return apply_preprocess(image, self.pre)

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        return None if pre.size or pre.crop else replace(self.pre, batch_size_px=None, mean=None, std=None)


class ItemPipeline:
    """The item transforms in the order in which they run, from a picture's source to its pixels."""

    def __init__(self, transforms: object = None, channels: int = 3) -> None:
        """Orders and checks the transforms.

        Args:
            transforms: One `ItemTransform` or callable (Pillow image to Pillow image or array), a list of them, or None.
            channels: 3 for RGB, 1 for grey.

        Raises:
            OptionError: Something in `transforms` is not a transform of one picture.
        """
        given: list[Any] = list(transforms) if isinstance(transforms, Iterable) else [] if transforms is None else [transforms]
        for transform in given:
            _check_transform(transform)
        self.transforms: tuple[Callable[..., Any], ...] = tuple(
            sorted(given, key=lambda transform: getattr(transform, "order", 0))
        )
        self.channels = channels
        self.preprocess = Preprocess(channels=channels)
        """The evaluation form of the transforms, as far as a value can hold it."""
        self.custom_names: tuple[str, ...] = ()
        """What `preprocess` leaves out: a user's own callables, and combinations that a value has no room for."""
        self._named = tuple(zip(_scopes(self.transforms), self.transforms, strict=True))
        for name, transform in self._named:
            after = transform.preprocess(self.preprocess) if isinstance(transform, ItemTransform) else None
            self.preprocess = after or self.preprocess
            self.custom_names += () if after else (name,)

    @classmethod
    def from_preprocess(cls, pre: Preprocess) -> ItemPipeline:
        """The picture part of a `Preprocess`, in training and otherwise."""
        return cls(_Fixed(pre), pre.channels)

    def picture(self, source: Source, draw: ItemDraw) -> Image.Image:
        """The transformed picture, mode 'RGB' or 'L'.

        Raises:
            ImageError: The picture cannot be read.
        """
        image = read_image(source, channels=self.channels)
        if not draw.training and not self.custom_names:
            return apply_preprocess(image, self.preprocess)
        for scope, transform in self._named:
            if isinstance(transform, ItemTransform):
                image = transform(image, draw.scoped(f"{scope}."))
            else:
                image = read_image(_checked_result(scope, transform(image)), channels=self.channels)
        return image

    def sample(self, source: Source, draw: ItemDraw) -> npt.NDArray[np.uint8]:
        """The transformed picture's pixels: uint8 `(H, W, C)`, C being 3 (RGB) or 1 (grey).

        Raises:
            ImageError: The picture cannot be read.
        """
        pixels = np.array(self.picture(source, draw), dtype=np.uint8)
        return pixels[..., None] if pixels.ndim == 2 else pixels


def _check_transform(transform: object) -> None:
    if isinstance(transform, type):
        name = transform.__name__
        raise OptionError(f"item_tfms holds the class {name}; give what it makes, such as {name}(224).")
    if not callable(transform):
        raise OptionError(
            f"item_tfms holds {transform!r}, which is not a transform of one picture: expected Resize(224),"
            " RandomResizedCrop(224) or a function from picture to picture. Transforms of whole batches, such as Rotate or"
            " Normalize, go to batch_tfms."
        )


def _checked_result(name: str, result: object) -> Image.Image | npt.NDArray[Any]:
    if isinstance(result, Image.Image | np.ndarray):
        return result
    raise OptionError(
        f"the item transform {name} returned a {type(result).__name__}; expected a Pillow image or an array (H, W, C) of uint8."
    )


def _scopes(transforms: Iterable[Callable[..., Any]]) -> list[str]:
    """A name for each transform; the second of a kind is called 'Resize2'."""
    names: list[str] = []
    for transform in transforms:
        name = getattr(transform, "__name__", type(transform).__name__)
        seen = sum(earlier.rstrip("0123456789") == name for earlier in names)
        names.append(f"{name}{seen + 1}" if seen else name)
    return names
