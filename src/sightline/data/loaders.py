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
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from sightline import draws
from sightline.data.batch import Batch
from sightline.data.batch_pipeline import BatchPipeline
from sightline.data.chance import ItemDraw
from sightline.data.loading import AnyLoader, LoaderOptions, Rows
from sightline.data.samples import Part, Pixels
from sightline.data.sources import named_reasons, reason_in
from sightline.data.threads import decoded
from sightline.errors import DataError, ImageError, OptionError, SightlineWarning, counted, did_you_mean
from sightline.runtime import default_workers

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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

    def __len__(self) -> int:
        return math.ceil(self.n_used / self.bs)

    @property
    def n(self) -> int:
        return len(self.part)

    @property
    def n_used(self) -> int:
        """Number of pictures that one pass gives: all, less a last batch that is left out."""
        over = self.n % self.bs
        # One picture alone has no batch statistics: a network with BatchNorm cannot be trained on it.
        alone = self.options.training and over == 1 and self.n > self.bs
        return self.n - over if self.drop_last or alone else self.n

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
        return wanted and self.n >= self.bs

    @property
    def num_workers(self) -> int:
        """Threads that decode."""
        return default_workers() if self.options.num_workers is None else self.options.num_workers

    @property
    def items(self) -> list[Any]:
        """Where the pictures come from."""
        return self.part.items

    @property
    def dataset(self) -> Part:
        """The rows that are served, one by one."""
        return self.part

    @property
    def vocab(self) -> Any:
        """The names of the classes, or None."""
        return self.part.vocab

    def new(self, **changes: Any) -> Loader:
        """A loader with other options (see `LoaderOptions`), or another `part`, `batches` or `device`.

        Raises:
            OptionError: There is no such option, or its value is not allowed.
        """
        own = {name: changes.pop(name) for name in ("part", "batches", "device") if name in changes}
        known = [field.name for field in fields(LoaderOptions)]
        for name in changes:
            if name not in known:
                raise OptionError(
                    f"A loader has no option {name!r}. Expected one of {', '.join(known)}. {did_you_mean(name, known)}".rstrip()
                )
        part, options = own.get("part", self.part), replace(self.options, **changes)
        twin = Loader(part, own.get("batches", self.batches), options, own.get("device", self.device))
        if part.samples is self.part.samples:
            # What one of them found unreadable is known to both, and is told once.
            twin.set_aside = self.set_aside
        return twin

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
        return self._first(self._pass(epoch, 0))

    def show_batch(self, **options: Any) -> Figure:
        """A figure of some pictures of a batch with their labels; see `show.show_batch`."""
        from sightline.data.show import show_batch

        return show_batch(self, **options)

    def order(self, epoch: int) -> Rows:
        """int64, the rows in the order of one epoch, cut to what the pass uses."""
        rows = self.rows
        if self.options.shuffle:
            rows = rows[draws.permutation(self.options.seed, epoch, len(rows))]
        return rows[: self.n_used]

    def sample(self, row: int, epoch: int) -> Pixels | ImageError:
        """One picture, or why it cannot be read."""
        try:
            return self.part.samples(row, ItemDraw(self.options.training, self.options.seed, epoch, row))
        except ImageError as error:
            return error

    def finish(self, pixels: Sequence[Pixels], rows: Rows, epoch: int) -> Batch:
        """The batch of some pictures, uint8 `(H, W, C)` each, made on the device.

        Raises:
            OptionError: The pictures have several sizes.
        """
        stacked = torch.from_numpy(self._stack(pixels, rows))
        if self.device.type == "cuda":
            stacked = stacked.pin_memory()
        raw = stacked.to(self.device, non_blocking=True)
        if self.options.training:
            image = self.batches.train(raw, seed=self.options.seed, epoch=epoch, rows=rows)
        else:
            image = self.batches.evaluate(raw)
        targets = None if self.part.targets is None else self.part.targets[torch.from_numpy(rows)]
        return Batch(image, None if targets is None else targets.to(self.device, non_blocking=True), rows)

    def raw_batch(self) -> Tensor:
        """uint8 `(N, H, W, C)` on the device: the first batch of the present epoch before the transforms of batches.

        Raises:
            DataError: There is none.
        """
        rows = self.order(self.epoch)[: self.bs]
        with closing(decoded([rows], lambda row: self.sample(row, self.epoch), self.num_workers, 0)) as samples:
            found = [
                (row, pixels) for row, pixels in zip(rows, next(samples), strict=True) if not isinstance(pixels, ImageError)
            ]
        if not found:
            raise DataError(f"None of the first {counted(len(rows), 'picture')} can be read.")
        return torch.from_numpy(self._stack([pixels for _, pixels in found], np.array([row for row, _ in found]))).to(
            self.device
        )

    @property
    def stats(self) -> tuple[Sequence[float], Sequence[float]] | None:
        """Mean and standard deviation by which batches are normalised, if they are."""
        normalize = self.batches.normalize
        if normalize is None or normalize.mean is None or normalize.std is None:
            return None
        return normalize.mean, normalize.std

    def _pass(self, epoch: int, prefetch: int) -> Generator[Batch]:
        order = self.order(epoch)
        groups = [order[start : start + self.bs] for start in range(0, len(order), self.bs)]
        with closing(decoded(groups, lambda row: self.sample(row, epoch), self.num_workers, prefetch)) as samples:
            for rows, results in zip(groups, samples, strict=True):
                batch = self._batch(rows, results, epoch)
                if batch is not None:
                    yield batch

    def _batch(self, rows: Rows, results: list[Pixels | ImageError], epoch: int) -> Batch | None:
        failed = {int(row): result for row, result in zip(rows, results, strict=True) if isinstance(result, ImageError)}
        self._note(failed)
        kept = rows[[int(row) not in failed for row in rows]] if failed else rows
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
