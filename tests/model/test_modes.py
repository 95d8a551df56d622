"""Evaluation for a while, by one thread or by several."""

from __future__ import annotations

import copy
import threading

import torch
from torch import nn

from sightline.model.modes import evaluating


def network() -> nn.Sequential:
    made = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Sequential(nn.Dropout(), nn.Flatten())).train()
    made[1].eval()
    return made


def modes(module: nn.Module) -> list[bool]:
    return [layer.training for layer in module.modules()]


def test_every_layers_own_mode_comes_back() -> None:
    model = network()
    before = modes(model)
    with evaluating(model):
        assert not any(modes(model))
        assert not torch.is_grad_enabled()
    assert modes(model) == before
    assert before[2] is False


def test_the_mode_comes_back_after_an_error() -> None:
    model = network()
    before = modes(model)
    try:
        with evaluating(model), evaluating(model[2]):
            raise KeyError
    except KeyError:
        assert modes(model) == before


def test_who_ends_first_does_not_put_a_network_into_training_under_another() -> None:
    model = network()
    before = modes(model)
    begun, may_end = threading.Event(), threading.Event()

    def evaluate_a_part() -> None:
        with evaluating(model[2]):
            begun.set()
            may_end.wait(10)

    other = threading.Thread(target=evaluate_a_part)
    with evaluating(model):
        other.start()
        begun.wait(10)
    assert modes(model[2]) == [False] * 3, "the other needs it still"
    assert modes(model)[:2] == [True, True]
    may_end.set()
    other.join()
    assert modes(model) == before


def test_statistics_stay_as_they_are_while_threads_predict_with_a_network_in_training() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    images = torch.randn(2, 3, 4, 4)
    before = copy.deepcopy(model.state_dict())

    def predict() -> None:
        for _ in range(100):
            with evaluating(model):
                model(images)

    threads = [threading.Thread(target=predict) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(modes(model))
