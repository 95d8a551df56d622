"""What a pass over a loader gave: order, and nothing at all."""

from __future__ import annotations

import numpy as np
import torch

from sightline.data.loading.foreign import ForeignLoader
from sightline.outputs import Collector, as_loader
from sightline.target import MultiLabel, SingleLabel, Vocab

TARGET = SingleLabel(Vocab(["a", "b"]))


class Rows(ForeignLoader):
    """A loader that serves these rows."""

    def __init__(self, rows):
        super().__init__([], torch.device("cpu"))
        self._rows = np.array(rows, dtype=np.int64)

    @property
    def rows(self):
        return self._rows


def collected(rows):
    found = Collector()
    for row in rows:
        found.add([row], torch.tensor([[float(row), 0.0]]), target=torch.tensor([row]))
    return found


def test_batches_in_any_order_come_out_in_the_order_of_the_loader():
    found = collected([3, 9, 1]).outputs(Rows([9, 1, 3]), TARGET, lambda x: x, TARGET.decide)
    assert found.rows.tolist() == [9, 1, 3]
    assert found.targs.tolist() == [9, 1, 3]
    assert found.preds[:, 0].tolist() == [9.0, 1.0, 3.0]
    as_given = collected([3, 9, 1]).outputs(Rows([9, 1, 3]), TARGET, lambda x: x, TARGET.decide, reorder=False)
    assert as_given.rows.tolist() == [3, 9, 1]


def test_nothing_has_the_shape_of_something():
    target = MultiLabel(Vocab(["a", "b", "c"]))
    found = Collector().outputs(Rows([]), target, target.activate, target.decide)
    assert found.preds.shape == found.decoded.shape == (0, 3)
    assert found.as_tuple(with_input=True, with_decoded=True, with_loss=True)[0] is None
    assert len(found.as_tuple()) == 2


def test_a_loader_is_taken_as_it_is():
    loader = Rows([1, 2])
    assert as_loader(loader, torch.device("cpu")) is loader
