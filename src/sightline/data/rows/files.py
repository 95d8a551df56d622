"""Finding pictures: which files of a folder are pictures, always in the same order."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path

from sightline.descriptors import is_short, with_descriptors
from sightline.errors import NoImagesError, SightlineWarning, TableError, did_you_mean

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

SYSTEM_FOLDERS: frozenset[str] = frozenset({"__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information", "lost+found"})
"""Folders that systems make for themselves: of archives, thumbnails and what was deleted."""

_FILE, _FOLDER, _ODD = "file", "folder", "odd"


def get_files(
    path: str | Path,
    extensions: str | Collection[str] | None = None,
    recurse: bool = True,
    folders: str | Collection[str] | None = None,
    followlinks: bool = True,
) -> list[Path]:
    """The files below a folder, sorted by folder and name.

    Files and folders whose names begin with a dot are skipped (`.DS_Store`, `._photo.jpg`), and so are folders that systems
    make for themselves (`SYSTEM_FOLDERS`), unless `folders` names them. Links to folders are followed, except back to a folder
    that the search is already inside of. What is no file, such as a link that leads nowhere, is skipped.

    Args:
        path: The folder.
        extensions: Endings with their dot, such as '.png', compared without case; None takes every file.
        recurse: Whether to look into folders.
        folders: Names of the top folders to look into; None looks into all. With '.' among them, the files that lie directly
            in `path` count too.
        followlinks: Whether to follow links to folders.

    Raises:
        NoImagesError: There is no such folder.
        TableError: The folder cannot be read.

    Warns:
        SightlineWarning: A folder below it cannot be read; it is named.
    """
    endings = None if extensions is None else {extension.lower() for extension in _names(extensions) or ()}
    found = _entries(Path(path), recurse, _names(folders), followlinks)
    return _sorted(entry for entry, kind in found if kind == _FILE and (endings is None or entry.suffix.lower() in endings))


def get_image_files(path: str | Path, recurse: bool = True, folders: str | Collection[str] | None = None) -> list[Path]:
    """The pictures below a folder, by file name ending (`IMAGE_EXTENSIONS`); see `get_files`.

    What has such an ending and is no file (a link that leads nowhere or in a circle, a pipe, a socket, an empty folder) is
    among them, so that it is named where it cannot be read.
    """
    found = _entries(Path(path), recurse, _names(folders), followlinks=True)
    return _sorted(entry for entry, _ in found if entry.suffix.lower() in IMAGE_EXTENSIONS)


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


def _sorted(files: Iterable[Path]) -> list[Path]:
    return sorted(files, key=lambda file: file.parts)


def _entries(root: Path, recurse: bool, folders: set[str] | None, followlinks: bool) -> Iterator[tuple[Path, str]]:
    """What lies below a folder, with its kind: a file, or odd, for what is neither a file nor a folder with something in it."""
    check_folder(root)
    # `wanted` limits the first level alone; `inside` holds the folders on the way to one, whatever they are called.
    waiting = [(root, folders if recurse else None, frozenset({_identity(root)}))]
    while waiting:
        folder, wanted, inside = waiting.pop()
        entries = _listed(folder, root)
        if not entries and folder != root:
            yield folder, _ODD
        for entry in entries:
            # A folder that was named is looked into even if it is hidden.
            named = wanted is not None and entry.name in wanted
            if _is_of_the_system(entry.name) and not named:
                continue
            path, kind = folder / entry.name, _kind(entry)
            if kind != _FOLDER:
                if wanted is None or "." in wanted:
                    yield path, kind
            elif recurse and (followlinks or not entry.is_symlink()) and (wanted is None or named):
                identity = _identity(path)
                if identity not in inside:
                    waiting.append((path, None, inside | {identity}))


def _identity(folder: Path) -> tuple[int, int] | None:
    """Which folder it is, however one came there; None where it is gone, of which more is said when it is listed."""
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _listed(folder: Path, root: Path) -> list[os.DirEntry[str]]:
    try:
        with with_descriptors(lambda: os.scandir(folder)) as entries:
            return list(entries)
    except OSError as error:
        if is_short(error):
            raise
        if folder == root:
            raise TableError(
                f"Folder {folder} cannot be read: {error.strerror}. Give this user the right to read it."
            ) from error
        warnings.warn(
            f"Folder {str(folder)!r} cannot be read, and what lies in it is left out: {error.strerror}. "
            "Give this user the right to read it, or take it away.",
            SightlineWarning,
            stacklevel=2,
        )
        return []


def _kind(entry: os.DirEntry[str]) -> str:
    try:
        return _FILE if entry.is_file() else _FOLDER if entry.is_dir() else _ODD
    except OSError:  # a link in a circle
        return _ODD


def _is_of_the_system(name: str) -> bool:
    return name.startswith(".") or name in SYSTEM_FOLDERS
