"""The same by the Python interface: what cannot be read is in `dls.set_aside`, all else is trained on."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import pytest
import torch

from data.salted import Salted, salted_folder
from sightline import DataBlock, ImageBlock, ImageDataLoaders, Predictor, Resize, get_image_files, parent_label, vision_learner
from sightline.data.blocks import CategoryBlock
from sightline.errors import SightlineWarning

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="it needs pipes, sockets and links")


@pytest.fixture
def salted(tmp_path: Path) -> Salted:
    return salted_folder(tmp_path / "pictures", bad=120)


def test_pictures_are_found_whatever_they_are_called_and_what_the_system_keeps_is_not(salted: Salted) -> None:
    found = [str(path.relative_to(salted.root)) for path in get_image_files(salted.root)]
    assert sorted(found) == sorted(salted.good | salted.bad)
    assert not salted.ignored & set(found)


@pytest.mark.parametrize(("cache", "num_workers"), [(True, 2), (False, 0)])
def test_every_good_picture_comes_in_an_epoch_and_every_bad_one_is_named(salted: Salted, cache: bool, num_workers: int) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        dls = ImageDataLoaders.from_folder(
            salted.root, valid_pct=0.2, item_tfms=Resize(16), bs=8, seed=3, cache=cache, num_workers=num_workers, device="cpu"
        )
        loaders = [loader.new(shuffle=False, training=False) for loader in dls.loaders]
        seen = {
            str(Path(loader.part.sources[row]).relative_to(salted.root))
            for loader in loaders
            for b in loader
            for row in b.index
        }
    assert seen == salted.good
    assert set(dls.set_aside) == {str(salted.root / name) for name in salted.bad}
    assert {warning.category for warning in told} == {SightlineWarning}


def test_who_wants_no_bad_picture_is_told_how_many_there_are(salted: Salted) -> None:
    block = DataBlock((ImageBlock, CategoryBlock), get_items=get_image_files, get_y=parent_label, item_tfms=Resize(16))
    with pytest.raises(ValueError, match=rf"{len(salted.bad)} pictures of {len(salted.good | salted.bad)} cannot be read"):
        block.dataloaders(salted.root, on_error="raise", device="cpu")


def test_training_validation_and_prediction_see_the_same_pixels_whatever_the_kind(salted: Salted, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SightlineWarning)
        dls = ImageDataLoaders.from_folder(salted.root, valid_pct=0.3, item_tfms=Resize(24), bs=16, seed=4, device="cpu")
        learn = vision_learner(dls, "test_resnet", pretrained=False)
        learn.export(tmp_path / "model.safetensors")
        predictor = Predictor.load(tmp_path / "model.safetensors", device="cpu", precision="fp32")
        seen = {row: image for batch in dls.valid for row, image in zip(batch.index.tolist(), batch.image, strict=True)}
    rows = sorted(seen)
    paths = [dls.table.sources[row] for row in rows]
    expected = torch.stack([seen[row] for row in rows])
    for sources in (paths, [path.read_bytes() for path in paths]):
        for loader in (learn.dls.test_dl(sources, bs=7), predictor.dls.test_dl(sources, bs=7)):
            assert torch.equal(torch.cat([batch.image for batch in loader]), expected)
    assert len({path.name for path in paths if path.name.startswith(("kind", "as another", "turn"))}) > 10
    together = [prediction.probabilities for prediction in predictor.predict_many(paths, bs=64)]
    alone = [predictor.predict(path).probabilities for path in paths]
    by_learner = [learn.predict(path)[2] for path in paths]
    for others in (alone, by_learner):
        assert torch.allclose(torch.stack(together), torch.stack(others), atol=1e-5)
