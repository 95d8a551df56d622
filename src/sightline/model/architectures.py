"""torchvision's classification networks as names that load torchvision when a network is made, not when they are imported."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Architecture:
    """One of torchvision's constructors, called like it: `resnet18(weights="DEFAULT")` is the network of torchvision.

    Two with one name are equal. Importing torchvision takes about as long as importing torch, so it waits for the first call.

    Attributes:
        name: What torchvision calls it.
    """

    name: str

    @property
    def __name__(self) -> str:
        return self.name

    @property
    def __signature__(self) -> inspect.Signature:
        """That of the constructor, for `help`, and for `torchvision.models.get_model_weights`."""
        return inspect.signature(self.constructor())

    def constructor(self) -> Callable[..., Any]:
        """The function of torchvision that it stands for."""
        from torchvision import models

        builder: Callable[..., Any] = models.get_model_builder(self.name)
        return builder

    def __call__(self, *args: Any, **options: Any) -> Any:
        """The network, an `nn.Module`; arguments are those of torchvision (`weights=`, `progress=`, ...)."""
        return self.constructor()(*args, **options)


alexnet = Architecture("alexnet")
convnext_base = Architecture("convnext_base")
convnext_large = Architecture("convnext_large")
convnext_small = Architecture("convnext_small")
convnext_tiny = Architecture("convnext_tiny")
densenet121 = Architecture("densenet121")
densenet161 = Architecture("densenet161")
densenet169 = Architecture("densenet169")
densenet201 = Architecture("densenet201")
efficientnet_b0 = Architecture("efficientnet_b0")
efficientnet_b1 = Architecture("efficientnet_b1")
efficientnet_b2 = Architecture("efficientnet_b2")
efficientnet_b3 = Architecture("efficientnet_b3")
efficientnet_b4 = Architecture("efficientnet_b4")
efficientnet_b5 = Architecture("efficientnet_b5")
efficientnet_b6 = Architecture("efficientnet_b6")
efficientnet_b7 = Architecture("efficientnet_b7")
efficientnet_v2_l = Architecture("efficientnet_v2_l")
efficientnet_v2_m = Architecture("efficientnet_v2_m")
efficientnet_v2_s = Architecture("efficientnet_v2_s")
googlenet = Architecture("googlenet")
inception_v3 = Architecture("inception_v3")
maxvit_t = Architecture("maxvit_t")
mnasnet0_5 = Architecture("mnasnet0_5")
mnasnet0_75 = Architecture("mnasnet0_75")
mnasnet1_0 = Architecture("mnasnet1_0")
mnasnet1_3 = Architecture("mnasnet1_3")
mobilenet_v2 = Architecture("mobilenet_v2")
mobilenet_v3_large = Architecture("mobilenet_v3_large")
mobilenet_v3_small = Architecture("mobilenet_v3_small")
regnet_x_16gf = Architecture("regnet_x_16gf")
regnet_x_1_6gf = Architecture("regnet_x_1_6gf")
regnet_x_32gf = Architecture("regnet_x_32gf")
regnet_x_3_2gf = Architecture("regnet_x_3_2gf")
regnet_x_400mf = Architecture("regnet_x_400mf")
regnet_x_800mf = Architecture("regnet_x_800mf")
regnet_x_8gf = Architecture("regnet_x_8gf")
regnet_y_128gf = Architecture("regnet_y_128gf")
regnet_y_16gf = Architecture("regnet_y_16gf")
regnet_y_1_6gf = Architecture("regnet_y_1_6gf")
regnet_y_32gf = Architecture("regnet_y_32gf")
regnet_y_3_2gf = Architecture("regnet_y_3_2gf")
regnet_y_400mf = Architecture("regnet_y_400mf")
regnet_y_800mf = Architecture("regnet_y_800mf")
regnet_y_8gf = Architecture("regnet_y_8gf")
resnet101 = Architecture("resnet101")
resnet152 = Architecture("resnet152")
resnet18 = Architecture("resnet18")
resnet34 = Architecture("resnet34")
resnet50 = Architecture("resnet50")
resnext101_32x8d = Architecture("resnext101_32x8d")
resnext101_64x4d = Architecture("resnext101_64x4d")
resnext50_32x4d = Architecture("resnext50_32x4d")
shufflenet_v2_x0_5 = Architecture("shufflenet_v2_x0_5")
shufflenet_v2_x1_0 = Architecture("shufflenet_v2_x1_0")
shufflenet_v2_x1_5 = Architecture("shufflenet_v2_x1_5")
shufflenet_v2_x2_0 = Architecture("shufflenet_v2_x2_0")
squeezenet1_0 = Architecture("squeezenet1_0")
squeezenet1_1 = Architecture("squeezenet1_1")
swin_b = Architecture("swin_b")
swin_s = Architecture("swin_s")
swin_t = Architecture("swin_t")
swin_v2_b = Architecture("swin_v2_b")
swin_v2_s = Architecture("swin_v2_s")
swin_v2_t = Architecture("swin_v2_t")
vgg11 = Architecture("vgg11")
vgg11_bn = Architecture("vgg11_bn")
vgg13 = Architecture("vgg13")
vgg13_bn = Architecture("vgg13_bn")
vgg16 = Architecture("vgg16")
vgg16_bn = Architecture("vgg16_bn")
vgg19 = Architecture("vgg19")
vgg19_bn = Architecture("vgg19_bn")
vit_b_16 = Architecture("vit_b_16")
vit_b_32 = Architecture("vit_b_32")
vit_h_14 = Architecture("vit_h_14")
vit_l_16 = Architecture("vit_l_16")
vit_l_32 = Architecture("vit_l_32")
wide_resnet101_2 = Architecture("wide_resnet101_2")
wide_resnet50_2 = Architecture("wide_resnet50_2")
