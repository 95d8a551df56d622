"""Batches are the same bit for bit with and without a cache, in the first epoch and in later ones; nothing is decoded twice."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import cut_short, draw, draw_folder, pixels
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.cache import folder as folders
from sightline.data.cache import keys
from sightline.data.cache.files import OpenFile
from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.loading.gathering import Gatherer
from sightline.data.pictures.decode import PILImage, PILImageBW
from sightline.data.pictures.resize import Placement
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.chance import ItemDraw
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.items import CropPad, DihedralItem, FlipItem, RandomCrop, RandomResizedCrop, RatioResize, Resize
from sightline.errors import OptionError, SightlineWarning

COUNTS = {"train/cat": 9, "train/dog": 8, "valid/cat": 3, "valid/dog": 2}


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """17 training and 5 validation pictures of three shapes."""
    root = draw_folder(tmp_path / "pets", COUNTS, size=(40, 30))
    for number, path in enumerate(sorted(root.rglob("*.png"))):
        draw(path, number, [(40, 30), (24, 36), (32, 32)][number % 3])
    return root


def loaded(root: Path, item_tfms: Any = None, **options: Any) -> DataLoaders:
    given = {"bs": 5, "seed": 11, "batch_tfms": aug_transforms(), "num_workers": 0} | options
    return ImageDataLoaders.from_folder(root, item_tfms=Resize(16) if item_tfms is None else item_tfms, **given)


def images(loader: Any) -> list[torch.Tensor]:
    return [batch.image for batch in loader]


def same(one: list[torch.Tensor], other: list[torch.Tensor]) -> bool:
    return len(one) == len(other) and all(map(torch.equal, one, other))


def packs() -> list[Path]:
    return sorted(Path(os.environ["SIGHTLINE_CACHE"]).glob("*/*.pack"))


def darker(image: Image.Image) -> Image.Image:
    return image.point(lambda value: value // 2)


# The same pixels


class Lowest(Resize):
    """A user's class that inherits from one of ours."""

    def placements(self, picture: tuple[int, int], draw: ItemDraw) -> Any:
        """The lower right corner, always."""
        return (Placement.cut(picture, (16, 16), (picture[0] - 16, picture[1] - 16)),)


PIPELINES = {
    "a class that inherits": Lowest(16),
    "crop": Resize(16),
    "crop, not square": Resize((12, 20)),
    "crop, enlarged": Resize(64),
    "pad": Resize(16, "pad", "zeros"),
    "squish": Resize(16, "squish"),
    "random box": RandomResizedCrop(8, min_scale=0.5),
    "crop of a crop": [Resize(20), RandomCrop(16)],
    "fixed, then random": [CropPad(30), Resize(16)],
    "longest side, then random": [RatioResize(24), RandomCrop(12)],
    "random before a resize": [FlipItem(), DihedralItem(), Resize(16)],
    "a user's own before": [darker, Resize(16)],
    "a user's own behind": [Resize(16), type("Darker", (), {"order": 2, "__call__": lambda self, x: darker(x)})()],
}


@pytest.mark.parametrize("transforms", PIPELINES.values(), ids=PIPELINES)
def test_batches_are_the_same_with_and_without_a_cache_in_every_epoch(pets: Path, transforms: Any) -> None:
    plain, kept = loaded(pets, transforms, cache=False), loaded(pets, transforms)
    for _ in range(3):
        assert same(images(plain.train), images(kept.train))
        assert same(images(plain.valid), images(kept.valid))
    again = loaded(pets, transforms)
    plain.train.epoch = 0
    assert same(images(plain.train), images(again.train))
    assert same(images(plain.valid), images(again.valid))
    assert (again.train.decodes, again.valid.decodes) == (0, 0)


@pytest.mark.parametrize("workers", [1, 4])
def test_batches_are_the_same_whatever_the_number_of_threads(pets: Path, workers: int) -> None:
    alone, many = loaded(pets, cache=False), loaded(pets, num_workers=workers)
    for _ in range(2):
        assert same(images(alone.train), images(many.train))
        assert same(images(alone.valid), images(many.valid))


