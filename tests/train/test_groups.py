"""Parameter groups: splitters in every form that scripts use, what they leave out, and what unfreezes when."""

import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import ModelError, OptionError, SightlineWarning
from sightline.model.vision import create_vision_model
from sightline.target import Regression, SingleLabel
from sightline.train.groups import by_blocks, default_split, params, trainable_params
from sightline.train.learner import Learner
from sightline.train.optim import Adam
from sightline.train.optimizers import SGD
from sightline.train.schedule import layer_decay
from sightline.train.vision import vision_learner


class Net(nn.Module):
    """A body with a norm layer, and a head."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
        self.head = nn.Linear(3, 1)

    def forward(self, x):
        return self.head(self.body(x))


def learner(splitter=default_split, **options):
    data = [(torch.randn(4, 2), torch.randn(4, 1))] * 2
    return Learner(DataLoaders(data, data[:1], target=Regression.learn([0.0, 1.0])), Net(), splitter=splitter, **options)


class L(list):
    """A list with fastai's `map`."""

    def map(self, f):
        return L(f(one) for one in self)


@pytest.mark.parametrize(
    "splitter",
    [
        default_split,
        lambda m: [params(m.body), params(m.head)],
        lambda m: (trainable_params(m.body), trainable_params(m.head)),
        lambda m: [m.body, m.head],
        lambda m: L([m.body, m.head]).map(params),
        lambda m: [[list(layer.parameters()) for layer in m.body], m.head.parameters()],
    ],
)
def test_a_splitter_may_give_lists_of_parameters_or_modules(splitter):
    learn = learner(splitter)
    learn.create_opt()
    assert [len(group) for group in learn.opt.param_lists] == [4, 2]
    learn.freeze()
    assert [p.requires_grad for p in learn.model.parameters()] == [False, False, True, True, True, True]


def test_parameters_alone_are_one_group():
    learn = learner(trainable_params)
    assert len(learn.create_opt().param_lists) == 1
    with pytest.warns(SightlineWarning, match="one parameter group"):
        learn.freeze()


def test_parameters_that_a_splitter_leaves_out_are_named():
    with pytest.warns(SightlineWarning, match=r"leaves out 2 tensors with 4 parameters.*'head\.weight' and 'head\.bias'"):
        learner(lambda m: [params(m.body)]).create_opt()


def test_what_is_frozen_on_purpose_may_be_left_out():
    learn = learner(lambda m: [params(m.head)])
    for parameter in learn.model.body.parameters():
        parameter.requires_grad_(False)
    learn.create_opt()


def test_something_else_than_parameters_is_refused():
    with pytest.raises(ModelError, match="A parameter group holds 'body'"):
        learner(lambda m: ["body"]).create_opt()
    with pytest.raises(OptionError, match=r"splitter=3 cannot be called"):
        learner(3)


def test_another_splitter_or_optimizer_takes_effect_at_the_next_fit():
    learn = learner(trainable_params)
    with learn.no_logging():
        learn.fit(1)
        learn.splitter = default_split
        learn.fit(1, slice(1e-3))
        assert [hyper["lr"] for hyper in learn.opt.hypers] == pytest.approx([1e-4, 1e-3])
        learn.opt_func = SGD
        learn.fit(1)
    assert learn.opt.kind == "DecoupledSGD"


def test_a_new_optimizer_leaves_frozen_what_is_frozen():
    learn = learner()
    learn.freeze()
    with learn.no_logging():
        learn.fit(1, reset_opt=True)
    assert learn.frozen_to == 1
    assert not learn.model.body[0].weight.requires_grad


def test_the_table_names_layers_counts_and_rates():
    learn = learner(lr=slice(1e-3))
    learn.freeze()
    table = learn.groups()
    assert str(table).splitlines()[0].split() == ["group", "layers", "parameters", "trainable", "lr", "wd"]
    assert (table[0].layers, table[0].parameters, table[0].trainable) == ("body.0 .. body.1", 15, 6)
    assert (table[1].layers, table[1].trainable, table[1].hypers["lr"]) == ("head", 4, 1e-3)
    assert len(table) == 2
    assert "0.0001" in str(learn.opt)


def test_blocks_follow_depth_and_hold_every_parameter_once():
    model = create_vision_model("test_resnet", 3, pretrained=False)
    whole = sum(p.numel() for p in model.parameters())
    for n in (2, 3, 4, None):
        groups = by_blocks(n)(model)
        assert n is None or len(groups) == n
        assert sum(p.numel() for group in groups for p in group) == whole
        assert groups[-1][0] is next(model.head.parameters())
    assert len(by_blocks(500)(model)) == len(by_blocks()(model)) == len(model.units) + 1
    with pytest.raises(OptionError, match="n=1 groups"):
        by_blocks(1)


def test_rates_decay_by_layer_over_many_groups():
    data = [(torch.randn(4, 3, 32, 32), torch.tensor([0, 1, 0, 1]))]
    dls = DataLoaders(data, data, target=SingleLabel.learn(["a", "b"]))
    learn = vision_learner(dls, "test_resnet", pretrained=False, splitter=by_blocks(4))
    with learn.no_logging():
        learn.fit(1, layer_decay(1e-3, 0.5))
    assert [hyper["lr"] for hyper in learn.opt.hypers] == pytest.approx([1.25e-4, 2.5e-4, 5e-4, 1e-3])


def test_groups_unfreeze_from_the_last_to_the_first():
    learn = learner(lambda m: [m.body[0], m.body[1], m.head], train_bn=False)
    with learn.no_logging():
        learn.unfreeze_gradually(1, 1e-3)
        learn.unfreeze_gradually([0, 1, 2], 1e-3)
    phases = learn.recorder.record.of("phase")
    assert [phase["frozen_to"] for phase in phases] == [2, 1, 0, 2, 1, 0]
    assert [phase["n_epoch"] for phase in phases] == [1, 1, 1, 0, 1, 2]
    with pytest.raises(OptionError, match="expected one number, or 3"):
        learn.unfreeze_gradually([1, 2])


def test_one_parameter_in_two_groups_is_refused():
    with pytest.raises(ModelError, match="in two parameter groups"):
        learner(lambda m: [m.body, m]).create_opt()


def test_a_module_of_two_children_splits_into_body_and_head():
    assert [len(group) for group in default_split(Net())] == [4, 2]
    with pytest.raises(ModelError, match="Expected a body and a head"):
        default_split(nn.Linear(1, 1))
    assert len(Adam(Net().parameters()).param_lists) == 1
