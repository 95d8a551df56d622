"""Where memory is short a batch is computed in parts, and trains as the whole batch would; the attempt leaves no trace."""

from __future__ import annotations

import copy
from itertools import product

import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import DeviceMemoryError, SightlineWarning
from sightline.preprocess import Preprocess
from sightline.runtime.memory import Parts, is_out_of_memory
from sightline.target import MultiLabel, Regression, SingleLabel
from sightline.train.callbacks.ema import EMACallback
from sightline.train.callbacks.gradients import GradientAccumulation, GradientClip
from sightline.train.callbacks.mixing import MixUp
from sightline.train.events import Callback
from sightline.train.learner import Learner


class _Short(torch.autograd.Function):
    """Nothing, but out of memory in the backward pass of more pictures than fit."""

    @staticmethod
    def forward(ctx, images, most):
        ctx.most = most
        return images.clone()

    @staticmethod
    def backward(ctx, gradient):
        if len(gradient) > ctx.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        return gradient, None


class Memory(nn.Module):
    """A layer with room for `most` pictures, in the forward or the backward pass."""

    def __init__(self, most, backward=False):
        super().__init__()
        self.most, self.backward = most, backward
        self.asked = []

    def forward(self, images):
        self.asked += [len(images)] * torch.is_grad_enabled()
        if self.backward and torch.is_grad_enabled():
            return _Short.apply(images, self.most)
        if not self.backward and len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nGPU 0 has ...")
        return images


def network(memory, *, norm=False, drop=0.0, outputs=2):
    torch.manual_seed(3)
    norms = [nn.BatchNorm2d(6)] if norm else []
    body = nn.Sequential(nn.Conv2d(3, 6, 3), *norms, nn.ReLU(), memory)
    return nn.Sequential(body, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(drop), nn.Linear(6, outputs)))


def learner(memory, *, bs=8, target=None, labels=None, norm=False, drop=0.0, n=16, **options):
    target = target or SingleLabel.learn(["a", "b"])
    model = network(memory, norm=norm, drop=drop, outputs=target.num_outputs)
    torch.manual_seed(1)
    pictures = torch.randn(n, 3, 8, 8)
    labels = torch.arange(n) % 3 % 2 if labels is None else labels
    data = list(zip(pictures.split(bs), labels.split(bs), strict=True))
    groups = lambda net: [list(net[0].parameters()), list(net[1].parameters())]
    dls = DataLoaders(data, data[:1], target=target, preprocess=Preprocess(size=(8, 8)))
    return Learner(dls, model, splitter=groups, **options)


class Gradients(Callback):
    """Keeps the gradients of every step, and how often each event came."""

    run_valid = False

    def __init__(self):
        self.kept, self.events, self.sizes = [], [], []

    def after_loss(self):
        self.events.append("after_loss")
        self.sizes.append(len(self.pred))

    def before_step(self):
        self.events.append("before_step")
        self.kept.append([parameter.grad.clone() for parameter in self.model.parameters()])


def gradients(most, *, backward=False, cbs=(), epochs=1, **options):
    learn = learner(Memory(most, backward), **options)
    seen = Gradients()
    torch.manual_seed(9)
    with learn.no_logging():
        learn.fit(epochs, 0.01, cbs=[*(made() for made in cbs), seen])
    return learn, seen


def assert_alike(few, many):
    assert len(few.kept) == len(many.kept) > 0
    for ours, whole in zip(few.kept, many.kept, strict=True):
        for one, other in zip(ours, whole, strict=True):
            torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


weighted = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 7.0]))


@pytest.mark.parametrize("backward", [False, True], ids=["in the forward pass", "in the backward pass"])
@pytest.mark.parametrize("most", [5, 4, 3, 1])
def test_gradients_are_those_of_the_whole_batch(most, backward):
    learn, few = gradients(most, backward=backward)
    assert_alike(few, gradients(99)[1])
    assert learn.micro_batches.training.most == {5: 4, 4: 4, 3: 2, 1: 1}[most]


