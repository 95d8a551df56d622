"""The table of a command line: its columns are found, its files are looked for, and it may not lead out of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.small import COLOURS, draw
from sightline.cli.labelled import read_table
from sightline.cli.settings import TableSettings
from sightline.errors import OptionError, SightlineWarning, TableError


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for number in range(4):
        draw(tmp_path / "set" / f"{number}.png", COLOURS["red"], number)
    return tmp_path / "set"


def table_of(data: Path, written: str | bytes, **options):
    (data / "labels.csv").write_bytes(written.encode() if isinstance(written, str) else written)
    return read_table(TableSettings(Path("labels.csv"), **options), data)


def test_a_table_with_semicolons_of_windows_is_read(data):
    with pytest.warns(SightlineWarning, match=r"read as Windows-1252"):
        table = table_of(
            data, "Datei;Größe;Sorte\r\n0.png;1,5;Käse\r\n1.png;2,5;Brot\r\n".encode("cp1252"), label_cols=("Sorte",)
        )
    assert table.frame["Sorte"].tolist() == ["Käse", "Brot"]
    assert (table.fn_col, table.label_cols) == ("Datei", ("Sorte",))


def test_a_table_without_names_of_columns_is_read_by_their_places(data):
    with pytest.warns(SightlineWarning, match=r"has no column names"):
        table = table_of(data, "0.png,007\n1.png,08\n")
    assert (table.fn_col, table.label_cols) == ("0", ("1",))
    assert table.frame["1"].tolist() == ["007", "08"]


def test_columns_of_parts_and_groups_are_no_labels(data):
    table = table_of(data, "file,patient,is_valid,kind\n0.png,1,True,a\n1.png,1,False,b\n", group_col="patient")
    assert (table.label_cols, table.group_col, table.valid_col) == (("kind",), "patient", "is_valid")
    with pytest.raises(TableError, match=r"no column 'patint'.*Did you mean 'patient'"):
        table_of(data, "file,patient,kind\n0.png,1,a\n", group_col="patint")


def test_several_labels_in_a_cell_stay_as_they_are_written(data):
    table = table_of(data, "file,codes\n0.png,1.50\n1.png,1.5\n", label_delim=" ")
    assert table.frame["codes"].tolist() == ["1.50", "1.5"]


def test_measured_values_are_told_from_names(data):
    assert table_of(data, "file,size\n0.png,1.50\n1.png,2\n").holds_fractions
    assert not table_of(data, "file,kind\n0.png,1\n1.png,2\n").holds_fractions


def test_files_outside_are_refused_unless_allowed(data, tmp_path):
    draw(tmp_path / "beside.png", COLOURS["red"], 9)
    for name in ("../beside.png", str(tmp_path / "beside.png")):
        written = f"file,kind\n0.png,a\n{name},b\n"
        with pytest.raises(TableError, match=r"1 file outside of .* on line 3.*--allow-outside"):
            table_of(data, written)
        assert table_of(data, written, allow_outside=True).frame["file"].tolist() == ["0.png", name]


def test_a_file_that_is_told_twice_counts_once_and_one_that_is_told_differently_is_refused(data):
    with pytest.warns(SightlineWarning, match=r"again in 1 row \(first: '0.png' on line 4\)"):
        table = table_of(data, "file,kind\n0.png,a\n1.png,b\n0.png,a\n")
    assert table.frame.index.tolist() == [2, 3]
    with pytest.raises(TableError, match=r"contradicts itself about 1 file: '0.png' \(a on line 2; b on line 4\)"):
        table_of(data, "file,kind\n0.png,a\n1.png,b\n0.png,b\n")


def test_options_of_tables_mean_nothing_without_one():
    from sightline.cli.beforehand import refuse_table_options

    for options, name in (({"group_col": "a"}, "--group-col"), ({"allow_outside": True}, "--allow-outside")):
        with pytest.raises(OptionError, match=name):
            refuse_table_options(TableSettings(**options))
