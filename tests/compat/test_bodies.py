"""A body is what lies before the last pooling."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import resnet18

from sightline.compat.bodies import create_body, cut_model


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
