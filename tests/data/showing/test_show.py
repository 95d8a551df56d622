"""A batch is shown with its colours restored and its labels above."""

from __future__ import annotations

import sys
import types

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import draw_folder, pixels
from sightline.data.blocks import RegressionBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.decode import PILImageBW
from sightline.data.showing.show import denormalized, grid, label_text
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import Resize
from sightline.errors import OptionError
from sightline.escaping import for_terminal
from sightline.target import MultiLabel, Regression, SingleLabel, Vocab


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture
def root(tmp_path):
    return draw_folder(tmp_path, {"train/cat": 6, "train/dog": 6, "valid/cat": 2, "valid/dog": 2})


def shown(figure):
    return [axis for axis in figure.axes if axis.images]


def test_pictures_have_their_labels_and_their_own_colours(root):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), batch_tfms=Normalize((0.5,) * 3, (0.25,) * 3), bs=4, seed=0)
    axes = shown(dls.valid.show_batch())
    assert [axis.get_title() for axis in axes] == ["cat", "cat", "dog", "dog"]
    expected = np.asarray(Resize(8)(Image.open(dls.valid.items[0]))) / 255
    assert np.allclose(axes[0].images[0].get_array(), expected, atol=1e-6)


def test_each_look_shows_other_pictures_and_changes_nothing(root):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), batch_tfms=aug_transforms(), bs=4, seed=0)
    before = dls.one_batch().image
    looks = [np.asarray(shown(dls.show_batch())[0].images[0].get_array()) for _ in range(2)]
    assert not np.array_equal(*looks)
    assert torch.equal(dls.one_batch().image, before)
    assert dls.train.epoch == 0


def test_unique_shows_one_picture_in_many_forms(root):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), batch_tfms=aug_transforms(), bs=4, seed=0)
    axes = shown(dls.show_batch(unique=True, max_n=6))
    assert len({axis.get_title() for axis in axes}) == 1
    pictures = [np.asarray(axis.images[0].get_array()) for axis in axes]
    assert len(pictures) == 6
    assert all(not np.array_equal(pictures[0], picture) for picture in pictures[1:])


@pytest.mark.parametrize(
    ("options", "grid", "count"),
    [({}, (2, 2), 4), ({"max_n": 3}, (1, 3), 3), ({"nrows": 1}, (1, 4), 4), ({"ncols": 3}, (2, 3), 4)],
    ids=str,
)
def test_the_grid_fits(root, options, grid, count):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), bs=4, seed=0)
    figure = dls.show_batch(**options)
    assert figure.axes[0].get_gridspec().get_geometry() == grid
    assert len(shown(figure)) == count
    with pytest.raises(OptionError, match=r"max_n=0 pictures"):
        dls.show_batch(max_n=0)


def test_grey_pictures_and_numbers_are_shown(tmp_path):
    dls = ImageDataLoaders.from_lists(
        tmp_path,
        [pixels(i) for i in range(5)],
        [0.123456, 2.0, 3.0, 4.0, 5.0],
        y_block=RegressionBlock,
        img_cls=PILImageBW,
        bs=4,
        seed=0,
    )
    axes = shown(dls.show_batch())
    assert {axis.get_title() for axis in axes} <= {"0.1235", "2", "3", "4", "5"}
    assert axes[0].images[0].get_array().ndim == 2


def test_labels_in_words():
    assert label_text(SingleLabel(Vocab(["a", "b"])), torch.tensor(1)) == "b"
    assert label_text(MultiLabel(Vocab(["a", "b", "c"])), torch.tensor([1.0, 0.0, 1.0])) == "a;c"
    assert label_text(Regression(2, None, False), torch.tensor([0.5, 10.0])) == "0.5;10"
    assert label_text(None, torch.tensor(1)) == ""


