"""Which parameters train: freezing up to a depth, and the norm layers that go on training below it."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterable, Sequence

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from sightline.errors import SightlineWarning, counted

NORM_LAYERS: tuple[type[nn.Module], ...] = (_BatchNorm, _InstanceNorm, nn.LayerNorm, nn.GroupNorm, nn.RMSNorm)
"""torch's norm layers; timm's own are mostly subclasses of these, and the others carry Norm in their name."""

Groups = Sequence[Sequence[nn.Parameter]]


def is_norm(module: nn.Module) -> bool:
    """Whether a layer normalises: a norm of torch, or a layer named so whose own parameters are one value a channel."""
    if isinstance(module, NORM_LAYERS):
        return True
    own = list(module.parameters(recurse=False))
    return "norm" in type(module).__name__.lower() and bool(own) and all(p.numel() == max(p.shape, default=1) for p in own)


def norm_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of all norm layers inside `module`, in order, each once."""
    return _unique(p for layer in module.modules() if is_norm(layer) for p in layer.parameters(recurse=False))


def norm_and_bias_parameters(module: nn.Module) -> list[nn.Parameter]:
    """The parameters of all norm layers and all biases: what weight decay leaves alone unless told otherwise."""
    biases = (p for name, p in module.named_parameters() if name.rpartition(".")[2] == "bias")
    return _unique([*norm_parameters(module), *biases])


def freeze_to(groups: Groups, n: int, always_train: Collection[nn.Parameter] = ()) -> int:
    """Let the groups from `n` on train, and freeze those below, as fastai does.

    Args:
        groups: Parameters by depth, lowest first; `requires_grad` is set on each.
        n: First group that trains; negative counts from the end, so -1 trains the last group alone and 0 everything.
        always_train: Parameters that train in frozen groups too, such as `norm_parameters(model)`.

    Returns:
        The index of the first group that trains, from 0.

    Warns:
        SightlineWarning: `n` lies past the last group, so that only `always_train` is left.
    """
    first = max(0, n if n >= 0 else len(groups) + n)
    if first >= len(groups):
        warnings.warn(
            f"freeze_to({n}) freezes the whole model: it has {counted(len(groups), 'group')}, numbered from 0.",
            SightlineWarning,
            stacklevel=2,
        )
    kept = {id(parameter) for parameter in always_train}
    for index, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(index >= first or id(parameter) in kept)
    return first


def _unique(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    return list({id(parameter): parameter for parameter in parameters}.values())
