"""The one place where .safetensors files are written and read: sealed, whole, and refused before memory is given to a lie.

A file is 8 bytes that say how long the header is, the header (JSON: names, dtypes, shapes, places, and texts), and the tensors'
bytes. What sightline writes carries a seal: its header begins with 64 hexadecimal digits, the SHA-256 of the whole file with
those digits as zeros, so any bit that flips is found. A seal is no signature: who changes a file on purpose can seal it again,
and so nothing in a file is believed because of it.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import torch
from torch import Tensor

from sightline.atomic import whole_file
from sightline.errors import TensorFileError, counted
from sightline.stored import parse_json, shown

LARGEST_HEADER = 16 * 2**20
"""Bytes; room for 100,000 classes. The networks of the zoos need less than 0.5 million."""

LARGEST_FILE = 256 * 2**30
MOST_DIMENSIONS = 32
LARGEST_SHAPE = 2**48
"""The product of a shape's sizes that are not 0: strides stay far within 64 bits."""

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "U16": torch.uint16, "U32": torch.uint32,
    "U64": torch.uint64, "BOOL": torch.bool, "C64": torch.complex64, "F8_E4M3": torch.float8_e4m3fn,
    "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
"""The format's names of the dtypes that a network may have."""

_LENGTH = 8
_METADATA = "__metadata__"
_SEAL = "sha256"
_OPENING = f'{{"{_METADATA}":{{"{_SEAL}":"'.encode()
_DIGITS = 64
_SEALED_AT = slice(len(_OPENING), len(_OPENING) + _DIGITS)
_PIECE = 2**20
_WORTH_A_LOOK = 2**26
_MOSTLY_HOLE = 100


@dataclass(frozen=True)
class TensorFile:
    """What a file holds.

    Attributes:
        tensors: By name, in the file's order.
        metadata: Texts by name, the seal left away.
    """

    tensors: dict[str, Tensor]
    metadata: dict[str, str]


@dataclass(frozen=True)
class _Entry:
    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True)
class _Header:
    """A header whose every statement was checked against the file's size; `seal` is None where there is none."""

    raw: bytes
    entries: list[_Entry]
    metadata: dict[str, str]
    seal: str | None


