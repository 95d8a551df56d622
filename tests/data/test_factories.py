"""ImageDataLoaders: every way in which people hold their data, with fastai's names and defaults."""

from __future__ import annotations

import inspect

import numpy as np
import pandas as pd
import pytest
import torch

from data.drawn import draw, draw_folder, pixels
from sightline.data.blocks import CategoryBlock, MultiCategoryBlock, RegressionBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.decode import PILImageBW
from sightline.data.rows.files import get_image_files
from sightline.data.rows.split import RandomSplitter
from sightline.data.transforms.items import Resize
from sightline.errors import LabelError, NoImagesError, OptionError, SightlineWarning, SplitError, TableError
from sightline.target import MultiLabel, Regression, SingleLabel

SMALL = {"item_tfms": Resize(8), "bs": 4}


@pytest.fixture
def files(tmp_path):
    draw_folder(tmp_path / "set", {"great_cat": 5, "small_dog": 5})
    return get_image_files(tmp_path / "set")


@pytest.fixture
def table(tmp_path):
    for i in range(10):
        draw(tmp_path / "images" / f"{i:03d}.png", i)
    return pd.DataFrame(
        {
            "fname": [f"{i:03d}" for i in range(10)],
            "label": ["007", "12"] * 5,
            "tags": ["a b", "b", "", "c a", "a"] * 2,
            "size": [i / 2 for i in range(10)],
            "is_valid": [i >= 8 for i in range(10)],
        }
    )


def test_the_signatures_are_fastais():
    def parameters(name):
        found = inspect.signature(getattr(ImageDataLoaders, name)).parameters
        return {key: value.default for key, value in found.items() if key not in ("options",)}

    empty = inspect.Parameter.empty
    shared = {"item_tfms": None, "batch_tfms": None}
    folder = {"path": empty, "train": "train", "valid": "valid", "valid_pct": None, "seed": None, "vocab": None, **shared}
    frame = {"df": empty, "path": ".", "valid_pct": 0.2, "seed": None, "fn_col": 0, "folder": None, "suff": "", "label_col": 1}
    frame |= {"label_delim": None, "y_block": None, "valid_col": None, **shared}
    for name, expected in (
        ("from_folder", folder),
        ("from_path_func", {"path": empty, "fnames": empty, "label_func": empty, "valid_pct": 0.2, "seed": None, **shared}),
        ("from_df", frame),
        (
            "from_lists",
            {"path": empty, "fnames": empty, "labels": empty, "valid_pct": 0.2, "seed": None, "y_block": None, **shared},
        ),
    ):
        found = parameters(name)
        assert found.pop("img_cls").__name__ == "PILImage"
        assert list(found.items()) == list(expected.items())
    assert list(parameters("from_csv")) == ["path", "csv_fname", "header", "delimiter", "quoting"]


def test_from_folder_by_the_names_of_folders(tmp_path):
    root = draw_folder(tmp_path, {"train/cat": 3, "train/dog": 3, "valid/cat": 1, "valid/dog": 1, "test/cat": 2})
    dls = ImageDataLoaders.from_folder(root, **SMALL)
    assert (dls.train.n, dls.valid.n, dls.path) == (6, 2, root)
    with pytest.warns(SightlineWarning, match=r"1 class of the vocabulary has no training picture: 'dog'"):
        other = ImageDataLoaders.from_folder(root, train="test", valid="valid", vocab=["cat", "dog"], item_tfms=Resize(8), bs=2)
    assert (other.train.n, other.valid.n, list(other.vocab)) == (2, 2, ["cat", "dog"])


def test_from_folder_at_random_takes_the_rows_that_fastai_would(files, tmp_path):
    dls = ImageDataLoaders.from_folder(tmp_path / "set", valid_pct=0.3, seed=42, **SMALL)
    _, valid = RandomSplitter(0.3, seed=42)(files)
    assert sorted(dls.valid.items) == sorted(files[i] for i in valid)
    assert dls.seed == 42


