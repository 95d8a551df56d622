"""Whether the network is compiled, and what happens where it cannot be."""

import pytest
import torch
from torch import nn

from sightline.errors import SightlineWarning
from sightline.runtime import Runtime
from sightline.train import compiling
from sightline.train.compiling import Compiled, Compiling
from train.small import convolutional

GPU = Runtime(torch.device("cuda"), "bf16")


def test_a_run_is_compiled_where_it_lasts_long_enough_to_pay(monkeypatch):
    learn = convolutional()
    learn.runtime = GPU
    monkeypatch.setattr(compiling, "_operations", lambda learn: 1e12)
    assert learn.dls.train.n == 16
    short, long = (Compiling.planned(learn, epochs) for epochs in (10, 10_000))
    assert str(short).startswith("no: the run would take about 0 min, and it pays from 15 min on")
    assert str(long).startswith("yes: the run would take about 53 min")


def test_a_cpu_without_amx_does_not_compile_by_itself(monkeypatch):
    monkeypatch.setattr(compiling, "bf16_instructions", lambda: "AVX512-BF16")
    learn = convolutional().to_bf16()
    assert str(learn.compiling(10**6)) == "no: on this CPU it was not found to be faster"
    assert str(learn.compile().compiling(1)) == "yes: as asked for"
    assert not learn.compile(False).compiling(1).wanted
    monkeypatch.setattr(compiling, "bf16_instructions", lambda: "AMX")
    assert "pays from 9 min on" in str(learn.compile(None).compiling(1))


def test_deterministic_runs_are_not_compiled_by_themselves():
    learn = convolutional()
    learn.runtime = GPU
    torch.use_deterministic_algorithms(True)
    try:
        assert "deterministic" in learn.compiling(10**6).reason
    finally:
        torch.use_deterministic_algorithms(False)


def test_operations_are_counted_for_one_picture_forward_and_twice_that_backward():
    from sightline.preprocess import Preprocess

    class Loaders:
        preprocess = Preprocess(size=(8, 8))

    class Learn:
        dls, runtime = Loaders(), Runtime(torch.device("cpu"))
        model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 5))

    assert compiling._operations(Learn()) == 3 * 2 * (36 * 4 * 27 + 4 * 36 * 5)


class Counts(nn.Module):
    """Wants several pictures, and counts how often it is asked."""

    def __init__(self, fewest):
        super().__init__()
        self.conv, self.fewest, self.asked = nn.Conv2d(3, 2, 3), fewest, 0

    def forward(self, x):
        self.asked += 1
        if len(x) < self.fewest:
            raise ValueError(f"Expected more than {len(x)} picture\nand more")
        return self.conv(x).mean((2, 3))


def estimated(model, monkeypatch):
    from sightline.preprocess import Preprocess

    learn = convolutional()
    learn.model, learn.runtime = model, Runtime(torch.device("cpu"), "bf16")
    monkeypatch.setattr(type(learn.dls), "preprocess", Preprocess(size=(8, 8)))
    monkeypatch.setattr(compiling, "bf16_instructions", lambda: "AMX")
    return learn.compiling(10)


def test_a_network_whose_operations_cannot_be_counted_is_trained_as_it_is(monkeypatch):
    found = estimated(Counts(fewest=2).train(), monkeypatch)
    assert not found.wanted
    assert found.reason == (
        "whether it pays is not known, because its operations could not be counted with one picture of zeros "
        "(ValueError: Expected more than 1 picture)"
    )


def test_operations_are_counted_once_for_a_network(monkeypatch):
    model = Counts(fewest=1)
    assert "no: the run would take" in str([str(estimated(model, monkeypatch)) for _ in range(3)])
    assert model.asked == 1
    estimated(other := Counts(fewest=1), monkeypatch)
    assert other.asked == 1


def test_a_network_that_cannot_be_compiled_runs_as_it_is(monkeypatch):
    def compile_(model):
        def fail(images):
            raise RuntimeError("no C compiler was found\nand more")

        return fail

    monkeypatch.setattr(torch, "compile", compile_)
    learn = convolutional().compile()
    with learn.no_logging(), pytest.warns(SightlineWarning, match="could not be compiled and runs as it is: no C compiler"):
        learn.fit(1)
    assert len(learn.recorder.losses) == 4


def test_what_fails_in_the_network_itself_is_told_as_it_is():
    compiled = Compiled(nn.Linear(3, 2))
    compiled._forward = compiled.model
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        compiled(torch.zeros(1, 4))


def test_training_goes_through_the_compiled_network_and_validation_does_not(monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda model: lambda images: seen.append(len(images)) or model(images))
    learn = convolutional().compile()
    with learn.no_logging():
        learn.fit(2)
    assert seen == [4] * 8
    with learn.compile(False).no_logging():
        learn.fit(1)
    assert len(seen) == 8
