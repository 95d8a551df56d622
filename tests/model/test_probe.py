"""Trying a network on a blank picture changes nothing, and tells in plain words which size of picture fits."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision import models

from sightline.errors import ModelError
from sightline.model.modes import evaluating
from sightline.model.probe import measure, squares
from sightline.model.vision import check_input, create_vision_model


def test_statistics_modes_gradients_and_random_numbers_stay_as_they_were():
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    body[1].eval()
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    state = torch.get_rng_state()
    assert measure(body, 3, squares(), "toy").count == 4
    assert [body.training, body[1].training, body[2].training] == [True, False, True]
    assert all(torch.equal(before[name], tensor) for name, tensor in body.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)


def test_modes_come_back_when_the_network_fails():
    layer = nn.Linear(2, 2)
    with pytest.raises(ZeroDivisionError), evaluating(layer):
        raise ZeroDivisionError
    assert layer.training


def test_the_first_size_that_works_is_taken():
    found = measure(models.alexnet(weights=None).features, 3, squares(), "alexnet")
    assert (found.count, found.pooled, found.size) == (256, False, (64, 64))


def test_a_body_that_takes_no_size_says_what_it_said():
    with pytest.raises(ModelError, match=r"body of toy takes no picture with 3 channels of 32x32, .*512x512 pixels: .*"):
        measure(nn.Linear(7, 7), 3, squares(), "toy")


@pytest.mark.parametrize("size", [(64, 64), (224, 160)])
def test_convolutional_networks_take_many_sizes(size):
    check_input(create_vision_model(models.resnet18, 2, pretrained=False), size)


@pytest.mark.parametrize(
    ("arch", "size", "message"),
    [
        (
            models.vit_b_32,
            (192, 192),
            r"vit_b_32 takes pictures of 224x224 pixels, but yours are 192x192. Use item_tfms=Resize\(224\)",
        ),
        (
            "vit_tiny_patch16_224",
            (224, 160),
            r"takes pictures of 224x224 pixels, but yours are 224x160. Use item_tfms=Resize\(224\)",
        ),
        (
            models.alexnet,
            (16, 16),
            r"alexnet does not take pictures of 16x16 pixels: .* A size that works is 224x224: use item_tfms=Resize\(224\)",
        ),
    ],
)
def test_a_size_that_does_not_fit_is_refused_with_one_that_does(arch, size, message):
    model = create_vision_model(arch, 2, pretrained=False)
    with pytest.raises(ModelError, match=message):
        check_input(model, size)


def test_a_transformer_built_for_another_size_takes_that_size():
    check_input(create_vision_model("vit_tiny_patch16_224", 2, pretrained=False, img_size=96), (96, 96))


def test_networks_that_are_not_ours_are_not_tried():
    check_input(nn.Linear(3, 3), (10, 10))
