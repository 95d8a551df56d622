"""The predictor: pictures of every kind in, labels out, one path for all."""

from __future__ import annotations

import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from sightline.bundle import Bundle
from sightline.data.pipeline import EvaluationPipeline
from sightline.errors import ImageError
from sightline.model.vision import create_vision_model
from sightline.predict import Predictor
from sightline.preprocess import Preprocess
from sightline.record import Record
from sightline.runtime import plan_runtime
from sightline.target import MultiLabel, Regression, SingleLabel

TARGETS = [
    SingleLabel.learn(["a", "b", "c"]),
    MultiLabel.learn([["x", "y"]]),
    Regression.learn([1.0]),
    Regression.learn([[1.0, 2.0]]),
]


SQUARE = Preprocess(size=(32, 32))


def predictor(target=TARGETS[0], preprocess=SQUARE) -> Predictor:
    torch.manual_seed(0)
    model = create_vision_model(resnet18, target.num_outputs, pretrained=False)
    return Predictor(model, target, EvaluationPipeline.from_preprocess(preprocess), plan_runtime("cpu"))


@pytest.fixture
def picture() -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8))


def test_every_way_to_hold_a_picture_gives_the_same_answer(picture, tmp_path):
    picture.save(tmp_path / "p.png")
    held = [
        tmp_path / "p.png",
        str(tmp_path / "p.png"),
        (tmp_path / "p.png").read_bytes(),
        picture,
        np.asarray(picture),
        torch.from_numpy(np.array(picture)).permute(2, 0, 1),
    ]
    one = predictor()
    answers = [one.predict(item).probabilities for item in held]
    assert all(torch.equal(answer, answers[0]) for answer in answers)


@pytest.mark.parametrize("target", TARGETS, ids=lambda t: f"{t.kind}{t.num_outputs}")
def test_predictions_unpack_as_label_decision_probabilities(target, picture):
    prediction = predictor(target).predict(picture)
    label, decision, probabilities = prediction
    assert label == prediction.label
    assert probabilities.shape == (target.num_outputs,)
    assert target.decode(decision) == label
    assert prediction[0] == label
    assert len(prediction) == 3


def test_top_gives_the_best_names_first(picture):
    prediction = predictor().predict(picture)
    top = prediction.top(2)
    assert len(top) == 2
    assert top[0][0] == prediction.label
    assert top[0][1] >= top[1][1]
    assert len(prediction.top(99)) == 3
    assert predictor(TARGETS[2]).predict(picture).top() == []


def test_pictures_that_cannot_be_read_keep_their_place(picture, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    bad = tmp_path / "bad.png"
    missing = tmp_path / "missing.png"
    items = [bad, picture, picture, missing, picture, bad]
    found = list(predictor().predict_many(items, bs=2))
    assert [prediction.source for prediction in found] == items
    assert [prediction.error is None for prediction in found] == [False, True, True, False, True, False]
    assert found[0].label is None
    with pytest.raises(ImageError, match=r"bad\.png"):
        predictor().predict(bad)


def test_one_picture_or_a_folder_serves_where_several_are_expected(picture, tmp_path):
    picture.save(tmp_path / "a.png")
    picture.save(tmp_path / "b.png")
    one = predictor()
    for items, count in ((tmp_path / "a.png", 1), (str(tmp_path / "a.png"), 1), (tmp_path, 2), (picture, 1)):
        assert len(list(one.predict_many(items))) == count


def test_the_network_keeps_its_mode_and_predicts_in_evaluation_mode(picture):
    one = predictor()
    one.model.train()
    first, second = one.predict(picture).probabilities, one.predict(picture).probabilities
    assert one.model.training
    assert torch.equal(first, second)


def test_batches_of_any_size_decide_alike(picture):
    one = predictor()
    items = [picture.rotate(10 * i) for i in range(7)]
    alone = torch.stack([one.predict(item).probabilities for item in items])
    together = torch.stack([prediction.probabilities for prediction in one.predict_many(items, bs=4)])
    assert torch.allclose(alone, together, atol=1e-6)


def test_a_fresh_process_predicts_without_training_code_or_tables(picture, tmp_path):
    one = predictor()
    record = Record()
    path = Bundle.of(one.model, one.model.spec, one.target, Preprocess(size=(32, 32)), record).save(tmp_path / "m.safetensors")
    picture.save(tmp_path / "p.png")
    code = f"""
import sys
from sightline import load_learner
label, decision, probabilities = load_learner({str(path)!r}).predict({str(tmp_path / "p.png")!r})
print([v.hex() for v in probabilities.tolist()])
loaded = [name for name in ("sightline.train", "pandas", "matplotlib", "sklearn", "torchmetrics") if name in sys.modules]
assert not loaded, loaded
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str([value.hex() for value in one.predict(picture).probabilities.tolist()])


def test_grey_pictures_are_seen_in_grey(picture):
    torch.manual_seed(0)
    model = create_vision_model(resnet18, 3, pretrained=False, n_in=1)
    one = Predictor(
        model, TARGETS[0], EvaluationPipeline.from_preprocess(Preprocess(size=(32, 32), channels=1)), plan_runtime("cpu")
    )
    buffer = io.BytesIO()
    picture.convert("L").save(buffer, "PNG")
    assert torch.equal(one.predict(buffer.getvalue()).probabilities, one.predict(picture.convert("L")).probabilities)
