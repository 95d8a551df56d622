"""ItemPipeline: the transforms of one picture in the order in which they run, from its source to its pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.data.pictures.decode import Source
from sightline.data.pictures.reading import Reader
from sightline.data.pictures.resize import Placement, placements_of
from sightline.data.transforms.by_hand import OfBatches
from sightline.data.transforms.chance import Floats, ItemDraw
from sightline.data.transforms.items import ItemTransform, Placing
from sightline.data.transforms.own_steps import OwnStep, unique_names
from sightline.data.transforms.points import path_of_points
from sightline.data.transforms.user_transforms import made
from sightline.errors import OptionError
from sightline.preprocess import Preprocess


@dataclass(frozen=True)
class _Fixed(Placing):
    """The picture part of a `Preprocess`."""

    pre: Preprocess

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        return placements_of(self.pre, picture)

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        return None if pre.size or pre.crop else replace(self.pre, batch_size_px=None, mean=None, std=None)


class ItemPipeline:
    """The item transforms in the order in which they run, from a picture's source to its pixels."""

    def __init__(self, transforms: object = None, channels: int = 3, read: Reader | None = None) -> None:
        """Orders and checks the transforms.

        Args:
            transforms: One `ItemTransform` or callable (Pillow image to Pillow image or array), a list of them, or None; see
                `user_transforms` for what else it may be.
            channels: 3 for RGB, 1 for grey, or any other number.
            read: How a picture is read; None takes `read_image`.

        Raises:
            OptionError: Something in `transforms` is not a transform of one picture.
        """
        given = made(_listed(transforms))
        for transform in given:
            _check_transform(transform)
        self.transforms: tuple[Callable[..., Any], ...] = tuple(
            sorted(given, key=lambda transform: getattr(transform, "order", 0))
        )
        self.channels = channels
        self.read = read or Reader(channels)
        self.preprocess = Preprocess(channels=channels)
        """The evaluation form of the transforms, as far as a value can hold it."""
        self.custom_names: tuple[str, ...] = (self.read.name,) if self.read.create else ()
        """What `preprocess` leaves out: a user's own transforms, unless they run in training only, and combinations that a
        value has no room for."""
        named = zip(unique_names(self.transforms), self.transforms, strict=True)
        self._named = tuple((name, t if isinstance(t, ItemTransform) else OwnStep.of_item(t, name)) for name, t in named)
        for name, step in self._named:
            if isinstance(step, OwnStep) and not step.runs(training=False):
                continue
            after = step.preprocess(self.preprocess) if isinstance(step, ItemTransform) else None
            self.preprocess = after or self.preprocess
            self.custom_names += () if after else (name,)

    @classmethod
    def from_preprocess(cls, pre: Preprocess) -> ItemPipeline:
        """The picture part of a `Preprocess`, in training and otherwise."""
        return cls(_Fixed(pre), pre.channels)

    def picture(self, source: Source, draw: ItemDraw) -> Image.Image:
        """The transformed picture, mode 'RGB' or 'L', or `Bands`.

        Raises:
            ImageError: The picture cannot be read.
        """
        return self._run(source, draw)[0]

    def sample(self, source: Source, draw: ItemDraw) -> npt.NDArray[np.uint8]:
        """The transformed picture's pixels: uint8 `(H, W, C)`, C being 3 (RGB), 1 (grey) or any other number.

        Raises:
            ImageError: The picture cannot be read.
        """
        return _pixels(self.picture(source, draw))

    def placed(self, source: Source, draw: ItemDraw) -> tuple[npt.NDArray[np.uint8], Floats]:
        """What `sample` gives, and where points of the picture as it was read lie in it: float64 `(3, 3)`, pixels to pixels.

        Raises:
            ImageError: The picture cannot be read.
            OptionError: A transform of the user's own changed the size, so where points went is not known.
        """
        image, sizes = self._run(source, draw)
        return _pixels(image), path_of_points(self._steps(draw), sizes, draw)

    def _run(self, source: Source, draw: ItemDraw) -> tuple[Image.Image, list[tuple[int, int]]]:
        """The transformed picture, and the sizes (width, height) that it had from the first to the last."""
        image = self.read(source)
        sizes = [image.size]
        for name, step in self._steps(draw):
            scoped = draw.scoped(f"{name}.")
            image = step(image, scoped) if isinstance(step, ItemTransform) else step(image, scoped, self.channels)
            sizes.append(image.size)
        return image, sizes

    def _steps(self, draw: ItemDraw) -> tuple[tuple[str, ItemTransform | OwnStep], ...]:
        """The steps with their names; outside training their evaluation form as a value, where it holds all of them."""
        if not draw.training and not self.custom_names:
            return (("Preprocess", _Fixed(self.preprocess)),)
        return tuple((name, step) for name, step in self._named if isinstance(step, ItemTransform) or step.runs(draw.training))


def _pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    pixels = np.array(image, dtype=np.uint8)
    return pixels[..., None] if pixels.ndim == 2 else pixels


def _check_transform(transform: object) -> None:
    if isinstance(transform, type):
        name = transform.__name__
        raise OptionError(f"item_tfms holds the class {name}; give what it makes, such as {name}(224).")
    if not callable(transform) or isinstance(transform, OfBatches):
        raise OptionError(
            f"item_tfms holds {transform!r}, which is not a transform of one picture: expected Resize(224),"
            " RandomResizedCrop(224) or a function from picture to picture. Transforms of whole batches, such as Rotate or"
            " Normalize, go to batch_tfms."
        )


def _listed(transforms: object) -> list[Any]:
    if isinstance(transforms, Iterable) and not callable(transforms):
        return list(transforms)
    return [] if transforms is None else [transforms]
