"""Body and head as one network: fastai's names, order, shapes and groups, and what the learner asks of it."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from torch import nn
from torchvision import models

from sightline.errors import ModelError, OptionError
from sightline.model.vision import VisionModel, create_vision_model, freeze_to, norm_parameters, parameter_groups
from sightline.model.weights import Tensors
from sightline.preprocess import IMAGENET_STATS

HEAD_TENSORS = [
    ("1.2.weight", (1024,)),
    ("1.2.bias", (1024,)),
    ("1.2.running_mean", (1024,)),
    ("1.2.running_var", (1024,)),
    ("1.2.num_batches_tracked", ()),
    ("1.4.weight", (512, 1024)),
    ("1.6.weight", (512,)),
    ("1.6.bias", (512,)),
    ("1.6.running_mean", (512,)),
    ("1.6.running_var", (512,)),
    ("1.6.num_batches_tracked", ()),
    ("1.8.weight", (10, 512)),
]
"""The head of fastai 2.8.12's `create_vision_model(resnet18, 10)`, as its state_dict lists it."""

RESNET_PLACES = {"conv1": 0, "bn1": 1, "layer1": 4, "layer2": 5, "layer3": 6, "layer4": 7}


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_names_order_and_shapes_of_resnets_are_fastais(name):
    model = create_vision_model(models.get_model_builder(name), 10, pretrained=False)
    original = models.get_model_builder(name)(weights=None).state_dict()
    body = [
        (f"0.{RESNET_PLACES[key.split('.')[0]]}.{key.partition('.')[2]}", tuple(tensor.shape))
        for key, tensor in original.items()
        if not key.startswith("fc")
    ]
    assert [(key, tuple(tensor.shape)) for key, tensor in model.state_dict().items()] == body + HEAD_TENSORS


def test_groups_of_a_resnet_are_fastais_and_a_frozen_one_trains_its_norms():
    model = create_vision_model(models.resnet18, 10, pretrained=False)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = parameter_groups(model)
    places = [sorted({names[id(p)][:3] for p in group}) for group in groups]
    assert places == [["0.0", "0.1", "0.4", "0.5"], ["0.6", "0.7"], ["1.2", "1.4", "1.6", "1.8"]]
    freeze_to(groups, -1, norm_parameters(model))
    body = list(model.body.parameters())
    assert (sum(p.requires_grad for p in body), len(body)) == (40, 60)


def test_another_network_is_one_group():
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    assert parameter_groups(network) == [list(network.parameters())]


def test_statistics_are_those_of_the_weights_and_none_without_weights(monkeypatch):
    published = Tensors(models.resnet18(weights=None).state_dict(), "as published")
    monkeypatch.setattr("sightline.model.torchvision_zoo.fetch_torchvision", lambda entry, arch: published)
    assert create_vision_model(models.resnet18, 2).stats == IMAGENET_STATS
    assert create_vision_model(models.resnet18, 2, n_in=1).stats is None
    assert create_vision_model(models.resnet18, 2, pretrained=False).stats is None


def test_a_custom_head_is_used_as_it_is_and_initialised():
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2))
    weight = head[2].weight.clone()
    model = create_vision_model(models.resnet18, 2, pretrained=False, custom_head=head)
    assert model.head is head
    assert not torch.equal(head[2].weight, weight)
    assert torch.equal(head[2].bias, torch.zeros(2))
    assert model.spec.head is None


def test_the_first_of_two_parts_is_the_body_and_a_slice_is_a_plain_sequence():
    model = create_vision_model(models.resnet18, 2, pretrained=False)
    assert model[0] is model.body
    assert model[1] is model[-1] is model.head
    assert type(model[1:]) is nn.Sequential
    assert model[1:][0] is model.head


@pytest.mark.parametrize("again", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_keeps_description_and_groups(again):
    model = create_vision_model("test_resnet", 2, pretrained=False)
    copied = again(model)
    assert isinstance(copied, VisionModel)
    assert copied.spec == model.spec
    assert [len(group) for group in parameter_groups(copied)] == [len(group) for group in parameter_groups(model)]


def test_layers_that_a_user_adds_belong_to_a_group_too():
    model = create_vision_model(models.resnet18, 2, pretrained=False)
    model.body.append(nn.Conv2d(512, 512, 1))
    model.append(nn.Linear(2, 2))
    groups = parameter_groups(model)
    assert sum(len(group) for group in groups) == len(list(model.parameters()))
    assert any(p is model.body[-1].weight for p in groups[1])
    assert any(p is model[2].weight for p in groups[2])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"n_out": 0}, OptionError, "n_out=0 is not a number of outputs"),
        ({"n_out": 2.0}, OptionError, "n_out=2.0 is not a number of outputs"),
        ({"pool": False}, ModelError, r"pool=False, but the body of resnet18 gives feature maps \(N, 512, H, W\)"),
        ({"n_in": 0}, ModelError, "n_in=0 is not a number of channels"),
        ({"cut": "layer4"}, OptionError, "cut='layer4' is not a number of children to keep, a function, or None"),
        (
            {"cut": 100},
            ModelError,
            r"cut=100: resnet18 has only 10 parts, which are conv1, bn1, .*Give the number of them to keep",
        ),
        ({"cut": -10}, ModelError, "cut=-10 leaves nothing of resnet18"),
        (
            {"custom_head": nn.Flatten},
            OptionError,
            r"custom_head=Flatten is a class or a function.*what it makes, Flatten\(\.\.\.\)",
        ),
        ({"custom_head": "linear"}, OptionError, r"custom_head='linear' is not a torch.nn.Module"),
        ({"img_size": "big"}, OptionError, "size='big' is not a number of pixels"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        create_vision_model(models.resnet18, **{"n_out": 2, "pretrained": False, **options})
