"""Names on the console are text: no markup, no emoji by name, nothing that steers the terminal."""

from __future__ import annotations

import io

import pytest
from rich.table import Table

from sightline.console import PlainConsole

NAMES = ["[red]cat[/red]", "[/]", ":cat:.jpg", "a\\[b", "[link=https://a.b]x[/link]"]


def shown(what: object, **options: object) -> str:
    text = io.StringIO()
    PlainConsole(file=text, width=100, force_terminal=True, color_system="truecolor", **options).print(what)
    return text.getvalue()


@pytest.mark.parametrize("name", NAMES)
def test_a_line_shows_the_name(name):
    assert shown(name) == f"{name}\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_table_shows_the_name_in_headings_and_cells(name):
    table = Table(name, box=None, show_header=True, header_style="")
    table.add_row(name)
    assert [line.strip() for line in shown(table).splitlines()] == [name, name]


def test_what_would_steer_the_terminal_is_written_out():
    table = Table(box=None, show_header=False)
    table.add_row("a\x1b[31mb\u202ec")
    assert shown(table).strip() == "a\\x1b[31mb\\u202ec"
    assert shown("a\x1b[31mb\x07") == "a\\x1b[31mb\\x07\n"


def test_numbers_are_not_coloured():
    assert shown("3 of 4, 'x', True") == "3 of 4, 'x', True\n"
