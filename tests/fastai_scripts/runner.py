"""Runs a script of this folder with one of the two libraries, and describes what it reported in plain values.

A script is an ordinary program whose first line is `from fastai.vision.all import *`; that line alone is replaced. Its folder
of pictures is `sys.argv[1]`. It is given four functions to say what it found:

    report(name=value, ...)     must be the same in both libraries, numbers to 1e-4
    loosely(name=value, ...)    must be of the same type and shape; its numbers hang on random draws
    about(name=value, ...)      a figure of merit; must lie within the spread of seeds
    fill_weights(model)         sets all weights by formula, so that both libraries start from the same ones

This file needs neither library, so that neither side can drift from the other.
"""

from __future__ import annotations

import contextlib
import io
import math
import os
import random
import sys
import types
from collections.abc import Iterator
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent.parent / "reference"))

from parity_cases import fill_weights

SCRIPTS = Path(__file__).parent / "scripts"
FIRST_LINE = {"fastai": "from fastai.vision.all import *", "sightline": "from sightline.fastai import *"}
MOST_VALUES = 48
CLOSE = 1e-4
_WALK = os.walk


def names() -> list[str]:
    """The scripts, in order."""
    return sorted(script.stem for script in SCRIPTS.glob("*.py"))


def run(name: str, library: str, pictures: Path, seed: int = 0) -> dict[str, Any]:
    """What one script reports.

    Args:
        name: Stem of its file.
        library: `fastai` or `sightline`.
        pictures: A folder of its own, filled by `drawings.draw_all`; it is also the current folder of the run.
        seed: Set before the script begins.
    """
    first, _, rest = (SCRIPTS / f"{name}.py").read_text(encoding="utf-8").partition("\n")
    if first != FIRST_LINE["fastai"]:
        raise ValueError(f"{name}.py begins with {first!r}, not with {FIRST_LINE['fastai']!r}")
    facts = Facts(pictures)
    module = types.ModuleType("__main__")
    module.__dict__.update(
        __file__=f"{name}.py", report=facts.report, loosely=facts.loosely, about=facts.about, fill_weights=fill_weights
    )
    code = compile(f"{FIRST_LINE[library]}\n{rest}", f"{name}.py", "exec")
    seed_all(seed)
    with _at_home(module, name, pictures):
        exec(code, module.__dict__)
    return facts.facts


def seed_all(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def walk_by_name(top: str | os.PathLike[str], *args: Any, **options: Any) -> Iterator[tuple[str, list[str], list[str]]]:
    """`os.walk` by name: fastai takes files as the disk gives them, sightline sorts them."""
    for folder, folders, files in _WALK(top, *args, **options):
        folders.sort()
        yield folder, folders, sorted(files)


@contextlib.contextmanager
def _at_home(module: types.ModuleType, name: str, folder: Path) -> Iterator[None]:
    """The script is the main program, in its own folder, and nobody reads what it prints."""
    before = sys.argv, sys.modules["__main__"], Path.cwd()
    sys.argv, sys.modules["__main__"] = [f"{name}.py", str(folder)], module
    os.chdir(folder)
    os.walk = walk_by_name
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        sys.argv, sys.modules["__main__"] = before[:2]
        os.chdir(before[2])
        os.walk = _WALK
        if "matplotlib.pyplot" in sys.modules:
            sys.modules["matplotlib.pyplot"].close("all")


class Facts:
    """What a script reported, as plain values."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.facts: dict[str, Any] = {}

    def report(self, **values: Any) -> None:
        self.facts |= {name: self.described(value) for name, value in values.items()}

    def loosely(self, **values: Any) -> None:
        self.facts |= {f"~{name}": shape_of(self.described(value)) for name, value in values.items()}

    def about(self, **values: float) -> None:
        self.facts |= {f"={name}": float(value) for name, value in values.items()}

    def described(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | np.bool_):
            return None if value is None else bool(value)
        if isinstance(value, str):
            return str(value)
        if isinstance(value, Integral):
            return int(value)
        if isinstance(value, Real):
            return float(value)
        if isinstance(value, Path):
            return "path " + self._short(value)
        if isinstance(value, torch.Tensor):
            return self._array("tensor", value.detach().cpu().as_subclass(torch.Tensor))
        if isinstance(value, np.ndarray):
            return self._array("array", torch.from_numpy(np.ascontiguousarray(value)))
        if isinstance(value, Image.Image):
            return {"picture": list(value.size), "mode": value.mode}
        if isinstance(value, dict):
            return {str(key): self.described(one) for key, one in value.items()}
        if hasattr(value, "iloc"):
            return {"table": list(value.shape), "columns": [str(name) for name in value.columns]}
        if hasattr(value, "_fields"):
            return {"fields": list(value._fields), "values": [self.described(one) for one in value]}
        if hasattr(value, "__getitem__") and hasattr(value, "__len__"):
            return [self.described(value[i]) for i in range(len(value))]
        raise TypeError(f"A {type(value).__name__} has no plain description; report what matters of it.")

    def _short(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else path.as_posix()

    @staticmethod
    def _array(kind: str, values: torch.Tensor) -> dict[str, Any]:
        numbers = values.reshape(-1).double()
        if len(numbers) > MOST_VALUES:
            steady = (numbers.mean(), numbers.std(), numbers.abs().mean(), numbers[0], numbers[-1])
            numbers = torch.stack(steady)
        return {kind: list(values.shape), "dtype": str(values.dtype).removeprefix("torch."), "values": numbers.tolist()}


def shape_of(fact: Any) -> Any:
    """A description without its numbers."""
    if isinstance(fact, dict):
        return {key: shape_of(value) for key, value in fact.items() if not ("dtype" in fact and key == "values")}
    if isinstance(fact, list):
        return [shape_of(value) for value in fact]
    return "a number" if isinstance(fact, float) else fact


def differences(expected: Any, found: Any, place: str = "") -> list[str]:
    """Where two descriptions differ, one line each."""
    if isinstance(expected, dict) and isinstance(found, dict) and expected.keys() == found.keys():
        return [line for key in expected for line in differences(expected[key], found[key], f"{place}/{key}")]
    if isinstance(expected, list) and isinstance(found, list) and len(expected) == len(found):
        pairs = enumerate(zip(expected, found, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{place}[{i}]")]
    if isinstance(expected, float) and isinstance(found, float):
        same = math.isclose(expected, found, rel_tol=CLOSE, abs_tol=1e-6) or (math.isnan(expected) and math.isnan(found))
        return [] if same else [f"{place}: {expected!r} became {found!r}"]
    same = type(expected) is type(found) and expected == found
    return [] if same else [f"{place}: {expected!r} became {found!r}"]
