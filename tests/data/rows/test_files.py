"""Finding pictures is deterministic, follows links without looping, and says what a folder holds instead of pictures."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from data.drawn import draw_folder
from sightline.data.rows.files import IMAGE_EXTENSIONS, FileGetter, ImageGetter, get_files, get_image_files, nothing_found
from sightline.errors import NoImagesError, SightlineWarning, TableError


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def found(root, files):
    return [file.relative_to(root).as_posix() for file in files]


def test_pictures_are_found_by_ending_in_a_fixed_order_and_hidden_ones_are_skipped(tmp_path):
    touch(tmp_path, "b/2.JPG", "b/1.png", "a/z.webp", "c.gif", "notes.txt", ".cache/x.png", "a/.hidden.png", "a/labels.csv")
    assert found(tmp_path, get_image_files(tmp_path)) == ["a/z.webp", "b/1.png", "b/2.JPG", "c.gif"]


def test_folders_limit_the_top_level_only_and_a_dot_stands_for_the_files_beside_them(tmp_path):
    touch(tmp_path, "top.png", "train/cat/1.png", "valid/cat/2.png", "test/train/3.png")
    assert found(tmp_path, get_image_files(tmp_path, folders=["train", "valid"])) == ["train/cat/1.png", "valid/cat/2.png"]
    assert found(tmp_path, get_image_files(tmp_path, folders=[".", "test"])) == ["test/train/3.png", "top.png"]
    assert found(tmp_path, get_image_files(tmp_path, recurse=False)) == ["top.png"]


def test_links_to_folders_are_followed_but_never_in_circles(tmp_path):
    touch(tmp_path, "pool/cats/1.png")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cats").symlink_to(tmp_path / "pool" / "cats")
    (tmp_path / "pool" / "cats" / "again").symlink_to(tmp_path / "pool")
    assert found(tmp_path, get_image_files(tmp_path / "set")) == ["set/cats/1.png"]
    assert get_files(tmp_path / "set", followlinks=False) == []


def test_get_files_takes_any_file_or_the_given_endings(tmp_path):
    touch(tmp_path, "a.txt", "b.csv", "c.CSV")
    assert found(tmp_path, get_files(tmp_path)) == ["a.txt", "b.csv", "c.CSV"]
    assert found(tmp_path, get_files(tmp_path, extensions=[".csv"])) == ["b.csv", "c.CSV"]


def test_the_endings_do_not_depend_on_the_machine():
    assert {".jpg", ".jpeg", ".png", ".webp", ".avif", ".tif", ".heic"} <= IMAGE_EXTENSIONS
    assert not {".pdf", ".eps", ".mp4", ".txt"} & IMAGE_EXTENSIONS


def test_a_folder_that_is_not_there_gets_the_closest_name(tmp_path):
    (tmp_path / "pictures").mkdir()
    with pytest.raises(NoImagesError, match=r"There is no folder .*picturs .*Did you mean 'pictures'\?"):
        get_image_files(tmp_path / "picturs")
    touch(tmp_path, "a.png")
    with pytest.raises(NoImagesError, match=r"a\.png is a file\. Expected a folder"):
        get_image_files(tmp_path / "a.png")


def test_a_folder_without_pictures_is_told_by_what_it_holds(tmp_path):
    touch(tmp_path, "data/a.txt", "data/b.txt", "c.csv")
    message = str(nothing_found(tmp_path))
    assert "No pictures were found in" in message
    assert "Seen below" in message
    assert ".txt x2, .csv x1; folders: 'data'" in message


def test_a_folder_that_may_not_be_read_is_named(tmp_path, monkeypatch):
    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.raises(TableError, match=r"Folder .* cannot be read: Permission denied"):
        get_files(tmp_path)


def test_getters_of_files_take_a_folder_below_the_given_one(tmp_path):
    draw_folder(tmp_path, {"images/a": 1, "images/b": 1, "masks": 1})
    (tmp_path / "images" / "notes.txt").write_text("")
    assert [path.name for path in FileGetter("images", extensions=".txt")(tmp_path)] == ["notes.txt"]
    assert len(ImageGetter("images")(tmp_path)) == 2
    assert len(ImageGetter("images", folders="a")(str(tmp_path))) == 1
    assert ImageGetter("images", recurse=False)(tmp_path) == []


def test_a_folder_is_not_left_out_because_too_many_files_are_open(tmp_path, monkeypatch):
    draw_folder(tmp_path, {"a": 1, "b": 1})
    listing, tried = os.scandir, []

    def short(folder):
        tried.append(folder)
        if len(tried) > 1:
            raise OSError(errno.EMFILE, "Too many open files")
        return listing(folder)

    monkeypatch.setattr(os, "scandir", short)
    with pytest.raises(OSError, match="Too many open files"):
        get_image_files(tmp_path)


def test_what_has_a_pictures_name_and_is_none_is_found_so_that_it_can_be_named(tmp_path):
    touch(tmp_path, "cats/1.png", "cats/notes.txt", "cats/folder with something.png/2.png")
    (tmp_path / "cats" / "nowhere.png").symlink_to("gone.png")
    (tmp_path / "cats" / "round.png").symlink_to("round.png")
    (tmp_path / "cats" / "nowhere.txt").symlink_to("gone.txt")
    (tmp_path / "cats" / "empty folder.png").mkdir()
    odd = ["cats/empty folder.png", "cats/nowhere.png", "cats/round.png"]
    sound = ["cats/1.png", "cats/folder with something.png/2.png"]
    assert sorted(found(tmp_path, get_image_files(tmp_path))) == sorted(odd + sound)
    assert sorted(found(tmp_path, get_files(tmp_path))) == sorted([*sound, "cats/notes.txt"])


def test_what_systems_keep_for_themselves_is_skipped_unless_it_is_named(tmp_path):
    touch(tmp_path, "a/1.png", "a/._1.png", "a/.DS_Store", "__MACOSX/a/1.png", "a/@eaDir/1.png/thumb.jpg", "a/Thumbs.db")
    assert found(tmp_path, get_image_files(tmp_path)) == ["a/1.png"]
    assert found(tmp_path, get_image_files(tmp_path, folders="__MACOSX")) == ["__MACOSX/a/1.png"]


def rmtree_by_steps(top, deep):
    """What pytest could not take away, because it does it by recursion."""
    (deep / "1.png").unlink()
    while deep != top.parent:
        deep.rmdir()
        deep = deep.parent


def test_very_deep_folders_are_searched_to_their_end(tmp_path):
    deep = tmp_path
    for _ in range(1200):
        deep /= "d"
        deep.mkdir()
    touch(deep, "1.png")
    assert get_image_files(tmp_path) == [deep / "1.png"]
    rmtree_by_steps(tmp_path / "d", deep)


def test_a_folder_that_cannot_be_read_or_vanishes_on_the_way_is_named_and_the_rest_is_found(tmp_path, monkeypatch):
    touch(tmp_path, "cats/1.png", "dogs/1.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "dogs":
            raise FileNotFoundError(2, "No such file or directory", str(folder))
        return scandir(folder)

    monkeypatch.setattr("os.scandir", refuse)
    with pytest.warns(SightlineWarning, match=r"Folder '.*dogs' cannot be read, and what lies in it is left out: No such file"):
        assert found(tmp_path, get_image_files(tmp_path)) == ["cats/1.png"]
