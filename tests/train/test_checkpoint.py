"""Saved weights: where they go by name, and what other libraries wrote."""

from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import OptionError, SightlineWarning, WeightsError
from sightline.target import SingleLabel, Vocab
from sightline.train.checkpoint import load_model, save_model, weights_path
from sightline.train.learner import Learner


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
