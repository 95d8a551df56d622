"""The contract that every architecture keeps: it builds, runs, learns, freezes, and its parameters lie in groups by depth.

The pictures are as small as each network takes. Networks of one fixed size are built for a small one where they can be
(`img_size`), and get pictures of their own size otherwise.
"""

from __future__ import annotations

from contextlib import contextmanager
from unittest import mock

import pytest
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.models import regnet

from sightline.model.backbones import resolve, torchvision_names
from sightline.model.vision import (
    VisionModel,
    build_from_spec,
    create_vision_model,
    freeze_to,
    norm_parameters,
    parameter_groups,
)

TORCHVISION = {
    "alexnet": 64,
    "convnext_tiny": 32,
    "densenet121": 32,
    "efficientnet_b0": 32,
    "efficientnet_v2_s": 32,
    "googlenet": 32,
    "inception_v3": 96,
    "maxvit_t": 224,
    "mnasnet0_5": 32,
    "mobilenet_v2": 32,
    "mobilenet_v3_large": 32,
    "mobilenet_v3_small": 32,
    "regnet_x_400mf": 32,
    "regnet_y_400mf": 32,
    "resnet18": 32,
    "resnet50": 32,
    "resnext50_32x4d": 32,
    "shufflenet_v2_x0_5": 32,
    "squeezenet1_0": 64,
    "swin_t": 32,
    "swin_v2_t": 32,
    "vgg11": 32,
    "vgg11_bn": 32,
    "vit_b_32": 64,
    "wide_resnet50_2": 32,
}
"""torchvision: the smallest of every family, and the side in pixels of the pictures that it gets."""

TIMM = {
    "beit_base_patch16_224": 64,
    "botnet26t_256": 256,
    "cait_xxs24_224": 64,
    "caformer_s18": 32,
    "coat_tiny": 64,
    "coatnet_nano_rw_224": 64,
    "convit_tiny": 64,
    "convmixer_768_32": 32,
    "convnext_atto": 32,
    "convnextv2_atto": 32,
    "crossvit_tiny_240": 240,
    "cs3darknet_focus_s": 32,
    "cspresnet50": 32,
    "davit_tiny": 32,
    "deit_tiny_distilled_patch16_224": 64,
    "deit_tiny_patch16_224": 64,
    "densenet121": 32,
    "dla46_c": 32,
    "dpn48b": 32,
    "edgenext_xx_small": 32,
    "efficientformer_l1": 224,
    "efficientformerv2_s0": 224,
    "efficientnet_b0": 32,
    "efficientvim_m1": 64,
    "efficientvit_b0": 32,
    "eva02_tiny_patch14_224": 56,
    "fastvit_t8": 32,
    "focalnet_tiny_srf": 32,
    "gcvit_xxtiny": 224,
    "ghostnet_050": 32,
    "gmlp_ti16_224": 64,
    "hgnetv2_b0": 32,
    "hiera_tiny_224": 64,
    "hrnet_w18_small": 32,
    "inception_next_atto": 32,
    "inception_resnet_v2": 96,
    "inception_v3": 96,
    "inception_v4": 96,
    "lambda_resnet26t": 64,
    "legacy_seresnet18": 32,
    "levit_conv_128s": 224,
    "mambaout_femto": 32,
    "maxvit_tiny_tf_224": 64,
    "mixer_s32_224": 64,
    "mobilenetv2_100": 32,
    "mobilenetv3_small_050": 32,
    "mobilenetv4_conv_small": 32,
    "mobileone_s0": 32,
    "mobilevit_xxs": 32,
    "mobilevitv2_050": 32,
    "mvitv2_tiny": 64,
    "nest_tiny": 224,
    "nasnetalarge": 64,
    "nf_resnet26": 32,
    "nfnet_l0": 32,
    "pit_ti_224": 64,
    "pnasnet5large": 64,
    "poolformer_s12": 32,
    "pvt_v2_b0": 32,
    "regnetx_002": 32,
    "regnety_002": 32,
    "repvgg_a0": 32,
    "repvit_m0_9": 32,
    "res2net50_26w_4s": 32,
    "resmlp_12_224": 64,
    "resnest14d": 32,
    "resnet18": 32,
    "resnetv2_50": 32,
    "resnext26ts": 32,
    "rexnet_100": 32,
    "selecsls42": 32,
    "sequencer2d_s": 64,
    "skresnet18": 32,
    "starnet_s050": 32,
    "swin_tiny_patch4_window7_224": 64,
    "swinv2_tiny_window8_256": 64,
    "tf_efficientnetv2_b0": 32,
    "tiny_vit_5m_224": 224,
    "tnt_s_patch16_224": 64,
    "tresnet_m": 32,
    "twins_svt_small": 64,
    "vgg11_bn": 32,
    "visformer_tiny": 64,
    "vit_tiny_patch16_224": 64,
    "volo_d1_224": 64,
    "vovnet39a": 32,
    "xception41": 64,
    "xcit_nano_12_p16_224": 64,
}
"""timm: small ones of as many builds as there are, and the side in pixels of the pictures that they get."""

