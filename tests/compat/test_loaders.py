"""Batches of ready-made tensors, as the first chapters of fastai's course make them."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.data import TensorDataset

from sightline.compat.learners import Learner
from sightline.compat.loaders import DataLoader, DataLoaders, get_c
from sightline.data.loading.samples import Part
from sightline.errors import OptionError
from sightline.target import Regression, SingleLabel
from sightline.train.optimizers import SGD


def numbers(n: int = 40) -> tuple[torch.Tensor, torch.Tensor]:
    """Points, and on which side of a line they lie: float `(n, 2)` and int64 `(n, 1)`."""
    points = torch.randn(n, 2, generator=torch.Generator().manual_seed(0))
    return points, (points.sum(1, keepdim=True) > 0).long()


def test_a_loader_batches_pairs_into_tuples() -> None:
    x, y = numbers()
    loader = DataLoader(list(zip(x, y, strict=True)), batch_size=16)
    xb, yb = loader.one_batch()
    assert isinstance(loader.one_batch(), tuple)
    assert torch.equal(xb, x[:16])
    assert torch.equal(yb, y[:16])
    assert (loader.bs, loader.n, len(loader)) == (16, 40, 3)
    assert next(iter(DataLoader(range(15), bs=5))).tolist() == [0, 1, 2, 3, 4]


def test_options_that_transform_are_refused_with_the_way_out() -> None:
    with pytest.raises(OptionError, match=r"no option 'after_item'.*DataBlock"):
        DataLoader([1, 2], after_item=abs)


def test_a_line_is_learned_with_a_loss_of_ones_own() -> None:
    x, y = numbers()
    loader = DataLoader(list(zip(x, y, strict=True)), bs=8)
    dls = DataLoaders(loader, loader)
    assert dls.target == Regression(1)

    def loss(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        chance = predictions.sigmoid()
        return torch.where(targets == 1, 1 - chance, chance).mean()

    def right(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return ((predictions > 0) == targets).float().mean()

    torch.manual_seed(0)
    learn = Learner(dls, nn.Linear(2, 1), opt_func=SGD, loss_func=loss, metrics=right)
    learn.fit(10, lr=1.0)
    assert learn.recorder.values[-1][2] > 0.9
    predictions, targets = learn.get_preds()
    assert predictions.shape == targets.shape == (40, 1)


def test_whole_numbers_are_classes() -> None:
    x, y = numbers()
    data = TensorDataset(x, y.squeeze(1))
    for dls in (
        DataLoaders.from_dsets(data, data, bs=8),
        DataLoaders(torch.utils.data.DataLoader(data, 8), torch.utils.data.DataLoader(data, 8)),
    ):
        assert isinstance(dls.target, SingleLabel)
        assert (dls.c, get_c(dls), list(dls.vocab)) == (2, 2, [0, 1])
    learn = Learner(dls, nn.Linear(2, 2), loss_func=nn.CrossEntropyLoss())
    learn.fit(1)
    assert torch.allclose(learn.get_preds()[0].sum(1), torch.ones(40), atol=1e-5)


def test_classes_of_a_dataset_keep_their_names() -> None:
    data = TensorDataset(numbers()[0], numbers()[1].squeeze(1))
    data.classes = ["below", "above"]
    assert list(DataLoaders.from_dsets(data, data).vocab) == ["below", "above"]


def test_training_alone_is_shuffled() -> None:
    data = TensorDataset(torch.arange(40.0).view(-1, 1), torch.arange(40.0))
    dls = DataLoaders.from_dsets(data, data, bs=16)
    assert [len(batch[1]) for batch in dls.train] == [16, 16]
    assert torch.cat([batch[1] for batch in dls.valid]).tolist() == list(range(40))
    assert dls.train.one_batch()[1].tolist() != list(range(16))


def test_parts_of_a_data_block_make_their_loaders_themselves() -> None:
    with pytest.raises(OptionError, match=r"dsets\.dataloaders"):
        DataLoaders.from_dsets(Part.__new__(Part))
