"""Exported files: what they hold, and what is refused in words."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torchvision.models import resnet18

from sightline.bundle import FORMAT_VERSION, Bundle
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.items import Resize
from sightline.errors import BundleError, SightlineWarning
from sightline.model.vision import create_vision_model
from sightline.predict import Predictor, load_learner
from sightline.preprocess import Preprocess
from sightline.record import Record
from sightline.target import MultiLabel, Regression, SingleLabel, Vocab
from sightline.tensorfile import write_tensors
from sightline.train.vision import vision_learner

PREPROCESS = Preprocess(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))


def made(target=None, **options) -> tuple[Bundle, torch.nn.Module]:
    target = target or SingleLabel.learn(["a", "b"])
    model = create_vision_model(resnet18, target.num_outputs, pretrained=False, **options)
    record = Record()
    record.add("epoch", phase=0, epoch=0, train_loss=1.0, valid_loss=float("nan"), metrics={"error_rate": 0.5}, seconds=1.0)
    return Bundle.of(model, model.spec, target, PREPROCESS, record), model


@pytest.mark.parametrize(
    "target",
    [SingleLabel.learn(["a", "b", "c"]), MultiLabel.learn([["x", "y"]], thresholds=(0.3, 0.6)), Regression.learn([[1.0, 2.0]])],
    ids=lambda target: target.kind,
)
def test_a_bundle_comes_back_whole(tmp_path, target):
    bundle, model = made(target)
    loaded = Bundle.load(bundle.save(tmp_path / "deep" / "m.safetensors"))
    assert loaded.target == target
    assert loaded.preprocess == PREPROCESS
    assert loaded.spec == bundle.spec
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(loaded.build()(images), model.eval()(images))


def test_the_file_is_plain_safetensors_with_a_json_manifest(tmp_path):
    bundle, model = made()
    path = bundle.save(tmp_path / "m.safetensors")
    assert load_file(path).keys() == model.state_dict().keys()
    with safe_open(path, framework="pt") as opened:
        manifest = json.loads(opened.metadata()["manifest"])
    assert manifest["format_version"] == FORMAT_VERSION
    assert manifest["architecture"]["arch"] == "resnet18"
    assert manifest["target"]["names"] == ["a", "b"]
    assert manifest["preprocess"]["mean"] == [0.5, 0.5, 0.5]
    assert manifest["history"][0]["metrics"] == {"error_rate": 0.5}
    assert manifest["made"]["versions"]["torch"] == torch.__version__.split("+")[0]


def test_unusual_heads_and_bodies_are_built_again(tmp_path):
    bundle, model = made(lin_ftrs=[16, 8], concat_pool=False, first_bn=False, bn_final=True, ps=[0.1, 0.2, 0.3], n_in=1, cut=-3)
    images = torch.randn(2, 1, 64, 64)
    rebuilt = Bundle.load(bundle.save(tmp_path / "m.safetensors")).build()
    assert torch.equal(rebuilt(images), model.eval()(images))


def test_a_head_of_ones_own_travels_as_tensors_and_is_given_back_its_code(tmp_path):
    head = torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(512, 2))
    with pytest.warns(SightlineWarning, match=r"custom_head is a network of your own.*Predictor\.load\(path, model=network\)"):
        bundle, model = made(custom_head=head)
    path = bundle.save(tmp_path / "m.safetensors")
    with pytest.raises(BundleError, match="cannot be built"):
        load_learner(path)
    model.eval()
    other = create_vision_model(
        resnet18, 2, pretrained=False, custom_head=torch.nn.Sequential(*head[:2], torch.nn.Linear(512, 2))
    )
    images = torch.randn(2, 3, 32, 32)
    assert torch.equal(Predictor.load(path, device="cpu", model=other).logits(images), model(images))


def test_an_old_file_stays_when_a_new_one_cannot_be_written(tmp_path):
    bundle, _ = made()
    path = bundle.save(tmp_path / "m.safetensors")
    before = path.read_bytes()
    broken = Bundle({"x": "no tensor"}, bundle.spec, bundle.target, bundle.preprocess)  # type: ignore[dict-item]
    with pytest.raises(AttributeError):
        broken.save(path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["m.safetensors"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BundleError, match="cannot be written"):
        made()[0].save(tmp_path / "file" / "m.safetensors")


def test_nothing_is_ever_unpickled(tmp_path):
    fired = tmp_path / "fired"

    class Bomb:
        def __reduce__(self):
            return (fired.touch, ())

    for name, payload in (("a.pkl", pickle.dumps(Bomb())), ("b.safetensors", pickle.dumps(Bomb(), protocol=2))):
        (tmp_path / name).write_bytes(payload)
        with pytest.raises(BundleError, match=r"looks like a pickle, which is code and is never loaded"):
            load_learner(tmp_path / name)
    torch.save({"model": Bomb()}, tmp_path / "c.pth")
    with pytest.raises(BundleError, match="looks like a pickle"):
        load_learner(tmp_path / "c.pth")
    assert not fired.exists()


def test_missing_damaged_and_foreign_files_are_told_apart(tmp_path):
    path = made()[0].save(tmp_path / "m.safetensors")
    whole = path.read_bytes()
    with pytest.raises(BundleError, match=r"nothing\.safetensors cannot be used: there is no such file"):
        Bundle.load(tmp_path / "nothing.safetensors")
    for cut in (0, 7, 100, len(whole) // 2, len(whole) - 1):
        (tmp_path / "cut.safetensors").write_bytes(whole[:cut])
        with pytest.raises(BundleError, match=r"cut.safetensors cannot be used: it"):
            Bundle.load(tmp_path / "cut.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "weights.safetensors")
    with pytest.raises(BundleError, match=r"holds tensors but no manifest of sightline.*weights="):
        Bundle.load(tmp_path / "weights.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format_version": 99}, "has format version 99; this sightline reads 2. Update sightline"),
        ({"format_version": "2"}, "has format version '2'"),
        ({"format_version": 1}, "has format version 1; this sightline reads 2. Export it again"),
        ({"architecture": {"zoo": "torchvision", "arch": "resnet18"}}, "n_out"),
        ({"architecture": 3}, "not valid"),
        ({"target": {"kind": "pixels"}}, "kind 'pixels'"),
        ({"target": {"kind": "single_label", "names": 7}}, "not valid"),
        ({"preprocess": {"size": [0, 3]}}, "preprocessing in the file is not valid"),
        ({"preprocess": {"eval": "code"}}, "unknown name 'eval'"),
        ({"history": None}, "not complete or not valid"),
    ],
)
def test_a_manifest_that_is_not_valid_is_refused(tmp_path, change, words):
    bundle, _ = made()
    manifest = bundle.manifest() | change
    write_tensors(tmp_path / "m.safetensors", bundle.tensors, {"format": "sightline", "manifest": json.dumps(manifest)})
    with pytest.raises(BundleError, match=words.replace("(", r"\(")):
        Bundle.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("name", [("a", "b"), "x" * 20_000, None])
def test_a_class_that_could_not_be_read_again_is_told_when_it_is_written(tmp_path, name):
    bundle, _ = made(SingleLabel(Vocab(["a", name])))
    with pytest.raises(BundleError, match=r"target in the file is not valid: it has names=.*Expected a list of"):
        bundle.save(tmp_path / "m.safetensors")
    assert not list(tmp_path.iterdir())


def test_names_that_are_numbers_and_truths_keep_their_type(tmp_path):
    bundle, _ = made(SingleLabel(Vocab([7, 1.5, "7", True])))
    names = Bundle.load(bundle.save(tmp_path / "m.safetensors")).target.vocab
    assert [(type(name), name) for name in names] == [(int, 7), (float, 1.5), (str, "7"), (bool, True)]


@pytest.mark.parametrize("flaw", [float("nan"), float("inf")])
def test_numbers_that_are_none_stand_in_the_history_alone(tmp_path, flaw):
    bundle, _ = made()
    for change in ({"made": {"note": [flaw]}}, {"preprocess": {**bundle.preprocess.to_json(), "mean": [flaw, 0.5, 0.5]}}):
        manifest = json.dumps(bundle.manifest() | change)
        write_tensors(tmp_path / "m.safetensors", bundle.tensors, {"format": "sightline", "manifest": manifest})
        with pytest.raises(BundleError, match="finite"):
            Bundle.load(tmp_path / "m.safetensors")


def test_a_hundred_thousand_classes_are_written_and_read(tmp_path):
    target = SingleLabel(Vocab([f"class, number {i}" for i in range(100_000)]))
    spec = create_vision_model(resnet18, 2, pretrained=False).spec
    bundle = Bundle({"x": torch.zeros(1)}, replace(spec, n_out=100_000), target, PREPROCESS)
    loaded = Bundle.load(bundle.save(tmp_path / "m.safetensors"))
    assert loaded.target == target
    with pytest.raises(BundleError, match=r"needs [\d,]+ bytes, but its tensors have 4: they are not of that network"):
        loaded.build()


def test_a_file_of_version_1_which_has_no_seal_is_told_apart(tmp_path):
    bundle, _ = made()
    manifest = json.dumps(bundle.manifest() | {"format_version": 1})
    save_file(dict(bundle.tensors), tmp_path / "m.safetensors", metadata={"format": "sightline", "manifest": manifest})
    with pytest.raises(BundleError, match=r"has format version 1; this sightline reads 2\. Export it again"):
        Bundle.load(tmp_path / "m.safetensors")


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_a_manifest_that_is_no_json_object_is_refused(tmp_path, text):
    save_file({"x": torch.zeros(2)}, tmp_path / "m.safetensors", metadata={"format": "sightline", "manifest": text})
    with pytest.raises(BundleError, match=r"is not (JSON|a JSON object)"):
        Bundle.load(tmp_path / "m.safetensors")


def test_tensors_that_do_not_fit_the_architecture_are_counted(tmp_path):
    bundle, _ = made()
    tensors = dict(bundle.tensors)
    del tensors["0.0.weight"]
    tensors["1.8.weight"] = torch.zeros(5, 512)
    write_tensors(tmp_path / "m.safetensors", tensors, {"format": "sightline", "manifest": json.dumps(bundle.manifest())})
    with pytest.raises(BundleError, match=r"2 tensors in the file do not fit the architecture resnet18"):
        load_learner(tmp_path / "m.safetensors")


def test_transforms_of_ones_own_are_refused_by_name(colour_folder, tmp_path):
    def invert(image):
        return image

    dls = ImageDataLoaders.from_folder(colour_folder, item_tfms=[invert, Resize(32)], bs=9)
    learn = vision_learner(dls, resnet18, pretrained=False)
    with pytest.raises(BundleError, match=r"The transforms 'invert' are code of your own, which a file never carries"):
        learn.export(tmp_path / "x.safetensors")
    assert learn.predict(dls.valid.items[0]).label in dls.vocab
