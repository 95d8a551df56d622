"""A DataBlock's data: what it accepts, and every way in which data can be wrong, told before training."""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from data.drawn import break_picture, cut_short, draw, draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock, MultiCategoryBlock, RegressionBlock
from sightline.data.pictures.decode import PILImageBW
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import ColReader, Pipeline, parent_label
from sightline.data.rows.split import ColSplitter, GrandparentSplitter, IndexSplitter, RandomSplitter
from sightline.data.rows.split_fair import GroupSplitter, StratifiedSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import Resize
from sightline.errors import (
    ImageError,
    LabelError,
    NoImagesError,
    OptionError,
    SightlineWarning,
    SplitError,
    TableError,
)


def folders(**options):
    """A block of pictures in train/<label>/ and valid/<label>/."""
    given = {"get_items": get_image_files, "splitter": GrandparentSplitter(), "get_y": parent_label, "item_tfms": Resize(8)}
    return DataBlock(blocks=(ImageBlock, CategoryBlock), **(given | options))


def table_of(frame, root, y_block=CategoryBlock, label="label", delim=None, **options):
    """A block of a DataFrame with the columns file, label, is_valid."""
    return DataBlock(
        blocks=(ImageBlock, y_block),
        get_x=ColReader("file", pref=Path(root)),
        get_y=ColReader(label, label_delim=delim),
        splitter=ColSplitter(),
        item_tfms=Resize(8),
        **options,
    )


@pytest.fixture
def pets(tmp_path):
    return draw_folder(tmp_path / "pets", {"train/cat": 4, "train/dog": 4, "valid/cat": 2, "valid/dog": 2})


@pytest.fixture
def frame(tmp_path):
    for i in range(6):
        draw(tmp_path / f"{i}.png", i)
    return pd.DataFrame({"file": [f"{i}.png" for i in range(6)], "label": list("abcabc"), "is_valid": [0, 0, 0, 1, 1, 1]})


# What is accepted


def test_folders_become_a_table_a_target_and_loaders(pets):
    dls = folders().dataloaders(pets, bs=4, seed=0)
    assert dls.vocab == ["cat", "dog"]
    assert dls.c == 2
    assert (dls.train.n, dls.valid.n) == (8, 4)
    assert dls.table.counts() == {"train": {"cat": 4, "dog": 4}, "valid": {"cat": 2, "dog": 2}}
    assert dls.table.root == pets
    image, label = dls.one_batch()
    assert image.shape == (4, 3, 8, 8)
    assert image.dtype == torch.float32
    assert label.dtype == torch.int64


def test_parts_keep_the_order_in_which_the_splitter_named_their_rows(pets):
    # As in fastai: with shuffle=False its batches, losses and predictions come in the same order.
    files = get_image_files(pets)

    def backwards(items):
        return [7, 0, 5, 2, 6], [9, 3, 1]

    dls = folders(splitter=backwards).dataloaders(pets, bs=5, shuffle=False, num_workers=0)
    assert [list(files).index(path) for path in dls.train_ds.paths] == [7, 0, 5, 2, 6]
    assert [list(files).index(path) for path in dls.valid.items] == [9, 3, 1]
    assert dls.train.one_batch().index.tolist() == [7, 0, 5, 2, 6]
    (pets / "valid" / "cat" / "0.png").write_text("no picture")
    with pytest.warns(SightlineWarning, match="left out|set aside|cannot be read"):
        table = folders(splitter=lambda items: ([7, 0, 5, 2, 6], [9, 8, 3, 1])).table(pets)
    assert table.rows(1).tolist() == [9, 3, 1]


def test_blocks_may_be_bare_or_called_and_getters_a_list_or_a_pipeline(pets):
    by_list = folders(get_y=[lambda path: path.parent, lambda folder: folder.name])
    by_pipeline = folders(get_y=Pipeline([parent_label, str.upper]))
    by_getters = DataBlock((ImageBlock(), CategoryBlock()), getters=[None, parent_label], get_items=get_image_files)
    assert by_list.datasets(pets).vocab == ["cat", "dog"]
    assert by_pipeline.datasets(pets).vocab == ["CAT", "DOG"]
    assert by_getters.datasets(pets).vocab == ["cat", "dog"]


def test_datasets_give_the_picture_as_it_was_read_and_its_encoded_label(pets):
    datasets = folders().datasets(pets)
    picture, label = datasets.train[0]
    assert picture.size == (12, 10)
    assert np.array_equal(np.asarray(picture), pixels(0))
    assert datasets.vocab[int(label)] == "cat"
    assert (len(datasets), len(datasets.train), len(datasets.valid)) == (12, 8, 4)


