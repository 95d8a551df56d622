"""Splitters choose the same rows as fastai's for the same seed, leave PyTorch's generator alone and refuse empty parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sightline.data.rows.split import (
    ColSplitter,
    EndSplitter,
    FileSplitter,
    FuncSplitter,
    GrandparentSplitter,
    IndexSplitter,
    MaskSplitter,
    RandomSplitter,
    RandomSubsetSplitter,
    TrainTestSplitter,
)
from sightline.errors import OptionError, SplitError, TableError


def lists(parts):
    return [part.tolist() for part in parts]


# What fastai 2.8.12 with torch 2.14 returns.
FACTS = [
    (RandomSplitter(0.2, seed=42), 10, [1, 8, 4, 5, 0, 9, 3, 7], [2, 6]),
    (
        RandomSplitter(0.3, seed=0),
        23,
        [22, 14, 4, 7, 6, 13, 9, 10, 1, 12, 5, 17, 11, 2, 18, 0, 21],
        [19, 8, 16, 3, 15, 20],
    ),
    (RandomSplitter(0.5, seed=1), 7, [3, 5, 2, 4], [0, 6, 1]),
    (RandomSubsetSplitter(0.5, 0.25, seed=7), 12, [3, 4, 0, 5, 7, 9], [11, 6, 8]),
    (EndSplitter(0.25), 9, [0, 1, 2, 3, 4, 5, 6], [7, 8]),
    (EndSplitter(0.25, valid_last=False), 9, [2, 3, 4, 5, 6, 7, 8], [0, 1]),
    (IndexSplitter([4, 1]), 6, [0, 2, 3, 5], [4, 1]),
    (RandomSplitter(seed=42), 12, [1, 7, 0, 2, 10, 11, 4, 3, 5, 9], [6, 8]),
    (MaskSplitter(pd.Series([True, False, False, True, False])), 5, [1, 2, 4], [0, 3]),
    (TrainTestSplitter(4, random_state=1, train_size=5), 12, [1, 6, 0, 7, 11], [2, 3, 4, 10]),
    (TrainTestSplitter(0.25, random_state=3, stratify=[0, 1] * 6), 12, [6, 10, 4, 7, 11, 8, 3, 5, 9], [0, 2, 1]),
]


@pytest.mark.parametrize(("splitter", "n", "train", "valid"), FACTS, ids=lambda value: str(value)[:40])
def test_the_same_rows_as_fastai(splitter, n, train, valid):
    assert lists(splitter(list(range(n)))) == [train, valid]


def test_scikit_learns_split_and_its_refusals():
    pytest.importorskip("sklearn")
    assert lists(TrainTestSplitter(0.3, random_state=5)(range(10))) == [[4, 7, 1, 0, 8, 6, 3], [9, 5, 2]]
    labels = [0] * 6 + [1] * 4
    assert lists(TrainTestSplitter(0.5, random_state=5, stratify=labels)(range(10))) == [[6, 2, 7, 4, 5], [1, 3, 0, 8, 9]]
    with pytest.raises(SplitError, match=r"1 item cannot be split"):
        TrainTestSplitter(0.3)([0])


def test_a_seeded_split_leaves_the_global_generator_alone_and_an_unseeded_one_follows_it():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    RandomSplitter(0.4, seed=9)(range(50))
    assert torch.equal(torch.get_rng_state(), before)
    # A fact from fastai: after torch.manual_seed(3).
    assert lists(RandomSplitter(0.4)(range(5))) == [[3, 4, 2], [1, 0]]


def test_a_share_must_be_a_share_and_hold_one_item():
    with pytest.raises(OptionError, match=r"valid_pct=20 is not a share\. Expected a number from 0"):
        RandomSplitter(20)
    with pytest.raises(SplitError, match=r"valid_pct=0\.2 of 4 items is not one whole item.*at least 5 items"):
        RandomSplitter(0.2)(range(4))
    with pytest.raises(OptionError, match=r"together at most 1"):
        RandomSubsetSplitter(0.7, 0.7)
    assert lists(RandomSplitter(0, seed=0)(range(3)))[1] == []


def test_index_splits_name_positions_that_are_not_there_or_twice():
    with pytest.raises(SplitError, match=r"valid_idx holds '9', but there are 3 items, counted from 0"):
        IndexSplitter([1, 9])(range(3))
    with pytest.raises(SplitError, match=r"more than once"):
        IndexSplitter([1, 1])(range(3))
    assert lists(IndexSplitter(range(1, 3))(range(3))) == [[0], [1, 2]]


def test_folders_two_levels_up_split_and_others_are_left_out():
    files = [Path(name) for name in ("d/train/a/1", "d/valid/a/2", "d/test/a/3", "d/train/b/4", "d/fit/b/5")]
    assert lists(GrandparentSplitter()(files)) == [[0, 3], [1]]
    assert lists(GrandparentSplitter(["train", "fit"], "test")(files)) == [[0, 3, 4], [2]]
    with pytest.raises(SplitError, match=r"No picture lies in a folder 'val' two levels above.*'train' x2, 'valid' x1"):
        GrandparentSplitter(valid_name="val")(files)


def test_functions_masks_and_lists_of_names_split(tmp_path):
    files = [Path(f"d/{name}.png") for name in "abcd"]
    (tmp_path / "valid.txt").write_text("b.png\n\nd.png \nzz.png\n")
    for splitter in (
        FuncSplitter(lambda path: path.stem in "bd"),
        MaskSplitter([False, True, False, True]),
        MaskSplitter(np.array([0, 1, 0, 1])),
        FileSplitter(tmp_path / "valid.txt"),
    ):
        assert lists(splitter(files)) == [[0, 2], [1, 3]]


def test_one_sided_splits_are_refused(tmp_path):
    (tmp_path / "none.txt").write_text("x.png")
    with pytest.raises(SplitError, match=r"By the names in .*none.txt, all 2 items are for training"):
        FileSplitter(tmp_path / "none.txt")(["a.png", "b.png"])
    with pytest.raises(TableError, match=r"cannot be read"):
        FileSplitter(tmp_path / "missing.txt")(["a.png"])
    with pytest.raises(SplitError, match=r"all 2 items are for validation"):
        FuncSplitter(lambda item: True)("ab")
    with pytest.raises(SplitError, match=r"mask has 1 value, but there are 2 items"):
        MaskSplitter([True])("ab")


@pytest.mark.parametrize(
    "values",
    [[False, True, False], [0, 1, 0], [0.0, 1.0, 0.0], ["False", "true", "no"], ["train", "Valid", "training"]],
    ids=str,
)
def test_a_column_of_yes_and_no_splits(values):
    assert lists(ColSplitter()(pd.DataFrame({"is_valid": values}))) == [[0, 2], [1]]


def test_a_column_splits_by_the_values_that_mean_validation():
    frame = pd.DataFrame({"fold": [0, 1, 2, 1]})
    assert lists(ColSplitter("fold", on=1)(frame)) == [[0, 2], [1, 3]]
    assert lists(ColSplitter(0, on=[1, 2])(frame)) == [[0], [1, 2, 3]]


def test_a_column_that_says_neither_is_told_by_row():
    with pytest.raises(SplitError, match=r"neither yes nor no for 2 rows \(row 1: nan, row 2: 'maybe'\)"):
        ColSplitter()(pd.DataFrame({"is_valid": [True, np.nan, "maybe"]}))
    with pytest.raises(TableError, match=r"Did you mean 'is_valid'\?"):
        ColSplitter("valid")(pd.DataFrame({"is_valid": [1]}))
    with pytest.raises(TableError, match=r"the items are a list. Expected a pandas DataFrame"):
        ColSplitter()([1, 2])


def test_functions_are_called_with_rows_of_a_table():
    frame = pd.DataFrame({"a": [1, 2, 3]})
    assert lists(FuncSplitter(lambda row: row["a"] > 2)(frame)) == [[0, 1], [2]]
