"""A picture's content decides its part: nothing moves when pictures come, copies stay together, shares are as drawn."""

from __future__ import annotations

import time
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from data.drawn import draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock, MultiCategoryBlock, RegressionBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import ColReader, parent_label
from sightline.data.rows.split_content import ContentSplitter, key_of
from sightline.data.transforms.items import Resize
from sightline.errors import OptionError, SplitError


def contents(count: int, first: int = 0) -> list[bytes]:
    """Pictures for a splitter that does not look into them: bytes, all different."""
    return [f"picture {number}".encode() for number in range(first, first + count)]


def split(pictures, labels=None, **options):
    """The part of each picture, by content."""
    parts = ContentSplitter(labels=labels, near_duplicates=False, **options)(pictures)
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(pictures)))
    part_of = {row: number for number, rows in enumerate(parts) for row in rows.tolist()}
    return {picture: part_of[row] for row, picture in enumerate(pictures)}


def test_pictures_that_come_move_none_of_the_old_ones():
    labels = np.random.default_rng(0).choice(list("abc"), 600).tolist()
    before = split(contents(300), labels[:300], test_pct=0.1)
    after = split(contents(600), labels, test_pct=0.1)
    assert {picture: after[picture] for picture in before} == before
    order = np.random.default_rng(1).permutation(600).tolist()
    assert split([contents(600)[i] for i in order], [labels[i] for i in order], test_pct=0.1) == after


def test_other_seeds_give_other_parts():
    first, again, other = (split(contents(200), seed=seed) for seed in (0, 0, 1))
    assert first == again != other


def test_shares_spread_as_if_every_picture_was_drawn_by_itself():
    share, pictures, labels = 0.2, contents(400), ["a"] * 300 + ["b"] * 100
    parts = [ContentSplitter(share, seed=seed, labels=labels, near_duplicates=False)(pictures)[1] for seed in range(200)]
    for first, count in ((0, 300), (300, 100)):
        found = np.array([((rows >= first) & (rows < first + count)).sum() for rows in parts])
        spread = np.sqrt(count * share * (1 - share))
        # The mean of 200 draws lies within four of its own standard errors; so does their spread.
        assert abs(found.mean() - share * count) < 4 * spread / np.sqrt(200)
        assert abs(found.std() / spread - 1) < 4 / np.sqrt(400)


def test_keys_are_even_and_those_of_two_seeds_have_nothing_in_common():
    keys = np.array([[key_of(picture, seed) for picture in contents(5000)] for seed in (0, 1)])
    counts = np.histogram(keys[0], bins=50, range=(0, 1))[0]
    assert ((counts - 100) ** 2 / 100).sum() < 49 + 4 * np.sqrt(98)
    assert abs(np.corrcoef(keys)[0, 1]) < 4 / np.sqrt(5000)
    assert 0 <= keys.min() < 0.01 < 0.99 < keys.max() < 1


@pytest.mark.parametrize("seed", range(20))
def test_small_labels_have_pictures_in_every_part(seed):
    labels = ["large"] * 50 + ["three"] * 3 + ["two"] * 2 + ["one"]
    found = split(contents(56), labels, seed=seed, test_pct=0.2)
    counts = Counter(zip(labels, found.values(), strict=True))
    assert all(counts[name, part] >= 1 for name in ("large", "three") for part in range(3))
    assert (counts["two", 0], counts["two", 1]) == (1, 1)
    assert counts["one", 0] == 1


@pytest.mark.parametrize("seed", range(20))
def test_mending_a_small_label_takes_none_from_another(seed):
    rng = np.random.default_rng(seed)
    labels = [rng.choice(list("abcdefgh"), size=rng.integers(0, 4), replace=False).tolist() for _ in range(30)]
    found = split(contents(30), labels, seed=seed)
    for name in set("abcdefgh"):
        parts = [found[picture] for picture, names in zip(contents(30), labels, strict=True) if name in names]
        assert not parts or 0 in parts
    assert 1 in found.values()
    order = rng.permutation(30).tolist()
    assert split([contents(30)[i] for i in order], [labels[i] for i in order], seed=seed) == found