def test_validation_is_the_evaluation_pipeline_bit_for_bit(pets: Path) -> None:
    dls = loaded(pets, batch_tfms=None)
    for _ in range(2):
        found = torch.cat(images(dls.valid))
        for image, source in zip(found, dls.valid.items, strict=True):
            expected = np.asarray(dls.pipeline.picture(source))
            assert ((image * 255).round().to(torch.uint8).permute(1, 2, 0).numpy() == expected).all()


@pytest.mark.parametrize("picture_class", [PILImage, PILImageBW])
def test_grey_and_coloured_pictures_are_kept_apart(pets: Path, picture_class: Any) -> None:
    for cache in (False, None):
        dls = loaded(pets, img_cls=picture_class, cache=cache, batch_tfms=None)
        assert {image.shape[1] for image in images(dls.train)} == {3 if picture_class is PILImage else 1}
    other = PILImageBW if picture_class is PILImage else PILImage
    dls = loaded(pets, img_cls=other)
    images(dls.train)
    assert dls.train.decodes == 17


def test_rows_that_come_again_and_partial_passes_are_served(pets: Path) -> None:
    for options in ({"partial_n": 7}, {"weights": np.linspace(0, 1, 17)}):
        plain, kept = (loaded(pets, cache=cache).new(**options) for cache in (False, None))
        for _ in range(4):
            assert same(images(plain.train), images(kept.train))
        assert kept.train.decodes <= 17 < plain.train.decodes


def test_many_partial_passes_keep_all_pictures_in_one_file(pets: Path) -> None:
    train = loaded(pets).train.new(partial_n=2, bs=2)
    for _ in range(60):
        images(train)
    assert train.decodes == 17
    assert len(packs()) == 1
    dls = loaded(pets)
    images(dls.train)
    assert dls.train.decodes == 0


# Nothing is decoded twice


def test_each_picture_is_decoded_once(pets: Path) -> None:
    dls = loaded(pets, num_workers=2)
    images(dls.train)
    assert dls.train.decodes == 17, "those that the shuffled pass left out, too"
    images(dls.valid)
    for _ in range(3):
        images(dls.train), images(dls.valid)
    assert (dls.train.decodes, dls.valid.decodes) == (17, 5)


