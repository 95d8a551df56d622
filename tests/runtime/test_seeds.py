"""One seed for everything."""

import os
import random

import numpy as np
import pytest
import torch

from sightline.errors import OptionError
from sightline.runtime import compute_deterministically, determinism_in_words, fresh_seed, set_seed


def test_one_seed_sets_all_generators():
    def numbers():
        set_seed(11)
        return random.random(), float(np.random.rand()), float(torch.rand(())), fresh_seed()

    assert numbers() == numbers()


@pytest.fixture
def afterwards_as_before(monkeypatch):
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cuda.enable_flash_sdp(True)
    torch.backends.cuda.enable_mem_efficient_sdp(True)
    torch.backends.cuda.enable_cudnn_sdp(True)
    os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)


@pytest.mark.parametrize("ask", [compute_deterministically, lambda: set_seed(1, reproducible=True)])
def test_reproducible_asks_for_deterministic_algorithms(afterwards_as_before, ask):
    assert "as asked for" not in determinism_in_words()
    ask()
    assert torch.are_deterministic_algorithms_enabled()
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    quick = (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.mem_efficient_sdp_enabled)
    assert not any(enabled() for enabled in quick)
    assert "as asked for" in determinism_in_words()


def test_a_workspace_that_was_chosen_stays(afterwards_as_before, monkeypatch):
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":16:8")
    compute_deterministically()
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":16:8"


@pytest.mark.parametrize("seed", [1 << 63, -(1 << 63) - 1, 10**30])
def test_a_seed_that_pytorch_cannot_take_is_refused(seed):
    with pytest.raises(OptionError, match=f"seed={seed} is too large"):
        set_seed(seed)
