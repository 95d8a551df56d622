"""Pictures are drawn on the axes that are given, or on new ones of fastai's shapes and sizes."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import pixels
from sightline.data.showing.plots import get_grid, show_image, show_images, show_titled_image, subplots


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_subplots_are_three_inches_a_picture():
    # Facts from fastai 2.8.12.
    for arguments, size, shape in (
        ((), (3, 3), (1,)),
        ((2, 3), (9, 6), (2, 3)),
        ((1, 3), (9, 3), (3,)),
        ((2, 2, (5, 4)), (5, 4), (2, 2)),
    ):
        figure, axes = subplots(*arguments)
        assert tuple(figure.get_size_inches()) == size
        assert axes.shape == shape
    figure, _ = subplots(1, 2, imsize=2, suptitle="all")
    assert np.allclose(figure.get_size_inches(), (4, 2.6))
    assert figure.get_suptitle() == "all"


def test_a_grid_is_about_square_and_switches_off_what_is_not_needed():
    figure, axes = get_grid(5, return_fig=True, title="five")
    assert (len(axes), len(figure.axes), tuple(figure.get_size_inches())) == (5, 6, (9, 6))
    assert [axis.axison for axis in figure.axes] == [True] * 5 + [False]
    assert figure.get_suptitle() == "five"
    assert len(get_grid(5, double=True)) == 10
    assert get_grid(7, ncols=4, flatten=False).shape == (2, 4)
    assert get_grid(7, nrows=7, flatten=False).shape == (7,)
    assert len(get_grid(1)) == 1


@pytest.mark.parametrize(
    ("picture", "shape"),
    [
        (Image.fromarray(pixels(0)), (10, 12, 3)),
        (pixels(0), (10, 12, 3)),
        (torch.from_numpy(pixels(0)).permute(2, 0, 1), (10, 12, 3)),
        (torch.zeros(1, 10, 12), (10, 12)),
        (torch.zeros(10, 12), (10, 12)),
        (torch.zeros(2, 10, 12), (10, 12)),
        (np.zeros((10, 12, 7)), (10, 12, 3)),
        (torch.zeros(3, 10, 12, requires_grad=True), (10, 12, 3)),
    ],
)
def test_a_picture_of_any_kind_is_drawn(picture, shape):
    assert show_image(picture).images[0].get_array().shape == shape


def test_a_picture_is_drawn_where_one_says():
    _, axis = plt.subplots()
    assert show_image(pixels(0), ax=axis, title="t", cmap="gray") is axis
    assert show_image(pixels(0), ctx=axis) is axis
    assert (axis.get_title(), axis.axison) == ("t", False)
    assert tuple(show_image(np.zeros((64, 100))).figure.get_size_inches()) == (3, 2)
    assert tuple(show_image(np.zeros((64, 100)), figsize=(2, 7)).figure.get_size_inches()) == (2, 7)
    assert show_titled_image((pixels(0), 5)).get_title() == "5"


def test_a_label_above_a_picture_is_no_formula():
    axes = show_titled_image((pixels(0), "$x_$"))
    axes.figure.canvas.draw()
    assert axes.get_title() == r"\$x_\$"


def test_several_pictures_are_drawn_in_rows():
    figure = show_images([pixels(i) for i in range(5)], nrows=2, titles=list("abcde"), imsize=1, suptitle="letters")
    assert [axis.get_title() for axis in figure.axes] == [*"abcde", ""]
    assert figure.axes[0].get_gridspec().get_geometry() == (2, 3)
    assert not figure.axes[5].axison
    assert len(show_images([pixels(0)]).axes) == 1
