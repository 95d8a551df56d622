"""Scripts written for fastai run with one line changed, and report what they report with fastai.

`benchmarks/fastai_scripts.py` made the facts, by running the same scripts with fastai 2.8.12.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import warnings
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import drawings  # noqa: E402
import runner  # noqa: E402

FACTS = json.loads((HERE.parent / "reference" / "fastai_scripts.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def plotting():
    """Loading pyplot takes a second, which belongs to no script."""
    import matplotlib.pyplot as plt

    return plt


@pytest.mark.parametrize("name", runner.names())
def test_the_script_reports_the_same(name, tmp_path, plotting):
    folder = drawings.draw_all(tmp_path / "data")
    with warnings.catch_warnings():
        # Tiny sets are warned about, and scripts show figures where nobody looks.
        warnings.simplefilter("ignore")
        found = runner.run(name, "sightline", folder)
    expected = FACTS[name]
    merits = {key for key in expected if key.startswith("=")}
    exact = ({key: value for key, value in facts.items() if key not in merits} for facts in (expected, found))
    assert runner.differences(*exact) == []
    for key in merits:
        middle, spread = statistics.mean(expected[key]), statistics.stdev(expected[key])
        assert found[key] == pytest.approx(middle, abs=max(4 * spread, 0.1)), key


def test_there_is_a_fact_for_every_script_and_a_script_for_every_fact():
    assert runner.names() == sorted(FACTS)
    assert len(FACTS) >= 25


@pytest.mark.parametrize("name", runner.names())
def test_one_line_names_the_library(name):
    lines = (runner.SCRIPTS / f"{name}.py").read_text(encoding="utf-8").splitlines()
    assert lines[0] == runner.FIRST_LINE["fastai"]
    assert not [line for line in lines[1:] if "fastai." in line or "sightline" in line]


def test_differences_are_found():
    same = {"a": [1.0, "x"], "b": {"c": None, "d": math.nan}}
    assert runner.differences(same, {"a": [1.00001, "x"], "b": {"c": None, "d": math.nan}}) == []
    assert runner.differences(same, {"a": [1.01, "x"], "b": {"c": 0, "d": math.nan}}) == [
        "/a[0]: 1.0 became 1.01",
        "/b/c: None became 0",
    ]
    assert runner.differences({"a": 1}, {"a": 1.0}) == ["/a: 1 became 1.0"]
    assert runner.differences({"a": 1}, {"b": 1}) == [": {'a': 1} became {'b': 1}"]


def test_descriptions_tell_kinds_apart(tmp_path):
    import numpy as np
    import torch

    facts = runner.Facts(tmp_path)
    facts.report(t=torch.tensor([1, 2]), a=np.zeros((2, 50)), p=tmp_path / "a" / "b", many=(1, "x", None, True))
    assert facts.facts["t"] == {"tensor": [2], "dtype": "int64", "values": [1.0, 2.0]}
    assert facts.facts["a"] == {"array": [2, 50], "dtype": "float64", "values": [0.0] * 5}
    assert facts.facts["p"] == "path a/b"
    assert facts.facts["many"] == [1, "x", None, True]
    facts.loosely(t=torch.rand(3), row=[0.5, 2])
    assert facts.facts["~t"] == {"tensor": [3], "dtype": "float32"}
    assert facts.facts["~row"] == ["a number", 2]
    with pytest.raises(TypeError, match="A object has no plain description"):
        facts.report(x=object())
