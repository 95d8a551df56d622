"""Names and labels as text that is only read: nothing in them is a command to a terminal, a page, a formula or a line break.

A file or a class may be called anything, by anybody: `<script>alert(1)</script>`, `a$b`, or a name with an escape sequence that
paints over the lines above it. Whatever is shown of such names passes here.
"""

from __future__ import annotations

import html
import re
import unicodedata

_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Kinds of characters that are obeyed and not seen: control, direction and format, halves of characters, line separators."""
_JOINERS = "\u200c\u200d"
"""Those of them that words of several languages, and emoji, are written with."""
_LAYOUT = "\n\t"
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!])")
_MARKDOWN_TOO = {ord(mark): f"&#{ord(mark)};" for mark in "|~$:@="}
"""Marks of tables, formulas and links, which not every reader of Markdown lets a backslash take back."""


def for_terminal(text: object, *, lines: bool = False) -> str:
    r"""Text for a terminal or a log: what would steer it is written out, such as `\x1b`, `\n` or `\u202e`.

    Args:
        text: A name, a label, a message.
        lines: Line breaks and tabs are meant and stay: for whole messages, whose names are quoted already.

    >>> for_terminal("cat\x1b[2Jdog")
    'cat\\x1b[2Jdog'
    """
    shown = str(text)
    if shown.isprintable():
        return shown
    kept = _JOINERS + _LAYOUT if lines else _JOINERS
    return "".join(_written_out(c) if c not in kept and unicodedata.category(c) in _UNSEEN else c for c in shown)


def for_html(text: object) -> str:
    """Text for a page, between tags or within a quoted attribute."""
    return html.escape(for_terminal(text))


def for_markdown(text: object) -> str:
    """Text for a Markdown page, as a paragraph, a list or a table has it: one line, shown as it is."""
    marked = _MARKDOWN.sub(r"\\\1", for_terminal(text))
    return html.escape(marked).translate(_MARKDOWN_TOO)


def for_figure(text: object) -> str:
    """Text for a figure of matplotlib's: a dollar sign is one, and begins no formula."""
    return for_terminal(text).replace("$", r"\$")


def _written_out(character: str) -> str:
    if "\udc80" <= character <= "\udcff":
        # A byte of a file name that is no UTF-8.
        return f"\\x{ord(character) - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
