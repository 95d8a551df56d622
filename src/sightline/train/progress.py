"""Progress: what is shown while a learner trains: a bar with images a second and time left, and one table row an epoch.

In a terminal the bar redraws itself below the table. In a notebook one display area is redrawn. Elsewhere (a file, a pipe, a
log) there is no bar, and the table's rows are printed as they come.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from sightline.console import PlainConsole
from sightline.escaping import for_html
from sightline.record import figures_of
from sightline.train.events import Callback

REDRAW_EVERY_S = 0.1


class Display(Protocol):
    """Where progress is shown."""

    def begin(self, columns: list[str]) -> None:
        """A fit begins; its table has these columns."""

    def stage(self, title: str, total: int) -> None:
        """A bar of `total` batches begins."""

    def advance(self, done: int, note: str) -> None:
        """The bar stands at `done`, with `note` beside it."""

    def row(self, values: list[str]) -> None:
        """An epoch ended; its row of the table."""

    def note(self, text: str) -> None:
        """A line from a callback, beside the table."""

    def end(self) -> None:
        """The fit ended, well or not."""


class ProgressCallback(Callback):
    """Shows how far a fit is.

    Attributes:
        display_of: Makes the display of a fit; replace it to show progress elsewhere.
    """

    order: ClassVar[int] = 60

    def __init__(self, display_of: Callable[[], Display] | None = None) -> None:
        """Take what makes the display; None chooses by where the output goes."""
        self.display_of = display_of or choose_display
        self._hidden = {"bar": False, "table": False}
        self._display: Display | None = None
        self._began = self._shown_at = 0.0
        self._images = 0

    @contextmanager
    def without(self, *, bar: bool = False, table: bool = False) -> Iterator[None]:
        """Hide parts within a block."""
        before = dict(self._hidden)
        self._hidden = {"bar": before["bar"] or bar, "table": before["table"] or table}
        try:
            yield
        finally:
            self._hidden = before

    def before_fit(self) -> None:
        """Begin the table."""
        if not self._hidden["table"] and self.learn.n_epoch:
            self._display = self.display_of()
            self._display.begin(self.learn.recorder.metric_names)

    def before_train(self) -> None:
        """Begin the bar of the training part."""
        self._stage("training")

    def before_validate(self) -> None:
        """Begin the bar of the validation part."""
        self._stage("validating")

    def after_batch(self) -> None:
        """Move the bar."""
        if self._display is None or self._hidden["bar"]:
            return
        self._images += len(self.learn.x)
        now = time.monotonic()
        if now - self._shown_at < REDRAW_EVERY_S:
            return
        self._shown_at = now
        rate = self._images / max(now - self._began, 1e-9)
        note = f"{rate:,.0f} images/s"
        if self.learn.training and self.learn.loss is not None:
            note += f"  loss {self.learn.recorder.smooth_loss:.4f}"
        self._display.advance(self.learn.iter + 1, note)

    def after_epoch(self) -> None:
        """Add the epoch's row."""
        row = self.learn.recorder.epoch_row
        if self._display is not None and row is not None:
            self._display.row(row_text(row))

    def note(self, text: str) -> None:
        """Show a line beside the table, while there is one."""
        if self._display is not None:
            self._display.note(text)

    def close(self) -> None:
        """End the display."""
        if self._display is not None:
            self._display.end()
            self._display = None

    def _stage(self, what: str) -> None:
        if self._display is None or self._hidden["bar"]:
            return
        self._began = self._shown_at = time.monotonic()
        self._images = 0
        self._display.stage(f"epoch {self.learn.epoch + 1}/{self.learn.n_epoch} {what}", len(self.learn.dl))


def row_text(row: dict[str, Any]) -> list[str]:
    """An epoch's row as text: epoch, losses and metrics with six decimals, minutes and seconds."""
    figures = figures_of(row)
    minutes, seconds = divmod(round(row["seconds"]), 60)
    return [str(row["epoch"]), *("" if f is None else f"{f:.6f}" for f in figures), f"{minutes:02d}:{seconds:02d}"]


def say(line: str) -> None:
    """Print one line, as plain text."""
    PlainConsole().print(line, soft_wrap=True)


