"""Names of architectures and of files of weights that are wrong, told at once: importing a zoo takes seconds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path

from sightline.errors import ArchitectureError, WeightsError, did_you_mean

SAFE_SUFFIX = ".safetensors"
TORCH_SUFFIXES = (".pth", ".pt", ".bin", ".ckpt", ".tar")
REGISTERED = r"@register_model(?:\(\))?(?:\s+@.*)*\s+def (\w+)"
"""How both zoos write the function that builds a network."""


def check_spelling(name: str) -> None:
    """Refuse a name that stands nowhere in the files of timm and torchvision.

    A name that passes may still be wrong; `sightline.model.backbones.resolve` knows.

    Args:
        name: With or without the tag of a set of weights.

    Raises:
        ArchitectureError: Neither has it; the closest names are in the message.
    """
    text = "\n".join(path.read_text(encoding="utf-8") for zoo in ("timm", "torchvision") for path in _model_files(zoo))
    word = name.partition(".")[0]
    # Any word will do, not functions alone: names of earlier versions stand in tables of timm's. The first test is a quick one.
    if text and not (word in text and re.search(rf"\b{re.escape(word)}\b", text)):
        raise no_such_architecture(name, re.findall(REGISTERED, text))


def no_such_architecture(name: str, known: Iterable[str]) -> ArchitectureError:
    """The error for a name that neither zoo has."""
    return ArchitectureError(
        f"There is no architecture called {name!r}. {did_you_mean(name.partition('.')[0], known)} "
        f"Names are those of timm and torchvision: list_architectures() gives them all.".replace("  ", " ")
    )


def as_file(weights: object) -> Path | None:
    """The path that `weights` names, or None where it is a name, a tag or something else.

    A `Path` always names a file; a text does when it ends as a file of weights does, or holds a path separator.
    """
    if isinstance(weights, Path):
        return weights
    if isinstance(weights, str) and (
        weights.lower().endswith((SAFE_SUFFIX, *TORCH_SUFFIXES)) or "/" in weights or "\\" in weights
    ):
        return Path(weights)
    return None


def check_file(path: Path) -> None:
    """Refuse a path of weights where there is no file.

    Raises:
        WeightsError: There is none.
    """
    if not os.path.isfile(path):  # unlike Path's, it raises for no name
        raise WeightsError(f"weights={str(path)!r}: there is no such file. Give the path of a .safetensors, .pth or .pt file.")


def _model_files(zoo: str) -> list[Path]:
    spec = find_spec(zoo)
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return sorted(path for folder in folders for path in Path(folder, "models").glob("*.py"))
