"""Depth: the blocks of a body in the order in which they run, read from the names of its parameters."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from torch import nn

Units = tuple[tuple[str, ...], ...]

FEWEST_UNITS = 4
"""Bodies of unknown build are divided by the outermost level of names that gives at least this many parts."""


def units_by_pattern(names: Iterable[str], pattern: str) -> Units:
    r"""Consecutive blocks, one for each distinct match of `pattern` at the start of a name.

    Names that do not match belong to the block before them, or to the stem, which comes first and is a block of its own.

    >>> units_by_pattern(["stem.weight", "layer.0.a", "layer.0.b", "layer.1.a", "norm.weight"], r"layer\.\d+")
    (('stem.weight',), ('layer.0.a', 'layer.0.b'), ('layer.1.a', 'norm.weight'))
    """
    units: dict[str, list[str]] = {}
    current = ""
    for name in names:
        found = re.match(pattern, name)
        current = found.group() if found else current
        units.setdefault(current, []).append(name)
    return tuple(tuple(unit) for unit in units.values())


def units_by_level(names: Sequence[str]) -> Units:
    """Blocks of a body of unknown build: names that share their first parts, by the fewest parts that give several blocks.

    Parameters that the body holds itself, such as embeddings, come first, because they act on its input.
    """
    deepest = max((name.count(".") for name in names), default=0)
    units: Units = ()
    for level in range(1, deepest + 1):
        by_prefix: dict[str, list[str]] = {}
        for name in names:
            by_prefix.setdefault(".".join(name.split(".")[:-1][:level]), []).append(name)
        units = tuple(tuple(unit) for _, unit in sorted(by_prefix.items(), key=lambda item: item[0] != ""))
        if len(units) >= FEWEST_UNITS:
            break
    return units or ((tuple(names),) if names else ())


def lower_half(units: Units) -> int:
    """How many of the units form the lower half; the stem counts as one, and an odd one goes below."""
    return (len(units) + 1) // 2


def parameter_names(module: nn.Module) -> list[str]:
    """Names of all parameters, each parameter once, in the order of registration."""
    return [name for name, _ in module.named_parameters()]
