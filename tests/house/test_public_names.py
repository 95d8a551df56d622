"""Every public name is there, is described to type checkers, and is found again after a typing mistake."""

from __future__ import annotations

import sys

import pytest

import sightline
from house.checks import FLOORS
from house.stub import STUB, stub_text
from sightline import errors


def test_every_name_resolves_and_is_what_its_module_holds():
    for name, home in sightline._HOME_OF.items():
        assert getattr(sightline, name) is getattr(sys.modules[home], name), f"{home}.{name}"


def test_no_name_stands_in_two_modules():
    names = [name for names in sightline._HOMES.values() for name in names.split()]
    assert len(names) == len(set(names)) == len(sightline.__all__)


def test_no_name_hides_a_room():
    assert not set(sightline.__all__) & set(FLOORS)


def test_all_names_can_be_listed_and_imported_with_a_star():
    assert set(sightline.__all__) <= set(dir(sightline))
    namespace: dict[str, object] = {}
    exec("from sightline import *", namespace)
    assert set(sightline.__all__) <= set(namespace)


def test_the_stub_names_the_same():
    assert set(STUB.read_text(encoding="utf-8").split("\n")) == set(stub_text().split("\n")), "run python tests/house/stub.py"


def test_every_torchvision_classifier_is_a_public_name():
    from torchvision import models

    assert set(sightline._HOMES["sightline.model.architectures"].split()) == set(models.list_models(module=models))


def test_every_error_is_a_public_name():
    kinds = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception | Warning)}
    assert kinds <= set(sightline.__all__)


def test_a_misspelt_name_gets_the_closest_ones():
    with pytest.raises(AttributeError, match=r"sightline has no name 'vision_lerner'. Did you mean 'vision_learner'"):
        sightline.vision_lerner  # noqa: B018
    with pytest.raises(ImportError, match="resnet43"):
        from sightline import resnet43  # noqa: F401