def test_a_source_without_get_items_is_the_items(pets):
    files = get_image_files(pets)
    assert len(folders(get_items=None).table(files)) == 12
    assert len(folders(get_items=None).table(iter(files))) == 12
    with pytest.raises(OptionError, match=r"get_items is missing. Pass get_items=get_image_files"):
        folders(get_items=None).table(pets)


def test_rows_of_a_frame_may_be_read_by_functions(frame, tmp_path):
    block = DataBlock((ImageBlock, CategoryBlock), get_x=lambda row: tmp_path / row["file"], get_y=lambda row: row.label)
    assert block.datasets(frame).vocab == ["a", "b", "c"]
    with pytest.raises(OptionError, match=r"Items are rows .*get_x is missing. Pass get_x=ColReader"):
        DataBlock((ImageBlock, CategoryBlock), get_y=ColReader("label")).table(frame)


def test_pictures_in_memory_are_a_source_too():
    block = DataBlock.from_columns((ImageBlock, CategoryBlock), splitter=IndexSplitter([2, 3]))
    dls = block.dataloaders(([pixels(i) for i in range(4)], ["a", "b", "a", "b"]), bs=2)
    image, label = next(iter(dls.valid))
    torch.testing.assert_close(image[0], torch.from_numpy(pixels(2)).permute(2, 0, 1) / 255)
    assert label.tolist() == [0, 1]
    with pytest.raises(TableError, match=r"columns have \[2, 1\] values. Expected as many in each"):
        block.table((["a", "b"], ["x"]))


def test_grey_pictures_have_one_channel(pets):
    block = DataBlock(
        (ImageBlock(PILImageBW), CategoryBlock), get_items=get_image_files, get_y=parent_label, splitter=GrandparentSplitter()
    )
    dls = block.dataloaders(pets, bs=4)
    assert dls.one_batch().image.shape == (4, 1, 10, 12)
    assert dls.preprocess.channels == 1


def test_further_parts_of_a_split_get_loaders_of_their_own(pets):
    files = get_image_files(pets)

    def thirds(items):
        return range(6), range(6, 10), range(10, 12)

    dls = folders(get_items=None, splitter=thirds).dataloaders(files[::-1], bs=2)
    assert [loader.n for loader in dls.loaders] == [6, 4, 2]
    assert "part 2" in dls.table.counts()


def test_a_stratified_split_takes_the_labels_of_the_block(pets):
    for seed in range(5):
        table = folders(splitter=StratifiedSplitter(1 / 3, seed=seed)).table(pets)
        assert table.counts() == {"train": {"cat": 4, "dog": 4}, "valid": {"cat": 2, "dog": 2}}


def test_the_groups_of_a_grouped_split_stay_in_the_table(pets):
    table = folders(splitter=GroupSplitter(lambda path: path.stem, 0.25, seed=0)).table(pets)
    assert table.group == tuple(path.stem for path in table.sources)
    assert not {table.group[i] for i in table.rows(0)} & {table.group[i] for i in table.rows(1)}


def test_several_labels_become_zeros_and_ones_and_a_blank_cell_none(frame, tmp_path):
    frame["label"] = ["a b", "c", "", "b", None, "c a"]
    table = table_of(frame, tmp_path, MultiCategoryBlock, delim=" ")
    dls = table.dataloaders(frame, bs=3, shuffle=False)
    assert dls.vocab == ["a", "b", "c"]
    assert dls.one_batch().target.tolist() == [[1, 1, 0], [0, 0, 1], [0, 0, 0]]
    assert next(iter(dls.valid)).target.tolist() == [[0, 1, 0], [0, 0, 0], [1, 0, 1]]


def test_columns_of_zeros_and_ones_name_the_labels(frame, tmp_path):
    frame[["sun", "rain"]] = [[1, 0], [1, 1], [0, 0], [0, 1], [0, 0], [1, 0]]
    dls = table_of(frame, tmp_path, MultiCategoryBlock(encoded=True), label=["sun", "rain"]).dataloaders(frame, bs=3)
    assert dls.vocab == ["sun", "rain"]
    assert next(iter(dls.valid)).target.tolist() == [[0, 1], [0, 0], [1, 0]]


def test_numbers_are_targets_of_regression(frame, tmp_path):
    frame["label"] = [0.5, 1, 2, 3, 4, 5]
    dls = table_of(frame, tmp_path, RegressionBlock).dataloaders(frame, bs=3)
    assert dls.vocab is None
    assert next(iter(dls.valid)).target.tolist() == [3, 4, 5]
    frame["other"] = [1, 2, 3, 4, 5, 6.5]
    two = table_of(frame, tmp_path, RegressionBlock, label=["label", "other"]).dataloaders(frame, bs=3)
    assert two.c == 2
    assert list(two.target.names) == ["label", "other"]
    assert next(iter(two.valid)).target.tolist() == [[3, 4], [4, 5], [5, 6.5]]


