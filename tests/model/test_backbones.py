"""`arch` in all its spellings, and names that do not exist."""

from __future__ import annotations

from functools import partial

import pytest
import timm
from torch import nn
from torchvision import models
from torchvision.models import detection, segmentation, video

from sightline.errors import ArchitectureError
from sightline.model import architectures
from sightline.model.backbones import list_architectures, rebuild, resolve


@pytest.mark.parametrize(
    ("arch", "zoo", "name"),
    [
        (models.resnet34, "torchvision", "resnet34"),
        (models.vit_b_16, "torchvision", "vit_b_16"),
        (architectures.vit_b_16, "torchvision", "vit_b_16"),
        ("resnet34", "timm", "resnet34"),
        ("resnet18.a1_in1k", "timm", "resnet18.a1_in1k"),
        ("convnext_tiny", "timm", "convnext_tiny"),
        ("swin_t", "torchvision", "swin_t"),
        ("googlenet", "torchvision", "googlenet"),
        ("resnet18.", "timm", "resnet18"),
        ("vit_base_patch16_224_in21k", "timm", "vit_base_patch16_224.augreg_in21k"),
        (timm.models.resnet18, "timm", "resnet18"),
        (partial(models.resnet18, num_classes=3), "custom", "partial"),
    ],
)
def test_a_constructor_is_torchvisions_and_a_name_is_timms_where_timm_has_it(arch, zoo, name):
    backbone = resolve(arch)
    assert (backbone.zoo, backbone.name) == (zoo, name)


def test_a_function_that_only_shares_a_name_is_the_users_own():
    def resnet34(pretrained: bool = False) -> nn.Module:
        return models.resnet34(weights=None)

    assert resolve(resnet34).zoo == "custom"


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet43", "no architecture called 'resnet43'. Did you mean .*'resnet34'"),
        ("Convnext_Tiny", "Did you mean 'convnext_tiny'"),
        ("zzz", "no architecture called 'zzz'. Names are those of timm and torchvision"),
        ("resnet18.a1_in1K", r"timm has resnet18, but no weights of it tagged 'a1_in1K'. Did you mean 'a1_in1k'.*Its tags are"),
        (None, "arch=None is neither a name nor a constructor"),
        (34, "arch=34 is neither a name nor a constructor"),
        (nn.Linear(1, 1), r"arch is a network already \(Linear\)"),
        (segmentation.fcn_resnet50, "fcn_resnet50 is not a network that classifies pictures"),
        (detection.fasterrcnn_resnet50_fpn, "not a network that classifies pictures"),
        (video.r3d_18, "not a network that classifies pictures"),
    ],
)
def test_what_is_no_architecture_is_refused_with_the_closest_names(arch, message):
    with pytest.raises(ArchitectureError, match=message):
        resolve(arch)


def test_every_listed_name_belongs_to_a_zoo():
    names = list_architectures()
    assert len(names) > 1000
    assert {"resnet34", "vit_b_16", "convnext_tiny"} <= set(names)


def test_a_stored_name_is_found_again_in_its_own_zoo_alone():
    assert rebuild("torchvision", "resnet18").zoo == "torchvision"
    assert rebuild("timm", "resnet18.a1_in1k").name == "resnet18.a1_in1k"
    assert rebuild("timm", "resnet18.tag_of_another_year").name == "resnet18"
    for zoo, name in (("torchvision", "convnext_atto"), ("timm", "vit_b_16"), ("os", "system")):
        with pytest.raises(ArchitectureError, match=f"The installed {zoo} has no network called '{name}'"):
            rebuild(zoo, name)
