"""Files as fastcore's `L`, which such scripts map, filter and sort; `Path.ls` comes with it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

# Importing it is what gives Path its `ls`.
import fastcore.xtras  # noqa: F401
from fastcore.foundation import L

from sightline.data.pictures import upkeep
from sightline.data.rows import files

Names = str | Collection[str] | None


def get_files(
    path: str | Path, extensions: Names = None, recurse: bool = True, folders: Names = None, followlinks: bool = True
) -> L:
    """The files below a folder, as an L of Paths; see `sightline.get_files`."""
    return L(files.get_files(path, extensions, recurse, folders, followlinks))


def get_image_files(path: str | Path, recurse: bool = True, folders: Names = None) -> L:
    """The pictures below a folder, as an L of Paths; see `sightline.get_image_files`."""
    return L(files.get_image_files(path, recurse, folders))


def verify_images(fns: Iterable[str | Path]) -> L:
    """Those of the files that cannot be read as pictures, as an L of Paths; see `sightline.verify_images`."""
    return L(upkeep.verify_images(fns))
