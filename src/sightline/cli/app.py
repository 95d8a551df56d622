"""The `sightline` command: its sub-commands, and how every one of them ends.

| exit code | when |
|---|---|
| 0 | it did what was asked |
| 1 | it could not: one message on standard error says why, and `--debug` adds the traceback |
| 2 | the command line itself is wrong |
| 130 | Ctrl-C |
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import typer

from sightline.cli.bench import BENCH_EXAMPLES, bench
from sightline.cli.convert import CONVERT_EXAMPLES, convert
from sightline.cli.demo import demo
from sightline.cli.evaluate import EVALUATE_EXAMPLES, evaluate
from sightline.cli.help_page import WIDTH, CommandPage, GroupPage
from sightline.cli.predict import PREDICT_EXAMPLES, predict
from sightline.cli.train import TRAIN_EXAMPLES, train
from sightline.errors import SightlineError, SightlineWarning, did_you_mean
from sightline.versions import __version__

INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its exit code.

    Args:
        arguments: In place of the process's own arguments.
    """
    build_app()(args=None if arguments is None else list(arguments), prog_name="sightline")
    sys.exit(0)


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
        (train, TRAIN_EXAMPLES),
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
        """Read the options; after a misspelt one, say which was meant."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            # The class of this error lives in another package from release to release of typer; what it holds does not.
            if getattr(error, "possibilities", None):
                _name_the_closest(error)
            raise

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        try:
            with _warnings_as_notes():
                return super().invoke(ctx)
        except KeyboardInterrupt:
            typer.echo("Stopped by Ctrl-C.", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (SightlineError, OSError) as error:
            if ctx.params.get("debug"):
                raise
            _show(error)
            raise typer.Exit(1) from None


def _name_the_closest(error: Any) -> None:
    error.message = f"{error.message.rstrip('.')}. {did_you_mean(error.option_name, error.possibilities)}"
    error.possibilities = None


IN_OPTIONS = {
    "weights='file.safetensors'": "--weights file.safetensors",
    "pretrained=False": "--no-pretrained",
    "on_error='raise'": "--on-error raise",
    "device='cpu'": "--device cpu",
    "base_lr=": "--lr ",
    "pass arch=": "pass --arch",
    "pass labels=": "pass --labels",
    "pass n_in=": "pass --n-in ",
    "regression=True": "--regression",
    "multi_label=True": "--multi-label",
}
"""What messages say in Python, as one says it here."""


def _show(error: Exception) -> None:
    kind, words = type(error).__name__, str(error)
    for python, option in IN_OPTIONS.items():
        words = words.replace(python, option)
    typer.echo(f"{typer.style(kind, fg='red', bold=True)}: {words}", err=True)


@contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Show our own warnings as sentences, without the line of code that gave them; leave others as they are."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", SightlineWarning)
        as_usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
            if issubclass(category, SightlineWarning):
                typer.echo(typer.style(f"Note: {message}", fg="yellow"), err=True)
            else:
                as_usual(message, category, *place, **more)

        warnings.showwarning = show
        yield
