"""BatchPipeline: whole batches on the device, uint8 in, normalised float out, by ONE warp and ONE colour pass.

uint8 (N, H, W, C) -> geometry: one resampling -> colour: one pass in logit space -> the user's callables -> normalise
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from sightline.data.chance import BatchDraw
from sightline.data.colour import Colour, Normalize, logit_changes, normalized, relit
from sightline.data.composition import Geometry, box_matrices
from sightline.data.geometry import BatchResize, Geometric
from sightline.data.resample import box_shrink_factors, resample, resized, shrink_factors
from sightline.data.transforms import ItemTransform
from sightline.errors import OptionError
from sightline.preprocess import Preprocess, Size

BatchTransform = Geometric | Colour | Normalize | Callable[[torch.Tensor], torch.Tensor]
"""What `batch_tfms` may hold. A user's callable maps float `(N, C, h, w)` in 0..1 to the same, in training and validation."""


class BatchPipeline:
    """The batch transforms, compiled: what training and validation do to a batch of pictures, on the device it lies on."""

    def __init__(self, transforms: BatchTransform | Iterable[BatchTransform] | None = None) -> None:
        """Sorts and checks the transforms.

        Args:
            transforms: One transform, a list of them (which may hold lists), or None.

        Raises:
            OptionError: Something is not a transform of whole batches, or two contradict each other.
        """
        self.transforms = tuple(flattened(transforms))
        for transform in self.transforms:
            _check_transform(transform)
        self.geometry = Geometry.of([t for t in self.transforms if isinstance(t, Geometric)])
        self.colours = tuple(t for t in self.transforms if isinstance(t, Colour))
        self.custom = tuple(t for t in self.transforms if not isinstance(t, Geometric | Colour | Normalize))
        self.normalize = _only_normalize(self.transforms)

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
        """Names of the user's own callables, which cannot travel in a file."""
        return tuple(_name(transform) for transform in self.custom)

    def with_stats(self, mean: Sequence[float], std: Sequence[float]) -> BatchPipeline:
        """A copy that normalises by this mean and standard deviation, one value a channel in 0..1."""
        others = [transform for transform in self.transforms if not isinstance(transform, Normalize)]
        return BatchPipeline([*others, Normalize(mean, std)])

    def measured(self, batch: torch.Tensor) -> BatchPipeline:
        """With the statistics of a batch, uint8 `(N, H, W, C)`, if a `Normalize` waits for them; else unchanged."""
        known = self.normalize.measured(batch) if self.normalize is not None and self.needs_stats else None
        return self.with_stats(known.mean or (), known.std or ()) if known is not None else self

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

    def train(self, batch: torch.Tensor, *, seed: int, epoch: int, rows: npt.NDArray[np.int64] | torch.Tensor) -> torch.Tensor:
        """The augmented batch, a function of the pictures, `seed`, `epoch` and `rows` alone.

        Args:
            batch: uint8 `(N, H, W, C)`.
            seed: The run's seed.
            epoch: Counts the passes over the data, from 0.
            rows: int64 `(N,)` on the host, each picture's row in the table.

        Returns:
            float32 `(N, C, h, w)`, normalised if there is a `Normalize`.
        """
        draw = BatchDraw(seed, epoch, np.asarray(rows, dtype=np.int64))
        images = self._moved(_as_float(batch), draw).contiguous().mul_(1 / 255)
        return self._finished(relit(images, *logit_changes(self.colours, draw)))

    def evaluate(self, batch: torch.Tensor) -> torch.Tensor:
        """The batch without augmentation: a crop and a change of size if asked for, and normalising.

        Args:
            batch: uint8 `(N, H, W, C)`.

        Returns:
            float32 `(N, C, h, w)`.
        """
        picture = (batch.shape[1], batch.shape[2])
        if self.geometry.crop is not None:
            top, left, height, width = self.geometry.crop.centre_box(picture)
            batch = batch[:, top : top + height, left : left + width]
        return self._finished(_sized(batch, self.geometry.size))

    def _moved(self, images: torch.Tensor, draw: BatchDraw) -> torch.Tensor:
        """The pictures after the geometric transforms, resampled at most once."""
        geometry = self.geometry
        picture = (images.shape[-2], images.shape[-1])
        size = geometry.size or picture
        matrices, boxes = geometry.matrices(draw, picture), geometry.boxes(draw, picture)
        if boxes is not None:
            matrices = matrices @ box_matrices(boxes, picture, geometry.align_corners)
            shrink = box_shrink_factors(boxes, size)
        elif size == picture and (matrices == np.eye(3)).all():
            return images
        else:
            shrink = shrink_factors(picture, size, matrices)
        options: dict[str, Any] = {name: getattr(geometry, name) for name in ("mode", "pad_mode", "align_corners")}
        return resample(images, matrices, size, shrink=shrink, **options)

    def _finished(self, images: torch.Tensor) -> torch.Tensor:
        for transform in self.custom:
            result: object = transform(images)
            if not isinstance(result, torch.Tensor):
                raise OptionError(
                    f"the batch transform {_name(transform)} returned a {type(result).__name__}, not a tensor (N, C, h, w)."
                )
            images = result.clone()  # the function may keep what it returned, and it is changed below
        if self.normalize is None:
            return images
        if self.normalize.mean is None or self.normalize.std is None:
            raise OptionError(
                "Normalize() has no statistics yet: measure them on a batch, or give Normalize.from_stats(mean, std)."
            )
        return normalized(images, self.normalize.mean, self.normalize.std)


def _sized(batch: torch.Tensor, size: Size | None) -> torch.Tensor:
    """uint8 `(N, H, W, C)` to float32 `(N, C, h, w)` in 0..1."""
    images = _as_float(batch)
    return (images if size is None else resized(images, size)).contiguous().mul_(1 / 255)


def _as_float(batch: torch.Tensor) -> torch.Tensor:
    """uint8 `(N, H, W, C)` to float32 `(N, C, H, W)` in 0..255; channels stay innermost in memory, which is fastest."""
    return batch.permute(0, 3, 1, 2).float()


def _name(transform: object) -> str:
    return str(getattr(transform, "__name__", type(transform).__name__))


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
    if not isinstance(transform, Geometric | Colour | Normalize) and not callable(transform):
        raise OptionError(
            f"batch_tfms holds {transform!r}; expected transforms of whole batches such as *aug_transforms(), Normalize(), or a"
            " function from float (N, C, h, w) to float (N, C, h, w)."
        )


def _only_normalize(transforms: Sequence[object]) -> Normalize | None:
    found = [transform for transform in transforms if isinstance(transform, Normalize)]
    if len(found) > 1:
        raise OptionError(f"batch_tfms holds {len(found)} Normalize; pictures are normalised once, so give one.")
    return found[0] if found else None