@pytest.mark.parametrize(
    "options",
    [
        {"loss_func": weighted},
        {"loss_func": nn.CrossEntropyLoss(reduction="sum")},
        {"loss_func": nn.CrossEntropyLoss(label_smoothing=0.1)},
        {"loss_func": lambda logits, labels: (logits.softmax(1).mean(0) - 0.5).square().sum()},
        {"cbs": (MixUp,)},
        {"cbs": (MixUp,), "loss_func": weighted},
        {"cbs": (lambda: GradientAccumulation(12),), "n": 24},
        {"cbs": (lambda: GradientClip(0.01),)},
        {"cbs": (EMACallback,)},
        {"n": 13, "bs": 7},
        {"target": MultiLabel.learn([["a"], ["b", "c"]]), "labels": (torch.arange(48).reshape(16, 3) % 5 == 0).float()},
        {"target": Regression(2), "labels": torch.linspace(-1, 1, 32).reshape(16, 2)},
    ],
    ids=["class weights", "sum", "smoothed", "of the batch alone", "mixup", "mixup and weights", "accumulated", "clipped",
         "ema", "odd sizes", "several labels", "numbers"],
)  # fmt: skip
def test_every_loss_and_callback_sees_the_whole_batch(options):
    learn, few = gradients(3, epochs=2, **options)
    other, many = gradients(99, epochs=2, **options)
    assert_alike(few, many)
    assert set(few.sizes) == set(many.sizes)
    for one, whole in zip(learn.model.state_dict().values(), other.model.state_dict().values(), strict=True):
        torch.testing.assert_close(one, whole, atol=1e-5, rtol=1e-5)


def test_events_come_once_a_batch_but_for_the_attempts_that_failed():
    _, few = gradients(4)
    _, many = gradients(99)
    assert few.events == many.events == ["after_loss", "before_step"] * 2
    _, failed_late = gradients(4, backward=True)
    assert failed_late.events == ["after_loss", *many.events]


def test_it_sticks_and_one_line_says_so(capsys):
    memory = Memory(3)
    learn = learner(memory)
    learn.fit(3)
    assert memory.asked[:2] == [8, 4]
    assert 8 not in memory.asked[1:]
    assert 4 not in memory.asked[2:]
    lines = [line for line in capsys.readouterr().out.splitlines() if "memory" in line]
    assert len(lines) == 2  # one for steps, one for validation
    assert "too small for 8 pictures at once: from now on a step adds up parts of 2 pictures" in lines[0]
    assert "The batch remains the same" in lines[0]
    assert "validation takes 2 at a time" in lines[1]


@pytest.mark.parametrize("backward", [False, True])
def test_the_attempt_that_failed_leaves_no_trace(backward):
    """Statistics, dropout and gradients that earlier batches left are those of a run that took parts from the start."""

    def trained(most, start):
        learn = learner(Memory(most, backward), norm=True, drop=0.5)
        learn.micro_batches.training.most = start
        torch.manual_seed(5)
        with learn.no_logging():
            learn.fit(2, 0.1, cbs=GradientAccumulation(16))
        return learn.model.state_dict()

    ran_out, from_the_start = trained(4, None), trained(99, 4)
    assert all(torch.equal(ran_out[name], from_the_start[name]) for name in ran_out)


def test_running_statistics_move_once_for_each_part():
    learn = learner(Memory(4), norm=True, bs=8, n=8)
    with learn.no_logging():
        learn.fit(1)
    norm = learn.model[0][1]
    assert norm.num_batches_tracked == 2
    plain = copy.deepcopy(network(Memory(99), norm=True)).train()
    for part in learn.dls.train.one_batch().image.split(4):
        plain[0](part)
    torch.testing.assert_close(norm.running_mean, plain[0][1].running_mean)
    torch.testing.assert_close(norm.running_var, plain[0][1].running_var)


