"""Layers have fastai's parameters, names, order, shapes and initial values, and give fastai's numbers.

The facts of layers.json came out of `facts`, run with fastai 2.8.12 in place of sightline's layers.
"""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn

from reference.parity_cases import fill_weights
from sightline import fastai
from sightline.errors import OptionError
from sightline.model import conv_layers, layers
from sightline.model.conv_layers import ConvLayer, MergeLayer, ResBlock, SequentialEx

CASES = json.loads((Path(__file__).parent.parent / "reference" / "layers.json").read_text(encoding="utf-8"))
NAMES = {name: getattr(fastai, name) for name in fastai.__all__ if name not in fastai.LEFT_OUT}


def pictures() -> torch.Tensor:
    return torch.sin(torch.arange(2 * 3 * 10 * 10).float() * 0.37).view(2, 3, 10, 10)


def facts(build: str) -> dict[str, object]:
    """What a layer starts with, gives in training at first, and gives in evaluation with weights by formula."""
    torch.manual_seed(7)
    layer = eval(build, NAMES | {"partial": partial})
    tensors = layer.state_dict()
    start = [value.double().sum().item() for value in tensors.values()]
    torch.manual_seed(1)
    training = layer.train()(pictures()).detach().double().abs().sum().item()
    fill_weights(layer)
    given = layer.eval()(pictures()).detach().double()
    return {
        "tensors": [[name, list(value.shape)] for name, value in tensors.items()],
        "start": start,
        "shape": list(given.shape),
        "training": training,
        "formula": [given.sum().item(), given.abs().sum().item()],
    }


@pytest.mark.parametrize("case", CASES, ids=[case["build"] for case in CASES])
def test_a_layer_is_fastais(case):
    found = facts(case["build"])
    for name in ("tensors", "shape"):
        assert found[name] == case[name]
    for name in ("start", "training", "formula"):
        assert found[name] == pytest.approx(case[name], rel=1e-4, abs=2e-3), name


def test_normalised_weights_are_parametrised():
    # fastai uses torch's older functions for these two, which name the tensors weight_g and weight_v.
    layer = ConvLayer(3, 4, norm_type=layers.NormType.Weight, bias=False, act_cls=None)
    assert list(layer.state_dict()) == ["0.parametrizations.weight.original0", "0.parametrizations.weight.original1"]
    spectral = ConvLayer(3, 4, norm_type=layers.NormType.Spectral, bias=False, act_cls=None)[0]
    for _ in range(30):
        spectral(pictures())
    assert torch.linalg.matrix_norm(spectral.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-2)


def test_a_residual_block_starts_as_its_shortcut():
    positive = pictures().abs()
    assert torch.allclose(ResBlock(1, 3, 3)(positive), positive + 1e-3, atol=1e-6)


def test_a_sequence_keeps_no_tensor_alive():
    layer = SequentialEx(nn.Conv2d(3, 3, 1), MergeLayer())
    x = pictures()
    y = layer(x)
    assert x.orig is None
    assert y.orig is None
    layer.append(nn.ReLU())
    layer.insert(0, nn.Identity())
    layer.extend([nn.Flatten()])
    assert [type(part).__name__ for part in layer.layers] == ["Identity", "Conv2d", "MergeLayer", "ReLU", "Flatten"]
    assert layer[1] is layer.layers[1]
    assert layer(x).shape == (2, 300)


def test_pooling_says_how_to_round():
    # fastai leaves ceil_mode= of MaxPool aside.
    odd = torch.zeros(1, 1, 5, 5)
    assert layers.MaxPool(ceil_mode=True)(odd).shape == layers.AvgPool(ceil_mode=True)(odd).shape == (1, 1, 3, 3)
    assert layers.MaxPool()(odd).shape == (1, 1, 2, 2)


def test_sigmoids_stay_within_their_bounds():
    far = torch.tensor([-50.0, 0, 50])
    assert layers.sigmoid(far).tolist() == pytest.approx([1e-7, 0.5, 1 - 1e-7], rel=1e-6)
    assert layers.sigmoid_range(far, -1, 3).tolist() == [-1, 1, 3]


def test_layers_say_in_print_what_they_do():
    lines = str(nn.Sequential(layers.Lambda(torch.relu), layers.PartialLambda(torch.clamp, min=0), layers.View(-1, 3)))
    assert "Lambda(relu)" in lines
    assert "PartialLambda(functools.partial(<built-in method clamp" in lines
    assert "View(-1, 3)" in lines


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ConvLayer(3, 4, ndim=4), r"ndim=4. Expected 1, 2 or 3"),
        (lambda: layers.AvgPool(ndim=0), r"ndim=0. Expected 1, 2 or 3"),
        (lambda: layers.PoolFlatten("Sum"), r"pool_type='Sum'. Expected 'Avg', 'Max' or 'Cat'"),
    ],
)
def test_what_cannot_be_is_refused(make, message):
    with pytest.raises(OptionError, match=message):
        make()


def test_a_bias_and_a_weight_can_be_left_as_they_are():
    layer = nn.Linear(2, 3)
    before = [p.clone() for p in layer.parameters()]
    conv_layers.init_linear(layer, nn.GELU(), bias_std=None)
    assert all(torch.equal(p, q) for p, q in zip(layer.parameters(), before, strict=True))