@pytest.mark.parametrize("label", ["$x_$", "a$b", "costs 1$ or 2$", "\x1b[31mred\u202e", "two\nlines", "$\\frac{1}{0}$" * 9])
def test_labels_are_no_formulas_and_steer_nothing(label):
    figure = grid(np.zeros((1, 8, 8, 3), np.float32), [label])
    figure.canvas.draw()
    title = figure.axes[0].title
    shown = [title._preprocess_math(line) for line in title.get_text().split("\n")]
    assert not any(is_formula for _, is_formula in shown)
    assert "".join(text for text, _ in shown).startswith(for_terminal(label)[:8])
    assert title.get_text().isprintable() or len(shown) > 1


def test_colours_are_restored_and_kept_in_range():
    image = torch.tensor([[-2.0, 0.0, 9.0]]).reshape(1, 1, 1, 3).repeat(1, 3, 1, 1)
    assert denormalized(image, ([0.5] * 3, [0.25] * 3))[0, 0, :, 0].tolist() == [0.0, 0.5, 1.0]


def test_a_notebook_shows_a_figure_once(root, monkeypatch):
    shown_in_cell = []
    module = types.ModuleType("IPython.display")
    module.Image, module.display = (lambda data: data), shown_in_cell.append
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    figure = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), bs=4, seed=0).show_batch(max_n=1)
    figure._ipython_display_()
    assert shown_in_cell == [], "pyplot shows open figures itself"
    plt.close(figure)
    figure._ipython_display_()
    assert len(shown_in_cell) == 1
    assert shown_in_cell[0].startswith(b"\x89PNG")


def test_a_given_batch_is_shown_on_given_axes(root):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), bs=4, seed=0)
    batch = dls.one_batch()
    own, axes = plt.subplots(1, 2)
    assert dls.show_batch(batch, ctxs=axes) is own
    assert [axis.get_title() for axis in axes] == [dls.vocab[int(label)] for label in batch.target[:2]]
    assert np.allclose(axes[1].images[0].get_array(), batch.image[1].permute(1, 2, 0), atol=1e-6)
    assert len(shown(dls.valid.show_batch(b=tuple(batch), max_n=3, ncols=3, figsize=(4, 5)))) == 3
    assert tuple(plt.gcf().get_size_inches()) == (4, 5)
    images, targets, pairs = dls.train.show_batch(batch, show=False)
    assert images is batch.image
    assert targets is batch.target
    assert [label for _, label in pairs] == [dls.vocab[int(label)] for label in targets]
    with pytest.raises(OptionError, match=r"b is a int of 1 part. Expected a batch"):
        dls.show_batch(5)
    with pytest.raises(OptionError, match=r"ctxs is empty"):
        dls.show_batch(ctxs=[])


def test_a_training_loader_shows_other_pictures_each_time_and_validation_the_same(root):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize(8), batch_tfms=aug_transforms(), bs=4, seed=0)
    first, second = (np.asarray(shown(dls.train.show_batch(max_n=1))[0].images[0].get_array()) for _ in range(2))
    assert not np.array_equal(first, second)
    first, second = (np.asarray(shown(dls.valid.show_batch(max_n=1))[0].images[0].get_array()) for _ in range(2))
    assert np.array_equal(first, second)


def test_long_titles_are_broken_and_cut_so_that_none_overruns_its_picture(root):
    figure = plt.figure(figsize=(4, 3))
    labels = ["cat", "a;b", ";".join(f"label number {i}" for i in range(30)), "W" * 200]
    figure = grid(np.zeros((4, 8, 8, 3), np.float32), labels)
    figure.canvas.draw()
    titles = [axis.get_title() for axis in figure.axes]
    assert titles[:2] == ["cat", "a;b"]
    assert titles[2].count("\n") == 2
    assert titles[2].endswith("…")
    assert titles[2].startswith("label number 0; label\nnumber 1; ")
    for axis in figure.axes[:3]:
        assert axis.title.get_window_extent().width < axis.get_window_extent().width * 1.25
