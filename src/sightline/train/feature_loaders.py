"""Loaders of features: they stand in for the loaders of pictures, whose order, count and numbers they keep.

Features are made while the pictures pass in the first epoch, and kept by row for the epochs after it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from sightline import draws
from sightline.data.loading.any_loader import AnyLoader, Rows
from sightline.data.loading.batch import Batch
from sightline.data.loading.loaders import Loader


@dataclass(frozen=True, eq=False)
class FeatureBatch(Batch):
    """A batch whose `image` holds features `(N, ...)` in the precision in which they were computed, in place of pictures.

    Attributes:
        above: The layers that turn them into outputs.
    """

    above: nn.Module = field(kw_only=True)

    def to(self, device: torch.device | str) -> FeatureBatch:
        """The same batch on another device."""
        moved = super().to(device)
        return replace(self, image=moved.image, target=moved.target)


Passed: TypeAlias = Callable[[Batch], FeatureBatch]
"""From pictures to what the frozen layers say of them."""


class _Features(AnyLoader):
    """What both loaders of features have in common: they count and number as the loader of the pictures does."""

    def __init__(self, pictures: AnyLoader, passed: Passed) -> None:
        self.pictures, self.passed = pictures, passed
        self.device, self.set_aside = pictures.device, pictures.set_aside

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def epoch(self) -> int:
        """The pass that the pictures are at."""
        return self.pictures.epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self.pictures.epoch = epoch

    @property
    def n(self) -> int:
        return self.pictures.n

    @property
    def bs(self) -> int:
        return self.pictures.bs

    @property
    def rows(self) -> Rows:
        return self.pictures.rows


class TrainingFeatures(_Features):
    """Features of the training pictures: made in the first epoch, kept for those after it, each in the order of its epoch."""

    def __init__(self, pictures: AnyLoader, passed: Passed, epochs: range, below: nn.Module) -> None:
        super().__init__(pictures, passed)
        self.epochs, self.below = epochs, below
        self.store: _Store | None = None

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        if self.store is None and epoch == self.epochs[0]:
            yield from self._first_pass()
        else:
            if self.store is None:
                # The first epoch was left out, or broken off: what it would have kept is made up for, with no other trace.
                with _kept_buffers(self.below):
                    for _ in self._first_pass():
                        pass
            yield from self._again(epoch)
        self.epoch = epoch + 1

    def _first_pass(self) -> Generator[FeatureBatch]:
        self.epoch = self.epochs[0]
        statistics = [_Statistics(layer) for layer in self.below.modules() if isinstance(layer, _NormBase)]
        made: list[FeatureBatch] = []
        for batch in self.pictures:
            found = self.passed(batch)
            made += [found] if len(self.epochs) > 1 else []
            yield found
        for one in statistics:
            one.go_on(len(self.epochs))
        if made:
            with _kept_buffers(self.below):
                made += [self.passed(batch) for batch in self._left_over(np.concatenate([batch.index for batch in made]))]
            self.store = _Store(made)

    def _left_over(self, seen: Rows) -> Loader | tuple[()]:
        """Rows that later epochs ask for and the first one had no place for, in full batches: others make up their number."""
        pictures = self.pictures
        if not isinstance(pictures, Loader):
            return ()
        wanted = np.concatenate([pictures.order(epoch) for epoch in self.epochs[1:]])
        left = np.setdiff1d(wanted, [*seen, *pictures.set_aside])
        if len(left) == 0:
            return ()
        # Batches of full size: normalisation takes its statistics from the batch.
        rows = np.concatenate([left, seen[: -len(left) % pictures.bs]])
        options: dict[str, Any] = {"shuffle": False, "weights": None, "partial_n": None, "drop_last": False}
        rest = pictures.new(part=pictures.part.only(rows), **options)
        rest.epoch = self.epochs[0]
        return rest

    def _again(self, epoch: int) -> Iterator[FeatureBatch]:
        if self.store is None:
            return
        if isinstance(self.pictures, Loader):
            places = self.store.places(self.pictures.order(epoch))
        else:
            places = draws.permutation(0, epoch, len(self.store))
        for start in range(0, len(places), self.bs):
            some = places[start : start + self.bs]
            # One picture alone has no batch statistics, see `LoaderOptions.drop_last`.
            if len(some) > 1 or start == 0:
                yield self.store.batch(some)


class ValidationFeatures(_Features):
    """Features of the validation pictures, kept from the first pass on that follows a whole pass of training."""

    def __init__(self, pictures: AnyLoader, passed: Passed, training: TrainingFeatures) -> None:
        super().__init__(pictures, passed)
        self.training = training
        self.made: list[FeatureBatch] = []

    def __iter__(self) -> Iterator[Batch]:
        if self.made:
            yield from self.made
            return
        made: list[FeatureBatch] = []
        for batch in self.pictures:
            found = self.passed(batch)
            made += [found] if self.training.store is not None else []
            yield found
        self.made = made


class _Store:
    """Features by row."""

    def __init__(self, batches: Sequence[FeatureBatch]) -> None:
        self._features = torch.cat([batch.image for batch in batches])
        targets = [batch.target for batch in batches if batch.target is not None]
        self._targets = torch.cat(targets) if targets else None
        self._rows = np.concatenate([batch.index for batch in batches])
        self._above = batches[0].above
        self._sorted, self._first = np.unique(self._rows, return_index=True)

    def __len__(self) -> int:
        return len(self._rows)

    def places(self, rows: Rows) -> Rows:
        """Where rows are, in their order; those that are not there are left out."""
        found = np.minimum(np.searchsorted(self._sorted, rows), len(self._sorted) - 1)
        places: Rows = self._first[found[self._sorted[found] == rows]].astype(np.int64)
        return places

    def batch(self, places: Rows) -> FeatureBatch:
        """The batch of some places."""
        chosen = torch.from_numpy(places).to(self._features.device)
        targets = None if self._targets is None else self._targets[chosen]
        return FeatureBatch(self._features[chosen], targets, self._rows[places], above=self._above)


class _Statistics:
    """Running statistics of one layer from before a pass: what that pass did to them can be continued.

    A pass of n batches leaves `q * old + (1 - q) * seen`, q being `(1 - momentum) ** n` and `seen` a mean over batches. As many
    epochs as the phase has would leave nearly the same with `q ** epochs`. Without it the first epoch of a small set leaves
    statistics that are half those of other pictures, and validation looks through them while the head does not learn with them.
    """

    def __init__(self, layer: _NormBase) -> None:
        self.layer, self.counted = layer, _batches(layer)
        self.old = [None if value is None else value.clone() for value in (layer.running_mean, layer.running_var)]

    def go_on(self, epochs: int) -> None:
        """Bring them to where they would be after so many such passes."""
        passed = _batches(self.layer) - self.counted
        left = 1.0 if self.layer.momentum is None else (1 - self.layer.momentum) ** passed
        if left == 1 or epochs == 1:
            return
        for old, now in zip(self.old, (self.layer.running_mean, self.layer.running_var), strict=True):
            if old is not None and now is not None:
                now.copy_(old + (now - old) * ((1 - left**epochs) / (1 - left)))
        if self.layer.running_var is not None:
            self.layer.running_var.clamp_(min=0)


def _batches(layer: _NormBase) -> int:
    return 0 if layer.num_batches_tracked is None else int(layer.num_batches_tracked)


@contextmanager
def _kept_buffers(module: nn.Module) -> Iterator[None]:
    """Running statistics are after the block as before it."""
    before = [(buffer, buffer.clone()) for buffer in module.buffers()]
    try:
        yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