def test_dropout_is_the_same_in_both_passes_of_a_part():
    learn = learner(Memory(4), drop=0.5, bs=8, n=8)
    learn.micro_batches.training.most = 4
    seen = Gradients()
    torch.manual_seed(9)
    with learn.no_logging():
        learn.fit(1, 0.01, cbs=seen)
    model = network(Memory(99), drop=0.5).train()
    batch = learn.dls.train.one_batch()
    torch.manual_seed(9)
    torch.empty((), dtype=torch.int64).random_()
    outputs = torch.cat([model(part) for part in batch.image.split(4)])
    nn.functional.cross_entropy(outputs, batch.target).backward()
    for ours, reference in zip(seen.kept[0], model.parameters(), strict=True):
        torch.testing.assert_close(ours, reference.grad, atol=1e-6, rtol=1e-5)


def test_a_whole_fine_tune_runs_through():
    learn = learner(Memory(3), norm=True)
    with learn.no_logging():
        learn.fine_tune(2, freeze_epochs=1)
        assert len(learn.recorder.record.of("step")) == 6
    learn.micro_batches.evaluation.most = None
    with learn.no_logging(), pytest.warns(SightlineWarning, match="too small for 8 pictures at once: 2 pictures at a time"):
        learn.fine_tune(1, frozen="features")
    assert all(parameter.isfinite().all() for parameter in learn.model.parameters())


def test_a_single_picture_is_no_part_for_batchnorm():
    learn = learner(Memory(1), norm=True)
    before = copy.deepcopy(learn.model.state_dict())
    with (
        learn.no_logging(),
        pytest.raises(DeviceMemoryError, match=r"(?s)2 pictures of 3 x 8 x 8.*fewest that BatchNorm.*2.00 GiB. Try smaller"),
    ):
        learn.fit(1)
    assert sorted(set(learn.model[0][3].asked)) == [2, 4, 8]
    assert all(torch.equal(before[name], tensor) for name, tensor in learn.model.state_dict().items())


def test_other_errors_pass():
    learn = learner(Memory(99))
    with learn.no_logging(), pytest.raises(RuntimeError, match="shape"):
        learn.fit(1, cbs=Callback(after_pred=lambda cb: torch.zeros(2, 3) @ torch.zeros(2, 3)))


def test_validation_and_predictions_are_taken_in_parts_with_the_same_results():
    learn, whole = learner(Memory(3), norm=True), learner(Memory(99), norm=True)
    assert learn.validate() == pytest.approx(whole.validate())
    assert torch.allclose(learn.get_preds()[0], whole.get_preds()[0], atol=1e-6)
    assert learn.micro_batches.evaluation.most == 2
    assert learn.micro_batches.training.most is None
    images = learn.dls.train.one_batch().image
    predictor = learn.predictor()
    learn.model[0][3].most = 1
    with pytest.warns(SightlineWarning, match=r"too small for 8 pictures at once: 1 picture at a time from now on"):
        found = predictor.logits(images)
    assert torch.allclose(found, whole.predictor().logits(images), atol=1e-6)
    assert torch.allclose(predictor.logits(images), found)


@pytest.mark.parametrize(
    ("error", "is_so"),
    [
        (torch.OutOfMemoryError("CUDA out of memory."), True),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp:118] err == 0. DefaultCPUAllocator: can't allocate memory: you"), True),
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), True),
        (MemoryError(), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (DeviceMemoryError("out of memory"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_what_lack_of_memory_looks_like(error, is_so):
    assert is_out_of_memory(error) is is_so


def test_memory_of_a_cpu_that_is_really_too_small_is_known():
    with pytest.raises((RuntimeError, MemoryError)) as error:
        torch.empty(2**55, dtype=torch.uint8)
    assert is_out_of_memory(error.value)


def test_parts_are_even_whole_and_never_too_small():
    for n, most, smallest in product(range(1, 34), range(2, 9), (1, 2)):
        sizes = Parts(most).sizes(n, smallest)
        assert sum(sizes) == n
        assert max(sizes) - min(sizes) <= 1
        assert min(sizes) >= min(smallest, n)
        assert max(sizes) <= most + (most == 2 and smallest == 2)
