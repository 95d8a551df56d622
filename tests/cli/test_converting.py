"""`sightline convert`: weights of fastai on the command line."""

from __future__ import annotations

import json

import pytest
import torch

from cli.small import run
from fastai_networks import of_timm
from sightline.bundle import Bundle
from sightline.cli.converting import names_of
from sightline.errors import OptionError


@pytest.fixture
def old(tmp_path):
    torch.save(of_timm("test_resnet", 3).state_dict(), tmp_path / "old.pth")
    return tmp_path / "old.pth"


def test_weights_with_labels_become_a_file_that_predicts(old, folders, tmp_path, shown):
    out = tmp_path / "new.safetensors"
    names = ["--labels", "red, green,blue", "--size", 32]
    assert run("convert", old, "--arch", "test_resnet", *names, "--out", out) == 0
    assert f"{out}: test_resnet, single label: 'red', 'green' and 'blue'." in (text := shown())
    assert f"sightline predict {out} PICTURES" in text
    assert run("predict", out, folders / "valid", "--device", "cpu") == 0
    assert "12 pictures in" in shown()


def test_weights_alone_say_what_they_are_for(old, shown):
    assert run("convert", old) == 0
    assert "weights alone, which do not predict by themselves. Train further: vision_learner(" in shown()


def test_errors_speak_of_options(old, shown):
    assert run("convert", old, "--labels", "a,b,c") == 2
    assert "pass --arch" in shown()
    assert run("convert", old, "--arch", "test_resnet", "--regression", "--labels", "a,b,c") == 2
    assert "Give either labels or --regression" in shown()
    assert run("convert", old, "--arch", "test_resnet", "--regression", "--y-low", 0) == 2
    assert "--y-low and --y-high belong together" in shown()


def test_numbers_within_bounds(old):
    assert run("convert", old, "--arch", "test_resnet", "--regression", "--y-low", 0, "--y-high", 5) == 0
    bundle = Bundle.load(old.with_suffix(".safetensors"))
    assert bundle.spec.head.y_range == (0.0, 5.0)
    assert bundle.target.num_outputs == 3


def test_names_come_from_the_line_or_from_a_file(tmp_path):
    assert names_of("cat, dog", None) == ["cat", "dog"]
    assert names_of(None, None) is None
    (tmp_path / "lines.txt").write_text("tabby cat\n\ndog\n")
    assert names_of(None, tmp_path / "lines.txt") == ["tabby cat", "dog"]
    (tmp_path / "list.json").write_text(json.dumps(["b", "a"]))
    assert names_of(None, tmp_path / "list.json") == ["b", "a"]
    (tmp_path / "empty.txt").write_text("\n")
    with pytest.raises(OptionError, match="holds no names"):
        names_of(None, tmp_path / "empty.txt")
    with pytest.raises(OptionError, match="cannot be read"):
        names_of(None, tmp_path / "absent.txt")
    with pytest.raises(OptionError, match="both name the outputs"):
        names_of("a", tmp_path / "lines.txt")
