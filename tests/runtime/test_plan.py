"""Device, precision and memory format, and why."""

import re

import pytest
import torch
from torch import nn

from sightline.errors import OptionError
from sightline.runtime import Runtime, devices, plan, plan_runtime

CPU = torch.device("cpu")


def cpu_with(monkeypatch, **able):
    """A CPU that has these instructions."""
    monkeypatch.delenv(plan.PRECISION_VARIABLE, raising=False)
    monkeypatch.setattr(devices, "_cpu_capabilities", lambda: able)


def gpu(monkeypatch, *, bf16):
    """A GPU is there, with bf16 or without."""
    monkeypatch.delenv(plan.PRECISION_VARIABLE, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: bf16)


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


@pytest.mark.parametrize(
    ("able", "precision", "reason"),
    [
        ({"amx_bf16": True, "avx512_bf16": True}, "bf16", r"this CPU computes it natively \(AMX\)"),
        ({"avx512_bf16": True}, "bf16", r"natively \(AVX512-BF16\); weights stay in 32 bits"),
        ({"avx512_f": True, "avx2": True}, "fp32", "this CPU has neither AMX nor AVX512-BF16"),
        ({"bf16": True}, "fp32", "neither AMX nor"),
        ({}, "fp32", "neither AMX nor"),
    ],
)
def test_a_cpu_computes_in_bf16_where_its_flags_say_that_it_is_native(able, precision, reason, monkeypatch):
    cpu_with(monkeypatch, **able)
    found = plan_runtime("cpu")
    assert found.precision == precision
    assert found.channels_last
    assert re.search(reason, found.precision_reason)


@pytest.mark.parametrize(("bf16", "precision"), [(True, "bf16"), (False, "fp32")])
def test_a_gpu_computes_in_bf16_where_it_is_native_and_then_pixel_by_pixel(bf16, precision, monkeypatch):
    gpu(monkeypatch, bf16=bf16)
    found = plan_runtime("cuda")
    assert (found.precision, found.channels_last) == (precision, bf16)


def test_32_bits_as_asked_for_add_up_as_published_figures_did(monkeypatch):
    cpu_with(monkeypatch, avx512_bf16=True)
    asked = plan_runtime("cpu", "fp32")
    assert (asked.precision, asked.channels_last, asked.fuses) == ("fp32", False, False)
    assert plan_runtime("cpu").with_precision("fp32") == asked
    assert plan_runtime("cpu").fuses


def test_the_environment_says_what_is_planned_unless_something_is_asked_for(monkeypatch):
    monkeypatch.setenv(plan.PRECISION_VARIABLE, "bf16")
    assert plan_runtime("cpu").precision_reason == "as the environment variable SIGHTLINE_PRECISION says"
    assert plan_runtime("cpu", "fp32").precision == "fp32"
    monkeypatch.setenv(plan.PRECISION_VARIABLE, "fp8")
    with pytest.raises(OptionError, match="precision='fp8' is not one of fp32, bf16"):
        plan_runtime("cpu")


def test_what_was_asked_for_goes_along_to_another_device_and_what_was_planned_is_planned_anew(monkeypatch):
    cpu_with(monkeypatch, avx512_bf16=True)
    planned, asked = plan_runtime("cpu"), plan_runtime("cpu", "fp32").with_channels_last()
    gpu(monkeypatch, bf16=False)
    assert planned.on("cuda").precision == "fp32"
    assert asked.on("cpu").precision == "fp32"
    assert asked.on("cpu").channels_last


def test_a_network_is_placed_in_the_format_of_the_plan_and_back():
    network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Linear(4, 2))
    runtime = Runtime(CPU).with_channels_last()
    assert runtime.place(network) is network
    assert network[0].weight.is_contiguous(memory_format=torch.channels_last)
    Runtime(CPU).place(network)
    assert network[0].weight.is_contiguous()


def test_a_network_for_volumes_keeps_its_format():
    assert Runtime(CPU).with_channels_last().place(nn.Conv3d(3, 8, 3)).weight.is_contiguous()


@pytest.mark.parametrize("channels_last", [False, True])
def test_a_network_that_has_no_sizes_yet_keeps_its_format(channels_last):
    network = nn.Sequential(nn.LazyConv2d(4, 3), nn.LazyBatchNorm2d(), nn.Flatten(), nn.LazyLinear(2))
    runtime = plan_runtime("cpu", "fp32").with_channels_last(channels_last)
    assert runtime.place(network) is network
    assert runtime.place(network)(torch.randn(2, 3, 5, 5)).shape == (2, 2)
    # Once they are known, it is placed as any other.
    assert runtime.place(network)[0].weight.is_contiguous(memory_format=torch.channels_last) == channels_last
