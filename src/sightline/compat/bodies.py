"""A network without its classifier, for scripts that put body and head together themselves."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

from sightline.model.channels import check_n_in, replace_first_conv
from sightline.model.cutting import cut_before_last_pooling, cut_network

Cut = int | Callable[[nn.Module], nn.Module] | None


def cut_model(model: nn.Module, cut: int | Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The body of a network: its first `cut` children, or what the function `cut` makes of it.

    Raises:
        OptionError: `cut` is neither.
        ModelError: Nothing is left.
    """
    return cut_network(model, cut, type(model).__name__)


def create_body(model: nn.Module, n_in: int = 3, pretrained: bool = True, cut: Cut = None) -> nn.Module:
    """The body of a network that was made already.

    Args:
        model: The network, such as `resnet18(weights=None)`; the body keeps its layers and weights.
        n_in: Channels of the pictures; the first convolution is made anew for other than 3.
        pretrained: Whether its weights are trained ones, which a new first convolution then takes over.
        cut: Children to keep, or a function of the network; None cuts before the last pooling.

    Raises:
        ModelError: It has no pooling layer that shows where it ends, or nothing is left.
    """
    check_n_in(n_in)
    body = cut_before_last_pooling(model, type(model).__name__) if cut is None else cut_model(model, cut)
    replace_first_conv(body, n_in, keep_weights=pretrained, arch=type(model).__name__)
    return body