def test_a_categorical_column_keeps_its_order(frame, tmp_path):
    frame["label"] = frame["label"].astype(pd.CategoricalDtype(["c", "a", "b", "unused"]))
    assert table_of(frame, tmp_path).datasets(frame).vocab == ["c", "a", "b"]


def test_normalize_without_figures_takes_those_of_the_first_training_batch(pets):
    dls = folders(
        batch_tfms=[*aug_transforms(do_flip=False, max_rotate=0, max_zoom=1, max_lighting=0, max_warp=0), Normalize()]
    )
    image, _ = dls.dataloaders(pets, bs=8, seed=0).one_batch()
    assert image.mean(dim=(0, 2, 3)).abs().max() < 0.35
    assert (image.std(dim=(0, 2, 3)) - 1).abs().max() < 0.35


def test_new_takes_other_transforms(pets):
    assert folders().new(item_tfms=Resize(6)).dataloaders(pets, bs=2).one_batch().image.shape[-2:] == (6, 6)


# What is refused


def test_no_pictures(tmp_path):
    (tmp_path / "a.txt").touch()
    with pytest.raises(NoImagesError, match=r"No pictures were found in .*Seen below .*\.txt x1"):
        folders().table(tmp_path)
    with pytest.raises(NoImagesError, match=r"There are no items: the list or table of pictures is empty"):
        folders(get_items=None).table([])


def test_one_class(tmp_path):
    root = draw_folder(tmp_path / "one", {"train/cat": 3, "valid/cat": 2})
    with pytest.raises(LabelError, match=r"Only one class was found: 'cat' \(3 pictures\)"):
        folders().dataloaders(root)


def test_a_class_only_in_validation_is_told_with_counts_first_files_and_close_names(tmp_path):
    counts = {"train/tabby cat": 2, "train/dog": 2, "valid/dog": 1, "valid/tabby_cat": 2, "valid/lynx": 1}
    root = draw_folder(tmp_path / "set", counts)
    with pytest.raises(LabelError) as caught:
        folders().dataloaders(root)
    assert str(caught.value).splitlines() == [
        "3 rows in split 'valid' have labels never seen in 'train': 'tabby_cat' x2 (first: 'valid/tabby_cat/0.png'), "
        "'lynx' x1 (first: 'valid/lynx/0.png').",
        "Expected one of the 2 names learned from 'train'; closest is 'tabby cat'.",
        "Correct the labels, move an example of each into 'train', or pass unknown=\"drop\" to leave these 3 rows out.",
    ]
    with pytest.warns(SightlineWarning, match=r"3 rows in split 'valid'.*Left out, as unknown='drop' says"):
        table = folders().table(root, unknown="drop")
    assert table.counts()["valid"] == {"dog": 1}
    assert set(table.set_aside.values()) == {"its label is unknown"}


def test_dropping_unknown_labels_must_leave_something_to_validate_on(tmp_path):
    root = draw_folder(tmp_path / "set", {"train/a": 2, "train/b": 2, "valid/c": 1})
    with pytest.warns(SightlineWarning), pytest.raises(SplitError, match=r"left 'valid' empty"):
        folders().table(root, unknown="drop")
    with pytest.raises(OptionError, match=r"unknown='dropp' is not one of .*Did you mean 'drop'\?"):
        folders().table(root, unknown="dropp")


def test_a_label_outside_the_given_vocabulary(pets):
    block = folders()
    block.label = CategoryBlock(vocab=["cat", "fox"])
    with pytest.raises(LabelError, match=r"4 rows in split 'train' have labels that are not in the vocabulary: 'dog' x4"):
        block.table(pets)


def test_an_unknown_label_among_several(frame, tmp_path):
    frame["label"] = ["a b", "c", "", "b", "a xx", "c a"]
    with pytest.raises(
        LabelError, match=r"1 row in split 'valid' has labels never seen in 'train': 'xx' x1 \(first: '4.png'\)"
    ):
        table_of(frame, tmp_path, MultiCategoryBlock, delim=" ").dataloaders(frame)