def test_from_folder_says_which_folders_there_are(tmp_path):
    draw_folder(tmp_path, {"training/cat": 1})
    with pytest.raises(NoImagesError, match=r"in the folders 'train', 'valid' of .*folders: 'training'.*valid_pct=0.2"):
        ImageDataLoaders.from_folder(tmp_path)
    draw_folder(tmp_path, {"train/cat": 1, "train/dog": 1})
    with pytest.raises(SplitError, match=r"No picture lies in a folder 'valid'.*'train' x2"):
        ImageDataLoaders.from_folder(tmp_path)


def test_from_folder_tells_what_lies_too_deep(tmp_path):
    draw_folder(tmp_path, {"train/cat": 2, "train/dog": 2, "valid/cat": 1, "train/wild/fox": 2})
    with pytest.warns(SightlineWarning, match=r"2 pictures left out \(first: 'train/wild/fox/0.png'\): expected train/<label>"):
        dls = ImageDataLoaders.from_folder(tmp_path, item_tfms=Resize(8), bs=2)
    assert dls.train.n == 4


def test_labels_from_names_and_paths(files, tmp_path):
    for dls in (
        ImageDataLoaders.from_path_re(tmp_path, files, r"/(\w+)_\w+/[^/]+$", seed=1, **SMALL),
        ImageDataLoaders.from_path_func(tmp_path, files, lambda path: path.parent.name.split("_")[0], seed=1, **SMALL),
    ):
        assert dls.vocab == ["great", "small"]
        assert (dls.train.n, dls.valid.n) == (8, 2)
    for dls in (
        ImageDataLoaders.from_name_func(tmp_path, files, lambda name: int(name[0]) % 2, seed=1, **SMALL),
        ImageDataLoaders.from_name_func(tmp_path, [str(f) for f in files], lambda name: int(name[0]) % 2, seed=1, **SMALL),
    ):
        assert dls.vocab == [0, 1]
    numbered = [draw(tmp_path / "named" / f"{name}_{i}.png") for name in ("cat", "dog") for i in range(5)]
    assert ImageDataLoaders.from_name_re(tmp_path, numbered, r"^(.+)_\d+.png$", seed=1, **SMALL).vocab == ["cat", "dog"]
    with pytest.raises(LabelError, match=r"pattern '\^\(x\)' was not found in '0.png'.*The same for 9 other items"):
        ImageDataLoaders.from_name_re(tmp_path, files, r"^(x)", **SMALL)


def test_from_df_by_position_and_by_name(table, tmp_path):
    for options in ({}, {"fn_col": "fname", "label_col": "label"}, {"fn_col": ["fname"], "label_col": ["label"]}):
        dls = ImageDataLoaders.from_df(table, tmp_path, folder="images", suff=".png", valid_col="is_valid", **options, **SMALL)
        assert dls.vocab == ["007", "12"]
        assert (dls.train.n, dls.valid.n) == (8, 2)
    assert isinstance(dls.target, SingleLabel)
    random = ImageDataLoaders.from_df(table, tmp_path / "images", suff=".png", valid_pct=0.5, seed=3, **SMALL)
    assert sorted(random.valid.rows.tolist()) == sorted(RandomSplitter(0.5, seed=3)(range(10))[1].tolist())


def test_from_df_with_several_labels(table, tmp_path):
    options = {"folder": "images", "suff": ".png", "valid_col": "is_valid", **SMALL}
    dls = ImageDataLoaders.from_df(table, tmp_path, label_col="tags", label_delim=" ", **options)
    assert isinstance(dls.target, MultiLabel)
    assert dls.vocab == ["a", "b", "c"]
    several = ImageDataLoaders.from_df(table, tmp_path, label_col=["label", "tags"], **options)
    assert several.vocab == ["007", "12", "a", "a b", "b", "c a"]
    encoded = table.assign(x=[1, 0] * 5, y=[0, 1] * 5)
    by_columns = ImageDataLoaders.from_df(
        encoded, tmp_path, label_col=["x", "y"], y_block=MultiCategoryBlock(encoded=True), **options
    )
    assert by_columns.vocab == ["x", "y"]


