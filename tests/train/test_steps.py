"""Optimizers out of functions against torch's."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from sightline.errors import OptionError
from sightline.train.optim import Optimizer
from sightline.train.steps import stepping


def descend(p, lr, **kwargs):
    p.data.add_(p.grad.data, alpha=-lr)


def remember(p, mom, grad_avg=None, **kwargs):
    return {"grad_avg": p.grad.data + (0 if grad_avg is None else mom * grad_avg)}


remember.defaults = {"mom": 0.9}


def follow(p, lr, grad_avg, **kwargs):
    p.data.add_(grad_avg, alpha=-lr)


def steps_of(make, count=10):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    opt = make(list(net.parameters()))
    for _ in range(count):
        opt.zero_grad()
        net(torch.randn(5, 4)).square().mean().backward()
        opt.step()
    return torch.cat([p.detach().flatten() for p in net.parameters()])


@pytest.mark.parametrize(("steps", "mom"), [(descend, 0.0), ([remember, follow], 0.9)])
def test_steps_are_those_of_sgd(steps, mom):
    ours = steps_of(partial(stepping, cbs=steps, lr=0.1))
    assert torch.allclose(ours, steps_of(lambda params: torch.optim.SGD(params, lr=0.1, momentum=mom)), atol=1e-6)


def test_hyper_parameters_come_by_group_and_by_name():
    nets = nn.Linear(2, 2), nn.Linear(2, 2)
    opt = stepping([list(net.parameters()) for net in nets], [remember, follow], lr=[1e-3, 1e-2], mom=0.8)
    assert opt.hypers == [{"mom": 0.8, "lr": 1e-3}, {"mom": 0.8, "lr": 1e-2}]


def test_a_function_learns_whether_its_parameter_decays():
    seen = {}
    net = nn.Linear(2, 2)
    opt = Optimizer(
        [list(net.parameters())],
        partial(stepping, cbs=lambda p, do_wd, **kwargs: seen.update({p.ndim: do_wd})),
        lr=0.1,
        no_decay=[net.bias],
    )
    net(torch.ones(1, 2)).sum().backward()
    opt.step()
    assert seen == {2: True, 1: False}


@pytest.mark.parametrize("steps", [[], ["sgd"]])
def test_what_is_no_function_is_refused(steps):
    with pytest.raises(OptionError, match="expected functions"):
        stepping([nn.Parameter(torch.ones(1))], steps)
