"""Pictures of any number of channels are read, moved and shown channel by channel, without one mixing into another."""

from __future__ import annotations

from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter

from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.pictures.bands import Bands, picture_of
from sightline.data.pictures.decode import PILImage, PILImageBW, probe, read_image
from sightline.data.pictures.resize import crop_pad
from sightline.data.rows.files import get_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import IndexSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import RandomResizedCrop, Resize
from sightline.errors import ImageError, OptionError, SightlineWarning


def noise(channels, seed=0, size=(12, 10)):
    """uint8 (height, width, channels), `size` being (width, height)."""
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], channels), dtype=np.uint8)


def stored(image, kind, **options):
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path):
    """Ten .npy files of five channels in two folders."""
    for number in range(10):
        path = tmp_path / "ab"[number % 2] / f"{number}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, noise(5, number))
    return tmp_path


def block(channels=5, **options):
    given = {"get_items": partial(get_files, extensions=".npy"), "get_y": parent_label, "splitter": IndexSplitter([0, 1, 8, 9])}
    return DataBlock((ImageBlock(channels=channels), CategoryBlock), **(given | options))


# Bands


@pytest.mark.parametrize(
    "move",
    [
        lambda image: image.crop((1, 2, 9, 8)),
        lambda image: image.resize((7, 5), Image.Resampling.BILINEAR),
        lambda image: image.transpose(Image.Transpose.ROTATE_90),
        lambda image: image.rotate(10),
        lambda image: image.filter(ImageFilter.BLUR),
        lambda image: image.transform((6, 6), Image.Transform.AFFINE, (1, 0, 1, 0, 1, 2)),
        lambda image: image.copy(),
        lambda image: crop_pad(image, (16, 16), (-2, -3), "reflection"),
        Resize((6, 9)),
        Resize((6, 9), "pad", "border"),
        Resize(6, "squish"),
        partial(RandomResizedCrop(8), split_idx=1),
    ],
)
def test_every_channel_moves_as_a_grey_picture_of_its_own_does(move):
    pixels = noise(5)
    moved = np.asarray(move(Bands.of(pixels)))
    assert moved.shape[2] == 5
    for channel in range(5):
        assert np.array_equal(moved[..., channel], np.asarray(move(Image.fromarray(pixels[..., channel]))))


def test_bands_say_what_they_are():
    bands = Bands.of(noise(2))
    assert (bands.size, bands.width, bands.height, bands.mode, bands.getbands()) == ((12, 10), 12, 10, "2 bands", ("0", "1"))
    assert repr(bands) == "<Bands 2 x 12x10>"
    assert bands == Bands.of(noise(2)) != Bands.of(noise(2, seed=1))
    assert np.array_equal(np.asarray(bands.getchannel(1)), noise(2)[..., 1])
    assert len(bands.split()) == 2
    with pytest.raises(ValueError, match=r"2 channels has no colour mode"):
        bands.convert("RGB")


def test_pillow_holds_what_it_can():
    assert picture_of(noise(3)).mode == "RGB"
    assert picture_of(noise(1)).mode == picture_of(noise(1)[..., 0]).mode == "L"
    assert isinstance(picture_of(noise(4)), Bands)


# Reading


@pytest.mark.parametrize("channels", [2, 4, 5, 7])
def test_arrays_tensors_and_files_of_arrays_are_read_as_they_are(tmp_path, channels):
    pixels = noise(channels)
    np.save(tmp_path / "a.npy", pixels)
    np.save(tmp_path / "b.NPY.npy", np.moveaxis(pixels, 2, 0))
    sources = (
        pixels,
        pixels / 255,
        pixels.astype(np.uint16) * 257,
        torch.from_numpy(pixels).permute(2, 0, 1),
        Bands.of(pixels),
    )
    for source in (*sources, tmp_path / "a.npy", str(tmp_path / "b.NPY.npy"), np.moveaxis(pixels, 2, 0)):
        assert np.array_equal(np.asarray(read_image(source, channels=channels)), pixels)


def test_a_file_of_an_array_may_be_grey_or_in_colour(tmp_path):
    np.save(tmp_path / "a.npy", noise(3))
    assert np.array_equal(np.asarray(read_image(tmp_path / "a.npy")), noise(3))
    assert read_image(tmp_path / "a.npy", channels=1).mode == "L"