def test_later_runs_decode_nothing_and_read_no_unchanged_file(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RACY_NS", 0)
    images(loaded(pets).train)
    monkeypatch.setattr(keys, "open_picture", lambda *given: pytest.fail("a file was read"))
    dls = loaded(pets)
    images(dls.train)
    assert dls.train.decodes == 0


def test_files_that_were_copied_or_touched_are_known_by_their_content(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RACY_NS", 0)
    first = images(loaded(pets).train)
    pets = pets.rename(pets.with_name("animals"))
    for path in pets.rglob("*.png"):
        os.utime(path, ns=(1, 1))
    dls = loaded(pets)
    assert same(first, images(dls.train))
    assert dls.train.decodes == 0
    # What was found by content is found by signature from then on.
    monkeypatch.setattr(keys, "open_picture", lambda *given: pytest.fail("a file was read"))
    dls = loaded(pets)
    assert same(first, images(dls.train))


def test_a_changed_file_of_the_same_name_size_and_time_is_seen(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keys, "RACY_NS", 0)
    path = pets / "train/cat/0.bmp"
    Image.fromarray(pixels(1)).save(path)
    before = path.stat()
    images(loaded(pets).train)
    content = bytearray(path.read_bytes())
    content[-1] ^= 255
    path.write_bytes(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)
    dls = loaded(pets)
    assert same(images(loaded(pets, cache=False).train), images(dls.train))
    assert dls.train.decodes == 1


def test_a_file_that_changed_a_moment_ago_is_not_trusted_by_its_signature(pets: Path) -> None:
    path = pets / "train/cat/0.png"
    assert keys.read_file(path).signature is None
    os.utime(path, ns=(1, 1))
    assert keys.read_file(path).signature is None, "the time at which it was touched counts, too"
    images(loaded(pets).train)
    draw(path, 99)
    assert same(images(loaded(pets, cache=False).train), images(loaded(pets).train))


def test_loaders_can_be_copied_after_they_were_used(pets: Path) -> None:
    dls = loaded(pets)
    images(dls.train)
    twin = copy.deepcopy(dls.train)
    assert same(images(dls.train), images(twin))
    assert twin.decodes == dls.train.decodes == 17


def test_a_copy_may_have_another_option(pets: Path) -> None:
    assert loaded(pets).new(cache=False).reading.endswith("without a cache, as asked for")
    assert loaded(pets, cache=False).new(cache=True).reading.startswith("each picture is decoded once")
    assert loaded(pets, cache=True, num_workers=3).train.new(cache=False).reading.startswith("streamed by 3 threads")


def test_another_recipe_has_pictures_of_its_own(pets: Path) -> None:
    images(loaded(pets).train)
    for other in (Resize(16, resamples="nearest"), Resize(17), RandomResizedCrop(16)):
        dls = loaded(pets, other)
        images(dls.train)
        assert dls.train.decodes == 17
    names = {keys.recipe_of(ItemPipeline(tfms), training) for tfms in (Resize(16), Resize(17)) for training in (True, False)}
    assert len(names) == 4
    assert keys.recipe_of(ItemPipeline([Resize(16), FlipItem()], channels=1), True) not in names


def test_looking_at_a_batch_keeps_nothing(pets: Path) -> None:
    dls = loaded(pets)
    dls.one_batch()
    assert packs() == []


def test_predictions_keep_nothing(pets: Path) -> None:
    dls = loaded(pets)
    images(dls.test_dl(dls.valid.items))
    images(dls.pipeline.loader(dls.valid.items))
    assert packs() == []


def test_copies_of_one_picture_are_decoded_and_kept_once(tmp_path: Path) -> None:
    for part in ("train", "valid"):
        for name in "ab":
            for i in range(4):
                draw(tmp_path / "pets" / part / name / f"{i}.png", 0)
    dls = loaded(tmp_path / "pets", bs=4)
    images(dls.train)
    assert dls.train.decodes == 1
    assert packs()[0].stat().st_size < 3000


# Points


def test_points_are_where_the_spots_are_in_every_epoch(tmp_path: Path) -> None:
    import pandas as pd

    from sightline.data.rows.getters import ColReader
    from sightline.data.transforms.points import PointBlock

    rows = []
    for i, (x, y) in enumerate([(30, 22), (52, 40), (24, 50), (60, 33), (40, 40), (48, 28)]):
        canvas = np.zeros((70, 90, 3), dtype=np.uint8)
        canvas[y - 4 : y + 4, x - 4 : x + 4] = 255
        Image.fromarray(canvas).save(tmp_path / f"{i}.png")
        rows.append((f"{i}.png", x, y))
    block = DataBlock(
        (ImageBlock, PointBlock),
        get_x=ColReader("file", pref=f"{tmp_path}/"),
        get_y=ColReader(["x", "y"]),
        splitter=lambda items: ([0, 1, 2, 3], [4, 5]),
        item_tfms=Resize((40, 48)),
        batch_tfms=aug_transforms(max_rotate=5, max_zoom=1, max_warp=0, max_lighting=0),
    )
    plain, kept = (
        block.dataloaders(pd.DataFrame(rows, columns=["file", "x", "y"]), bs=4, seed=3, num_workers=0, cache=cache)
        for cache in (False, None)
    )
    for _ in range(3):
        for one, other in zip([*plain.train, *plain.valid], [*kept.train, *kept.valid], strict=True):
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.target, other.target)
            for image, (x, y) in zip(other.image.mean(1), other.target.reshape(-1, 2), strict=True):
                weights = image / image.sum()
                found_x = (weights.sum(0) * (torch.arange(48) + 0.5)).sum() / 24 - 1
                found_y = (weights.sum(1) * (torch.arange(40) + 0.5)).sum() / 20 - 1
                if max(abs(float(x)), abs(float(y))) < 0.7:
                    assert abs(found_x - x) < 0.06
                    assert abs(found_y - y) < 0.06
    assert kept.train.decodes == 4


# The two stages


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (640, 100), (128, 128), (90, 70), (3000, 2000)])
@pytest.mark.parametrize("step", [RandomResizedCrop(64), RandomResizedCrop((48, 64), 0.35), RandomResizedCrop(64, 0.9)])
def test_no_random_box_loses_resolution(step: RandomResizedCrop, size: tuple[int, int]) -> None:
    ahead = step.ahead(size)
    between = ahead[-1].size[::-1] if ahead else size
    assert all(after <= before for after, before in zip(between, size, strict=True)), "never enlarged"
    height, width = step.size
    scale, off = size[0] / between[0], []
    for row in range(300):
        draw = ItemDraw(True, row=row)
        direct, kept = step.placements(size, draw)[0], step.placements(between, draw)[0]
        assert kept.box[0] >= min(width, direct.box[0]) - 1
        assert kept.box[1] >= min(height, direct.box[1]) - 1
        numbers = np.array([*kept.left_top, *kept.box]) - np.array([*direct.left_top, *direct.box]) / scale
        off.append(np.abs(numbers).max())
    # Where a box fits by less than a pixel in one picture and not in the other, the next attempt is taken.
    assert np.median(off) < 1
    assert np.quantile(off, 0.75) < 3


