"""Weights of fastai become files of this library, whose outputs are the same."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
import torch
from torchvision.models import mobilenet_v3_small, resnet18

from fastai_networks import of_resnet18, of_timm
from sightline.bundle import Bundle
from sightline.convert import convert_weights
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.items import Resize
from sightline.errors import ArchitectureError, BundleError, OptionError, WeightsError
from sightline.model.vision import create_vision_model
from sightline.predict import load_learner
from sightline.train.vision import vision_learner

NAMES = ["cat", "ant", "bee"]  # not sorted: their order is that of the outputs
IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.fixture
def network():
    return of_resnet18(3)


@pytest.fixture
def old(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "old.pth")
    return tmp_path / "old.pth"


def logits_of(network, images):
    with torch.no_grad():
        return network(images)


def test_a_converted_file_gives_the_same_outputs(network, old):
    found = convert_weights(old, "resnet18", NAMES, size=64)
    assert found.path == old.with_suffix(".safetensors")
    predictor = load_learner(found.path)
    images = torch.rand(2, 3, 64, 64)
    assert torch.allclose(predictor.logits(images), logits_of(network, images), atol=1e-5)
    assert predictor.vocab == NAMES
    assert predictor.pipeline.preprocess.size == (64, 64)
    assert (predictor.pipeline.preprocess.mean, predictor.pipeline.preprocess.std) == IMAGENET
    assert predictor.info["made"]["converted_from"] == "old.pth"


def test_what_fastai_saves_beside_the_weights_is_left_aside(network, tmp_path):
    state = {"model": network.state_dict(), "opt": {"state": [{"grad_avg": torch.zeros(3)}], "hypers": [{"lr": 1e-3}]}}
    torch.save(state, tmp_path / "both.pth")
    assert convert_weights(tmp_path / "both.pth", "resnet18", NAMES).tensors == len(network.state_dict())


@pytest.mark.parametrize("name", ["test_resnet", "test_convnext2"])
def test_networks_of_timm_convert_too_without_the_parts_that_nothing_uses(name, tmp_path):
    network = of_timm(name, 2)
    torch.save(network.state_dict(), tmp_path / "old.pth")
    predictor = load_learner(convert_weights(tmp_path / "old.pth", name, ["a", "b"], size=64).path)
    images = torch.rand(2, 3, 64, 64)
    assert torch.allclose(predictor.logits(images), logits_of(network, images), atol=1e-5)
    assert predictor.pipeline.preprocess.mean == (0.5, 0.5, 0.5)
    body = create_vision_model(name, 5, weights=tmp_path / "old.pth")
    assert torch.equal(next(body.parameters()), next(network.parameters()))


def test_pictures_are_normalised_as_fastai_does_it(old, tmp_path):
    def stats(arch, **options):
        return Bundle.load(convert_weights(old, arch, NAMES, out=tmp_path / "x.safetensors", **options).path).preprocess.mean

    assert stats("resnet18") == IMAGENET[0]
    assert stats("resnet18", normalize=False) is None
    # fastai knows no figures for this network of torchvision's, so it trains it on pictures that are not normalised.
    torch.save(create_vision_model(mobilenet_v3_small, 3, pretrained=False).state_dict(), old)
    assert stats("mobilenet_v3_small") is None
    assert stats("mobilenet_v3_small", normalize=True) == IMAGENET[0]


def test_presizing_several_labels_and_numbers(tmp_path):
    torch.save(of_resnet18(2).state_dict(), tmp_path / "old.pth")
    several = convert_weights(
        tmp_path / "old.pth", "resnet18", ["x", "y"], multi_label=True, thresholds=0.2, size=48, item_size=96, resize="squish"
    )
    bundle = Bundle.load(several.path)
    assert bundle.target.thresholds == 0.2
    assert (bundle.preprocess.size, bundle.preprocess.batch_size_px) == ((96, 96), (48, 48))
    assert bundle.preprocess.method == "squish"
    number = load_learner(convert_weights(tmp_path / "old.pth", "resnet18", regression=True, y_range=(2, 5)).path)
    assert number.target.num_outputs == 2
    assert ((outputs := number.logits(torch.rand(3, 3, 64, 64))) > 2).all()
    assert (outputs < 5).all()


def test_grey_pictures(tmp_path):
    torch.save(of_resnet18(2, n_in=1).state_dict(), tmp_path / "old.pth")
    with pytest.raises(WeightsError, match=r"made for pictures of 1 channel: pass n_in=1"):
        convert_weights(tmp_path / "old.pth", "resnet18", ["x", "y"])
    found = Bundle.load(convert_weights(tmp_path / "old.pth", "resnet18", ["x", "y"], n_in=1).path)
    assert found.preprocess.channels == 1
    assert not found.preprocess.normalizes


def test_weights_alone_train_further(network, old, colour_folder, tmp_path):
    found = convert_weights(old)
    assert (found.arch, found.target) == (None, None)
    dls = ImageDataLoaders.from_folder(colour_folder, item_tfms=Resize(32), bs=8)
    learn = vision_learner(dls, resnet18, pretrained=False, path=tmp_path)
    learn.load(found.path)
    assert torch.equal(learn.model[1][8].weight, network[1][8].weight)
    body = create_vision_model(resnet18, 5, weights=found.path)
    assert torch.equal(body[0][0].weight, network[0][0].weight)
    with pytest.raises(BundleError, match="holds tensors but no manifest"):
        load_learner(found.path)


def test_weights_of_another_architecture_are_told_which_fit(old):
    with pytest.raises(WeightsError, match=r"do not fit resnet34: 0 tensors .* 96 absent.*What fits: 'resnet18'\."):
        convert_weights(old, "resnet34", NAMES)
    with pytest.raises(OptionError, match=r"pass arch=.*What fits: 'resnet18'"):
        convert_weights(old, labels=NAMES)
    with pytest.raises(ArchitectureError, match="Did you mean 'resnet18"):
        convert_weights(old, "resnet_18", NAMES)


def test_a_head_of_another_size_is_told_apart(old, tmp_path):
    with pytest.raises(WeightsError, match="head in the file has 3 outputs, but 2 labels were given"):
        convert_weights(old, "resnet18", NAMES[:2])
    torch.save(of_resnet18(3, hidden=64).state_dict(), tmp_path / "own.pth")
    with pytest.raises(WeightsError, match=r"body in the file is resnet18, but its head is not fastai's default.*lin_ftrs"):
        convert_weights(tmp_path / "own.pth", "resnet18", NAMES)
    body = {name: tensor for name, tensor in of_resnet18(3).state_dict().items() if name.startswith("0.")}
    torch.save(body, tmp_path / "body.pth")
    with pytest.raises(WeightsError, match="holds no head"):
        convert_weights(tmp_path / "body.pth", "resnet18", NAMES)


def test_arguments_that_contradict_each_other_are_refused(old):
    with pytest.raises(OptionError, match="Give either labels or regression=True"):
        convert_weights(old, "resnet18", NAMES, regression=True)
    with pytest.raises(OptionError, match="multi_label=True needs the labels"):
        convert_weights(old, "resnet18", multi_label=True)
    with pytest.raises(OptionError, match="is one text"):
        convert_weights(old, "resnet18", "cat,ant,bee")
    with pytest.raises(OptionError, match="is the file that is read"):
        convert_weights(old, out=old)


def test_code_is_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "fired",))

    (tmp_path / "bomb.pth").write_bytes(pickle.dumps({"model": Bomb()}, protocol=2))
    torch.save({"0.0.weight": torch.zeros(1), "x": Bomb()}, tmp_path / "zip.pth")
    for name in ("bomb.pth", "zip.pth"):
        with pytest.raises(WeightsError, match="reading it would run code"):
            convert_weights(tmp_path / name)
    (tmp_path / "export.pkl").write_bytes(pickle.dumps(Bomb()))
    for reads in (convert_weights, load_learner):
        with pytest.raises((WeightsError, BundleError), match=r"never loaded here; fastai's.*sightline convert export.pth"):
            reads(tmp_path / "export.pkl")
    assert not (tmp_path / "fired").exists()
