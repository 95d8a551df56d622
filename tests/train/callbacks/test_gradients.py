"""Gradients over several batches, and short ones."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import OptionError
from sightline.train.callbacks.core import ShortEpochCallback
from sightline.train.callbacks.gradients import GradientAccumulation, GradientClip
from sightline.train.events import Callback
from sightline.train.optimizers import SGD
from train.callbacks.small import learner, quiet, weights_of


def plain_network() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Sequential(nn.Linear(192, 8), nn.Tanh(), nn.Linear(8, 3)))


def trained(sizes, **options) -> tuple[dict[str, torch.Tensor], int]:
    """Weights after two epochs with plain descent, in which the size of a gradient matters, and how many steps were made."""
    steps = []
    count = Callback(after_step=lambda cb: steps.append(cb.iter))
    cbs = [count, *options.pop("cbs", [])]
    learn = learner(sizes, model=plain_network(), opt_func=SGD, cbs=cbs, **options)
    quiet(learn, "fit", 2, 0.5)
    return weights_of(learn.model), len(steps)


@pytest.mark.parametrize(
    ("small", "large", "n_acc"),
    [
        ((4, 4, 4, 4), (8, 8), 8),
        # The last step of an epoch takes what is left, whole: a mean over its own 4 pictures.
        ((4, 4, 4), (8, 4), 8),
        # Batches that do not divide n_acc: the mean over the 9 that were seen.
        ((3, 3, 3, 3), (9, 3), 8),
        ((5, 2, 1, 4), (8, 4), 8),
        ((4, 4), (4, 4), 1),
        ((4, 4), (8,), 1000),
    ],
)
def test_gathered_gradients_are_those_of_one_large_batch(small, large, n_acc):
    gathered, steps = trained(small, cbs=[GradientAccumulation(n_acc)])
    # The same pictures in the same order, in batches as large as the steps.
    rows = learner(small).dls.train.source
    image, label = (torch.cat(parts) for parts in zip(*rows, strict=True))
    big = learner(large, model=plain_network(), opt_func=SGD)
    big.dls.train.source[:] = list(zip(image.split(list(large)), label.split(list(large)), strict=True))
    quiet(big, "fit", 2, 0.5)
    assert steps == 2 * len(large)
    for name, tensor in weights_of(big.model).items():
        assert torch.allclose(gathered[name], tensor, atol=1e-6), name


def test_losses_are_recorded_as_they_are():
    learn = quiet(learner(model=plain_network(), cbs=GradientAccumulation(16)), "fit", 1, 0.0)
    plain = quiet(learner(model=plain_network()), "fit", 1, 0.0)
    assert torch.stack(learn.recorder.losses).tolist() == pytest.approx(torch.stack(plain.recorder.losses).tolist())


def test_a_cut_epoch_hands_its_gradients_on():
    gathered, _ = trained((4, 4, 4, 4), cbs=[GradientAccumulation(8), ShortEpochCallback(0.0)])
    # One batch an epoch, so the first two epochs make one step over the first batch seen twice.
    once = learner((4,), model=plain_network(), opt_func=SGD)
    quiet(once, "fit", 1, 0.5)
    expected = weights_of(once.model)
    assert all(torch.allclose(gathered[name], expected[name], atol=1e-6) for name in expected)


@pytest.mark.parametrize("n_acc", [0, -3, 1.5, True])
def test_a_count_that_is_none_is_refused(n_acc):
    with pytest.raises(OptionError, match="n_acc"):
        GradientAccumulation(n_acc)


@pytest.mark.parametrize(("max_norm", "norm_type"), [(0.01, 2.0), (0.01, float("inf")), (1e9, 2.0)])
def test_gradients_are_clipped_as_torch_clips_them(max_norm, norm_type):
    before, after = [], []

    def keep(into):
        return lambda cb: into.append([p.grad.clone() for p in cb.model.parameters()])

    first, last = Callback(before_step=keep(before)), Callback(before_step=keep(after))
    last.order = 20
    quiet(learner(model=plain_network(), cbs=[first, GradientClip(max_norm, norm_type), last]), "fit", 1)
    for raw, clipped in zip(before, after, strict=True):
        norm = torch.cat([g.flatten() for g in raw]).norm(norm_type)
        factor = min(1.0, max_norm / (float(norm) + 1e-6))
        for one, other in zip(raw, clipped, strict=True):
            assert torch.allclose(one * factor, other, rtol=1e-4, atol=1e-9)


def test_clipping_comes_after_gathering():
    kept = []
    last = Callback(before_step=lambda cb: kept.append([p.grad.clone() for p in cb.model.parameters()]))
    last.order = 20
    learn = learner((4, 4), model=plain_network(), cbs=[GradientAccumulation(8), GradientClip(0.01), last])
    quiet(learn, "fit", 1)
    assert len(kept) == 1
    assert torch.cat([g.flatten() for g in kept[0]]).norm() == pytest.approx(0.01, rel=1e-3)
