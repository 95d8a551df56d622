"""Device, precision and seeds."""

import random

import numpy as np
import pytest
import torch

from sightline.errors import OptionError
from sightline.runtime import default_workers, fresh_seed, plan_runtime, set_seed


def test_the_plan_gives_a_device_and_says_why():
    plan = plan_runtime("cpu")
    assert (plan.device.type, plan.precision, plan.device_reason) == ("cpu", "fp32", "as asked for")
    found = plan_runtime()
    assert found.device_reason
    if not torch.cuda.is_available() and not torch.backends.mps.is_available():
        assert found.device_reason == "no GPU was found"


def test_what_pytorch_does_not_know_is_refused():
    with pytest.raises(OptionError, match="device='gpu0' is not a device"):
        plan_runtime("gpu0")
    with pytest.raises(OptionError, match="precision='fp8' is not one of fp32, bf16"):
        plan_runtime("cpu", "fp8")


@pytest.mark.parametrize("device", ["cuda", "cuda:1", torch.device("cuda")])
def test_a_gpu_that_is_not_there_is_refused_at_once(device, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    with pytest.raises(OptionError, match=rf"device='{device}' is not there: PyTorch finds no CUDA GPU. .*Pass device='cpu'"):
        plan_runtime(device)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    with pytest.raises(OptionError, match="is not there: this build of PyTorch has no CUDA"):
        plan_runtime(device)


def test_a_gpu_beyond_those_that_are_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert plan_runtime("cuda:1").device == torch.device("cuda", 1)
    assert plan_runtime("cuda").device.type == "cuda"
    with pytest.raises(OptionError, match="device='cuda:2' is not there: PyTorch finds 2 CUDA GPUs, numbered from 0"):
        plan_runtime("cuda:2")


def test_an_apple_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(OptionError, match="device='mps' is not there: PyTorch finds no Apple GPU"):
        plan_runtime("mps")


def test_bf16_computes_in_bfloat16_and_fp32_does_not():
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    with plan_runtime("cpu", "bf16").autocast():
        assert layer(x).dtype == torch.bfloat16
    with plan_runtime("cpu").autocast():
        assert layer(x).dtype == torch.float32


def test_one_seed_sets_all_generators():
    def numbers():
        set_seed(11)
        return random.random(), float(np.random.rand()), float(torch.rand(())), fresh_seed()

    assert numbers() == numbers()


def test_reproducible_asks_for_deterministic_algorithms():
    try:
        set_seed(1, reproducible=True)
        assert torch.are_deterministic_algorithms_enabled()
    finally:
        torch.use_deterministic_algorithms(False)


def test_workers_are_between_one_and_eight():
    assert 1 <= default_workers() <= 8
