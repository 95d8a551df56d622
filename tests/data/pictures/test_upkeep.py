"""A folder's damaged pictures are found, and smaller copies keep the tree, the turn and the originals."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from data.drawn import break_picture, cut_short, draw, pixels
from sightline.data.pictures.upkeep import resize_image, resize_images, resize_to, verify_image, verify_images
from sightline.data.rows.files import get_image_files
from sightline.errors import NoImagesError, OptionError, SightlineWarning


@pytest.fixture
def root(tmp_path):
    draw(tmp_path / "in" / "large.png", 0, (80, 40))
    draw(tmp_path / "in" / "small.png", 1, (12, 10))
    draw(tmp_path / "in" / "deep" / "tall.png", 2, (20, 60))
    Image.fromarray(pixels(3, (80, 40))[..., 0]).save(tmp_path / "in" / "grey.png")
    return tmp_path / "in"


def opened(path):
    with Image.open(path) as image:
        image.load()
    return image


def sizes(folder):
    return {path.relative_to(folder).as_posix(): (opened(path).size, opened(path).mode) for path in get_image_files(folder)}


def test_pictures_that_cannot_be_read_in_full_are_found_in_order(root):
    broken, cut = break_picture(root / "broken.png"), cut_short(root / "large.png")
    files = [cut, root / "small.png", broken, root / "none.png"]
    assert verify_images(files) == [cut, broken, root / "none.png"]
    assert verify_images(iter([])) == []
    assert (verify_image(cut), verify_image(str(root / "small.png"))) == (False, True)


def test_a_size_keeps_the_aspect():
    picture = Image.new("L", (80, 41))
    # Facts from fastai 2.8.12: sides are cut to whole pixels.
    assert (resize_to(picture, 20), resize_to(picture, 20, use_min=True)) == ((20, 10), (39, 20))


def test_copies_keep_the_tree_and_the_originals(root, tmp_path):
    before = {path: path.read_bytes() for path in get_image_files(root)}
    resize_images(root, max_size=30, recurse=True, dest=tmp_path / "out")
    assert sizes(tmp_path / "out") == {
        "large.png": ((30, 15), "RGB"),
        "small.png": ((12, 10), "RGB"),
        "grey.png": ((30, 15), "RGB"),
        "deep/tall.png": ((10, 30), "RGB"),
    }
    assert {path: path.read_bytes() for path in get_image_files(root)} == before
    assert (tmp_path / "out" / "small.png").read_bytes() == before[root / "small.png"], "copied byte for byte"
    expected = Image.fromarray(pixels(0, (80, 40))).resize((30, 15), Image.Resampling.BILINEAR)
    assert np.array_equal(np.asarray(opened(tmp_path / "out" / "large.png")), np.asarray(expected))


def test_the_folder_itself_as_the_goal_replaces_its_pictures(root):
    resize_images(root, max_size=30, dest=root, max_workers=0)
    assert sizes(root) == {
        "large.png": ((30, 15), "RGB"),
        "small.png": ((12, 10), "RGB"),
        "grey.png": ((30, 15), "RGB"),
        "deep/tall.png": ((20, 60), "RGB"),
    }
    assert not [path for path in root.iterdir() if path.name.endswith(".part")]


def test_a_goal_within_the_folder_is_no_source(root):
    for _ in range(2):
        resize_images(root, max_size=30, recurse=True, dest=root / "deep" / "small")
    assert "deep/small/deep/small" not in " ".join(sizes(root))
    assert sizes(root)["deep/small/deep/tall.png"] == ((10, 30), "RGB")


def test_unreadable_pictures_are_named_and_the_others_copied(root, tmp_path):
    break_picture(root / "broken.png")
    cut_short(root / "large.png")
    with pytest.warns(
        SightlineWarning, match=r"2 pictures left out of resizing: 'broken.png' \(.*'large.png' \(the file is cut short"
    ):
        resize_images(root, max_size=30, dest=tmp_path / "out")
    assert sorted(sizes(tmp_path / "out")) == ["grey.png", "small.png"]


def test_two_pictures_that_would_have_one_name_are_told(root, tmp_path):
    Image.fromarray(pixels(5)).save(root / "small.jpg")
    with pytest.warns(SightlineWarning, match=r"'small.png' \(small.jpg becomes small.jpg too\)"):
        resize_images(root, max_size=30, dest=tmp_path / "out", ext=".jpg", quality=95)
    assert np.array_equal(np.asarray(opened(tmp_path / "out" / "small.jpg")), np.asarray(opened(root / "small.jpg")))


def test_what_is_there_already_is_left_alone_if_asked(root, tmp_path):
    out = tmp_path / "out"
    draw(out / "large.png", 9, (5, 5))
    resize_images(root, max_size=30, dest=out, resume=True)
    assert sizes(out)["large.png"] == ((5, 5), "RGB")
    resize_images(root, max_size=30, dest=out)
    assert sizes(out)["large.png"] == ((30, 15), "RGB")


def test_one_picture_gets_another_ending_turn_and_channels(root, tmp_path):
    turned = Image.fromarray(pixels(0, (80, 40)))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(root / "turned.png", exif=exif)
    resize_image("turned.png", tmp_path, src=root, max_size=20, ext=".webp", n_channels=1)
    assert opened(tmp_path / "turned.webp").size == (10, 20)
    resize_image("small.png", tmp_path, root, n_channels=4)
    assert sizes(tmp_path)["small.png"] == ((12, 10), "RGBA")
    resize_image("large.png", tmp_path, root, max_size=10, img_format="JPEG")
    assert opened(tmp_path / "large.png").format == "JPEG"
    with pytest.warns(SightlineWarning, match=r"'none.png' \(there is no such file\)"):
        resize_image("none.png", tmp_path, root)
    with pytest.warns(SightlineWarning, match=r"it cannot be written as small.xyz"):
        resize_image("small.png", tmp_path, root, ext=".xyz", max_size=5)
    assert not (tmp_path / "small.xyz").exists()


def test_wrong_options_are_told(tmp_path):
    with pytest.raises(OptionError, match=r"n_channels=2 is not 1 \(grey\), 3 \(RGB\) or 4"):
        resize_images(tmp_path, n_channels=2)
    with pytest.raises(NoImagesError, match=r"There is no folder"):
        resize_images(tmp_path / "none", dest=tmp_path / "out")
