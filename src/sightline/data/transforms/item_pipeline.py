"""ItemPipeline: the transforms of one picture in the order in which they run, from its source to its pixels.

Every picture takes two stages: what is the same in every epoch (`kept`), and what chance decides (`finished`). A cache may
stand between them; pixels do not depend on whether one does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.data.pictures.bands import picture_of
from sightline.data.pictures.decode import Source
from sightline.data.pictures.reading import Reader
from sightline.data.pictures.resize import Placement, placements_of
from sightline.data.transforms.by_hand import OfBatches
from sightline.data.transforms.chance import BatchDraw, Floats, ItemDraw
from sightline.data.transforms.items import ItemTransform, Placing, Resize, Rows
from sightline.data.transforms.own_steps import OwnStep, unique_names
from sightline.data.transforms.points import path_of_points
from sightline.data.transforms.user_transforms import made
from sightline.errors import OptionError
from sightline.preprocess import Preprocess, as_size


@dataclass(frozen=True)
class _Fixed(Placing):
    """The picture part of a `Preprocess`."""

    pre: Preprocess

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> tuple[Placement, ...]:
        return placements_of(self.pre, picture)

    def is_fixed(self, training: bool) -> bool:
        return True

    def preprocess(self, pre: Preprocess) -> Preprocess | None:
        return None if pre.size or pre.crop else replace(self.pre, batch_size_px=None, mean=None, std=None)


@dataclass(frozen=True, eq=False)
class Kept:
    """A picture as far as it is the same in every epoch.

    Attributes:
        picture: Mode 'RGB' or 'L', or `Bands`; or its pixels, uint8 `(H, W, C)`.
        size: (width, height) of the picture as it was read.
    """

    picture: Image.Image | npt.NDArray[np.uint8]
    size: tuple[int, int]

    @cached_property
    def image(self) -> Image.Image:
        """As a picture."""
        return self.picture if isinstance(self.picture, Image.Image) else picture_of(self.picture)

    @cached_property
    def pixels(self) -> npt.NDArray[np.uint8]:
        """As uint8 `(H, W, C)`."""
        return _pixels(self.picture) if isinstance(self.picture, Image.Image) else self.picture


Step = tuple[str, ItemTransform | OwnStep]


class _Stages(NamedTuple):
    """The steps of a pipeline in two stages.

    Attributes:
        ahead: What is done once: functions from the (width, height) of a picture to placements.
        rest: The steps that are left for every epoch.
        recipe: What determines the pixels between the stages, in words.
    """

    ahead: tuple[Callable[[tuple[int, int]], tuple[Placement, ...]], ...]
    rest: tuple[Step, ...]
    recipe: str

    @classmethod
    def of(cls, steps: tuple[Step, ...], training: bool) -> _Stages:
        """Up to the first step that chance or a user's own code decides; of that one, what can be done beforehand."""
        ahead: list[Callable[[tuple[int, int]], tuple[Placement, ...]]] = []
        recipe: list[str] = []
        for number, (_, step) in enumerate(steps):
            if not isinstance(step, Placing) or not type(step).__module__.startswith("sightline."):
                return cls(tuple(ahead), steps[number:], " then ".join(recipe))
            if not step.is_fixed(training):
                return cls((*ahead, step.ahead), steps[number:], " then ".join([*recipe, f"ahead of {step!r}"]))
            ahead.append(partial(step.placements, draw=ItemDraw(training)))
            recipe.append(repr(step))
        return cls(tuple(ahead), (), " then ".join(recipe))


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
        self._stages = tuple(_Stages.of(self._steps(training), training) for training in (False, True))

    @classmethod
    def from_preprocess(cls, pre: Preprocess) -> ItemPipeline:
        """The picture part of a `Preprocess`, in training and otherwise."""
        return cls(_Fixed(pre), pre.channels)

    def picture(self, source: Source, draw: ItemDraw) -> Image.Image:
        """The transformed picture, mode 'RGB' or 'L', or `Bands`.

        Raises:
            ImageError: The picture cannot be read.
        """
        return self._run(self.kept(source, draw.training), draw)[0]

    def sample(self, source: Source, draw: ItemDraw) -> npt.NDArray[np.uint8]:
        """The transformed picture's pixels: uint8 `(H, W, C)`, C being 3 (RGB), 1 (grey) or any other number.

        Raises:
            ImageError: The picture cannot be read.
        """
        return self.finished(self.kept(source, draw.training), draw)

    def placed(self, source: Source, draw: ItemDraw) -> tuple[npt.NDArray[np.uint8], Floats]:
        """What `sample` gives, and where points of the picture as it was read lie in it: float64 `(3, 3)`, pixels to pixels.

        Raises:
            ImageError: The picture cannot be read.
            OptionError: A transform of the user's own changed the size, so where points went is not known.
        """
        return self.finished_and_placed(self.kept(source, draw.training), draw)

    def kept(self, source: Source, training: bool) -> Kept:
        """The first stage: a picture as far as it is the same in every epoch.

        Args:
            source: Where it is read from.
            training: Whether the transforms are to take their random form afterwards.

        Raises:
            ImageError: The picture cannot be read.
        """
        image = self.read(source)
        size = image.size
        if self.read.create is None and not isinstance(source, Image.Image):
            # Pixels alone are kept; a user's own step must not find more where they come straight from a file.
            image.info = {}
        for placement in self.ahead(size, training):
            image = placement.pixels(image)
        return Kept(image, size)

    def ahead(self, picture: tuple[int, int], training: bool) -> list[Placement]:
        """What the first stage does to a picture that was read with this (width, height)."""
        found: list[Placement] = []
        for placements in self._stages[training].ahead:
            found += placements(picture)
            picture = found[-1].size[::-1] if found else picture
        return found

    def finished(self, kept: Kept, draw: ItemDraw) -> npt.NDArray[np.uint8]:
        """The second stage: the pixels of a picture, uint8 `(H, W, C)`."""
        if not self._stages[draw.training].rest:
            return kept.pixels
        image = self._run(kept, draw)[0]
        return kept.pixels if image is kept.image else _pixels(image)

    def finished_and_placed(self, kept: Kept, draw: ItemDraw) -> tuple[npt.NDArray[np.uint8], Floats]:
        """The same, and where points went; see `placed`."""
        image, sizes = self._run(kept, draw)
        path = path_of_points(self._stages[draw.training].rest, sizes, draw)
        for placement in reversed(self.ahead(kept.size, draw.training)):
            path = path @ placement.matrix
        return _pixels(image), path

    def cuts(self, pictures: Rows, draw: BatchDraw | None) -> tuple[Rows, tuple[int, int]] | None:
        """What the second stage cuts out of pictures between the stages, where it does nothing else.

        Args:
            pictures: int64 `(N, 2)`, their (width, height).
            draw: Where chance comes from; None outside training.

        Returns:
            int64 `(N, 2)`, (left, top); and (height, width) of every result. None if there is more to do, or sizes differ.
        """
        rest = self._stages[draw is not None].rest
        if not rest:
            height, width = int(pictures[0, 1]), int(pictures[0, 0])
            return None if (pictures != pictures[0]).any() else (np.zeros_like(pictures), (height, width))
        name, step = rest[0]
        # A user's class that inherits from it may do something else.
        if draw is None or len(rest) > 1 or type(step) is not Resize:
            return None
        corners = step.corners(pictures, draw.scoped(f"{name}."))
        return None if corners is None else (corners, as_size(step.size))

    def recipe(self, training: bool) -> str:
        """What determines the pixels between the stages, besides the picture and how it is decoded."""
        return f"{self.channels} channels: {self._stages[training].recipe or 'as it was read'}"

    def _run(self, kept: Kept, draw: ItemDraw) -> tuple[Image.Image, list[tuple[int, int]]]:
        """The transformed picture, and the sizes (width, height) that it had between the stages and after each step."""
        image = kept.image
        sizes = [image.size]
        for name, step in self._stages[draw.training].rest:
            scoped = draw.scoped(f"{name}.")
            image = step(image, scoped) if isinstance(step, ItemTransform) else step(image, scoped, self.channels)
            sizes.append(image.size)
        return image, sizes

    def _steps(self, training: bool) -> tuple[Step, ...]:
        """The steps with their names; outside training their evaluation form as a value, where it holds all of them."""
        if not training and not self.custom_names:
            return (("Preprocess", _Fixed(self.preprocess)),)
        return tuple((name, step) for name, step in self._named if isinstance(step, ItemTransform) or step.runs(training))


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
