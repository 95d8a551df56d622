from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.checking.photos import as_jpeg, scene, without, write
from data.drawn import break_picture, cut_short, draw, draw_folder
from sightline.data.checking import facts
from sightline.data.checking.checks import check_briefly, check_pictures
from sightline.data.checking.facts import look_at
from sightline.data.checking.folders import empty_beside, survey
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.decode import read_image
from sightline.data.rows.table import Table
from sightline.data.transforms.items import Resize
from sightline.errors import ImageError, OptionError


def table_of(rows: dict[Path, tuple[str, int]]) -> Table:
    labels, split = zip(*rows.values(), strict=True)
    return Table(tuple(rows), labels, np.array(split, dtype=np.int8), root=Path(os.path.commonpath(rows)))


def codes(found) -> set[str]:
    return {finding.code for finding in found.findings}


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time since a file's last change, which cannot be set back, does not keep it from being kept."""
    monkeypatch.setattr("sightline.data.cache.keys.RACY_NS", -(10**15))


def test_sound_pictures_are_nothing_to_object_to(tmp_path):
    files = [
        write(tmp_path / f"{label}/{i}.jpg", as_jpeg(scene(10 * i + j))) for j, label in enumerate("ab") for i in range(10)
    ]
    found = check_pictures(files, [file.parent.name for file in files])
    assert found.findings == ()
    assert found.ok
    assert "nothing to object to" in str(found)


def test_no_pictures_at_all_are_an_error():
    assert codes(check_pictures([])) == {"no_pictures"}


def test_what_is_no_picture_at_all_is_named_like_any_other():
    found = check_pictures(
        ["a\0.jpg", None, b"", 7, np.zeros((2, 2, 3), dtype=np.uint8)], ["a", 1, ["b", "c"], None, "a"], workers=0
    )
    named = {name for finding in found.findings if finding.code != "no_label" for name in finding.files}
    assert len(named - {"picture 4"}) == 4


def test_each_unreadable_file_is_named_once_with_its_kind(tmp_path):
    for name in ("good", "short"):
        draw(tmp_path / f"{name}.png", size=(60, 60))
    files = {
        "truncated": cut_short(tmp_path / "short.png"),
        "not_a_picture": break_picture(tmp_path / "text.jpg"),
        "empty_file": write(tmp_path / "empty.jpg", b""),
        "missing": tmp_path / "gone.jpg",
        "not_a_file": tmp_path / "folder.jpg",
        "too_many_pixels": tmp_path / "bomb.png",
    }
    files["not_a_file"].mkdir()
    Image.new("1", (12_000, 11_000)).save(files["too_many_pixels"])
    found = check_pictures([tmp_path / "good.png", *files.values()])
    assert {finding.code: finding.files for finding in found.findings if finding.severity == "error"} == {
        code: (file.name,) for code, file in files.items()
    }
    assert not found.ok


def test_the_files_that_are_named_are_those_that_training_would_set_aside(tmp_path):
    whole = as_jpeg(scene(0))
    rng = np.random.default_rng(0)
    files = []
    for i in range(40):
        content = bytearray(whole[: int(rng.integers(10, len(whole)))] if i % 2 else whole)
        content[int(rng.integers(len(content)))] ^= int(rng.integers(1, 256))
        files.append(write(tmp_path / f"{i:02d}.jpg", bytes(content)))
    found = check_pictures(files, near=False)
    named = {name for finding in found.findings if finding.severity == "error" for name in finding.files}
    assert named == {file.name for file in files if not _reads(file)}
    assert named


def _reads(file: Path) -> bool:
    try:
        read_image(file)
    except ImageError:
        return False
    return True