@pytest.mark.parametrize("method", ["crop", "pad"])
@pytest.mark.parametrize("size", [(50, 37), (37, 50), (32, 32), (400, 16), (10, 7), (5, 200)])
def test_a_crop_out_of_the_resized_picture_is_the_resized_crop_within_a_pixel(size: tuple[int, int], method: str) -> None:
    step = Resize((24, 32), method)
    if (size, method) == ((5, 200), "crop"):
        assert step.ahead(size) == (), "not blown up to 32 x 1280"
        return
    between = step.ahead(size)[0].size[::-1]
    for row in range(100):
        draw = ItemDraw(True, row=row)
        direct, kept = step.placements(size, draw)[0], step.placements(between, draw)[0]
        assert kept.box == (32, 24), "only cut or padded"
        corners = np.array([[0, 0, 1], [size[0], size[1], 1]])
        through = kept.matrix @ step.ahead(size)[0].matrix
        off = np.abs((through @ corners.T - direct.matrix @ corners.T)[:2])
        a_pixel_before = max(direct.size[0] / direct.box[1], direct.size[1] / direct.box[0])
        # One of the final picture and one of the picture as it was read, whose crop begins and ends at whole pixels.
        assert off.max() <= 1.5 + a_pixel_before * (1 + max(size) / min(direct.box))


def test_a_strip_is_not_blown_up(tmp_path: Path) -> None:
    assert Resize(224).ahead((10, 10_000)) == ()
    assert sum(step.size[0] for step in Resize(224).ahead((28, 28))) == 224


def test_pictures_of_one_shape_are_prepared_as_directly(tmp_path: Path) -> None:
    image, step = Image.fromarray(pixels(3, (40, 40))), Resize(16)
    draw = ItemDraw(True, row=3)
    assert (ItemPipeline(step).sample(image, draw) == np.asarray(step(image, draw))).all()


def test_a_users_step_gets_the_same_picture_with_and_without_a_cache(pets: Path) -> None:
    seen = []

    def looking(image: Image.Image) -> Image.Image:
        seen.append((image.mode, image.size, image.info, np.asarray(image).tobytes()))
        return image

    for path in pets.rglob("*.png"):
        Image.open(path).convert("RGB").save(path.with_suffix(".jpg"), dpi=(72, 72))
        path.unlink()
    for cache in (False, None, None):
        images(loaded(pets, [looking, Resize(16)], cache=cache, shuffle=False).train)
    assert seen[:17] == seen[17:34] == seen[34:]
    assert seen[0][2] == {}


# Where a GPU computes


def test_one_thread_gathers_ahead_for_a_gpu_and_ends_with_the_pass(pets: Path) -> None:
    dls = loaded(pets)
    groups = [dls.train.keys(0)[start : start + 4] for start in (0, 4, 8)]
    expected = [one.pixels for one in gatherer(dls, "cpu").batches(groups, 0, keep=True)]
    for _ in range(2):
        found = [one.pixels for one in gatherer(dls, "meta").batches(groups, 0, keep=True)]
        assert same(expected, found)
    started = gatherer(dls, "meta").batches(groups, 0, keep=True)
    next(started)
    assert any(thread.name.startswith("sightline-gather") for thread in threading.enumerate())
    started.close()
    assert not any(thread.name.startswith("sightline-") for thread in threading.enumerate())


