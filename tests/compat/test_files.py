"""Files come as an L that maps, filters and sorts."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastcore.foundation import L

from sightline.compat.files import get_files, get_image_files, verify_images
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.items import Resize


def test_pictures_come_as_an_l_in_order(colour_folder):
    found = get_image_files(colour_folder, folders="valid")
    assert isinstance(found, L)
    assert [path.name for path in found.filter(lambda path: path.parent.name == "red")] == [f"red_{i}.png" for i in range(4)]
    assert get_image_files(colour_folder, recurse=False) == []
    assert len(get_files(colour_folder, extensions=[".png"])) == 48


def test_a_path_lists_what_is_in_it(colour_folder):
    assert isinstance(colour_folder.ls(), L)
    assert sorted(path.name for path in colour_folder.ls()) == ["train", "valid"]


def test_an_l_serves_as_files(colour_folder):
    files = get_image_files(colour_folder / "train")
    dls = ImageDataLoaders.from_name_re(colour_folder, files, r"(.+)_\d+.png$", item_tfms=Resize(16), bs=4, num_workers=0)
    assert list(dls.vocab) == ["blue", "green", "red"]
    assert len(dls.test_dl(files[:3]).one_batch()[0]) == 3


def test_unreadable_files_can_be_mapped_away(colour_folder):
    broken = colour_folder / "train" / "red" / "broken.png"
    broken.write_bytes(b"no picture")
    failed = verify_images(get_image_files(colour_folder))
    assert isinstance(failed, L)
    assert failed == [broken]
    failed.map(Path.unlink)
    assert not broken.exists()
    assert verify_images([]) == []


def test_a_missing_folder_is_told():
    with pytest.raises(ValueError, match="There is no folder nowhere"):
        get_image_files("nowhere")
