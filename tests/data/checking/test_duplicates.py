from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from data.checking.photos import as_jpeg, scene, without, write
from sightline.data.checking import duplicates
from sightline.data.checking.duplicates import duplicate_groups
from sightline.data.checking.facts import look_at
from sightline.data.checking.likeness import alike_pairs, hashes_of

SCENES = 12
CHANGES = {
    "half the size": lambda image: as_jpeg(image.resize((80, 60))),
    "larger": lambda image: as_jpeg(image.resize((240, 180))),
    "compressed anew": lambda image: as_jpeg(image, 40),
    "cut at the left": lambda image: as_jpeg(without(image, "l")),
    "cut at a corner": lambda image: as_jpeg(without(image, "rb")),
    "cut all around": lambda image: as_jpeg(without(image, "ltrb")),
    "grey": lambda image: as_jpeg(image.convert("L")),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_copy_shares_the_group_of_its_original_alone(change):
    scenes = [scene(seed) for seed in range(SCENES)]
    files = [as_jpeg(image) for image in scenes] + [CHANGES[change](image) for image in scenes]
    assert duplicate_groups(files) == [*range(SCENES), *range(SCENES)]


def test_exact_copies_and_copies_of_copies_are_one_group():
    image = scene(1)
    files = [as_jpeg(scene(2)), as_jpeg(image), as_jpeg(image), as_jpeg(image, 50), as_jpeg(without(image, "t"), 60)]
    assert duplicate_groups(files) == [0, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: Image.new("RGB", (40, 40), tuple(rng.integers(0, 256, 3).tolist())),
        lambda rng: Image.fromarray(np.linspace(*rng.integers(0, 256, 2), 64 * 64).reshape(64, 64).astype(np.uint8)),
        lambda rng: Image.fromarray(rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)),
        lambda rng: _text(rng),
    ],
    ids=["one colour", "slope of light", "noise", "text"],
)
def test_pictures_that_show_little_are_no_copies_of_one_another(draw):
    rng = np.random.default_rng(0)
    pictures = [draw(rng) for _ in range(60)]
    assert len(set(duplicate_groups(pictures, workers=0))) >= 59


def test_digits_of_one_class_are_not_taken_for_copies():
    from sklearn.datasets import load_digits

    digits = [Image.fromarray((image * 15).astype(np.uint8)) for image in load_digits().images[:600]]
    looked = look_at(digits, workers=0)
    pairs = alike_pairs(looked.facts["luma"], looked.facts["chroma"])
    assert len({row for pair in pairs for row in pair}) < 6


def test_the_same_pattern_in_another_colour_is_another_picture():
    pattern = np.asarray(scene(3).convert("L"), dtype=float)[..., None] / 255
    files = [as_jpeg(Image.fromarray((pattern * colour).astype(np.uint8))) for colour in ([255, 90, 60], [60, 120, 255])]
    assert duplicate_groups(files) == [0, 1]


def test_unreadable_files_are_alone_unless_they_hold_the_same(tmp_path):
    files = [write(tmp_path / name, content) for name, content in {"a.jpg": b"x", "b.jpg": b"x", "c.jpg": b"y"}.items()]
    assert duplicate_groups([*files, tmp_path / "missing.jpg", tmp_path / "gone.jpg"]) == [0, 0, 1, 2, 3]


def test_there_is_nothing_to_group_in_nothing():
    assert duplicate_groups([]) == []


def test_hashes_of_whole_pictures_are_those_of_the_imagehash_library():
    imagehash = pytest.importorskip("imagehash")
    luma = np.stack([np.asarray(scene(seed, (32, 32)).convert("L")) for seed in range(20)])
    expected = [int(str(imagehash.phash(Image.fromarray(grey))), 16) for grey in luma]
    differing = [(int(ours) ^ theirs).bit_count() for ours, theirs in zip(hashes_of(luma)[:, 0], expected, strict=True)]
    assert max(differing) == 0


def _text(rng: np.random.Generator) -> Image.Image:
    page = Image.new("L", (96, 96), 255)
    for line in range(5):
        ImageDraw.Draw(page).text((4, 4 + 18 * line), "".join(chr(97 + c) for c in rng.integers(0, 26, 14)), fill=0)
    return page


def test_copies_are_not_looked_for_again_among_the_same_pictures(monkeypatch: pytest.MonkeyPatch):
    scenes = [scene(5), scene(6)]
    files = [as_jpeg(image, quality) for quality in (90, 60) for image in scenes]
    first = duplicate_groups(files)
    monkeypatch.setattr(duplicates, "alike_pairs", lambda luma, chroma: pytest.fail("looked for again"))
    assert duplicate_groups(files) == first == [0, 1, 0, 1]


def test_copies_are_looked_for_again_where_a_picture_is_another(monkeypatch: pytest.MonkeyPatch):
    files = [as_jpeg(scene(5)), as_jpeg(scene(5), 60)]
    assert duplicate_groups(files) == [0, 0]
    assert duplicate_groups([files[0], as_jpeg(scene(6), 60)]) == [0, 1]