def test_odd_pictures_are_told_by_what_is_odd_about_them(tmp_path):
    upright = Image.Exif()
    upright[0x0112] = 6
    photo = scene(0)
    odd = {
        "wrong_ending": write(tmp_path / "png_inside.jpg", b""),
        "turned": tmp_path / "turned.jpg",
        "deep": tmp_path / "deep.png",
        "other_colours": tmp_path / "print.jpg",
        "transparent": tmp_path / "clear.png",
        "grey_among_colour": tmp_path / "grey.jpg",
        "small": tmp_path / "small.jpg",
        "long": tmp_path / "long.jpg",
        "blank": tmp_path / "blank.jpg",
    }
    photo.save(odd["wrong_ending"], "PNG")
    scene(1).save(odd["turned"], exif=upright)
    Image.fromarray(np.random.default_rng(0).integers(0, 65536, (120, 160)).astype(np.uint16)).save(odd["deep"])
    scene(2).convert("CMYK").save(odd["other_colours"])
    scene(3).convert("RGBA").save(odd["transparent"])
    scene(4).convert("L").save(odd["grey_among_colour"])
    scene(5, (30, 30)).save(odd["small"])
    scene(6, (700, 150)).save(odd["long"])
    Image.new("RGB", (160, 120), "navy").save(odd["blank"])
    found = check_pictures(list(odd.values()), size=128)
    told = {finding.code: set(finding.files) for finding in found.findings}
    also_grey = {"grey_among_colour": {"grey.jpg", "deep.png"}}
    assert told == {code: {file.name} for code, file in odd.items()} | also_grey
    assert found["small"].details == ("30 x 30",)
    assert found["wrong_ending"].details == ("holds PNG",)


def test_copies_in_both_parts_and_copies_with_two_labels_are_told(tmp_path):
    photos = [as_jpeg(scene(seed)) for seed in range(6)]
    rows = {write(tmp_path / f"train/cat/{i}.jpg", photo): ("cat", 0) for i, photo in enumerate(photos)}
    rows |= {
        write(tmp_path / "valid/cat/same.jpg", photos[0]): ("cat", 1),
        write(tmp_path / "valid/cat/like.jpg", as_jpeg(without(scene(1), "l"), 60)): ("cat", 1),
        write(tmp_path / "train/dog/same.jpg", photos[2]): ("dog", 0),
        write(tmp_path / "train/dog/like.jpg", as_jpeg(scene(3).resize((100, 80)), 60)): ("dog", 0),
        write(tmp_path / "train/cat/again.jpg", photos[4]): ("cat", 0),
        write(tmp_path / "valid/dog/0.jpg", as_jpeg(scene(30))): ("dog", 1),
    }
    found = check_pictures(table_of(rows))
    pairs = {code: set(found[code].files) for code in ("leak", "near_leak", "two_labels", "near_two_labels", "duplicates")}
    assert pairs == {
        "leak": {"train/cat/0.jpg", "valid/cat/same.jpg"},
        "near_leak": {"train/cat/1.jpg", "valid/cat/like.jpg"},
        "two_labels": {"train/cat/2.jpg", "train/dog/same.jpg"},
        "near_two_labels": {"train/cat/3.jpg", "train/dog/like.jpg"},
        "duplicates": {"train/cat/4.jpg", "train/cat/again.jpg"},
    }
    assert found["leak"].groups == (0, 0)
    assert found["leak"].details == ("train, cat", "valid, cat")


def test_classes_that_are_missing_tiny_or_spelt_in_two_ways_are_told():
    picture = np.zeros((4, 4, 3), dtype=np.uint8)
    labels = ["cat"] * 300 + ["Cat "] * 20 + ["dog"] * 3 + ["cat"] * 5 + ["newt"]
    found = check_pictures([picture] * len(labels), labels, ["train"] * 323 + ["valid"] * 6, near=False, workers=0)
    classes = {finding.code: set(finding.classes) for finding in found.findings if finding.classes}
    assert classes == {
        "labels_alike": {"cat", "Cat "},
        "class_not_in_train": {"newt"},
        "class_not_in_valid": {"Cat ", "dog"},
        "tiny_class": {"dog"},
        "uneven_classes": {"dog"},
    }


