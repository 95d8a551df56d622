"""Points from files to predictions: what a network says in -1..1 becomes pixels of the picture as it was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from sightline.data.block import DataBlock
from sightline.data.blocks import ImageBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.rows.files import get_image_files
from sightline.data.rows.split import RandomSplitter
from sightline.data.transforms.items import RandomResizedCrop, Resize
from sightline.data.transforms.points import PointBlock
from sightline.predict import load_learner
from sightline.train.learner import Learner
from sightline.train.vision import vision_learner

SIZES = [(60, 48), (52, 70), (64, 64)]


def middle_of(path: Path) -> list[tuple[float, float]]:
    """Two points: the middle of the bright square that the file's name tells, and one above it."""
    x, y = map(float, path.stem.split("_")[1:])
    return [(x, y), (x, y - 6)]


@pytest.fixture
def squares(tmp_path: Path) -> Path:
    """Dark pictures of three sizes with a bright square of 12 pixels each."""
    rng = np.random.default_rng(0)
    for i in range(24):
        width, height = SIZES[i % 3]
        x, y = int(rng.integers(18, width - 18)), int(rng.integers(18, height - 18))
        pixels = np.zeros((height, width, 3), dtype=np.uint8)
        pixels[y - 6 : y + 6, x - 6 : x + 6] = 255
        Image.fromarray(pixels).save(tmp_path / f"{i}_{x}_{y}.png")
    return tmp_path


def loaded(folder: Path, item_tfms: Any) -> DataLoaders:
    block = DataBlock(
        blocks=(ImageBlock, PointBlock),
        get_items=get_image_files,
        splitter=RandomSplitter(0.25, seed=1),
        get_y=middle_of,
        item_tfms=item_tfms,
    )
    return block.dataloaders(folder, bs=6, num_workers=0, seed=1)


class Looks(nn.Module):
    """Says where the middle of the brightness is, in -1..1 between outer edges; the second point is the first."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, images: Tensor) -> Tensor:
        light = images[:, 0] + self.weight
        columns, rows = ((torch.arange(side) + 0.5) * 2 / side - 1 for side in (light.shape[2], light.shape[1]))
        total = light.sum(dim=(1, 2))
        x, y = (light * columns).sum(dim=(1, 2)) / total, (light * rows[:, None]).sum(dim=(1, 2)) / total
        return torch.stack([x, y, x, y], dim=1)


@pytest.mark.parametrize("item_tfms", [Resize(48, "pad", "zeros"), Resize((40, 56), "squish"), RandomResizedCrop(40)])
def test_predictions_are_told_in_pixels_of_the_picture_as_it_was_given(squares: Path, item_tfms: Any) -> None:
    learn = Learner(loaded(squares, item_tfms), Looks())
    for path in get_image_files(squares)[:6]:
        points, decision, values = learn.predict(path)
        assert points.shape == (2, 2)
        assert decision.shape == values.shape == (4,)
        if not isinstance(item_tfms, RandomResizedCrop) or values.abs().max() < 0.6:  # whole in the centre crop
            assert np.abs(points[0].numpy() - middle_of(path)[0]).max() < 0.6
        assert torch.equal(learn.predict(Image.open(path))[0], points)


def test_figures_of_a_set_have_the_shapes_of_the_reference(squares: Path) -> None:
    learn = Learner(loaded(squares, Resize((40, 56), "squish")), Looks())
    preds, targs, decoded, losses = learn.get_preds(with_decoded=True, with_loss=True)
    # fastai 2.8.12: preds and decoded (N, 2 n), targets (N, n, 2), one loss a picture.
    assert preds.shape == decoded.shape == (6, 4)
    assert targs.shape == (6, 2, 2)
    assert losses.shape == (6,)
    assert torch.allclose(preds[:, :2], targs[:, 0], atol=0.02)
    assert np.allclose(losses, ((preds.reshape(6, 2, 2) - targs) ** 2).mean(dim=(1, 2)))
    assert learn.validate()[0] == pytest.approx(float(losses.mean()), rel=1e-5)
    files = [learn.dls.valid.items[i] for i in range(6)]
    assert learn.validate(dl=learn.dls.test_dl(files, with_labels=True))[0] == pytest.approx(float(losses.mean()), rel=1e-5)


def test_a_learner_of_points_trains_is_exported_and_predicts_the_same(squares: Path, tmp_path: Path) -> None:
    dls = loaded(squares, Resize(32, "squish"))
    learn = vision_learner(dls, "test_resnet", pretrained=False, y_range=(-1, 1), path=tmp_path)
    with learn.no_logging():
        learn.fit(1, 1e-3)
    file = learn.export(tmp_path / "points.safetensors")
    path = get_image_files(squares)[0]
    points, _, values = learn.predict(path)
    assert values.abs().max() < 1
    again = load_learner(file)
    assert again.target == learn.target
    assert torch.allclose(again.predict(path)[0], points, atol=1e-4)
    assert [one.label.shape for one in again.predict_many(get_image_files(squares)[:3])] == [(2, 2)] * 3
