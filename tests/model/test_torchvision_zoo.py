"""torchvision's networks: bodies that compute what the whole network computes, and what their weights expect."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision import models

from sightline.errors import ModelError, WeightsError
from sightline.model.backbones import resolve, torchvision_names
from sightline.model.torchvision_zoo import TorchvisionBackbone
from sightline.model.vision import create_vision_model, parameter_groups
from sightline.model.weights import Tensors
from sightline.preprocess import IMAGENET_STATS

SMALLEST = [
    ("alexnet", 64),
    ("convnext_tiny", 64),
    ("densenet121", 64),
    ("efficientnet_b0", 64),
    ("efficientnet_v2_s", 64),
    ("googlenet", 64),
    ("inception_v3", 128),
    ("maxvit_t", 224),
    ("mnasnet0_5", 64),
    ("mobilenet_v2", 64),
    ("mobilenet_v3_small", 64),
    ("mobilenet_v3_large", 64),
    ("regnet_x_400mf", 64),
    ("regnet_y_400mf", 64),
    ("resnet18", 64),
    ("resnet50", 64),
    ("resnext50_32x4d", 64),
    ("wide_resnet50_2", 64),
    ("shufflenet_v2_x0_5", 64),
    ("squeezenet1_1", 64),
    ("swin_t", 64),
    ("swin_v2_t", 64),
    ("vgg11", 64),
    ("vgg11_bn", 64),
    ("vit_b_32", 224),
]
"""The smallest of every family, with a picture's side that it takes."""


def logits_from(name: str, whole: nn.Module, features: torch.Tensor) -> torch.Tensor:
    """What the rest of the original network makes of a body's features, as each paper's code does."""
    if name.startswith("vit_"):
        return whole.heads(features)
    if name.startswith("squeezenet"):
        return whole.classifier(features).flatten(1)
    if name.startswith(("mobilenet_v2", "mnasnet")):
        return whole.classifier(features.mean(dim=(2, 3)))
    if name.startswith("densenet"):
        return whole.classifier(F.relu(features).mean(dim=(2, 3)))
    if name.startswith("shufflenet"):
        return whole.fc(features.mean(dim=(2, 3)))
    if name.startswith(("alexnet", "vgg", "mobilenet_v3", "efficientnet")):
        return whole.classifier(whole.avgpool(features).flatten(1))
    if name.startswith("convnext"):
        return whole.classifier(whole.avgpool(features))
    if name.startswith("maxvit"):
        return whole.classifier(features)
    if name.startswith("swin"):
        return whole.head(features.mean(dim=(2, 3)))
    return whole.fc(whole.avgpool(features).flatten(1))


@pytest.mark.parametrize(("name", "side"), SMALLEST, ids=[name for name, _ in SMALLEST])
def test_body_then_the_original_pooling_and_classifier_gives_the_original_logits(name, side, monkeypatch):
    options = {"aux_logits": False, "init_weights": True} if name in ("googlenet", "inception_v3") else {}
    whole = models.get_model_builder(name)(weights=None, **options).eval()
    if name.startswith("vit_"):
        nn.init.normal_(whole.heads.head.weight)  # it starts at zero, and would hide any difference
    settle(whole, side)
    published = Tensors(whole.state_dict(), "as published")
    monkeypatch.setattr("sightline.model.torchvision_zoo.fetch_torchvision", lambda entry, arch: published)
    body = TorchvisionBackbone(name).build(pretrained=True).module.eval()
    pictures = torch.randn(2, 3, side, side)
    if options:
        whole.transform_input = True  # as torchvision sets it with weights
    with torch.no_grad():
        expected = whole(pictures)
        found = logits_from(name, whole, body(pictures))
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


def settle(network: nn.Module, side: int) -> None:
    """Statistics from noise, so that deep networks with random weights keep numbers of a useful size."""
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = None
    network.train()
    with torch.no_grad():
        network(torch.randn(8, 3, side, side))
    network.eval()


def test_every_classification_network_has_statistics_size_and_interpolation():
    names = torchvision_names()
    assert len(names) >= 80
    for name in names:
        recipe = resolve(models.get_model_builder(name)).recipe()
        assert len(recipe.mean) == len(recipe.std) == 3
        assert recipe.size[0] == recipe.size[1] >= 224
        assert 0.8 < recipe.crop_share <= 1
        assert recipe.interpolation in ("bilinear", "bicubic")


def test_the_recipe_is_that_of_the_weights_asked_for():
    assert TorchvisionBackbone("resnet34").stats == IMAGENET_STATS
    assert TorchvisionBackbone("efficientnet_v2_l").stats == ((0.5,) * 3, (0.5,) * 3)
    vit = TorchvisionBackbone("vit_b_16")
    assert vit.recipe().size == (224, 224)
    swag = vit.recipe("IMAGENET1K_SWAG_E2E_V1")
    assert (swag.size, swag.crop_share, swag.interpolation) == ((384, 384), 1.0, "bicubic")
    assert vit.recipe(models.ViT_B_16_Weights.IMAGENET1K_V1).crop_share == 224 / 256


