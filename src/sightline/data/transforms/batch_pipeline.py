"""BatchPipeline: whole batches on the device, uint8 in, normalised float out, by ONE warp and ONE colour pass.

uint8 (N, H, W, C) -> geometry: one resampling -> light: one pass in logit space, hue -> normalise -> erase
All but the last is done to a few pictures before the next ones are begun (`blocks`).
The user's own transforms run between, where their `order` says: before 10 on uint8, else on floats in 0..1; 30, 40, 99 and 100
are the orders of geometry, light, `Normalize` and `RandomErasing`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sightline.data.transforms.blocks import Step, in_blocks
from sightline.data.transforms.chance import BatchDraw
from sightline.data.transforms.colour import Colour, Normalize, changes, coloured
from sightline.data.transforms.composition import Geometry, Lookup
from sightline.data.transforms.erasing import RandomErasing
from sightline.data.transforms.geometry import BatchResize, Geometric
from sightline.data.transforms.items import ItemTransform
from sightline.data.transforms.own_steps import COLOURS, MOVES, NORMALISES, TO_FLOAT, OwnStep, unique_names
from sightline.data.transforms.points import check_size
from sightline.data.transforms.recolour import denormalized
from sightline.data.transforms.resample import Resampling, resizing
from sightline.data.transforms.user_transforms import Transform, made
from sightline.errors import OptionError
from sightline.preprocess import Preprocess, Size

BatchTransform = Geometric | Colour | Normalize | RandomErasing | Transform | Callable[[torch.Tensor], torch.Tensor]
"""What `batch_tfms` may hold. A user's callable maps float `(N, C, h, w)` in 0..1 to the same, in training and validation; see
`user_transforms` for what else it may be."""
_AFTER_NORMALISING = math.nextafter(NORMALISES, math.inf)
"""A transform of the order of `Normalize` itself runs before it, as fastai's do where `vision_learner` adds the latter."""
_Moving = Callable[[torch.Tensor, slice], torch.Tensor]
"""Some of the pictures `(n, C, H, W)` of a batch, and which, to `(n, C, h, w)`."""
_OURS = Geometric | Colour | Normalize | RandomErasing


