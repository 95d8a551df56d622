"""Pictures of 1, 2, 4 and 5 channels from the data to an exported file that predicts the same."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.decode import PILImageBW
from sightline.data.rows.files import get_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import RandomSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.items import Resize
from sightline.errors import ModelError
from sightline.predict import load_learner
from sightline.train.vision import vision_learner


@pytest.fixture
def folder(tmp_path):
    """A function that makes 24 .npy files of so many channels in two folders; those in 'b' are bright in the last one."""

    def made(channels):
        rng = np.random.default_rng(channels)
        for number in range(24):
            pixels = rng.integers(0, 120, (40, 36, channels), dtype=np.uint8)
            pixels[..., -1] += np.uint8(number % 2 * 120)
            path = tmp_path / "ab"[number % 2] / f"{number}.npy"
            path.parent.mkdir(exist_ok=True)
            np.save(path, pixels)
        return tmp_path

    return made


@pytest.mark.parametrize("channels", [2, 4, 5])
def test_many_channels_train_and_their_exported_file_predicts_the_same(folder, channels, tmp_path):
    root = folder(channels)
    dls = DataBlock(
        (ImageBlock(channels=channels), CategoryBlock),
        get_items=partial(get_files, extensions=".npy"),
        splitter=RandomSplitter(0.25, seed=0),
        get_y=parent_label,
        item_tfms=Resize(32),
        batch_tfms=[*aug_transforms(), Normalize()],
    ).dataloaders(root, bs=6, seed=0)
    learn = vision_learner(dls, resnet18, pretrained=False, n_in=channels)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
    files = get_files(root, extensions=".npy")[:3]
    probabilities, _ = learn.get_preds(dl=dls.test_dl(files))
    learn.export(tmp_path / "five.safetensors")
    predictor = load_learner(tmp_path / "five.safetensors")
    assert predictor.pipeline.preprocess.channels == channels
    for file, expected in zip(files, probabilities, strict=True):
        torch.testing.assert_close(predictor.predict(file).probabilities, expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(predictor.predict(np.load(file)).probabilities, expected, atol=1e-5, rtol=1e-4)


def test_a_network_for_other_channels_is_refused(folder):
    dls = DataBlock(
        (ImageBlock(channels=4), CategoryBlock), get_items=partial(get_files, extensions=".npy"), get_y=parent_label
    ).dataloaders(folder(4), bs=4)
    with pytest.raises(ModelError, match=r"The pictures have 4 channels, but the network would take 3. Pass n_in=4"):
        vision_learner(dls, resnet18, pretrained=False)


def test_grey_pictures_train_with_one_channel(colour_folder, tmp_path):
    dls = ImageDataLoaders.from_folder(
        colour_folder, img_cls=PILImageBW, item_tfms=Resize(32), batch_tfms=[*aug_transforms(), Normalize()], bs=12, seed=0
    )
    learn = vision_learner(dls, resnet18, pretrained=False, n_in=1)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(1)
    learn.export(tmp_path / "grey.safetensors")
    picture = Image.open(dls.valid.items[0])
    torch.testing.assert_close(
        load_learner(tmp_path / "grey.safetensors").predict(picture).probabilities,
        learn.predict(picture)[2],
        atol=1e-5,
        rtol=1e-4,
    )
    picture.close()
