"""A batch stands for the tuple (image, target) and knows its rows."""

from __future__ import annotations

import numpy as np
import torch

from sightline.data.loading.batch import Batch


def test_a_batch_unpacks_into_image_and_target():
    batch = Batch(torch.zeros(3, 3, 2, 2), torch.tensor([0, 1, 2]), np.arange(3))
    image, target = batch
    assert image is batch.image
    assert target is batch.target
    assert len(batch) == 2
    assert batch[1] is batch.target
    assert batch.n == 3


def test_without_a_target_it_unpacks_into_the_image_alone():
    batch = Batch(torch.zeros(3, 3, 2, 2), None, np.arange(3))
    (image,) = batch
    assert image is batch.image
    assert len(batch) == 1


def test_a_batch_moves_to_a_device_and_keeps_its_rows():
    batch = Batch(torch.zeros(2, 1), torch.tensor([0, 1]), np.array([5, 7])).to("meta")
    assert batch.image.device.type == batch.target.device.type == "meta"
    assert batch.index.tolist() == [5, 7]