@pytest.mark.parametrize("blank", [None, np.nan, "", "  "], ids=repr)
def test_blank_labels_are_told_by_file_and_count(frame, tmp_path, blank):
    frame["label"] = ["a", blank, "b", "a", blank, "b"]
    with pytest.raises(LabelError) as caught:
        table_of(frame, tmp_path).dataloaders(frame)
    assert "2 labels of 6 cannot be used. blank (None, NaN or nothing but spaces): 2 rows (1.png, 4.png)" in str(caught.value)
    assert "Expected one name for each picture" in str(caught.value)


def test_numbers_that_are_missing_or_no_numbers_are_told_by_file(frame, tmp_path):
    frame["label"] = [0.5, np.nan, 1, 2, np.inf, 3]
    with pytest.raises(LabelError, match=r"2 labels of 6 cannot be used.*1 row \(1.png\); infinite: 1 row \(4.png\).*finite"):
        table_of(frame, tmp_path, RegressionBlock).dataloaders(frame)


def test_missing_files_are_all_listed_whatever_on_error_says(frame, tmp_path):
    for name in ("1.png", "3.png"):
        (tmp_path / name).unlink()
    for on_error in ("set_aside", "raise"):
        with pytest.raises(
            TableError, match=r"2 files of 6 do not exist: '1.png', '3.png'\. Expected every picture of the table"
        ):
            table_of(frame, tmp_path).dataloaders(frame, on_error=on_error)


def test_more_missing_files_than_can_be_read_are_counted_and_a_missing_ending_is_guessed(tmp_path):
    frame = pd.DataFrame({"file": [f"{i:02d}" for i in range(30)], "label": list("ab") * 15, "is_valid": [0, 0, 1] * 10})
    draw(tmp_path / "00.jpg")
    with pytest.raises(
        TableError, match=r"30 files of 30 do not exist: .*'19' and 10 more\..*There is '00.jpg': pass suff='.jpg'"
    ):
        table_of(frame, tmp_path).dataloaders(frame)
    with pytest.raises(TableError, match=r"There is no folder .*nowhere: check path= and folder="):
        table_of(frame, tmp_path / "nowhere").dataloaders(frame)


def test_a_blank_file_name_is_told_by_row(frame, tmp_path):
    frame.loc[2, "file"] = None
    with pytest.raises(TableError, match=r"1 file name of 6 cannot be used. the file name is blank .*: 1 row \(row 2\)"):
        table_of(frame, tmp_path).dataloaders(frame)


def test_a_wrong_column_gets_the_closest_name(frame, tmp_path):
    with pytest.raises(TableError, match=r"There is no column 'lable'. The table has 3 columns: .*Did you mean 'label'\?"):
        table_of(frame, tmp_path, label="lable").dataloaders(frame)


def test_unreadable_pictures_are_set_aside_by_name_and_kept_in_mind(pets):
    broken = break_picture(pets / "train/cat/zz.png")
    empty = pets / "valid/dog/yy.png"
    empty.touch()
    with pytest.warns(SightlineWarning) as caught:
        dls = folders().dataloaders(pets, bs=4)
    assert len([warning for warning in caught if issubclass(warning.category, SightlineWarning)]) == 1
    message = str(caught[0].message)
    assert "2 pictures of 14 cannot be read and set aside: 'train/cat/zz.png' (it is not a picture" in message
    assert "'valid/dog/yy.png' (it is empty (0 bytes))" in message
    assert (dls.train.n, dls.valid.n) == (8, 4)
    assert set(dls.set_aside) == {str(broken), str(empty)}
    assert "left out       2" in repr(dls.table)


def test_unreadable_pictures_can_be_refused_and_then_every_picture_is_decoded_beforehand(pets):
    cut_short(pets / "train/cat/0.png")
    with pytest.raises(
        ImageError, match=r"1 picture of 12 cannot be read: 'train/cat/0.png' \(the file is cut short.*on_error='set_aside'"
    ):
        folders().dataloaders(pets, on_error="raise")
    with pytest.raises(OptionError, match=r"on_error='ignore' is not one of \('set_aside', 'raise'\)"):
        folders().dataloaders(pets, on_error="ignore")


def test_setting_aside_must_not_empty_a_class_or_a_part(tmp_path):
    root = draw_folder(tmp_path / "a", {"train/cat": 2, "train/dog": 2, "valid/cat": 1, "valid/dog": 1})
    for i in range(2):
        break_picture(root / f"train/dog/{i}.png")
    with (
        pytest.warns(SightlineWarning),
        pytest.raises(
            LabelError, match=r"Setting aside unreadable pictures left no training picture of 'dog': 'train/dog/0.png' \("
        ),
    ):
        folders().dataloaders(root)
    other = draw_folder(tmp_path / "b", {"train/cat": 2, "train/dog": 2, "valid/cat": 1})
    break_picture(other / "valid/cat/0.png")
    with pytest.warns(SightlineWarning), pytest.raises(SplitError, match=r"left 'valid' empty: 'valid/cat/0.png'"):
        folders().dataloaders(other)