def test_numbers_to_estimate_are_no_classes():
    pictures = [np.full((8, 8, 3), i, dtype=np.uint8) for i in range(3)]
    assert not {"tiny_class", "one_class"} & codes(check_pictures(pictures, [0.5, 1.25, 3.0], workers=0))


def test_a_missing_label_is_told():
    found = check_pictures([np.zeros((4, 4, 3), dtype=np.uint8)] * 2, ["cat", None], workers=0, near=False)
    assert found["no_label"].files == ("picture 1",)


def test_labels_must_be_as_many_as_pictures():
    with pytest.raises(OptionError, match="labels has 1 value, but there are 2 pictures"):
        check_pictures([Path("a.jpg"), Path("b.jpg")], ["cat"])
    with pytest.raises(OptionError, match="parts holds 'test'"):
        check_pictures([Path("a.jpg")], ["cat"], ["test"])


def test_findings_are_rows_of_a_frame_and_plain_json(tmp_path):
    files = [write(tmp_path / "a.jpg", as_jpeg(scene(0))), write(tmp_path / "b.jpg", as_jpeg(scene(0)))]
    found = check_pictures(files, ["cat", "dog"])
    frame = found.to_frame()
    assert frame[frame.code == "two_labels"].file.tolist() == ["a.jpg", "b.jpg"]
    assert frame[frame.code == "tiny_class"].detail.tolist() == ["cat", "dog"]
    plain = json.loads(json.dumps(found.to_json()))
    assert plain["counts"]["error"] == 1
    assert plain["findings"][0]["files"] == ["a.jpg", "b.jpg"]


def test_hostile_names_reach_neither_the_screen_nor_json_as_they_are(tmp_path):
    names = [b"new\nline\x1b[2J.jpg", b"bad\xff.jpg", b"n" * 251 + b".jpg"]
    for name in names:
        with open(os.fsencode(tmp_path) + b"/" + name, "wb") as file:
            file.write(b"")
    seen = survey(tmp_path)
    found = check_pictures(seen.pictures, further=seen.findings())
    assert found["odd_name"].count == 3
    assert "\x1b" not in str(found)
    assert r"'new\nline\x1b[2J.jpg'" in str(found)
    assert r"bad\xff.jpg" in str(found)
    json.dumps(found.to_json(), ensure_ascii=False).encode()


def test_a_second_look_reads_no_file_again(tmp_path, settled, monkeypatch):
    files = [write(tmp_path / f"{i}.jpg", as_jpeg(scene(i))) for i in range(5)] + [break_picture(tmp_path / "bad.jpg")]
    first = look_at(files)
    monkeypatch.setattr(facts, "read_file", lambda source: pytest.fail("read again"))
    second = look_at(files)
    assert (first.known, second.known) == (0, 6)
    assert second.contents == first.contents
    assert (second.facts == first.facts).all()


def test_a_changed_file_is_looked_at_again(tmp_path, settled):
    files = [write(tmp_path / f"{i}.jpg", as_jpeg(scene(i))) for i in range(2)]
    before = look_at(files)
    write(files[0], as_jpeg(scene(7)))
    after = look_at(files)
    assert after.known == 1
    assert after.contents[0] != before.contents[0]


def test_files_that_changed_just_now_are_not_kept(tmp_path):
    files = [write(tmp_path / "a.jpg", as_jpeg(scene(0)))]
    assert [look_at(files).known for _ in range(2)] == [0, 0]


@pytest.mark.parametrize("damage", [lambda data: data[:-7], lambda data: b"", lambda data: data[:50] + b"!" + data[51:]])
def test_damaged_notes_are_as_good_as_none(tmp_path, settled, damage):
    files = [write(tmp_path / "a.jpg", as_jpeg(scene(0)))]
    first = look_at(files)
    for notes in (Path(os.environ["SIGHTLINE_CACHE"]) / "notes").iterdir():
        notes.write_bytes(damage(notes.read_bytes()))
    again = look_at(files)
    assert again.known == 0
    assert (again.facts == first.facts).all()


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path, settled, monkeypatch):
    files = [write(tmp_path / "a.jpg", as_jpeg(scene(0)))]
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    assert [look_at(files).known for _ in range(2)] == [0, 0]
    monkeypatch.setenv("SIGHTLINE_CACHE", "0")
    assert [look_at(files).known for _ in range(2)] == [0, 0]


