"""Gathering: the pictures of each batch as uint8 on the host, before the transforms of batches."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from sightline.data.loading.any_loader import LoaderOptions, Rows
from sightline.data.loading.crew import Watch
from sightline.data.loading.reading import Reading
from sightline.data.loading.samples import Part, Pixels, Sample
from sightline.data.loading.threads import Decoded, decoded, made_ahead, whole_or_decoded
from sightline.data.transforms.chance import BatchDraw, Floats, ItemDraw
from sightline.errors import ImageError, OptionError

PREFETCH = 2
"""How many batches are made ahead of the one that is in use, where a GPU computes."""


class Gathered(NamedTuple):
    """The pictures of a batch.

    Attributes:
        pixels: uint8 `(N, H, W, C)` on the host; None where there is no picture.
        keys: int64 `(N,)`, see `Loader.keys`.
        failed: Why pictures are missing, by row.
        paths: float64 `(N, 3, 3)`, see `Sample.path`; None where labels do not ask for it.
        decodes: How many pictures were decoded for it.
    """

    pixels: Tensor | None
    keys: Rows
    failed: dict[int, ImageError]
    paths: Floats | None = None
    decodes: int = 0


@dataclass(frozen=True, eq=False)
class Gatherer:
    """Gathers the pictures of a part.

    Attributes:
        part: The pictures.
        options: How they are gone through.
        reads: How they are read.
        workers: Threads that decode.
        device: Where batches are used.
        watch: Knows which pictures are being read.
    """

    part: Part
    options: LoaderOptions
    reads: Reading
    workers: int
    device: torch.device
    watch: Watch = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "watch", Watch(self.part.samples.name))

    def batches(self, groups: Sequence[Rows], epoch: int, *, keep: bool) -> Generator[Gathered]:
        """The pictures of several batches.

        Args:
            groups: Keys of each batch.
            epoch: Counts the passes.
            keep: Whether what is decoded is to be kept; if not, nothing is made ahead either.
        """
        # On a CPU the network computes with every core, and threads that work meanwhile make its own wait for one another
        # (measured: an epoch of small pictures took 14 times as long). There, all cores decode, then all cores compute.
        ahead = PREFETCH if self.device.type != "cpu" and keep else 0
        made = self._batches(groups, epoch, keep, ahead)
        return made_ahead(made, ahead) if ahead else made

    def sample(self, key: int, epoch: int, keep: bool) -> Decoded:
        """One picture by its key, or why it cannot be read; decoded if it is not kept."""
        row = key % self._table_size
        draw = ItemDraw(self.options.random, self.options.seed, epoch, key)
        try:
            with self.watch.reading(row):
                if self.reads.kept is None:
                    return self.part.sample(row, draw)
                return self.reads.kept.sample(row, draw, placed=self.part.labels_move, keep=keep)
        except ImageError as error:
            return error

    def keep_left_over(self, epoch: int) -> Gathered:
        """Decodes and keeps the few pictures that a pass left out, so that no later one has to; no pixels are given."""
        left = np.empty(0, np.int64) if self.reads.kept is None else self.reads.kept.unsought(self.part.rows)
        if not 0 < len(left) < self.options.bs:
            return Gathered(None, left[:0], {})
        sample = partial(self.sample, epoch=epoch, keep=True)
        with closing(decoded([left], sample, self.workers, 0, self.watch.look)) as found:
            made = next(found)
        failed = {row: one for row, one in zip(left.tolist(), made, strict=True) if isinstance(one, ImageError)}
        return Gathered(None, left[:0], failed, None, sum(isinstance(one, Sample) and one.decoded for one in made))

    def rows_of(self, keys: Rows) -> Rows:
        """int64, the row of each key."""
        return keys % self._table_size

    @property
    def _table_size(self) -> int:
        return max(1, len(self.part.samples))

    def _batches(self, groups: Sequence[Rows], epoch: int, keep: bool, ahead: int) -> Generator[Gathered]:
        whole, sample = partial(self._whole, epoch=epoch), partial(self.sample, epoch=epoch, keep=keep)
        with closing(whole_or_decoded(groups, whole, sample, self.workers, ahead, self.watch.look)) as found:
            for keys, made in zip(groups, found, strict=True):
                yield Gathered(made, keys, {}) if isinstance(made, Tensor) else self._joined(keys, made)

    def _whole(self, keys: Rows, epoch: int) -> Tensor | None:
        """uint8 `(N, H, W, C)`, where all pictures are kept and need no more than a cut."""
        if self.reads.kept is None or self.part.labels_move:
            return None
        draw = BatchDraw(self.options.seed, epoch, keys) if self.options.random else None
        return self.reads.kept.batch(self.rows_of(keys), draw, self._empty)

    def _joined(self, keys: Rows, results: Sequence[Decoded]) -> Gathered:
        """A batch of pictures that were made one by one."""
        samples = [result for result in results if isinstance(result, Sample)]
        rows = self.rows_of(keys).tolist()
        failed = {row: result for row, result in zip(rows, results, strict=True) if isinstance(result, ImageError)}
        if not samples:
            return Gathered(None, keys[:0], failed)
        keys = keys[[isinstance(result, Sample) for result in results]]
        paths = [sample.path for sample in samples if sample.path is not None]
        stacked = self._stacked([sample.pixels for sample in samples], self.rows_of(keys))
        return Gathered(stacked, keys, failed, np.stack(paths) if paths else None, sum(sample.decoded for sample in samples))

    def _stacked(self, pixels: Sequence[Pixels], rows: Rows) -> Tensor:
        for row, sample in zip(rows, pixels, strict=True):
            if sample.shape != pixels[0].shape:
                first, other = (f"{s.shape[1]} x {s.shape[0]}" for s in (pixels[0], sample))
                names = [self.part.samples.name(int(r)) for r in (rows[0], row)]
                raise OptionError(
                    f"Pictures of several sizes cannot make one batch: {names[0]!r} is {first} pixels (width x height), "
                    f"{names[1]!r} is {other}. Expected one size for all; add item_tfms=Resize(224)."
                )
        stacked = self._empty((len(pixels), *pixels[0].shape))
        np.stack(pixels, out=stacked.numpy())
        return stacked

    def _empty(self, shape: tuple[int, ...]) -> Tensor:
        """uint8 of a shape, in memory that a GPU reads directly where there is one."""
        return torch.empty(shape, dtype=torch.uint8, pin_memory=self.device.type == "cuda")
