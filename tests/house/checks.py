"""The rules of the house as functions from source text to findings, so that each can be shown to find something.

A finding is one line of text that names the place and the rule. Nothing here imports sightline.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FLOORS: dict[str, int] = {
    "cells": 0,
    "descriptors": 0,
    "errors": 0,
    "escaping": 0,
    "atomic": 0,
    "locking": 1,
    "starting": 0,
    "stored": 0,
    "versions": 0,
    "waiting": 0,
    "target": 1,
    "preprocess": 1,
    "record": 1,
    "runtime": 1,
    "draws": 1,
    "console": 1,
    "tensorfile": 1,
    "web": 1,
    "data": 2,
    "model": 2,
    "metrics": 2,
    "losses": 2,
    "bundle": 3,
    "outputs": 3,
    "inference": 3,
    "backends": 3,
    "predict": 4,
    "interpret": 4,
    "convert": 4,
    "train": 5,
    "report": 5,
    "explain": 5,
    "onnx": 5,
    "server": 5,
    "__init__": 6,
    "__main__": 6,
    "cli": 6,
    "compat": 6,
    "demo": 6,
    "fastai": 6,
}
"""The floor of each room: a file or folder directly under src/sightline."""

TOP_FLOOR = max(FLOORS.values())
LOWEST_PRINTING_FLOOR = 5
ASKED_TO_SPEAK = {
    Path("data/summary.py"): "DataBlock.summary walks through the data aloud",
    Path("interpret.py"): "print_classification_report is asked to",
}
"""Files below the floors that print which print nevertheless, and why."""
MOST_LINES = 600
PICKLES = {"pickle", "_pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
HEAVY = {"torchvision", "timm", "pandas", "matplotlib", "torchmetrics", "sklearn"}
HEAVIER_STILL = HEAVY | {"torch", "numpy", "PIL", "safetensors"}


@dataclass(frozen=True)
class Source:
    """One file of the package.

    Attributes:
        path: Relative to the package's folder, such as `data/rows/table.py`.
        text: What stands in it.
    """

    path: Path
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, filename=str(self.path))

    @property
    def room(self) -> str:
        return self.path.parts[0] if len(self.path.parts) > 1 else self.path.stem

    @property
    def package(self) -> tuple[str, ...]:
        return ("sightline", *self.path.parts[:-1])

    def at(self, node: ast.AST, finding: str) -> str:
        return f"{self.path}:{getattr(node, 'lineno', 1)}: {finding}"


def read_package(folder: Path) -> list[Source]:
    """Every Python file below `folder`, in order of their paths."""
    return [Source(path.relative_to(folder), path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.py"))]


def imported(source: Source, nodes: Iterable[ast.AST]) -> Iterator[tuple[ast.AST, str]]:
    """Each import among `nodes` as (node, dotted name), relative ones resolved; `from a import b` counts as `a.b`."""
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = source.package[: len(source.package) - node.level + 1] if node.level else ()
            stem = ".".join((*start, *([node.module] if node.module else [])))
            for alias in node.names:
                yield node, f"{stem}.{alias.name}"


def run_at_import(tree: ast.Module, *, into_classes: bool = True) -> Iterator[ast.stmt]:
    """The statements that run when the module is imported: not those of functions, nor what only type checkers read."""
    skipped = (ast.FunctionDef, ast.AsyncFunctionDef) if into_classes else (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        statement = waiting.pop()
        yield statement
        if isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            waiting.extend(statement.orelse)
        elif not isinstance(statement, skipped):
            for part in ("body", "orelse", "finalbody"):
                waiting.extend(getattr(statement, part, []))
            for handler in getattr(statement, "handlers", []):
                waiting.extend(handler.body)


def no_room_without_a_floor(source: Source) -> list[str]:
    """A new room is given its floor here, with some thought."""
    return [] if source.room in FLOORS else [f"{source.path}: the room {source.room!r} has no floor in tests/house/checks.py"]


def imports_go_down(source: Source) -> list[str]:
    """Imports lead to lower floors only; rooms on one floor are strangers, except on top, where the doors are."""
    findings = []
    own = FLOORS.get(source.room, TOP_FLOOR)
    for node, name in imported(source, ast.walk(source.tree)):
        parts = name.split(".")
        if parts[0] != "sightline":
            continue
        room = parts[1] if len(parts) > 1 and parts[1] in FLOORS else "__init__"
        floor = FLOORS[room]
        if room != source.room and not (floor < own or floor == own == TOP_FLOOR):
            how = "a stranger on its own floor" if floor == own else f"on floor {floor}, above its own {own},"
            findings.append(source.at(node, f"{source.room} imports {room}, {how} with {name!r}"))
    return findings


def only_the_upper_floors_print(source: Source) -> list[str]:
    """Below floor 5 nothing is printed: what happened is returned, raised or warned about."""
    if FLOORS.get(source.room, TOP_FLOOR) >= LOWEST_PRINTING_FLOOR or source.path in ASKED_TO_SPEAK:
        return []
    return [
        source.at(node, f"prints with {ast.unparse(node)}")
        for node in ast.walk(source.tree)
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and ast.unparse(node) in {"sys.stdout", "sys.stderr"})
    ]


def no_star_imports(source: Source) -> list[str]:
    """Names are imported one by one."""
    stars = (node for node, name in imported(source, ast.walk(source.tree)) if name.endswith(".*"))
    return [source.at(node, "import *") for node in stars]


def nothing_unpickles(source: Source) -> list[str]:
    """No pickle and its kin, except the error to catch; `torch.load` says `weights_only=True`; no eval, no exec."""
    findings = [
        source.at(node, f"imports {name}, which runs code from files")
        for node, name in imported(source, ast.walk(source.tree))
        if name.split(".")[0] in PICKLES and name != "pickle.UnpicklingError"
    ]
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in {"torch.load", "load_state_dict_from_url", "torch.hub.load_state_dict_from_url"}:
            weights_only = next((word.value for word in node.keywords if word.arg == "weights_only"), None)
            if not (isinstance(weights_only, ast.Constant) and weights_only.value is True):
                findings.append(source.at(node, f"{called} without weights_only=True"))
        if called in {"eval", "exec", "torch.hub.load", "np.load", "numpy.load"} and not _refuses_pickle(node):
            findings.append(source.at(node, f"{called} can run code"))
    return findings


def _refuses_pickle(call: ast.Call) -> bool:
    return any(word.arg == "allow_pickle" and ast.unparse(word.value) == "False" for word in call.keywords)


def no_asserts(source: Source) -> list[str]:
    """`python -O` takes asserts away, and a user who meets one learns nothing."""
    return [source.at(node, "assert") for node in ast.walk(source.tree) if isinstance(node, ast.Assert)]


def no_bare_excepts(source: Source) -> list[str]:
    """An `except:` also catches Ctrl-C."""
    handlers = (node for node in ast.walk(source.tree) if isinstance(node, ast.ExceptHandler))
    return [source.at(node, "bare except") for node in handlers if node.type is None]


def no_delegation(source: Source) -> list[str]:
    """No `__getattr__` that answers, except in the doors and for them: it makes imports lazy and says what is left out."""
    if source.path in (Path("__init__.py"), Path("fastai.py"), Path("compat/later.py")):
        return []
    return [
        source.at(node, f"defines {node.name}")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.FunctionDef)
        and node.name in {"__getattr__", "__getattribute__"}
        and not (node.returns is not None and ast.unparse(node.returns) == "NoReturn")
    ]


def no_module_state(source: Source) -> list[str]:
    """No `global`, and no empty container on module level: it would be there to be filled."""
    findings = [source.at(node, "global") for node in ast.walk(source.tree) if isinstance(node, ast.Global)]
    for statement in run_at_import(source.tree, into_classes=False):
        value = statement.value if isinstance(statement, (ast.Assign, ast.AnnAssign)) else None
        if value is not None and _is_empty_container(value):
            findings.append(source.at(statement, f"mutable module state: {ast.unparse(statement)}"))
    return findings


def _is_empty_container(value: ast.expr) -> bool:
    if isinstance(value, ast.Call):
        return ast.unparse(value.func) in {"dict", "list", "set", "defaultdict", "OrderedDict", "Counter"} and not value.args
    return isinstance(value, (ast.Dict, ast.List)) and not ast.unparse(value)[1:-1]


def heavy_imports_wait(source: Source) -> list[str]:
    """What is slow to import is imported by the function that needs it; the door and the ground do not even import torch.

    `fastai.py` is the exception: it hands on what scripts expect to be there at once, such as `pd` and `plt`.
    """
    if source.room == "fastai":
        return []
    door = source.room in {"__init__", "__main__"} or FLOORS.get(source.room) == 0
    slow = HEAVIER_STILL if door else HEAVY
    return [
        source.at(node, f"imports {name} when the module is imported")
        for node, name in imported(source, run_at_import(source.tree))
        if name.split(".")[0] in slow
    ]


def files_stay_short(source: Source) -> list[str]:
    """A file that outgrows its line is split by purpose."""
    lines = source.text.count("\n")
    return [f"{source.path}: {lines} lines, at most {MOST_LINES}"] if lines > MOST_LINES else []


def methods_are_described(sources: list[Source]) -> list[str]:
    """Every public method has a docstring, its own or that of the method which it overrides."""
    classes = {
        node.name: (source, node) for source in sources for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)
    }
    findings = []
    for name, (source, node) in classes.items():
        if name.startswith("_"):
            continue
        for method in (part for part in node.body if isinstance(part, ast.FunctionDef) and not part.name.startswith("_")):
            if not _described(method.name, name, classes, set()):
                findings.append(source.at(method, f"{name}.{method.name} has no docstring"))
    return findings


def _described(method: str, owner: str, classes: dict[str, tuple[Source, ast.ClassDef]], seen: set[str]) -> bool:
    if owner not in classes or owner in seen:
        return False
    _, node = classes[owner]
    own = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name == method]
    if any(ast.get_docstring(part) for part in own):
        return True
    bases = [ast.unparse(base).split("[")[0].split(".")[-1] for base in node.bases]
    return any(_described(method, base, classes, seen | {owner}) for base in bases)


EACH_FILE = (
    no_room_without_a_floor,
    imports_go_down,
    only_the_upper_floors_print,
    no_star_imports,
    nothing_unpickles,
    no_asserts,
    no_bare_excepts,
    no_delegation,
    no_module_state,
    heavy_imports_wait,
    files_stay_short,
)
"""The rules that look at one file at a time."""
