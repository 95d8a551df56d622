"""The optimizer: rates by depth, decay exemptions, and every rule against its formula.

`test_parity.py` holds all of them against fastai's numbers, with schedules, decay and exemptions.
"""

from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from sightline.errors import ModelError, OptionError
from sightline.train.checkpoint import load_model, save_model
from sightline.train.lookahead import Lookahead, ranger
from sightline.train.optim import Adam, Optimizer, OptimWrapper
from sightline.train.optimizers import SGD, Lamb, Larc, QHAdam, RAdam, RMSProp


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


@pytest.mark.parametrize(
    ("options", "torchs"),
    [
        ({}, {"lr": 0.3, "wd": 0.2, "weight_decay": 0, "momentum": 0}),
        ({"mom": 0.9}, {"lr": 0.3, "wd": 0.2, "weight_decay": 0, "momentum": 0.7}),
        ({"mom": 0.9, "decouple_wd": False}, {"lr": 0.3, "weight_decay": 0.2, "momentum": 0.7}),
    ],
)
def test_sgd_has_the_fields_hyper_parameters_alone_and_they_reach_torch(options, torchs):
    groups, _ = small_groups()
    opt = SGD(groups, 0.1, **options)
    assert opt.hypers == [{"lr": 0.1, "mom": options.get("mom", 0.0), "wd": 0.0}] * 2
    opt.set_hypers(mom=0.7, wd=0.2)
    for hyper in opt.hypers:
        hyper["lr"] = 0.3  # as scripts write it; counts from the next step on
    opt.step()
    assert [{name: group[name] for name in torchs} for group in opt.inner.param_groups] == [torchs] * 2
    assert all(group["dampening"] == 0 for group in opt.inner.param_groups)
    again = SGD(groups, 0.1, **options)
    again.load_state_dict(opt.state_dict())
    assert again.hypers == opt.hypers == [{"lr": 0.3, "mom": 0.7, "wd": 0.2}] * 2
    for name in ("momentum", "weight_decay", "dampening"):
        with pytest.raises(OptionError, match=f"no hyper-parameter '{name}', only"):
            opt.set_hyper(name, 0.1)


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


def stepped(opt_func, steps=10, start=(1.0, -2.0, 0.5), lr=0.05, wd=0.1):
    """Where ten steps along sin(weight * step) lead, with momentum falling on the way."""
    parameter = nn.Parameter(torch.tensor(start, dtype=torch.float64))
    opt = Optimizer([[parameter]], opt_func, lr=lr)
    opt.set_hyper("wd", wd)
    for step in range(1, steps + 1):
        opt.set_hyper("mom", 0.95 - 0.01 * step)
        parameter.grad = torch.sin(parameter.detach() * step)
        opt.step()
    return parameter.detach().numpy()


def by_formula(move, steps=10, start=(1.0, -2.0, 0.5), lr=0.05, wd=0.1, l2=False):
    """The same with `move(weights, gradient, sums so far, step, momentum)` in place of the rule."""
    w, memory = np.array(start), {"m": 0.0, "v": 0.0}
    for step in range(1, steps + 1):
        gradient = np.sin(w * step) + (wd * w if l2 else 0.0)
        w = w if l2 else w - lr * wd * w
        w = w - lr * move(w, gradient, memory, step, 0.95 - 0.01 * step)
    return w


def corrected(memory, gradient, step, mom, sqr_mom):
    memory["m"] = memory["m"] * mom + gradient * (1 - mom)
    memory["v"] = memory["v"] * sqr_mom + gradient**2 * (1 - sqr_mom)
    return memory["m"] / (1 - mom**step), memory["v"] / (1 - sqr_mom**step)


def summed(memory, gradient, mom):
    memory["m"] = memory["m"] * mom + gradient
    return memory["m"]


def rms_prop(w, g, memory, step, mom):
    memory["v"] = 0.99 * memory["v"] + 0.01 * g**2
    return summed(memory, g, mom) / (memory["v"] ** 0.5 + 1e-8)


def rectified(w, g, memory, step, mom):
    mean, square = corrected(memory, g, step, mom, 0.9)
    rho_inf = 2 / 0.1 - 1
    rho = rho_inf - 2 * step * 0.9**step / (1 - 0.9**step)
    if rho <= 5:
        return mean
    r = (rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho)
    return r**0.5 * mean / (square**0.5 + 1e-5)


def quasi_hyperbolic(w, g, memory, step, mom):
    mean, square = corrected(memory, g, step, mom, 0.999)
    return (0.3 * g + 0.7 * mean) / (square**0.5 + 1e-8)


def layerwise(w, g, memory, step, mom):
    return summed(memory, g, mom) * min(1.0, 0.02 * np.linalg.norm(w) / (np.linalg.norm(g) + 0.1 * np.linalg.norm(w) + 1e-8))


