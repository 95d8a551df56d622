"""A body is what lies before the last pooling, and a head is put on it as fastai does."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn
from torchvision import models
from torchvision.models import resnet18

from sightline.compat.bodies import TimmBody, add_head, create_body, create_timm_model, cut_model, model_meta
from sightline.model import architectures
from sightline.preprocess import IMAGENET_STATS


def test_a_body_keeps_the_layers_of_its_network():
    network = resnet18(weights=None)
    body = create_body(network, pretrained=False)
    assert body(torch.zeros(2, 3, 64, 64)).shape == (2, 512, 2, 2)
    assert body[0].weight is network.conv1.weight


def test_grey_pictures_get_a_first_layer_of_their_own():
    network = resnet18(weights=None)
    summed = network.conv1.weight.sum(dim=1, keepdim=True)
    body = create_body(network, n_in=1)
    assert torch.allclose(body[0].weight, summed)
    with pytest.raises(ValueError, match="n_in"):
        create_body(resnet18(weights=None), n_in=0)


def test_a_cut_is_a_number_or_a_function():
    assert len(create_body(resnet18(weights=None), cut=4)) == len(cut_model(resnet18(weights=None), 4)) == 4
    assert isinstance(create_body(resnet18(weights=None), cut=lambda network: network.layer1), nn.Sequential)
    with pytest.raises(ValueError, match="has no pooling layer"):
        create_body(nn.Sequential(nn.Conv2d(3, 4, 3)))


# Where fastai 2.8.12 cuts, and how many numbers are in each group that its `split` makes of (body, nn.Linear(2, 2)).
KNOWN = {
    "resnet18": (-2, [683072, 10493440, 6]),
    "vgg16_bn": (-2, [1737792, 12985344, 6]),
    "alexnet": (-2, [330688, 2139008, 6]),
    "squeezenet1_0": (-1, [38560, 696864, 6]),
    "densenet121": (-1, [1297536, 5656320, 6]),
}


@pytest.mark.parametrize("name", KNOWN)
def test_networks_are_cut_and_split_where_fastai_does(name):
    with torch.device("meta"):
        network = getattr(models, name)(weights=None)
    known = model_meta[getattr(models, name)]
    model = nn.Sequential(create_body(network, cut=known["cut"]), nn.Linear(2, 2))
    counts = [sum(p.numel() for p in group) for group in known["split"](model)]
    assert (known["cut"], counts, known["stats"], known["weights"]) == (*KNOWN[name], IMAGENET_STATS, "DEFAULT")


def test_what_fastai_knows_is_a_mapping():
    assert resnet18 in model_meta
    assert model_meta.get(models.vit_b_16) is None
    assert model_meta.get("resnet18", {"cut": None}) == {"cut": None}
    assert {"resnet152", "vgg19_bn", "densenet201"} <= {arch.name for arch in model_meta}
    assert all(model_meta[arch] for arch in model_meta)
    assert architectures.resnet152 in model_meta
    assert models.resnet152 in model_meta
    assert len(model_meta) == len(list(model_meta))


def test_a_head_is_put_on_a_body():
    model = add_head(nn.Conv2d(3, 8, 1), 8, 4, lin_ftrs=[5])
    assert [list(value.shape) for value in model[1].state_dict().values() if value.ndim > 1] == [[5, 16], [4, 5]]
    assert model(torch.zeros(2, 3, 6, 6)).shape == (2, 4)
    given = nn.Linear(8, 2)
    before = given.weight.clone()
    assert torch.equal(add_head(nn.Identity(), 8, 2, init=None, head=given)[1].weight, before)
    assert add_head(nn.Identity(), 8, 2, init=nn.init.zeros_, head=given)[1].weight.abs().sum() == 0


def test_a_network_of_timm_comes_with_what_timm_says_of_it():
    model, told = create_timm_model("test_resnet", 5, pretrained=False, n_in=1, lin_ftrs=[])
    assert model(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
    assert told["mean"] == told["std"] == (0.5, 0.5, 0.5)
    assert all(name.startswith(("0.model.", "1.")) for name in model.state_dict())


def test_a_network_of_timm_is_a_body():
    body = TimmBody(timm.create_model("test_resnet", num_classes=0), pretrained=False)
    assert body.needs_pool
    assert body(torch.zeros(1, 3, 64, 64)).ndim == 4
    assert not TimmBody(timm.create_model("test_vit", num_classes=0)).needs_pool