def test_transparency_is_a_channel_where_four_or_two_are_wanted():
    pixels = noise(4)
    seen = np.asarray(read_image(stored(Image.fromarray(pixels), "PNG"), channels=4))
    assert np.array_equal(seen, pixels)
    opaque = np.asarray(read_image(stored(Image.fromarray(pixels[..., :3]), "PNG"), channels=4))
    assert np.array_equal(opaque[..., :3], pixels[..., :3])
    assert (opaque[..., 3] == 255).all()
    grey = Image.fromarray(pixels[..., 0])
    assert np.asarray(read_image(grey, channels=2))[..., 1].tolist() == np.full((10, 12), 255).tolist()
    printed = Image.fromarray(pixels, mode=None).convert("RGB").convert("CMYK")
    assert np.array_equal(np.asarray(read_image(stored(printed, "TIFF"), channels=4)), np.asarray(printed))


def test_the_pages_of_a_tiff_file_are_channels():
    pixels = noise(5)
    pages = [Image.fromarray(pixels[..., channel]) for channel in range(5)]
    content = stored(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert np.array_equal(np.asarray(read_image(content, channels=5)), pixels)
    with pytest.raises(ImageError, match=r"it has 1 channel \(mode L\), and 6 are expected"):
        read_image(content, channels=6)
    uneven = stored(pages[0], "TIFF", save_all=True, append_images=[pages[1].resize((4, 4))])
    with pytest.raises(ImageError, match=r"its pages have several sizes"):
        read_image(uneven, channels=2)
    coloured = stored(Image.fromarray(noise(3)), "TIFF", save_all=True, append_images=[pages[1]])
    with pytest.raises(ImageError, match=r"page 1 of it has 3 channels, expected one channel a page"):
        read_image(coloured, channels=2)


@pytest.mark.parametrize(
    ("source", "channels", "words"),
    [
        (noise(3), 5, r"it has 3 channels \(mode RGB\), and 5 are expected"),
        (noise(6), 5, r"its shape is \(10, 12, 6\), expected \(H, W\) or \(H, W, C\) with C = 5"),
        (torch.zeros(6, 3, 3), 5, r"its shape is \(6, 3, 3\), expected \(H, W\) or \(C, H, W\) with C = 5"),
        (Image.fromarray(noise(3)), 2, r"it has 3 channels \(mode RGB\), and 2 are expected"),
        (Image.fromarray(noise(3)).quantize(), 2, r"it has 1 channel \(mode P\), and 2 are expected"),
        (Bands.of(noise(5)), 3, r"it has 5 channels \(mode 5 bands\), and 3 are expected"),
        (noise(5), 3, r"expected .* C = 1, 3 or 4; for other numbers of channels there is ImageBlock\(channels=...\)"),
        (np.full((2, 2, 5), 7.0), 5, r"its float64 values run from 7.0 to 7.0, expected 0 to 1"),
    ],
)
def test_pictures_with_other_channels_than_expected_are_refused(source, channels, words):
    with pytest.raises(ImageError, match=words):
        read_image(source, channels=channels)


def test_damaged_and_dangerous_array_files_are_refused(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "text.npy").write_bytes(b"no array at all")
    (tmp_path / "empty.npy").write_bytes(b"")
    np.save(tmp_path / "line.npy", np.zeros(5))
    np.save(tmp_path / "cut.npy", noise(5))
    (tmp_path / "cut.npy").write_bytes((tmp_path / "cut.npy").read_bytes()[:300])
    np.save(tmp_path / "large.npy", noise(5))
    for name, words in {
        "objects": r"it holds object values, expected numbers",
        "text": r"the file is damaged",
        "empty": r"it is empty \(0 bytes\)",
        "line": r"it holds an array of shape \(5,\)",
        "cut": r"the file is cut short",
        "none": r"there is no such file",
    }.items():
        with pytest.raises(ImageError, match=words):
            read_image(tmp_path / f"{name}.npy", channels=5)
        assert probe(tmp_path / f"{name}.npy")
    with pytest.raises(ImageError, match=r"12 x 10 pixels, more than the 119"):
        read_image(tmp_path / "large.npy", channels=5, max_pixels=119)
    assert probe(tmp_path / "large.npy") is None


# On the road


def test_a_batch_holds_every_channel_in_training_and_validation(folder):
    dls = block(item_tfms=Resize(8), batch_tfms=[*aug_transforms(), Normalize()]).dataloaders(folder, bs=4, seed=1)
    assert dls.one_batch().image.shape == (4, 5, 8, 8)
    assert dls.preprocess.channels == len(dls.preprocess.mean) == 5
    picture = dls.valid_ds[0][0]
    expected = torch.from_numpy(np.array(Resize(8)(picture))).permute(2, 0, 1) / 255
    mean, std = (torch.tensor(figures).view(5, 1, 1) for figures in (dls.preprocess.mean, dls.preprocess.std))
    torch.testing.assert_close(dls.valid.one_batch().image[0], (expected - mean) / std)


def test_measured_figures_are_those_of_the_channels(folder):
    dls = block(batch_tfms=Normalize()).dataloaders(folder, bs=6, seed=1)
    rows = dls.train.order(0)
    pixels = np.stack([np.load(dls.table.sources[row]) for row in rows]) / 255
    assert np.allclose(dls.preprocess.mean, pixels.mean((0, 1, 2)), atol=1e-5)
    assert np.allclose(dls.preprocess.std, pixels.reshape(-1, 5).std(0, ddof=1), atol=1e-5)


def test_figures_for_other_channels_are_refused_before_files_are_looked_at():
    with pytest.raises(OptionError, match=r"Normalize has figures for 3 channels, but pictures have 5"):
        block(batch_tfms=Normalize((0.5,) * 3, (0.2,) * 3))


def test_pictures_are_shown_by_their_first_three_channels_or_their_first(folder):
    import matplotlib.pyplot as plt

    for channels, drawn in ((5, (10, 12, 3)), (2, (10, 12))):
        pictures = [noise(channels, number) for number in range(6)]
        dls = DataBlock.from_columns(
            (ImageBlock(channels=channels), CategoryBlock), splitter=IndexSplitter([4, 5])
        ).dataloaders((pictures, list("ababab")), bs=4, shuffle=False)
        axis = dls.show_batch(max_n=1).axes[0]
        assert axis.images[0].get_array().shape == drawn
        shown = pictures[0][..., :3] if channels == 5 else pictures[0][..., 0]
        assert np.allclose(axis.images[0].get_array(), shown / 255, atol=1e-6)
    plt.close("all")


def test_a_test_loader_reads_the_same_way(folder):
    dls = block().dataloaders(folder, bs=4)
    files = dls.valid.items
    expected = torch.cat([batch.image for batch in dls.valid])
    for items in (files, [np.load(file) for file in files]):
        assert torch.equal(torch.cat([batch.image for batch in dls.test_dl(items)]), expected)


def test_a_file_with_too_few_channels_is_set_aside_by_name(folder):
    np.save(folder / "a" / "9.npy", noise(4))
    dls = block(splitter=IndexSplitter([0, 6])).dataloaders(folder, bs=3)
    with pytest.warns(SightlineWarning, match=r"a/9.npy' \(its shape is \(10, 12, 4\)"):
        assert sum(batch.n for batch in dls.new(drop_last=False).train) == 8


# The user's own way to read


class Doubled(PILImage):
    """Two channels: a picture's red, and its opposite."""

    channels = 2

    @classmethod
    def create(cls, fn, **unused):
        red = np.asarray(Image.open(fn))[..., 0]
        return np.stack([red, 255 - red], axis=-1)


def test_a_class_of_the_users_own_reads_pictures_when_they_are_needed(tmp_path):
    for number in range(6):
        Image.fromarray(noise(3, number)).save(tmp_path / f"{number}.png")
    (tmp_path / "5.png").write_bytes(b"no picture")
    own = DataBlock(
        (ImageBlock(Doubled), CategoryBlock), get_y=lambda path: "ab"[int(path.stem) % 2], splitter=IndexSplitter([4])
    )
    dls = own.dataloaders([tmp_path / f"{number}.png" for number in range(6)], bs=5, shuffle=False)
    with pytest.warns(SightlineWarning, match=r"'5.png' \(Doubled.create failed with UnidentifiedImageError"):
        image = dls.one_batch().image
    assert image.shape == (4, 2, 10, 12)
    assert torch.allclose(image[:, 0], 1 - image[:, 1], atol=1e-6)
    assert np.allclose(image[0, 0], noise(3)[..., 0] / 255)
    assert dls.pipeline.custom_names == ("Doubled.create",)
    assert dls.test_dl(dls.valid.items).one_batch().image.shape == (1, 2, 10, 12)


def test_a_block_of_pictures_says_what_it_takes():
    assert (ImageBlock().channels, ImageBlock(PILImageBW).channels, ImageBlock(channels=4).channels) == (3, 1, 4)
    assert ImageBlock(Doubled).channels == 2
    assert repr(ImageBlock(channels=4)) == "ImageBlock(PILImage, channels=4)"
    with pytest.raises(OptionError, match=r"expected PILImage \(colour\)"):
        ImageBlock(cls=Image.Image)
    with pytest.raises(OptionError, match=r"channels=0\): expected a whole number of channels"):
        ImageBlock(channels=0)
