"""A CSV file is read without losing what stands in it."""

from __future__ import annotations

import pytest

from sightline.data.rows.frames import read_labels
from sightline.errors import TableError


def read(tmp_path, text, **options):
    path = tmp_path / "labels.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_labels(path, **options)


def test_file_names_stay_text(tmp_path):
    assert read(tmp_path, "f,l\n001,a\n002,b\n")["f"].tolist() == ["001", "002"]


@pytest.mark.parametrize(
    ("written", "values"),
    [
        (["001", "2"], ["001", "2"]),
        (["1", "2"], [1, 2]),
        (["-3", "0"], [-3, 0]),
        (["+1", "2"], ["+1", "2"]),
        (["1.5", "2"], [1.5, 2.0]),
        (["True", "False"], ["True", "False"]),
        (["a", "1"], ["a", "1"]),
        (["12345678901234567890123", "1"], ["12345678901234567890123", "1"]),
    ],
    ids=str,
)
def test_labels_are_numbers_only_where_that_loses_nothing(tmp_path, written, values):
    found = read(tmp_path, "f,l\n" + "".join(f"x,{value}\n" for value in written))["l"].tolist()
    assert found == values
    assert [type(value) for value in found] == [type(value) for value in values]


def test_blank_cells_stay_blank(tmp_path):
    frame = read(tmp_path, "f,l,m\nx,a,1\ny,,\n", label_columns=["l", "m"])
    assert frame["l"].isna().tolist() == [False, True]
    assert frame["m"].isna().tolist() == [False, True]


def test_a_byte_order_mark_and_other_columns_do_no_harm(tmp_path):
    frame = read(tmp_path, b"\xef\xbb\xbff,l,is_valid\na,x,True\nb,y,False\n")
    assert frame.columns.tolist() == ["f", "l", "is_valid"]
    assert frame["is_valid"].tolist() == [True, False]


def test_what_is_no_table_is_told(tmp_path):
    (tmp_path / "lables.csv").touch()
    with pytest.raises(TableError, match=r"There is no file .*labels.csv\. Did you mean 'lables.csv'\?"):
        read_labels(tmp_path / "labels.csv")
    for text in ("", b"\xff\xfe\x00\xd8a,b\n", "a,b\n1,2\n3,4,5,6\n"):
        with pytest.raises(TableError, match=r"cannot be read as a table: .*(in UTF-8|Mend those rows)"):
            read(tmp_path, text)
