"""RandAugment, TrivialAugmentWide and AutoAugment: torchvision's, drawn for each picture by seed, epoch and row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from data.drawn import draw_folder
from reference.pictures import picture
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import ItemDraw
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.items import Resize
from sightline.data.transforms.seeded import SEEDS
from sightline.data.transforms.torchvision_presets import AutoAugment, RandAugment, TrivialAugment, TrivialAugmentWide
from sightline.errors import OptionError

KINDS = (RandAugment, TrivialAugmentWide, AutoAugment)
PICTURE = picture(24, 32)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_folder(
        tmp_path_factory.mktemp("presets") / "p", {f"{part}/{c}": 6 for part in ("train", "valid") for c in "ab"}
    )


def loaders(root: Path, **options: Any) -> Any:
    given = {"item_tfms": Resize(16), "bs": 6, "seed": 0, "shuffle": False, "num_workers": 0} | options
    return ImageDataLoaders.from_folder(root, **given)


def augmented(kind: Any, row: int, epoch: int = 0) -> np.ndarray:
    return ItemPipeline([kind]).sample(PICTURE, ItemDraw(True, 0, epoch, row))


@pytest.mark.parametrize("kind", KINDS)
def test_a_picture_is_what_torchvision_makes_of_the_seed_of_its_row(kind: Any) -> None:
    policy = getattr(v2, kind.__name__)()
    for row in range(8):
        seed = int(ItemDraw(True, 0, 0, row, f"{kind.__name__}.").uniform("torch") * SEEDS)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            expected = np.asarray(policy(Image.fromarray(PICTURE)))
        assert np.array_equal(augmented(kind(), row), expected)


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_differ_by_row_and_epoch(kind: Any) -> None:
    seen = {augmented(kind(), row, epoch).tobytes() for row in range(20) for epoch in range(3)}
    assert len(seen) > 15


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("stage", ["item_tfms", "batch_tfms"])
def test_training_alone_is_augmented_the_same_with_any_number_of_workers(root: Path, kind: Any, stage: str) -> None:
    tfms = {"item_tfms": [Resize(16), kind()]} if stage == "item_tfms" else {"batch_tfms": kind()}
    state = torch.get_rng_state()
    one, other = (loaders(root, **tfms, num_workers=n) for n in (0, 4))
    plain = loaders(root)
    for _epoch in range(2):
        batches = zip(one.train, other.train, plain.train, strict=True)
        for a, b, c in batches:
            assert torch.equal(a.image, b.image)
            assert not torch.allclose(a.image, c.image, atol=0.05)
    assert torch.equal(one.valid.one_batch().image, plain.valid.one_batch().image)
    assert one.pipeline.custom_names == ()
    assert one.preprocess == plain.preprocess
    assert torch.equal(state, torch.get_rng_state())


def test_in_a_batch_each_picture_is_drawn_by_its_own_row() -> None:
    pipeline = BatchPipeline(RandAugment())
    same = torch.from_numpy(PICTURE).expand(8, -1, -1, -1)
    whole = pipeline.train(same, seed=0, epoch=0, rows=np.arange(8))
    assert len({tuple(image.flatten().tolist()) for image in whole}) > 5
    assert torch.equal(whole[3:4], pipeline.train(same[:1], seed=0, epoch=0, rows=np.array([3])))


@pytest.mark.parametrize("kind", KINDS)
def test_grey_pictures_are_augmented_too(kind: Any) -> None:
    items = ItemPipeline([kind()], channels=1)
    assert {items.sample(PICTURE, ItemDraw(True, 0, 0, row)).shape for row in range(20)} == {(24, 32, 1)}
    grey = torch.from_numpy(PICTURE[..., :1]).expand(20, -1, -1, -1)
    assert BatchPipeline(kind()).train(grey, seed=0, epoch=0, rows=np.arange(20)).shape == (20, 1, 24, 32)


def test_options_are_torchvisions() -> None:
    made = RandAugment()
    assert (made.num_ops, made.magnitude, made.num_magnitude_bins) == (2, 9, 31)
    assert TrivialAugment is TrivialAugmentWide
    assert TrivialAugmentWide().num_magnitude_bins == 31
    assert AutoAugment(v2.AutoAugmentPolicy.SVHN).policy == AutoAugment("svhn").policy == "svhn"
    strong = RandAugment(1, 30, interpolation=v2.InterpolationMode.BILINEAR, fill=[128, 128, 128])
    assert augmented(strong, 0).shape == PICTURE.shape
    assert np.array_equal(augmented(RandAugment(num_ops=0), 0), PICTURE)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: RandAugment(magnitude=31), "magnitude=31 is not one of the 31 strengths 0..30"),
        (lambda: RandAugment(-1), "num_ops=-1 operations"),
        (lambda: TrivialAugmentWide(1), "num_magnitude_bins=1: expected 2"),
        (lambda: AutoAugment("imagnet"), "policy='imagnet' is not one of imagenet, cifar10, svhn. Did you mean 'imagenet'"),
        (lambda: RandAugment(interpolation="bilinaer"), "Did you mean 'bilinear'"),
    ],
)
def test_options_that_make_no_sense_are_refused_in_words(make: Any, words: str) -> None:
    with pytest.raises(OptionError, match=words):
        make()
