"""EvaluationPipeline: the one way in which validation and prediction prepare pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image

from sightline.data.loading.any_loader import LoaderOptions
from sightline.data.loading.loaders import Loader
from sightline.data.loading.samples import DecodedSamples, Part
from sightline.data.rows.sources import as_items
from sightline.data.rows.table import common_root
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import ItemDraw
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.preprocess import Preprocess
from sightline.target import Target


@dataclass(frozen=True, eq=False)
class EvaluationPipeline:
    """What happens to a picture before a network that does not learn from it sees it.

    Attributes:
        item: The transforms of one picture.
        batch: The transforms of whole batches.
    """

    item: ItemPipeline
    batch: BatchPipeline

    @classmethod
    def from_preprocess(cls, pre: Preprocess) -> EvaluationPipeline:
        """The pipeline that an exported file describes."""
        return cls(ItemPipeline.from_preprocess(pre), BatchPipeline.from_preprocess(pre))

    @property
    def preprocess(self) -> Preprocess:
        """The same as a value, as far as a value can hold it."""
        return self.batch.preprocess(self.item.preprocess)

    @property
    def custom_names(self) -> tuple[str, ...]:
        """The user's own functions, which the value leaves out and a file cannot carry."""
        return (*self.item.custom_names, *self.batch.custom_names)

    def picture(self, source: Any) -> Image.Image:
        """One picture, read and brought to its size, for people to look at.

        Raises:
            ImageError: It cannot be read.
        """
        return self.item.picture(source, ItemDraw())

    def loader(
        self,
        items: Any,
        *,
        bs: int = 64,
        num_workers: int | None = None,
        device: torch.device | str = "cpu",
        warn: bool = True,
        target: Target | None = None,
    ) -> Loader:
        """Batches without targets; `Batch.index` is the position in `items`.

        Args:
            items: Paths, or pictures in memory; one of them alone, or a folder, as `sources.as_items` says. Those that cannot
                be read are left out and told in the loader's `set_aside`.
            bs: Pictures a batch.
            num_workers: Threads that decode.
            device: Where batches are made.
            warn: Also warn about those that are left out.
            target: What is to be predicted; where labels move with the picture, batches tell their `paths`.
        """
        sources = tuple(as_items(items))
        samples = DecodedSamples(sources, self.item, common_root(sources))
        part = Part(samples, np.arange(len(sources), dtype=np.int64), target=target, sources=sources)
        # Each of these pictures is read once: keeping it would cost more than it saves.
        options = LoaderOptions(bs=bs, num_workers=num_workers, warn=warn, cache=False)
        return Loader(part, self.batch, options, torch.device(device))
