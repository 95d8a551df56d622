"""A console for text with names in it: they are shown as they are, whatever they hold."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.text import Text

from sightline.escaping import for_terminal


class PlainConsole(Console):
    """rich's console without the meanings that it finds in text: no markup, no emoji by name, no colours for numbers.

    A file called `[red]1.jpg` or `:cat:.jpg` keeps its name, in lines and in cells of tables alike, and what would steer the
    terminal is written out.
    """

    def __init__(self, **options: Any) -> None:
        """Open it; options as for `rich.console.Console`."""
        super().__init__(**{"markup": False, "emoji": False, "highlight": False, **options})

    def render_str(self, text: str, **options: Any) -> Text:
        """Text, as all that is printed passes here."""
        return super().render_str(for_terminal(text, lines=True), **options)
