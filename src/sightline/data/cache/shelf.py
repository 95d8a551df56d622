"""Shelf: the kept pictures of one recipe, in the packs of this run and of others."""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.cache.files import OpenFile, removed
from sightline.data.cache.folder import CacheFolder, said
from sightline.data.cache.packs import ENDING, NOT_SOUGHT, Index, NewPack, Records, crc_of, read_entries
from sightline.descriptors import with_descriptors

Pixels = npt.NDArray[np.uint8]
MOST_PACKS = 4096
"""How many packs are looked into; of a recipe that some pictures are added to every day there are many."""
MOST_CONTINUED_BYTES = 32 * 10**6
"""A pack of fewer bytes is continued by the next pass; were the run killed meanwhile, so much would be decoded again."""
_LEFT_BEHIND_S = 3600


class Shelf:
    """Where pictures are found and put. Used by several threads at once; nothing here fails because of the disk.

    Attributes:
        folder: The cache.
        path: The folder of this recipe in it.
        problem: Why no further picture is kept, empty while they are.
    """

    def __init__(self, folder: CacheFolder, recipe: str, expected: int) -> None:
        """Nothing is read or written yet.

        Args:
            folder: The cache.
            recipe: What pictures are kept by the same way, see `keys.recipe_of`.
            expected: About how many bytes will be kept.
        """
        self.folder = folder
        self.path = folder.path / recipe
        self.problem = folder.refusal
        self._wanted = min(folder.pack_bytes, expected + expected // 8)
        self._files: list[OpenFile | None] = []
        self._looked_at: set[str] = set()
        self._index: Index | None = None
        self._new: NewPack | None = None
        self._new_number = -1
        self._has_room = False
        self._added: dict[bytes, Records] = {}
        self._lock = threading.RLock()

    def with_signatures(self, digests: list[bytes]) -> Records:
        """Where pictures with these signatures of their files are: a `PLACE` each."""
        return self._indexed().with_signatures(digests)

    def with_content(self, digest: bytes) -> Records | None:
        """Where the picture with this content of its file is, if it is kept."""
        added = self._added.get(digest)
        if added is not None:
            return added
        found = self._indexed().with_contents([digest])[0]
        return found if found["pack"] >= 0 else None

    def forget(self) -> None:
        """Drops what pictures are found by, until it is asked for again; then what other runs have added is found, too."""
        with self._lock:
            self._index = None
            self._added.clear()

    def add(self, content: bytes, signature: bytes | None, pixels: Pixels, read: tuple[int, int]) -> Records | None:
        """Keeps a picture.

        Args:
            content: Key of the file's content.
            signature: Key of the file's signature, where that is safe.
            pixels: uint8 `(H, W, C)`.
            read: (width, height) of the picture as it was read.

        Returns:
            Its `PLACE`, or None if it cannot be kept.
        """
        with self._lock:
            if content in self._added or self.problem:
                return self._added.get(content)
            try:
                place = self._pack(pixels.nbytes).add(content, signature, pixels, read)
            except OSError as error:
                self._give_up(error)
                return None
            place["pack"] = self._new_number
            self._added[content] = place
            return place

    def note(self, content: bytes, signature: bytes) -> None:
        """Keeps that a file with this signature has the content of a picture that is kept."""
        with self._lock:
            if not self.problem:
                try:
                    self._pack(0).note(content, signature)
                except OSError as error:
                    self._give_up(error)

    def finish(self) -> None:
        """Completes the pack that is being filled, so that other runs find it; what is added later may go to the same one."""
        with self._lock:
            pack = self._new
            if pack is None:
                return
            is_own = pack.process == os.getpid()
            if not is_own or pack.end > MOST_CONTINUED_BYTES:
                self._leave_pack()
            if not is_own:
                return
            self.forget()
            try:
                pack.finish()
            except OSError as error:
                pack.file.busy = False
                self._leave_pack()
                with suppress(OSError):
                    pack.file.path.unlink()
                self._give_up(error)

    def file(self, number: int) -> OpenFile | None:
        """The pack with a number; None where it was damaged."""
        return self._files[number]

    def drop(self, number: int) -> None:
        """Takes a damaged pack away."""
        with self._lock:
            file, self._files[number] = self._files[number], None
            self.forget()
            if number == self._new_number:
                self._leave_pack()
            # What cannot be opened now, be it for want of descriptors, was not seen to be damaged.
            if file is not None and not self.folder.refusal and file.can_be_opened():
                with suppress(OSError):
                    file.path.unlink()

    def _pack(self, size: int) -> NewPack:
        """The pack that `size` bytes more go to."""
        if self._new is not None and not self._goes_on(self._new, size):
            self.finish()
            self._leave_pack()
        if size and not self._has_room:
            self.folder.make_room(max(self._wanted, size))
            self._has_room = True
        if self._new is None:
            self._new = NewPack(self.path)
            self._looked_at.add(self._new.file.path.name)
            self._new_number = len(self._files)
            self._files.append(self._new.file)
        return self._new

    def _leave_pack(self) -> None:
        self._new, self._has_room = None, False

    def _goes_on(self, pack: NewPack, size: int) -> bool:
        """Whether `size` bytes more may go to a pack: another run may have removed one that was complete."""
        has_place = pack.end + size <= self.folder.pack_bytes
        return has_place and pack.process == os.getpid() and pack.file.can_be_opened()

    def _give_up(self, error: OSError) -> None:
        self.problem = f"the cache takes no more pictures ({said(error)})"
        self.finish()
        self._leave_pack()

    def _indexed(self) -> Index:
        with self._lock:
            if self._index is None:
                self._open_others()
                packs = {number: self._entries(file) for number, file in enumerate(self._files) if file is not None}
                self._index = Index({number: entries for number, entries in packs.items() if entries is not None})
            return self._index

    def _entries(self, file: OpenFile) -> Records | None:
        return self._new.entries() if self._new is not None and self._new.file is file else read_entries(file)

    def _open_others(self) -> None:
        """Opens packs that other runs have finished since, the newest first."""
        try:
            listed = with_descriptors(lambda: os.listdir(self.path))
        except OSError:
            return
        for name in sorted((name for name in listed if name.endswith(ENDING)), reverse=True):
            if name in self._looked_at or len(self._files) >= MOST_PACKS:
                continue
            with suppress(OSError):
                self._open_other(self.path / name)

    def _open_other(self, path: Path) -> None:
        file = OpenFile(path)
        if read_entries(file) is not None:
            self._looked_at.add(path.name)
            self._files.append(file)
            os.utime(path)
            return
        # Being filled by another run, or left behind by one that was killed.
        is_old = time.time() - path.stat().st_mtime > _LEFT_BEHIND_S
        del file
        if is_old and not self.folder.refusal:
            removed(path)


def read_whole(file: OpenFile | None, place: Records) -> Pixels | None:
    """A kept picture, uint8 `(H, W, C)`; None where it is damaged."""
    if file is None:
        return None
    pixels = np.empty((int(place["height"]), int(place["width"]), int(place["channels"])), dtype=np.uint8)
    if not file.read_into(pixels, int(place["offset"])) or (not place["known"] and crc_of(pixels) != place["crc"]):
        return None
    return pixels


def is_kept(places: Records) -> npt.NDArray[np.bool_]:
    """Whether pictures are kept."""
    kept: npt.NDArray[np.bool_] = places["pack"] >= 0
    return kept


def is_unsought(places: Records) -> npt.NDArray[np.bool_]:
    """Whether pictures have not been looked for."""
    unsought: npt.NDArray[np.bool_] = places["pack"] == NOT_SOUGHT
    return unsought
