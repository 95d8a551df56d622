"""The forward pass of a step, and the work that a step leaves out."""

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from sightline.runtime import Runtime
from sightline.train import recorder
from sightline.train.events import Callback
from sightline.train.step import Engine
from train.small import convolutional

ENGINE = Engine.planned(Runtime(torch.device("cpu")))
ASKS_THE_HOST = ("aten::_local_scalar_dense", "aten::item", "aten::is_nonzero", "aten::nonzero", "aten::equal")


class Counting(TorchDispatchMode):
    """Counts what PyTorch is asked to do."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.calls.append((func._schema.name, args))
        return func(*args, **(kwargs or {}))

    def named(self, name):
        return [args for called, args in self.calls if called == name]


class CountsTheSteps(Callback):
    """Counts within the batches of training alone."""

    def __init__(self):
        self.counting = Counting()

    def before_batch(self):
        if self.learn.training:
            self.counting.__enter__()

    def after_batch(self):
        if self.learn.training:
            self.counting.__exit__(None, None, None)


def counted_fit(learn):
    counts = CountsTheSteps()
    with learn.no_logging():
        learn.fit(1, cbs=counts)
    return counts.counting


def test_outputs_of_training_are_differentiated_and_others_are_plain_tensors():
    model, images = nn.Linear(3, 2), torch.randn(4, 3)
    assert ENGINE.outputs(model, images, training=True).requires_grad
    found = ENGINE.outputs(model, images, training=False)
    assert not found.requires_grad
    assert not found.is_inference()
    # What the network said can be looked at by something that learns, such as a second model.
    nn.Linear(2, 1)(found).sum().backward()


def test_nothing_is_computed_below_the_lowest_parameter_that_trains():
    learn = convolutional(train_bn=False)
    learn.freeze()
    counting = counted_fit(learn)
    assert counting.named("aten::convolution_backward") == []
    assert counting.named("aten::native_batch_norm_backward") == []
    assert len(counting.named("aten::convolution")) == 2 * 4


def test_frozen_kernels_have_no_gradient_where_norm_layers_below_the_head_train():
    learn = convolutional(train_bn=True)
    learn.freeze()
    masks = [args[-1] for args in counted_fit(learn).named("aten::convolution_backward")]
    # The first BatchNorm trains, so the upper convolution hands its gradient down; the lower one has nothing to do at all.
    assert masks == [[True, False, False]] * 4


def test_the_pictures_themselves_never_have_a_gradient():
    masks = [args[-1] for args in counted_fit(convolutional()).named("aten::convolution_backward")]
    assert masks == [[True, True, True], [False, True, True]] * 4


def test_the_host_never_waits_for_the_device_in_a_step(monkeypatch):
    # As on a GPU: losses are read now and then, and here never within the epoch.
    monkeypatch.setattr(recorder, "reads_freely", lambda device: False)
    monkeypatch.setattr(recorder, "READ_EVERY_S", 1e9)
    learn = convolutional().to_bf16()
    assert learn.create_opt().fused
    counting = counted_fit(learn)
    assert len(counting.named("aten::convolution")) == 2 * 4
    assert [name for name, _ in counting.calls if name in ASKS_THE_HOST] == []


def test_the_count_sees_a_host_that_waits():
    with Counting() as counting:
        float(torch.ones(()))
    assert [name for name, _ in counting.calls if name in ASKS_THE_HOST]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_validation_decides_alike_in_either_precision(precision):
    learn = convolutional().to_precision(precision)
    with learn.no_logging():
        learn.fit(3)
    decided = learn.get_preds()[0].argmax(1)
    assert torch.equal(decided, learn.to_fp32().get_preds()[0].argmax(1))


def test_a_network_that_keeps_what_it_made_in_validation_can_be_trained_afterwards():
    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.kept = nn.Linear(3, 2), None

        def forward(self, x):
            self.kept = torch.linspace(0, 1, 3) if self.kept is None else self.kept
            return self.linear(x) * self.kept[:2] * self.linear.weight.sum()

    model = Keeping()
    ENGINE.outputs(model, torch.randn(4, 3), training=False)
    ENGINE.outputs(model, torch.randn(4, 3), training=True).sum().backward()
    assert model.linear.weight.grad is not None
