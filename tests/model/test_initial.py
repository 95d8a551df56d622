"""Initial values reach every layer but norms and what is frozen."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.model.initial import apply_init, apply_leaf, cond_init, init_default


def test_draws_and_order_are_fastais():
    torch.manual_seed(3)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))
    apply_init(model)
    # Sums of the parameters in order, from fastai 2.8.12 by the same lines.
    assert [p.sum().item() for p in model.parameters()] == pytest.approx([-1.60896, 0.0, 4.0, 0.0, 1.31712, 0.0], abs=1e-4)


def test_one_layer_is_drawn_whatever_it_is():
    norm = init_default(nn.BatchNorm2d(3))
    assert norm.weight.tolist() == [1, 1, 1]
    layer = nn.Linear(3, 2).requires_grad_(False)
    assert init_default(layer, nn.init.ones_) is layer
    assert layer.weight.sum() == 6
    assert layer.bias.tolist() == [0, 0]


def test_frozen_layers_and_norms_are_passed_over():
    frozen, norm = nn.Linear(3, 2).requires_grad_(False), nn.LayerNorm(3)
    before = frozen.weight.clone()
    for layer in (frozen, norm, nn.ReLU()):
        cond_init(layer, nn.init.zeros_)
    assert torch.equal(frozen.weight, before)
    assert norm.weight.tolist() == [1, 1, 1]


def test_every_layer_is_visited_outer_ones_first():
    model = nn.Sequential(nn.Sequential(nn.ReLU()), nn.Tanh())
    seen = []
    apply_leaf(model, lambda layer: seen.append(type(layer).__name__))
    assert seen == ["Sequential", "Sequential", "ReLU", "Tanh"]
