"""Small helpers for tensors give what fastai's give."""

from __future__ import annotations

from collections import namedtuple

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.compat import tensors
from sightline.data.loading.batch import Batch


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (([1, 2, 3],), torch.tensor([1, 2, 3])),
        ((1, 2, 3), torch.tensor([1, 2, 3])),
        ((1.5,), torch.tensor(1.5)),
        ((np.arange(3.0),), torch.tensor([0.0, 1, 2])),
        ((pd.Series([True, False]),), torch.tensor([True, False])),
        (([torch.ones(2), torch.zeros(2)],), torch.tensor([[1.0, 1], [0, 0]])),
        ((torch.ones(2), torch.zeros(2)), torch.tensor([[1.0, 1], [0, 0]])),
        (([np.ones(2), np.zeros(2)],), torch.tensor([[1.0, 1], [0, 0]])),
        ((pd.DataFrame({"a": [1.5, 2]}),), torch.tensor([[1.5], [2.0]])),
        ((np.array([1, 65535], dtype=np.uint16),), torch.tensor([1.0, 65535])),
        ((torch.ones(1, dtype=torch.float64),), torch.ones(1)),
        ((Image.new("L", (3, 2), 7),), torch.full((2, 3), 7, dtype=torch.uint8)),
        (([],), torch.tensor([])),
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
    assert tensors.to_cpu(found)["a"][0].dtype == torch.float16
    assert isinstance(tensors.to_np(given)["b"][1].x, np.ndarray)
    assert tensors.to_device(given, "cpu")["a"][0].device.type == "cpu"
    assert tensors.to_np(torch.ones(1, requires_grad=True)).tolist() == [1.0]


def test_one_hot_places_ones():
    assert tensors.one_hot(2, 4).tolist() == [0, 0, 1, 0]
    assert tensors.one_hot([0, 3], 4).tolist() == [1, 0, 0, 1]
    assert tensors.one_hot([], 2).dtype == torch.uint8
    with pytest.raises(ValueError, match=r"\[4\] is outside of 0 to 3"):
        tensors.one_hot(4, 4)


def test_what_trains_is_told_by_the_first_parameter():
    layer = nn.Linear(3, 2)
    assert tensors.requires_grad(layer)
    assert not tensors.requires_grad(layer.requires_grad_(False))
    assert not tensors.requires_grad(nn.ReLU())


def test_the_cpu_can_be_asked_for():
    assert tensors.default_device(0).type == tensors.default_device(False).type == "cpu"
    assert isinstance(tensors.default_device(), torch.device)


@pytest.mark.parametrize(
    ("batch", "rows"),
    [
        ((torch.zeros(3, 2), torch.zeros(5)), 3),
        ({"a": [torch.zeros(5)]}, 5),
        (Batch(torch.zeros(4, 3, 2, 2), torch.zeros(4), np.arange(4)), 4),
        (np.zeros((6, 2)), 6),
        ([1, 2, 3], 3),
        ((), 0),
    ],
)
def test_rows_of_a_batch_are_counted(batch, rows):
    assert tensors.find_bs(batch) == rows
