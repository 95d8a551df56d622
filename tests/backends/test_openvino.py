"""OpenVINO: what it needs, and that it decides as PyTorch does."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from PIL import Image

from sightline.bundle import Bundle
from sightline.errors import MissingExtraError, OptionError
from sightline.model.vision import create_vision_model
from sightline.predict import Predictor
from sightline.preprocess import Preprocess
from sightline.record import Record
from sightline.target import SingleLabel, Vocab


@pytest.fixture
def exported(tmp_path):
    model = create_vision_model("test_resnet", 3, pretrained=False)
    target = SingleLabel(Vocab(["a", "b", "c"]))
    return Bundle.of(model, model.spec, target, Preprocess(size=(64, 64)), Record()).save(tmp_path / "m.safetensors")


def drawn(count: int) -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)) for _ in range(count)]


def test_without_it_the_message_names_the_extra(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sightline\[openvino\]'"):
        Predictor.load(exported, backend="openvino")


def test_other_backends_and_devices_are_refused(exported):
    with pytest.raises(OptionError, match=r"backend='openvno' is not one of torch, openvino\. Did you mean 'openvino'"):
        Predictor.load(exported, backend="openvno")
    with pytest.raises(OptionError, match="computes on the CPU, but device='meta'"):
        Predictor.load(exported, "meta", backend="openvino")


def test_it_predicts_as_pytorch_does_and_follows_the_weights(exported):
    pytest.importorskip("openvino", reason="OpenVINO is an extra")
    torch.set_num_threads(2)
    ours, theirs = (Predictor.load(exported, "cpu", "fp32", backend=backend) for backend in ("torch", "openvino"))
    pictures = drawn(40)
    expected, found = (list(one.predict_many(pictures)) for one in (ours, theirs))
    assert [one.label for one in found] == [one.label for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.probabilities, other.probabilities, atol=1e-5)
    with torch.no_grad():
        for parameter in theirs.model.head.parameters():
            parameter.zero_()
    assert torch.allclose(theirs.predict(pictures[0]).probabilities, torch.full((3,), 1 / 3))
