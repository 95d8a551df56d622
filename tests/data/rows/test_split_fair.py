"""Stratified splits keep shares, grouped splits keep groups together, folds cover everything once."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pandas as pd
import pytest

from sightline.data.rows.split_fair import GroupSplitter, KFoldSplitter, StratifiedSplitter
from sightline.errors import OptionError, SplitError, TableError


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5])
def test_every_label_keeps_its_share_to_within_one_item(seed, share):
    labels = np.random.default_rng(seed).choice(list("abcde"), size=200, p=[0.5, 0.3, 0.1, 0.06, 0.04]).tolist()
    train, valid = StratifiedSplitter(share, seed, labels=labels)(labels)
    assert sorted([*train, *valid]) == list(range(200))
    counts, chosen = Counter(labels), Counter(labels[i] for i in valid)
    assert all(abs(chosen[name] - share * counts[name]) <= 1 for name in counts)


def test_a_label_with_one_item_stays_in_training():
    labels = ["a"] * 10 + ["rare"]
    for seed in range(10):
        _, valid = StratifiedSplitter(0.2, seed, labels=labels)(labels)
        assert 10 not in valid


def test_several_labels_an_item_keep_their_shares_too():
    rng = np.random.default_rng(0)
    labels = [rng.choice(list("abcdef"), size=rng.integers(0, 4), replace=False).tolist() for _ in range(300)]
    _, valid = StratifiedSplitter(0.2, 0, labels=labels)(labels)
    counts = Counter(name for names in labels for name in names)
    chosen = Counter(name for i in valid for name in labels[i])
    assert all(abs(chosen[name] / counts[name] - 0.2) < 0.04 for name in counts)
    assert abs(len(valid) - 60) <= 4


def test_a_stratified_split_repeats_and_reads_functions_and_columns():
    frame = pd.DataFrame({"label": ["a", "b"] * 20})
    by_list = StratifiedSplitter(0.25, 3, labels=frame["label"].tolist())(frame)
    by_column = StratifiedSplitter(0.25, 3, labels="label")(frame)
    by_function = StratifiedSplitter(0.25, 3, labels=lambda row: row["label"])(frame)
    for other in (by_column, by_function):
        assert [part.tolist() for part in other] == [part.tolist() for part in by_list]
    assert StratifiedSplitter(0.25, 4, labels="label")(frame)[1].tolist() != by_list[1].tolist()


def test_a_stratified_split_needs_labels_that_fit():
    with pytest.raises(SplitError, match=r"has no labels. Pass labels="):
        StratifiedSplitter()(range(10))
    with pytest.raises(SplitError, match=r"labels has 2 values, but there are 10 items"):
        StratifiedSplitter(labels=["a", "b"])(range(10))
    with pytest.raises(SplitError, match=r"names a column, but the items are a range"):
        StratifiedSplitter(labels="a")(range(10))
    with pytest.raises(TableError, match=r"There is no column 'lable'"):
        StratifiedSplitter(labels="lable")(pd.DataFrame({"label": ["a"] * 9}))


@pytest.mark.parametrize("seed", range(5))
def test_no_group_is_on_both_sides_and_the_share_is_close(seed):
    groups = np.random.default_rng(seed).integers(0, 40, size=400).tolist()
    train, valid = GroupSplitter(groups, 0.25, seed)(groups)
    assert not {groups[i] for i in train} & {groups[i] for i in valid}
    assert abs(len(valid) - 100) <= max(Counter(groups).values())


def test_large_groups_still_give_a_validation_part():
    groups = ["a"] * 50 + ["b"] * 40
    train, valid = GroupSplitter(lambda item: groups[item], 0.1, 0)(range(90))
    assert {groups[i] for i in valid} == {"b"}
    assert {groups[i] for i in train} == {"a"}
    with pytest.raises(SplitError, match=r"All 3 items are of one group \('a'\)"):
        GroupSplitter(["a"] * 3)(range(3))


def test_every_item_is_in_validation_in_exactly_one_fold():
    folds = [KFoldSplitter(4, fold, seed=7)(range(10)) for fold in range(4)]
    assert sorted(i for _, valid in folds for i in valid.tolist()) == list(range(10))
    assert all(sorted([*train, *valid]) == list(range(10)) for train, valid in folds)
    assert {len(valid) for _, valid in folds} == {2, 3}
    with pytest.raises(OptionError, match=r"k=4, fold=4"):
        KFoldSplitter(4, 4)
    with pytest.raises(SplitError, match=r"3 items cannot be parted into k=4"):
        KFoldSplitter(4)(range(3))