def test_several_labels_and_numbers_are_split_alike_where_nothing_is_small():
    plain = split(contents(300))
    assert split(contents(300), [["a", "b"], ["b"], []] * 100) == plain
    assert split(contents(300), [0.5, 1.5, 2.25] * 100) == plain
    assert split(contents(300), [[0.5, 1.0]] * 300) == plain


def test_equal_pictures_stay_together_even_with_two_labels():
    pictures = contents(40) * 2
    for seed in range(10):
        train, valid = ContentSplitter(seed=seed, labels=["a"] * 40 + ["b"] * 40, near_duplicates=False)(pictures)
        assert not {pictures[i] for i in train} & {pictures[i] for i in valid}


def test_groups_stay_together_and_new_ones_move_no_old_one():
    groups = [f"patient {i % 20}" for i in range(200)]
    before = split(contents(200), group=groups)
    sides = {group: {before[picture] for picture, own in zip(before, groups, strict=True) if own == group} for group in groups}
    assert all(len(side) == 1 for side in sides.values())
    assert {0, 1} == set(before.values())
    more = [*groups, *(f"patient {i}" for i in range(15, 35))]
    after = split(contents(220), group=more)
    assert {picture: after[picture] for picture in before} == before


def test_a_blank_group_is_none_and_whole_numbers_keep_their_name_beside_it():
    frame = pd.DataFrame({"group": list(range(1, 13)) * 10})
    holed = frame.assign(group=frame["group"].where(frame.index > 30))
    by_all, by_some = (
        ContentSplitter(0.4, group="group", pictures=contents(120), near_duplicates=False)(table) for table in (frame, holed)
    )
    side = {
        group: {int(group_rows in by_all[1]) for group_rows in np.flatnonzero(frame["group"] == group)}
        for group in range(1, 13)
    }
    for row in range(31, 120):
        assert {int(row in by_some[1])} == side[frame["group"][row]]
    assert len({row in by_some[1] for row in range(31)}) == 2


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("test_pct", [0, 0.2])
def test_every_picture_validates_in_one_fold_and_every_label_trains_in_all(seed, test_pct):
    labels = ["a"] * 60 + ["b"] * 30 + ["five"] * 6 + ["two"] * 2 + ["one"]
    folds = [
        ContentSplitter(k=5, fold=fold, seed=seed, labels=labels, test_pct=test_pct, near_duplicates=False)(contents(99))
        for fold in range(5)
    ]
    tested = set(folds[0][2].tolist()) if test_pct else set()
    validated = [row for _, valid, *_ in folds for row in valid.tolist()]
    assert len(validated) == len(set(validated))
    assert set(validated) | tested | {98} == set(range(99))
    for train, valid, *_ in folds:
        assert not set(train.tolist()) & set(valid.tolist())
        assert {labels[row] for row in train} == set(labels)
        assert {"a", "b"} <= {labels[row] for row in valid}


def test_adding_pictures_moves_none_between_folds():
    def fold_of(count):
        return {
            row: fold
            for fold in range(4)
            for row in ContentSplitter(k=4, fold=fold, near_duplicates=False)(contents(count))[1].tolist()
        }

    before, after = fold_of(100), fold_of(300)
    assert {row: after[row] for row in before} == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"valid_pct": 1.2}, r"valid_pct=1.2 is not a share"),
        ({"valid_pct": 0.6, "test_pct": 0.4}, r"leave nothing to train on"),
        ({"k": 1}, r"k=1, fold=0: expected k of at least 2"),
        ({"k": 3, "fold": 3}, r"k=3, fold=3: expected"),
        ({"fold": 1}, r"fold=1 of how many\? Pass k="),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words):
    with pytest.raises(OptionError, match=words):
        ContentSplitter(**options)


def test_what_cannot_be_split_is_told():
    with pytest.raises(SplitError, match=r"Nothing is left for validation of 10 pictures in 1 group"):
        ContentSplitter(group=["a"] * 10, near_duplicates=False)(contents(10))
    with pytest.raises(SplitError, match=r"has no pictures. Pass pictures="):
        ContentSplitter()(pd.DataFrame({"file": ["a.png"]}))
    with pytest.raises(SplitError, match=r"group has 2 values, but there are 10 items"):
        ContentSplitter(group=["a", "b"])(contents(10))
    train, valid = ContentSplitter(0, near_duplicates=False)(contents(10))
    assert (len(train), len(valid)) == (10, 0)


