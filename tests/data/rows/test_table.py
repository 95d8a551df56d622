"""A table can be counted, printed and turned into a DataFrame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.data.rows.table import LEFT_OUT, Table, common_root, part_name
from sightline.errors import TableError


@pytest.fixture
def table():
    sources = tuple(Path("d") / name for name in ("train/cat/1.png", "train/dog/2.png", "valid/cat/3.png", "other/4.png"))
    split = np.array([0, 0, 1, LEFT_OUT], dtype=np.int8)
    return Table(sources, ("cat", "dog", "cat", None), split, root=Path("d"), reasons={3: "in no part of the split"})


def test_rows_and_counts_by_part(table):
    assert len(table) == 4
    assert table.rows(0).tolist() == [0, 1]
    assert table.rows(0).dtype == np.int64
    assert table.counts() == {"train": {"cat": 1, "dog": 1}, "valid": {"cat": 1}, "left out": {}}
    assert table.parts == [0, 1]
    assert [part_name(number) for number in (0, 1, 2, -1)] == ["train", "valid", "part 2", "left out"]


def test_lists_of_names_count_for_each_name():
    table = Table(("a", "b"), (["x", "y"], []), np.array([0, 1], dtype=np.int8))
    assert table.counts() == {"train": {"x": 1, "y": 1}, "valid": {}}


def test_a_table_prints_its_parts_its_labels_and_what_was_left_out(table):
    assert repr(table).splitlines() == [
        "Table: 4 pictures in d",
        "  train          2  cat 1, dog 1",
        "  valid          1  cat 1",
        "  left out       1  other/4.png: in no part of the split",
    ]


def test_many_labels_are_shortened_and_numbers_become_a_range():
    many = Table(tuple("abcdefghijkl"), tuple("abcdefghijkl"), np.zeros(12, dtype=np.int8))
    assert "h 1 and 4 more labels" in repr(many)
    numbers = Table(("a", "b"), (0.25, 3.0), np.zeros(2, dtype=np.int8))
    assert "0.25 to 3" in repr(numbers)


def test_rows_that_are_left_out_keep_their_reason(table):
    less = table.leave_out({1: "it is empty (0 bytes)"})
    assert less.rows(0).tolist() == [0]
    assert less.set_aside == {1: "it is empty (0 bytes)"}
    assert table.rows(0).tolist() == [0, 1]
    assert table.leave_out({}) is table


def test_a_table_becomes_a_frame(table):
    frame = table.leave_out({1: "broken"}).to_frame()
    assert frame.columns.tolist() == ["path", "label", "split", "reason"]
    assert frame["split"].tolist() == ["train", "left out", "valid", "left out"]
    assert frame["reason"].tolist() == ["", "broken", "", "in no part of the split"]
    assert frame["path"][0] == str(Path("d/train/cat/1.png"))


def test_pictures_are_named_below_their_common_folder_or_by_number(table):
    assert table.name(2) == "valid/cat/3.png"
    assert common_root([Path("a/b/1.png"), Path("a/c/2.png")]) == Path("a")
    assert common_root([Path("a/1.png"), Path("/b/2.png")]) is None
    assert common_root([np.zeros((2, 2))]) is None
    assert Table((np.zeros((2, 2)),), None, np.zeros(1, dtype=np.int8)).name(0) == "picture 0"


def test_columns_must_be_as_long_as_the_table():
    with pytest.raises(TableError, match=r"labels has 1 value, but there are 2 pictures"):
        Table(("a", "b"), ("x",), np.zeros(2, dtype=np.int8))
