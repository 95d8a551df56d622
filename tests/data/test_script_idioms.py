"""What scripts look up in loaders and vocabularies beyond batches."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from data.drawn import draw, draw_folder
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.decode import PILImage, PILImageBW, read_image
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import ColReader, parent_label
from sightline.data.rows.split import IndexSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.items import Resize
from sightline.data.transforms.tensor_kinds import TensorPoint
from sightline.errors import DataError, OptionError, SightlineWarning
from sightline.target import Vocab


@pytest.fixture
def dls(tmp_path):
    draw_folder(tmp_path, {"train/cat": 3, "train/dog": 3, "valid/cat": 2, "valid/dog": 2})
    options = {"item_tfms": Resize(8), "batch_tfms": aug_transforms(), "bs": 2, "num_workers": 0}
    return ImageDataLoaders.from_folder(tmp_path, **options)


def test_rows_of_a_table_are_items(tmp_path):
    for i in range(6):
        draw(tmp_path / f"{i}.png", i)
    frame = pd.DataFrame({"name": [f"{i}.png" for i in range(6)], "label": list("ababab"), "late": [False] * 4 + [True] * 2})
    dls = ImageDataLoaders.from_df(frame, tmp_path, valid_col="late", item_tfms=Resize(8), bs=2)
    assert dls.valid_ds.items.equals(frame.iloc[4:])
    assert dls.train.items["label"].tolist() == list("abab") == dls.items["label"].tolist()
    assert dls.valid_ds.paths == [tmp_path / "4.png", tmp_path / "5.png"]
    assert dls.test_dl(frame.head(3)).items.equals(frame.head(3))
    assert dls.test_dl([tmp_path / "1.png"]).items == [tmp_path / "1.png"]


def test_several_rows_of_a_part_come_as_a_list(dls):
    assert [label.item() for _, label in dls.train_ds[2:4]] == [0, 1]
    assert [label.item() for _, label in dls.train_ds[[0, 5]]] == [0, 1]
    assert [label.item() for _, label in dls.train_ds[np.array([0, -1])]] == [0, 1]
    assert dls.dataset is dls.train_ds


def test_several_items_of_datasets_come_as_a_list(tmp_path):
    draw_folder(tmp_path, {"cat": 2, "dog": 3})
    options = {"get_items": get_image_files, "get_y": parent_label, "splitter": IndexSplitter([4])}
    block = DataBlock((ImageBlock, CategoryBlock), **options)
    assert [label.item() for _, label in block.datasets(tmp_path)[[0, 2]]] == [0, 1]


def test_transforms_can_be_looked_at_in_order(dls):
    assert [type(step).__name__ for step in dls.after_item.fs] == ["Resize", "ToTensor"]
    steps = ["IntToFloatTensor", "Flip", "Warp", "Rotate", "Zoom", "Brightness", "Contrast"]
    assert [type(step).__name__ for step in dls.after_batch] == steps
    assert (dls.train.after_batch.split_idx, dls.valid.after_batch.split_idx) == (0, 1)


def test_transforms_called_by_hand_make_the_batch_of_validation(dls):
    pictures = torch.stack([dls.valid.after_item(dls.valid_ds[i][0]) for i in range(2)])
    assert torch.allclose(dls.valid.after_batch(pictures), dls.valid.one_batch()[0], atol=1e-6)


def test_loaders_know_outputs_threads_and_loss(dls):
    assert (dls.train.c, dls.num_workers) == (2, 0)
    logits, targets = torch.tensor([[1.0, 2.0], [0.5, 0.0]]), torch.tensor([0, 1])
    assert torch.allclose(dls.loss_func(logits, targets), torch.nn.functional.cross_entropy(logits, targets))
    with pytest.raises(OptionError, match="no labels"):
        _ = dls.test_dl(dls.valid_ds.paths).c


def test_a_vocabulary_maps_both_ways():
    vocab = Vocab(["a", "b", "c"])
    assert vocab[torch.tensor(1)] == vocab[np.int64(1)] == "b"
    assert vocab[[0, 2]] == vocab[torch.tensor([0, 2])] == vocab.map_ids([0, 2]) == ["a", "c"]
    assert vocab.map_objs(["c", "a"]) == [2, 0]
    assert vocab.items == ["a", "b", "c"]
    with pytest.raises(TypeError):
        vocab["a"]


def test_a_test_loader_without_a_readable_picture_says_why(dls, tmp_path):
    with (
        pytest.warns(SightlineWarning, match="nope.png"),
        pytest.raises(DataError, match=r"1 picture, and none .*no such"),
    ):
        dls.test_dl([tmp_path / "nope.png"]).one_batch()


def test_a_tensor_that_can_only_be_channels_last_is_taken_as_such():
    pixels = np.arange(90, dtype=np.uint8).reshape(6, 5, 3)
    assert np.array_equal(np.asarray(read_image(torch.from_numpy(pixels))), pixels)
    assert read_image(torch.zeros(3, 5, 3)).size == (3, 5)


def test_a_class_that_says_a_colour_mode_has_its_channels(tmp_path):
    class Transparent(PILImage):
        _open_args = {"mode": "RGBA"}  # noqa: RUF012 - as scripts write it

    class Grey(PILImageBW):
        pass

    assert (Transparent.channels, Grey.channels) == (4, 1)
    for label in "ab":
        for i in range(2):
            path = tmp_path / label / f"{i}.png"
            path.parent.mkdir(exist_ok=True)
            Image.new("RGBA", (8, 8), (1, 2, 3, 40 * i)).save(path)
    options = {"get_items": get_image_files, "get_y": parent_label, "splitter": IndexSplitter([0, 2])}
    block = DataBlock((ImageBlock(Transparent), CategoryBlock), **options)
    assert block.read_datasets(tmp_path).dataloaders(bs=2).one_batch()[0].shape == (2, 4, 8, 8)


def test_a_function_as_suffix_is_refused():
    with pytest.raises(OptionError, match="suff="):
        ColReader("name", suff=lambda row: ".png")


def test_points_are_made_of_any_pairs():
    assert TensorPoint.create([1, 2, 3, 4]).tolist() == [[1.0, 2.0], [3.0, 4.0]]