def test_loaders_are_checked_by_their_table_and_the_files_they_set_aside(tmp_path):
    draw_folder(tmp_path, {"train/cat": 4, "train/dog": 4, "valid/cat": 2, "valid/dog": 2}, (40, 40))
    break_picture(tmp_path / "train/cat/bad.png")
    (tmp_path / "valid/cat/same.png").write_bytes((tmp_path / "train/cat/0.png").read_bytes())
    (tmp_path / "train/owl").mkdir()
    with pytest.warns(UserWarning, match=r"bad.png"):
        dls = ImageDataLoaders.from_folder(tmp_path, item_tfms=Resize(32), bs=4, device="cpu", num_workers=0)
    found = dls.check()
    assert found["not_a_picture"].files == ("train/cat/bad.png",)
    assert set(found["leak"].files) == {"train/cat/0.png", "valid/cat/same.png"}
    assert found["empty_folder"].files == ("train/owl",)
    brief = check_briefly(dls.table)
    assert any("In more than one part" in line and "train/cat/0.png" in line for line in brief)
    assert any("without a single picture" in line for line in brief)


def test_a_brief_check_says_where_its_time_was_too_short(tmp_path):
    files = [write(tmp_path / f"{label}/{i}.jpg", b"%d%s" % (i, label.encode())) for label in "ab" for i in range(10)]
    table = table_of({file: (file.parent.name, 0) for file in files})
    assert check_briefly(table) == []
    assert "among 0 of 20 pictures in the -1 s" in check_briefly(table, seconds=-1)[0]


def test_folders_are_empty_only_beside_those_that_name_the_labels(tmp_path):
    files = [write(tmp_path / f"{label}/0.jpg", b"x") for label in "ab"]
    (tmp_path / "c").mkdir()
    by_folder = table_of({file: (file.parent.name, 0) for file in files})
    by_table = table_of(dict.fromkeys(files, ("x", 0)))
    assert [finding.files for finding in empty_beside(by_folder)] == [("c",)]
    assert empty_beside(by_table) == []


def test_a_survey_finds_what_training_passes_over(tmp_path):
    draw_folder(tmp_path, {"cat": 2, "dog/deep": 1})
    (tmp_path / "none/below").mkdir(parents=True)
    (tmp_path / ".hidden").mkdir()
    draw(tmp_path / ".hidden/0.png")
    draw(tmp_path / "__MACOSX/0.png")
    for name in (".DS_Store", "Thumbs.db", "._0.png", "notes.txt"):
        write(tmp_path / "cat" / name, b"x")
    write(tmp_path / "cat/unnamed", as_jpeg(scene(0)))
    (tmp_path / "cat/gone.png").symlink_to("nowhere.png")
    (tmp_path / "cat/gone").symlink_to("nowhere")
    (tmp_path / "cat/self.png").symlink_to("self.png")
    (tmp_path / "cat/loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "cat/pipe.png")
    seen = survey(tmp_path)
    assert {finding.code: set(finding.files) for finding in seen.findings()} == {
        "lost_link": {"cat/gone"},
        "link_loop": {"cat/loop"},
        "empty_folder": {"none"},
        "overlooked": {"cat/unnamed"},
        "system_file": {"__MACOSX", "cat/.DS_Store", "cat/Thumbs.db", "cat/._0.png"},
    }
    found = check_pictures(seen.pictures, near=False)
    assert set(found["broken_link"].files) == {"cat/gone.png", "cat/self.png"}
    assert "cat/pipe.png" in found["not_a_file"].files
