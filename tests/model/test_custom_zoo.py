"""A constructor of the user's own: called in the way it can be, cut before its last pooling, and never exported by name."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import nn
from torchvision import models

from sightline.errors import BundleError, ModelError, WeightsError
from sightline.model.custom_zoo import CustomBackbone
from sightline.model.vision import build_from_spec, create_vision_model, parameter_groups


class Small(nn.Module):
    """Four blocks, a pooling layer and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 4, 8, 16, 32)
        self.blocks = nn.Sequential(*[nn.Conv2d(i, o, 3, padding=1) for i, o in pairwise(widths)])
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.blocks(x)).flatten(1))


def test_a_body_ends_before_the_last_pooling_layer_and_is_divided_by_its_blocks():
    model = create_vision_model(Small, 3, pretrained=False)
    assert model.spec.zoo == "custom"
    assert model.spec.n_features == 32
    assert model(torch.randn(2, 3, 8, 8)).shape == (2, 3)
    assert [len(group) for group in parameter_groups(model)[:2]] == [4, 4]
    assert model.stats is None


def test_a_constructor_gets_pretrained_or_weights_or_nothing_as_it_can():
    calls = []

    def takes_pretrained(pretrained: bool) -> nn.Module:
        calls.append(("pretrained", pretrained))
        return Small()

    def takes_weights(*, weights: str | None = None) -> nn.Module:
        calls.append(("weights", weights))
        return Small()

    def takes_nothing() -> nn.Module:
        calls.append(())
        return Small()

    def takes_anything(**options: object) -> nn.Module:
        calls.append(tuple(options.items()))
        return Small()

    create_vision_model(takes_pretrained, 2)
    create_vision_model(takes_pretrained, 2, pretrained=False)
    create_vision_model(takes_weights, 2)
    create_vision_model(takes_weights, 2, weights="V2")
    create_vision_model(takes_weights, 2, pretrained=False)
    create_vision_model(takes_nothing, 2)
    create_vision_model(takes_anything, 2)
    assert calls == [
        ("pretrained", True),
        ("pretrained", False),
        ("weights", "DEFAULT"),
        ("weights", "V2"),
        ("weights", None),
        (),
        (("pretrained", True),),
    ]


def test_weights_that_it_brings_are_adapted_to_other_input_channels():
    network = Small()
    rgb = network.blocks[0].weight.clone()
    model = create_vision_model(lambda pretrained: network, 2, n_in=1)
    torch.testing.assert_close(model.body[0][0].weight, rgb.sum(dim=1, keepdim=True))


def test_a_file_of_its_own_names_is_matched(tmp_path):
    torch.save(Small().state_dict(), tmp_path / "small.pth")
    model = create_vision_model(Small, 2, weights=tmp_path / "small.pth")
    saved = torch.load(tmp_path / "small.pth", weights_only=True)
    assert torch.equal(model.body[0][2].weight, saved["blocks.2.weight"])


def test_a_network_without_pooling_asks_for_a_place_to_cut():
    def flat() -> nn.Module:
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(2))

    with pytest.raises(ModelError, match=r"flat has no pooling layer that would show where its body ends. Pass cut="):
        create_vision_model(flat, 2, pretrained=False)
    assert create_vision_model(flat, 2, pretrained=False, cut=2).spec.n_features == 4


@pytest.mark.parametrize(
    ("arch", "options", "error", "message"),
    [
        (lambda: "no network", {}, ModelError, r"returned str. Expected a torch.nn.Module"),
        (
            Small,
            {"weights": "V1"},
            WeightsError,
            "weights='V1' cannot be passed to Small, which takes no weights=. Give a file",
        ),
        (Small, {"img_size": 64}, ModelError, "img_size=.64, 64. cannot be passed to Small"),
        (
            Small,
            {"cut": lambda net: nn.Sequential(net.blocks, nn.Flatten(2))},
            ModelError,
            "gives .* for one picture. Expected",
        ),
    ],
)
def test_what_does_not_fit_is_refused(arch, options, error, message):
    with pytest.raises(error, match=message):
        create_vision_model(arch, 2, **options)


def test_its_description_says_that_it_needs_code_and_is_not_built_from():
    spec = create_vision_model(Small, 2, pretrained=False).spec
    assert spec.needs_code == ("arch=Small is a constructor of your own",)
    with pytest.raises(BundleError, match="cannot be built from its description alone: arch=Small is a constructor"):
        build_from_spec(spec)


def test_torchvisions_constructors_with_options_work_as_ones_own():
    backbone = CustomBackbone(lambda pretrained: models.resnet18(weights=None, replace_stride_with_dilation=None))
    body = backbone.build()
    assert len(body.module) == 8
    assert body.recipe is None