class BatchPipeline:
    """The batch transforms, compiled: what training and validation do to a batch of pictures, on the device it lies on."""

    def __init__(self, transforms: BatchTransform | Iterable[BatchTransform] | None = None) -> None:
        """Sorts and checks the transforms.

        Args:
            transforms: One transform, a list of them (which may hold lists), or None.

        Raises:
            OptionError: Something is not a transform of whole batches, or two contradict each other.
        """
        self.transforms = tuple(made(flattened(transforms)))
        for transform in self.transforms:
            _check_transform(transform)
        self.geometry = Geometry.of([t for t in self.transforms if isinstance(t, Geometric)])
        self.colours = tuple(t for t in self.transforms if isinstance(t, Colour))
        self.normalize = _only_normalize(self.transforms)
        placed = [t for t in self.transforms if not isinstance(t, Geometric | Colour | Normalize)]
        steps: list[OwnStep | RandomErasing] = [
            t if isinstance(t, RandomErasing) else OwnStep.of_batch(t, name)
            for t, name in zip(placed, unique_names(placed), strict=True)
        ]
        scoped = zip((f"{name}." for name in unique_names(placed)), steps, strict=True)
        self._placed = tuple(sorted(scoped, key=lambda entry: entry[1].order))

    @classmethod
    def from_preprocess(cls, pre: Preprocess) -> BatchPipeline:
        """The batch part of a `Preprocess`: its change of size, mean and standard deviation."""
        size = [] if pre.batch_size_px is None else [BatchResize(size=pre.batch_size_px)]
        return cls([*size, *([] if pre.mean is None else [Normalize(pre.mean, pre.std)])])

    @property
    def normalizes(self) -> bool:
        """Whether there is a `Normalize`, its statistics known or not."""
        return self.normalize is not None

    @property
    def needs_stats(self) -> bool:
        """Whether a `Normalize` waits for its statistics, see `measured`."""
        return self.normalize is not None and not self.normalize.is_measured

    @property
    def custom_names(self) -> tuple[str, ...]:
        """Names of the user's own transforms that run outside training, which cannot travel in a file."""
        return tuple(step.name for step in self._own_steps(training=False))

    def with_stats(self, mean: Sequence[float], std: Sequence[float]) -> BatchPipeline:
        """A copy that normalises by this mean and standard deviation, one value a channel in 0..1."""
        others = [transform for transform in self.transforms if not isinstance(transform, Normalize)]
        return BatchPipeline([*others, Normalize(mean, std)])

    def measured(self, batch: torch.Tensor) -> BatchPipeline:
        """With the statistics of a batch, uint8 `(N, H, W, C)`, if a `Normalize` waits for them; else unchanged."""
        if self.normalize is None or not self.needs_stats:
            return self
        others = BatchPipeline([transform for transform in self.transforms if not isinstance(transform, Normalize)])
        known = self.normalize.measured(others._evaluated(batch))
        return self.with_stats(known.mean or (), known.std or ())

    def preprocess(self, pre: Preprocess) -> Preprocess:
        """`pre` followed by the evaluation form of the batch transforms, as far as a value can hold it."""
        if self.geometry.crop is not None and pre.output_size is not None:
            _, _, height, width = self.geometry.crop.centre_box(pre.output_size)
            pre = pre if (height, width) == pre.output_size else replace(pre, crop=(height, width))
        if self.geometry.size is not None:
            pre = replace(pre, batch_size_px=None if self.geometry.size == pre.output_size else self.geometry.size)
        if self.normalize is not None and self.normalize.mean is not None and self.normalize.std is not None:
            pre = pre.with_stats(tuple(self.normalize.mean), tuple(self.normalize.std))
        return pre

    def train(
        self,
        batch: torch.Tensor,
        *,
        seed: int,
        epoch: int,
        rows: npt.NDArray[np.int64] | torch.Tensor,
        lookup: Lookup | None = None,
    ) -> torch.Tensor:
        """The augmented batch, a function of the pictures, `seed`, `epoch` and `rows` alone.

        Args:
            batch: uint8 `(N, H, W, C)`.
            seed: The run's seed.
            epoch: Counts the passes over the data, from 0.
            rows: int64 `(N,)` on the host, each picture's row in the table.
            lookup: What `self.lookup` drew for this batch, where it was asked before; None draws it here.

        Returns:
            float32 `(N, C, h, w)`, normalised if there is a `Normalize`.
        """
        draw = BatchDraw(seed, epoch, np.asarray(rows, dtype=np.int64))
        images = self._entered(batch.permute(0, 3, 1, 2), draw)
        if lookup is None:
            lookup = self.geometry.lookup(draw, _size(images))
        check_size(lookup.picture, _size(images))
        images = self._normalized(images, self._moving(images, lookup), lookup.size, draw)
        return self._own(images, draw, _AFTER_NORMALISING, math.inf)

    def evaluate(self, batch: torch.Tensor, *, channels_last: bool = False) -> torch.Tensor:
        """The batch without augmentation: a crop and a change of size if asked for, and normalising.

        Args:
            batch: uint8 `(N, H, W, C)`.
            channels_last: Whether the result lies in memory pixel by pixel.

        Returns:
            float32 `(N, C, h, w)`.
        """
        return self._own(self._evaluated(batch, channels_last), None, _AFTER_NORMALISING, math.inf)

    def by_hand(self, images: torch.Tensor, draw: BatchDraw | None) -> torch.Tensor:
        """The library's own transforms applied to pictures that are floats already, see `by_hand.OfBatches`.

        Args:
            images: float `(N, C, H, W)`; may be changed in place.
            draw: Where chance comes from; None takes the form of evaluation.
        """
        if draw is None:
            images = self._cut(images)
            images = resizing(_size(images), self.geometry.size or _size(images))(images)
        else:
            images = self._moving(images, self.geometry.lookup(draw, _size(images)))(images, slice(None))
            images = coloured(images.contiguous(), changes(self.colours, draw))
        if self.normalize is not None:
            mean_C, std_C = self.normalize.statistics(images)
            images = images.sub_(mean_C).div_(std_C)
        return self._own(images, draw, _AFTER_NORMALISING, math.inf)

    def decoded(self, images: torch.Tensor, *, training: bool = False) -> torch.Tensor:
        """A batch as it was before normalising, and before those of the user's own transforms that have `decodes`.

        Args:
            images: float `(N, C, h, w)`, as `train` or `evaluate` gave them.
            training: Whether transforms that run in training only were applied.

        Returns:
            float `(N, C, h, w)` in 0..1, unless a transform of the user's own left that range.
        """
        steps = self._own_steps(training)[::-1]
        for step in (step for step in steps if step.order >= _AFTER_NORMALISING):
            images = step.decoded(images)
        if self.normalize is not None and self.normalize.mean is not None and self.normalize.std is not None:
            images = denormalized(images, self.normalize.mean, self.normalize.std)
        for step in (step for step in steps if TO_FLOAT <= step.order < _AFTER_NORMALISING):
            images = step.decoded(images)
        return images

    def lookup(self, picture: Size, *, seed: int, epoch: int, rows: npt.NDArray[np.int64]) -> Lookup:
        """Where the pixels of an augmented batch come from: what `train` draws for pictures of (height, width)."""
        return self.geometry.lookup(BatchDraw(seed, epoch, rows), picture)

    def _entered(self, images: torch.Tensor, draw: BatchDraw | None) -> torch.Tensor:
        """uint8 `(N, C, H, W)` to the same or float in 0..255, after the user's transforms that come before geometry."""
        if not self._placed or self._placed[0][1].order >= MOVES:
            return images
        images = self._own(images.contiguous(), draw, -math.inf, TO_FLOAT).float()
        return self._own(images / 255, draw, TO_FLOAT, MOVES) * 255

    def _evaluated(self, batch: torch.Tensor, channels_last: bool = False) -> torch.Tensor:
        """uint8 `(N, H, W, C)` to float32 `(N, C, h, w)`, all of the evaluation form up to normalising."""
        images = self._entered(self._cut(batch.permute(0, 3, 1, 2)), None)
        size = self.geometry.size or _size(images)
        resize = resizing(_size(images), size)
        return self._normalized(images, lambda some, _: resize(some), size, channels_last=channels_last)

    def _cut(self, images: torch.Tensor) -> torch.Tensor:
        """`(N, C, H, W)`, the centre of the pictures where a crop is asked for."""
        if self.geometry.crop is None:
            return images
        top, left, height, width = self.geometry.crop.centre_box(_size(images))
        return images[..., top : top + height, left : left + width]

    def _moving(self, images: torch.Tensor, lookup: Lookup) -> _Moving:
        """What the geometric transforms do to a batch, one resampling at most."""
        if not lookup.moves:
            return lambda some, _: some
        options: dict[str, Any] = {name: getattr(self.geometry, name) for name in ("mode", "pad_mode", "align_corners")}
        return Resampling.of(images, lookup.matrices, lookup.size, shrink=lookup.shrink, **options).seen

    def _normalized(
        self,
        pictures: torch.Tensor,
        moving: _Moving,
        size: Size,
        draw: BatchDraw | None = None,
        channels_last: bool = False,
    ) -> torch.Tensor:
        """`(N, C, H, W)` in 0..255 to float32 `(N, C, h, w)`: moved, coloured and normalised.

        Block by block as far as none of the user's transforms comes between, which are given whole batches.
        """
        layout = torch.channels_last if channels_last else torch.contiguous_format
        shape = (*pictures.shape[:2], *size)
        images = torch.empty(shape, dtype=torch.float32, device=pictures.device, memory_format=layout)
        pixels = max(math.prod(size), math.prod(_size(pictures)))
        steps: list[Step] = [partial(_fill, pictures, moving)]
        for first, end, begun in ((MOVES, COLOURS, self._colouring), (COLOURS, _AFTER_NORMALISING, self._normalizing)):
            if any(first <= step.order < end for step in self._own_steps(draw is not None)):
                in_blocks(steps, images, pixels)
                images, steps = self._own(images, draw, first, end), []
            steps += begun(images, draw)
        in_blocks(steps, images, pixels)
        return images

    def _colouring(self, _: torch.Tensor, draw: BatchDraw | None) -> list[Step]:
        drawn = [] if draw is None else changes(self.colours, draw)
        return [lambda some, rows: coloured(some, drawn, rows)] if drawn else []

    def _normalizing(self, images: torch.Tensor, _: BatchDraw | None) -> list[Step]:
        if self.normalize is None:
            return []
        mean_C, std_C = self.normalize.statistics(images)
        return [lambda some, _: some.sub_(mean_C).div_(std_C)]

    def _own_steps(self, training: bool) -> list[OwnStep]:
        """The user's transforms that run in training, or outside it, in order."""
        return [step for _, step in self._placed if isinstance(step, OwnStep) and step.runs(training)]

    def _own(self, images: torch.Tensor, draw: BatchDraw | None, first: float, end: float) -> torch.Tensor:
        """The pictures after the user's transforms, and erasing, whose order is `first` or more and below `end`."""
        for scope, step in self._placed:
            if not first <= step.order < end:
                continue
            scoped = None if draw is None else draw.scoped(scope)
            if isinstance(step, OwnStep) and step.runs(draw is not None):
                images = step.on_batch(images, scoped)
                images = images.float() if first >= TO_FLOAT else images
            elif isinstance(step, RandomErasing) and scoped is not None:
                images = step.erased(images, scoped)
        return images