def test_what_fails_while_gathering_ahead_reaches_the_loop(pets: Path) -> None:
    def broken(image: Image.Image) -> Image.Image:
        raise ZeroDivisionError("my own mistake")

    dls = loaded(pets, [Resize(16), type("Broken", (), {"order": 2, "__call__": lambda self, x: broken(x)})()])
    with pytest.raises(ZeroDivisionError, match="my own mistake"):
        list(gatherer(dls, "meta").batches([dls.train.keys(0)], 0, keep=True))
    assert not any(thread.name.startswith("sightline-") for thread in threading.enumerate())


def gatherer(dls: DataLoaders, device: str) -> Gatherer:
    return Gatherer(dls.train_ds, dls.train.options, dls.train.reads, 2, torch.device(device))


# What cannot be kept


def test_unreadable_pictures_are_set_aside_as_ever_and_never_kept(pets: Path) -> None:
    cut_short(pets / "train/cat/0.png")
    for cache in (False, None):
        dls = loaded(pets, cache=cache, shuffle=False)
        with pytest.warns(SightlineWarning) as caught:
            found = images(dls.train)
        assert len(caught) == 1
        assert "'train/cat/0.png' (the file is cut short" in str(caught[0].message)
        assert sum(map(len, found)) == 16
        decodes = dls.train.decodes
        assert decodes == 16
        images(dls.train)
        assert dls.train.decodes - decodes == (0 if cache is None else 16)


