"""Saved weights: where they go by name, and what other libraries wrote."""

from __future__ import annotations

import json
import pickle
import warnings
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import OptionError, SightlineWarning, WeightsError
from sightline.target import SingleLabel, Vocab
from sightline.tensorfile import read_tensors, write_tensors
from sightline.train.checkpoint import load_model, save_model, weights_path
from sightline.train.learner import Learner
from sightline.train.optim import Optimizer


def net(width: int = 2) -> nn.Module:
    return nn.Sequential(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), nn.Linear(4, width))


@pytest.fixture
def learn(tmp_path):
    batches = [(torch.rand(4, 3, 2, 2), torch.tensor([0, 1, 0, 1]))]
    dls = DataLoaders(batches, batches, target=SingleLabel(Vocab(["a", "b"])), path=tmp_path)
    learner = Learner(dls, net())
    with learner.no_logging():
        yield learner


def same(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values(), strict=True))


@pytest.mark.parametrize(
    ("name", "where"),
    [
        ("stage-1", "models/stage-1.safetensors"),
        ("stage-1.pth", "models/stage-1.safetensors"),
        ("stage.1", "models/stage.1.safetensors"),
        ("deep/er/stage-1", "models/deep/er/stage-1.safetensors"),
        (Path("stage-1.safetensors"), "models/stage-1.safetensors"),
    ],
)
def test_a_name_finds_its_file_again(learn, tmp_path, name, where):
    assert learn.save(name) == tmp_path / where
    before = net()
    before.load_state_dict(learn.model.state_dict())
    nn.init.zeros_(learn.model[1].weight)
    assert learn.load(name) is learn
    assert same(learn.model, before)


def test_an_absolute_path_is_taken_as_it_is(learn, tmp_path):
    path = learn.save(tmp_path / "elsewhere" / "w")
    assert path == tmp_path / "elsewhere" / "w.safetensors"
    learn.load(path)
    learn.load(str(path.with_suffix("")))


@pytest.mark.parametrize("name", ["", ".", ".."])
def test_what_is_no_name_is_refused(name):
    with pytest.raises(OptionError, match="not the name of a file"):
        weights_path(Path("models"), name)


def test_loading_takes_the_arguments_of_fastai_in_its_order(learn):
    learn.fit(1)
    learn.save("a")
    learn.opt.clear_state()
    learn.load("a", "cpu", False)
    assert not learn.opt.inner.state
    learn.load("a", None, True, True)
    assert learn.opt.inner.state
    with pytest.raises(OptionError, match="device='nowhere'"):
        learn.load("a", device="nowhere")


def test_functions_save_and_load_a_network_alone(tmp_path):
    one, other = net(), net()
    path = save_model(tmp_path / "n", one)
    load_model(path, other)
    assert same(one, other)
    with pytest.raises(WeightsError, match="does not fit"):
        load_model(path, net(3))


def test_weights_of_torch_are_taken_by_name(learn, tmp_path):
    other = net()
    (tmp_path / "models").mkdir()
    torch.save(other.state_dict(), tmp_path / "models" / "old.pth")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn.load("old")
    assert same(learn.model, other)
    assert learn.load("old.pth") is learn


def test_an_optimizer_of_another_library_is_left_aside_aloud(learn, tmp_path):
    other = net()
    (tmp_path / "models").mkdir()
    state = {"model": other.state_dict(), "opt": {"state": [{"mom": 0.9}], "hypers": [{"lr": 1e-3}]}}
    torch.save(state, tmp_path / "models" / "old.pth")
    with pytest.warns(SightlineWarning, match=r"weights are taken over, the optimizer's state is not"):
        learn.load("old")
    assert same(learn.model, other)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        learn.load("old", with_opt=False)


def test_what_save_wrote_goes_before_what_another_library_wrote(learn, tmp_path):
    learn.save("both")
    torch.save(net(5).state_dict(), tmp_path / "models" / "both.pth")
    learn.load("both")


def test_weights_of_torch_that_do_not_fit_or_hold_code_change_nothing(learn, tmp_path):
    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "fired",))

    (tmp_path / "models").mkdir()
    torch.save(net(5).state_dict(), tmp_path / "models" / "wide.pth")
    (tmp_path / "models" / "bomb.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    before = net()
    before.load_state_dict(learn.model.state_dict())
    with pytest.raises(WeightsError, match=r"wide.pth does not fit this network: 2 tensors"):
        learn.load("wide")
    with pytest.raises(WeightsError, match="was not loaded: reading it would run code"):
        learn.load("bomb")
    assert same(learn.model, before)
    assert not (tmp_path / "fired").exists()


def test_a_missing_file_names_those_of_both_kinds(learn, tmp_path):
    learn.save("mine")
    torch.save({}, tmp_path / "models" / "old.pth")
    with pytest.raises(WeightsError, match=r"Saved in that folder: mine, old\."):
        learn.load("yours")


def with_said(path: Path, change) -> None:
    """The file again, sealed anew, with something else said of its optimizer."""
    file = read_tensors(path)
    said = json.loads(file.metadata["optimizer"])
    change(said)
    write_tensors(path, file.tensors, {**file.metadata, "optimizer": json.dumps(said)})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said.update(kind=3), "kind=3. Expected a text"),
        (lambda said: said.pop("groups"), "lacks groups"),
        (lambda said: said["groups"][0].update(lr="fast"), "lr='fast' where the optimizer has"),
        (lambda said: said["groups"][0].update(lr=True), "lr=True where the optimizer has"),
        (lambda said: said["groups"][0].update(betas=[0.9]), r"betas=\[0.9\] where the optimizer has \(0.9"),
        (lambda said: said["groups"][0].update(lr=float("nan")), "lr=nan where the optimizer has"),
        (lambda said: said["groups"][0].update(params=["x"]), "made for other parameter groups"),
        (lambda said: said["plain"].update({"x": {}}), "'x' is not the number of a parameter"),
        (lambda said: said["plain"].update({"99": {"step": 1}}), "remembers parameter 99 of 4"),
        (lambda said: said["plain"].update({"0": {"step": [1]}}), "Expected names with plain values"),
    ],
)
def test_what_a_file_says_of_the_optimizer_is_checked(learn, change, words):
    learn.fit(1)
    path = learn.save("a")
    with_said(path, change)
    with pytest.raises(WeightsError, match=words):
        learn.load("a")


def test_hyper_parameters_come_back_in_their_own_type(learn):
    learn.fit(1)
    learn.save("a")
    learn.load("a")
    assert isinstance(learn.opt.inner.param_groups[0]["betas"], tuple)
    learn.opt.set_hyper("mom", 0.5)
    assert learn.opt.inner.param_groups[0]["betas"][0] == 0.5


def test_infinity_comes_back_where_the_optimizer_has_it(tmp_path):
    opt = Optimizer.over(torch.optim.SGD(net().parameters(), lr=0.1))
    opt.inner.param_groups[0]["limit"] = float("inf")
    path = save_model(tmp_path / "n", net(), opt)
    load_model(path, net(), opt)
    assert opt.inner.param_groups[0]["limit"] == float("inf")


def test_a_file_without_its_seal_is_refused(learn):
    path = learn.save("a")
    safetensors.torch.save_file(read_tensors(path).tensors, path, metadata={"format": "sightline-weights"})
    with pytest.raises(WeightsError, match="carries no seal"):
        learn.load("a")
