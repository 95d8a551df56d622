"""Weighted and partial passes: what is drawn follows from seed and epoch alone, as often as the weights say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from data.drawn import draw_folder
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock, MultiCategoryBlock, RegressionBlock
from sightline.data.loading.any_loader import LoaderOptions
from sightline.data.loading.order import pass_keys, weighted
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import GrandparentSplitter
from sightline.data.rows.weights import balanced_weights, training_weights
from sightline.data.transforms.augment import aug_transforms
from sightline.errors import LabelError, OptionError, SightlineWarning


@pytest.fixture
def pets(tmp_path):
    """12 cats and 4 dogs to train on; row numbers follow the folders: train 0..15, valid 16..19."""
    return draw_folder(tmp_path / "pets", {"train/cat": 12, "train/dog": 4, "valid/cat": 2, "valid/dog": 2})


def block(**options):
    given = {"get_items": get_image_files, "get_y": parent_label, "splitter": GrandparentSplitter()}
    return DataBlock((ImageBlock, CategoryBlock), **(given | options))


def rows_of(loader):
    return np.concatenate([batch.index for batch in loader])


def test_rows_are_drawn_as_often_as_their_weights_say():
    weights = np.array([0.0, 1.0, 3.0, 0.0])
    drawn = np.concatenate([weighted(weights, 7, epoch, 50) for epoch in range(400)])
    # 20,000 draws: the standard deviation of a share is 0.003.
    assert np.allclose(np.bincount(drawn, minlength=4) / len(drawn), [0, 0.25, 0.75, 0], atol=0.012)


def test_a_row_that_comes_again_has_another_key_but_is_the_same_row():
    options = LoaderOptions(shuffle=True, weights=np.array([1.0, 0.0, 1.0]), seed=3)
    keys = pass_keys(options, 0, np.array([2, 5, 8]), 40, table_size=10)
    assert len(set(keys.tolist())) == 40
    assert set((keys % 10).tolist()) == {2, 8}
    for row in (2, 8):
        assert (keys[keys % 10 == row] // 10).tolist() == list(range((keys % 10 == row).sum()))


def test_a_weighted_pass_is_as_long_as_before_and_follows_from_seed_and_epoch(pets):
    weights = [1.0] * 12 + [5.0] * 4 + [100.0] * 4
    dls, again, other = (block().weighted_dataloaders(pets, weights, bs=8, seed=seed) for seed in (1, 1, 2))
    first, second = rows_of(dls.train), rows_of(dls.train)
    assert len(dls.train) == 2
    assert first.tolist() == rows_of(again.train).tolist() != second.tolist()
    assert first.tolist() != rows_of(other.train).tolist()
    assert max(first.max(), second.max()) < 16, "weights of validation rows have no effect"
    assert rows_of(dls.valid).tolist() == [16, 17, 18, 19]
    with_threads = dls.new(num_workers=3)
    with_threads.train.epoch = 1
    assert rows_of(with_threads.train).tolist() == second.tolist()


def test_dogs_come_as_often_as_cats_with_balanced_weights(pets):
    datasets = block().datasets(pets)
    weights = balanced_weights(datasets)
    assert np.allclose(weights, [2 / 3] * 12 + [2.0] * 4)
    dls = datasets.weighted_dataloaders(weights, bs=16, seed=0)
    share = np.mean([rows_of(dls.train) >= 12 for _ in range(60)])
    # 960 draws: the standard deviation of a share is 0.016.
    assert abs(share - 0.5) < 0.06
    later = dls.weighted_dataloaders(balanced_weights(dls), bs=4)
    assert later.bs == 4


def test_a_picture_that_comes_twice_in_a_pass_is_augmented_twice(pets):
    only_one = np.zeros(16)
    only_one[5] = 1
    datasets = block(batch_tfms=aug_transforms(p_affine=1, p_lighting=1)).datasets(pets)
    batch = datasets.weighted_dataloaders(only_one, bs=4, seed=0).one_batch()
    assert batch.index.tolist() == [5, 5, 5, 5]
    assert batch.target.tolist() == [0, 0, 0, 0]
    assert not any(torch.equal(batch.image[i], batch.image[j]) for i in range(4) for j in range(i))


def test_weights_may_be_given_for_training_rows_or_for_all(pets):
    dls = block().dataloaders(pets, bs=4, seed=0)
    everything = np.arange(20.0)
    by_all, by_training = (dls.weighted_dataloaders(weights) for weights in (everything, everything[:16]))
    assert rows_of(by_all.train).tolist() == rows_of(by_training.train).tolist()
    assert not dls.train.options.weights
    assert dls.weighted_dataloaders(torch.arange(16)).train.options.shuffle


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ([1.0] * 17, r"17 weights for 16 training rows \(and 20 rows in all\)"),
        ([1.0] * 15 + [-1.0], r"not negative and not all zero; the one at position 15 is -1"),
        ([1.0, float("nan")] + [1.0] * 14, r"the one at position 1 is nan"),
        ([0.0] * 16, r"not all zero"),
    ],
)
def test_weights_that_make_no_sense_are_refused(pets, weights, words):
    with pytest.raises(OptionError, match=words):
        block().dataloaders(pets, bs=4).weighted_dataloaders(weights)


def test_a_block_takes_a_weight_for_every_item(pets):
    with pytest.raises(OptionError, match=r"16 weights for 20 items"):
        block().weighted_dataloaders(pets, [1.0] * 16)
    with pytest.raises(OptionError, match=r"3 weights for 2 training rows\. Expected one for each"):
        training_weights([1, 2, 3], None, 2)


def test_balance_of_several_labels_and_of_lists():
    assert np.allclose(balanced_weights(["a", "a", "b"]), [0.75, 0.75, 1.5])
    assert np.allclose(balanced_weights(np.array([1, 1, 1, 0])), [2 / 3, 2 / 3, 2 / 3, 2])
    # a occurs 3 times, b once, none once: means of the inverses are 1/3, 2/3, 1/3, 1, to be divided by their mean 7/12.
    assert np.allclose(balanced_weights([["a"], ["a", "b"], ["a"], []]), np.array([1 / 3, 2 / 3, 1 / 3, 1]) * 12 / 7)
    for labels in ([0.5, 1.5], [[0.5, 1.0]], []):
        with pytest.raises(LabelError, match=r"cannot be balanced"):
            balanced_weights(labels)


def test_balance_reads_the_labels_of_a_block_with_several(pets):
    several = DataBlock(
        (ImageBlock, MultiCategoryBlock),
        get_items=get_image_files,
        get_y=lambda path: ["pet", path.parent.name],
        splitter=GrandparentSplitter(),
    )
    weights = balanced_weights(several.dataloaders(pets, bs=4))
    assert np.allclose(weights[-1] / weights[0], (1 / 16 + 1 / 4) / (1 / 16 + 1 / 12))
    numbers = block(get_y=lambda path: float(path.stem))
    numbers.label = RegressionBlock()
    with pytest.raises(LabelError, match=r"Labels are numbers"):
        balanced_weights(numbers.dataloaders(pets, bs=4))


def test_a_partial_pass_takes_other_rows_each_epoch(pets):
    dls = block().datasets(pets).partial_dataloaders(10, bs=4, seed=0)
    passes = [rows_of(dls.train) for _ in range(3)]
    assert len(dls.train) == 2
    assert all(len(set(rows.tolist())) == 8 for rows in passes), "10 rows are two whole batches of 4; the rest is dropped"
    assert len({tuple(rows.tolist()) for rows in passes}) == 3
    assert len(dls.valid) == 1
    whole = dls.partial_dataloaders(10, drop_last=False)
    assert (len(whole.train), len(rows_of(whole.train))) == (3, 10)
    assert rows_of(dls.partial_dataloaders(99).train).size == 16
    sorted_rows = rows_of(dls.partial_dataloaders(8, shuffle=False).train)
    assert sorted_rows.tolist() == sorted(sorted_rows.tolist())


def test_partial_passes_too_small_for_a_batch_still_give_one(pets):
    with pytest.warns(SightlineWarning, match=r"3 pictures, fewer than bs=4"):
        dls = block().datasets(pets).partial_dataloaders(3, bs=4, seed=0)
    assert [batch.n for batch in dls.train] == [3]
    with pytest.raises(OptionError, match=r"partial_n=0 is not a whole number of at least 1"):
        dls.partial_dataloaders(0)


def test_another_part_forgets_the_weights_of_the_old_one(pets):
    dls = block().dataloaders(pets, bs=4, seed=0).weighted_dataloaders([1.0] * 16)
    other = dls.train.new(dls.valid_ds)
    assert other.options.weights is None
    assert sorted(rows_of(other.new(drop_last=False)).tolist()) == [16, 17, 18, 19]
    assert dls.evaluation(0).order(0).tolist() == list(range(16))
