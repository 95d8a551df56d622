"""What is loaded later answers as the real thing does."""

from __future__ import annotations

import copy
from types import ModuleType

import matplotlib.pyplot
import pandas
import pytest
from torchvision import models

from sightline.compat.later import CLASSES, MODULES, LaterClass, LaterModule, later


@pytest.mark.parametrize("name", MODULES)
def test_a_module_is_one_of_the_name_that_scripts_use(name):
    module = later(name)
    assert isinstance(module, ModuleType)
    assert module.__name__ == MODULES[name]


def test_a_module_hands_on_what_is_asked_and_what_is_set(monkeypatch):
    plt = LaterModule("matplotlib.pyplot")
    assert plt.figure is matplotlib.pyplot.figure
    assert dir(plt) == dir(matplotlib.pyplot)
    monkeypatch.setattr(plt, "rcdefaults", "set")
    assert matplotlib.pyplot.rcdefaults == "set"
    plt.of_a_script = 1
    del plt.of_a_script
    with pytest.raises(AttributeError, match="of_a_script"):
        plt.of_a_script  # noqa: B018


def test_weights_are_torchvisions():
    weights = later("ResNet50_Weights")
    assert weights.DEFAULT is models.ResNet50_Weights.DEFAULT
    assert weights["IMAGENET1K_V1"] is models.ResNet50_Weights.IMAGENET1K_V1
    assert list(weights) == list(models.ResNet50_Weights)
    assert len(weights) == 2
    assert isinstance(weights.DEFAULT, weights)
    assert weights.DEFAULT in weights
    assert weights == models.ResNet50_Weights
    assert hash(weights) == hash(models.ResNet50_Weights)
    assert copy.copy(weights) == weights


def test_a_class_can_be_called_and_inherited_from():
    later_class = LaterClass(CLASSES["CategoricalDtype"], "CategoricalDtype")

    class Mine(later_class):
        pass

    assert issubclass(Mine, pandas.CategoricalDtype)
    assert issubclass(Mine, later_class)
    assert later_class(["a"]) == pandas.CategoricalDtype(["a"])
    assert repr(later_class) == repr(pandas.CategoricalDtype)
