"""The parsers of files from strangers, each as a function of bytes that ends well or lets something else than our error out."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path

from sightline.bundle import Bundle, _parse
from sightline.data.rows.frames import read_labels
from sightline.errors import BundleError, TableError, TensorFileError
from sightline.tensorfile import read_tensors


def manifest(content: bytes, folder: Path) -> None:
    """What a bundle says of itself."""
    metadata = {"format": "sightline", "manifest": content.decode("utf-8", "replace")}
    with contextlib.suppress(BundleError):
        Bundle._of_manifest(folder, _parse(folder, metadata))


def header(content: bytes, folder: Path) -> None:
    """A whole tensor file, with a length that is right so that more than the first check is reached."""
    cut = content.find(b"}}") + 2 if b"}}" in content else len(content)
    path = folder / "a.safetensors"
    path.write_bytes(cut.to_bytes(8, "little") + content)
    with contextlib.suppress(TensorFileError):
        read_tensors(path, sealed=False)


def table(content: bytes, folder: Path) -> None:
    """A table of labels."""
    path = folder / "labels.csv"
    path.write_bytes(content)
    with contextlib.suppress(TableError):
        read_labels(path)


PARSERS: Mapping[str, Callable[[bytes, Path], None]] = {"manifest": manifest, "header": header, "table": table}
