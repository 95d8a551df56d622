"""Points follow their picture: a bright spot is drawn, the picture transformed, and the spot must be where the point says."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from sightline.data.block import DataBlock
from sightline.data.blocks import ImageBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.pictures.resize import to_unit
from sightline.data.rows.getters import ColReader
from sightline.data.rows.split import IndexSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import BatchDraw, ItemDraw
from sightline.data.transforms.geometry import Dihedral, Flip, RandomResizedCropGPU, Rotate, Warp, Zoom
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.items import (
    CropPad,
    DihedralItem,
    FlipItem,
    RandomCrop,
    RandomResizedCrop,
    RatioResize,
    Resize,
)
from sightline.data.transforms.points import PointBlock, draw_points, path_of_points
from sightline.errors import LabelError, OptionError
from sightline.target import Points, Target

WIDTH, HEIGHT = 120, 90
TRAINING = [{"training": True, "row": row, "seed": 5} for row in range(12)]


def spotted(x: float, y: float, size: tuple[int, int] = (WIDTH, HEIGHT), spread: float = 2.5) -> Image.Image:
    """A dark picture (width, height) with a soft bright spot at (x, y), told from the outer edge of the first pixel."""
    columns, rows = (np.arange(side) + 0.5 for side in size)
    glow = np.exp(-((columns[None] - x) ** 2 + (rows[:, None] - y) ** 2) / (2 * spread**2))
    return Image.fromarray(np.repeat(np.rint(255 * glow).astype(np.uint8)[..., None], 3, axis=2))


def spot(pixels: np.ndarray) -> np.ndarray:
    """(x, y) of the middle of what is bright in `(H, W)`, told from the outer edge of the first pixel."""
    weights = np.clip(pixels.astype(np.float64) - 0.2 * pixels.max(), 0, None)
    ys, xs = np.indices(weights.shape) + 0.5
    return np.array([(xs * weights).sum(), (ys * weights).sum()]) / weights.sum()


def reached(path: np.ndarray, x: float, y: float) -> np.ndarray:
    mapped = path @ np.array([x, y, 1])
    return mapped[:2] / mapped[2]


def is_inside(point: np.ndarray, size: tuple[int, int], margin: float) -> bool:
    return bool((point > margin).all() and (point < np.array(size) - margin).all())


# One picture

ITEM_TRANSFORMS = [
    Resize(48),
    Resize((40, 60), "pad", "zeros"),
    Resize((64, 40), "squish"),
    Resize(150, "pad", "zeros"),
    RandomResizedCrop(64, min_scale=0.5),
    RandomCrop(70),
    RandomCrop((100, 140)),
    CropPad((110, 80)),
    RatioResize(70),
    FlipItem(1.0),
    DihedralItem(),
    [DihedralItem(), FlipItem(), CropPad((88, 118)), RandomResizedCrop(72, min_scale=0.6)],
    [Resize(96), RandomCrop(80), FlipItem()],
]


@pytest.mark.parametrize("transforms", ITEM_TRANSFORMS, ids=lambda given: f"{given}"[:60])
def test_a_point_follows_its_picture_through_item_transforms(transforms: Any) -> None:
    seen, (x, y) = 0, (55.3, 47.8)
    for draw in [ItemDraw(), *(ItemDraw(True, seed=5, row=row) for row in range(12))]:
        pixels, path = ItemPipeline(transforms).placed(spotted(x, y), draw)
        expected = reached(path, x, y)
        if is_inside(expected, pixels.shape[1::-1], 8):
            seen += 1
            assert np.abs(spot(pixels[..., 0]) - expected).max() < 0.2
    assert seen > 6, "most draws leave the spot inside"


def test_pixels_are_the_same_whether_points_are_asked_for_or_not() -> None:
    for transforms in ITEM_TRANSFORMS:
        pipeline, draw = ItemPipeline(transforms), ItemDraw(True, seed=5, row=3)
        assert np.array_equal(pipeline.placed(spotted(40, 30), draw)[0], pipeline.sample(spotted(40, 30), draw))


class Given(ItemDraw):
    """Draws that a test decides, by name."""

    values: dict[str, float]

    def uniform(self, name: str) -> float:
        return self.values[name]

    def scoped(self, scope: str) -> ItemDraw:
        return self


PLACE = {"place.x": 0.25, "place.y": 0.5}
POINTS_OF_THE_REFERENCE: list[tuple[Any, dict[str, float], list[list[float]]]] = [
    (FlipItem(1), {"apply": 0}, [[0.5, 0.25], [-1, -1]]),
    (DihedralItem(), {"apply": 0, "way": 0.01}, [[-0.5, 0.25], [1, -1]]),
    (DihedralItem(), {"apply": 0, "way": 0.26}, [[-0.5, -0.25], [1, 1]]),
    (DihedralItem(), {"apply": 0, "way": 0.38}, [[0.25, 0.5], [-1, -1]]),
    (DihedralItem(), {"apply": 0, "way": 0.51}, [[0.5, -0.25], [-1, 1]]),
    (DihedralItem(), {"apply": 0, "way": 0.63}, [[-0.25, -0.5], [1, 1]]),
    (DihedralItem(), {"apply": 0, "way": 0.76}, [[0.25, -0.5], [-1, 1]]),
    (DihedralItem(), {"apply": 0, "way": 0.88}, [[-0.25, 0.5], [1, -1]]),
    (Resize(48), PLACE, [[-0.4888889, 0.25], [1.5111113, -1]]),
    (Resize((40, 60), "pad"), PLACE, [[-0.5111111, 0.25], [0.8222222, -1]]),
    (CropPad((110, 80)), {}, [[-0.75, 0.2045455], [1.5, -0.8181818]]),
    (RandomCrop((40, 60)), {"place.x": 20.5 / 61, "place.y": 30.5 / 51}, [[-0.6666667, 0.3125], [2.3333333, -2.5]]),
]
"""Where fastai 2.8.12 puts TensorPoint([[-0.5, 0.25], [1, -1]]) of a picture of 120 x 90 pixels, by the same draws."""


@pytest.mark.parametrize(("transform", "values", "expected"), POINTS_OF_THE_REFERENCE)
def test_points_of_item_transforms_equal_the_reference(transform: Any, values: dict[str, float], expected: Any) -> None:
    draw = Given(training=True)
    object.__setattr__(draw, "values", values)
    pixels, path = ItemPipeline(transform).placed(Image.new("RGB", (WIDTH, HEIGHT)), draw)
    size = pixels.shape[1::-1]
    by_hand = path_of_points([("", transform)], [(WIDTH, HEIGHT), size], draw)
    # A loader resizes the whole picture once and cuts it in every epoch: its places are pixels of the resized picture.
    for found, off_by in ((by_hand, 1e-6), (path, 2 / min(size))):
        edges = to_unit(size) @ found @ np.linalg.inv(to_unit((WIDTH, HEIGHT)))
        assert np.allclose([reached(edges, *point) for point in [(-0.5, 0.25), (1, -1)]], expected, rtol=0, atol=off_by)


# Whole batches

BATCH_TRANSFORMS = [
    Flip(1.0),
    Dihedral(1.0),
    Rotate(40, 1.0, pad_mode="zeros"),
    Rotate(40, 1.0, size=(60, 100), align_corners=False),
    Zoom(1.0, 1.5, 1.0),
    Zoom(0.6, 0.9, 1.0, pad_mode="zeros"),
    Warp(0.3, 1.0, pad_mode="zeros"),
    RandomResizedCropGPU(64, 0.5),
    RandomResizedCropGPU((50, 70), 0.4, (0.5, 2.0), align_corners=False),
    aug_transforms(max_lighting=0, max_rotate=30, p_affine=1, pad_mode="zeros"),
    aug_transforms(max_lighting=0, flip_vert=True, max_rotate=30, p_affine=1, size=(70, 60), pad_mode="zeros"),
    aug_transforms(max_lighting=0, size=64, min_scale=0.6, p_affine=1, pad_mode="zeros"),
    aug_transforms(max_lighting=0, size=20, p_affine=1, pad_mode="zeros"),
]
COUNT = 24


@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("transforms", BATCH_TRANSFORMS, ids=lambda given: f"{given}"[:60])
def test_a_point_follows_its_picture_through_batch_transforms(transforms: Any, training: bool) -> None:
    pipeline, (x, y) = BatchPipeline(transforms), (65.4, 41.2)
    wide = 6 if pipeline.geometry.size == (20, 20) else 2.5
    batch = torch.from_numpy(np.array(spotted(x, y, spread=wide)))[None].expand(COUNT, -1, -1, -1)
    chance: dict[str, Any] = {"seed": 1, "epoch": 0, "rows": np.arange(COUNT)}
    if training:
        lookup = pipeline.lookup((HEIGHT, WIDTH), **chance)
        images, paths = pipeline.train(batch, **chance, lookup=lookup), lookup.paths()
        assert torch.equal(images, pipeline.train(batch, **chance))
    else:
        images = pipeline.evaluate(batch)
        paths = np.tile(pipeline.geometry.evaluation_path((HEIGHT, WIDTH))[0], (COUNT, 1, 1))
    size = (images.shape[-1], images.shape[-2])
    seen = 0
    for image, path in zip(images, paths, strict=True):
        expected = reached(np.linalg.inv(to_unit(size)) @ path, x, y)
        if is_inside(expected, size, 5 if size == (20, 20) else 9):
            seen += 1
            # A perspective, and a spot of few pixels, move the middle of what is bright by a little.
            assert np.abs(spot(image[0].numpy()) - expected).max() < 0.3
    assert seen > COUNT / 3, "many draws leave the spot inside"


@pytest.mark.parametrize("align_corners", [True, False])
def test_a_shrunk_batch_keeps_its_points(align_corners: bool) -> None:
    size, (x, y) = (301, 203), (36.0, 166.0)
    pipeline = BatchPipeline(Rotate(2, 1.0, size=(31, 45), align_corners=align_corners))
    batch = torch.from_numpy(np.array(spotted(x, y, size, spread=9)))[None]
    chance: dict[str, Any] = {"seed": 1, "epoch": 0, "rows": np.arange(1)}
    lookup = pipeline.lookup((203, 301), **chance)
    assert lookup.shrink[0] > 3
    expected = reached(np.linalg.inv(to_unit((45, 31))) @ lookup.paths()[0], x, y)
    assert np.abs(spot(pipeline.train(batch, **chance)[0, 0].numpy()) - expected).max() < 0.08


ZOOMED, WARPED = Zoom(p=1, draw=1.4, draw_x=0.2, draw_y=0.7), Warp(p=1, draw_x=0.15, draw_y=-0.1)
BATCH_POINTS_OF_THE_REFERENCE: list[tuple[Any, list[list[float]]]] = [
    (Flip(1, draw=1), [[0.5, 0.25], [-0.3, -0.8]]),
    (Dihedral(1, draw=3), [[0.1875, 0.6666667], [-0.6, -0.4]]),
    (Rotate(p=1, draw=30), [[-0.5267627, -0.116827], [0.5598077, -0.4928204]]),
    (ZOOMED, [[-0.46, 0.19], [0.66, -1.28]]),
    (WARPED, [[-0.3791667, 0.1520833], [0.3866667, -0.78]]),
    ([Flip(1, draw=1), WARPED, Rotate(p=1, draw=30), ZOOMED], [[0.5875509, 0.3995878], [0.1483711, -1.4452809]]),
]
"""Where fastai 2.8.12 puts TensorPoint([[-0.5, 0.25], [0.3, -0.8]]) of a batch of 120 x 90 pixels, by the same draws."""


@pytest.mark.parametrize(("transforms", "expected"), BATCH_POINTS_OF_THE_REFERENCE)
def test_points_of_batch_transforms_equal_the_reference(transforms: Any, expected: list[list[float]]) -> None:
    # fastai moves points as if -1 and 1 were the outer edges, though pixels are looked up with corners aligned: half a pixel
    # of what is moved is lost. Here both go by one rule, so its numbers are met where edges are asked for,
    geometry = BatchPipeline(transforms).geometry
    chance = BatchDraw(0, 0, np.arange(1))
    points = [(-0.5, 0.25), (0.3, -0.8)]
    for align_corners, tolerance in ((False, 1e-5), (True, 2 / HEIGHT)):  # and to within a pixel where they are not.
        lookup = replace(geometry, align_corners=align_corners).lookup(chance, (HEIGHT, WIDTH))
        path = lookup.paths()[0] @ np.linalg.inv(to_unit((WIDTH, HEIGHT)))
        assert np.allclose([reached(path, *point) for point in points], expected, atol=tolerance)


# From files to batches


@pytest.fixture
def spots(tmp_path: Path) -> pd.DataFrame:
    """Pictures of several sizes with a spot each, one of them turned by its rotation flag; the first six train."""
    rng = np.random.default_rng(0)
    rows = []
    for i in range(10):
        size = (int(rng.integers(100, 140)), int(rng.integers(90, 110)))
        x, y = (float(rng.uniform(0.35, 0.65)) * side for side in size)
        image, exif = spotted(x, y, size, spread=4), Image.Exif()
        if i == 2:
            # Stored lying on its side; a viewer turns it by 90 degrees clockwise.
            image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
        image.save(tmp_path / f"{i}.png", exif=exif)
        rows.append({"file": str(tmp_path / f"{i}.png"), "x": x, "y": y})
    return pd.DataFrame(rows)


def loaded(spots: pd.DataFrame, **options: Any) -> DataLoaders:
    block = DataBlock(
        (ImageBlock, PointBlock),
        get_x=ColReader("file"),
        get_y=ColReader(["x", "y"]),
        splitter=IndexSplitter([6, 7, 8, 9]),
        **options,
    )
    return block.dataloaders(spots, bs=6, num_workers=0, seed=3)


def in_pixels(points: Any, size: tuple[int, int]) -> np.ndarray:
    return (np.asarray(points) + 1) * np.array(size) / 2


TFMS = {
    "item_tfms": [FlipItem(), Resize((72, 96), "pad", "zeros")],
    "batch_tfms": aug_transforms(max_lighting=0, size=(60, 84), max_rotate=20, p_affine=1, pad_mode="zeros"),
}


def test_batches_hold_points_where_the_spots_are_in_training_and_validation(spots: pd.DataFrame) -> None:
    dls = loaded(spots, **TFMS)
    assert dls.target == Points(1)
    assert dls.c == 2
    for epoch in range(3):
        for loader in dls.loaders:
            image, target = batch = loader.peek(epoch)
            assert target.shape == (len(image), 1, 2)
            assert target.dtype == torch.float32
            for picture, points in zip(image[:, 0].numpy(), target, strict=True):
                assert np.abs(spot(picture) - in_pixels(points[0], (84, 60))).max() < 0.5
            raw = dls.train_ds.targets[torch.from_numpy(batch.index)]
            back = torch.stack([
                dls.target.in_picture(points, path) for points, path in zip(target, torch.from_numpy(batch.paths), strict=True)
            ])  # fmt: skip
            assert torch.allclose(back, raw, atol=1e-3)


def test_test_loaders_read_points_as_validation_does(spots: pd.DataFrame) -> None:
    dls = loaded(spots, **TFMS)
    _, expected = dls.valid.one_batch()
    _, target = dls.test_dl(spots.iloc[6:], with_labels=True).one_batch()
    assert torch.equal(target, expected)
    assert len(dls.test_dl(spots.iloc[6:]).one_batch()) == 1


def test_points_that_a_crop_leaves_outside_lie_beyond_one(spots: pd.DataFrame) -> None:
    spots[["x", "y"]] = [-10.0, 30.0]
    _, target = loaded(spots, item_tfms=Resize(64, "squish")).valid.one_batch()
    assert (target[:, 0, 0] < -1).all()
    assert (target[:, 0, 1].abs() < 1).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"item_tfms": [lambda image: image.resize((50, 50)), Resize(32)]}, "one of 50 x 50, and labels are points"),
        (
            {"item_tfms": Resize(32), "batch_tfms": lambda images: images[..., ::2, ::2]},
            "pictures of 32 x 32 pixels ones of 16 x 16, and labels are points",
        ),
    ],
)
def test_a_users_transform_that_changes_the_size_is_refused(spots: pd.DataFrame, options: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        loaded(spots, **options).one_batch()


def test_a_users_transform_that_keeps_the_size_is_allowed(spots: pd.DataFrame) -> None:
    def darker(image: Image.Image) -> Image.Image:
        return image.point(lambda value: value // 2)

    image, target = loaded(spots, item_tfms=[darker, Resize(64)]).one_batch()
    assert np.abs(spot(image[0, 0].numpy()) - in_pixels(target[0, 0], (64, 64))).max() < 0.5


# Labels


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        (torch.tensor([3.5, 4.0]), [3.5, 4.0]),
        (np.array([[1, 2], [3, 4]]), [1, 2, 3, 4]),
        ([(1, 2), (3, 4)], [1, 2, 3, 4]),
        ((np.float64(1), "2"), [1, 2]),
    ],
)
def test_labels_may_be_written_in_any_way(label: Any, expected: list[float]) -> None:
    assert PointBlock().read(label) == expected


@pytest.mark.parametrize(
    ("label", "words"),
    [
        ([1, 2, 3], r"3 numbers, not points \(x, y\)"),
        ([], r"0 numbers, not points \(x, y\)"),
        (None, "blank"),
        (7, r"1 number, not points"),
        ([1, math.nan], "missing or infinite coordinates"),
        ("left", r"'left', not points \(x, y\)"),
        ([[1, 2], [3]], r"not points \(x, y\)"),
    ],
)
def test_labels_that_are_no_points_are_refused_in_words(label: Any, words: str) -> None:
    with pytest.raises(LabelError, match=words):
        PointBlock().read(label)


def test_every_picture_must_have_as_many_points() -> None:
    with pytest.raises(LabelError, match="Labels hold '1' and '2' points"):
        PointBlock().learn([[1.0, 2.0], [1.0, 2.0, 3.0, 4.0]])


def test_a_target_of_points_gives_the_shapes_of_the_reference() -> None:
    target = Points(3)
    assert target.num_outputs == 6
    encoded = target.encode([[0.0, 1, 2, 3, 4, 5], [6.0, 7, 8, 9, 10, 11]])
    assert encoded.shape == target.blank(2).shape == (2, 3, 2)
    assert encoded[1, 2].tolist() == [10, 11]
    logits = torch.randn(2, 6)
    expected = ((logits.numpy() - encoded.numpy().reshape(2, 6)) ** 2).mean(axis=1)
    assert np.allclose(target.loss(logits, encoded), expected)
    assert target.beside(logits, encoded).shape == (2, 3, 2)
    assert torch.equal(target.decide(target.activate(logits)), logits)
    assert torch.equal(target.decode(logits[0]), logits[0].reshape(3, 2))
    assert Target.from_json(target.to_json()) == target


def test_points_are_drawn_where_the_pixels_are() -> None:
    from matplotlib import pyplot as plt

    figure, axis = plt.subplots()
    axis.imshow(np.zeros((10, 20)))
    before = axis.get_xlim(), axis.get_ylim()
    draw_points(axis, torch.tensor([[-1.0, -1.0], [0.0, 0.0], [3.0, 0.0]]), (10, 20), s=5)
    assert axis.collections[0].get_offsets().tolist() == [[-0.5, -0.5], [9.5, 4.5], [39.5, 4.5]]
    assert (axis.get_xlim(), axis.get_ylim()) == before
    plt.close(figure)


def test_shown_batches_have_their_points_drawn(spots: pd.DataFrame) -> None:
    from matplotlib import pyplot as plt

    dls = loaded(spots, item_tfms=Resize((60, 80), "squish"))
    figure = dls.valid.show_batch(max_n=3)
    _, target = dls.valid.one_batch()
    for axis, points in zip(figure.axes, target, strict=False):
        assert axis.get_title() == ""
        assert np.allclose(axis.collections[0].get_offsets(), in_pixels(points, (80, 60)) - 0.5, atol=1e-4)
    plt.close(figure)
