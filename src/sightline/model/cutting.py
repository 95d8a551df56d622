"""Where a network ends and its classifier begins: a numbered place, a function, or the last pooling layer."""

from __future__ import annotations

import re
from collections.abc import Callable

from torch import nn

from sightline.errors import ModelError, OptionError


def cut_network(network: nn.Module, cut: int | Callable[[nn.Module], nn.Module], arch: str) -> nn.Module:
    """The body of a network, cut where the user says.

    Args:
        network: The whole network.
        cut: Keep that many of its children, counted from the end where negative; or a function from network to body.
        arch: For the error.

    Raises:
        OptionError: `cut` is neither.
        ModelError: Nothing is left, what is left is not a network, or the network has not as many children.
    """
    if callable(cut):
        body = cut(network)
        if not isinstance(body, nn.Module):
            raise ModelError(
                f"cut returned {type(body).__name__} for {arch}. Expected a torch.nn.Module that ends in features."
            )
        return body
    if isinstance(cut, bool) or not isinstance(cut, int):
        raise OptionError(f"cut={cut!r} is not a number of children to keep, a function, or None.")
    children = dict(network.named_children())
    kept = list(children.values())[:cut]
    if cut > len(children):
        raise ModelError(
            f"cut={cut}: {arch} has only {len(children)} parts, which are {', '.join(children)}. Give the number of them to "
            "keep, counted from the end where negative."
        )
    if not kept:
        raise ModelError(f"cut={cut} leaves nothing of {arch}, whose {len(children)} parts are {', '.join(children)}.")
    if any(isinstance(child, nn.ModuleList | nn.ModuleDict) for child in kept):
        raise ModelError(
            f"cut={cut}: {arch} does not run its parts ({', '.join(children)}) one after the other, so that it cannot be cut "
            f"by number. Pass a function from the network to its body, or leave cut away."
        )
    return nn.Sequential(*kept)


def cut_before_last_pooling(network: nn.Module, arch: str) -> nn.Module:
    """The children before the last one that pools, as fastai cuts networks that it does not know.

    Raises:
        ModelError: No child but the first pools.
    """
    children = list(network.children())
    last = next((i for i in reversed(range(len(children))) if has_pool_type(children[i])), 0)
    if last == 0:
        raise ModelError(
            f"{arch} has no pooling layer that would show where its body ends. Pass cut=, a number of children to keep or a "
            f"function from the network to its body."
        )
    return cut_network(network, last, arch)


def has_pool_type(m: nn.Module) -> bool:
    """Whether a layer pools, or one within it does."""
    return any(re.search(r"Pool[123]d$", type(layer).__name__) for layer in m.modules())
