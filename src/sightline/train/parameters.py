"""Parameters in groups: in whatever form a splitter or a script gives them, as lists or as torch parameter groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from sightline.errors import ModelError


def torch_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Torch parameter groups, from such groups, from parameters, or from lists of them.

    Raises:
        ModelError: There is no parameter at all.
    """
    given: list[Any] = [params] if isinstance(params, (Tensor, nn.Module)) else list(params)
    dicts = bool(given) and all(isinstance(one, dict) for one in given)
    return given if dicts else [{"params": group} for group in parameter_lists(given)]


def parameter_lists(groups: Iterable[Any]) -> list[list[nn.Parameter]]:
    """Parameter groups as lists, from lists (nested ones too), from modules, or from parameters, which then are one group.

    Raises:
        ModelError: There is no parameter at all, or something else among them.
    """
    given = [groups] if isinstance(groups, (Tensor, nn.Module)) else list(groups)
    lists = [_parameters(given)] if given and all(isinstance(one, Tensor) for one in given) else [_parameters(g) for g in given]
    if not any(lists):
        raise ModelError("The network has no parameters. Expected at least one to train.")
    return lists


def _parameters(given: Any) -> list[nn.Parameter]:
    if isinstance(given, Tensor):
        return [given]  # type: ignore[list-item] # torch optimizers take any leaf tensor
    if isinstance(given, nn.Module):
        return list(given.parameters())
    if isinstance(given, (str, bytes, dict)) or not isinstance(given, Iterable):
        raise ModelError(
            f"A parameter group holds {given!r}. Expected a splitter that gives lists of parameters, such as "
            "lambda model: [params(model.body), params(model.head)]."
        )
    return [parameter for one in given for parameter in _parameters(one)]


def refuse_overlap(groups: Sequence[Sequence[nn.Parameter]]) -> None:
    """Make sure that each parameter is given once.

    Raises:
        ModelError: One is given twice.
    """
    seen: set[int] = set()
    for group in groups:
        for parameter in group:
            if id(parameter) in seen:
                raise ModelError(
                    f"A parameter of shape {tuple(parameter.shape)} is in two parameter groups, or twice in one. "
                    "Expected a splitter that gives each parameter once."
                )
            seen.add(id(parameter))