@pytest.mark.parametrize("kind", [int, bool, float])
def test_from_df_with_columns_of_0_and_1_asks_what_they_mean(table, tmp_path, kind):
    table = table.assign(cat=pd.Series([1, 0] * 5, dtype=kind), emu=pd.Series([0, 0, 1, 0, 1] * 2, dtype=kind))
    options = {"folder": "images", "suff": ".png", "valid_col": "is_valid", "label_col": ["cat", "emu"], **SMALL}
    message = (
        r"label columns 'cat' and 'emu' hold nothing but 0 and 1, .*"
        r"y_block=MultiCategoryBlock\(encoded=True, vocab=\['cat', 'emu'\]\)"
    )
    for y_block in (None, MultiCategoryBlock, MultiCategoryBlock(vocab=["cat", "emu"])):
        with pytest.raises(LabelError, match=message):
            ImageDataLoaders.from_df(table, tmp_path, y_block=y_block, **options)
    encoded = MultiCategoryBlock(encoded=True, vocab=["cat", "emu"])
    dls = ImageDataLoaders.from_df(table, tmp_path, y_block=encoded, **options)
    assert dls.table.labels[:3] == (["cat"], [], ["cat", "emu"])
    table.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(LabelError, match=message):
        ImageDataLoaders.from_csv(tmp_path, **options)
    assert ImageDataLoaders.from_csv(tmp_path, y_block=encoded, **options).table.labels == dls.table.labels


def test_columns_of_0_and_1_are_recognised_with_blanks_and_beside_names_they_are_names(table, tmp_path):
    options = {"folder": "images", "suff": ".png", "valid_col": "is_valid", "label_col": ["x", "y"], **SMALL}
    with pytest.raises(LabelError, match=r"hold nothing but 0 and 1"):
        ImageDataLoaders.from_df(table.assign(x=[1, None] * 5, y=[True, None] * 5), tmp_path, **options)
    assert ImageDataLoaders.from_df(table.assign(x=1, y=list("ab") * 5), tmp_path, **options).vocab == [1, "a", "b"]
    assert ImageDataLoaders.from_df(table.assign(x=1, y=[2, 3] * 5), tmp_path, **options).vocab == [1, 2, 3]


def test_from_df_with_numbers_asks_for_regression(table, tmp_path):
    options = {"folder": "images", "suff": ".png", "valid_col": "is_valid", "label_col": "size", **SMALL}
    dls = ImageDataLoaders.from_df(table, tmp_path, y_block=RegressionBlock, **options)
    assert isinstance(dls.target, Regression)
    assert next(iter(dls.valid)).target.tolist() == [4.0, 4.5]
    with pytest.raises(LabelError, match=r"never seen in 'train': 4.0 x1"):
        ImageDataLoaders.from_df(table, tmp_path, **options)


def test_from_csv_keeps_text_as_it_is_written(table, tmp_path):
    table.to_csv(tmp_path / "labels.csv", index=False)
    dls = ImageDataLoaders.from_csv(tmp_path, folder="images", suff=".png", valid_col="is_valid", **SMALL)
    assert dls.vocab == ["007", "12"]
    assert dls.train_ds.paths[0] == tmp_path / "images" / "000.png"
    numbers = ImageDataLoaders.from_csv(
        tmp_path, folder="images", suff=".png", label_col="size", y_block=RegressionBlock(), valid_col="is_valid", **SMALL
    )
    assert next(iter(numbers.valid)).target.tolist() == [4.0, 4.5]
    tags = ImageDataLoaders.from_csv(
        tmp_path, folder="images", suff=".png", label_col="tags", label_delim=" ", valid_col="is_valid", **SMALL
    )
    assert tags.vocab == ["a", "b", "c"]
    assert tags.target.encode(tags.table.labels_of([2])).sum() == 0


def test_from_csv_with_other_separators_and_without_a_header(table, tmp_path):
    table.to_csv(tmp_path / "l.tsv", index=False, sep="\t", header=False)
    dls = ImageDataLoaders.from_csv(
        tmp_path, "l.tsv", header=None, delimiter="\t", folder="images", suff=".png", valid_col=4, **SMALL
    )
    assert dls.vocab == ["007", "12"]


