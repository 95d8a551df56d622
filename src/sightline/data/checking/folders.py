"""What lies in a folder besides pictures, and what keeps training from a picture: links, rights, names, system files."""

from __future__ import annotations

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sightline.data.checking.findings import Finding
from sightline.data.rows.files import IMAGE_EXTENSIONS, SYSTEM_FOLDERS, get_image_files
from sightline.data.rows.table import Table, source_name
from sightline.errors import SightlineWarning
from sightline.escaping import for_terminal

SYSTEM_FILES = frozenset({".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", ".directory", "icon\r", ".localized"})
LONG_NAME = 240
"""Bytes from which a file's name is told: 255 is the most, and other systems and archives take fewer."""
MOST_PEEKED = 2000
"""Files without a picture's ending that are looked into."""
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\x00", b"MM\x00*")

WORDS: dict[str, tuple[Any, str, str]] = {
    "unreadable_folder": ("error", "Folders that may not be read by this user", "Give this user the right to read them."),
    "lost_link": ("error", "Links that lead nowhere", "Mend them, or remove them; training passes over them."),
    "link_loop": ("warning", "Links to folders that they lie in themselves", "Remove them; they are followed no further."),
    "empty_folder": ("warning", "Folders without a single picture", "Fill them, or remove them: no class is made of them."),
    "overlooked": (
        "warning",
        "Pictures by what is in them, but not by their names",
        "Give them an ending such as .jpg; training passes over them.",
    ),
    "system_file": ("note", "Files and folders that a system made for itself", "Nothing: they are passed over."),
    "odd_name": (
        "note",
        "Names that other systems may refuse: line breaks, unseen or undecodable characters, or very long",
        "Nothing for training; rename them before they go elsewhere.",
    ),
}
"""Severity, what it is, and what to do, by code."""


@dataclass
class Survey:
    """What a folder holds.

    Attributes:
        root: The folder.
        pictures: Its pictures by their endings, as `get_image_files` finds them.
        found: Paths by code of the finding.
    """

    root: Path
    pictures: list[Path] = field(default_factory=list)
    found: dict[str, list[str]] = field(default_factory=lambda: {code: [] for code in WORDS})

    def findings(self) -> list[Finding]:
        """What was found, one finding a kind."""
        findings = []
        for code, paths in self.found.items():
            if paths:
                severity, what, to_do = WORDS[code]
                names = tuple(source_name(path, self.root) for path in sorted(paths))
                findings.append(Finding(code, severity, f"{what}: {len(paths):,}.", to_do, len(paths), names))
        return findings


def survey(root: Path) -> Survey:
    """Looks through a folder without opening a picture.

    Args:
        root: The folder; links to folders are followed as in training, except back to a folder that the search is inside of.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SightlineWarning)  # what it warns of is among the findings
        seen = Survey(root, get_image_files(root))
    _look_into(root, seen, frozenset({os.path.realpath(root)}))
    _peek(seen)
    return seen


def empty_beside(table: Table) -> list[Finding]:
    """Folders without a picture beside those that name the labels; none where labels come from elsewhere.

    Args:
        table: Its pictures' folders are looked at, and those next to them.
    """
    files = [source for source in table.sources if isinstance(source, Path)]
    if (
        table.labels is None
        or len(files) < len(table)
        or any(label != file.parent.name for file, label in zip(files, table.labels, strict=True) if label is not None)
    ):
        return []
    taken = {folder for parent in {file.parent for file in files} for folder in (parent, *parent.parents)}
    empty = {
        path
        for above in {file.parent.parent for file in files if file.parent != file.parent.parent}
        for path in _folders_in(above)
        if path not in taken and not survey(path).pictures
    }
    beside = Survey(table.root or Path())
    beside.found["empty_folder"] = list(map(str, empty))
    return beside.findings()


def _folders_in(above: Path) -> list[Path]:
    with suppress(OSError), os.scandir(above) as entries:
        return [above / entry.name for entry in entries if not entry.name.startswith(".") and _is_folder(entry)]
    return []


def _look_into(folder: Path, seen: Survey, inside: frozenset[str]) -> bool:
    """Notes what a folder and those below hold; whether there is a picture in one of them."""
    has_pictures = False
    barren: list[Path] = []
    for entry in _entries(folder, seen):
        path = folder / entry.name
        if _is_odd(entry.name):
            seen.found["odd_name"].append(str(path))
        if entry.name in SYSTEM_FOLDERS or entry.name.lower() in SYSTEM_FILES or entry.name.startswith("._"):
            seen.found["system_file"].append(str(path))
        elif entry.name.startswith("."):
            continue
        elif not _is_folder(entry):
            has_pictures |= _note_file(entry, path, seen)
        elif (real := os.path.realpath(path)) in inside:
            seen.found["link_loop"].append(str(path))
        elif _look_into(path, seen, inside | {real}):
            has_pictures = True
        else:
            barren.append(path)
    # Of folders within one another that hold no picture, the outermost is told.
    seen.found["empty_folder"].extend(str(path) for path in barren if has_pictures or folder == seen.root)
    return has_pictures


def _entries(folder: Path, seen: Survey) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            yield from sorted(entries, key=lambda entry: entry.name)
    except OSError:
        seen.found["unreadable_folder"].append(str(folder))


def _note_file(entry: os.DirEntry[str], path: Path, seen: Survey) -> bool:
    """Whether training takes a file for a picture; what it passes over is noted."""
    if path.suffix.lower() in IMAGE_EXTENSIONS:
        return True
    if entry.is_symlink() and not os.path.exists(path):
        seen.found["lost_link"].append(str(path))
    elif len(seen.found["overlooked"]) < MOST_PEEKED:
        seen.found["overlooked"].append(str(path))
    return False


def _peek(seen: Survey) -> None:
    """Of the files without a picture's ending, leaves those that hold one."""
    seen.found["overlooked"] = [path for path in seen.found["overlooked"] if _looks_like_picture(path)]


def _looks_like_picture(path: str) -> bool:
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            return False
        with open(path, "rb") as file:
            start = file.read(12)
    except OSError:
        return False
    return start.startswith(_MAGIC) or (start[:4] == b"RIFF" and start[8:] == b"WEBP")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False


def _is_odd(name: str) -> bool:
    return for_terminal(name) != name or len(os.fsencode(name)) >= LONG_NAME
