"""The same seed on the same machine gives the same bits, however pictures are read."""

from __future__ import annotations

import os

import pytest
import torch
from torch import nn

from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.items import RandomResizedCrop
from sightline.runtime import compute_deterministically, set_seed
from sightline.train.callbacks.mixing import MixUp
from sightline.train.learner import Learner


def network():
    body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(body, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(8, 3)))


def trained(folder, *, workers=0, cache=None, bf16=False, seed=4):
    """The state and the record of a small run with everything that draws random numbers."""
    set_seed(seed)
    dls = ImageDataLoaders.from_folder(
        folder, valid="valid", bs=8, item_tfms=RandomResizedCrop(24), batch_tfms=aug_transforms(), num_workers=workers,
        cache=cache,
    )  # fmt: skip
    learn = Learner(dls, network(), splitter=lambda net: [list(part.parameters()) for part in net], cbs=MixUp())
    if bf16:
        learn.to_bf16()
    with learn.no_logging():
        learn.fine_tune(1, 0.01)
    losses = [row["loss"] for row in learn.recorder.record.of("step")]
    return learn.model.state_dict(), losses


def assert_same(one, other):
    assert one[1] == other[1]
    assert all(torch.equal(one[0][name], other[0][name]) for name in one[0])


@pytest.fixture
def reference(colour_folder):
    return trained(colour_folder)


@pytest.mark.parametrize("options", [{}, {"workers": 1}, {"workers": 4}, {"cache": False}, {"cache": True, "workers": 4}])
def test_runs_are_bit_identical(colour_folder, reference, options):
    assert_same(trained(colour_folder, **options), reference)


def test_another_seed_is_another_run(colour_folder, reference):
    assert trained(colour_folder, seed=5)[1] != reference[1]


@pytest.mark.parametrize("bf16", [False, True])
def test_deterministic_algorithms_agree_with_every_part_of_a_step(colour_folder, bf16):
    """Kernels' own gradients and optimizers of one kernel included: PyTorch would warn of what it cannot do."""
    try:
        compute_deterministically()
        assert_same(trained(colour_folder, bf16=bf16, workers=4), trained(colour_folder, bf16=bf16))
    finally:
        torch.use_deterministic_algorithms(False)
        torch.backends.cudnn.deterministic = False
        for enable in ("flash", "mem_efficient", "cudnn"):
            getattr(torch.backends.cuda, f"enable_{enable}_sdp")(True)
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
