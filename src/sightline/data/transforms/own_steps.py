"""OwnStep: a user's own function or transform as one step of a pipeline, called the way it is written."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.data.pictures.bands import Bands
from sightline.data.pictures.decode import PILImage, read_image
from sightline.data.pictures.images import image2tensor
from sightline.data.transforms.annotations import ARRAY, FASTAI_TENSOR, NO_PICTURE, PICTURE, TENSOR, Names, takes, wanted
from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.data.transforms.seeded import SEEDS, Seeded
from sightline.data.transforms.user_transforms import Function, ItemTransform, RandTransform, Transform
from sightline.errors import ImageError, OptionError, listed

TO_TENSOR, TO_FLOAT, MOVES, COLOURS, NORMALISES = 5, 10, 30, 40, 99
"""Where in the order of transforms pictures become tensors, 0..255 becomes 0..1, and the library's own transforms run."""
_PLAIN_BATCH = 50
"""The order of a plain function in `batch_tfms`: it gets floats, light and colour changed, not normalised."""


@dataclass(frozen=True, eq=False)
class OwnStep:
    """A user's own transform with its place.

    Attributes:
        name: What messages and draws call it.
        transform: What the user gave.
        order: Where it runs.
        split_idx: 0 for training only, 1 for evaluation only, None for both.
        kind: Names of what it gets: `PICTURE`, `TENSOR` or `ARRAY`.
    """

    name: str
    transform: Any
    order: float
    split_idx: int | None
    kind: Names

    @classmethod
    def of_item(cls, transform: Any, name: str) -> OwnStep:
        """A step of `item_tfms`.

        Raises:
            OptionError: It says that it is for something else than pictures.
        """
        order = getattr(transform, "order", 0)
        kinds = (PICTURE, ARRAY, TENSOR) if order < TO_TENSOR else (TENSOR, PICTURE, ARRAY)
        kind = _kind(transform, kinds)
        if kind is None:
            raise OptionError(_refusal("item", transform, name, "PILImage (a Pillow image), or TensorImage (uint8 (C, H, W))"))
        plain_picture = not isinstance(transform, Transform) and not wanted(transform)
        return cls(name, transform, order, _split_idx(transform), PICTURE if plain_picture else kind)

    @classmethod
    def of_batch(cls, transform: Any, name: str) -> OwnStep:
        """A step of `batch_tfms`.

        Raises:
            OptionError: It says that it is for something else than tensors of pictures.
        """
        kind = _kind(transform, (TENSOR,))
        if kind is None:
            raise OptionError(_refusal("batch", transform, name, "TensorImage (a tensor (N, C, H, W))"))
        is_fastais = isinstance(transform, Transform) or bool(wanted(transform) & FASTAI_TENSOR)
        order = getattr(transform, "order", 0 if is_fastais else _PLAIN_BATCH)
        return cls(name, transform, order, _split_idx(transform), kind)

    def runs(self, training: bool) -> bool:
        """Whether the step runs in training, or outside it."""
        return self.split_idx is None or self.split_idx == (0 if training else 1)

    def __call__(self, image: Image.Image, draw: ItemDraw, channels: int) -> Image.Image:
        """One picture transformed: mode 'RGB' or 'L', or `Bands`.

        Raises:
            OptionError: What came out is no picture.
        """
        result = self._called(self._given(image), draw, draw.training, lambda: draw.uniform("torch"))
        if not isinstance(result, Image.Image | np.ndarray | torch.Tensor):
            raise OptionError(
                f"the item transform {self.name} returned a {type(result).__name__}; expected a Pillow image or an array "
                "(H, W, C), or a tensor (C, H, W)."
            )
        try:
            return read_image(result, channels=channels)
        except ImageError as error:
            raise OptionError(
                f"What the item transform {self.name} returned is no picture of {channels} channels: {error} "
                "To normalise, give Normalize.from_stats(mean, std) in batch_tfms."
            ) from error

    def on_batch(self, images: torch.Tensor, draw: BatchDraw | None) -> torch.Tensor:
        """Whole batches transformed, in training if there is a draw.

        Args:
            images: `(N, C, h, w)`, uint8 or float.
            draw: Where chance comes from; None outside training.

        Raises:
            OptionError: What came out is no batch of as many pictures.
        """

        def chance() -> float:
            return 0.0 if draw is None else float(draw.uniform("torch", batch=True)[0])

        with torch.no_grad():
            result = self._called(images, draw, draw is not None, chance)
        if not isinstance(result, torch.Tensor):
            raise OptionError(f"the batch transform {self.name} returned a {type(result).__name__}, not a tensor (N, C, h, w).")
        if result.ndim != 4 or len(result) != len(images):
            raise OptionError(
                f"the batch transform {self.name} made {tuple(images.shape)} into {tuple(result.shape)}; expected a tensor "
                f"(N, C, h, w) with N={len(images)}."
            )
        # The function may keep what it returned, and later steps work in place.
        return result.as_subclass(torch.Tensor).clone()

    def decoded(self, images: torch.Tensor) -> torch.Tensor:
        """A batch with the step undone, where the user wrote `decodes`."""
        function = self.transform.function_for(TENSOR, "decodes") if isinstance(self.transform, Transform) else None
        result = images if function is None else function(images)
        return result if isinstance(result, torch.Tensor) else images

    def _given(self, image: Image.Image) -> Any:
        if self.kind is TENSOR:
            return image2tensor(image)
        if self.kind is ARRAY:
            return np.array(image)
        return image if isinstance(image, Bands) else PILImage.of(image)

    def _called(self, value: Any, draw: ItemDraw | BatchDraw | None, training: bool, chance: Callable[[], float]) -> Any:
        try:
            if not training:
                return self._applied(value, draw, training)
            with Seeded(int(chance() * SEEDS)):
                return self._applied(value, draw, training)
        except Exception as error:
            error.add_note(f"(in the transform {self.name})")
            raise

    def _applied(self, value: Any, draw: ItemDraw | BatchDraw | None, training: bool) -> Any:
        transform = self.transform
        if not isinstance(transform, Transform):
            return _with_draw(transform, value, draw)
        if isinstance(transform, RandTransform):
            own = copy.copy(transform) if isinstance(draw, ItemDraw) else transform
            transform = own.drawing(draw)
            transform.before_call((value, None), split_idx=0 if training else 1)
            if not transform.do:
                return value
        if isinstance(transform, ItemTransform):
            return _picture_of_pair(transform((value, None), split_idx=transform.split_idx), self.name)
        function = transform.function_for(self.kind)
        return value if function is None else _with_draw(function, value, draw)