def test_from_csv_says_what_is_wrong(table, tmp_path):
    with pytest.raises(TableError, match=r"There is no file .*labels.csv"):
        ImageDataLoaders.from_csv(tmp_path)
    table.to_csv(tmp_path / "labels.csv", index=False)
    with pytest.raises(TableError, match=r"There is no column 'lable'.*Did you mean 'label'\?"):
        ImageDataLoaders.from_csv(tmp_path, label_col="lable")
    with pytest.raises(TableError, match=r"10 files of 10 do not exist"):
        ImageDataLoaders.from_csv(tmp_path)


def test_from_lists_tells_kinds_of_labels_apart(tmp_path):
    images = [pixels(i) for i in range(6)]
    for labels, kind in (
        (list("ababab"), SingleLabel),
        ([0, 1] * 3, SingleLabel),
        ([["a"], ["a", "b"], [], ["b"], ["a"], ["b"]], MultiLabel),
        ([0.5, 1.5] * 3, Regression),
        (np.array([0.5, 1.5] * 3, dtype=np.float32), Regression),
        (np.array([0, 1] * 3), SingleLabel),
        (torch.tensor([0, 1] * 3), SingleLabel),
    ):
        assert isinstance(ImageDataLoaders.from_lists(tmp_path, images, labels, seed=0, bs=2).target, kind)
    with pytest.raises(OptionError, match=r"There are 6 files and 5 labels. Expected as many of each"):
        ImageDataLoaders.from_lists(tmp_path, images, list("ababa"))
    given = ImageDataLoaders.from_lists(tmp_path, images, [0.5, 1.5] * 3, y_block=CategoryBlock, seed=0, bs=2)
    assert given.vocab == [0.5, 1.5]


@pytest.mark.parametrize(
    "labels",
    [
        [[1.0, 2.0], [0.5, 1.0]] * 3,
        [(1.0,), (2.0,)] * 3,
        np.array([[1.0, 2.0], [0.5, 1.0]] * 3, dtype=np.float32),
        torch.tensor([[1.0, 2.0], [0.5, 1.0]] * 3),
        [[1, 0, 1], [0, 0, 1]] * 3,
        [(True, False), (False, False)] * 3,
    ],
    ids=["lists", "tuples", "array", "tensor", "0 and 1", "bool"],
)
def test_from_lists_with_lists_of_numbers_asks_what_they_mean(tmp_path, labels):
    images = [pixels(i) for i in range(6)]
    with pytest.raises(LabelError, match=r"Labels are lists of numbers \(first: \[.*y_block=RegressionBlock.*encoded=True"):
        ImageDataLoaders.from_lists(tmp_path, images, labels, seed=0, bs=2)
    assert ImageDataLoaders.from_lists(tmp_path, images, labels, y_block=RegressionBlock, seed=0, bs=2).c == len(labels[0])


def test_from_lists_takes_whole_numbers_for_names(tmp_path):
    labels = [[0], [0, 1], [], [1, 7], [7], [1]]
    assert ImageDataLoaders.from_lists(tmp_path, [pixels(i) for i in range(6)], labels, seed=0, bs=2).vocab == [0, 1, 7]


def test_options_reach_the_loaders(files, tmp_path):
    dls = ImageDataLoaders.from_folder(
        tmp_path / "set",
        valid_pct=0.2,
        seed=5,
        item_tfms=Resize(8),
        img_cls=PILImageBW,
        bs=3,
        val_bs=2,
        shuffle=False,
        num_workers=0,
    )
    assert (dls.train.bs, dls.valid.bs, dls.train.options.shuffle, dls.train.num_workers) == (3, 2, False, 0)
    assert dls.one_batch().image.shape == (3, 1, 8, 8)
    with pytest.raises(OptionError, match=r"dataloaders has no option 'pin_memry'.*Did you mean 'pin_memory'"):
        ImageDataLoaders.from_folder(tmp_path / "set", valid_pct=0.2, pin_memry=True)
