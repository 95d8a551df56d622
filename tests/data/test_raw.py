"""A DataBlock that is still being written: without blocks it shows what the getters return."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from data.drawn import draw_folder
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import IndexSplitter, RandomSplitter
from sightline.errors import OptionError


def frame() -> pd.DataFrame:
    return pd.DataFrame({"name": list("abcd"), "label": [1, 2, 3, 4]}, index=[9, 8, 7, 6])


def test_without_getters_an_item_is_its_picture_and_its_label():
    datasets = DataBlock(splitter=IndexSplitter([1])).datasets(frame())
    assert (len(datasets), len(datasets.train), len(datasets.valid), datasets.n_subsets) == (4, 3, 1, 2)
    x, y = datasets.valid[0]
    assert (x["name"], y.label) == ("b", 2)
    assert list(datasets.train.items.index) == [9, 7, 6]


def test_getters_are_applied_and_nothing_else():
    block = DataBlock(get_x=lambda row: row["name"], get_y=lambda row: row["label"], splitter=IndexSplitter([0]))
    datasets = block.datasets(frame())
    assert list(datasets.train) == [("b", 2), ("c", 3), ("d", 4)]
    assert datasets.train[1:] == datasets.train[[1, 2]] == datasets.train[np.array([1, 2])] == [("c", 3), ("d", 4)]
    assert datasets[0] == ("a", 1)


def test_a_list_serves_as_well():
    datasets = DataBlock(get_y=str.upper, splitter=IndexSplitter([0])).datasets(["a", "b", "c"])
    assert list(datasets.train) == [("b", "B"), ("c", "C")]
    assert datasets.train.items == ["b", "c"]


def test_loaders_take_pictures_with_one_label_as_ever(tmp_path):
    draw_folder(tmp_path, {"cat": 3, "dog": 3})
    block = DataBlock(get_items=get_image_files, get_y=parent_label, splitter=IndexSplitter([0, 3]))
    assert list(block.dataloaders(tmp_path, bs=2).vocab) == ["cat", "dog"]


def test_loaders_ask_for_labels_that_are_not_known(tmp_path):
    draw_folder(tmp_path, {"cat": 3})
    with pytest.raises(OptionError, match="no get_y"):
        DataBlock(get_items=get_image_files).dataloaders(tmp_path)
    with pytest.raises(OptionError, match="no get_y"):
        DataBlock((ImageBlock, CategoryBlock), get_items=get_image_files)


def test_a_splitter_given_as_a_class_is_named():
    with pytest.raises(OptionError, match=r"RandomSplitter is a class; .*RandomSplitter\(\.\.\.\)"):
        DataBlock((ImageBlock, CategoryBlock), get_y=parent_label, splitter=RandomSplitter)