def test_a_training_part_smaller_than_a_batch_is_one_smaller_batch(pets):
    with pytest.warns(
        SightlineWarning, match=r"The training part has 8 pictures, fewer than bs=64: an epoch is one smaller batch"
    ):
        dls = folders().dataloaders(pets)
    assert [batch.n for batch in dls.train] == [8]


def test_a_label_function_that_fails_is_told_with_the_item(pets):
    def broken(path):
        return {"cat": "Cat"}[path.parent.name]

    with pytest.raises(LabelError, match=r"get_y failed for '.*dog/0.png': KeyError: 'dog'\. The same for 5 other items: "):
        folders(get_y=broken).table(pets)


def test_options_that_make_no_sense_are_refused_before_files_are_looked_at():
    for options, words in (
        ({"bs": 0}, "bs=0 is not a whole number of at least 1"),
        ({"bs": 2.5}, r"bs=2\.5 is not a whole number"),
        ({"bs": True}, "bs=True"),
        ({"val_bs": -1}, "bs=-1"),
        ({"num_workers": -1}, "num_workers=-1"),
        ({"device": "gpu9"}, "device='gpu9' is not a device"),
    ):
        with pytest.raises(OptionError, match=words):
            folders().dataloaders("nowhere", **options)


def test_declarations_that_make_no_sense_are_refused():
    for options, words in (
        ({"blocks": (CategoryBlock, ImageBlock)}, r"expected \(ImageBlock, CategoryBlock\)"),
        ({"blocks": ImageBlock}, r"expected \(ImageBlock, CategoryBlock\)"),
        ({"get_y": "label"}, r"get_y='label' is not a function.*ColReader\('label'\)"),
        ({"n_inp": 2}, "n_inp=2: expected 1"),
        ({"dl_type": object}, "dl_type has no meaning"),
        ({"item_tfms": Resize}, r"holds the class Resize"),
        ({"getters": [parent_label]}, "getters holds 1 function. Expected two"),
    ):
        with pytest.raises(OptionError, match=words):
            DataBlock(**({"blocks": (ImageBlock, CategoryBlock), "get_y": parent_label} | options))
    with pytest.raises(OptionError, match=r"There is no get_y"):
        DataBlock((ImageBlock, CategoryBlock), get_items=get_image_files)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (([0, 1], [1, 2]), r"1 item is both in 'train' and 'valid' \(first: position 1\)"),
        (([0], [99]), "put position 99 into 'valid', but there are 12 items"),
        (([], [1]), "left none of 12 items for training"),
        (([0],), "returned 1 part"),
    ],
)
def test_a_splitter_of_the_users_own_is_checked(pets, parts, words):
    with pytest.raises(SplitError, match=words):
        folders(splitter=lambda items: parts).table(pets)


def test_a_seed_repeats_everything_and_without_one_pytorchs_seed_does(pets):
    def first(seed=None):
        block = folders(splitter=RandomSplitter(0.25, seed=seed), batch_tfms=aug_transforms(), get_y=parent_label)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SightlineWarning)
            dls = block.dataloaders(pets, bs=4, seed=seed)
        return dls.table.split.tolist(), dls.seed, dls.one_batch().image

    def same(one, other):
        return one[0] == other[0] and one[1] == other[1] and torch.equal(one[2], other[2])

    assert same(first(5), first(5))
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(first())
    assert same(runs[0], runs[1])
    assert not same(runs[0], runs[2])


def test_partial_functions_serve_as_getters(pets):
    block = folders(get_items=partial(get_image_files, folders=["train", "valid"]))
    assert len(block.table(pets)) == 12


def test_classes_of_a_given_vocabulary_without_training_pictures_are_named(frame, tmp_path):
    said = r"^2 classes of the vocabulary have no training picture: 'd' and 'e'\. They cannot be learned\. Add pictures"
    with pytest.warns(SightlineWarning, match=said) as caught:
        table_of(frame, tmp_path, CategoryBlock(vocab=list("abcde"))).dataloaders(frame, bs=3)
    assert len(caught) == 1
    with pytest.warns(SightlineWarning, match=r"1 class of the vocabulary has no training picture: 'd'"):
        table_of(frame, tmp_path, MultiCategoryBlock(vocab=list("abcd"))).dataloaders(frame, bs=3)
    # Silent: warnings are errors here.
    table_of(frame, tmp_path, CategoryBlock(vocab=list("abc"), add_na=True)).dataloaders(frame, bs=3)
