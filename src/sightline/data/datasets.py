"""Datasets: the parts of a table, one by one, and the loaders that are made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.dataloaders import DataLoaders
from sightline.data.loading.any_loader import LoaderOptions, Rows, settled
from sightline.data.loading.loaders import Loader
from sightline.data.loading.samples import DecodedSamples, Part
from sightline.data.rows.collect import Recipe
from sightline.data.rows.enough import check_training
from sightline.data.rows.table import TRAIN, Table
from sightline.data.rows.weights import checked_weights, training_weights
from sightline.data.showing.plots import show_image
from sightline.data.showing.show import label_text
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.measure import measured
from sightline.errors import OptionError
from sightline.runtime import fresh_seed, plan_runtime
from sightline.target import Target

_OPTIONS = (
    "bs", "val_bs", "shuffle", "val_shuffle", "device", "num_workers", "seed", "drop_last", "cache", "on_error", "unknown",
)  # fmt: skip


@dataclass(frozen=True)
class LoadingPlan:
    """How loaders go through the parts, checked before a file is looked at.

    Attributes:
        train: Options of the training loader.
        others: Options of the others.
        device: Where batches are made.
        seed: What order and augmentation follow from; None draws it when the loaders are made, after the split.
    """

    train: LoaderOptions
    others: LoaderOptions
    device: torch.device
    seed: int | None = None


def plan_loading(
    bs: int = 64,
    val_bs: int | None = None,
    shuffle: bool = True,
    val_shuffle: bool = False,
    device: str | torch.device | None = None,
    num_workers: int | None = None,
    seed: int | None = None,
    drop_last: bool | None = None,
    cache: bool | None = None,
    weights: Any = None,
    partial_n: int | None = None,
    **unused: Any,
) -> LoadingPlan:
    """The plan that options make; see `DataBlock.dataloaders`.

    Raises:
        OptionError: An option is unknown or outside what it may be.
    """
    renamed = settled(unused, _OPTIONS, "dataloaders")
    bs, shuffle = renamed.get("bs", bs), renamed.get("shuffle", shuffle)
    common: dict[str, Any] = {"num_workers": num_workers, "cache": cache}
    train = LoaderOptions(bs, shuffle, drop_last, training=True, weights=weights, partial_n=partial_n, **common)
    others = LoaderOptions(bs=bs if val_bs is None else val_bs, shuffle=val_shuffle, **common)
    return LoadingPlan(train, others, plan_runtime(device).device, seed)


@dataclass(frozen=True, eq=False)
class Datasets:
    """The parts of a table, one by one, without loaders.

    Attributes:
        parts: Training, validation, further parts.
        target: What the labels are.
        table: The rows.
        recipe: How items become rows, for `test_dl` of the loaders.
        batch_tfms: Transforms of batches that loaders are made with.
    """

    parts: tuple[Part, ...]
    target: Target
    table: Table
    recipe: Recipe | None = None
    batch_tfms: Any = None

    @property
    def train(self) -> Part:
        """The training part."""
        return self.parts[0]

    @property
    def valid(self) -> Part:
        """The validation part."""
        return self.parts[1]

    def subset(self, i: int) -> Part:
        """A part by its number."""
        return self.parts[i]

    @property
    def n_subsets(self) -> int:
        """Number of parts."""
        return len(self.parts)

    @property
    def n_inp(self) -> int:
        """1: an item holds one input, the picture."""
        return 1

    @property
    def vocab(self) -> Any:
        """The names of the classes, or None."""
        return self.target.vocab

    @property
    def c(self) -> int:
        """Number of outputs that a network needs."""
        return self.target.num_outputs

    @property
    def items(self) -> list[Any]:
        """Where the pictures of all rows are, left-out ones included: paths, or the pictures themselves."""
        return list(self.table.sources)

    @property
    def splits(self) -> tuple[Rows, ...]:
        """int64 positions in `items` of each part."""
        return tuple(part.rows for part in self.parts)

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    def __getitem__(self, row: Any) -> Any:
        """The picture as it was read and its encoded label, of one of `items`; a list of such for several."""
        return self.parts[0].only(np.arange(len(self.table)))[row]

    def __iter__(self) -> Iterator[tuple[Any, Tensor | None]]:
        return (part[position] for part in self.parts for position in range(len(part)))

    def decode(self, pair: tuple[Any, Any]) -> tuple[Any, Any]:
        """An item with its label in words, from one with its label encoded."""
        return pair[0], self.target.decode(pair[1])

    def show(self, pair: tuple[Any, Any], ctx: Any = None, **options: Any) -> Any:
        """Draws an item with its label above and returns the axes; options as for `show_image`."""
        return show_image(pair[0], ctx=ctx, title=label_text(self.target, pair[1]), **options)

    def dataloaders(
        self, bs: int = 64, *, path: str | Path = ".", after_item: Any = None, after_batch: Any = None, **options: Any
    ) -> DataLoaders:
        """Loaders of the parts.

        Args:
            bs: Pictures in a training batch.
            path: The folder that a learner writes below.
            after_item: Transforms of one picture; None takes those of the DataBlock.
            after_batch: Transforms of a batch; None takes those of the DataBlock.
            options: As for `DataBlock.dataloaders`.
        """
        changed = self._with_items(after_item)
        if after_batch is not None:
            changed = replace(changed, batch_tfms=after_batch)
        return changed.loaded(plan_loading(bs, **options), path)

    def weighted_dataloaders(self, wgts: Any, bs: int = 64, **options: Any) -> DataLoaders:
        """Loaders whose training rows are drawn with replacement, as often as their weights say.

        Args:
            wgts: A weight for each row of `train`, or for each of `items`; `balanced_weights(dsets)` makes some.
            bs: Pictures in a training batch.
            options: As for `dataloaders`.
        """
        return self.dataloaders(bs, weights=training_weights(wgts, self.table, len(self.train)), **options)

    def partial_dataloaders(self, partial_n: int, bs: int = 64, **options: Any) -> DataLoaders:
        """Loaders whose training passes hold `partial_n` rows, other ones each epoch; options as for `dataloaders`."""
        return self.dataloaders(bs, partial_n=partial_n, **options)

    def weights_of_items(self, wgts: Any) -> Any:
        """The weights of the training rows from one for each of `items`."""
        return checked_weights(wgts, len(self.table), "items")[self.table.rows(TRAIN)]

    def loaded(self, plan: LoadingPlan, path: str | Path = ".") -> DataLoaders:
        """Loaders as a plan says.

        Raises:
            OptionError: There are too few pictures for a batch, or transforms do not fit the pictures.
        """
        batches, seed = BatchPipeline(self.batch_tfms), fresh_seed() if plan.seed is None else int(plan.seed)
        loaders = [
            Loader(part, batches, replace(plan.others if number else plan.train, seed=seed), plan.device)
            for number, part in enumerate(self.parts)
        ]
        check_training(loaders[TRAIN])
        return DataLoaders(*measured(loaders), target=self.target, table=self.table, recipe=self.recipe, path=path)

    def _with_items(self, item_tfms: Any) -> Datasets:
        if item_tfms is None:
            return self
        samples = self.train.samples
        if not isinstance(samples, DecodedSamples):
            raise OptionError("These pictures are ready-made, so after_item= cannot change them.")
        read = samples.items.read
        other = replace(samples, items=ItemPipeline(item_tfms, read.channels, read))
        return replace(self, parts=tuple(replace(part, samples=other) for part in self.parts))
