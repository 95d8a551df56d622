"""timm's networks: maps where timm pools afterwards, vectors elsewhere, nothing unused, and what each tag expects."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from sightline.errors import ModelError, WeightsError
from sightline.model.timm_body import TimmBody
from sightline.model.timm_zoo import TimmBackbone
from sightline.model.vision import create_vision_model, parameter_groups


def test_maps_come_channels_first_also_from_networks_that_keep_them_last():
    body = TimmBackbone("swin_tiny_patch4_window7_224").build(img_size=(64, 64)).module.eval()
    pictures = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        maps, own = body(pictures), body.model.forward_features(pictures)
    assert maps.shape == (2, 768, 2, 2)
    assert torch.equal(maps, own.permute(0, 3, 1, 2))


@pytest.mark.parametrize(("name", "side"), [("vit_tiny_patch16_224", 64), ("mixer_s32_224", 64), ("convmixer_768_32", 32)])
def test_networks_that_timm_does_not_pool_as_maps_give_their_own_pooled_vectors(name, side):
    fixed = name != "convmixer_768_32"
    model = create_vision_model(name, 4, pretrained=False, img_size=side if fixed else None).eval()
    pictures = torch.randn(2, 3, side, side)
    with torch.no_grad():
        assert torch.equal(model.body(pictures), model.body.model(pictures))
    assert model.spec.head.pool is False
    assert [type(layer).__name__ for layer in model.head][:2] == ["BatchNorm1d", "Dropout"]


@pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "vgg11_bn"])
def test_layers_that_only_a_classifier_would_use_are_left_out(name):
    whole = timm.create_model(name, pretrained=False, num_classes=0)
    with torch.device("meta"):
        body = TimmBackbone(name).build().module
    left = set(dict(whole.named_parameters())) - {key.removeprefix("model.") for key in dict(body.named_parameters())}
    assert left
    assert all(key.startswith(("conv_head", "head", "pre_logits")) for key in left)


def test_parameters_that_the_author_holds_fixed_are_never_trained():
    model = create_vision_model("efficientvim_m1", 2, pretrained=False)
    assert "model.weights" not in dict(model.body.named_parameters())
    assert "model.weights" in model.body.state_dict()


def test_the_recipe_is_that_of_the_tag():
    backbone = TimmBackbone("vit_base_patch16_224")
    assert backbone.stats == ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mae = backbone.recipe("mae")
    assert mae.mean == (0.485, 0.456, 0.406)
    resnet = TimmBackbone("resnet18.a1_in1k").recipe()
    assert (resnet.size, resnet.crop_share, resnet.interpolation) == ((224, 224), 0.95, "bicubic")


def test_a_tag_is_given_alone_or_with_its_name():
    backbone = TimmBackbone("resnet18")
    assert backbone.tagged() == "resnet18"
    assert backbone.tagged("a1_in1k") == backbone.tagged("resnet18.a1_in1k") == "resnet18.a1_in1k"
    assert TimmBackbone("resnet18.tv_in1k").tagged("a1_in1k") == "resnet18.a1_in1k"
    with pytest.raises(WeightsError, match=r"weights='a1_in1K' is no tag of timm's resnet18. Did you mean 'a1_in1k'"):
        backbone.tagged("a1_in1K")
    with pytest.raises(WeightsError, match="is no tag of timm's resnet18"):
        backbone.tagged(7)
    with pytest.raises(WeightsError, match=r"torchvision's weights belong to its constructors"):
        create_vision_model("resnet18", 2, weights="IMAGENET1K_V1")


@pytest.mark.parametrize("n_in", [1, 4])
def test_input_channels_are_timms_own_affair(n_in):
    model = create_vision_model("test_resnet", 2, pretrained=False, n_in=n_in)
    assert model(torch.randn(2, n_in, 32, 32)).shape == (2, 2)


def test_a_numbered_cut_keeps_that_many_parts():
    model = create_vision_model("resnet18", 2, pretrained=False, cut=6)
    assert [type(part).__name__ for part in model.body][:4] == ["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"]
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 2)
    assert all(parameter_groups(model))


def test_a_picture_size_that_a_network_cannot_be_built_for_is_refused():
    with pytest.raises(ModelError, match="timm cannot build resnet18 with"):
        create_vision_model("resnet18", 2, pretrained=False, img_size=64)


def test_depth_follows_timms_own_order_of_layers():
    with torch.device("meta"):
        body = TimmBackbone("vit_tiny_patch16_224").build()
    assert {"model.cls_token", "model.pos_embed", "model.patch_embed.proj.weight"} <= set(body.units[0])
    assert "model.blocks.5.norm1.weight" in body.lower_names
    assert "model.blocks.6.norm1.weight" not in body.lower_names
    assert "model.norm.weight" in body.units[-1]


def test_a_bare_encoder_is_pooled_by_the_mean_of_its_tokens():
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.pretrained_cfg = {"pool_size": None}

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.flatten(2).mT

    pictures = torch.randn(2, 3, 4, 4)
    torch.testing.assert_close(TimmBody(Encoder())(pictures), pictures.mean(dim=(2, 3)))
