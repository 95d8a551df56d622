"""A misspelt architecture is refused without a zoo, and no name that a zoo has ever is."""

from __future__ import annotations

import re

import pytest
import timm

from sightline.errors import ArchitectureError
from sightline.model.backbones import list_architectures
from sightline.model.spelling import check_spelling, no_such_architecture


@pytest.mark.parametrize("name", ["resnet81", "resnet81.a1_in1k", "convnexttiny", "no such"])
def test_a_name_of_neither_zoo_is_refused(name):
    with pytest.raises(ArchitectureError, match="There is no architecture called"):
        check_spelling(name)


def test_the_closest_names_are_in_the_message():
    with pytest.raises(ArchitectureError, match="Did you mean 'resnet18'"):
        check_spelling("resnet81")
    assert "Did you mean" not in str(no_such_architecture("zzzz", ["resnet18"]))


@pytest.mark.parametrize("name", ["swin_t", "resnet18.a1_in1k", "vit_base_patch16_224_in21k", "test_resnet", ""])
def test_what_may_be_right_passes(name):
    check_spelling(name)


def test_every_name_of_the_zoos_passes(monkeypatch):
    texts = []
    monkeypatch.setattr("sightline.model.spelling.re.search", lambda pattern, text: texts.append(text) or True)
    check_spelling("resnet18")
    words = set(re.findall(r"\w+", texts[0]))
    assert {*list_architectures(), *timm.models.get_deprecated_models()} <= words
