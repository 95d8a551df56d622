"""torchvision's families: where the body of each ends, how its blocks are named, and which fix the picture's size."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sightline.model.channels import RGB
from sightline.preprocess import IMAGENET_STATS


class RescaleInput(nn.Module):
    """Brings pictures normalised with ImageNet's statistics to the (x - 0.5) / 0.5 that a network was trained on.

    It does nothing until `use_imagenet`; the two buffers travel with the weights. Shapes: (N, C, H, W), unchanged.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, n_in: int) -> None:
        super().__init__()
        self.register_buffer("scale", torch.ones(n_in, 1, 1))
        self.register_buffer("shift", torch.zeros(n_in, 1, 1))

    def use_imagenet(self) -> None:
        """Turn the rescaling on, as torchvision does with its weights (`transform_input`); only for three channels."""
        if len(self.scale) == RGB:
            mean, std = (torch.tensor(values).view(RGB, 1, 1) for values in IMAGENET_STATS)
            self.scale.copy_(std / 0.5)
            self.shift.copy_((mean - 0.5) / 0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Rescale (N, C, H, W)."""
        return x * self.scale + self.shift


def _vit(network: nn.Module) -> nn.Module:
    """The whole transformer, giving its class token after the final norm."""
    network.heads = nn.Identity()
    return network


def _maxvit(network: Any) -> nn.Module:
    return nn.Sequential(network.stem, nn.Sequential(*network.blocks))


@dataclass(frozen=True)
class Family:
    """What is particular to a family of architectures.

    Attributes:
        names: Matches the whole name of each of its architectures.
        cut: Where the body ends, as fastai cuts: a number of children to keep, or a function from network to body.
        blocks: Matches the beginning of a parameter's name in the body, up to the number of its block.
        lower: Matches the parameters of the lower half where fastai has a border of its own; None is half of the blocks.
        size_option: The constructor's name for the one size of picture that it takes; None where it takes many.
        options: Further options of the constructor.
        rescales: Whether its weights were made with inputs of (x - 0.5) / 0.5 behind ImageNet's normalising.
    """

    names: str
    cut: int | Callable[[nn.Module], nn.Module]
    blocks: str
    lower: str | None = None
    size_option: str | None = None
    options: tuple[tuple[str, Any], ...] = ()
    rescales: bool = False


INCEPTION_OPTIONS = (("init_weights", True), ("aux_logits", False))

FAMILIES: tuple[Family, ...] = (
    Family(r"(wide_)?resne(x)?t\d+.*", -2, r"[4-7]\.\d+\.", lower=r"[0-5]\."),
    Family(r"vgg\d+_bn", -2, r"0\.\d+\.", lower=r"0\.(1?\d|2[01])\."),
    Family(r"vgg\d+", -2, r"0\.\d+\."),
    Family(r"alexnet", -2, r"0\.\d+\.", lower=r"0\.[0-5]\."),
    Family(r"squeezenet.*", -1, r"0\.\d+\.", lower=r"0\.[0-4]\."),
    Family(
        r"densenet\d+",
        -1,
        r"0\.(denseblock\d+\.denselayer\d+|transition\d+|norm5)\.",
        lower=r"0\.(conv0|norm0|denseblock1|transition1|denseblock2)\.",
    ),
    Family(r"mobilenet_v2", -1, r"0\.\d+\."),
    Family(r"mobilenet_v3_.*", -2, r"0\.\d+\."),
    Family(r"efficientnet_.*", -2, r"0\.\d+\.\d+\.(?=block)"),
    Family(r"mnasnet.*", -1, r"0\.\d+\.\d+\.(?=layers)"),
    Family(r"shufflenet_v2_.*", -1, r"[2-4]\.\d+\."),
    Family(r"regnet_.*", -2, r"1\.block\d+\.block\d+-\d+\."),
    Family(r"convnext_.*", -2, r"0\.\d+\.\d+\.(?=layer_scale|block)"),
    Family(r"swin_.*", -3, r"0\.\d+\.\d+\.(?=norm1|attn|norm2|mlp)"),
    Family(r"googlenet|inception_v3", -3, r"\d+\.", options=INCEPTION_OPTIONS, rescales=True),
    Family(r"maxvit_t", _maxvit, r"1\.\d+\.layers\.\d+\.", size_option="input_size"),
    Family(r"vit_.*", _vit, r"encoder\.layers\.encoder_layer_\d+\.", size_option="image_size"),
)


def family_of(name: str) -> Family | None:
    """The family of an architecture, or None for one that torchvision has added since."""
    return next((family for family in FAMILIES if re.fullmatch(family.names, name)), None)
