"""Getters read labels and paths as fastai's do, keep text as it is, and say what a table's columns are called."""

from __future__ import annotations

import operator
from collections import namedtuple
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from sightline.data.block import DataBlock
from sightline.data.rows.getters import (
    AttrGetter,
    ColReader,
    ItemGetter,
    Pipeline,
    RegexLabeller,
    column_of,
    each_item,
    parent_label,
    using_attr,
)
from sightline.data.rows.split import EndSplitter
from sightline.errors import LabelError, TableError


@pytest.fixture
def frame():
    return pd.DataFrame({"file": ["a", "b"], "tags": ["x y", None], "more": ["z", "w"], "size": [1, 2], "share": [0.5, 1.5]})


def rows(frame):
    return list(each_item(frame))


def test_the_label_is_the_name_of_the_folder():
    assert parent_label(Path("pets/cat/1.jpg")) == parent_label("pets/cat/1.jpg") == "cat"


def test_a_regular_expression_labels_by_its_first_group():
    # Facts from fastai.
    assert RegexLabeller(r"^(.+)_\d+.jpg$")("/a/b/great_pyrenees_12.jpg") == "/a/b/great_pyrenees"
    assert using_attr(RegexLabeller(r"^(.+)_\d+.jpg$"), "name")(Path("/a/b/great_pyrenees_12.jpg")) == "great_pyrenees"
    assert RegexLabeller(r"b/(\w)")("a/b/c.jpg") == "c"


def test_a_regular_expression_says_what_it_did_not_match():
    with pytest.raises(LabelError, match=r"pattern 'b/\(x\)' was not found in 'a/b/c.jpg'"):
        RegexLabeller(r"b/(x)")("a/b/c.jpg")
    with pytest.raises(LabelError, match=r"was not found"):
        RegexLabeller(r"b/(c)", match=True)("a/b/c.jpg")
    with pytest.raises(LabelError, match=r"has no group. Put parentheses"):
        RegexLabeller(r"b/c")
    with pytest.raises(LabelError, match=r"is not a regular expression"):
        RegexLabeller(r"(b")


@pytest.mark.parametrize(
    ("reader", "first"),
    [
        (ColReader("file", pref="p/", suff=".png"), "p/a.png"),
        (ColReader("file", pref=Path("d")), "d/a"),
        (ColReader(0, pref=Path("d"), suff=".png"), "d/a.png"),
        (ColReader("tags"), "x y"),
        (ColReader("tags", label_delim=" "), ["x", "y"]),
        (ColReader(["tags", "more"]), ["x y", "z"]),
        (ColReader("size"), 1),
        (ColReader(-1), 0.5),
    ],
)
def test_a_column_is_read_the_same_from_a_row_and_from_the_whole_table(frame, reader, first):
    assert reader(rows(frame)[0]) == first
    assert reader.read_frame(frame)[0] == first


def test_rows_keep_the_types_of_their_columns(frame):
    numbers = frame[["size", "share"]]
    assert [type(value).__name__ for value in rows(numbers)[0]] == ["int", "float"]


def test_a_blank_cell_has_no_labels_and_is_no_file_name(frame):
    assert ColReader("tags", label_delim=" ").read_frame(frame)[1] == []
    assert ColReader("tags", label_delim=" ")(pd.Series({"tags": "x  y "})) == ["x", "y"]
    assert pd.isna(ColReader("tags", pref="p/", suff=".png").read_frame(frame)[1])


def test_an_absolute_path_stays_as_it_is():
    assert ColReader("f", pref=Path("d"))({"f": "/x/a.png"}) == "/x/a.png"


def test_a_wrong_column_gets_the_closest_name_and_all_names(frame):
    for read in (
        ColReader("tag").read_frame,
        lambda frame: ColReader("tag")(rows(frame)[0]),
        lambda frame: column_of(frame, "tag"),
    ):
        with pytest.raises(
            TableError, match=r"There is no column 'tag'\. The table has 5 columns: 'file', .*Did you mean 'tags'\?"
        ):
            read(frame)
    with pytest.raises(TableError, match=r"There is no column 7"):
        ColReader(7).read_frame(frame)
    with pytest.raises(TableError, match=r"is it a pandas DataFrame"):
        ColReader("tag")(3)
    with pytest.raises(TableError, match=r"several columns named 'a'"):
        column_of(pd.DataFrame([[1, 2]], columns=["a", "a"]), "a")


def test_rows_may_be_named_tuples_and_dictionaries():
    row = namedtuple("Row", "file label")("a.png", "cat")
    assert ColReader("label")(row) == ColReader(1)(row) == ColReader("label")({"label": "cat"}) == "cat"
    with pytest.raises(TableError, match=r"Did you mean 'label'\?"):
        ColReader("labels")(row)


def test_items_attributes_and_chains():
    assert ItemGetter(1)(("a", "b")) == "b"
    assert AttrGetter("name")(Path("a/b.png")) == "b.png"
    assert AttrGetter("nothing", default=3)(Path("a")) == 3
    assert Pipeline([ItemGetter(0), str.upper])(("a",)) == "A"
    assert Pipeline(str.upper)("a") == "A"
    assert "upper" in repr(Pipeline([str.upper]))


def test_several_columns_may_be_named_in_any_collection(frame):
    expected = [["x y", "z"], [None, "w"]]
    for cols in (["tags", "more"], ("tags", "more"), frame.columns[1:3], np.array(["tags", "more"])):
        assert ColReader(cols).read_frame(frame)[0] == expected[0]
        assert ColReader(cols)(rows(frame)[0]) == expected[0]


def test_functions_of_a_script_are_composed_in_every_way_it_writes_them(tmp_path):
    pictures = [np.zeros((2, 2, 3), np.uint8)] * 4
    items = list(zip(pictures, ["A_1", "B_2", "A_3", "B_4"], strict=True))
    for labels in (
        [ItemGetter(1), RegexLabeller(r"(.+)_"), str.lower],
        Pipeline([ItemGetter(1), Pipeline([RegexLabeller(r"(.+)_"), str.lower])]),
        lambda item: item[1][0].lower(),
    ):
        block = DataBlock(get_x=ItemGetter(0), get_y=labels, splitter=EndSplitter(0.5))
        assert block.read_datasets(items).vocab == ["a", "b"]
        both = DataBlock(getters=[ItemGetter(0), labels], splitter=EndSplitter(0.5))
        assert both.read_datasets(items).vocab == ["a", "b"]
    files = [Path(f"{name}_{i}.png") for i, name in enumerate("abab")]
    by_name = Pipeline([operator.attrgetter("name"), RegexLabeller(r"^(.)_")])
    assert (
        [by_name(file) for file in files]
        == [using_attr(RegexLabeller(r"^(.)_"), "name")(file) for file in files]
        == list("abab")
    )
