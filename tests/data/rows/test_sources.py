"""What counts as a picture, and how items that are given in many ways become a list."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from data.drawn import break_picture, draw
from sightline.data.rows.sources import as_items, as_source, failure, is_picture, named_reasons
from sightline.errors import ImageError, TableError


@pytest.mark.parametrize("value", ["a.png", Path("a"), b"\x89PNG", np.zeros((2, 2, 3)), torch.zeros(3, 2, 2)], ids=str)
def test_paths_bytes_arrays_and_tensors_are_pictures(value):
    assert is_picture(value)


@pytest.mark.parametrize("value", [{"a": 1}, ("a", "b"), 3, None, np.array(["a.png"]), np.zeros((5, 2, 2, 3))], ids=str)
def test_rows_numbers_and_stacks_are_not(value):
    assert not is_picture(value)


def test_sources_are_paths_or_pictures_and_nothing_else():
    assert as_source("a.png") == Path("a.png")
    assert as_source(np.str_("a.png")) == Path("a.png")
    for blank in (None, float("nan"), " "):
        with pytest.raises(TableError, match=r"the file name is blank"):
            as_source(blank)
    with pytest.raises(TableError, match=r"a dict, expected a path"):
        as_source({})


def test_items_become_a_list(tmp_path):
    draw(tmp_path / "a.png")
    (tmp_path / "b.txt").touch()
    assert as_items(tmp_path) == [tmp_path / "a.png"]
    assert as_items(str(tmp_path)) == [tmp_path / "a.png"]
    assert as_items("a.png") == ["a.png"]
    assert as_items(iter("ab")) == ["a", "b"]
    assert as_items({"file": "a"}) == [{"file": "a"}]
    names = np.array(["a.png", "b.png"])
    assert as_items(names) is names


def test_reasons_are_named_and_counted(tmp_path):
    assert named_reasons((str(i), "why") for i in range(12)).endswith("'9' (why) and 2 more")
    assert failure(lambda: None) is None

    def fail():
        raise ImageError("'a.png' cannot be read: it is empty (0 bytes).")

    assert failure(fail) == "it is empty (0 bytes)"
    break_picture(tmp_path / "x.png")
