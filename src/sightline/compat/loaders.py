"""Batches of ready-made tensors, as scripts make them that begin with numbers and not with files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.utils import data

from sightline.data import dataloaders
from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.samples import Part
from sightline.errors import OptionError, did_you_mean
from sightline.target import Regression, SingleLabel, Target, Vocab

_TORCHS = ("sampler", "batch_sampler", "collate_fn", "timeout", "worker_init_fn", "generator", "prefetch_factor")


class DataLoader(data.DataLoader[Any]):
    """torch's `DataLoader` with fastai's names: `DataLoader(list(zip(x, y)), bs=256, shuffle=True)`."""

    def __init__(
        self,
        dataset: Any = None,
        bs: int | None = 64,
        num_workers: int = 0,
        pin_memory: bool = False,
        shuffle: bool = False,
        drop_last: bool = False,
        batch_size: int | None = None,
        device: Any = None,
        collate_fn: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> None:
        """Makes batches.

        Args:
            dataset: Anything with a length and items: a list of `(x, y)`, a torch Dataset.
            bs: Items a batch; None gives the items themselves.
            num_workers: Processes that read items.
            pin_memory: As torch has it.
            shuffle: Another order each time.
            drop_last: Leave out a last batch that is not full.
            batch_size: Another name for `bs`.
            device: Has no meaning: `DataLoaders` moves batches to its own device.
            collate_fn: Makes a batch of some items.
            options: Further ones of torch's DataLoader.

        Raises:
            OptionError: An option is not known; those that transform belong to DataBlock.
        """
        for name in set(options) - set(_TORCHS):
            raise OptionError(
                f"DataLoader has no option {name!r}. {did_you_mean(name, [*_TORCHS, 'bs', 'shuffle', 'drop_last'])} Transforms "
                "(after_item, after_batch, ...) are given to a DataBlock: item_tfms=, batch_tfms=."
            )
        size = bs if batch_size is None else batch_size
        collate = collate_fn or (_collated if size is not None else None)
        super().__init__(
            dataset, size, shuffle, num_workers=num_workers, pin_memory=pin_memory, drop_last=drop_last,
            collate_fn=collate, **options,
        )  # fmt: skip

    @property
    def bs(self) -> int | None:
        """Items a batch."""
        return self.batch_size

    @property
    def n(self) -> int:
        """Number of items."""
        return len(self.dataset)  # type: ignore[arg-type]

    def one_batch(self) -> Any:
        """The first batch."""
        return next(iter(self))


class DataLoaders(dataloaders.DataLoaders):
    """`sightline.DataLoaders` that find out what the labels of ready-made batches are, if `target` does not say it."""

    def __init__(self, *loaders: Any, target: Target | None = None, **options: Any) -> None:
        """Puts loaders together; see `sightline.DataLoaders`."""
        ready_made = bool(loaders) and not isinstance(loaders[0], AnyLoader)
        super().__init__(*loaders, target=_target_of(loaders[0]) if target is None and ready_made else target, **options)

    @classmethod
    def from_dsets(
        cls, *ds: Any, path: str | Path = ".", bs: int = 64, device: Any = None, shuffle: bool = True, **options: Any
    ) -> DataLoaders:
        """Loaders of datasets `(x, y)`, training first, which alone is shuffled and leaves out a last batch that is not full.

        Raises:
            OptionError: These are parts of a DataBlock's datasets, which make loaders themselves.
        """
        if any(isinstance(one, Part) for one in ds):
            raise OptionError("These are parts of datasets of a DataBlock. Make loaders of both with dsets.dataloaders(bs=8).")
        loaders = [
            DataLoader(one, bs, shuffle=shuffle and not number, drop_last=shuffle and not number and len(one) >= bs, **options)
            for number, one in enumerate(ds)
        ]
        return cls(*loaders, path=path, device=device)


def _target_of(loader: Any) -> Target:
    """What the labels seem to be: whole numbers, one an item, are classes; everything else is numbers as they are."""
    first = torch.as_tensor(next(iter(loader))[1])
    if first.ndim != 1 or first.is_floating_point():
        return Regression(1 if first.ndim < 2 else int(first.shape[1:].numel()))
    names = getattr(getattr(loader, "dataset", None), "classes", None)
    return SingleLabel(Vocab(names or range(1 + max(int(torch.as_tensor(batch[1]).max()) for batch in loader))))


def get_c(dls: dataloaders.DataLoaders) -> int:
    """Number of outputs that a network needs for these data."""
    return dls.c


def _collated(items: list[Any]) -> Any:
    batch = data.default_collate(items)
    return tuple(batch) if isinstance(batch, list) else batch