def _with_draw(function: Function, value: Any, draw: ItemDraw | BatchDraw | None) -> Any:
    return function(value, draw=draw) if takes(function, "draw") else function(value)


def _split_idx(transform: Any) -> int | None:
    found: int | None = getattr(transform, "split_idx", None)
    return found


def _kind(transform: Any, kinds: tuple[Names, ...]) -> Names | None:
    """Which of the kinds a transform gets, the first that it asks for; None if it is for something else."""
    functions = transform.functions("encodes") if isinstance(transform, Transform) else (transform,)
    wants = [wanted(function) for function in functions]
    for kind in kinds:
        if any(names & kind for names in wants):
            return kind
    if not functions or isinstance(transform, ItemTransform) or any(not names for names in wants):
        return kinds[0]
    return None


def _refusal(stage: str, transform: Any, name: str, expected: str) -> str:
    functions = transform.functions("encodes") if isinstance(transform, Transform) else (transform,)
    found = sorted({asked for function in functions for asked in wanted(function)})
    elsewhere = " Give it in item_tfms." if stage == "batch" and set(found) & PICTURE else ""
    labels = " Labels are not transformed here: change them in get_y." if set(found) & NO_PICTURE else ""
    return f"The {stage} transform {name} is for {listed(found, joint=' or ')}; expected {expected}.{elsewhere}{labels}"


def _picture_of_pair(result: Any, name: str) -> Any:
    if not isinstance(result, tuple):
        return result
    if len(result) != 2 or result[1] is not None:
        raise OptionError(
            f"The transform {name} returned a label. Labels are numbers before pictures are read and are not changed here: "
            "return (picture, label) with the label as it came, which is None."
        )
    return result[0]


def unique_names(transforms: Iterable[Any]) -> list[str]:
    """A name for each transform; the second of a kind is called 'Resize2'."""
    names: list[str] = []
    for transform in transforms:
        name = transform.name if isinstance(transform, Transform) else getattr(transform, "__name__", type(transform).__name__)
        seen = sum(earlier.rstrip("0123456789") == name for earlier in names)
        names.append(f"{name}{seen + 1}" if seen else name)
    return names
