"""The head: fastai's layers in fastai's order, and options that refuse what cannot be.

The layouts were printed by fastai 2.8.12 (`create_head(512, 10, ...)`): norm(features), drop(p), linear(in>out), + for a bias.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import nn

from sightline.errors import BundleError, OptionError
from sightline.model.head import HeadOptions, create_head
from sightline.model.initial import apply_init
from sightline.model.layers import AdaptiveConcatPool2d, SigmoidRange

POOLED = "concat flatten "
DEFAULT = "norm(1024) drop(0.25) linear(1024>512) relu norm(512) drop(0.5) linear(512>10)"
LAYOUTS = [
    ({}, POOLED + DEFAULT),
    (
        {"concat_pool": False, "lin_ftrs": [64, 32], "first_bn": False, "bn_final": True},
        "avg flatten drop(0.25) linear(512>64)+ relu norm(64) drop(0.25) linear(64>32) relu norm(32) drop(0.5) linear(32>10) "
        "final(10)",
    ),
    ({"lin_first": True}, POOLED + "drop(0.25) linear(1024>512) relu norm(512) drop(0.5) linear(512>10)+"),
    (
        {"lin_first": True, "lin_ftrs": [64, 32], "ps": [0.1, 0.2, 0.3], "first_bn": False},
        POOLED + "drop(0.1) linear(1024>64)+ relu drop(0.2) linear(64>32) relu norm(32) drop(0.3) linear(32>10)+",
    ),
    ({"lin_ftrs": []}, POOLED + "norm(1024) drop(0.5) linear(1024>10)"),
    ({"lin_ftrs": [], "first_bn": False}, POOLED + "drop(0.5) linear(1024>10)+"),
    ({"lin_ftrs": [], "lin_first": True, "ps": 0.0}, POOLED + "drop(0.0) linear(1024>10)+"),
    ({"ps": 0.0}, POOLED + "norm(1024) linear(1024>512) relu norm(512) linear(512>10)"),
    ({"ps": [0.1, 0.4]}, POOLED + DEFAULT.replace("0.25", "0.1").replace("0.5", "0.4")),
    ({"pool": False}, "norm(512) drop(0.25) linear(512>512) relu norm(512) drop(0.5) linear(512>10)"),
    ({"y_range": (0, 5), "bn_final": True}, POOLED + DEFAULT + " final(10) range(0..5)"),
    ({"ps": [0.3], "lin_ftrs": [16]}, POOLED + "norm(1024) drop(0.15) linear(1024>16) relu norm(16) drop(0.3) linear(16>10)"),
]


def words(layer: nn.Module) -> str:
    if isinstance(layer, nn.Linear):
        return f"linear({layer.in_features}>{layer.out_features}){'' if layer.bias is None else '+'}"
    if isinstance(layer, nn.BatchNorm1d):
        return f"{'final' if layer.momentum == 0.01 else 'norm'}({layer.num_features})"
    if isinstance(layer, nn.Dropout):
        return f"drop({layer.p})"
    if isinstance(layer, SigmoidRange):
        return f"range({layer.low}..{layer.high})"
    return {"AdaptiveConcatPool2d": "concat", "AdaptiveAvgPool2d": "avg", "Flatten": "flatten", "ReLU": "relu"}[
        type(layer).__name__
    ]


@pytest.mark.parametrize(("options", "layout"), LAYOUTS, ids=[str(options) for options, _ in LAYOUTS])
def test_layers_order_shapes_and_biases_are_fastais(options, layout):
    assert " ".join(words(layer) for layer in create_head(512, 10, **options)) == layout


def test_norms_of_the_head_start_with_a_bias_of_a_thousandth_and_the_final_one_with_zero():
    head = create_head(8, 3, bn_final=True)
    norms = [layer for layer in head if isinstance(layer, nn.BatchNorm1d)]
    assert [round(norm.bias[0].item(), 6) for norm in norms] == [0.001, 0.001, 0.0]
    assert all(torch.equal(norm.weight, torch.ones_like(norm.weight)) for norm in norms)
    assert [norm.momentum for norm in norms] == [0.1, 0.1, 0.01]


def test_concat_pool_puts_the_maxima_before_the_averages():
    maps = torch.arange(2 * 3 * 4 * 5, dtype=torch.float32).reshape(2, 3, 4, 5)
    pooled = AdaptiveConcatPool2d()(maps)
    expected = torch.cat([maps.reshape(2, 3, 20).max(dim=2).values, maps.reshape(2, 3, 20).mean(dim=2)], dim=1)
    assert torch.equal(pooled[:, :, 0, 0], expected)


def test_sigmoid_range_maps_zero_to_the_middle_and_extremes_to_the_bounds():
    outputs = SigmoidRange(-2, 6)(torch.tensor([-1e4, 0.0, 1e4]))
    assert outputs.tolist() == [-2.0, 2.0, 6.0]


def test_apply_init_scales_weights_by_fan_in_and_leaves_norms_alone():
    head = create_head(512, 10, lin_first=True)
    apply_init(head, nn.init.kaiming_normal_)
    first, last = (layer for layer in head if isinstance(layer, nn.Linear))
    assert first.weight.std().item() == pytest.approx((2 / 1024) ** 0.5, rel=0.01)
    assert torch.equal(last.bias, torch.zeros(10))
    norm = next(layer for layer in head if isinstance(layer, nn.BatchNorm1d))
    assert round(norm.bias[0].item(), 6) == 0.001


def test_apply_init_passes_over_weights_of_one_dimension_and_takes_none_as_leave():
    head = nn.Sequential(nn.Linear(4, 4), nn.PReLU(4), nn.LayerNorm(4))
    before = [p.clone() for p in head.parameters()]
    apply_init(head, None)
    assert all(torch.equal(p, q) for p, q in zip(head.parameters(), before, strict=True))
    apply_init(head, nn.init.zeros_)
    assert head[0].weight.abs().sum() == 0
    assert torch.equal(head[1].weight, before[2])
    assert torch.equal(head[2].weight, torch.ones(4))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ps": [0.1, 0.2, 0.3]}, r"ps has 3 values, but a head with lin_ftrs=\[512\] has 2 linear layers.*or 2 values"),
        ({"ps": 1.0}, r"ps=1.0: a dropout probability is a number from 0 up to, but without, 1"),
        ({"ps": "0.5"}, "a dropout probability is a number"),
        ({"lin_ftrs": 512}, r"lin_ftrs=512 is not a list of sizes, such as \[512\]"),
        ({"lin_ftrs": [0]}, "0 is not a number of units from 1"),
        ({"y_range": (5, 0)}, r"y_range=\(5, 0\): low must be below high"),
        ({"y_range": (0, float("inf"))}, "both finite"),
        ({"y_range": 5}, r"y_range=5 is not a pair of numbers \(low, high\)"),
        ({"first_bn": "yes"}, "first_bn='yes' is not True or False"),
    ],
)
def test_an_option_outside_what_it_may_be_is_refused(options, message):
    with pytest.raises(OptionError, match=message):
        create_head(8, 2, **options)


@pytest.mark.parametrize(("options", "_layout"), LAYOUTS, ids=[str(options) for options, _ in LAYOUTS])
def test_options_come_back_from_json_as_they_went(options, _layout):
    given = HeadOptions.of(**options)
    assert HeadOptions.from_json(given.to_json()) == given


@pytest.mark.parametrize(
    ("options", "same"),
    [
        ({"lin_ftrs": [np.int64(8)], "ps": np.float32(0.25)}, {"lin_ftrs": [8], "ps": 0.25}),
        ({"lin_ftrs": np.array([8, 4]), "ps": np.array([0.5, 0.25, 0.125])}, {"lin_ftrs": [8, 4], "ps": [0.5, 0.25, 0.125]}),
        ({"lin_ftrs": (np.int32(8),), "y_range": (np.float32(0), np.int64(5))}, {"lin_ftrs": [8], "y_range": (0.0, 5)}),
        ({"ps": torch.tensor(0.25)}, {"ps": 0.25}),
    ],
    ids=str,
)
def test_numbers_of_numpy_and_pytorch_are_taken_as_pythons(options, same):
    found = HeadOptions.of(**options)
    assert found == HeadOptions.of(**same)
    assert json.loads(json.dumps(found.to_json())) == HeadOptions.of(**same).to_json()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"lin_fters": [1]}, "unknown name 'lin_fters': was it written by a newer"),
        ({"ps": [0.1, "x"]}, "Expected a finite number or a list"),
        ({"ps": 1.5}, "not valid: .*dropout probability"),
        ({"pool": 1}, "pool=1. Expected true or false"),
    ],
)
def test_a_stored_head_that_is_wrong_is_refused(data, message):
    with pytest.raises(BundleError, match=message):
        HeadOptions.from_json(data)
