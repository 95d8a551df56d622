"""Transforms called by hand, outside of any loader: `Rotate(p=1)(pictures)`."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch

from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.errors import OptionError
from sightline.runtime import fresh_seed


class OfBatches:
    """A transform of whole batches, which a call by hand gives pictures as a loader does: floats in 0..1."""

    by_hand: ClassVar[int | None] = None
    """Which form a call takes that does not say it: 0 for training, 1 for evaluation, None for none of both."""

    def __call__(self, x: torch.Tensor, split_idx: int | None = None) -> torch.Tensor:
        """The pictures transformed, with draws of their own at each call.

        Args:
            x: float `(N, C, H, W)` or `(C, H, W)`, in 0..1 unless they are normalised already.
            split_idx: 0 for the random form of training, 1 for that of validation. None takes fastai's choice: what moves or
                normalises acts as in training, what changes light and colour, or erases, does nothing.

        Raises:
            OptionError: These are no pictures.
        """
        from sightline.data.transforms.batch_pipeline import BatchPipeline

        form = self.by_hand if split_idx is None else split_idx
        if form is None:
            return x
        if not isinstance(x, torch.Tensor) or x.ndim not in (3, 4) or not x.is_floating_point():
            kind = f"{tuple(x.shape)} of {x.dtype}" if isinstance(x, torch.Tensor) else f"a {type(x).__name__}"
            raise OptionError(f"{type(self).__name__} was given {kind}. Expected pictures as float (N, C, H, W) or (C, H, W).")
        pictures = x.unsqueeze(0) if x.ndim == 3 else x
        draw = None if form else BatchDraw(fresh_seed(), 0, np.arange(len(pictures), dtype=np.int64))
        done = BatchPipeline([self]).by_hand(pictures.clone(), draw)
        return done.squeeze(0) if x.ndim == 3 else done


def item_draw(draw: ItemDraw | int | None, split_idx: int | None, otherwise: int) -> ItemDraw:
    """The draw of a transform of one picture: the one given, or a new one for training (`split_idx` 0) or none (1).

    Args:
        draw: A draw, or `split_idx` where that is given by place.
        split_idx: 0 for training, 1 for evaluation, None for `otherwise`.
        otherwise: What is meant where nothing is said.
    """
    if isinstance(draw, ItemDraw):
        return draw
    asked = draw if split_idx is None else split_idx
    return ItemDraw() if (otherwise if asked is None else asked) else ItemDraw(training=True, seed=fresh_seed())