def _fill(pictures: torch.Tensor, moving: _Moving, images: torch.Tensor, rows: slice) -> None:
    """`images`, float32 `(n, C, h, w)` in 0..1, become what is made of those rows of `pictures`, `(N, C, H, W)` in 0..255."""
    moved = moving(pictures[rows], rows)
    if moved.dtype == images.dtype and moved.stride() == images.stride():
        torch.div(moved, 255, out=images)
    else:
        images.copy_(moved).div_(255)


def _size(images: torch.Tensor) -> Size:
    """(height, width) of pictures `(N, C, H, W)`."""
    return images.shape[-2], images.shape[-1]


def order_of(transform: Any) -> float:
    """Where a transform of `batch_tfms` runs; transforms run by rising order."""
    ours = ((Geometric, MOVES), (Colour, COLOURS), (Normalize, NORMALISES), (RandomErasing, RandomErasing.order))
    found = next((order for kind, order in ours if isinstance(transform, kind)), None)
    return OwnStep.of_batch(transform, "").order if found is None else found


def flattened(transforms: object) -> list[Any]:
    """The transforms of a list that may hold lists, in order."""
    if transforms is None:
        return []
    if isinstance(transforms, list | tuple):
        return [inner for transform in transforms for inner in flattened(transform)]
    return [transforms]


def _check_transform(transform: object) -> None:
    if isinstance(transform, type):
        raise OptionError(
            f"batch_tfms holds the class {transform.__name__}; give what it makes, such as {transform.__name__}()."
        )
    if isinstance(transform, ItemTransform):
        raise OptionError(f"batch_tfms holds {transform!r}, which works on one picture at a time; give it in item_tfms.")
    if not isinstance(transform, _OURS) and not callable(transform):
        raise OptionError(
            f"batch_tfms holds {transform!r}; expected transforms of whole batches such as *aug_transforms(), Normalize(), or a"
            " function from float (N, C, h, w) to float (N, C, h, w)."
        )


def _only_normalize(transforms: Sequence[object]) -> Normalize | None:
    found = [transform for transform in transforms if isinstance(transform, Normalize)]
    if len(found) > 1:
        raise OptionError(f"batch_tfms holds {len(found)} Normalize; pictures are normalised once, so give one.")
    return found[0] if found else None