def test_a_data_block_hands_on_its_labels_and_pictures(tmp_path):
    root = draw_folder(tmp_path, {"cat": 12, "dog": 12, "emu": 2})
    files = get_image_files(root)
    dls = ImageDataLoaders.from_folder(root, splitter=ContentSplitter(0.25), item_tfms=Resize(8), bs=4)
    by_hand = ContentSplitter(0.25, labels=[parent_label(file) for file in files])(files)
    assert dls.table.rows(1).tolist() == by_hand[1].tolist()
    assert set(dls.table.labels_of(dls.table.rows(1))) == {"cat", "dog", "emu"}
    frame = pd.DataFrame({"file": [str(file) for file in files], "label": [parent_label(file) for file in files]})
    frame["patient"] = [str(i // 2) for i in range(len(files))]
    table = ImageDataLoaders.from_df(
        frame, splitter=ContentSplitter(0.25, test_pct=0.25, group="patient"), item_tfms=Resize(8), bs=4
    ).table
    assert table.parts == [0, 1, 2]
    assert table.group == tuple(frame["patient"])
    parts_of = frame.assign(part=table.split).groupby("patient")["part"].nunique()
    assert set(parts_of) == {1}


def test_the_third_part_is_a_loader_of_its_own(tmp_path):
    root = draw_folder(tmp_path, {"cat": 15, "dog": 15})
    dls = ImageDataLoaders.from_folder(root, splitter=ContentSplitter(0.2, test_pct=0.2), item_tfms=Resize(8), bs=4)
    assert len(dls) == 3
    assert dls[2].n == len(dls.table.rows(2)) > 0
    assert sum(len(batch.index) for batch in dls[2]) == dls[2].n


def test_files_that_look_alike_stay_together_and_names_do_not_matter(tmp_path):
    large = {"width": 96, "height": 80}
    for number in range(12):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (6, 7, 3), dtype=np.uint8))
        picture = coarse.resize((large["width"], large["height"]), Image.Resampling.BICUBIC)
        folder = tmp_path / ("a" if number % 2 else "b")
        folder.mkdir(exist_ok=True)
        picture.save(folder / f"{number}.png")
        picture.resize((72, 60)).save(folder / f"{number}-small.jpg", quality=80)
    files = get_image_files(tmp_path)
    for seed in range(2):
        parts = ContentSplitter(0.3, seed=seed, labels=parent_label)(files)
        shown = [{files[row].name.split(".")[0].split("-")[0] for row in rows} for rows in parts]
        assert not shown[0] & shown[1]
    before = {file.read_bytes(): number for number, rows in enumerate(parts) for file in (files[row] for row in rows)}
    renamed = [file.rename(file.with_name(f"x{file.name}")) for file in files]
    parts = ContentSplitter(0.3, seed=seed, labels=parent_label)(renamed)
    assert {file.read_bytes(): number for number, rows in enumerate(parts) for file in (renamed[row] for row in rows)} == before


def test_pictures_in_memory_and_all_kinds_of_labels_work_in_a_block():
    frame = pd.DataFrame({"number": range(40), "label": list("ab") * 20, "size": np.arange(40) / 7})
    images = [pixels(i) for i in range(40)]
    for block, column in ((CategoryBlock, "label"), (MultiCategoryBlock, "label"), (RegressionBlock, "size")):
        table = DataBlock(
            blocks=(ImageBlock, block),
            get_x=lambda row: images[row["number"]],
            get_y=ColReader(column),
            splitter=ContentSplitter(0.25, seed=3),
        ).table(frame)
        assert len(table.rows(0)) + len(table.rows(1)) == 40
        assert len(table.rows(1)) > 2


def test_a_hundred_thousand_pictures_are_split_quickly():
    pictures = contents(100_000)
    labels = [f"class {i % 20_000}" for i in range(100_000)]
    groups = [f"place {i // 2}" for i in range(100_000)]
    began = time.perf_counter()
    split(pictures, labels, group=groups)
    assert time.perf_counter() - began < 15