def test_streaming_says_why(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(PILImage):
        @classmethod
        def create(cls, fn: Any) -> Image.Image:
            return Image.open(fn)

    assert loaded(pets, cache=False, num_workers=2).reading == "streamed by 2 threads: without a cache, as asked for"
    own = loaded(pets, img_cls=Mine).reading
    assert own == "streamed by the thread that trains: Mine.create reads pictures in a way of its own, which no cache can know"
    block = DataBlock.from_columns((ImageBlock, CategoryBlock), splitter=lambda items: ([0, 1], [2]))
    assert block.dataloaders(([pixels(0)] * 3, ["a", "b", "a"]), bs=2).reading.endswith(
        "threads: the pictures are in memory, or arrays"
    )
    monkeypatch.setenv("SIGHTLINE_CACHE_GB", "0.00001")
    assert loaded(pets).reading == (
        "streamed by the thread that trains: about 17 kB would be kept, and the cache may have 10 kB (SIGHTLINE_CACHE_GB=... "
        "allows more)"
    )
    monkeypatch.setenv("SIGHTLINE_CACHE_GB", "a lot")
    assert loaded(pets).reading.endswith(": SIGHTLINE_CACHE_GB='a lot' is not a number of gigabytes")
    monkeypatch.setenv("SIGHTLINE_CACHE", "0")
    assert loaded(pets).reading.endswith("trains: SIGHTLINE_CACHE=0")
    with pytest.raises(OptionError, match=r"cache='/tmp' is neither True nor False nor None\. SIGHTLINE_CACHE names another"):
        loaded(pets, cache="/tmp")


def test_keeping_says_where_and_how_much(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", os.path.join(os.path.expanduser("~"), ".cache", "elsewhere"))
    monkeypatch.setenv("SIGHTLINE_CACHE_GB", "1")
    monkeypatch.setattr(folders, "_made", lambda path: "")
    assert loaded(pets).reading == (
        "each picture is decoded once and kept in ~/.cache/elsewhere (about 21 kB, pixels up to 21 x 24)"
    )


def test_no_file_of_the_cache_makes_a_picture_or_a_folder_unreadable(pets: Path) -> None:
    """As many pictures as come in a year, one a day, by a process that may have few files open."""
    done = subprocess.run(
        [sys.executable, "-c", EVERY_DAY, str(pets)], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["0", "17", "5"]


EVERY_DAY = """
import resource, sys
from sightline import ImageDataLoaders, Resize, descriptors
def loaded():
    return ImageDataLoaders.from_folder(sys.argv[1], item_tfms=Resize(16), bs=5, seed=11, num_workers=0)
for row in range(17):
    one = loaded().train
    one.new(part=one.part.only(one.rows[row : row + 1]), bs=1, drop_last=False).__iter__().__next__()
resource.setrlimit(resource.RLIMIT_NOFILE, (40, 40))
held = [open("/dev/null") for _ in range(12)]
seen = []
for turn in range(6):
    if turn == 3:  # from now on as if nobody had bounded them
        descriptors.SHARE_HELD = 10
    dls = loaded()
    seen.append((dls, list(dls.train), list(dls.valid)))
aside = [{**dls.set_aside, **dls.train.set_aside, **dls.valid.set_aside} for dls, *_ in seen]
print(sum(map(len, aside)), dls.train.n, dls.valid.n)
"""


@pytest.mark.parametrize("place", ["/proc/nothing/here", "/dev/null/samples"])
def test_a_folder_that_cannot_be_made_is_no_reason_to_fail(pets: Path, place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = images(loaded(pets).train)
    monkeypatch.setenv("SIGHTLINE_CACHE", place)
    dls = loaded(pets)
    assert dls.reading.startswith(f"streamed by the thread that trains: the cache folder {place} cannot be written ([Errno ")
    assert same(expected, images(dls.train))


def test_no_home_folder_is_no_reason_to_fail(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SIGHTLINE_CACHE")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert "there is no home folder for the cache" in loaded(pets).reading


def test_a_read_only_folder_is_read_from(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = images(loaded(pets).train)
    monkeypatch.setattr(os, "access", lambda *given: False)
    draw(pets / "train/cat/0.png", 500)
    dls = loaded(pets)
    assert dls.reading.startswith("read from ")
    assert "as far as they are kept there, others streamed by the thread that trains: the cache folder" in dls.reading
    images(dls.train), images(dls.train)
    assert 1 <= dls.train.decodes <= 2
    assert len(packs()) == 1
    monkeypatch.setenv("SIGHTLINE_CACHE", str(pets))
    assert loaded(pets).reading.startswith("streamed by the thread that trains: the cache folder")
    assert same(expected[:0], [])


def test_a_full_disk_is_told_once_and_training_goes_on(pets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = images(loaded(pets, cache=False).train)
    written = []
    write = OpenFile.write

    def full(self: OpenFile, data: Any, offset: int) -> None:
        written.append(offset)
        if len(written) > 6:
            raise OSError(28, "No space left on device")
        write(self, data, offset)

    monkeypatch.setattr(OpenFile, "write", full)
    dls = loaded(pets)
    with pytest.warns(SightlineWarning) as caught:
        assert same(expected, images(dls.train))
    assert [str(warning.message) for warning in caught] == [
        "Pictures that are not kept are decoded in each epoch: the cache takes no more pictures ([Errno 28] No space left on "
        "device)."
    ]
    assert dls.train.decodes == 17
    images(dls.train)
    assert 17 < dls.train.decodes <= 17 + 12
    assert packs() == [], "what could not be completed is taken away"


# Several runs at once

BUILD = """
import sys
from sightline import ImageDataLoaders, Resize, aug_transforms
dls = ImageDataLoaders.from_folder(sys.argv[1], item_tfms=Resize(16), batch_tfms=aug_transforms(), bs=5, seed=11, num_workers=2)
total = 0.0
for _ in range(2):
    total += sum(float(batch.image.double().sum()) for batch in dls.train)
print(repr(total), dls.train.decodes)
"""


def test_two_runs_may_build_it_at_once(pets: Path) -> None:
    runs = [
        subprocess.Popen([sys.executable, "-c", BUILD, str(pets)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    one, other = (out.split()[0] for out, _ in said)
    dls = loaded(pets, cache=False)
    assert one == other == repr(sum(sum(float(image.double().sum()) for image in images(dls.train)) for _ in range(2)))
    dls = loaded(pets)
    images(dls.train)
    assert dls.train.decodes == 0
