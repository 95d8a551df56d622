"""Loaders: rows of a table -> batches on the device.

Pictures are decoded in threads (Pillow lets go of Python's lock while it decodes) and kept as uint8 pixels, so that later
passes only gather them; they are augmented and normalised as one batch on the device. Which rows a batch holds and how they are
augmented follows from seed, epoch and row alone: the number of threads and what is kept change nothing but the time.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from sightline.data.cache.shelf import Shelf
from sightline.data.loading.any_loader import AnyLoader, LoaderOptions, Rows, settled
from sightline.data.loading.batch import Batch
from sightline.data.loading.gathering import Gathered, Gatherer
from sightline.data.loading.order import pass_keys
from sightline.data.loading.reading import Reading, plan_reading
from sightline.data.loading.samples import DecodedSamples, Part
from sightline.data.loading.streams import Streams, in_streams
from sightline.data.loading.threads import Decoded
from sightline.data.rows.getters import Pipeline
from sightline.data.rows.sources import named_reasons, reason_in
from sightline.data.transforms.batch_pipeline import BatchPipeline, flattened, order_of
from sightline.data.transforms.chance import Floats
from sightline.data.transforms.composition import Lookup
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.points import check_size
from sightline.data.transforms.user_transforms import IntToFloatTensor, ToTensor
from sightline.errors import DataError, ImageError, OptionError, SightlineWarning, counted
from sightline.runtime import default_workers, plan_runtime


class Loader(AnyLoader):
    """Batches of the rows of one part.

    Attributes:
        decodes: How many pictures were decoded for the batches that it gave.
    """

    def __init__(self, part: Part, batches: BatchPipeline, options: LoaderOptions, device: torch.device) -> None:
        self.part = part
        self.batches = batches
        self.options = options
        self.device = device
        self.epoch = 0
        self.set_aside = {}
        self.decodes = 0
        self._looks = self._gone_through = 0
        self._planned: tuple[Part, Reading] | None = None
        self._told_problem = False

    def __getstate__(self) -> dict[str, Any]:
        # A copy, here or in another process, opens files of the cache for itself.
        return self.__dict__ | {"_planned": None}

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
    def reads(self) -> Reading:
        """How pictures are read, and why so."""
        if self._planned is None or self._planned[0] is not self.part:
            self._planned = (self.part, plan_reading(self.part, self.options))
        return self._planned[1]

    @property
    def reading(self) -> str:
        """The same in words."""
        return self.reads.sentence(self.num_workers, self.reads.bytes)

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
        return self._from(0)

    def starting_at(self, given: int, gone_through: int) -> Iterator[Batch]:
        return self._from(gone_through)

    def gone_through(self, given: int) -> int:
        return self._gone_through

    def _from(self, start: int) -> Iterator[Batch]:
        epoch = self.epoch
        yield from self._pass(epoch, start=start)
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
            return self._first(self._pass(epoch, keep=False))
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
        return self._gatherer.rows_of(self.keys(epoch))

    def keys(self, epoch: int) -> Rows:
        """int64, what `order` gives; a row that comes again in an epoch has another key, and so another augmentation."""
        return pass_keys(self.options, epoch, self.rows, self.n_used, len(self.part.samples))

    def sample(self, key: int, epoch: int) -> Decoded:
        """One picture by its row (or key, see `keys`), or why it cannot be read; decoded if it is not kept."""
        return self._gatherer.sample(key, epoch, keep=False)

    @property
    def _gatherer(self) -> Gatherer:
        return Gatherer(self.part, self.options, self.reads, self.num_workers, self.device)

    def _finished(self, raw: Gathered, epoch: int) -> Batch | None:
        """The batch on the device, augmented and normalised; None where there is nothing to make it of.

        Raises:
            OptionError: The pictures have several sizes.
        """
        keys = raw.keys
        # One picture alone is not trained on, as in `n_used`.
        if raw.pixels is None or (raw.failed and self.options.training and len(keys) == 1):
            return None
        rows, pixels = self._gatherer.rows_of(keys), raw.pixels.to(self.device, non_blocking=True)
        lookup = None
        if self.options.random:
            chance: dict[str, Any] = {"seed": self.options.seed, "epoch": epoch, "rows": keys}
            lookup = self.batches.lookup((pixels.shape[1], pixels.shape[2]), **chance) if self.part.labels_move else None
            image = self.batches.train(pixels, **chance, lookup=lookup)
        else:
            image = self.batches.evaluate(pixels)
        targets = None if self.part.targets is None else self.part.targets[torch.from_numpy(rows)]
        paths = None if raw.paths is None else self._paths((pixels.shape[1], pixels.shape[2]), image, lookup) @ raw.paths
        if targets is not None and paths is not None and self.part.target is not None:
            targets = self.part.target.placed(targets, torch.from_numpy(paths))
        return Batch(image, None if targets is None else targets.to(self.device, non_blocking=True), rows, paths)

    def _paths(self, picture: tuple[int, int], image: Tensor, lookup: Lookup | None) -> Floats:
        """From pixels of pictures of a size (height, width) before the transforms of batches to -1..1 of `image`."""
        paths, size = self.batches.geometry.evaluation_path(picture) if lookup is None else (lookup.paths(), lookup.size)
        check_size(size, (image.shape[-2], image.shape[-1]))
        return paths

    def raw_batch(self) -> Tensor:
        """uint8 `(N, H, W, C)` on the device: the first batch of the present epoch before the transforms of batches.

        Raises:
            DataError: There is none.
        """
        keys = self.keys(self.epoch)[: self.bs]
        with closing(self._gatherer.batches([keys], self.epoch, keep=False)) as batches:
            pixels = next(batches).pixels
        if pixels is None:
            raise DataError(f"None of the first {counted(len(keys), 'picture')} can be read.")
        return pixels.to(self.device)

    @property
    def stats(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Mean and standard deviation by which batches are normalised, if they are."""
        normalize = self.batches.normalize
        if normalize is None or normalize.mean is None or normalize.std is None:
            return None
        return normalize.mean, normalize.std

    def _pass(self, epoch: int, *, keep: bool = True, start: int = 0) -> Generator[Batch]:
        """The batches of an epoch from one on; without `keep`, nothing is kept or made ahead."""
        gatherer = self._gatherer
        groups = self._groups(epoch, self.bs)[start:]
        with self._keeping(gatherer, epoch, keep), closing(gatherer.batches(groups, epoch, keep=keep)) as batches:
            for number, raw in enumerate(batches, start + 1):
                self._gone_through = number if keep else self._gone_through
                self._count(raw)
                batch = self._finished(raw, epoch)
                if batch is not None:
                    yield batch

    def used_in_streams(self, use: Callable[[Tensor], Tensor], streams: Streams) -> Generator[tuple[Batch, Tensor]]:
        """One pass without chance: each batch, and what `use` gives for its image, several of them made and used at once.

        Args:
            use: Called with the first batch alone, then from several threads at once.
            streams: How many threads; they end with this iterator, however it ends. Small passes take small batches.
        """
        epoch, gatherer = self.epoch, replace(self._gatherer, workers=0)

        def made(keys: Rows) -> tuple[Gathered, Batch | None, Tensor | None]:
            with closing(gatherer.batches([keys], epoch, keep=True)) as batches:
                raw = next(batches)
            batch = self._finished(raw, epoch)
            return raw, batch, None if batch is None else use(batch.image)

        groups = iter(self._groups(epoch, streams.batch_size(self.n_used, self.bs)))

        def results() -> Generator[tuple[Gathered, Batch | None, Tensor | None]]:
            # One alone until there is a batch: what `use` makes of the first must not depend on which thread is quicker.
            for one in map(made, groups):
                yield one
                if one[1] is not None:
                    break
            yield from in_streams(groups, made, streams, gatherer.watch.look)

        with self._keeping(gatherer, epoch, True), closing(results()) as found:
            for raw, batch, result in found:
                self._count(raw)
                if batch is not None and result is not None:
                    yield batch, result
        self.epoch = epoch + 1

    def _groups(self, epoch: int, size: int) -> list[Rows]:
        order = self.keys(epoch)
        return [order[start : start + size] for start in range(0, len(order), size)]

    @contextmanager
    def _keeping(self, gatherer: Gatherer, epoch: int, keep: bool) -> Iterator[None]:
        """A block that goes through all pictures, after which what is kept of them is complete."""
        kept = gatherer.reads.kept if keep else None
        try:
            yield
            if kept is not None:
                self._count(gatherer.keep_left_over(epoch))
        finally:
            if kept is not None:
                kept.end_pass()
        if kept is not None:
            self._tell(kept.shelf)

    def _count(self, raw: Gathered) -> None:
        self.decodes += raw.decodes
        self._note(raw.failed)

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

    def _tell(self, shelf: Shelf) -> None:
        """Warns once that pictures are decoded anew because the cache takes no more, if that was not to be known before."""
        if shelf.problem and not shelf.folder.refusal and not self._told_problem and self.options.warn:
            self._told_problem = True
            warnings.warn(
                f"Pictures that are not kept are decoded in each epoch: {shelf.problem}.", SightlineWarning, stacklevel=2
            )
