"""The predictor: pictures of every kind in, labels out, one path for all."""

from __future__ import annotations

import io
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.models import resnet18

from sightline.bundle import Bundle
from sightline.data.loading.streams import Streams
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.transforms.items import Resize
from sightline.errors import ImageError, OptionError
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


# -------------------------------------------------------------------- as scripts written for fastai use it


def test_batches_of_new_pictures_are_predicted_in_their_order(picture, tmp_path):
    one = predictor()
    pictures = [picture.rotate(90 * turn) for turn in range(5)]
    loader = one.dls.test_dl(pictures, bs=2)
    probabilities, targets, decided = one.get_preds(dl=loader, with_decoded=True)
    expected = torch.stack([one.predict(item).probabilities for item in pictures])
    assert torch.allclose(probabilities, expected, atol=1e-5)
    assert targets is None
    assert torch.equal(decided, expected.argmax(1))
    images, again, _, losses = one.get_preds(dl=loader, with_input=True, with_loss=True)
    assert images.shape == (5, 3, 32, 32)
    assert torch.equal(again, probabilities)
    assert losses is None
    assert [one.dls.vocab[i] for i in decided] == [one.predict(item).label for item in pictures]
    assert (one.dls.c, one.dls.device) == (3, one.runtime.device)


def test_labelled_batches_have_losses(picture):
    one = predictor()
    images = one.dls.test_dl([picture, picture.rotate(90)]).one_batch().image
    targets = torch.tensor([2, 0])
    probabilities, found, losses = one.get_preds(dl=[(images, targets)], with_loss=True)
    assert torch.equal(found, targets)
    assert torch.allclose(losses, -probabilities[[0, 1], targets].log(), atol=1e-5)


def test_what_only_the_training_had_is_refused_in_words(picture):
    one = predictor()
    with pytest.raises(OptionError, match=r"ds_idx=1 names data of the training.*test_dl\(files\)"):
        one.get_preds()
    with pytest.raises(OptionError, match="A loader has no option 'batchsize'"):
        one.dls.test_dl([picture], batchsize=3)
    with pytest.raises(OptionError, match="how the labels of pictures are read is not in an exported file"):
        one.dls.test_dl([picture], with_labels=True)


def test_a_predictor_is_quiet_already(picture):
    one = predictor()
    with one.no_bar() as quiet, quiet.no_logging():
        assert quiet.predict(picture).label in one.vocab


def test_with_input_puts_the_picture_first(picture):
    shown, label, decision, probabilities = predictor().predict(picture, with_input=True)
    expected = np.asarray(Resize(32)(picture))
    assert np.array_equal(shown.permute(1, 2, 0).numpy(), expected)
    assert label == TARGETS[0].decode(decision)
    assert float(probabilities.sum()) == pytest.approx(1)


def test_a_predictor_says_what_it_is(picture):
    lines = repr(predictor()).splitlines()
    assert lines[0].startswith("Predictor: VisionModel, 11,7")
    assert lines[1] == "  labels    single_label, 3 outputs: 'a', 'b' and 'c'"
    assert "size=(32, 32)" in lines[2]


def test_an_activation_of_ones_own_is_used(picture):
    one = predictor()
    other = Predictor(one.model, one.target, one.pipeline, one.runtime, activate=lambda x: x.softmax(-1).sqrt())
    assert torch.allclose(other.predict(picture).probabilities, one.predict(picture).probabilities.sqrt())


# -------------------------------------------------------------------- many pictures


@pytest.fixture
def quick(monkeypatch):
    """Few pictures count as many, and two threads compute."""
    monkeypatch.setattr("sightline.predict.MANY", 4)
    monkeypatch.setattr("sightline.predict.Streams.planned", lambda workers: Streams(2))
    return predictor()


def stream_threads():
    return [thread for thread in threading.enumerate() if thread.name.startswith("sightline-stream")]


def test_many_pictures_are_predicted_as_one_by_one(quick, picture, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no picture")
    items = [picture.rotate(3 * i) for i in range(70)]
    items[40] = tmp_path / "bad.png"
    used = []
    network_for = quick.passed

    def passed(loader):
        for batch, logits in network_for(loader):
            used.append(len(stream_threads()))
            yield batch, logits

    quick.passed = passed
    found = list(quick.predict_many(items))
    assert max(used) == 2
    assert not stream_threads()
    assert [prediction.source for prediction in found] == items
    assert [i for i, prediction in enumerate(found) if prediction.error] == [40]
    for item, prediction in zip(items[::7], found[::7], strict=True):
        assert torch.allclose(prediction.probabilities, predictor().predict(item).probabilities, atol=1e-5)


def test_the_same_call_gives_the_same_bits(quick, picture):
    quick.runtime = plan_runtime("cpu", "bf16")
    items = [picture.rotate(3 * i) for i in range(70)]
    first, second = (torch.stack([one.probabilities for one in quick.predict_many(items)]) for _ in range(2))
    assert torch.equal(first, second)


def test_who_stops_early_leaves_no_thread(quick, picture):
    found = quick.predict_many([picture] * 500)
    next(found)
    found.close()
    assert not stream_threads()


def test_weights_that_change_between_two_passes_are_seen(quick, picture):
    items = [picture.rotate(20 * i) for i in range(8)]
    before = torch.stack([one.probabilities for one in quick.predict_many(items)])
    optimizer = torch.optim.AdamW(quick.model.parameters(), lr=0.01, fused=True)
    quick.model.train()
    quick.model(torch.randn(4, 3, 32, 32)).sum().backward()
    optimizer.step()
    after = torch.stack([one.probabilities for one in quick.predict_many(items)])
    assert not torch.allclose(after, before, atol=1e-3)
    assert torch.allclose(after, torch.stack([quick.predict(item).probabilities for item in items]), atol=1e-5)
    assert quick.model.training


def test_who_listens_to_a_network_hears_every_batch(quick, picture):
    heard = []
    hook = quick.model.body.register_forward_hook(lambda module, args, result: heard.append(len(args[0])))
    list(quick.predict_many([picture] * 10, bs=5))
    hook.remove()
    assert heard == [5, 5]


def test_a_file_is_predicted_in_the_precision_of_the_machine_that_reads_it(tmp_path):
    one = predictor()
    path = tmp_path / "m.safetensors"
    Bundle.of(one.model, one.model.spec, one.target, SQUARE, Record(), "bf16").save(path)
    assert Predictor.load(path, "cpu").runtime.precision == plan_runtime("cpu").precision
    assert Predictor.load(path, "cpu", "bf16").runtime.precision == "bf16"
    assert Predictor.load(path, "cpu", "bf16").info["precision"] == "bf16"