def test_weights_are_named_in_every_way_torchvision_names_them():
    backbone, enum = TorchvisionBackbone("resnet50"), models.ResNet50_Weights
    assert backbone.entry() is enum.DEFAULT
    assert backbone.entry("DEFAULT") is enum.IMAGENET1K_V2
    assert backbone.entry("IMAGENET1K_V1") is enum.IMAGENET1K_V1
    assert backbone.entry("ResNet50_Weights.IMAGENET1K_V1") is enum.IMAGENET1K_V1
    assert backbone.entry(enum.IMAGENET1K_V1) is enum.IMAGENET1K_V1


def test_weights_of_another_name_or_another_network_are_refused():
    with pytest.raises(WeightsError, match=r"'IMAGENET1K_V3' is not among those of resnet50.*Did you mean '"):
        create_vision_model(models.resnet50, 2, weights="IMAGENET1K_V3")
    with pytest.raises(WeightsError, match=r"ResNet18_Weights.IMAGENET1K_V1 is not among those of resnet50"):
        create_vision_model(models.resnet50, 2, weights=models.ResNet18_Weights.IMAGENET1K_V1)


@pytest.mark.parametrize(
    ("name", "first_upper"),
    [
        ("resnet18", "6.0.conv1.weight"),
        ("resnet50", "6.0.conv1.weight"),
        ("vgg11_bn", "0.22.weight"),
        ("vgg19_bn", "0.23.weight"),
        ("densenet121", "0.transition2.norm.weight"),
        ("squeezenet1_1", "0.6.squeeze.weight"),
        ("alexnet", "0.6.weight"),
        ("vit_b_32", "encoder.layers.encoder_layer_6.ln_1.weight"),
        ("convnext_tiny", "0.5.3.layer_scale"),
        ("swin_t", "0.5.2.norm1.weight"),
    ],
)
def test_the_border_between_the_halves_is_fastais_or_lies_at_half_of_the_blocks(name, first_upper):
    with torch.device("meta"):
        body = TorchvisionBackbone(name).build()
    assert body.units[body.lower_units][0] == first_upper


def test_a_numbered_cut_keeps_that_many_children_and_a_function_does_as_it_likes():
    shorter = create_vision_model(models.resnet18, 3, pretrained=False, cut=-3)
    assert len(shorter.body) == 7
    assert shorter.spec.cut == -3
    assert shorter(torch.randn(2, 3, 64, 64)).shape == (2, 3)
    trunk = create_vision_model(
        models.resnet18, 3, pretrained=False, cut=lambda net: nn.Sequential(net.conv1, net.bn1, net.layer1)
    )
    assert trunk.spec.cut == "custom"
    assert trunk.spec.n_features == 64
    assert all(parameter_groups(trunk))


def test_a_cut_below_fastais_border_still_gives_two_halves():
    lower, upper, _ = parameter_groups(create_vision_model(models.resnet18, 3, pretrained=False, cut=6))
    assert lower
    assert upper


@pytest.mark.parametrize(
    ("arch", "cut", "message"),
    [
        (models.resnet18, 0, "cut=0 leaves nothing of resnet18, whose 10 parts are conv1, bn1"),
        (models.vit_b_32, 2, "vit_b_32 does not run its parts one after the other"),
        (models.resnet18, lambda net: [net.conv1], "cut returned list for resnet18"),
        (models.resnet18, -1, None),
    ],
)
def test_a_cut_that_leaves_no_body_is_refused(arch, cut, message):
    if message is None:  # the pooling is kept: maps of one pixel are still maps
        assert create_vision_model(arch, 2, pretrained=False, cut=cut).spec.n_features == 512
    else:
        with pytest.raises(ModelError, match=message):
            create_vision_model(arch, 2, pretrained=False, cut=cut)


def test_a_transformer_is_built_for_another_size_and_positions_are_resampled(tmp_path):
    small = models.vit_b_32(image_size=64)
    torch.save(small.state_dict(), tmp_path / "vit64.pth")
    body = TorchvisionBackbone("vit_b_32").build(weights=tmp_path / "vit64.pth", img_size=(96, 96))
    assert body.fixed_size == (96, 96)
    assert body.module(torch.zeros(1, 3, 96, 96)).shape == (1, 768)
    expected = F.interpolate(
        small.encoder.pos_embedding[:, 1:].mT.reshape(1, 768, 2, 2), size=3, mode="bicubic", align_corners=True
    )
    found = body.module.encoder.pos_embedding[:, 1:].mT.reshape(1, 768, 3, 3)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    ("arch", "img_size", "message"),
    [
        (models.resnet18, 64, r"resnet18 is not built for one size of picture: leave img_size=\(64, 64\) away"),
        (models.vit_b_32, 100, r"vit_b_32 cannot be built for pictures of \(100, 100\)"),
        (models.vit_b_32, (64, 96), r"vit_b_32 takes square pictures"),
    ],
)
def test_a_size_that_cannot_be_built_for_is_refused(arch, img_size, message):
    with pytest.raises(ModelError, match=message):
        create_vision_model(arch, 2, pretrained=False, img_size=img_size)


@pytest.mark.parametrize("name", ["vit_b_32", "convnext_tiny", "inception_v3"])
def test_input_channels_change_in_families_whose_first_convolution_lies_deeper(name):
    model = create_vision_model(models.get_model_builder(name), 2, pretrained=False, n_in=2)
    side = 224 if name == "vit_b_32" else 96
    assert model(torch.randn(2, 2, side, side)).shape == (2, 2)
