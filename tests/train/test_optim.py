"""The optimizer: rates by depth, decay exemptions, and Adam against its formula."""

import numpy as np
import pytest
import torch
from torch import nn

from sightline.errors import ModelError, OptionError
from sightline.train.optim import Adam, Optimizer


def small_groups():
    torch.manual_seed(0)
    lower, upper = nn.Linear(3, 4), nn.Linear(4, 2)
    return [list(lower.parameters()), list(upper.parameters())], [lower.bias, upper.bias]


def test_rates_go_to_the_groups_by_depth_and_decay_spares_the_exempt():
    groups, biases = small_groups()
    opt = Optimizer(groups, Adam, lr=slice(1e-4, 1e-2), no_decay=biases)
    opt.set_hyper("wd", 0.1)
    assert [hyper["lr"] for hyper in opt.hypers] == pytest.approx([1e-4, 1e-2])
    by_shape = {tuple(p.shape): g for g in opt.inner.param_groups for p in g["params"]}
    assert by_shape[(4, 3)]["lr"] == by_shape[(4,)]["lr"] == pytest.approx(1e-4)
    assert by_shape[(4, 3)]["weight_decay"] == 0.1
    assert by_shape[(4,)]["weight_decay"] == 0.0


def test_adam_follows_its_formula_for_ten_steps():
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 0.5]))
    opt = Optimizer([[parameter]], Adam, lr=0.05)
    w, m, v = np.array([1.0, -2.0, 0.5]), np.zeros(3), np.zeros(3)
    for step in range(1, 11):
        mom = 0.95 - 0.01 * step
        opt.set_hyper("mom", mom)
        gradient = np.sin(w * step)
        parameter.grad = torch.tensor(np.sin(parameter.detach().double().numpy() * step), dtype=torch.float32)
        opt.step()
        w = w * (1 - 0.05 * 0.01)
        m, v = mom * m + (1 - mom) * gradient, 0.99 * v + 0.01 * gradient**2
        w = w - 0.05 * (m / (1 - mom**step)) / (np.sqrt(v / (1 - 0.99**step)) + 1e-5)
    assert parameter.detach().numpy() == pytest.approx(w, rel=1e-4)


def test_any_torch_optimizer_serves():
    groups, _ = small_groups()
    opt = Optimizer(groups, torch.optim.SGD, lr=0.1)
    opt.set_hyper("mom", 0.9)
    assert all(group["momentum"] == 0.9 for group in opt.inner.param_groups)
    assert [hyper["mom"] for hyper in opt.hypers] == [0.9, 0.9]
    opt = Optimizer(groups, torch.optim.Adagrad, lr=0.1)
    opt.set_hyper("mom", 0.9)


def test_unknown_hyper_parameter_is_named():
    groups, _ = small_groups()
    with pytest.raises(OptionError, match=r"no hyper-parameter 'momm'.*Did you mean 'mom'"):
        Optimizer(groups, Adam, lr=0.1).set_hyper("momm", 0.9)


def test_state_survives_saving_and_loading():
    groups, biases = small_groups()
    opt = Optimizer(groups, Adam, lr=slice(1e-4, 1e-2), no_decay=biases)
    for parameter in [p for group in groups for p in group]:
        parameter.grad = torch.ones_like(parameter)
    opt.set_hyper("wd", 0.3)
    opt.step()
    other = Optimizer(groups, Adam, lr=1.0, no_decay=biases)
    other.load_state_dict(opt.state_dict())
    assert other.hypers == opt.hypers
    assert other.inner.state_dict()["state"].keys() == opt.inner.state_dict()["state"].keys()


def test_a_network_without_parameters_is_refused():
    with pytest.raises(ModelError, match="no parameters"):
        Optimizer([[], []], Adam, lr=0.1)
