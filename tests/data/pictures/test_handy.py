"""Pictures as scripts know them from fastai: created from anything, with shape, thumbnails and show; Pillow is left alone."""

from __future__ import annotations

from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import draw, draw_folder, pixels
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.bands import Bands
from sightline.data.pictures.decode import PILImage, PILImageBW, load_image
from sightline.data.pictures.images import image2tensor, to_image
from sightline.errors import ImageError


@pytest.fixture
def path(tmp_path):
    return draw(tmp_path / "a.png", size=(50, 30))


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def test_pictures_are_created_from_whatever_holds_one(path):
    sources = (path, str(path), path.read_bytes(), pixels(0, (50, 30)), Image.open(path), image2tensor(pixels(0, (50, 30))))
    for source in sources:
        picture = PILImage.create(source)
        assert np.array_equal(np.asarray(picture), pixels(0, (50, 30)))
        assert isinstance(picture, Image.Image)
    assert PILImageBW.create(path).mode == "L"
    assert PILImage.create(path, mode="RGBA").mode == "RGBA"
    assert repr(PILImage.create(path)) == "PILImage mode=RGB size=50x30"


def test_a_created_picture_leaves_its_source_alone():
    given = Image.fromarray(pixels(0))
    picture = PILImage.create(given)
    picture.putpixel((0, 0), (1, 2, 3))
    assert type(given) is Image.Image
    assert given.getpixel((0, 0)) == tuple(pixels(0)[0, 0])


def test_sizes_are_those_of_fastai(path):
    # Facts from fastai 2.8.12, for a picture 50 wide and 30 high.
    picture = PILImage.create(path)
    assert (picture.size, picture.shape, picture.n_px, picture.aspect) == ((50, 30), (30, 50), 1500, 50 / 30)
    assert (picture.to_thumb(20).size, picture.to_thumb(20, 15).size, picture.reshape(10, 20).size) == (
        (20, 12),
        (15, 9),
        (20, 10),
    )
    assert [picture.resize_max(**most).size for most in ({"max_px": 500}, {"max_h": 10}, {"max_w": 10}, {})] == [
        (29, 17),
        (17, 10),
        (10, 6),
        (50, 30),
    ]
    assert picture.size == (50, 30)


def test_what_pillow_makes_of_a_picture_can_do_the_same(path):
    picture = PILImageBW.create(path)
    for made in (
        picture.resize((4, 2)),
        picture.crop((0, 0, 4, 2)),
        picture.resize((2, 4)).transpose(Image.Transpose.ROTATE_90),
    ):
        assert type(made) is PILImageBW
        assert made.shape == (2, 4)
    assert np.array_equal(np.asarray(Image.open(BytesIO(picture.to_bytes_format()))), np.asarray(picture))
    assert not hasattr(Image.new("L", (2, 2)), "n_px"), "Pillow itself is not changed"


def test_every_pillow_image_counts_as_a_picture():
    colour, grey = Image.fromarray(pixels(0)), Image.fromarray(pixels(0)[..., 0])
    assert isinstance(colour, PILImage)
    assert isinstance(grey, PILImage)
    assert isinstance(grey, PILImageBW)
    assert not isinstance(colour, PILImageBW)
    assert not isinstance(pixels(0), PILImage)
    assert issubclass(PILImageBW, PILImage)

    class Mine(PILImage):
        pass

    assert isinstance(Mine.create(colour), Mine)
    assert not isinstance(colour, Mine)


def test_show_draws_on_axes(path):
    _, axis = plt.subplots()
    assert PILImage.create(path).show(ctx=axis, title="a cat") is axis
    assert axis.get_title() == "a cat"
    assert PILImageBW.create(path).show().images[0].get_cmap().name == "Greys"


def test_a_data_sets_pictures_can_be_shown(tmp_path):
    root = draw_folder(tmp_path, {"train/a": 3, "train/b": 3, "valid/a": 1, "valid/b": 1})
    picture, _ = ImageDataLoaders.from_folder(root, bs=2).train_ds[0]
    assert (picture.shape, type(picture)) == ((10, 12), PILImage)
    grey, _ = ImageDataLoaders.from_folder(root, bs=2, img_cls=PILImageBW).train_ds[0]
    assert type(grey) is PILImageBW


def test_a_picture_is_loaded_in_its_own_mode_and_upright(tmp_path):
    turned = Image.fromarray(pixels(0))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    assert load_image(tmp_path / "turned.png").size == (10, 12)
    Image.fromarray(pixels(0)).convert("RGBA").save(tmp_path / "a.png")
    assert load_image(tmp_path / "a.png").mode == "RGBA"
    assert load_image(tmp_path / "a.png", "L").mode == "L"
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"broken.png' cannot be read"):
        load_image(tmp_path / "broken.png")


def test_tensors_and_pictures_become_one_another():
    for picture in (Image.fromarray(pixels(0)), Image.fromarray(pixels(0)[..., 0])):
        tensor = image2tensor(picture)
        assert tensor.shape == (len(picture.getbands()), 10, 12)
        assert tensor.dtype == torch.uint8
        assert to_image(tensor).mode == picture.mode
        assert np.array_equal(np.asarray(to_image(tensor / 255)), np.asarray(picture))
        assert to_image(picture) is picture
    assert to_image(np.dstack([pixels(0), pixels(1)[..., :1]])).mode == "RGBA"
    assert isinstance(to_image(torch.zeros(5, 4, 4)), Bands)
    assert image2tensor(Bands.of(np.zeros((3, 4, 5), np.uint8))).shape == (5, 3, 4)
    with pytest.raises(ImageError, match=r"A Tensor is no picture: its float32 values run from 2.0 to 2.0"):
        to_image(torch.full((3, 2, 2), 2.0))
