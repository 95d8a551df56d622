"""Blocks turn raw labels into plain ones and learn a target from them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sightline.data.blocks import CategoryBlock, ImageBlock, LabelHints, MultiCategoryBlock, RegressionBlock
from sightline.data.pictures.decode import PILImage, PILImageBW
from sightline.errors import LabelError, OptionError


def test_a_name_is_kept_as_it_is_and_numbers_of_numpy_become_pythons():
    read = CategoryBlock().read
    assert read("001") == "001"
    assert read(" cat ") == " cat "
    for value in (np.int64(3), np.str_("a"), torch.tensor(3), True, 2.5):
        assert type(read(value)) in (int, str, bool, float)
    assert read(Path("a/b")) == str(Path("a/b"))


@pytest.mark.parametrize("blank", [None, float("nan"), np.nan, pd.NA, pd.NaT, "", "  "], ids=repr)
def test_a_blank_name_is_refused_unless_na_is_wanted(blank):
    with pytest.raises(LabelError, match=r"blank"):
        CategoryBlock().read(blank)
    assert CategoryBlock(add_na=True).read(blank) == "#na#"
    assert MultiCategoryBlock().read(blank) == []
    with pytest.raises(LabelError, match=r"blank"):
        RegressionBlock().read(blank)


def test_a_list_is_no_single_name():
    with pytest.raises(LabelError, match=r"a list of names .*use MultiCategoryBlock"):
        CategoryBlock().read(["a", "b"])
    with pytest.raises(LabelError, match=r"a Timestamp, which is neither text nor a number"):
        CategoryBlock().read(pd.Timestamp("2024-01-01"))


def test_the_vocabulary_is_sorted_or_in_order_of_appearance_or_as_given():
    labels = ["b", "a", "c", "a"]
    assert CategoryBlock().learn(labels).vocab == ["a", "b", "c"]
    assert CategoryBlock(sort=False).learn(labels).vocab == ["b", "a", "c"]
    assert CategoryBlock(add_na=True).learn(labels).vocab == ["#na#", "a", "b", "c"]
    # As in fastai: a list is sorted unless sort=False, a categorical keeps its order and its unused names.
    assert CategoryBlock(vocab=["c", "b", "a"]).learn(labels).vocab == ["a", "b", "c"]
    assert CategoryBlock(vocab=["c", "b", "a"], sort=False).learn(labels).vocab == ["c", "b", "a"]
    ordered = pd.Series(["x", "y", "x"], dtype=pd.CategoricalDtype(["y", "x", "z"], ordered=True))
    assert CategoryBlock(vocab=ordered).learn(["x"]).vocab == ["y", "x", "z"]


def test_a_categorical_column_gives_the_order_of_the_names_that_occur():
    block = CategoryBlock().adapt(LabelHints(categories=("tall", "small", "medium")))
    assert block.learn(["small", "tall", "small"]).vocab == ["tall", "small"]


def test_several_names_lose_blanks_and_repeats():
    read = MultiCategoryBlock().read
    assert read(["b", None, "a", "b", ""]) == ["b", "a"]
    assert read("alone") == ["alone"]
    assert read(np.array(["x"])) == ["x"]
    assert MultiCategoryBlock().learn([["b"], ["c", "a"], []]).vocab == ["a", "b", "c"]
    assert MultiCategoryBlock(vocab=["z", "a"]).learn([["a"]]).vocab == ["z", "a"]


def test_zeros_and_ones_stand_for_names():
    block = MultiCategoryBlock(encoded=True, vocab=["a", "b", "c"])
    assert block.read([1, 0, 1.0]) == ["a", "c"]
    assert block.read(np.array([0, 0, 0])) == []
    with pytest.raises(LabelError, match=r"2 values for 3 names"):
        block.read([1, 0])
    with pytest.raises(LabelError, match=r"not only 0 and 1"):
        block.read([1, 0, 2])
    with pytest.raises(OptionError, match=r"MultiCategoryBlock\(encoded=True\) needs vocab="):
        MultiCategoryBlock(encoded=True).adapt(LabelHints())
    assert MultiCategoryBlock(encoded=True).adapt(LabelHints(columns=("x", "y"))).read([0, 1]) == ["y"]


def test_numbers_are_finite_floats():
    block = RegressionBlock()
    assert block.read(np.float32(0.5)) == 0.5
    assert block.read("2.5") == 2.5
    assert block.read((1, torch.tensor(2.0))) == [1.0, 2.0]
    for value, why in ((float("inf"), "infinite"), ("tall", "'tall', not a number")):
        with pytest.raises(LabelError, match=why):
            block.read(value)
    assert block.learn([[1.0, 2.0]]).num_outputs == 2
    assert RegressionBlock(n_out=1).learn([1.0]).num_outputs == 1
    assert block.adapt(LabelHints(columns=("x", "y"))).learn([[1.0, 2.0]]).names == ["x", "y"]


def test_pictures_are_in_colour_or_grey():
    assert ImageBlock().channels == 3
    assert ImageBlock(PILImageBW).channels == 1
    assert ImageBlock(cls=PILImage).channels == 3
    with pytest.raises(OptionError, match=r"expected PILImage"):
        ImageBlock(cls=str)
