"""Folding: the same outputs with fewer layers, and a network that notices nothing."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn
from torchvision import models

from sightline.model.folding import folded, is_stateless
from sightline.model.vision import create_vision_model

NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)


def stirred(network: nn.Module) -> nn.Module:
    """The network with norms that do something, in evaluation mode."""
    for norm in network.modules():
        if isinstance(norm, NORMS) and norm.running_mean is not None:
            norm.running_mean.normal_(0, 0.1)
            norm.running_var.uniform_(0.5, 2)
            if norm.affine:
                norm.weight.data.uniform_(0.5, 1.5)
                norm.bias.data.normal_(0, 0.1)
    return network.eval()


def norms_in(network: nn.Module) -> int:
    return sum(isinstance(module, NORMS) for module in network.modules())


def assert_agrees(network: nn.Module, images: torch.Tensor, left: int = 0) -> nn.Module:
    copy = folded(network, images[:1])
    assert copy is not None
    with torch.inference_mode():
        expected, found = network(images), copy.network(images)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
    assert norms_in(copy.network) == left
    return copy.network


def timm_network(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=5)


@pytest.mark.parametrize(
    ("make", "side", "left"),
    [
        (partial(create_vision_model, models.resnet18, 3, pretrained=False), 32, 0),
        (models.mobilenet_v3_small, 32, 0),
        (models.shufflenet_v2_x0_5, 32, 0),
        (partial(models.densenet._densenet, 4, (2, 2), 8, None, False), 32, 6),  # norms that stand before convolutions stay
        (partial(timm_network, "test_resnet"), 64, 0),
        (partial(timm_network, "test_efficientnet"), 64, 0),
        (partial(timm_network, "test_byobnet"), 64, 0),
        (partial(timm_network, "test_vit"), 160, 0),
    ],
    ids=["resnet18", "mobilenet", "shufflenet", "densenet", "test_resnet", "test_efficientnet", "test_byobnet", "test_vit"],
)
def test_networks_of_the_zoos_give_the_same_outputs(make, side, left):
    network = stirred(make())
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    assert_agrees(network, torch.randn(3, 3, side, side), left)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert is_stateless(network)


class Own(nn.Module):
    """A network of one's own, in which what happens to `features` and `x` is to be said."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)
        self.linear = nn.Linear(4, 2)
        self.count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.between(x, self.conv(x)).relu().mean((2, 3)))

    def between(self, x: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        return self.norm(features)


class BySize(Own):
    def between(self, x, features):
        return (
            self.norm(features) * 2 if x.shape[-1] > 1000 or x.dim() == 3 or not x.is_floating_point() else self.norm(features)
        )


def test_control_flow_by_sizes_will_do():
    network = stirred(BySize())
    assert_agrees(network, torch.randn(2, 3, 8, 8))
    assert not is_stateless(network)


class ByValue(Own):
    """Dark pictures are not normalised."""

    def between(self, x, features):
        return self.norm(features) if x.mean() > 0 else features


class ByItem(Own):
    def between(self, x, features):
        return self.norm(features) if x.mean().item() > 0 else features


class ByList(Own):
    def between(self, x, features):
        return self.norm(features) if sum(x.mean((1, 2, 3)).tolist()) > 0 else features


class ByCount(Own):
    """Goes by how many pictures are dark, which is a size."""

    def between(self, x, features):
        return self.norm(features) if not len((x.mean((1, 2, 3)) < 0).nonzero()) else features


class ByChoice(Own):
    def between(self, x, features):
        return self.norm(features) if not len(x[x.mean((1, 2, 3)) < 0]) else features


class ByBatch(Own):
    """One picture alone is another matter."""

    def between(self, x, features):
        return self.norm(features if len(x) == 1 else features * 1.5)


class BySelf(Own):
    """Every third call is another matter."""

    def between(self, x, features):
        self.count += 1
        return features if self.count % 3 == 0 else self.norm(features)


@pytest.mark.parametrize("kind", [ByValue, ByItem, ByList, ByCount, ByChoice, ByBatch, BySelf])
def test_what_may_go_another_way_with_other_pictures_has_no_copy(kind):
    bright = torch.randn(2, 3, 8, 8).abs()
    assert folded(stirred(kind()), bright) is None
    assert folded(stirred(Own()), bright) is not None


class Masked(Own):
    """Of dark pictures nothing is left."""

    def between(self, x, features):
        features[x.mean((1, 2, 3)) < 0] = 0
        return self.norm(features)


class Scaled(Own):
    def between(self, x, features):
        features.mul_(1 + (x.mean((1, 2, 3), keepdim=True) < 0).float())
        return self.norm(features)


@pytest.mark.parametrize("kind", [Masked, Scaled])
def test_what_changes_features_in_place_stands_between_them_and_their_norm(kind):
    network = stirred(kind())
    network.norm.bias.data.fill_(1)  # of nothing it makes something
    bright = torch.randn(2, 3, 8, 8).abs()
    copy = folded(network, bright)
    assert copy is not None
    dark = torch.cat([bright, -bright])
    with torch.no_grad():
        assert torch.allclose(copy.network(dark), network(dark), atol=1e-6)


def test_a_table_that_is_looked_up_by_place_is_no_look_at_values():
    class Placed(Own):
        def between(self, x, features):
            return self.norm(features) + torch.arange(36.0)[torch.arange(36).view(6, 6)]

    assert_agrees(stirred(Placed()), torch.randn(2, 3, 8, 8))


class Keeping(Own):
    """Keeps what it made in its first call."""

    def between(self, x, features):
        self.scale = getattr(self, "scale", None)
        if self.scale is None:
            self.scale = torch.ones(1)
        return self.norm(features) * self.scale


def test_what_a_network_kept_can_take_part_in_training_afterwards():
    network = stirred(Keeping())
    assert_agrees(network, torch.randn(2, 3, 8, 8))
    network(torch.randn(2, 3, 8, 8)).sum().backward()


def test_linear_layers_take_norms_of_both_sides():
    network = nn.Sequential(
        nn.Flatten(), nn.BatchNorm1d(12), nn.Dropout(0.5), nn.Linear(12, 8, bias=False), nn.ReLU(), nn.Linear(8, 4),
        nn.BatchNorm1d(4, affine=False),
    )  # fmt: skip
    assert_agrees(stirred(network), torch.randn(5, 3, 2, 2))


class SeenTwice(nn.Module):
    """Uses what its convolution gives beside the norm, or the same modules several times."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.conv, self.norm = nn.Conv2d(3, 3, 3, padding=1), nn.BatchNorm2d(3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.conv(x)
        if self.how == "beside":
            return (self.norm(features) + features).mean((2, 3))
        if self.how == "conv again":
            return self.conv(self.norm(features)).mean((2, 3))
        return self.norm(self.norm(features) + 1).mean((2, 3))


@pytest.mark.parametrize("how", ["beside", "conv again", "norm again"])
def test_what_is_used_twice_stays(how):
    assert_agrees(stirred(SeenTwice(how)), torch.randn(2, 3, 8, 8), left=1)


def test_norms_by_the_batch_stay():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), nn.Flatten())
    images = torch.randn(4, 3, 5, 5)
    copy = folded(network.eval(), images[:1])
    assert copy is not None
    assert torch.equal(copy.network(images), network(images))


def test_the_copy_keeps_its_own_mode_and_shares_what_it_does_not_replace():
    network = stirred(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Dropout(0.5), nn.Linear(36, 2)))
    images = torch.randn(2, 3, 5, 5)
    copy = assert_agrees(network, images)
    with torch.inference_mode():
        before = copy(images)
        network.train()
        assert torch.equal(copy(images), before)
    assert copy[4].weight is network[4].weight
    assert copy[0].weight is not network[0].weight


def test_sixteen_bits_are_what_autocast_would_make_of_the_weights():
    network = stirred(nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, 3)))
    images = torch.randn(4, 3, 5, 5)
    copy = folded(network, images, torch.bfloat16)
    assert copy is not None
    assert {parameter.dtype for parameter in copy.network.parameters()} == {torch.bfloat16}
    with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = copy.network(images), network(images)
    assert torch.equal(found, expected)
    exact = network(images)
    assert copy.error == pytest.approx(float((found.float() - exact).square().mean().sqrt().detach()))
    assert torch.equal(copy.exact(images), exact)


class Fickle(nn.Module):
    """Never gives the same twice."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.rand(len(x), 2)


def with_method() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten())
    network.path = [network[0].forward]
    return network


def with_hook() -> nn.Module:
    network = nn.Sequential(nn.Conv2d(3, 2, 3), nn.BatchNorm2d(2), nn.Flatten())
    network[0].register_forward_hook(lambda *args: None)
    return network


@pytest.mark.parametrize("make", [Fickle, with_method, with_hook])
def test_what_a_copy_could_not_do_has_none(make):
    assert folded(make().eval(), torch.randn(2, 3, 4, 4)) is None
