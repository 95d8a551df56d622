"""Hooks on layers, and the figures of what layers give."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import ModelError, OptionError
from sightline.train.callbacks.activations import ActivationStats
from sightline.train.callbacks.hooks import (
    Hook,
    HookCallback,
    Hooks,
    dummy_eval,
    flatten_model,
    has_params,
    hook_output,
    hook_outputs,
    layer_info,
    model_sizes,
    num_features_model,
    total_params,
)
from train.callbacks.small import learner, network, quiet


def hooks_on(model: nn.Module) -> int:
    return sum(len(layer._forward_hooks) + len(layer._backward_hooks) for layer in model.modules())


def test_a_hook_stores_what_its_function_returns_until_it_is_removed():
    layer = nn.Linear(2, 3)
    with Hook(layer, lambda m, i, o: (m, i[0].shape, o.requires_grad)) as hook:
        layer(torch.zeros(4, 2))
        assert hook.stored == (layer, (4, 2), False)
        assert not hook.removed
    assert hook.removed
    assert hooks_on(layer) == 0
    hook.remove()


def test_outputs_and_gradients_are_stored():
    model = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 1, bias=False))
    x = torch.ones(1, 2)
    with hook_output(model[0]) as out, hook_output(model[1], grad=True) as grad, hook_outputs(model, cpu=True) as all_of_them:
        model(x).sum().backward()
        assert torch.equal(out.stored, model[0](x).detach())
        assert torch.equal(grad.stored[0], torch.ones(1, 1))
        assert [tuple(o.shape) for o in all_of_them.stored] == [(1, 2), (1, 1)]
        assert len(all_of_them) == 2
        assert all_of_them[0].stored is next(iter(all_of_them)).stored
    assert hooks_on(model) == 0


def test_a_graph_is_kept_where_it_is_wanted():
    layer = nn.Linear(2, 2)
    with hook_output(layer, detach=False) as hook:
        layer(torch.zeros(1, 2))
    assert hook.stored.requires_grad


def test_shapes_and_counts_of_layers():
    body, head = network()
    body.train()
    assert model_sizes(body, (8, 8)) == [(1, 4, 6, 6), (1, 4, 6, 6), (1, 4, 6, 6), (1, 4, 1, 1), (1, 4)]
    assert num_features_model(body) == 4
    assert dummy_eval(body, (8, 8)).shape == (1, 4)
    assert body.training
    assert total_params(head[1]) == (15, True)
    assert total_params(nn.ReLU()) == (0, False)
    assert has_params(head)
    assert not has_params(nn.ReLU())
    assert len(flatten_model(nn.Sequential(body, head))) == 7
    with pytest.raises(ModelError, match="no convolution"):
        dummy_eval(nn.Linear(2, 2))


def test_layer_info_tells_of_each_layer():
    learn = learner()
    learn.model.train()
    info = layer_info(learn, learn.dls.train.source[0][0])
    assert info[0] == ("Conv2d", 112, True, torch.Size([1, 4, 6, 6]), False)
    assert info[2] == ("ReLU", "", "", torch.Size([1, 4, 6, 6]), True)
    assert learn.model.training
    assert hooks_on(learn.model) == 0


@pytest.mark.parametrize("every", [None, 3])
def test_figures_are_kept_in_every_so_many_steps(every):
    stats = ActivationStats(with_hist=True, every=every)
    learn = quiet(learner(cbs=stats), "fit", 2)
    assert len(stats.stats) == (8 if every is None else 3)
    assert len(stats.stats[0]) == 3
    assert hooks_on(learn.model) == 0
    assert stats.hist(0).shape == (40, len(stats.stats))


def test_figures_are_those_of_the_layers_outputs():
    stats = ActivationStats()
    learn = learner(cbs=stats)
    x, expected = learn.dls.train.source[0][0], []
    layer = learn.model[0][0]
    with torch.no_grad():
        expected = layer(x)
    quiet(learn, "fit", 1, 0.0, wd=0.0)
    mean, std, near_zero = (values[0] for values in stats.layer_stats(0))
    assert mean == pytest.approx(float(expected.mean()), rel=1e-4)
    assert std == pytest.approx(float(expected.std()), rel=1e-4)
    assert near_zero == pytest.approx(float((expected <= 0.05).float().mean()))
    with pytest.raises(OptionError, match="with_hist=True"):
        stats.hist(0)


def test_figures_can_be_drawn():
    import matplotlib.pyplot as plt

    stats = ActivationStats(with_hist=True)
    quiet(learner(cbs=stats), "fit", 1)
    figure = stats.plot_layer_stats(-1)
    assert [ax.get_title() for ax in figure.axes] == ["mean", "std", "% near zero"]
    _, ax = plt.subplots()
    assert stats.color_dim(0, ax=ax) is ax.figure
    assert stats.color_dim(0, figsize=(3, 2)).get_size_inches().tolist() == [3, 2]
    plt.close("all")


def test_hooks_stay_only_if_they_are_to_and_never_twice():
    seen = []
    cb = HookCallback(hook=lambda m, i, o: seen.append(type(m).__name__), remove_end=False, include_paramless=True)
    learn = quiet(learner(cbs=cb), "fit", 1)
    quiet(learn, "fit", 1)
    assert hooks_on(learn.model) == len(flatten_model(learn.model)) == len(cb.hooks)
    assert {"ReLU", "Conv2d"} <= set(seen)
    cb.hooks.remove()


def test_hooks_are_an_object_of_their_own_too():
    model = network()
    hooks = Hooks(list(model), lambda m, i, o: 1)
    model(torch.rand(2, 3, 8, 8))
    assert hooks.stored == [1, 1]
    hooks.remove()
    assert hooks_on(model) == 0
