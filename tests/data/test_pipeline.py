"""Validation and prediction prepare pictures in one way, whether it comes from loaders or from a stored value."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import draw_folder
from sightline.data.factories import ImageDataLoaders
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.rows.files import get_image_files
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import RandomResizedCrop, Resize
from sightline.preprocess import Preprocess

STATS = Normalize((0.5, 0.4, 0.3), (0.2, 0.25, 0.3))


@pytest.fixture
def root(tmp_path):
    counts = {"train/cat": 4, "train/dog": 4, "valid/cat": 3, "valid/dog": 2}
    return draw_folder(tmp_path / "pets", counts, size=(50, 37))


@pytest.mark.parametrize(
    "transforms",
    [
        {"item_tfms": Resize(16)},
        {"item_tfms": Resize((12, 20), method="pad", pad_mode="zeros"), "batch_tfms": [STATS]},
        {"item_tfms": Resize(16, method="squish", resamples="bicubic"), "batch_tfms": [*aug_transforms(size=12), STATS]},
        {"item_tfms": RandomResizedCrop(24), "batch_tfms": [*aug_transforms(), STATS]},
        {"item_tfms": Resize(30), "batch_tfms": [*aug_transforms(size=16, min_scale=0.5), STATS]},
    ],
    ids=["crop", "pad", "batch size", "random crop", "min_scale"],
)
def test_a_stored_value_gives_the_same_batch_as_validation_bit_for_bit(root, transforms):
    dls = ImageDataLoaders.from_folder(root, bs=4, **transforms)
    pre = Preprocess.from_json(dls.pipeline.preprocess.to_json())
    assert pre == dls.preprocess
    stored = EvaluationPipeline.from_preprocess(pre)
    assert stored.preprocess == pre
    assert stored.custom_names == dls.pipeline.custom_names == ()
    expected = [batch.image for batch in dls.valid]
    found = [batch.image for batch in stored.loader(dls.valid.items, bs=4)]
    assert all(torch.equal(one, other) for one, other in zip(expected, found, strict=True))
    assert found[0].shape[-2:] == pre.output_size


def test_the_users_own_functions_are_named_because_a_file_cannot_carry_them(root):
    def darker(image):
        return image.point(lambda value: value // 2)

    def brighter(batch):
        return batch * 1.5

    dls = ImageDataLoaders.from_folder(root, item_tfms=[Resize(16), darker], batch_tfms=brighter, bs=4)
    assert dls.pipeline.custom_names == ("darker", "brighter")
    plain = ImageDataLoaders.from_folder(root, item_tfms=Resize(16), bs=4).valid.one_batch().image
    own = dls.valid.one_batch().image
    assert (own - 0.75 * plain).abs().max() < 2 / 255
    found = dls.pipeline.loader(dls.valid.items[:4], bs=4).one_batch().image
    assert torch.equal(found, own)


def test_a_picture_for_people_is_brought_to_size_and_not_normalised(root):
    dls = ImageDataLoaders.from_folder(root, item_tfms=Resize((12, 20)), batch_tfms=STATS, bs=4)
    picture = dls.pipeline.picture(dls.valid.items[0])
    assert picture.size == (20, 12)
    batch = dls.valid.one_batch().image[0].permute(1, 2, 0) * torch.tensor(STATS.std) + torch.tensor(STATS.mean)
    assert np.allclose(np.asarray(picture) / 255, batch.numpy(), atol=1e-5)


def test_one_picture_a_folder_or_an_iterator_stands_where_a_list_is_expected(root):
    pipeline = EvaluationPipeline.from_preprocess(Preprocess(size=(16, 16)))
    path = root / "valid" / "cat" / "0.png"
    array = np.asarray(Image.open(path))
    expected = pipeline.loader([path]).one_batch().image
    for item in (path, str(path), path.read_bytes(), Image.open(path), array, torch.from_numpy(array.copy()).permute(2, 0, 1)):
        loader = pipeline.loader(item)
        assert loader.n == 1
        assert torch.equal(loader.one_batch().image, expected)
    assert (
        pipeline.loader(root / "valid").items == pipeline.loader(str(root / "valid")).items == get_image_files(root / "valid")
    )
    assert pipeline.loader(iter([path, path])).n == 2
    assert pipeline.loader(np.stack([array] * 3)).n == 3


def test_a_stored_pipeline_needs_neither_pandas_nor_matplotlib():
    program = "import sightline.data.pipeline, sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    assert not {"pandas", "matplotlib", "sklearn", "torchvision", "timm"} & set(done.stdout.split())
