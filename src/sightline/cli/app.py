"""The `sightline` command: its sub-commands, and how every one of them ends.

| exit code | when |
|---|---|
| 0 | it did what was asked |
| 1 | the machine failed (no room, no right to a file, no memory), whoever read the output has gone, or sightline has a bug |
| 2 | options, data, tables, labels, models or weights cannot be used as given, or training diverges with these settings |
| 130 | Ctrl-C |
| 143 | SIGTERM |

Where it is not 0, one message on standard error says why; `--debug`, or the environment variable SIGHTLINE_DEBUG=1, shows the
traceback before it. Codes and words stand in `endings.py`, signals in `signals.py`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from sightline.cli.bench import BENCH_EXAMPLES, bench
from sightline.cli.check import CHECK_EXAMPLES, check
from sightline.cli.convert import CONVERT_EXAMPLES, convert
from sightline.cli.demo import demo
from sightline.cli.endings import INTERRUPTED, OURS, TERMINATED, end_by, is_usage, leave_quietly, say_usage
from sightline.cli.evaluate import EVALUATE_EXAMPLES, evaluate
from sightline.cli.help_page import WIDTH, CommandPage, GroupPage
from sightline.cli.predict import PREDICT_EXAMPLES, predict
from sightline.cli.signals import leaving_in_order
from sightline.cli.train import RESUME_EXAMPLES, TRAIN_EXAMPLES, resume, train
from sightline.errors import SightlineWarning
from sightline.escaping import for_terminal
from sightline.versions import __version__


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code.

    Args:
        arguments: In place of the process's own arguments.
    """
    given = None if arguments is None else list(arguments)
    try:
        code = build_app()(args=given, prog_name="sightline", standalone_mode=False)
    except typer.Abort:
        code = OURS
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told in one sentence
        code = say_usage(error) if is_usage(error) else end_by(error, debug=False)
    sys.exit(code or 0)


def build_app() -> typer.Typer:
    """All commands together."""
    app = typer.Typer(
        cls=GroupPage,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": WIDTH},
    )
    app.callback()(_about)
    for function, examples in (
        (check, CHECK_EXAMPLES),
        (train, TRAIN_EXAMPLES),
        (resume, RESUME_EXAMPLES),
        (predict, PREDICT_EXAMPLES),
        (evaluate, EVALUATE_EXAMPLES),
        (bench, BENCH_EXAMPLES),
        (convert, CONVERT_EXAMPLES),
        (demo, ""),
    ):
        app.command(cls=Command, help=_flowing(function.__doc__ or ""), epilog=examples)(function)
    return app


def _flowing(docstring: str) -> str:
    """A docstring whose paragraphs are one line each, for the help page to break where the terminal ends."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in docstring.split("\n\n"))


def _about(
    version: bool = typer.Option(
        False, "--version", help="Show the version and leave.", is_eager=True, callback=lambda v: _version(v)
    ),
) -> None:
    """Fine-tune image classifiers: labelled pictures in, one file out that predicts anywhere.

    `sightline demo` shows the whole road on a small data set.
    """


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"sightline {__version__}")
        raise typer.Exit


class Command(CommandPage):
    """A command whose errors end it with one message, and whose warnings are shown as notes."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the options; an error in them knows the command whose help page is worth reading."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            if getattr(error, "ctx", ctx) is None:
                vars(error)["ctx"] = ctx
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with leaving_in_order(), _warnings_as_notes():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped by Ctrl-C.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except SystemExit as ending:
            if ending.code == TERMINATED:
                typer.echo("Stopped by SIGTERM.", err=True)
            raise
        except BrokenPipeError:
            raise typer.Exit(leave_quietly()) from None
        except (typer.Exit, typer.Abort):
            raise
        except Exception as error:
            if is_usage(error):
                raise
            raise typer.Exit(end_by(error, debug=bool(ctx.params.get("debug")))) from None


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Show our own warnings as sentences, without the line of code that gave them; leave others as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SightlineWarning)
        as_usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, SightlineWarning):
                typer.echo(typer.style(f"Note: {for_terminal(message, lines=True)}", fg="yellow"), err=True)
            else:
                as_usual(message, category, *place, **more)

        warnings.showwarning = show
        yield
