"""The summary walks one sample and a batch through every step aloud, and says in words where a step fails."""

from __future__ import annotations

import matplotlib.pyplot as plt
import pandas as pd
import pytest

from data.drawn import draw, draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock, MultiCategoryBlock
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import ColReader, ItemGetter, parent_label
from sightline.data.rows.split import EndSplitter, GrandparentSplitter
from sightline.data.transforms.colour import Brightness, Normalize
from sightline.data.transforms.geometry import Rotate
from sightline.data.transforms.items import Resize
from sightline.errors import LabelError, NoImagesError, OptionError, TableError


@pytest.fixture
def pets(tmp_path):
    return draw_folder(tmp_path / "pets", {"train/cat": 3, "train/dog": 3, "valid/cat": 1, "valid/dog": 1})


def block(**options):
    given = {"get_items": get_image_files, "get_y": parent_label, "splitter": GrandparentSplitter(), "item_tfms": Resize(8)}
    return DataBlock((ImageBlock, CategoryBlock), **(given | options))


def said(capsys):
    return [line.strip() for line in capsys.readouterr().out.splitlines() if line.strip()]


def in_order(lines, *parts):
    """Whether lines that begin with the parts come in that order."""
    rest = iter(lines)
    return all(any(line.startswith(part) for line in rest) for part in parts)


def test_every_step_is_named_with_what_it_gives(pets, capsys):
    assert block(get_y=[parent_label, str.upper], batch_tfms=[Normalize(), Brightness(), Rotate()]).summary(pets) is None
    lines = said(capsys)
    assert in_order(
        lines,
        "Collecting items",
        f"from {pets}",
        "get_image_files gives 8 items",
        "GrandparentSplitter(train_name='train', valid_name='valid') splits them",
        "6 in 'train', 2 in 'valid'; 0 pictures set aside",
        "labels are single_label, 2 outputs: 'CAT' and 'DOG'",
        "Building one sample (row 0)",
        "The picture",
        "PILImage.create gives",
        "a picture, RGB, 12 x 10 pixels (width x height)",
        "The label",
        "parent_label gives",
        "cat",
        "upper gives",
        "CAT",
        "CategoryBlock",
        "tensor(0)",
        "Item transforms, applied to the first sample",
        "Resize(size=(8, 8)",
        "an array uint8 (8, 8, 3)",
        "Adding the next 3 samples",
        "Collating the samples into a batch",
        "pictures: a tensor uint8 (4, 8, 8, 3)",
        "Batch transforms, applied to the batch",
        "in floating point, 0 to 255 becoming 0 to 1:",
        "Rotate(",
        "Brightness(",
        "Normalize(mean=(",
        "a tensor float32 (4, 3, 8, 8)",
        "The batch",
        "labels: tensor([0, 0, 0, 1])",
        "rows: [0, 1, 2, 3]",
    )


def test_rows_of_a_table_are_told_as_rows(tmp_path, capsys):
    for number in range(5):
        draw(tmp_path / f"{number}.png", number)
    frame = pd.DataFrame({"file": range(5), "tags": ["a b", "a", "", "b", "a"]})
    DataBlock(
        (ImageBlock, MultiCategoryBlock),
        get_x=ColReader("file", pref=tmp_path, suff=".png"),
        get_y=ColReader("tags", label_delim=" "),
        splitter=EndSplitter(0.2),
    ).summary(frame, bs=2)
    lines = said(capsys)
    assert in_order(
        lines,
        "from a table of 5 rows, columns file, tags",
        "the source itself gives 5 items",
        "a row, {'file': 0, 'tags': 'a b'}",
        "ColReader(['file']",
        str(tmp_path / "0.png"),
        "['a', 'b']",
        "MultiCategoryBlock",
        "tensor([1., 1.])",
        "No item transforms to apply",
        "an array uint8 (10, 12, 3)",
        "Adding the next 1 sample",
        "No batch transforms to apply",
        "labels: tensor([[1., 1.],",
    ), lines


def test_pictures_of_several_sizes_are_told_where_they_do_not_fit(pets, capsys):
    draw(pets / "train" / "cat" / "1.png", 1, (20, 14))
    with pytest.raises(OptionError, match=r"Pictures of several sizes cannot make one batch"):
        block(item_tfms=None).summary(pets)
    assert in_order(
        said(capsys),
        "Collating the samples into a batch",
        "Error! Pictures of several sizes cannot be put into one batch (height, width, channels):",
        "(10, 12, 3): 3 pictures, such as 'train/cat/0.png'",
        "(14, 20, 3): 1 picture, such as 'train/cat/1.png'",
        "Bring all of them to one size with item_tfms=Resize(224).",
        "collating FAILED with OptionError:",
    )


def breaks(*_):
    raise ZeroDivisionError("on purpose")


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"get_items": breaks}, ZeroDivisionError, "get_items FAILED with ZeroDivisionError:"),
        ({"get_items": lambda path: []}, NoImagesError, "collecting pictures and labels FAILED with NoImagesError:"),
        ({"get_y": lambda path: None}, LabelError, "collecting pictures and labels FAILED with LabelError:"),
        ({"get_x": lambda path: 3}, TableError, "collecting pictures and labels FAILED with TableError:"),
        ({"item_tfms": [Resize(8), breaks]}, ZeroDivisionError, "breaks FAILED with ZeroDivisionError:"),
        ({"batch_tfms": [breaks]}, ZeroDivisionError, "breaks FAILED with ZeroDivisionError:"),
    ],
)
def test_the_step_that_fails_is_named(pets, capsys, options, error, words):
    with pytest.raises(error):
        block(**options).summary(pets)
    assert words in said(capsys)


def test_pictures_in_memory_and_columns_are_told(capsys):
    columns = ([pixels(number) for number in range(4)], list("abab"))
    DataBlock.from_columns((ImageBlock, CategoryBlock), splitter=EndSplitter(0.25)).summary(columns, bs=64)
    lines = said(capsys)
    assert in_order(
        lines, "ItemGetter(i=0) gives", "an array uint8 (10, 12, 3)", "ItemGetter(i=1) gives", "a", "rows: [0, 1, 2]"
    )
    assert isinstance(ItemGetter(0), ItemGetter)


def test_the_batch_may_be_shown(pets, capsys):
    block().summary(pets, bs=3, show_batch=True, max_n=2)
    assert len(plt.gcf().axes) == 2
    plt.close("all")
