"""The help page of a command: options under headings, examples as they are to be typed.

Plain text with bold headings. The boxes that typer draws by itself take rich and a Markdown reader, whose import takes longer
than all the rest of a help page together, and leave the words half of the width.
"""

from __future__ import annotations

import inspect
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

WIDTH = 110
"""Characters a line at most, where the terminal is as wide as that."""


class CommandPage(TyperCommand):
    """A command with such a help page."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options."""
        _write_options(self, ctx, formatter)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples: prose is wrapped, indented lines are left as they are."""
        if not self.epilog:
            return
        with formatter.section(_bold("Examples")):
            for number, paragraph in enumerate(inspect.cleandoc(self.epilog).split("\n\n")):
                if number:
                    formatter.write("\n")
                if paragraph.startswith(" "):
                    formatter.write(f"{paragraph}\n")
                else:
                    formatter.write_text(paragraph)


class GroupPage(TyperGroup):
    """Several commands with such a help page."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands, and the options of all together."""
        commands = [(name, self.commands[name].get_short_help_str(WIDTH)) for name in self.list_commands(ctx)]
        with formatter.section(_bold("Commands")):
            formatter.write_dl(commands)
        _write_options(self, ctx, formatter)

    def get_help_option(self, ctx: Any) -> Any:
        """`--help`, which is False where it is not given: None would be converted by pydantic, and that takes its time."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.default = False
        return option


def _write_options(command: Any, ctx: Any, formatter: Any) -> None:
    headings: dict[str, list[tuple[str, str]]] = {}
    for parameter in command.get_params(ctx):
        record = parameter.get_help_record(ctx)
        if record is not None:
            usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
            headings.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
    for heading in sorted(headings, key="Options".__eq__):
        with formatter.section(_bold(heading)):
            formatter.write_dl(headings[heading], col_max=26)


def _bold(heading: str) -> str:
    return typer.style(heading, bold=True)
