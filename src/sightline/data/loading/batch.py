"""Batch: what a loader yields and a training step consumes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Batch:
    """Pictures, their targets, and which rows they are.

    Unpacks as `(image, target)`, or as `(image,)` where there are no targets: `x, y = dls.one_batch()`.

    Attributes:
        image: float32 `(N, C, H, W)` on the loader's device, augmented and normalised.
        target: Encoded labels, first dimension N, on the same device; None where labels are not known.
        index: int64 `(N,)` on the host: the row of each picture in the table, or its position in the items of a test loader.
        paths: float64 `(N, 3, 3)` on the host, from pixels of each picture as it was read to -1..1 of `image`; only where
            labels move with the picture, see `Target.placed`.
    """

    image: Tensor
    target: Tensor | None
    index: npt.NDArray[np.int64]
    paths: npt.NDArray[np.float64] | None = None

    @property
    def n(self) -> int:
        """Number of pictures."""
        return len(self.image)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        target = None if self.target is None else self.target.to(device, non_blocking=True)
        return Batch(self.image.to(device, non_blocking=True), target, self.index, self.paths)

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self._parts)

    def __len__(self) -> int:
        """Number of parts it unpacks into, like the tuple that it stands for; `n` counts the pictures."""
        return len(self._parts)

    def __getitem__(self, position: int) -> Tensor:
        return self._parts[position]

    @property
    def _parts(self) -> tuple[Tensor, ...]:
        return (self.image,) if self.target is None else (self.image, self.target)
