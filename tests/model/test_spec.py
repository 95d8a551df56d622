"""The description of a network: it comes back as it went, and a hostile one is refused."""

from __future__ import annotations

import json

import pytest
import torch
from torchvision import models

from sightline.errors import BundleError
from sightline.model.spec import ModelSpec
from sightline.model.vision import build_from_spec, create_vision_model

GOOD = ModelSpec(zoo="torchvision", arch="resnet18", n_out=3, n_features=512).to_json() | {"head": {}}


@pytest.mark.parametrize(
    ("arch", "options"),
    [
        (models.resnet18, {}),
        (models.resnet18, {"cut": -3, "n_in": 2, "lin_ftrs": [8], "ps": [0.1, 0.2], "y_range": (0, 1)}),
        (models.googlenet, {"concat_pool": False, "bn_final": True}),
        ("test_vit", {"img_size": 96, "lin_first": True}),
        ("test_convnext.r160_in1k", {}),
    ],
)
def test_a_network_comes_back_from_json_with_the_same_outputs(arch, options):
    model = create_vision_model(arch, 3, pretrained=False, **options).eval()
    text = json.dumps(model.spec.to_json())
    again = build_from_spec(ModelSpec.from_json(json.loads(text))).eval()
    assert again.spec == model.spec
    again.load_state_dict(model.state_dict())
    pictures = torch.randn(2, model.spec.n_in, 96, 96)
    assert torch.equal(again(pictures), model(pictures))


def test_building_from_a_description_leaves_the_callers_random_numbers_alone():
    spec = create_vision_model(models.squeezenet1_1, 2, pretrained=False).spec
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    build_from_spec(spec)
    assert torch.equal(torch.rand(3), expected)


def test_a_head_of_ones_own_is_marked_and_has_to_be_given_again():
    head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))
    model = create_vision_model(models.squeezenet1_1, 2, pretrained=False, custom_head=head, init=None)
    assert model.spec.needs_code == ("custom_head is a network of your own",)
    with pytest.raises(BundleError, match="custom_head is a network of your own"):
        build_from_spec(model.spec)
    assert build_from_spec(ModelSpec.from_json(model.spec.to_json()), custom_head=head).head is head


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"arhc": "x"}, "unknown name 'arhc': was it written by a newer sightline"),
        ({"zoo": "builtins"}, "zoo='builtins'. Expected one of"),
        ({"arch": ["resnet18"]}, "arch=.* Expected a text"),
        ({"arch": "eval"}, None),
        ({"n_out": 0}, "n_out=0. Expected a whole number from 1"),
        ({"n_out": True}, "n_out=True"),
        ({"n_out": 10**12}, "Expected a whole number from 1"),
        ({"n_in": 10**9}, "n_in=1000000000. Expected a whole number from 1 to 4,096"),
        ({"n_features": None}, "n_features=None. Expected a number of features"),
        ({"n_features": 10**6, "n_out": 10**6}, "weights. Expected at most"),
        ({"cut": "__import__"}, "cut='__import__'. Expected a whole number from"),
        ({"cut": 1.5}, "cut=1.5"),
        ({"img_size": [224]}, r"img_size=\[224\]. Expected a list of 2"),
        ({"img_size": [10**9, 10**9]}, "img_size"),
        ({"head": "concat"}, "head='concat'. Expected names with values"),
        ({"head": {"lin_ftrs": [10**9]}}, "head in the file is not valid"),
        ({"arch": "../../resnet18"}, "arch='../../resnet18'. Expected a name of letters"),
        ({"arch": "https://example.org/net"}, "Expected a name of letters"),
        ({"head": {"lin_ftrs": [True]}}, "head in the file is not valid"),
        ({"head": {"y_range": [0, "1"]}}, "head in the file is not valid"),
        ({"source": 5}, "source=5. Expected a text of"),
    ],
)
def test_a_stored_description_that_is_wrong_is_refused(change, message):
    if message is None:
        with pytest.raises(BundleError, match="cannot be built here: The installed torchvision has no network called 'eval'"):
            build_from_spec(ModelSpec.from_json(GOOD | change))
        return
    with pytest.raises(BundleError, match=message):
        ModelSpec.from_json(GOOD | change)


@pytest.mark.parametrize("data", [[], "resnet18", None, {"zoo": "torchvision"}, {}])
def test_a_stored_description_that_lacks_what_it_needs_is_refused(data):
    with pytest.raises(BundleError, match=r"Expected names with values|lacks (zoo, )?arch, n_out"):
        ModelSpec.from_json(data)


def test_a_size_that_the_architecture_cannot_have_is_a_fault_of_the_file():
    with pytest.raises(BundleError, match="cannot be built here: resnet18 is not built for one size"):
        build_from_spec(ModelSpec.from_json(GOOD | {"img_size": [64, 64]}))
