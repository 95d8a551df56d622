"""Input channels: the first convolution rebuilt, and its weights carried over, for pictures that are not three channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from sightline.errors import ModelError

RGB = 3
LARGEST_INPUT = 4096
"""More channels than any picture has; a stored description that asks for more is refused."""

TWO_CHANNEL_GAIN = 1.5
"""Keeps the sum over channels when two of three are kept (fastai)."""


def adapt_kernel(weight: Tensor, n_in: int) -> Tensor:
    """The kernel of a first convolution over three channels, carried over to `n_in` channels by fastai's rule.

    Args:
        weight: (out, 3, kh, kw).
        n_in: 1 sums the three; 2 keeps the first two, times 1.5; more keeps the three and adds zeros.

    Returns:
        (out, n_in, kh, kw).
    """
    if n_in == 1:
        return weight.sum(dim=1, keepdim=True)
    if n_in == 2:
        return weight[:, :2] * TWO_CHANNEL_GAIN
    zeros = weight.new_zeros(weight.shape[0], n_in - RGB, *weight.shape[2:])
    return torch.cat([weight, zeros], dim=1)


def kernel_adapter(n_in: int) -> Callable[[Tensor], Tensor]:
    """`adapt_kernel` for tensors from files: what is no kernel over three channels stays as it is."""
    return lambda weight: adapt_kernel(weight, n_in) if weight.ndim == 4 and weight.shape[1] == RGB else weight


def first_layer(module: nn.Module) -> tuple[str, nn.Module]:
    """Name and layer of the first thing inside `module` that holds parameters and no other layers."""
    for name, layer in module.named_modules():
        if next(layer.children(), None) is None and next(layer.parameters(), None) is not None:
            return name, layer
    raise ModelError("The network has no layer with parameters, so it has no first convolution to adapt.")


def replace_first_conv(module: nn.Module, n_in: int, *, keep_weights: bool, arch: str) -> None:
    """Give the first convolution of `module` `n_in` input channels, in place.

    Args:
        module: A network for three channels.
        n_in: Channels of the pictures to come; 3 changes nothing.
        keep_weights: Carry kernel and bias over (`adapt_kernel`); False leaves the new layer as torch initialises it.
        arch: For the error.

    Raises:
        ModelError: The first layer is not an ungrouped convolution over three channels.
    """
    if n_in == RGB:
        return
    name, old = first_layer(module)
    if not isinstance(old, nn.Conv2d) or old.in_channels != RGB or old.groups != 1:
        raise ModelError(
            f"n_in={n_in} needs a network that begins with a Conv2d over 3 channels, but {arch} begins with {old}. "
            f"Use n_in=3, or an architecture that begins with a plain convolution."
        )
    new = nn.Conv2d(
        n_in,
        old.out_channels,
        kernel_size=old.kernel_size,  # type: ignore[arg-type]
        stride=old.stride,  # type: ignore[arg-type]
        padding=old.padding,  # type: ignore[arg-type]
        dilation=old.dilation,  # type: ignore[arg-type]
        bias=old.bias is not None,
        padding_mode=old.padding_mode,
    )
    if keep_weights:
        with torch.no_grad():
            new.weight.copy_(adapt_kernel(old.weight, n_in))
            if old.bias is not None and new.bias is not None:
                new.bias.copy_(old.bias)
    parent, _, attribute = name.rpartition(".")
    setattr(module.get_submodule(parent), attribute, new)


def check_n_in(n_in: int) -> int:
    """`n_in` itself where it is a number of channels.

    Raises:
        ModelError: It is not.
    """
    if isinstance(n_in, bool) or not isinstance(n_in, int) or not 1 <= n_in <= LARGEST_INPUT:
        raise ModelError(f"n_in={n_in!r} is not a number of channels from 1 to {LARGEST_INPUT:,}.")
    return n_in
