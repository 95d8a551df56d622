"""Datasets give rows one by one, and loaders with other transforms, weights and sizes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from data.drawn import draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import GrandparentSplitter, RandomSplitter
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import Resize
from sightline.errors import OptionError
from sightline.runtime import set_seed


@pytest.fixture
def pets(tmp_path):
    return draw_folder(tmp_path / "pets", {"train/cat": 4, "train/dog": 4, "valid/cat": 2, "valid/dog": 2})


@pytest.fixture
def block():
    return DataBlock(
        (ImageBlock, CategoryBlock),
        get_items=get_image_files,
        get_y=parent_label,
        splitter=GrandparentSplitter(),
        item_tfms=Resize(8),
    )


def test_rows_splits_and_names(block, pets):
    datasets = block.datasets(pets)
    assert datasets.items == get_image_files(pets)
    assert [rows.tolist() for rows in datasets.splits] == [list(range(8)), [8, 9, 10, 11]]
    assert (datasets.n_subsets, datasets.n_inp, datasets.c, list(datasets.vocab)) == (2, 1, 2, ["cat", "dog"])
    assert datasets.subset(1) is datasets.valid
    picture, label = datasets[-1]
    assert np.array_equal(np.asarray(picture), pixels(301))
    assert int(label) == 1
    assert datasets.decode((picture, label)) == (picture, "dog")
    assert [int(label) for _, label in datasets] == [0] * 4 + [1] * 4 + [0, 0, 1, 1]
    with pytest.raises(IndexError):
        datasets[12]


def test_an_item_is_drawn_with_its_label(block, pets):
    datasets = block.datasets(pets)
    _, axis = plt.subplots()
    assert datasets.show(datasets.train[5], ctx=axis) is axis
    assert axis.get_title() == "dog"
    plt.close("all")


def test_loaders_take_the_blocks_transforms_or_others(block, pets):
    datasets = block.new(Resize(8), Normalize((0.5,) * 3, (0.5,) * 3)).datasets(pets)
    own = datasets.dataloaders(bs=4, seed=3, path=pets)
    whole = block.dataloaders(pets, pets, bs=4, seed=3)
    assert torch.equal(own.one_batch().image, whole.one_batch().image)
    assert (own.path, own.preprocess) == (pets, whole.preprocess)
    other = datasets.dataloaders(bs=2, after_item=Resize(6), after_batch=[])
    assert other.one_batch().image.shape == (2, 3, 6, 6)
    assert other.preprocess.mean is None
    assert own.test_dl(own.valid.items, with_labels=True).one_batch().target.tolist() == [0, 0, 1, 1]


def test_an_unseeded_split_comes_before_the_loaders_seed_is_drawn(pets, block):
    set_seed(42)
    expected = RandomSplitter()(range(12))
    set_seed(42)
    block.splitter = RandomSplitter()
    dls = block.dataloaders(pets, bs=4)
    assert sorted(dls.valid.rows.tolist()) == sorted(expected[1].tolist())


def test_unknown_options_are_told_with_the_closest(block, pets):
    with pytest.raises(OptionError, match=r"dataloaders has no option 'shufle'.*Did you mean 'shuffle'"):
        block.dataloaders(pets, shufle=True)
    with pytest.raises(OptionError, match=r"dataloaders has no option 'dl_type'"):
        block.datasets(pets).dataloaders(dl_type=list)


def test_options_of_worker_processes_change_nothing(block, pets):
    plain = block.dataloaders(pets, bs=4, seed=0)
    other = block.dataloaders(
        pets, batch_size=4, seed=0, shuffle_train=True, pin_memory=True, persistent_workers=True, prefetch_factor=4, timeout=9
    )
    assert torch.equal(plain.one_batch().image, other.one_batch().image)


def test_validation_may_be_shuffled_too(block, pets):
    dls = block.dataloaders(pets, bs=4, seed=0, val_shuffle=True)
    orders = {tuple(batch.index.tolist()) for _ in range(6) for batch in dls.valid}
    assert len(orders) > 1
    assert {tuple(sorted(order)) for order in orders} == {(8, 9, 10, 11)}
