"""Exported files lie where scripts look for them, and become learners again."""

from __future__ import annotations

import pickle
import warnings

import pytest
import torch
from fastcore.foundation import L

from sightline.compat.learners import Learner, cnn_learner, load_learner, vision_learner
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.items import Resize
from sightline.metrics.single_label import accuracy


@pytest.fixture
def dls(colour_folder):
    return ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), bs=6, num_workers=0)


@pytest.fixture
def learn(dls):
    return cnn_learner(dls, "test_resnet", pretrained=False, metrics=accuracy)


def test_an_exported_file_lies_in_the_folder_of_the_learner(learn, tmp_path, colour_folder, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert learn.export() == colour_folder / "export.pkl"
    learn.path = tmp_path / "elsewhere"
    assert learn.export() == tmp_path / "elsewhere" / "export.pkl"
    assert learn.export("models/own.pkl") == tmp_path / "elsewhere" / "models" / "own.pkl"
    assert learn.export(tmp_path / "whole.safetensors") == tmp_path / "whole.safetensors"


def test_a_loaded_learner_predicts_as_before(learn, colour_folder):
    loaded = load_learner(learn.export())
    files = L(sorted((colour_folder / "valid").rglob("*.png")))
    assert list(loaded.dls.vocab) == ["blue", "green", "red"]
    assert torch.allclose(loaded.predict(files[0])[2], learn.predict(files[0])[2], atol=1e-6)
    preds, targs = loaded.get_preds(dl=loaded.dls.test_dl(files, bs=5))
    assert torch.allclose(preds, learn.get_preds(dl=learn.dls.test_dl(files))[0], atol=1e-6)
    assert targs is None


def test_a_loaded_learner_trains_on_once_it_has_pictures(learn, dls):
    loaded = load_learner(learn.export())
    assert isinstance(loaded, Learner)
    loaded.dls = dls
    loaded.metrics = accuracy
    with loaded.no_logging():
        loaded.fine_tune(1)
    assert len(loaded.validate()) == 2
    assert load_learner(loaded.export()).dls.vocab == dls.vocab


def test_a_pickle_is_refused(tmp_path):
    (tmp_path / "export.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(ValueError, match="pickle"):
        load_learner(tmp_path / "export.pkl")


def test_a_learner_of_ones_own_network_is_one_too(dls):
    from torch import nn

    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        learn = Learner(dls, net, metrics=accuracy)
    with pytest.raises(ValueError, match="cannot name it"):
        learn.export()
    assert isinstance(vision_learner(dls, "test_resnet", pretrained=False), Learner)
