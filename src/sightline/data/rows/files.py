"""Finding pictures: which files of a folder are pictures, always in the same order."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from pathlib import Path

from sightline.errors import NoImagesError, TableError, did_you_mean

# The image/* types of Python's own table, written out so that no machine's mime.types can add or remove any, and further
# formats that Pillow reads.
IMAGE_EXTENSIONS: frozenset[str] = frozenset(
    f".{name}"
    for names in (
        "apng avif avifs bmp bw dds dib gif heic heif icb icns ico ief j2c j2k jfif jp2 jpc jpe jpeg jpf jpg jpx mpo pbm pcx",
        "pfm pgm png pnm ppm psd qoi ras rgb rgba sgi svg tga tif tiff vda vst webp xbm xpm xwd",
    )
    for name in names.split()
)
"""File name endings, lower case, that count as pictures. Those that turn out to be unreadable are reported, not ignored."""


def get_files(
    path: str | Path,
    extensions: str | Collection[str] | None = None,
    recurse: bool = True,
    folders: str | Collection[str] | None = None,
    followlinks: bool = True,
) -> list[Path]:
    """The files below a folder, sorted by folder and name.

    Files and folders whose names begin with a dot are skipped. Links to folders are followed, except back to a folder that
    the search is already inside of.

    Args:
        path: The folder.
        extensions: Endings with their dot, such as '.png', compared without case; None takes every file.
        recurse: Whether to look into folders.
        folders: Names of the top folders to look into; None looks into all. With '.' among them, the files that lie directly
            in `path` count too.
        followlinks: Whether to follow links to folders.

    Raises:
        NoImagesError: There is no such folder.
        TableError: A folder cannot be read.
    """
    root = Path(path)
    check_folder(root)
    wanted = _names(folders)
    endings = None if extensions is None else {extension.lower() for extension in _names(extensions) or ()}
    found = _walk(root, wanted if recurse else None, recurse, followlinks, inside=frozenset({root.resolve()}))
    return sorted((file for file in found if endings is None or file.suffix.lower() in endings), key=lambda file: file.parts)


def get_image_files(path: str | Path, recurse: bool = True, folders: str | Collection[str] | None = None) -> list[Path]:
    """The pictures below a folder, by file name ending (`IMAGE_EXTENSIONS`); see `get_files`."""
    return get_files(path, extensions=IMAGE_EXTENSIONS, recurse=recurse, folders=folders)


def FileGetter(  # noqa: N802 - fastai's name
    suf: str = "",
    extensions: str | Collection[str] | None = None,
    recurse: bool = True,
    folders: str | Collection[str] | None = None,
) -> Callable[[str | Path], list[Path]]:
    """`get_files` of the folder `suf` below the one that it is called with; other options as there."""
    return lambda path: get_files(Path(path) / suf, extensions, recurse, folders)


def ImageGetter(  # noqa: N802 - fastai's name
    suf: str = "", recurse: bool = True, folders: str | Collection[str] | None = None
) -> Callable[[str | Path], list[Path]]:
    """`get_image_files` of the folder `suf` below the one that it is called with; other options as there."""
    return lambda path: get_image_files(Path(path) / suf, recurse, folders)


def nothing_found(path: Path, folders: Collection[str] | None = None) -> NoImagesError:
    """The error that says what a folder without pictures does hold."""
    seen = Counter(file.suffix.lower() or "no ending" for file in get_files(path))
    holds = ", ".join(f"{ending} x{count:,}" for ending, count in seen.most_common(5)) or "no files at all"
    tops = sorted(entry.name for entry in path.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    where = f"{path}" if not folders else f"the folders {', '.join(map(repr, sorted(folders)))} of {path}"
    return NoImagesError(
        f"No pictures were found in {where}. Seen below {path}: {holds}; folders: {', '.join(map(repr, tops[:10])) or 'none'}. "
        "Expected files such as .jpg, .png or .webp. Check the path"
        + (", name the folders with train= and valid=, or pass valid_pct=0.2 to split at random." if folders else ".")
    )


def check_folder(root: Path) -> None:
    """Refuse what is no folder.

    Raises:
        NoImagesError: It is a file, or not there; names beside it that look alike are in the message.
    """
    if root.is_dir():
        return
    if root.exists():
        raise NoImagesError(f"{root} is a file. Expected a folder with pictures; the one that it lies in is {root.parent}.")
    beside = [entry.name for entry in root.parent.iterdir()] if root.parent.is_dir() else []
    hint = did_you_mean(root.name, beside)
    raise NoImagesError(
        f"There is no folder {root} (looked for from {Path.cwd()}). Expected a folder with pictures. {hint}".rstrip()
    )


def _names(given: str | Collection[str] | None) -> set[str] | None:
    return None if given is None else {given} if isinstance(given, str) else set(given)


def _walk(folder: Path, wanted: set[str] | None, recurse: bool, followlinks: bool, inside: frozenset[Path]) -> Iterator[Path]:
    """Files of `folder` and below. `wanted` limits this level alone; `inside` holds the real folders on the way here."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise TableError(f"Folder {folder} cannot be read: {error.strerror}. Give this user the right to read it.") from error
    for entry in entries:
        # A folder that was named is looked into even if it is hidden.
        named = wanted is not None and entry.name in wanted
        if entry.name.startswith(".") and not named:
            continue
        path = folder / entry.name
        if entry.is_file():
            if wanted is None or "." in wanted:
                yield path
        elif recurse and entry.is_dir(follow_symlinks=followlinks) and (wanted is None or named):
            real = path.resolve()
            if real not in inside:
                yield from _walk(path, None, recurse, followlinks, inside | {real})
