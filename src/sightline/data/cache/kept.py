"""KeptSamples: the pictures of a loader, each decoded once and then read from where it is kept."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from sightline.data.cache.files import OpenFile
from sightline.data.cache.keys import FileRead, read_file, signature_of
from sightline.data.cache.packs import NOT_FOUND, NOT_KEPT, NOT_SOUGHT, PLACE, Records, crc_of
from sightline.data.cache.shelf import Pixels, Shelf, is_kept, is_unsought, read_whole
from sightline.data.loading.samples import DecodedSamples, Sample
from sightline.data.rows.sources import reason_in
from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.data.transforms.item_pipeline import Kept
from sightline.errors import ImageError

Rows = npt.NDArray[np.int64]


class KeptSamples:
    """Samples between the stages of the item pipeline, by row. Used by several threads at once.

    A file that changes while a loader is used is seen by the next loader.

    Attributes:
        samples: What is decoded.
        training: Whether transforms take their random form.
        shelf: Where pictures are kept.
    """

    def __init__(self, samples: DecodedSamples, training: bool, shelf: Shelf) -> None:
        """Nothing is read yet."""
        self.samples = samples
        self.training = training
        self.shelf = shelf
        self._places = np.zeros(len(samples), dtype=PLACE)
        self._places["pack"] = NOT_SOUGHT
        self._scratch = threading.local()

    def batch(self, rows: Rows, draw: BatchDraw | None, empty: Callable[[tuple[int, ...]], Tensor]) -> Tensor | None:
        """The finished pictures of a batch where all are kept and the second stage only cuts; else None.

        Args:
            rows: int64 `(N,)`.
            draw: Where chance comes from; None outside training.
            empty: Makes a tensor of a shape, uint8.

        Returns:
            uint8 `(N, H, W, C)`.
        """
        places = self._sought(rows)
        if not is_kept(places).all():
            return None
        pictures = np.stack([places["width"], places["height"]], axis=1).astype(np.int64)
        cut = self.samples.items.cuts(pictures, draw)
        if cut is None:
            return None
        corners, size = cut
        out = empty((len(rows), *size, int(places["channels"][0])))
        damaged = self._gather(places, corners, out.numpy())
        if damaged is not None:
            self._drop(damaged)
            return None
        self._places["known"][rows] = True
        return out

    def sample(self, row: int, draw: ItemDraw, *, placed: bool, keep: bool) -> Sample:
        """One finished picture, decoded if it is not kept yet.

        Args:
            row: Which one.
            draw: Where chance comes from.
            placed: Also where points of it went.
            keep: Whether to keep what is decoded.

        Raises:
            ImageError: It cannot be read.
        """
        place = self._places[row].copy()
        if place["pack"] == NOT_SOUGHT:
            place = self._sought(np.array([row]))[0]
        kept = self._read(row, place) if place["pack"] >= 0 else None
        decoded = kept is None
        if kept is None:
            kept, decoded = self._decoded(row, keep)
        items = self.samples.items
        pixels, path = items.finished_and_placed(kept, draw) if placed else (items.finished(kept, draw), None)
        return Sample(pixels, path, decoded)

    def unsought(self, rows: Rows) -> Rows:
        """Those of some rows whose pictures have not been asked for, or were not to be kept then."""
        return rows[np.isin(self._places["pack"][rows], (NOT_SOUGHT, NOT_FOUND))]

    def end_pass(self) -> None:
        """Completes what was kept, so that other runs find it; what they have kept meanwhile is found from now on."""
        self.shelf.finish()
        self.shelf.forget()

    def _sought(self, rows: Rows) -> Records:
        """Where pictures are, those that were not looked for found by the signatures of their files."""
        places: Records = self._places[rows]
        unsought = rows[is_unsought(places)]
        if not len(unsought):
            return places
        signatures = [signature_of(self.samples.sources[row]) for row in unsought.tolist()]
        signed = np.array([signature is not None for signature in signatures])
        if signed.any():
            found = self.shelf.with_signatures([one.digest for one in signatures if one is not None])
            found["pack"][found["pack"] < 0] = NOT_FOUND
            self._places[unsought[signed]] = found
        self._places["pack"][unsought[~signed]] = NOT_KEPT
        return self._places[rows]

    def _read(self, row: int, place: Records) -> Kept | None:
        pixels = read_whole(self.shelf.file(int(place["pack"])), place)
        if pixels is None:
            self._drop(int(place["pack"]))
            return None
        self._places["known"][row] = True
        return Kept(pixels, (int(place["read_width"]), int(place["read_height"])))

    def _decoded(self, row: int, keep: bool) -> tuple[Kept, bool]:
        """A picture by its file's content, and whether it had to be decoded."""
        source, items = self.samples.sources[row], self.samples.items
        file = read_file(source) if keep else None
        if file is None:
            return items.kept(source, self.training), True
        known = self.shelf.with_content(file.content)
        if known is not None:
            self._places[row] = known
            kept = self._read(row, known)
            if kept is not None:
                if file.signature is not None:
                    self.shelf.note(file.content, file.signature)
                return kept, False
        # Until it could be decoded: what fails is not looked for again in every epoch.
        self._places["pack"][row] = NOT_KEPT
        return self._newly_kept(row, source, file), True

    def _newly_kept(self, row: int, source: Any, file: FileRead) -> Kept:
        try:
            kept = self.samples.items.kept(file.data, self.training)
        except ImageError as error:
            raise ImageError(f"{str(source)!r} cannot be read: {reason_in(error)}.") from error
        place = self.shelf.add(file.content, file.signature, kept.pixels, kept.size)
        if place is not None:
            self._places[row] = place
        return kept

    def _drop(self, number: int) -> None:
        self.shelf.drop(number)
        self._places["pack"][self._places["pack"] == number] = NOT_SOUGHT

    def _gather(self, places: Records, corners: Rows, out: Pixels) -> int | None:
        """Fills `out` with what is cut out of kept pictures; the number of a damaged pack, if one is."""
        height, width, channels = out.shape[1:]
        columns = (places[name].tolist() for name in ("pack", "known", "offset", "height", "width", "crc"))
        for cut, (left, top), (number, known, start, tall, wide, crc) in zip(
            out, corners.tolist(), zip(*columns, strict=True), strict=True
        ):
            file = self.shelf.file(number)
            if file is None:
                return int(number)
            if known and wide == width:
                # Whole rows of pixels, one after the other: no copy between file and batch.
                if not file.read_into(cut, start + top * width * channels):
                    return int(number)
                continue
            whole = self._whole(file, start, (tall, wide, channels))
            if whole is None or (not known and crc_of(whole) != crc):
                return int(number)
            cut[:] = whole[top : top + height, left : left + width]
        return None

    def _whole(self, file: OpenFile, start: int, shape: tuple[int, int, int]) -> Pixels | None:
        """A kept picture, in memory that the next one overwrites; None where it cannot be read."""
        size = shape[0] * shape[1] * shape[2]
        room: Pixels | None = getattr(self._scratch, "room", None)
        if room is None or room.size < size:
            room = self._scratch.room = np.empty(size, dtype=np.uint8)
        return room[:size].reshape(shape) if file.read_into(room[:size], start) else None
