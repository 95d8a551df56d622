"""A network without memory for its weights: as large as the real one, and the real one once it is given tensors."""

from __future__ import annotations

import resource

import pytest
import timm
import torch
from torch import nn
from torchvision import models

from sightline.errors import BundleError
from sightline.model.skeleton import bytes_of, fill, skeleton_of
from sightline.model.spec import ModelSpec
from sightline.model.vision import create_vision_model


@pytest.mark.parametrize("arch", [models.resnet18, models.regnet_y_400mf, "test_vit", "test_convnext", "test_efficientnet"])
def test_a_skeleton_is_as_large_as_the_network_and_becomes_it(arch):
    model = create_vision_model(arch, 3, pretrained=False).eval()
    skeleton = skeleton_of(model.spec)
    assert bytes_of(skeleton) == bytes_of(model)
    assert fill(skeleton, model.state_dict())
    pictures = torch.randn(2, 3, 160, 160)
    assert torch.equal(skeleton.eval()(pictures), model(pictures))
    assert all(
        one.requires_grad == other.requires_grad for one, other in zip(skeleton.parameters(), model.parameters(), strict=True)
    )


def test_a_filled_skeleton_shares_no_memory_with_what_it_was_filled_with():
    model = create_vision_model("test_convnext", 3, pretrained=False)
    skeleton = skeleton_of(model.spec)
    fill(skeleton, model.state_dict())
    nn.init.zeros_(skeleton.head[-1].weight)
    assert model.head[-1].weight.any()


def test_what_was_computed_when_it_was_built_cannot_be_filled_in():
    # timm's relative positions are not among the tensors that are saved.
    model = create_vision_model("test_vit_relpos" if timm.is_model("test_vit_relpos") else "levit_128s", 3, pretrained=False)
    assert not fill(skeleton_of(model.spec), model.state_dict())


def test_other_names_shapes_and_dtypes_are_not_filled_in():
    model = create_vision_model("test_convnext", 3, pretrained=False)
    tensors = model.state_dict()
    first = next(iter(tensors))
    for other in (
        {**tensors, "more": tensors[first]},
        {**tensors, first: tensors[first][:1]},
        {**tensors, first: tensors[first].half()},
    ):
        assert not fill(skeleton_of(model.spec), other)


def test_the_largest_networks_take_no_memory():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    spec = ModelSpec.from_json({"zoo": "torchvision", "arch": "regnet_y_128gf", "n_out": 10**6, "n_features": 1000, "head": {}})
    assert bytes_of(skeleton_of(spec)) > 4 * 10**9
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200 * 1024


def test_what_cannot_be_built_is_refused():
    spec = ModelSpec.from_json(
        {"zoo": "torchvision", "arch": "resnet18", "n_out": 3, "n_features": 512, "head": {}, "img_size": [9, 9]}
    )
    with pytest.raises(BundleError, match="not built for one size"):
        skeleton_of(spec)
