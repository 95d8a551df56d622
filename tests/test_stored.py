"""JSON from strangers: what is parsed, what is refused before it takes memory, and fields that are what they may be."""

from __future__ import annotations

import json
import math
import tracemalloc

import pytest

from sightline.stored import (
    FLAG,
    NUMBER,
    TEXT,
    check_fields,
    either,
    list_of,
    one_of,
    or_null,
    parse_json,
    shown,
    whole,
)


@pytest.mark.parametrize("value", [{"a": [1, 2.5, True, None, 'x[{,"\\']}, [], "é\u2028", -(2**60), [[[[1]]]], {"": {"": ""}}])
def test_what_is_plain_comes_back(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False).encode()) == value


def test_nan_is_read_only_where_it_is_allowed():
    assert math.isnan(parse_json('{"loss": NaN}', nan=True)["loss"])
    assert parse_json("[Infinity, -Infinity]", nan=True) == [math.inf, -math.inf]
    for text in ('{"loss": NaN}', "[Infinity]", "-Infinity"):
        with pytest.raises(ValueError, match="is not a finite number"):
            parse_json(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[" * 17 + "]" * 17, "nested more than 16 deep"),
        ('{"a":' * 100_000, "nested more than 16 deep"),
        ("[" + "0," * 500_000 + "0]", "more than 500,000 values"),
        ('["' + '","' * 1_000_001 + '"]', "more than 1,000,000 texts"),
        ('{"a": 1, "a": 2}', "says 'a' twice"),
        ('{"' + "n" * 1001 + '": 1}', "name of more than 1,000 characters"),
        ("9" * 21, "whole number of 21 digits"),
        ("[1e999]", "holds 1e999, which is not a finite number"),
        ("{'a': 1}", "Expecting property name"),
        ('"' + "\\" * 99_999, "Unterminated string"),
        (b'{"a": "\xff"}', "can't decode byte"),
        (b"\xef\xbb\xbf{}", "BOM"),
        ("", "Expecting value"),
    ],
)
def test_what_no_file_of_ours_holds_is_refused(text, words):
    with pytest.raises(ValueError, match=words):
        parse_json(text)


def test_brackets_and_commas_in_texts_count_for_nothing():
    text = json.dumps({"names": ["[" * 100 + ",{" * 100_000 + '\\"[['] * 5})
    assert len(parse_json(text)["names"]) == 5


def test_a_text_that_would_become_large_is_refused_while_it_is_small():
    text = "[" + "{}," * 5_000_000 + "{}]"
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match="values"):
            parse_json(text)
        assert tracemalloc.get_traced_memory()[1] < 40 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (FLAG, [True, False], [0, 1, None, "true"]),
        (NUMBER, [0, -1.5, 10**19], [True, "1", math.nan, math.inf, None]),
        (TEXT, ["", "x" * 10_000], ["x" * 10_001, 1, None]),
        (whole(1, 3), [1, 3], [0, 4, True, 1.0, "1"]),
        (one_of(("a", "b")), ["a"], ["c", None, ["a"], {}]),
        (list_of(FLAG, 1, 2), [[True], [True, False]], [[], [True] * 3, [1], (True,), None]),
        (either(FLAG, TEXT), [True, "x"], [1, None]),
        (or_null(FLAG), [None, True], [0, ""]),
    ],
)
def test_kinds_take_what_they_say(kind, good, bad):
    assert all(map(kind.fits, good))
    assert not any(map(kind.fits, bad))


def test_fields_are_known_there_and_of_their_kind():
    kinds = {"size": whole(1, 9), "name": TEXT}
    assert check_fields({"size": 3}, kinds, needed=["size"]) == {"size": 3}
    for data, words in (
        ({"size": 3, "code": "x"}, "unknown name 'code'"),
        ({"size": 10}, r"size=10\. Expected a whole number from 1 to 9"),
        ({"name": "x"}, "lacks size"),
        ([1], r"it is \[1\]\. Expected names with values"),
    ):
        with pytest.raises(ValueError, match=words):
            check_fields(data, kinds, needed=["size"])


def test_messages_stay_short_whatever_was_found():
    for value in ("x" * 10**6, [["y" * 10**5] * 100] * 100, {str(i): "z" * 1000 for i in range(1000)}, 10**4000):
        assert len(shown(value)) < 250
