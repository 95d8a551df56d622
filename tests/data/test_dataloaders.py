"""DataLoaders answer what a learner asks, and are never changed behind the caller's back."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from data.drawn import break_picture, draw, draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import GrandparentSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import Resize
from sightline.errors import LabelError, OptionError, SightlineWarning


@pytest.fixture
def root(tmp_path):
    return draw_folder(tmp_path / "pets", {"train/cat": 4, "train/dog": 5, "valid/cat": 2, "valid/dog": 2})


@pytest.fixture
def dls(root):
    return ImageDataLoaders.from_folder(root, item_tfms=Resize(8), batch_tfms=aug_transforms(), bs=4, val_bs=3, seed=1)


def test_they_answer_questions(dls, root):
    assert (dls.train.n, dls.valid.n, dls.bs, dls.valid.bs, len(dls)) == (9, 4, 4, 3, 2)
    assert dls[0] is dls.train
    assert dls[1] is dls.valid
    assert (dls.c, list(dls.vocab), dls.device.type, dls.path, dls.seed) == (2, ["cat", "dog"], "cpu", root, 1)
    assert dls.preprocess.size == (8, 8)
    assert not dls.normalizes
    assert dls.train.items == get_image_files(root / "train")
    assert dls.valid.vocab == dls.train_ds.vocab == ["cat", "dog"]
    assert repr(dls) == (
        "DataLoaders(9 pictures in 2 batches of 4, 4 pictures in 2 batches of 3; single_label, 2 outputs; cpu)"
    )


def test_the_parts_can_be_looked_at_one_by_one(dls):
    assert (len(dls.train_ds), len(dls.valid_ds)) == (9, 4)
    picture, label = dls.train_ds[5]
    assert np.array_equal(np.asarray(picture), pixels(101))
    assert int(label) == 1
    assert [int(label) for _, label in dls.valid_ds] == [0, 0, 1, 1]


def test_a_copy_normalises_and_the_callers_own_stays_as_it_was(dls):
    before = dls.preprocess
    raw = dls.valid.one_batch().image
    copy = dls.with_stats((0.5, 0.4, 0.3), (0.2, 0.2, 0.25))
    assert copy.normalizes
    assert copy.preprocess.mean == (0.5, 0.4, 0.3)
    assert dls.preprocess == before
    assert not dls.normalizes
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in ((0.5, 0.4, 0.3), (0.2, 0.2, 0.25)))
    torch.testing.assert_close(copy.valid.one_batch().image, (raw - mean) / std)
    assert torch.equal(dls.valid.one_batch().image, raw)


def test_evaluation_goes_through_a_part_in_its_own_order_unaugmented_and_whole(dls):
    batches = list(dls.evaluation(0))
    assert np.concatenate([batch.index for batch in batches]).tolist() == dls.train.rows.tolist()
    expected = [np.asarray(Resize(8)(Image.open(path))) for path in dls.train.items]
    image = torch.cat([batch.image for batch in batches])
    torch.testing.assert_close(image, torch.from_numpy(np.stack(expected)).permute(0, 3, 1, 2) / 255)
    assert dls.evaluation(1) is dls.valid
    with pytest.raises(OptionError, match=r"ds_idx=2: there are 2 parts"):
        dls.evaluation(2)


def test_a_test_loader_prepares_pictures_as_validation_does(dls):
    valid = torch.cat([batch.image for batch in dls.valid])
    paths = dls.valid.items
    for items in (
        paths,
        [str(path) for path in paths],
        [Image.open(path) for path in paths],
        [pixels(s) for s in (200, 201, 300, 301)],
    ):
        batches = list(dls.test_dl(items))
        assert torch.equal(torch.cat([batch.image for batch in batches]), valid)
        assert np.concatenate([batch.index for batch in batches]).tolist() == [0, 1, 2, 3]
        assert all(batch.target is None for batch in batches)


def test_a_test_loader_takes_a_folder_one_picture_an_iterator_and_another_batch_size(dls, root):
    assert dls.test_dl(root / "valid").n == 4
    assert dls.test_dl(dls.valid.items[0]).n == 1
    assert dls.test_dl(pixels(0)).n == 1
    assert dls.test_dl(np.stack([pixels(0)] * 5)).n == 5
    assert dls.test_dl(iter(dls.valid.items)).n == 4
    assert [batch.n for batch in dls.test_dl(dls.valid.items, bs=2, num_workers=0)] == [2, 2]
    assert dls.test_dl(dls.valid.items, 1, True, "cpu").one_batch().target.tolist() == [0, 0, 1]
    assert dls.test_dl(dls.valid.items, pin_memory=True, shuffle=True).shuffle
    with pytest.raises(OptionError, match=r"test_dl has no option 'with_label'"):
        dls.test_dl([], with_label=True)


def test_a_test_loader_with_labels_reads_them_as_in_training(dls, root):
    batch = dls.test_dl(dls.valid.items, with_labels=True).one_batch()
    assert batch.target.tolist() == [0, 0, 1]
    stranger = draw(root / "valid" / "fox" / "0.png")
    with pytest.raises(LabelError, match=r"not in the vocabulary: 'fox' x1"):
        dls.test_dl([stranger], with_labels=True)


def test_a_test_loader_leaves_out_what_cannot_be_read_and_keeps_positions(dls, root):
    broken = break_picture(root / "broken.png")
    loader = dls.test_dl([dls.valid.items[0], broken, root / "missing.png", dls.valid.items[1]])
    with pytest.warns(SightlineWarning):
        assert np.concatenate([batch.index for batch in loader]).tolist() == [0, 3]
    assert loader.set_aside[2] == "there is no such file"
    assert "not a picture" in loader.set_aside[1]


def test_a_test_loader_of_a_table_takes_rows_or_pictures(tmp_path):
    for i in range(10):
        draw(tmp_path / "images" / f"{i}.png", i)
    frame = pd.DataFrame({"name": range(10), "label": list("ab") * 5})
    dls = ImageDataLoaders.from_df(frame, tmp_path, folder="images", suff=".png", item_tfms=Resize(8), bs=4, seed=0)
    whole = torch.cat([batch.image for batch in dls.test_dl(frame)])
    for items in ([row for _, row in frame.iterrows()], [tmp_path / "images" / f"{i}.png" for i in range(10)]):
        assert torch.equal(torch.cat([batch.image for batch in dls.test_dl(items)]), whole)
    labelled = dls.test_dl(frame.head(3), with_labels=True).one_batch()
    assert labelled.target.tolist() == [0, 1, 0]
    by_name = ImageDataLoaders.from_df(
        frame, tmp_path / "images", fn_col="name", suff=".png", item_tfms=Resize(8), bs=4, seed=0
    )
    assert by_name.test_dl(frame.iloc[0].to_dict()).one_batch().n == 1


def test_new_changes_options_of_a_copy(dls):
    other = dls.new(bs=3, shuffle=False, num_workers=0)
    assert (other.train.bs, other.valid.bs, other.train.options.shuffle, other.valid.options.num_workers) == (3, 3, False, 0)
    assert (dls.train.bs, dls.train.options.shuffle) == (4, True)
    assert other.vocab == dls.vocab
    assert dls.new(val_bs=7).train.bs == 4
    with pytest.raises(OptionError, match=r"bs=1: every training batch would be one picture"):
        dls.new(bs=1)
    with pytest.warns(SightlineWarning, match=r"9 training pictures in batches of 2 leave one over \(another one each epoch\)"):
        assert len(dls.new(bs=2, drop_last=False).train) == 4
    with pytest.raises(OptionError, match=r"A loader has no option"):
        dls.new(colour="red")


def test_they_move_to_a_device(dls):
    assert dls.cpu() is dls
    dls.to("meta")
    assert {loader.device.type for loader in dls.loaders} == {"meta"}
    assert dls.device.type == "meta"


def test_loaders_of_ours_can_be_put_together_by_hand(dls):
    other = DataLoaders(dls.train, dls.valid)
    assert other.target is dls.target
    assert other.preprocess == dls.preprocess
    assert torch.equal(other.valid.one_batch().image, dls.valid.one_batch().image)


def test_one_loader_with_other_options(dls):
    assert dls.valid.new(shuffle=True, bs=2).order(0).tolist() != dls.valid.order(0).tolist()
    assert dls.train.new(batch_size=3, num_workers=0, pin_memory=True).bs == 3
    assert dls.train.new(dls.valid_ds, bs=2).rows.tolist() == dls.valid.rows.tolist()
    assert dls.new(batch_size=3, shuffle=False).train.bs == 3
    assert not dls.valid.shuffle


def test_they_know_what_scripts_ask_them(dls):
    assert (dls.n, dls.n_inp, dls.drop_last, dls.items) == (9, 1, True, dls.train.items)
    assert (dls.train.n_inp, dls.train.shuffle, dls.valid.drop_last) == (1, True, False)
    assert dls.valid.to("cpu") is dls.valid


def test_transforms_are_added_to_all_loaders_or_to_some_in_place(dls):
    train, valid = dls.train, dls.valid
    assert dls.add_tfms([Normalize((0.5,) * 3, (0.25,) * 3)], "after_batch") is None
    assert dls.train is train
    assert dls.valid is valid
    assert dls.preprocess.mean == (0.5,) * 3
    dls.add_tfms(lambda image: image * 0, "after_batch", "train")
    assert set(dls.train.one_batch().image.unique().tolist()) == {-2.0}
    assert len(dls.valid.one_batch().image.unique()) > 2
    dls.add_tfms([lambda picture: picture.convert("L")], "after_item", [1])
    image = dls.valid.one_batch().image
    assert torch.equal(image[:, 0], image[:, 2])
    assert dls.valid.items == valid.items


def test_an_added_normalize_measures_the_first_training_batch(dls):
    raw = dls.train.raw_batch().double() / 255
    dls.add_tfms(Normalize(), "after_batch")
    assert np.allclose(dls.preprocess.mean, raw.mean((0, 1, 2)), atol=1e-5)
    assert dls.train.stats == dls.valid.stats


def test_transforms_cannot_be_added_where_there_is_no_such_event_or_loader(dls):
    with pytest.raises(OptionError, match=r"event='after_batches' is not one of 'after_item', 'after_batch'. Did you mean"):
        dls.add_tfms([], "after_batches")
    with pytest.raises(OptionError, match=r"works on one picture at a time"):
        dls.add_tfms(Resize(4), "after_batch")
    with pytest.raises(OptionError, match=r"loaders holds 'test'"):
        dls.add_tfms([], "after_item", "test")


def test_a_batch_is_decoded_to_colours_and_labels(dls):
    normalised = dls.with_stats((0.5, 0.4, 0.3), (0.2, 0.2, 0.25))
    batch = normalised.valid.one_batch()
    colours, target = normalised.valid.decode(batch)
    expected = torch.from_numpy(np.stack([np.asarray(Resize(8)(Image.open(path))) for path in dls.valid.items[:3]]))
    assert torch.equal(colours, expected.permute(0, 3, 1, 2))
    assert target.tolist() == [0, 0, 1]
    pairs = normalised.decode_batch(tuple(batch), max_n=2)
    assert [label for _, label in pairs] == ["cat", "cat"]
    assert torch.equal(pairs[1][0], colours[1])
    assert [int(label) for _, label in normalised.decode_batch(batch, full=False)] == [0, 0, 1]
    assert len(dls.decode_batch(dls.test_dl(dls.valid.items).one_batch())[0]) == 1


def test_they_are_made_from_a_block_by_name(root):
    block = DataBlock(get_items=get_image_files, get_y=parent_label, splitter=GrandparentSplitter(), item_tfms=Resize(8))
    for made in (
        DataLoaders.from_dblock(block, root, root, 4, 3),
        ImageDataLoaders.from_dblock(block, root, path=root, bs=4, val_bs=3),
    ):
        assert (made.bs, made.valid.bs, made.path) == (4, 3, root)
    by_hand = ImageDataLoaders(made.train, made.valid)
    assert isinstance(by_hand, DataLoaders)


def test_they_can_be_copied_and_written_whole(dls):
    twin = copy.deepcopy(dls)
    assert twin.train.n == dls.train.n
    assert pickle.loads(pickle.dumps(dls.train.part)).rows.tolist() == dls.train.rows.tolist()
    assert all(torch.equal(one.image, other.image) for one, other in zip(dls.valid, twin.valid, strict=True))