def choose_display() -> Display:
    """The display that fits where the output goes."""
    if in_notebook():
        return NotebookDisplay()
    console = PlainConsole()
    return TerminalDisplay(console) if console.is_terminal else LogDisplay(console)


def in_notebook() -> bool:
    """Whether the code runs in a notebook's kernel."""
    module = sys.modules.get("IPython")
    shell = module.get_ipython() if module is not None else None
    return type(shell).__name__ == "ZMQInteractiveShell" or type(shell).__module__.startswith("google.colab")


class LogDisplay:
    """Rows of a table as plain lines; no bar."""

    def __init__(self, console: Console) -> None:
        """Take where to print."""
        self.console = console
        self._widths: list[int] = []

    def begin(self, columns: list[str]) -> None:
        """Print the header."""
        self._widths = [max(len(column), 5 if column in {"epoch", "time"} else 9) for column in columns]
        self._line(columns, style="bold")

    def stage(self, title: str, total: int) -> None:
        """Nothing: a log has no bar."""

    def advance(self, done: int, note: str) -> None:
        """Nothing: a log has no bar."""

    def row(self, values: list[str]) -> None:
        """Print a row."""
        self._line(values)

    def note(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False, markup=False, soft_wrap=True)

    def end(self) -> None:
        """Nothing is open."""

    def _line(self, cells: list[str], style: str | None = None) -> None:
        text = "  ".join(f"{cell:>{width}}" for cell, width in zip(cells, self._widths, strict=True))
        self.console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)


class TerminalDisplay(LogDisplay):
    """Rows of a table, and a bar below them that redraws itself and leaves nothing behind."""

    def __init__(self, console: Console) -> None:
        """Take the terminal."""
        super().__init__(console)
        self._bar = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._task: Any = None

    def begin(self, columns: list[str]) -> None:
        """Print the header and open the bar."""
        super().begin(columns)
        self._bar.start()

    def stage(self, title: str, total: int) -> None:
        """Begin a new bar."""
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(title, total=total, note="")

    def advance(self, done: int, note: str) -> None:
        """Redraw the bar."""
        self._bar.update(self._task, completed=done, note=note)

    def end(self) -> None:
        """Take the bar away."""
        self._bar.stop()


class NotebookDisplay:
    """One area of a notebook that is redrawn: the table, and the bar below it."""

    def __init__(self) -> None:
        """Open the area."""
        # Only a notebook has IPython, and only there is this called.
        from IPython.display import HTML, display  # type: ignore[import-not-found]

        self._html = HTML
        self._handle = display(HTML(""), display_id=True)
        self._columns: list[str] = []
        self._rows: list[list[str]] = []
        self._notes: list[str] = []
        self._bar = ""

    def begin(self, columns: list[str]) -> None:
        """Draw the empty table."""
        self._columns = columns
        self._draw()

    def stage(self, title: str, total: int) -> None:
        """Begin a new bar."""
        self._title, self._total, self._began = title, total, time.monotonic()

    def advance(self, done: int, note: str) -> None:
        """Redraw the bar."""
        left = (time.monotonic() - self._began) / max(done, 1) * (self._total - done)
        text = f"{self._title} {done}/{self._total}, {left:.0f} s left, {note}"
        self._bar = f'<div><progress value="{done}" max="{self._total}"></progress> {for_html(text)}</div>'
        self._draw()

    def row(self, values: list[str]) -> None:
        """Add a row."""
        self._rows.append(values)
        self._bar = ""
        self._draw()

    def note(self, text: str) -> None:
        """Add a line below the table."""
        self._notes.append(text)
        self._draw()

    def end(self) -> None:
        """Leave the table without a bar."""
        self._bar = ""
        self._draw()

    def _draw(self) -> None:
        notes = "".join(f"<div>{for_html(note)}</div>" for note in self._notes)
        self._handle.update(self._html(self._table() + notes + self._bar))

    def _table(self) -> str:
        lines = [("th", self._columns), *(("td", row) for row in self._rows)]
        body = "".join(f"<tr>{''.join(f'<{tag}>{for_html(cell)}</{tag}>' for cell in cells)}</tr>" for tag, cells in lines)
        return f'<table class="dataframe">{body}</table>'
