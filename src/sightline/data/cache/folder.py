"""CacheFolder: where kept pictures lie, how much that may be, and which go when there is no more room."""

from __future__ import annotations

import errno
import math
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sightline.data.cache.files import removed
from sightline.data.cache.packs import ENDING
from sightline.runtime.host import cache_place

BOUND_VARIABLE = "SIGHTLINE_CACHE_GB"
MOST_BY_DEFAULT = 32 * 10**9
SHARE_OF_FREE = 0.25
MOST_PACK_BYTES = 256 * 10**6
_SPARE = 64 * 10**6
"""Bytes that are left free on the disk."""
_TAG = """Signature: 8a477f597d28d172789f06886806bc55
# Pictures that sightline has decoded. This folder may be deleted at any time.
"""


@dataclass(frozen=True)
class CacheFolder:
    """A folder of packs, one folder within for each recipe. It may be deleted at any time.

    Attributes:
        path: The folder.
        bound: Bytes that all packs together may have.
        refusal: Why nothing can be added to it, empty where nothing speaks against it.
    """

    path: Path
    bound: int
    refusal: str = ""

    @classmethod
    def planned(cls) -> CacheFolder | str:
        """The folder that the environment names; or why there is none, as the rest of a sentence."""
        path, limit = cache_place("samples"), os.environ.get(BOUND_VARIABLE, "")
        if isinstance(path, str):
            return path
        try:
            bytes_ = float(limit) * 1e9 if limit else math.nan
        except ValueError:
            return f"{BOUND_VARIABLE}={limit!r} is not a number of gigabytes"
        refusal = _made(path)
        if refusal and not path.is_dir():
            return refusal
        bound = cls(path, 0)._share_of_disk() if math.isnan(bytes_) else int(max(0.0, min(bytes_, 1e18)))
        return cls(path, bound, refusal)

    @property
    def pack_bytes(self) -> int:
        """About how large a pack becomes."""
        return min(MOST_PACK_BYTES, max(1, self.bound // 4))

    def _share_of_disk(self) -> int:
        """What the packs may have where nobody says: a share of what is free and of what they have."""
        try:
            held = sum(size for _, size, _ in self._packs())
            return int(min(MOST_BY_DEFAULT, SHARE_OF_FREE * (held + shutil.disk_usage(self.path).free)))
        except OSError:
            return 0

    def make_room(self, wanted: int) -> None:
        """Removes packs that nobody uses, the least recently used first, until `wanted` bytes more are within the bound.

        Raises:
            OSError: There is not enough room.
        """
        packs = sorted(self._packs())
        over = sum(size for _, size, _ in packs) + wanted - self.bound
        for _, size, path in packs:
            if over > 0 and removed(path):
                over -= size
        if over > 0:
            raise OSError(f"all of its {in_bytes(self.bound)} are in use")
        if shutil.disk_usage(self.path).free < wanted + _SPARE:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _packs(self) -> Iterator[tuple[float, int, Path]]:
        """When each pack was last used, its bytes and its path."""
        for path in self.path.glob(f"*/*{ENDING}"):
            with suppress(OSError):
                found = path.stat()
                yield found.st_mtime, found.st_size, path


def shown(path: Path) -> str:
    """A path as people write it, '~' for the home folder."""
    home, text = os.path.expanduser("~"), str(path)
    return f"~{text[len(home) :]}" if text.startswith(home.rstrip(os.sep) + os.sep) else text


def in_bytes(count: float) -> str:
    """'71 MB', '1.5 GB'."""
    return f"{count / 1e9:.3g} GB" if count >= 1e9 else f"{count / 1e6:,.0f} MB" if count >= 1e6 else f"{count / 1e3:,.0f} kB"


def said(error: OSError) -> str:
    """What went wrong, without paths."""
    return f"[Errno {error.errno}] {error.strerror}" if error.errno else str(error)


def _made(path: Path) -> str:
    """Makes the folder; why nothing can be written there, empty if it can."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        tag = path / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(_TAG)
        if not os.access(path, os.W_OK):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
    except OSError as error:
        return f"the cache folder {shown(path)} cannot be written ({said(error)})"
    return ""
