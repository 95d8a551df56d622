"""Tables as people and their programs write them: each loads as it is meant, or ends in one error that says where and why."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

from data.drawn import draw
from sightline.data.blocks import MultiCategoryBlock, RegressionBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.rows.frames import read_labels, without_repeats
from sightline.data.rows.inside import refuse_outside
from sightline.data.rows.split import RandomSplitter
from sightline.data.transforms.items import Resize
from sightline.errors import DataError, LabelError, OptionError, SightlineError, SightlineWarning, SplitError, TableError

CATS = {"a.png": "cat", "b.png": "dog", "c.png": "cat"}
ROWS = "a.png,cat\nb.png,dog\nc.png,cat\n"
TAGS: dict[str, Any] = {"label_delim": " "}
NUMBERS: dict[str, Any] = {"y_block": RegressionBlock}


class Case(NamedTuple):
    """A file, how it is loaded, and the labels by file name, or the error's class and words; and words of a warning."""

    name: str
    written: str | bytes
    expected: Any
    options: Mapping[str, Any] = MappingProxyType({})
    warned: str | None = None


CASES = [
    Case("plain", "file,label\n" + ROWS, CATS),
    Case("UTF-8 with a byte order mark", b"\xef\xbb\xbffile,label\n" + ROWS.encode(), CATS),
    Case(
        "UTF-8 beyond ASCII",
        "file,label\na.png,Käse\nb.png,犬\nc.png,Käse\n",
        {"a.png": "Käse", "b.png": "犬", "c.png": "Käse"},
    ),
    Case("UTF-16 with a mark", ("file,label\n" + ROWS).encode("utf-16"), CATS),
    Case("UTF-16 of Excel, tabs", ("\ufefffile\tlabel\r\n" + ROWS.replace(",", "\t")).encode("utf-16-le"), CATS),
    Case("UTF-16 without a mark", ("file,label\n" + ROWS).encode("utf-16-be"), CATS),
    Case("UTF-32", ("file,label\n" + ROWS).encode("utf-32"), CATS),
    Case(
        "Windows-1252",
        "file,label\na.png,Käse\nb.png,dog\nc.png,dog\n".encode("cp1252"),
        {"a.png": "Käse", "b.png": "dog", "c.png": "dog"},
        warned=r"is not UTF-8 \(first in line 2\), and is read as Windows-1252: 'a.png,Käse'",
    ),
    Case(
        "an encoding that is named",
        "file,label\na.png,犬\nb.png,dog\n".encode("shift_jis"),
        {"a.png": "犬", "b.png": "dog"},
        {"encoding": "shift_jis"},
    ),
    Case(
        "an encoding that is wrong",
        "file,label\na.png,犬\n".encode(),
        (TableError, r"line 2 is not ascii"),
        {"encoding": "ascii"},
    ),
    Case("an encoding that there is not", ROWS, (OptionError, r"encoding='utf8000' is unknown"), {"encoding": "utf8000"}),
    Case("bytes of no encoding", b"file,label\na.png,\x81\x8d\n", (TableError, r"line 2 is not UTF-8")),
    Case(
        "a picture in place of a table", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", (TableError, r"cannot be read as a table: line \d")
    ),
    Case("a spreadsheet", b"PK\x03\x04\x14\0\x06", (TableError, r"it is a spreadsheet .* saved as CSV first")),
    Case("a NUL byte", "file,label\na.png,c\0at\n", (TableError, r"line 2 holds a NUL byte")),
    Case("nothing", "", (TableError, r"it is empty")),
    Case("blanks alone", " \n\n", (TableError, r"it is empty")),
    Case("separators alone", ",\n,\n", (TableError, r"it holds no text")),
    Case("names of columns alone", "file,label\n", (TableError, r"column names \('file' and 'label'\), but no rows")),
    Case("CRLF", ("file,label\n" + ROWS).replace("\n", "\r\n"), CATS),
    Case("CR", ("file,label\n" + ROWS).replace("\n", "\r"), CATS),
    Case("no end of the last line", ("file,label\n" + ROWS).rstrip("\n"), CATS),
    Case("the end-of-file mark of DOS", "file,label\n" + ROWS + "\x1a", CATS),
    Case("blank lines", "\nfile,label\n\na.png,cat\n\n\nb.png,dog\nc.png,cat\n\n", CATS),
    Case("rows without any text", "file,label\na.png,cat\n,\nb.png,dog\nc.png,cat\n , \n", CATS),
    Case("semicolons", ("file,label\n" + ROWS).replace(",", ";"), CATS),
    Case("tabs", ("file,label\n" + ROWS).replace(",", "\t"), CATS),
    Case("bars", ("file,label\n" + ROWS).replace(",", "|"), CATS),
    Case("a separator that is named", ("file,label\n" + ROWS).replace(",", "#"), CATS, {"delimiter": "#"}),
    Case("a separator of two letters", ROWS, (OptionError, r"delimiter='::': expected one character"), {"delimiter": "::"}),
    Case("a separator that is not there", ROWS, (TableError, r"There is no column 1"), {"delimiter": ";", "header": None}),
    Case("the separator's own line", "sep=;\r\nfile;label\r\n" + ROWS.replace(",", ";"), CATS),
    Case(
        "semicolons beside decimal commas",
        "file;size;label\na.png;1,5;cat\nb.png;2,5;dog\nc.png;0,5;cat\n",
        CATS,
        {"label_col": "label"},
    ),
    Case(
        "commas beside semicolons",
        "file,label\na.png,x;y\nb.png,y\nc.png,x\n",
        {"a.png": ["x", "y"], "b.png": ["y"], "c.png": ["x"]},
        {"label_delim": ";"},
    ),
    Case("a separator in quotes", 'file,label\n"a.png","cat, tabby"\nb.png,dog\n', {"a.png": "cat, tabby", "b.png": "dog"}),
    Case("quotes in quotes", 'file,label\na.png,"a ""cat"""\nb.png,dog\n', {"a.png": 'a "cat"', "b.png": "dog"}),
    Case("a line break in quotes", 'file,label\na.png,"cat\r\ntabby"\nb.png,dog\n', {"a.png": "cat\r\ntabby", "b.png": "dog"}),
    Case("inches", 'file,label\na.png,5" disk\nb.png,dog\n', {"a.png": '5" disk', "b.png": "dog"}),
    Case(
        "a quote that is not closed", 'file,label\na.png,"cat\nb.png,dog\n', (TableError, r"row that begins on line 2 .*quote")
    ),
    Case(
        "text after a quote",
        'file,label\na.png,cat\nb.png,"d"og\n',
        (TableError, r"row that begins on line 3 .*expected after"),
    ),
    Case("quotes that are letters", 'file,label\na.png,"cat\nb.png,dog\n', {"a.png": '"cat', "b.png": "dog"}, {"quoting": 3}),
    Case("a cell without end", f"file,label\na.png,{'x' * 200_000}\nb.png,dog\n", (TableError, r"line 2 .*131,072 letters")),
    Case("a long label", f"file,label\na.png,{'x' * 5000}\nb.png,dog\n", {"a.png": "x" * 5000, "b.png": "dog"}),
    Case(
        "a long file name", f"file,label\n{'x' * 5000}.png,cat\nb.png,dog\n", (TableError, r"1 file of 2 does not exist: 'xxx")
    ),
    Case("'001' in labels", "file,label\na.png,001\nb.png,1\nc.png,01\n", {"a.png": "001", "b.png": "1", "c.png": "01"}),
    Case("'001' in file names", "file,label\n001,cat\n01,dog\n", {"001.png": "cat", "01.png": "dog"}, {"suff": ".png"}),
    Case(
        "'001' beside a blank",
        "file,label\na.png,001\nb.png,\n",
        (LabelError, r"1 label of 2 cannot be used.*blank.*\(b.png\)"),
    ),
    Case("whole numbers", "file,label\na.png,3\nb.png,-7\nc.png,3\n", {"a.png": 3, "b.png": -7, "c.png": 3}),
    Case(
        "long whole numbers",
        "file,label\na.png,123456789012345678901\nb.png,123456789012345678902\n",
        {"a.png": "123456789012345678901", "b.png": "123456789012345678902"},
    ),
    Case("numbers and text", "file,label\na.png,1\nb.png,one\nc.png,1\n", {"a.png": "1", "b.png": "one", "c.png": "1"}),
    Case(
        "measured values", "file,size\na.png,1.5\nb.png,2\nc.png,-0.25\n", {"a.png": 1.5, "b.png": 2, "c.png": -0.25}, NUMBERS
    ),
    Case(
        "decimal commas",
        "file;size\na.png;1,5\nb.png;2,5\n",
        (LabelError, r"2 labels of 2.*'1,5', not a number.*a.png"),
        NUMBERS,
    ),
    Case(
        "a value that is no number", "file,size\na.png,1.5\nb.png,NA\n", (LabelError, r"'NA', not a number.*\(b.png\)"), NUMBERS
    ),
    Case("an infinite value", "file,size\na.png,1.5\nb.png,inf\n", (LabelError, r"infinite: 1 row \(b.png\)"), NUMBERS),
    Case(
        "'NA', 'null' and 'None'",
        "file,label\na.png,NA\nb.png,null\nc.png,None\n",
        {"a.png": "NA", "b.png": "null", "c.png": "None"},
    ),
    Case("'nan'", "file,label\na.png,nan\nb.png,N/A\n", {"a.png": "nan", "b.png": "N/A"}),
    Case("true and false", "file,label\na.png,TRUE\nb.png,FALSE\n", {"a.png": "TRUE", "b.png": "FALSE"}),
    Case(
        "columns of true and false",
        "file,cat,dog\na.png,True,False\nb.png,True,True\n",
        {"a.png": ["cat"], "b.png": ["cat", "dog"]},
        {"label_col": ["cat", "dog"], "y_block": MultiCategoryBlock(encoded=True, vocab=["cat", "dog"])},
    ),
    Case(
        "a blank label", "file,label\na.png,cat\nb.png,\nc.png, \n", (LabelError, r"2 labels of 3 cannot be used.*b.png, c.png")
    ),
    Case("a blank file name", "file,label\na.png,cat\n,dog\n", (TableError, r"1 file name of 2 cannot be used.*\(line 3\)")),
    Case(
        "blank cells of several labels",
        "file,tags\na.png,x y\nb.png,\nc.png,x  \n",
        {"a.png": ["x", "y"], "b.png": [], "c.png": ["x"]},
        TAGS,
    ),
    Case("several labels that are numbers", "f,t\na.png,1 02\nb.png,1.50\n", {"a.png": ["1", "02"], "b.png": ["1.50"]}, TAGS),
    Case("nothing but blank tags", "file,tags\na.png,\nb.png,\n", (LabelError, r"No picture has any label"), TAGS),
    Case("a missing file", "file,label\na.png,cat\nx.png,dog\n", (TableError, r"1 file of 2 does not exist: 'x.png'")),
    Case(
        "a name without its ending", "file,label\na,cat\nb,dog\n", (TableError, r"2 files of 2 do not exist.*pass suff='.png'")
    ),
    Case("a file's name in capitals", "file,label\nA.PNG,cat\nb.png,dog\n", (TableError, r"'A.PNG'.*Did you mean 'a.png'")),
    Case(
        "rows twice",
        "file,label\n" + ROWS + ROWS,
        CATS,
        warned=r"says the same of a file again in 3 rows \(first: 'a.png' on line 5",
    ),
    Case(
        "two labels for a file",
        "file,label\n" + ROWS + "a.png,dog\n",
        (TableError, r"1 file: 'a.png' \(cat on line 2; dog on line 5\)"),
    ),
    Case(
        "a file in both parts",
        "file,label,is_valid\na.png,cat,True\na.png,cat,False\nb.png,dog,False\n",
        (TableError, r"contradicts itself about 1 file: 'a.png' \(cat, True on line 2; cat, False on line 3\)"),
        {"valid_col": "is_valid"},
    ),
    Case(
        "a part that is neither",
        "file,label,is_valid\na.png,cat,True\nb.png,cat,\nc.png,dog,maybe\n",
        (SplitError, r"says neither yes nor no for 2 rows \(line 3: .*line 4: 'maybe'"),
        {"valid_col": "is_valid", "splitter": None},
    ),
    Case("no names of columns", ROWS, CATS, warned=r"has no column names: its first line names a picture \('a.png, cat'\)"),
    Case("no names of columns, as said", ROWS, CATS, {"header": None}),
    Case("names of columns further down", "made by hand\nfile,label\n" + ROWS, CATS, {"header": 1}),
    Case("names of columns past the end", ROWS, (TableError, r"header=9: .* has 3 rows"), {"header": 9}),
    Case(
        "spaces around names of columns", " file , label \na.png, cat\nb.png, dog\nc.png, cat\n", CATS, {"label_col": "label"}
    ),
    Case("spaces in names of columns", "file name,the label\n" + ROWS, CATS, {"fn_col": "file name", "label_col": "the label"}),
    Case(
        "two columns of one name",
        "file,label,label\na.png,cat,x\nb.png,dog,y\n",
        (TableError, r"several columns named 'label'"),
        {"label_col": "label"},
    ),
    Case("two others of one name", "file,label,x,x\na.png,cat,1,2\nb.png,dog,3,4\nc.png,cat,5,6\n", CATS),
    Case(
        "a name of no column",
        "file,label\n" + ROWS,
        (TableError, r"no column 'lable'.*Did you mean 'label'"),
        {"label_col": "lable"},
    ),
    Case("one column", "file\na.png\nb.png\n", (TableError, r"There is no column 1. The table has 1 column")),
    Case("too few cells", "file,label,x\na.png,cat,1\nb.png\n", (TableError, r"3 cells a row were expected, but line 3 has 1")),
    Case(
        "too many cells",
        "file,label\na.png,cat\nb.png,dog,bone,2\n",
        (TableError, r"2 cells a row were expected, but line 3 has 4"),
    ),
    Case("a separator at every end", "file,label,\na.png,cat,\nb.png,dog,\nc.png,cat,\n", CATS),
    Case("a separator at the end of rows", "file,label\na.png,cat,\nb.png,dog,,\nc.png,cat\n", CATS),
    Case(
        "a column of numbers in front",
        ",file,label\n0,a.png,cat\n1,b.png,dog\n2,c.png,cat\n",
        CATS,
        {"fn_col": "file", "label_col": "label"},
    ),
    Case(
        "names that lead out",
        "file,label\n../a.png,cat\nb.png,dog\n",
        (TableError, r"1 file outside of .*'../a.png' on line 2.*outside=True"),
    ),
    Case("names that lead out later", "file,label\nx/../../a.png,cat\nb.png,dog\n", (TableError, r"'x/../../a.png' on line 2")),
    Case("names that lead out on Windows", "file,label\n..\\a.png,cat\nb.png,dog\n", (TableError, r"1 file outside of")),
    Case(
        "an absolute name",
        "file,label\n/etc/passwd,cat\nb.png,dog\n",
        (TableError, r"1 file outside of .*'/etc/passwd' on line 2"),
    ),
    Case("a name that leads out and back", "file,label\n../pictures/a.png,cat\n./b.png,dog\nc.png,cat\n", CATS),
    Case("dots in names", "file,label\nd..e.png,cat\nb.png,dog\n", {"d..e.png": "cat", "b.png": "dog"}),
    Case("one class", "file,label\na.png,cat\nb.png,cat\n", (LabelError, r"Only one class was found: 'cat'")),
    Case("labels like formulas", "file,label\na.png,=1+1\nb.png,@x\n", {"a.png": "=1+1", "b.png": "@x"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data") / "pictures"
    for number, name in enumerate(("a", "b", "c", "001", "01", "d..e")):
        draw(root / f"{name}.png", number)
    return root


def load(folder: Path, case: Case) -> dict[str, Any]:
    """The labels of all rows, by file name."""
    written = case.written.encode() if isinstance(case.written, str) else case.written
    (folder / "labels.csv").write_bytes(written)
    options = {"splitter": RandomSplitter(0), "item_tfms": Resize(8), "bs": 2, "num_workers": 0, **case.options}
    table = ImageDataLoaders.from_csv(folder, **options).table
    return {source.name: label for source, label in zip(table.sources, table.labels, strict=True)}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_table_loads_as_it_is_meant_or_says_what_is_wrong_with_it(case, folder):
    if isinstance(case.expected, tuple):
        error_class, words = case.expected
        with pytest.raises(error_class, match=words) as caught:
            load(folder, case)
        assert len(str(caught.value).splitlines()) == 1
        assert isinstance(caught.value, (DataError, OptionError))
    elif case.warned is not None:
        with pytest.warns(SightlineWarning, match=case.warned) as told:
            assert load(folder, case) == case.expected
        assert len(told) == 1
    else:
        found = load(folder, case)
        assert found == case.expected
        assert [type(label) for label in found.values()] == [type(label) for label in case.expected.values()] or case.options


def test_there_are_58_cases_at_least():
    assert len({case.name for case in CASES}) == len(CASES) >= 58


def test_absolute_names_within_the_folder_and_others_where_allowed(folder, tmp_path):
    other = draw(tmp_path / "other.png")
    inside = Case("inside", f"file,label\n{folder / 'a.png'},cat\nb.png,dog\n", None)
    assert load(folder, inside) == {"a.png": "cat", "b.png": "dog"}
    outside = Case("outside", f"file,label\n{other},cat\nb.png,dog\n", None, {"outside": True})
    assert load(folder, outside) == {"other.png": "cat", "b.png": "dog"}
    link = tmp_path / "link"
    link.symlink_to(folder)
    table = ImageDataLoaders.from_csv(
        link, csv_fname="labels.csv", outside=True, splitter=RandomSplitter(0), item_tfms=Resize(8), bs=2
    ).table
    assert len(table) == 2
    (folder / "labels.csv").write_text(f"file,label\n{folder / 'a.png'},cat\n{link / 'b.png'},dog\n")
    assert len(ImageDataLoaders.from_csv(link, splitter=RandomSplitter(0), item_tfms=Resize(8), bs=2).table) == 2
    # A folder that the user names may lie anywhere; the table's names may not lead out of it.
    (tmp_path / "beside").mkdir()
    (tmp_path / "beside" / "labels.csv").write_text("file,label\na.png,cat\nb.png,dog\n")
    options = {"folder": str(folder), "splitter": RandomSplitter(0), "item_tfms": Resize(8), "bs": 2}
    assert len(ImageDataLoaders.from_csv(tmp_path / "beside", **options).table) == 2
    (tmp_path / "beside" / "labels.csv").write_text("file,label\n../a.png,cat\nb.png,dog\n")
    with pytest.raises(TableError, match=r"1 file outside of"):
        ImageDataLoaders.from_csv(tmp_path / "beside", **options)


def test_links_within_the_folder_are_followed(folder, tmp_path):
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "elsewhere").symlink_to(folder)
    (tmp_path / "set" / "labels.csv").write_text("file,label\nelsewhere/a.png,cat\nelsewhere/b.png,dog\n")
    assert len(ImageDataLoaders.from_csv(tmp_path / "set", splitter=RandomSplitter(0), item_tfms=Resize(8), bs=2).table) == 2


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "labels.csv")
    with pytest.raises(TableError, match=r"it is no ordinary file"):
        ImageDataLoaders.from_csv(tmp_path)
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(TableError, match=r"it is a folder"):
        ImageDataLoaders.from_csv(tmp_path, "folder.csv")


def test_the_users_own_table_in_memory_may_say_anything(folder, tmp_path):
    other = draw(tmp_path / "other.png")
    frame = pd.DataFrame({"file": [str(other), "../pictures/b.png", "a.png", "a.png"], "label": ["x", "y", "x", "x"]})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dls = ImageDataLoaders.from_df(frame, folder, splitter=RandomSplitter(0), item_tfms=Resize(8), bs=2)
    assert len(dls.table) == 4


def test_whatever_happens_to_a_table_ends_in_a_table_or_in_an_error_of_ours(tmp_path):
    rng = np.random.default_rng(0)
    whole = [case.written.encode() if isinstance(case.written, str) else case.written for case in CASES]
    pieces = [
        b",",
        b"\n",
        b"\r",
        b'"',
        b"\0",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b";",
        b"\t",
        b"..",
        b"/",
        b"sep=",
        b"1e999",
        b"\xed\xa0",
    ]
    ends = []
    for number in range(400):
        data = bytearray(whole[number % len(whole)][:2000])
        for _ in range(rng.integers(1, 5)):
            place = int(rng.integers(0, len(data) + 1))
            data[place : place + int(rng.integers(0, 3))] = pieces[rng.integers(len(pieces))]
        (tmp_path / "labels.csv").write_bytes(data)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SightlineWarning)
            try:
                frame = read_labels(tmp_path / "labels.csv")
                refuse_outside(frame, tmp_path / "labels.csv", 0, tmp_path)
                without_repeats(frame, tmp_path / "labels.csv", 0, [1])
                ends.append("loaded")
            except SightlineError as error:
                ends.append(type(error).__name__)
    assert set(ends) == {"loaded", "TableError"}
