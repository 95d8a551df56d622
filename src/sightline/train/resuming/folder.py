"""The folder of checkpoints: each is one file and a marker that is written last, and the one before stays until it is proven.

checkpoints/
000017.safetensors      the state
000017.json             the marker: its SHA-256, its size, and where in the run it is
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from sightline.atomic import remove_partials, write_text
from sightline.errors import TensorFileError, TrainingError, counted
from sightline.locking import LOCK
from sightline.tensorfile import TensorFile, read_tensors, write_tensors

FORMAT = "sightline-checkpoint"
FIRST = 1
KEPT = 2
"""How many are kept: the newest, and the one to fall back to."""
State = TypeVar("State")
_NAME = re.compile(r"\d{6,}")


@dataclass(frozen=True)
class CheckpointFolder:
    """Checkpoints by number; see the file's first lines.

    Attributes:
        path: The folder.
    """

    path: Path

    def numbers(self) -> list[int]:
        """Those that are there, whole or not, newest first."""
        if not self.path.is_dir():
            return []
        stems = {entry.stem for entry in self.path.iterdir() if entry.suffix in {".safetensors", ".json"}}
        return sorted((int(stem) for stem in stems if _NAME.fullmatch(stem)), reverse=True)

    def write(self, number: int, tensors: Mapping[str, Tensor], texts: Mapping[str, str], words: str) -> None:
        """Write one, prove that it can be read, and then take away those that are not needed any more.

        Args:
            number: Its number, above those that are there.
            tensors: On the CPU.
            texts: All the rest, as texts by name; see `text_in`.
            words: Where in the run it is.

        Raises:
            OSError: It cannot be written.
            TensorFileError: What was written reads differently.
        """
        file, marker = self._paths(number)
        try:
            write_tensors(file, {**tensors, **{name: _as_tensor(text) for name, text in texts.items()}}, {"format": FORMAT})
            read_tensors(file)
            said = {"sha256": _digest(file), "bytes": file.stat().st_size, "where": words}
            write_text(marker, json.dumps(said, indent=1) + "\n")
        except BaseException:
            self.remove(number)
            raise
        whole = [one for one in self.numbers() if self._paths(one)[1].is_file()]
        for old in [one for one in self.numbers() if one not in whole[:KEPT]]:
            self.remove(old)

    def newest(self, read: Callable[[TensorFile], State], tell: Callable[[str], None]) -> tuple[int, State] | None:
        """The newest that is whole, with its number; None where there is none at all.

        Args:
            read: Makes of a file what is wanted; an error of it means that the file is damaged.
            tell: Is told of each that is damaged, in a sentence.

        Raises:
            TrainingError: There are some, and none is whole.
        """
        problems, numbers = [], self.numbers()
        if numbers == [FIRST] and not self._paths(FIRST)[1].is_file():
            tell(f"The first checkpoint in {self.path} was not finished when the run was stopped: it begins from the start.")
            return None
        for number in numbers:
            try:
                return number, read(self._read(number))
            except (OSError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
                file, why = self._paths(number)[0], str(error) or type(error).__name__
                problems.append(f"{file.name}: {why}")
                tell(f"The checkpoint {file} cannot be used ({why}). The one before it is tried.")
        if problems:
            raise TrainingError(
                f"{self.path} holds {counted(len(problems), 'checkpoint')}, none of which can be used: {'; '.join(problems)}. "
                "Put an undamaged copy there, or delete the folder to begin from the start."
            )
        return None

    def remove(self, number: int) -> None:
        """Take one away, its marker first."""
        for path in reversed(self._paths(number)):
            path.unlink(missing_ok=True)

    def remove_after(self, number: int) -> None:
        """Take away those that are newer: they are damaged."""
        for newer in self.numbers():
            if newer > number:
                self.remove(newer)

    def clear(self) -> None:
        """Take all away, the folder too, unless there is something else in it."""
        for number in self.numbers():
            self.remove(number)
        remove_partials(self.path)
        (self.path / LOCK).unlink(missing_ok=True)
        with suppress(OSError):
            self.path.rmdir()

    def _paths(self, number: int) -> tuple[Path, Path]:
        return self.path / f"{number:06d}.safetensors", self.path / f"{number:06d}.json"

    def _read(self, number: int) -> TensorFile:
        file, marker = self._paths(number)
        if not marker.is_file():
            raise TensorFileError("it was not finished: its marker is missing")
        said: dict[str, Any] = json.loads(marker.read_text(encoding="utf-8"))
        if not file.is_file():
            raise TensorFileError("it is missing")
        if file.stat().st_size != said["bytes"] or _digest(file) != said["sha256"]:
            raise TensorFileError("it is damaged: its size or its SHA-256 is not what its marker says")
        found = read_tensors(file)
        if found.metadata.get("format") != FORMAT:
            raise TensorFileError("it is no checkpoint")
        return found


def text_in(file: TensorFile, name: str) -> str:
    """A text that was written with a checkpoint."""
    return file.tensors[name].numpy().tobytes().decode()


def _as_tensor(text: str) -> Tensor:
    """A text as bytes: headers are for names, and their size is bounded."""
    return torch.frombuffer(bytearray(text.encode()), dtype=torch.uint8)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
