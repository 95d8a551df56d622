"""Names are text: on a terminal, in a page, in Markdown and in a figure."""

from __future__ import annotations

import unicodedata
from html.parser import HTMLParser

import pytest
from matplotlib.figure import Figure

from sightline.escaping import for_figure, for_html, for_markdown, for_terminal

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "a$b",
    "$x_$",
    "$\\frac{1}{0}$",
    "\x1b[2J\x1b]0;owned\x07",
    "cat\nNote: all is well",
    "cat\r\x08\x08\x08dog",
    "invoice\u202egpj.exe",
    "\u2066\u2069\u200f",
    "a\u2028b\u2029c\x85d",
    "byte \udcff of another encoding",
    "\ud83d half",
    "tab\there",
    "*bold* _it_ `code` [link](javascript:alert(1)) # | ~x~ http://a.b @you",
    "\x9b31m",
    "\U000e0041\U000e0042",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_terminal_is_given_nothing_that_steers_it(name):
    shown = for_terminal(name)
    assert not [c for c in shown if unicodedata.category(c) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    shown.encode("utf-8")
    assert for_terminal(shown) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("tabby cat", "tabby cat"),
        ("猫 \u00a0 кот", "猫 \u00a0 кот"),
        ("नमस्\u200cते", "नमस्\u200cते"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("a\nb", "a\\nb"),
        ("\x1b[31m", "\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\udcff.png", "\\xff.png"),
        (7, "7"),
    ],
)
def test_other_names_are_shown_as_they_are(name, shown):
    assert for_terminal(name) == shown


def test_a_message_keeps_its_lines_and_nothing_else():
    assert for_terminal("one\n\ttwo\x1b[0m\r", lines=True) == "one\n\ttwo\\x1b[0m\\r"


class Page(HTMLParser):
    """What a reader of HTML sees: tags, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update(attrs)

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("name", HOSTILE)
def test_a_page_shows_the_name_between_tags_and_in_attributes(name):
    page = Page(f'<td title="{for_html(name)}">{for_html(name)}</td>')
    assert page.tags == ["td"]
    assert page.attributes == {"title": for_terminal(name)}
    assert page.text == for_terminal(name)


@pytest.mark.parametrize("name", HOSTILE)
def test_markdown_shows_the_name(name):
    markdown = pytest.importorskip("markdown")  # comes with tensorboard, which shows our Markdown with it
    page = Page(markdown.markdown(f"- {for_markdown(name)}: x", extensions=["tables", "fenced_code"]))
    assert page.tags == ["ul", "li"]
    assert page.text.strip() == f"{for_terminal(name)}: x"


def test_markdown_marks_of_every_dialect_are_taken_back():
    assert for_markdown("a_b*c") == "a\\_b\\*c"
    assert for_markdown("|~$:@<&") == "&#124;&#126;&#36;&#58;&#64;&lt;&amp;"


@pytest.mark.parametrize("name", [*HOSTILE, "$", "$$", "\\$", "a\\$b$c", "100$ or 200$"])
def test_a_figure_shows_the_name_and_no_formula(name):
    figure = Figure(figsize=(2, 1))
    title = figure.subplots().set_title(for_figure(name))
    figure.canvas.draw()
    shown, is_formula = title._preprocess_math(title.get_text())
    assert not is_formula
    assert shown == for_terminal(name)
