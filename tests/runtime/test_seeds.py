"""One seed for everything."""

import random

import numpy as np
import torch

from sightline.runtime import fresh_seed, set_seed


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
