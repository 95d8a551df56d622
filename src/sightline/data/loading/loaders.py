"""Loaders: rows of a table -> batches on the device.

Pictures are decoded in threads (Pillow lets go of Python's lock while it decodes), a few batches ahead of the one in use, and
augmented and normalised as one batch on the device. Which rows a batch holds and how they are augmented follows from seed,
epoch and row alone, so the number of threads changes nothing but the time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.loading.any_loader import AnyLoader, LoaderOptions, Rows, settled
from sightline.data.loading.batch import Batch
from sightline.data.loading.order import pass_keys
from sightline.data.loading.samples import DecodedSamples, Part, Pixels, Sample
from sightline.data.loading.threads import decoded
from sightline.data.rows.getters import Pipeline
from sightline.data.rows.sources import named_reasons, reason_in
from sightline.data.transforms.batch_pipeline import BatchPipeline, flattened, order_of
from sightline.data.transforms.chance import Floats, ItemDraw
from sightline.data.transforms.composition import Lookup
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.points import check_size
from sightline.data.transforms.user_transforms import IntToFloatTensor, ToTensor
from sightline.errors import DataError, ImageError, OptionError, SightlineWarning, counted
from sightline.runtime import default_workers, plan_runtime

PREFETCH = 2
"""How many batches are decoded ahead of the one that is in use."""


class Loader(AnyLoader):
    """Batches of the rows of one part."""

    def __init__(self, part: Part, batches: BatchPipeline, options: LoaderOptions, device: torch.device) -> None:
        self.part = part
        self.batches = batches
        self.options = options
        self.device = device
        self.epoch = 0
        self.set_aside = {}
        self._looks = 0

    def __len__(self) -> int:
        return math.ceil(self.n_used / self.bs)

    @property
    def n(self) -> int:
        return len(self.part)

    @property
    def n_used(self) -> int:
        """Number of pictures that one pass gives: all (or `partial_n` of them), less a last batch that is left out."""
        n, over = self.n_wanted, self.n_wanted % self.bs
        # One picture alone has no batch statistics: a network with BatchNorm cannot be trained on it.
        alone = self.options.training and over == 1 and n > self.bs
        return n - over if self.drop_last or alone else n

    @property
    def n_wanted(self) -> int:
        """Number of rows that one pass asks for: all, or `partial_n` of them."""
        return self.n if self.options.partial_n is None else min(self.n, self.options.partial_n)

    @property
    def bs(self) -> int:
        return self.options.bs

    @property
    def rows(self) -> Rows:
        return self.part.rows

    @property
    def drop_last(self) -> bool:
        """Whether a last batch that is not full is left out."""
        wanted = self.options.training and self.options.shuffle if self.options.drop_last is None else self.options.drop_last
        return wanted and self.n_wanted >= self.bs

    @property
    def shuffle(self) -> bool:
        """Whether rows come in another order each epoch."""
        return self.options.shuffle

    @property
    def num_workers(self) -> int:
        """Threads that decode."""
        return default_workers() if self.options.num_workers is None else self.options.num_workers

    @property
    def items(self) -> Any:
        """What the pictures are made of; see `Part.items`."""
        return self.part.items

    @property
    def c(self) -> int:
        """Number of outputs that a network needs.

        Raises:
            OptionError: There are no labels.
        """
        if self.part.target is None:
            raise OptionError("This loader has no labels, so there is no number of outputs. See c of the DataLoaders.")
        return self.part.target.num_outputs

    @property
    def after_item(self) -> Pipeline:
        """The transforms of one picture, in order; to look at, or to call by hand. `add_item_tfms` adds to them."""
        items: Any = getattr(self.part.samples, "items", None)
        return Pipeline([*getattr(items, "transforms", ()), ToTensor()], 0 if self.options.random else 1)

    @property
    def after_batch(self) -> Pipeline:
        """The transforms of a batch, in order; to look at, or to call by hand."""
        return Pipeline([IntToFloatTensor(), *sorted(self.batches.transforms, key=order_of)], 0 if self.options.random else 1)

    @property
    def dataset(self) -> Part:
        """The rows that are served, one by one."""
        return self.part

    @property
    def vocab(self) -> Any:
        """The names of the classes, or None."""
        return self.part.vocab

    def new(self, dataset: Part | None = None, cls: None = None, **changes: Any) -> Loader:
        """A loader with other options, or another part, `batches` or `device`.

        Args:
            dataset: The rows to serve, such as `dls.train_ds`, where they are not to be the same; also called `part`.
            cls: Has no meaning; fastai has it here.
            changes: See `LoaderOptions`; options of worker processes (`pin_memory`) are accepted and change nothing.

        Raises:
            OptionError: There is no such option, or its value is not allowed.
        """
        known = [field.name for field in fields(LoaderOptions)]
        changes = settled(changes, [*known, "device", "part", "batches"], "A loader")
        part, batches = changes.pop("part", None) or dataset or self.part, changes.pop("batches", self.batches)
        device = changes.pop("device", None)
        if len(part) != self.n and "weights" not in changes:
            changes["weights"] = None
        options = replace(self.options, **changes)
        twin = Loader(part, batches, options, self.device if device is None else plan_runtime(device).device)
        if part.samples is self.part.samples:
            # What one of them found unreadable is known to both, and is told once.
            twin.set_aside = self.set_aside
        return twin

    def add_item_tfms(self, tfms: Any) -> None:
        """Adds transforms of one picture to those of this loader, which is changed.

        Raises:
            OptionError: Pictures are ready-made, or something is no such transform.
        """
        samples = self.part.samples
        if not isinstance(samples, DecodedSamples):
            raise OptionError("These pictures are ready-made; transforms of single pictures cannot be added to them.")
        added = ItemPipeline([*samples.items.transforms, *flattened(tfms)], samples.items.channels, samples.items.read)
        self.part = replace(self.part, samples=replace(samples, items=added))

    def __iter__(self) -> Iterator[Batch]:
        epoch = self.epoch
        # On a CPU the network computes with every core, and threads that decode meanwhile make its own wait for one another
        # (measured: an epoch of small pictures took 14 times as long). There, all cores decode, then all cores compute.
        yield from self._pass(epoch, 0 if self.device.type == "cpu" else PREFETCH)
        self.epoch = epoch + 1

    def one_batch(self) -> Batch:
        """The first batch of the present epoch; the epoch does not move on, and nothing is decoded ahead."""
        return self.peek(self.epoch)

    def peek(self, epoch: int) -> Batch:
        """The first batch of any epoch; negative ones are never trained on.

        Raises:
            DataError: There is none.
        """
        try:
            return self._first(self._pass(epoch, 0))
        except DataError as error:
            failed = [row for row in self.rows.tolist() if row in self.set_aside]
            if not failed:
                raise
            reasons = named_reasons((self.part.samples.name(row), self.set_aside[row]) for row in failed)
            raise DataError(f"{str(error)[:-1]}, and none of the first can be read: {reasons}.") from error

    def show_batch(self, b: Any = None, max_n: int = 9, **options: Any) -> Any:
        """A figure of some pictures of a batch with their labels, other ones at each call; see `show.show_batch`."""
        from sightline.data.showing.show import show_batch

        self._looks += 1
        return show_batch(self, b, max_n, **({"epoch": -self._looks} | options))

    def decode(self, b: Any) -> tuple[Tensor, ...]:
        """A batch with its colours restored: uint8 `(N, C, H, W)` on the host; and its targets, if it has any."""
        from sightline.data.showing.show import restored

        return restored(self, b)

    def decode_batch(self, b: Any, max_n: int = 9, full: bool = True) -> list[tuple[Any, ...]]:
        """The first pictures of a batch, uint8 `(C, H, W)`, each with its label in words (`full=False`: as a number)."""
        from sightline.data.showing.show import decoded_pairs

        return decoded_pairs(self, b, max_n, full)

    def order(self, epoch: int) -> Rows:
        """int64, the rows in the order of one epoch, cut to what the pass uses."""
        return self._row(self.keys(epoch))

    def keys(self, epoch: int) -> Rows:
        """int64, what `order` gives; a row that comes again in an epoch has another key, and so another augmentation."""
        return pass_keys(self.options, epoch, self.rows, self.n_used, len(self.part.samples))

    def _row(self, keys: Rows) -> Rows:
        return keys % max(1, len(self.part.samples))

    def sample(self, key: int, epoch: int) -> Sample | ImageError:
        """One picture by its row (or key, see `keys`), or why it cannot be read."""
        row = key % max(1, len(self.part.samples))
        try:
            return self.part.sample(row, ItemDraw(self.options.random, self.options.seed, epoch, key))
        except ImageError as error:
            return error

    def finish(self, samples: Sequence[Sample], keys: Rows, epoch: int) -> Batch:
        """The batch of some pictures, made on the device; for `keys` see there.

        Raises:
            OptionError: The pictures have several sizes.
        """
        rows = self._row(keys)
        stacked = torch.from_numpy(self._stack([sample.pixels for sample in samples], rows))
        if self.device.type == "cuda":
            stacked = stacked.pin_memory()
        raw = stacked.to(self.device, non_blocking=True)
        lookup = None
        if self.options.random:
            chance: dict[str, Any] = {"seed": self.options.seed, "epoch": epoch, "rows": keys}
            lookup = self.batches.lookup((raw.shape[1], raw.shape[2]), **chance) if self.part.labels_move else None
            image = self.batches.train(raw, **chance, lookup=lookup)
        else:
            image = self.batches.evaluate(raw)
        targets = None if self.part.targets is None else self.part.targets[torch.from_numpy(rows)]
        paths = self._paths(samples, image, lookup) if self.part.labels_move else None
        if targets is not None and paths is not None and self.part.target is not None:
            targets = self.part.target.placed(targets, torch.from_numpy(paths))
        return Batch(image, None if targets is None else targets.to(self.device, non_blocking=True), rows, paths)

    def _paths(self, samples: Sequence[Sample], image: Tensor, lookup: Lookup | None) -> Floats:
        """From pixels of each picture as it was read to -1..1 of `image`: float64 `(N, 3, 3)`."""
        height, width = samples[0].pixels.shape[:2]
        evaluation = self.batches.geometry.evaluation_path
        paths, size = evaluation((height, width)) if lookup is None else (lookup.paths(), lookup.size)
        check_size(size, (image.shape[-2], image.shape[-1]))
        found: Floats = paths @ np.stack([sample.path for sample in samples if sample.path is not None])
        return found

    def raw_batch(self) -> Tensor:
        """uint8 `(N, H, W, C)` on the device: the first batch of the present epoch before the transforms of batches.

        Raises:
            DataError: There is none.
        """
        keys = self.keys(self.epoch)[: self.bs]
        with closing(decoded([keys], lambda key: self.sample(key, self.epoch), self.num_workers, 0)) as samples:
            found = [
                (key, sample.pixels) for key, sample in zip(keys, next(samples), strict=True) if isinstance(sample, Sample)
            ]
        if not found:
            raise DataError(f"None of the first {counted(len(keys), 'picture')} can be read.")
        stacked = self._stack([pixels for _, pixels in found], self._row(np.array([key for key, _ in found])))
        return torch.from_numpy(stacked).to(self.device)

    @property
    def stats(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Mean and standard deviation by which batches are normalised, if they are."""
        normalize = self.batches.normalize
        if normalize is None or normalize.mean is None or normalize.std is None:
            return None
        return normalize.mean, normalize.std

    def _pass(self, epoch: int, prefetch: int) -> Generator[Batch]:
        order = self.keys(epoch)
        groups = [order[start : start + self.bs] for start in range(0, len(order), self.bs)]
        with closing(decoded(groups, lambda key: self.sample(key, epoch), self.num_workers, prefetch)) as samples:
            for keys, results in zip(groups, samples, strict=True):
                batch = self._batch(keys, results, epoch)
                if batch is not None:
                    yield batch

    def _batch(self, keys: Rows, results: list[Sample | ImageError], epoch: int) -> Batch | None:
        rows = self._row(keys).tolist()
        failed = {row: result for row, result in zip(rows, results, strict=True) if isinstance(result, ImageError)}
        self._note(failed)
        kept = keys[[row not in failed for row in rows]] if failed else keys
        # One picture alone is not trained on, as in `n_used`.
        if len(kept) == 0 or (failed and self.options.training and len(kept) == 1):
            return None
        return self.finish([result for result in results if not isinstance(result, ImageError)], kept, epoch)

    def _note(self, failed: dict[int, ImageError]) -> None:
        new = {row: reason_in(error) for row, error in failed.items() if row not in self.set_aside}
        if not new:
            return
        self.set_aside.update(new)
        if not self.options.warn:
            return
        named = named_reasons((self.part.samples.name(row), reason) for row, reason in new.items())
        warnings.warn(
            f"{counted(len(new), 'picture')} cannot be read and left out of the batch: {named}. See the loader's set_aside.",
            SightlineWarning,
            stacklevel=2,
        )

    def _stack(self, pixels: Sequence[Pixels], rows: Rows) -> Pixels:
        for row, sample in zip(rows, pixels, strict=True):
            if sample.shape != pixels[0].shape:
                first, other = (f"{s.shape[1]} x {s.shape[0]}" for s in (pixels[0], sample))
                names = [self.part.samples.name(int(r)) for r in (rows[0], row)]
                raise OptionError(
                    f"Pictures of several sizes cannot make one batch: {names[0]!r} is {first} pixels (width x height), "
                    f"{names[1]!r} is {other}. Expected one size for all; add item_tfms=Resize(224)."
                )
        return np.stack(pixels)
