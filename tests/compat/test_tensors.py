"""Small helpers for tensors give what fastai's give."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from sightline.compat import tensors


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (([1, 2, 3],), torch.tensor([1, 2, 3])),
        ((1, 2, 3), torch.tensor([1, 2, 3])),
        ((1.5,), torch.tensor(1.5)),
        ((np.arange(3.0),), torch.tensor([0.0, 1, 2], dtype=torch.float64)),
        ((pd.Series([True, False]),), torch.tensor([True, False])),
        (([torch.ones(2), torch.zeros(2)],), torch.tensor([[1.0, 1], [0, 0]])),
        ((torch.ones(2), torch.zeros(2)), torch.tensor([[1.0, 1], [0, 0]])),
        (([np.ones(2), np.zeros(2)],), torch.tensor([[1.0, 1], [0, 0]], dtype=torch.float64)),
    ],
)
def test_a_tensor_is_made_of_whatever_holds_numbers(given, expected):
    made = tensors.tensor(*given)
    assert made.dtype == expected.dtype
    assert torch.equal(made, expected)


def test_a_tensor_stays_itself_and_takes_options():
    own = torch.ones(2)
    assert tensors.tensor(own) is own
    assert tensors.tensor(own, dtype=torch.int64).dtype == tensors.tensor([1.5], dtype=torch.int64).dtype == torch.int64


def test_tensors_are_found_in_whatever_holds_them():
    pair = namedtuple("pair", "x y")
    given = {"a": [torch.ones(1), "text"], "b": (torch.ones(1, dtype=torch.int64), pair(torch.zeros(1), None))}
    found = tensors.to_half(given)
    assert found["a"][0].dtype == found["b"][1].x.dtype == torch.float16
    assert found["a"][1] == "text"
    assert isinstance(found["b"], tuple)
    assert found["b"][0].dtype == torch.int64
    assert tensors.to_float(found)["a"][0].dtype == torch.float32
    assert tensors.to_cpu(found)["a"][0].dtype == torch.float32
    assert isinstance(tensors.to_np(given)["b"][1].x, np.ndarray)
    assert tensors.to_device(given, "cpu")["a"][0].device.type == "cpu"
    grown = torch.ones(1, requires_grad=True) * 2
    assert not tensors.to_detach([grown])[0].requires_grad
    assert not tensors.to_detach(grown, cpu=False).requires_grad


def test_one_hot_places_ones():
    assert tensors.one_hot(2, 4).tolist() == [0, 0, 1, 0]
    assert tensors.one_hot([0, 3], 4).tolist() == [1, 0, 0, 1]
    assert tensors.one_hot([], 2).dtype == torch.uint8
    with pytest.raises(ValueError, match=r"\[4\] is outside of 0 to 3"):
        tensors.one_hot(4, 4)


def test_parameters_are_counted():
    layer = nn.Linear(3, 2)
    assert [tuple(p.shape) for p in tensors.params(layer)] == [(2, 3), (2,)]
    assert tensors.total_params(layer) == (8, True)
    assert tensors.total_params(nn.ReLU()) == (0, False)
    assert not tensors.requires_grad(layer.requires_grad_(False))


def test_the_cpu_can_be_asked_for():
    assert tensors.default_device(0).type == tensors.default_device(False).type == "cpu"
    assert isinstance(tensors.default_device(), torch.device)
