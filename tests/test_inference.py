"""How a network computes when it does not learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from sightline.data.loading.batch import Batch
from sightline.inference import AsItIs, Copied, content_of, overlapped
from sightline.model.folding import Copy
from sightline.runtime import plan_runtime
from sightline.target import MultiLabel, SingleLabel, Vocab

TARGET = SingleLabel(Vocab(["a", "b"]))


class Recalled(nn.Module):
    """Its outputs are its pixels; how many pictures it was given is noted."""

    def __init__(self, off: float = 0.0) -> None:
        super().__init__()
        self.off = off
        self.given: list[int] = []

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.given.append(len(x))
        return x.flatten(1) + torch.tensor([0.0, self.off], device=x.device)


def copied(off: float, error: float, exact: nn.Module, target=TARGET) -> Copied:
    made = Copy(Recalled(off), exact, error)
    return Copied(nn.Identity(), plan_runtime("cpu", "bf16"), target.margins, lambda model, images, dtype: made)


def pictures(*margins: float) -> torch.Tensor:
    return torch.tensor([[margin, 0.0] for margin in margins]).reshape(-1, 2, 1, 1)


def test_in_sixteen_bits_what_is_nearly_undecided_is_decided_in_thirty_two():
    exact = Recalled()
    found = copied(0.5, 0.3, exact)(pictures(2.0, 0.4, -3.0, 1.0))
    assert exact.given == [2]  # margins of the copy: 1.5, 0.1, 3.5, 0.5; those below 2.5 * 0.3 are computed again
    assert found[:, 0].sub(found[:, 1]).tolist() == [1.5, 0.4000000059604645, -3.5, 1.0]


def test_labels_by_threshold_are_near_when_one_of_them_is():
    target = MultiLabel(Vocab(["a", "b"]), thresholds=0.5)
    exact = Recalled()
    copied(0.5, 0.1, exact, target)(torch.tensor([[3.0, 4.0], [3.0, -0.4]]).reshape(2, 2, 1, 1))
    assert exact.given == [1]


def test_in_thirty_two_bits_nothing_is_computed_twice():
    exact = Recalled()
    made = Copy(Recalled(0.5), exact, 1.0)
    forward = Copied(nn.Identity(), plan_runtime("cpu", "fp32"), TARGET.margins, lambda model, images, dtype: made)
    forward(pictures(0.1))
    assert exact.given == []


def test_what_cannot_be_copied_computes_as_it_is():
    network = nn.Sequential(nn.Flatten(), nn.Dropout(0.9)).train()
    runtime = plan_runtime("cpu", "fp32")
    forward = Copied(network, runtime, TARGET.margins, lambda model, images, dtype: None)
    images = pictures(1.0, 2.0)
    assert torch.equal(forward(images), AsItIs(network, runtime)(images))
    assert network.training


def test_a_change_that_leaves_the_version_as_it_is_is_noticed():
    network = nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5)).to(memory_format=torch.channels_last)
    before = content_of(network)
    assert content_of(network) == before
    version = network[0].weight._version
    network[0].weight.data[2, 1, 0, 0] *= 1.0001
    assert network[0].weight._version == version
    assert content_of(network) != before
    network[0].weight.data[2, 1, 0, 0] = 0.0
    assert len({before, content_of(network), content_of(network.to(torch.bfloat16))}) == 3


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_a_gpu_outputs_come_to_the_host_in_order():
    batches = [Batch(pictures(*range(n)).cuda(), None, np.arange(n)) for n in (3, 1, 2)]
    found = list(overlapped(batches, AsItIs(Recalled().cuda(), plan_runtime("cuda", "fp32"))))
    assert [batch for batch, _ in found] == batches
    for batch, logits in found:
        assert logits.device.type == "cpu"
        assert torch.equal(logits, batch.image.flatten(1).cpu())


def test_a_batch_is_given_when_its_own_copy_has_ended_and_the_next_is_under_way(monkeypatch):
    told = []

    class Event:
        def __init__(self):
            self.number = sum(word == "copy" for word, _ in told)

        def record(self):
            told.append(("copy", self.number))

        def synchronize(self):
            told.append(("wait", self.number))

    empty = torch.empty
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch, "empty", lambda *args, pin_memory=False, **kwargs: empty(*args, **kwargs))
    batches = [Batch(torch.full((2, 2), float(number)), None, np.arange(2)) for number in range(3)]
    for number, (batch, logits) in enumerate(overlapped(iter(batches), lambda images: images + 1)):
        told.append(("given", number))
        assert batch is batches[number]
        assert torch.equal(logits, batch.image + 1)
    assert told == [
        *(("copy", 0), ("copy", 1), ("wait", 0), ("given", 0)),
        *(("copy", 2), ("wait", 1), ("given", 1)),
        *(("wait", 2), ("given", 2)),
    ]
    assert list(overlapped(iter([]), lambda images: images)) == []


class Keeping(nn.Module):
    """Keeps what it made in its first call, as networks do with grids and masks."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))
        self.kept = None

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.kept is None:
            self.kept = torch.linspace(0, 1, x.shape[1])
        return x.flatten(1) * (self.kept * self.scale)


@pytest.mark.parametrize("forward_of", [AsItIs, lambda network, runtime: Copied(network, runtime, TARGET.margins)])
def test_a_network_that_keeps_something_can_be_trained_after_it_predicted(forward_of):
    network = Keeping()
    found = forward_of(network, plan_runtime("cpu", "fp32"))(pictures(1.0, 2.0))
    found.add_(1)
    assert not found.is_inference()
    network(pictures(1.0, 2.0)).sum().backward()
    assert network.scale.grad is not None


def test_a_network_whose_way_depends_on_pictures_predicts_as_it_is():
    class Masked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm = nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            features = self.conv(x)
            features[x.mean((1, 2, 3)) < 0] = 0
            return self.norm(features).mean((2, 3))

    network = Masked()
    with torch.no_grad():
        network.norm.running_mean.fill_(3.0)
    images = torch.randn(40, 1, 4, 4)
    images[:2].abs_()
    runtime = plan_runtime("cpu", "fp32")
    found, expected = Copied(network, runtime, TARGET.margins)(images), AsItIs(network, runtime)(images)
    assert torch.allclose(found, expected, atol=1e-6)