class _Digest(Protocol):
    def update(self, data: Any, /) -> None: ...

    def hexdigest(self) -> str: ...


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a sealed file, whole or not at all.

    Args:
        path: Where; its folder is made where it is missing.
        tensors: Of any device and memory format; a tensor that stands under two names is written twice.
        metadata: Texts by name; the name 'sha256' is the seal's.

    Raises:
        TensorFileError: A dtype that the format has not, or a header longer than what is read again.
        OSError: The file cannot be written.
    """
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    raw = _header_of(held, metadata)
    digest = _begun(raw)
    for tensor in held.values():
        digest.update(_bytes_of(tensor))
    start = _LENGTH + _SEALED_AT.start
    with whole_file(path) as partial, partial.open("wb") as file:
        file.write(raw[:start] + digest.hexdigest().encode() + raw[start + _DIGITS :])
        for tensor in held.values():
            file.write(_bytes_of(tensor))


def read_tensors(path: Path, *, sealed: bool = True, device: str = "cpu", prefix: str = "") -> TensorFile:
    """Read a file that may come from anyone: nothing in it is executed, mapped or believed.

    Args:
        path: A regular file, or a link to one.
        sealed: Refuse a file without a seal. False is for what other programs wrote; a seal that is there is checked anyway.
        device: Where the tensors go.
        prefix: Keep only tensors whose names begin with it; the others are checked and left in the file.

    Raises:
        TensorFileError: It is no such file, damaged, or not what its seal says; in words that do not name it.
    """
    with _opened(path) as (file, size):
        header = _read_header(file, size)
        if sealed and header.seal is None:
            raise TensorFileError(
                "it carries no seal (a SHA-256 of all its bytes), which every file that sightline writes does, so a damage "
                "could not be told"
            )
        digest = _begun(header.raw) if header.seal is not None else None
        tensors = {}
        for entry in header.entries:
            if (tensor := _read_entry(file, entry, digest, wanted=entry.name.startswith(prefix))) is not None:
                tensors[entry.name] = tensor
        if file.read(1):
            raise TensorFileError("it grew while it was being read")
    if digest is not None and digest.hexdigest() != header.seal:
        raise TensorFileError("it is damaged: its bytes are not those that its seal (SHA-256) was made of")
    return TensorFile({name: tensor.to(device) for name, tensor in tensors.items()}, header.metadata)


def read_metadata(path: Path) -> dict[str, str]:
    """The texts in a file's header, which is checked as `read_tensors` does; tensors and seal are not looked at.

    Raises:
        TensorFileError: It is no such file.
    """
    with _opened(path) as (file, size):
        return _read_header(file, size).metadata


# -------------------------------------------------------------------- writing


def _header_of(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Length and header, with zeros in place of the seal."""
    names = {dtype: name for name, dtype in DTYPES.items()}
    entries: dict[str, Any] = {_METADATA: {_SEAL: "0" * _DIGITS, **{k: v for k, v in metadata.items() if k != _SEAL}}}
    start = 0
    for name, tensor in tensors.items():
        if tensor.dtype not in names:
            raise TensorFileError(f"the tensor {shown(name)} is {tensor.dtype}, which .safetensors files cannot hold")
        end = start + tensor.numel() * tensor.element_size()
        entries[name] = {"dtype": names[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [start, end]}
        start = end
    text = json.dumps(entries, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _LENGTH)  # tensors begin at a multiple of 8 bytes, as the format advises
    if len(text) > LARGEST_HEADER:
        raise TensorFileError(
            f"its header would have {len(text):,} bytes, and at most {LARGEST_HEADER:,} are read again: fewer or shorter names "
            "are needed"
        )
    return len(text).to_bytes(_LENGTH, "little") + text


def _bytes_of(tensor: Tensor) -> memoryview:
    return tensor.reshape(-1).view(torch.uint8).numpy().data


# -------------------------------------------------------------------- reading


@contextmanager
def _opened(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """A regular file, opened without ever waiting for one that is not, and its size in bytes."""
    try:
        # A pipe or a device is not even opened: that alone may wait, or do something.
        _check_kind(os.stat(path))
        with open(path, "rb", opener=_without_waiting) as file:
            found = os.fstat(file.fileno())
            _check_kind(found)
            _check_size(file.fileno(), found.st_size)
            yield file, found.st_size
    except FileNotFoundError as error:
        raise TensorFileError("there is no such file") from error
    except OSError as error:
        raise TensorFileError(f"it cannot be opened or read: {error.strerror or error}") from error
    except ValueError as error:
        if isinstance(error, TensorFileError):
            raise
        raise TensorFileError(f"its header is not valid: {error}") from error
    except MemoryError as error:
        raise TensorFileError("it is larger than the memory of this machine") from error


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def _check_kind(found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode):
        kinds = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket"}
        raise TensorFileError(f"it is {kinds.get(stat.S_IFMT(found.st_mode), 'a device')}, not a file")


def _check_size(descriptor: int, size: int) -> None:
    if size <= _LENGTH:
        raise TensorFileError(f"it has {counted(size, 'byte')}, which is less than the shortest .safetensors file")
    if size > LARGEST_FILE:
        raise TensorFileError(f"it has {size:,} bytes, more than any network")
    # A hole of many GB takes no place on a disk, and a file of one line makes it; it would be read into memory as zeros.
    if size > _WORTH_A_LOOK and (written := _written(descriptor, size)) * _MOSTLY_HOLE < size:
        raise TensorFileError(f"it claims {size:,} bytes, but only {written:,} of them were ever written")


def _written(descriptor: int, size: int) -> int:
    """How many bytes of a file are no holes; all of them where the system cannot tell."""
    if not hasattr(os, "SEEK_HOLE"):
        return size
    written = place = 0
    try:
        while place < size and written * _MOSTLY_HOLE < size:
            start = os.lseek(descriptor, place, os.SEEK_DATA)
            place = os.lseek(descriptor, start, os.SEEK_HOLE)
            written += place - start
    except OSError as error:
        if error.errno != errno.ENXIO:  # the rest is one hole; any other error: the system cannot tell
            return size
    finally:
        os.lseek(descriptor, 0, os.SEEK_SET)
    return written


def _read_header(file: BinaryIO, size: int) -> _Header:
    raw = file.read(_LENGTH)
    length = int.from_bytes(raw, "little")
    if not 2 <= length <= min(LARGEST_HEADER, size - _LENGTH):
        raise ValueError(f"it would have {length:,} bytes in a file of {size:,} (at most {LARGEST_HEADER:,} are read)")
    raw += file.read(length)
    if len(raw) < _LENGTH + length:
        raise TensorFileError("it ends early: it was cut short while it was being read")
    body = raw[_LENGTH:]
    if not body.startswith(b"{"):
        raise ValueError("it does not begin as JSON does")
    found = parse_json(body)
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    metadata = _texts(found.pop(_METADATA, {}))
    seal = metadata.pop(_SEAL, None) if body.startswith(_OPENING) else None
    if seal is not None and seal.encode() != body[_SEALED_AT]:
        raise ValueError("its seal is not 64 hexadecimal digits")
    return _Header(raw, _without_gaps(found, size - len(raw)), metadata, seal)


def _texts(metadata: Any) -> dict[str, str]:
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError(f"its {_METADATA} are {shown(metadata)}, not texts by name")
    return dict(metadata)


def _without_gaps(found: Mapping[str, Any], size: int) -> list[_Entry]:
    """The tensors in the order of their places: none overlap, and nothing hides between them or behind the last."""
    entries = sorted((_entry(name, value) for name, value in found.items()), key=lambda entry: (entry.start, entry.end))
    place = 0
    for entry in entries:
        if entry.start != place:
            raise ValueError(f"{shown(entry.name)} begins at byte {entry.start:,}, not where the one before ends ({place:,})")
        place = entry.end
    if place != size:
        raise ValueError(f"its tensors take {place:,} bytes, but {size:,} follow")
    return entries


def _entry(name: str, value: Any) -> _Entry:
    if not isinstance(value, dict) or value.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{shown(name)} is {shown(value)}. Expected dtype, shape and data_offsets")
    dtype, shape, offsets = value["dtype"], value["shape"], value["data_offsets"]
    if not isinstance(dtype, str) or dtype not in DTYPES:
        raise ValueError(f"{shown(name)} has dtype {shown(dtype)}. Expected one of {', '.join(DTYPES)}")
    if not _are_sizes(shape) or len(shape) > MOST_DIMENSIONS or math.prod(max(1, side) for side in shape) > LARGEST_SHAPE:
        raise ValueError(f"{shown(name)} has shape {shown(shape)}, which no tensor has")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise ValueError(f"{shown(name)} has data_offsets {shown(offsets)}. Expected two places in the file")
    start, end = offsets
    if end - start != math.prod(shape) * DTYPES[dtype].itemsize:
        raise ValueError(f"{shown(name)} is {dtype} of shape {shown(shape)}, but its data_offsets are {shown(offsets)}")
    return _Entry(name, DTYPES[dtype], tuple(shape), start, end)


def _are_sizes(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one <= LARGEST_SHAPE for one in value)


def _begun(raw: bytes) -> _Digest:
    """The digest of length and header, the seal's places as zeros."""
    start = _LENGTH + _SEALED_AT.start
    return hashlib.sha256(raw[:start] + b"0" * _DIGITS + raw[start + _DIGITS :])


def _read_entry(file: BinaryIO, entry: _Entry, digest: _Digest | None, *, wanted: bool) -> Tensor | None:
    if not wanted:
        _pass_over(file, entry.end - entry.start, digest)
        return None
    try:
        tensor = torch.empty(entry.shape, dtype=entry.dtype)
    except RuntimeError as error:  # torch's word for too little memory
        raise MemoryError from error
    places = _bytes_of(tensor)
    if _fill(file, places, digest) < len(places):
        raise TensorFileError("it ends early: it was cut short while it was being read")
    if entry.dtype is torch.bool and bool((tensor.view(torch.uint8) > 1).any()):
        raise ValueError(f"{shown(entry.name)} holds bytes that are neither True nor False")
    return tensor


def _fill(file: BinaryIO, places: memoryview, digest: _Digest | None) -> int:
    """Read piece by piece, so that what is digested still lies in the processor's cache; returns how many bytes came."""
    done = 0
    while done < len(places):
        piece = places[done : done + _PIECE]
        count = file.readinto(piece)  # type: ignore[attr-defined]
        if not count:
            break
        if digest is not None:
            digest.update(piece[:count])
        done += count
    return done


def _pass_over(file: BinaryIO, count: int, digest: _Digest | None) -> None:
    if digest is None:
        file.seek(count, os.SEEK_CUR)
        return
    places = memoryview(bytearray(min(count, _PIECE)))
    while count:
        done = _fill(file, places[:count], digest)
        if not done:
            raise TensorFileError("it ends early: it was cut short while it was being read")
        count -= done