BESIDE = {
    "coat_tiny": "the relative positions of a stage belong to it, but are held beside its blocks",
    "efficientvim_m1": "the norm of each stage's output stands with the other norms at the end",
}
"""Networks in which some parameters run earlier or later than the block that timm counts them to, and why."""


@pytest.mark.parametrize("name", TORCHVISION)
def test_torchvision(name):
    side = TORCHVISION[name]
    img_size = side if name.startswith("vit_") else None
    keeps_the_contract(create_vision_model(models.get_model_builder(name), 5, pretrained=False, img_size=img_size), side)


@pytest.mark.parametrize("name", TIMM)
def test_timm(name):
    side = TIMM[name]
    published = timm.models.get_pretrained_cfg(name)
    img_size = side if published.fixed_input_size and side not in published.input_size else None
    keeps_the_contract(create_vision_model(name, 5, pretrained=False, img_size=img_size), side)


@pytest.mark.parametrize("name", torchvision_names())
def test_every_torchvision_network_resolves_and_falls_into_three_groups(name):
    assert resolve(models.get_model_builder(name)).stats
    model = create_on_meta(models.get_model_builder(name))
    in_groups_by_depth(model)


def create_on_meta(arch) -> VisionModel:
    """The network without memory for its numbers."""
    with without_memory():
        return create_vision_model(arch, 5, pretrained=False, init=None)


@contextmanager
def without_memory():
    """torch's meta device; RegNets compute their widths with tensors, which need numbers all the same."""
    widths = regnet.BlockParams.from_init_params

    def with_numbers(**options):
        with torch.device("cpu"):
            return widths(**options)

    with mock.patch.object(regnet.BlockParams, "from_init_params", with_numbers), torch.device("meta"):
        yield


def keeps_the_contract(model: VisionModel, side: int) -> None:
    groups = in_groups_by_depth(model)
    pictures = torch.randn(2, model.spec.n_in, side, side)
    started = order_of_execution(model)
    outputs = model.train()(pictures)
    assert outputs.shape == (2, 5)
    assert outputs.isfinite().all()
    outputs.square().mean().backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert without == []
    runs_lower_half_first(model, started)
    freezes(model, groups, pictures)
    comes_back_from_its_description(model)


def in_groups_by_depth(model: VisionModel) -> list[list[nn.Parameter]]:
    """Three groups, none empty, each parameter in exactly one."""
    groups = parameter_groups(model)
    assert len(groups) == 3
    assert all(groups)
    grouped = [id(p) for group in groups for p in group]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(p) for p in model.parameters()}
    assert {id(p) for p in groups[2]} == {id(p) for p in model.head.parameters()}
    return groups


def order_of_execution(model: VisionModel) -> dict[str, int]:
    """Filled by the next forward pass: name of each layer that holds parameters -> when it first ran."""
    started: dict[str, int] = {}

    def note(name: str) -> None:
        started.setdefault(name, len(started))

    for name, layer in model.body.named_modules():
        if next(layer.children(), None) is None and next(layer.parameters(), None) is not None:
            layer.register_forward_pre_hook(lambda _layer, _args, name=name: note(name))
    return started


def runs_lower_half_first(model: VisionModel, started: dict[str, int]) -> None:
    """Every layer of the lower half starts before every layer of the upper half."""
    if model.spec.arch in BESIDE:
        return
    lower = {name.rpartition(".")[0] for name in model.lower_names} & set(started)
    upper = set(started) - lower
    assert lower
    assert upper
    last, first = max(lower, key=started.get), min(upper, key=started.get)
    assert started[last] < started[first], f"{last} is in the lower half, but runs after {first}"


def freezes(model: VisionModel, groups: list[list[nn.Parameter]], pictures: torch.Tensor) -> None:
    """Frozen, only the head and the norms of the body get gradients; unfrozen, everything may."""
    norms = norm_parameters(model)
    freeze_to(groups, -1, norms)
    model.zero_grad()
    model(pictures).square().mean().backward()
    expected = {id(p) for p in [*groups[2], *norms]}
    assert {id(p) for p in model.parameters() if p.grad is not None} == expected
    freeze_to(groups, 0)
    assert all(p.requires_grad for p in model.parameters())


def comes_back_from_its_description(model: VisionModel) -> None:
    """The stored description gives a network with the same names and shapes."""
    with without_memory():
        again = build_from_spec(type(model.spec).from_json(model.spec.to_json()))
    shapes = [(name, tensor.shape) for name, tensor in model.state_dict().items()]
    assert [(name, tensor.shape) for name, tensor in again.state_dict().items()] == shapes
    assert again.lower_names == model.lower_names
