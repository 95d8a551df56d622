"""Our names of torchvision's constructors do what torchvision's own do."""

from __future__ import annotations

import pickle
from functools import partial

import torch
from torchvision import models

from sightline.model.architectures import Architecture, resnet18, resnet34
from sightline.model.backbones import resolve
from sightline.model.vision import create_vision_model


def test_calling_one_gives_torchvisions_network():
    torch.manual_seed(3)
    ours = resnet18(num_classes=5).state_dict()
    torch.manual_seed(3)
    theirs = models.resnet18(num_classes=5).state_dict()
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())


def test_one_is_known_by_its_name():
    assert resnet18.__name__ == resnet18.name == "resnet18"
    assert resnet18 == Architecture("resnet18") != resnet34
    assert {resnet18: 1}[pickle.loads(pickle.dumps(resnet18))] == 1


def test_torchvision_finds_the_weights_of_one():
    assert models.get_model_weights(resnet18) is models.ResNet18_Weights


def test_a_network_from_ours_and_from_torchvisions_is_described_alike():
    specs = [create_vision_model(arch, 3, pretrained=False).spec for arch in (resnet18, models.resnet18)]
    assert specs[0] == specs[1]


def test_a_function_around_one_is_the_users_own():
    assert resolve(partial(resnet18, num_classes=3)).zoo == "custom"
