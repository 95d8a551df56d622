"""How a loader reads its pictures: from what is kept, or decoded anew in each epoch; and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sightline.data.cache.folder import BOUND_VARIABLE, CacheFolder, in_bytes, shown
from sightline.data.cache.kept import KeptSamples
from sightline.data.cache.keys import is_keepable, recipe_of
from sightline.data.cache.packs import ENDING
from sightline.data.cache.shelf import Shelf
from sightline.data.loading.any_loader import LoaderOptions
from sightline.data.loading.samples import DecodedSamples, Part
from sightline.data.pictures.decode import picture_size
from sightline.errors import counted

_LOOKED_AT = 32
"""How many headers are read to estimate what would be kept."""


@dataclass(frozen=True)
class Reading:
    """How pictures are read.

    Attributes:
        kept: What gives them; None where they are decoded anew each time.
        bytes: About how many will be kept.
        sizes: (width, height) of some of the kept pictures.
        reason: Why they are not kept.
    """

    kept: KeptSamples | None = None
    bytes: int = 0
    sizes: tuple[tuple[int, int], ...] = ()
    reason: str = ""

    def sentence(self, workers: int, bytes_: int) -> str:
        """In words.

        Args:
            workers: Threads that decode.
            bytes_: About how many bytes are kept in all.
        """
        who = counted(workers, "thread") if workers else "the thread that trains"
        if self.kept is None:
            return f"streamed by {who}: {self.reason}"
        widths, heights = ([size[side] for size in self.sizes] for side in (0, 1))
        most = "" if len(set(self.sizes)) == 1 else "up to "
        size = f"pixels {most}{max(widths)} x {max(heights)}" if self.sizes else "pixels as decoded"
        folder = self.kept.shelf.folder
        if folder.refusal:
            return f"read from {shown(folder.path)} as far as they are kept there, others streamed by {who}: {folder.refusal}"
        return f"each picture is decoded once and kept in {shown(folder.path)} (about {in_bytes(bytes_)}, {size})"


def plan_reading(part: Part, options: LoaderOptions) -> Reading:
    """How the pictures of a part are best read."""
    samples = part.samples
    if options.cache is False:
        return Reading(reason="without a cache, as asked for")
    if not isinstance(samples, DecodedSamples):
        return Reading(reason="the pictures are ready-made")
    if samples.items.read.create is not None:
        return Reading(reason=f"{samples.items.read.name} reads pictures in a way of its own, which no cache can know")
    files = [samples.sources[row] for row in part.rows.tolist() if is_keepable(samples.sources[row])]
    if not files:
        return Reading(reason="the pictures are in memory, or arrays")
    folder = CacheFolder.planned()
    if isinstance(folder, str):
        return Reading(reason=folder)
    return _kept(samples, files, options.random, folder)


def _kept(samples: DecodedSamples, files: Sequence[Any], training: bool, folder: CacheFolder) -> Reading:
    recipe = recipe_of(samples.items, training)
    if folder.refusal and not any((folder.path / recipe).glob(f"*{ENDING}")):
        return Reading(reason=folder.refusal)
    sizes = _sizes(samples, files, training)
    pixels = np.mean([width * height for width, height in sizes]) if sizes else 0
    expected = int(pixels * samples.items.channels * len(files))
    if expected > folder.bound and not folder.refusal:
        return Reading(
            reason=f"about {in_bytes(expected)} would be kept, and the cache may have {in_bytes(folder.bound)} "
            f"({BOUND_VARIABLE}=... allows more)"
        )
    shelf = Shelf(folder, recipe, expected)
    return Reading(KeptSamples(samples, training, shelf), expected, tuple(sizes))


def _sizes(samples: DecodedSamples, files: Sequence[Any], training: bool) -> list[tuple[int, int]]:
    """(width, height) of some of the pictures between the stages, told from the headers of their files."""
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, min(_LOOKED_AT, len(files))).astype(int).tolist()]
    read = [size for size in map(picture_size, chosen) if size is not None]
    ahead = [samples.items.ahead(size, training) for size in read]
    return [steps[-1].size[::-1] if steps else size for size, steps in zip(read, ahead, strict=True)]