def lamb(w, g, memory, step, mom):
    mean, square = corrected(memory, g, step, mom, 0.99)
    move = mean / (square**0.5 + 1e-5)
    return move * min(10.0, np.linalg.norm(w) / np.linalg.norm(move))


RULES = {
    "SGD": (partial(SGD, mom=0.9), lambda w, g, memory, step, mom: summed(memory, g, mom)),
    "RMSProp": (partial(RMSProp, mom=0.9), rms_prop),
    "RAdam": (partial(RAdam, sqr_mom=0.9), rectified),
    "QHAdam": (QHAdam, quasi_hyperbolic),
    "Larc": (Larc, layerwise),
    "Lamb": (Lamb, lamb),
}


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("l2", [False, True], ids=["decoupled", "L2"])
def test_rules_follow_their_formulas_for_ten_steps(name, l2):
    opt_func, move = RULES[name]
    found = stepped(partial(opt_func, decouple_wd=not l2))
    assert found == pytest.approx(by_formula(move, l2=l2), rel=1e-6)


def test_lookahead_pulls_every_k_steps_halfway_back():
    fast = slow = np.array([1.0, -2.0, 0.5])
    for step in range(1, 11):
        fast = fast - 0.05 * np.sin(fast * step)
        if step % 3 == 0:
            slow = fast = (slow + fast) / 2
    assert stepped(lambda params, lr: Lookahead(SGD(params, lr), k=3), wd=0.0) == pytest.approx(fast, rel=1e-6)


def test_sgd_without_momentum_stays_without_under_every_schedule():
    assert stepped(SGD) == pytest.approx(by_formula(lambda w, g, memory, step, mom: g), rel=1e-6)


def test_exempt_parameters_do_not_decay_in_any_rule():
    for opt_func in (SGD, RMSProp, Adam, RAdam, QHAdam, Larc, Lamb, ranger):
        parameter = nn.Parameter(torch.ones(3))
        opt = Optimizer([[parameter]], opt_func, lr=0.1, no_decay=[parameter])
        opt.set_hyper("wd", 0.5)
        parameter.grad = torch.zeros(3)
        opt.step()
        assert parameter.tolist() == [1.0, 1.0, 1.0], opt.kind
        assert opt.hypers[0]["wd"] == 0.5


def test_optimizers_stand_alone_with_parameters_lists_of_them_or_torch_groups():
    layers = [nn.Linear(2, 2), nn.Linear(2, 1)]
    assert len(SGD(layers[0].parameters(), 0.1).param_lists) == 1
    by_layer = Adam([list(layer.parameters()) for layer in layers], lr=slice(1e-3, 1e-1))
    assert [hyper["lr"] for hyper in by_layer.hypers] == pytest.approx([1e-3, 1e-1])
    assert [len(group["params"]) for group in by_layer.param_groups] == [2, 2]
    groups = OptimWrapper([{"params": layers[0].weight, "lr": 0.5}, {"params": layers[1].weight}], torch.optim.SGD, lr=0.1)
    assert [hyper["lr"] for hyper in groups.hypers] == [0.5, 0.1]


def test_a_torch_optimizer_that_is_built_already_is_wrapped():
    layer = nn.Linear(2, 2)
    opt = OptimWrapper(opt=torch.optim.Adam(layer.parameters(), lr=0.1))
    opt.set_hyper("sqr_mom", 0.5)
    assert opt.opt.param_groups[0]["betas"] == (0.9, 0.5)
    with pytest.raises(OptionError, match="Expected one of them"):
        OptimWrapper(layer.parameters(), opt.opt)
    with pytest.raises(OptionError, match="expects params"):
        OptimWrapper(opt=torch.optim.SGD)


def test_names_of_ones_own_reach_a_torch_optimizer():
    opt = OptimWrapper([nn.Parameter(torch.ones(1))], torch.optim.SGD, hp_map={"dampening": "damp"}, lr=0.1, momentum=0.9)
    opt.set_hyper("damp", 0.25)
    assert opt.inner.param_groups[0]["dampening"] == 0.25


def test_what_is_written_into_hypers_counts_from_the_next_step_on():
    parameter = nn.Parameter(torch.zeros(1))
    opt = Optimizer([[parameter]], SGD, lr=0.1)
    opt.hypers[0]["lr"] = 3.0
    parameter.grad = torch.ones(1)
    opt.step()
    assert parameter.item() == pytest.approx(-3.0)


def test_an_optimizer_with_groups_of_its_own_keeps_them():
    groups, _ = small_groups()

    def flat(params, lr):
        return torch.optim.SGD([p for group in params for p in group["params"]], lr=lr)

    opt = Optimizer(groups, flat, lr=0.1)
    assert [len(group) for group in opt.param_lists] == [4]


