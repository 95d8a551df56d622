"""A timm network as a body: feature maps, or its own vectors, without the parts that only its classifier would use."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from sightline.model.modes import evaluating
from sightline.model.probe import SIZES_TO_TRY, blank, squares
from sightline.preprocess import Size

LARGE = 512 * 512
"""Pixels of a picture above which a network is tried on paper: a file may ask for a size whose maps take gigabytes."""

TOKENS = 3
"""Dimensions of (N, tokens, C): what timm's bare encoders give, pooled here by their mean."""


class TimmBody(nn.Module):
    """A timm network without classifier: feature maps where it pools them afterwards, its own pooled vectors elsewhere.

    Shapes: (N, n_in, H, W) to (N, C, h, w), channels brought to the front where the network keeps them last, or to (N, C).
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        _hold_fixed(model)
        self.gives_maps = model.pretrained_cfg.get("pool_size") is not None
        self.channels_last = getattr(model, "output_fmt", None) == "NHWC"

    @property
    def native_size(self) -> Size:
        """(height, width) in pixels of the pictures that timm evaluates the network on."""
        height, width = self.model.pretrained_cfg["input_size"][1:]
        return height, width

    def forward(self, x: Tensor) -> Tensor:
        """Features of (N, n_in, H, W)."""
        if not self.gives_maps:
            vectors: Tensor = self.model(x)
            return vectors.mean(dim=1) if vectors.ndim == TOKENS else vectors
        maps: Tensor = self.model.forward_features(x)
        return maps.permute(0, 3, 1, 2) if self.channels_last else maps

    def drop_unused(self, n_in: int, size: Size | None = None) -> set[str]:
        """Take out the parts that only a classifier would use, such as a second layer after the pooling.

        Args:
            n_in: Number of input channels.
            size: (height, width) that the network was built for, where it takes no other.

        Returns:
            Names of the parts of the timm network that went.
        """
        if not self.gives_maps:
            return set()
        used = _parts_used(self, n_in, [size] if size else [*squares(SIZES_TO_TRY[:3]), self.native_size])
        unused = {name for name, part in self.model.named_children() if name not in used and _has_parameters(part)}
        for name in unused:
            setattr(self.model, name, nn.Identity())
        return unused


def _parts_used(body: TimmBody, n_in: int, sizes: Sequence[Size]) -> set[str]:
    """Names of the timm network's own parts that take part in making feature maps, found on a blank picture."""
    used: set[str] = set()
    hooks = [
        layer.register_forward_pre_hook(lambda _layer, _args, part=part: used.add(part))
        for part, child in body.model.named_children()
        for layer in child.modules()
    ]
    try:
        with evaluating(body):
            for size in sizes:
                used.clear()
                if (_runs_on_paper if size[0] * size[1] > LARGE else _runs)(body, blank(body, n_in, size)):
                    return used
    finally:
        for hook in hooks:
            hook.remove()
    return {part for part, _ in body.model.named_children()}


def _runs(body: nn.Module, pictures: Tensor) -> bool:
    try:
        body(pictures)
    except Exception:  # noqa: BLE001 - too small a picture, in the words of any author
        return False
    return True


def _runs_on_paper(body: nn.Module, pictures: Tensor) -> bool:
    """`_runs`, without memory for what is computed."""
    own = {name: tensor.to("meta") for name, tensor in chain(body.named_parameters(), body.named_buffers())}
    try:
        with torch.device("meta"):
            functional_call(body, own, (pictures.to("meta"),))
    except Exception:  # noqa: BLE001 - as there
        return False
    return True


def _hold_fixed(model: nn.Module) -> None:
    """Make buffers of the parameters that the network's author holds fixed, so that unfreezing does not train them."""
    for module in model.modules():
        for name, parameter in list(module.named_parameters(recurse=False)):
            if not parameter.requires_grad:
                delattr(module, name)
                module.register_buffer(name, parameter.detach())


def _has_parameters(module: nn.Module) -> bool:
    return next(module.parameters(), None) is not None
