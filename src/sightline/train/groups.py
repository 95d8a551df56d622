"""Parameter groups: splitters that make them, what is in each of them as a table, and what none of them holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeAlias

from torch import nn

from sightline.errors import ModelError, OptionError, SightlineWarning, counted, listed
from sightline.model.depth import parameter_names, units_by_level
from sightline.model.vision import VisionModel

if TYPE_CHECKING:
    from sightline.train.optim import Optimizer

Splitter: TypeAlias = Callable[[nn.Module], Any]
"""`(model) -> groups`, lowest first: lists of parameters, modules, or parameters alone, which are one group."""


def params(m: nn.Module) -> list[nn.Parameter]:
    """All parameters of `m`."""
    return list(m.parameters())


def trainable_params(m: nn.Module) -> list[nn.Parameter]:
    """The parameters of `m` that train."""
    return [parameter for parameter in m.parameters() if parameter.requires_grad]


def default_split(m: nn.Module) -> list[list[nn.Parameter]]:
    """Two groups: the first child of `m` (the body), and all that follows it (the head).

    Raises:
        ModelError: It has fewer than two children.
    """
    children = list(m.children())
    if len(children) < 2:
        raise ModelError(f"{type(m).__name__} has {counted(len(children), 'child', 'children')}. Expected a body and a head.")
    return [params(children[0]), [parameter for child in children[1:] for parameter in params(child)]]


def by_blocks(n: int | None = None) -> Splitter:
    """A splitter by depth, for rates and freezing by block: `vision_learner(..., splitter=by_blocks(6))`.

    Args:
        n: Number of groups: blocks of the body, spread evenly over the lower ones, and the head. None makes a group of every
            block. Bodies with fewer blocks give fewer groups.

    Raises:
        OptionError: `n` is not a whole number, at least 2.
    """
    if n is not None and (isinstance(n, bool) or not isinstance(n, int) or n < 2):
        raise OptionError(f"n={n!r} groups: expected a whole number, at least 2: blocks of the body, and the head.")

    def split(model: nn.Module) -> list[list[nn.Parameter]]:
        body, head = (model.body, model[1:]) if isinstance(model, VisionModel) else (model, nn.Sequential())
        named = dict(body.named_parameters())
        units = model.units if isinstance(model, VisionModel) else units_by_level(parameter_names(body))
        blocks = [[named[name] for name in unit if name in named] for unit in units]
        blocks = [block for block in blocks if block]
        wanted = len(blocks) if n is None else min(n - 1, len(blocks))
        borders = [round(i * len(blocks) / wanted) for i in range(wanted + 1)] if blocks else []
        groups = [[p for block in blocks[low:high] for p in block] for low, high in pairwise(borders)]
        below = {id(parameter) for group in groups for parameter in group}
        rest = [parameter for parameter in head.parameters() if id(parameter) not in below]
        return [*groups, rest] if rest else groups

    return split


@dataclass(frozen=True)
class ParameterGroup:
    """One parameter group.

    Attributes:
        layers: Names of its first and its last layer; empty where names are not known.
        parameters: How many numbers it holds.
        trainable: How many of them train.
        hypers: Its hyper-parameters.
    """

    layers: str
    parameters: int
    trainable: int
    hypers: dict[str, float]


@dataclass(frozen=True)
class ParameterGroups:
    """The parameter groups of a learner, lowest first; `print` reads them out as a table."""

    groups: tuple[ParameterGroup, ...]

    def __str__(self) -> str:
        columns = [
            ["group", *(str(number) for number in range(len(self.groups)))],
            ["layers", *(group.layers for group in self.groups)],
            ["parameters", *(f"{group.parameters:,}" for group in self.groups)],
            ["trainable", *(f"{group.trainable:,}" for group in self.groups)],
            *([name, *(_short(group.hypers.get(name)) for group in self.groups)] for name in ("lr", "wd")),
        ]
        if not any(group.layers for group in self.groups):
            del columns[1]
        # Names stand on the left, numbers on the right.
        aligned = [
            [f"{cell:{'<' if column[0] == 'layers' else '>'}{max(map(len, column))}}" for cell in column] for column in columns
        ]
        return "\n".join("  ".join(row) for row in zip(*aligned, strict=True))

    __repr__ = __str__

    def __len__(self) -> int:
        return len(self.groups)

    def __getitem__(self, index: int) -> ParameterGroup:
        return self.groups[index]


def describe_groups(opt: Optimizer, model: nn.Module | None = None) -> ParameterGroups:
    """What is in each parameter group, with layers by name where the network is given."""
    names = {} if model is None else {id(p): name.rpartition(".")[0] or name for name, p in model.named_parameters()}
    return ParameterGroups(
        tuple(
            ParameterGroup(
                _from_to([names[id(p)] for p in group if id(p) in names]),
                sum(p.numel() for p in group),
                sum(p.numel() for p in group if p.requires_grad),
                dict(hyper),
            )
            for group, hyper in zip(opt.param_lists, opt.hypers, strict=True)
        )
    )


def warn_of_left_out(model: nn.Module, groups: Sequence[Iterable[nn.Parameter]]) -> None:
    """Say which parameters would train but are in no group.

    Warns:
        SightlineWarning: There are some.
    """
    held = {id(parameter) for group in groups for parameter in group}
    left = [(name, p) for name, p in model.named_parameters() if p.requires_grad and id(p) not in held]
    if left:
        numbers, names = sum(p.numel() for _, p in left), [name for name, _ in left]
        warnings.warn(
            f"The splitter leaves out {counted(len(left), 'tensor')} with {counted(numbers, 'parameter')}, which will not "
            f"train: {listed(names, most=4)}. Put them into a group, or freeze them (requires_grad_(False)) if that is meant.",
            SightlineWarning,
            stacklevel=4,
        )


def _short(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _from_to(layers: list[str]) -> str:
    if not layers:
        return ""
    return layers[0] if layers[0] == layers[-1] else f"{layers[0]} .. {layers[-1]}"
