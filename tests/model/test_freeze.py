"""Freezing: groups below a depth stop training, norm layers do not."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import SightlineWarning
from sightline.model.freeze import freeze_to, norm_and_bias_parameters, norm_parameters


def layers() -> tuple[nn.Sequential, list[list[nn.Parameter]]]:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.GroupNorm(2, 4), nn.Linear(4, 2))
    return network, [list(network[:2].parameters()), list(network[2:4].parameters()), list(network[4].parameters())]


@pytest.mark.parametrize(
    ("n", "first", "trained"),
    [(0, 0, [True, True, True]), (-1, 2, [False, False, True]), (1, 1, [False, True, True]), (-2, 1, [False, True, True])],
)
def test_groups_from_n_on_train(n, first, trained):
    _, groups = layers()
    assert freeze_to(groups, n) == first
    assert [all(p.requires_grad for p in group) for group in groups] == trained
    assert [any(p.requires_grad for p in group) for group in groups] == trained


def test_a_number_below_all_groups_freezes_nothing():
    _, groups = layers()
    assert freeze_to(groups, -7) == 0
    assert all(p.requires_grad for group in groups for p in group)


def test_norms_go_on_training_in_frozen_groups_when_asked():
    network, groups = layers()
    freeze_to(groups, -1, norm_parameters(network))
    assert [name for name, p in network.named_parameters() if p.requires_grad] == [
        "1.weight",
        "1.bias",
        "3.weight",
        "3.bias",
        "4.weight",
        "4.bias",
    ]


def test_freezing_past_the_last_group_warns():
    _, groups = layers()
    with pytest.warns(SightlineWarning, match=r"freeze_to\(3\) freezes the whole model: it has 3 groups, numbered from 0"):
        freeze_to(groups, 3)
    assert not any(p.requires_grad for group in groups for p in group)


def test_norm_parameters_find_norms_of_torch_and_those_named_so():
    class RmsNorm(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(4))

    class ConvNormAct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.bn = nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    class NormedLinear(nn.Linear):
        pass

    network = nn.Sequential(RmsNorm(), ConvNormAct(), nn.LayerNorm(4), nn.InstanceNorm2d(4, affine=True), NormedLinear(4, 4))
    found = {id(p) for p in norm_parameters(network)}
    names = [name for name, p in network.named_parameters() if id(p) in found]
    assert names == ["0.weight", "1.bn.weight", "1.bn.bias", "2.weight", "2.bias", "3.weight", "3.bias"]


def test_norm_and_bias_parameters_are_each_named_once():
    network, _ = layers()
    found = norm_and_bias_parameters(network)
    names = {name for name, p in network.named_parameters() if any(p is q for q in found)}
    assert len(found) == len(names)
    assert names == {"0.bias", "1.weight", "1.bias", "2.bias", "3.weight", "3.bias", "4.bias"}