def test_freezing_spares_what_always_trains():
    groups, biases = small_groups()
    opt = Optimizer(groups, Adam, lr=0.1, always_train=biases)
    opt.freeze()
    assert [p.requires_grad for p in groups[0]] == [False, True]
    assert opt.frozen_idx == 1
    opt.unfreeze()
    assert all(p.requires_grad for group in groups for p in group)
    with pytest.raises(OptionError, match=r"freeze_to\(5\): the network has 2 parameter groups"):
        opt.freeze_to(5)


def test_looking_at_parameters_leaves_no_trace_in_the_state():
    groups, _ = small_groups()
    opt = Optimizer(groups, Adam, lr=0.1)
    assert len(opt.all_params()) == 4
    assert len(opt.all_params(-1)) == 2
    assert opt.all_params(with_grad=True) == []
    assert not opt.state
    groups[0][0].grad = torch.ones(4, 3)
    opt.step()
    ((parameter, group, state, hyper),) = opt.all_params(with_grad=True)
    assert parameter is groups[0][0]
    assert (len(group), hyper["lr"]) == (2, 0.1)
    assert "exp_avg" in state


@pytest.mark.parametrize("opt_func", [partial(SGD, mom=0.9), RMSProp, Adam, RAdam, QHAdam, Larc, Lamb, ranger])
def test_training_goes_on_from_a_file_as_if_it_had_not_stopped(opt_func, tmp_path):
    def made():
        torch.manual_seed(0)
        model = nn.Linear(3, 1)
        return model, Optimizer([[model.weight], [model.bias]], opt_func, lr=slice(0.01, 0.1), no_decay=[model.bias])

    def train(model, opt, steps):
        for step in steps:
            model(torch.full((1, 3), 1.0 + step)).square().sum().backward()
            opt.step()
            opt.zero_grad()

    whole, opt = made()
    train(whole, opt, range(10))
    stopped, opt = made()
    train(stopped, opt, range(5))
    save_model(tmp_path / "half", stopped, opt)
    again, opt = made()
    load_model(tmp_path / "half", again, opt)
    train(again, opt, range(5, 10))
    assert torch.equal(again.weight, whole.weight)
    assert torch.equal(again.bias, whole.bias)


def test_clearing_the_state_forgets_slow_weights():
    parameter = nn.Parameter(torch.zeros(1))
    opt = Optimizer([[parameter]], lambda params, lr: Lookahead(SGD(params, lr), k=2), lr=1.0)
    parameter.grad = torch.ones(1)
    opt.step()
    opt.clear_state()
    opt.step()
    opt.step()
    # Slow weights began anew at -1, and met the fast ones, at -3, halfway.
    assert parameter.item() == pytest.approx(-2.0)


def test_wrong_rates_are_named():
    groups, _ = small_groups()
    with pytest.raises(OptionError, match="lr=nan is negative or not finite"):
        Optimizer(groups, Adam, lr=0.1).set_hyper("lr", float("nan"))
    with pytest.raises(OptionError, match="opt_func gave int"):
        Optimizer(groups, lambda params, lr: 3, lr=0.1)
    with pytest.raises(OptionError, match="k=0"):
        Lookahead(SGD(groups[0], 0.1), k=0)


def pixels_last(parameter):
    return parameter.detach().clone(memory_format=torch.channels_last)


@pytest.mark.parametrize("how", ["the format changed", "the state was read from a file"])
def test_a_fused_step_goes_on_right_with_what_is_remembered_in_another_format(how):
    torch.manual_seed(0)
    start, gradients = torch.randn(4, 3, 2, 2), torch.randn(3, 4, 3, 2, 2)

    def trained(fused):
        kernel = nn.Parameter(start.clone())
        opt = Optimizer([[kernel]], Adam, lr=0.1)
        opt.fuse(fused)
        for step, gradient in enumerate(gradients):
            if step == 1:
                kernel.data = pixels_last(kernel)
            if step == 2 and how == "the state was read from a file":
                opt.load_state_dict(
                    {**opt.state_dict(), "state": {0: {k: v.contiguous() for k, v in opt.state[kernel].items()}}}
                )
            kernel.grad = pixels_last(gradient) if step else gradient.clone()
            opt.step()
        return kernel.detach()

    assert torch.allclose(trained(True), trained(False), atol=1e-6)


def test_a_way_of_stepping_that_its_maker_chose_stays():
    kernel = nn.Parameter(torch.ones(2))
    opt = Optimizer([[kernel]], partial(torch.optim.AdamW, foreach=True), lr=0.1)
    opt.fuse()
    assert not opt.fused
    assert opt.inner.param_groups[0]["foreach"]


def test_an_optimizer_without_a_fused_kernel_steps_as_before():
    kernel = nn.Parameter(torch.ones(2))
    opt = Optimizer([[kernel]], torch.optim.RMSprop, lr=0.1)
    opt.fuse()
    kernel.grad = torch.ones(2)
    opt.step()
    assert not opt.fused
    assert kernel.detach().lt(1).all()
