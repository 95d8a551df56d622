"""What `sightline predict` does: pictures -> Predictor -> a table on disk or on screen."""

from __future__ import annotations

import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from rich.table import Table as ScreenTable

from sightline.atomic import whole_file
from sightline.cells import csv_line
from sightline.cli.screen import load_predictor, output_names, with_bar
from sightline.cli.settings import Machine
from sightline.console import PlainConsole
from sightline.errors import ImageError, OptionError, SightlineWarning, counted
from sightline.escaping import for_terminal
from sightline.predict import Prediction, Predictor

UNBOUNDED = 10_000
SHOWN = 20
"""How many pictures are shown on screen when no file is written."""


def run_prediction(model: Path, files: list[Path], *, csv: Path | None, top: int, bs: int, machine: Machine) -> None:
    """Predict, and write or show the table.

    Raises:
        BundleError: The model cannot be loaded.
        ImageError: Not one of the pictures can be read.
        OptionError: The table would be written over the model or a picture.
    """
    if csv is not None and os.path.realpath(csv) in {os.path.realpath(path) for path in (model, *files)}:
        raise OptionError(f"--csv {csv} would write over what is read. Expected another name for the table.")
    predictor = load_predictor(model, machine)
    screen = PlainConsole()
    counts: Counter[str] = Counter()
    began = time.monotonic()
    with ExitStack() as opened:
        # Unreadable pictures have their reasons in the table; the loader need not say them too.
        opened.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore", SightlineWarning)
        predictions = opened.enter_context(closing(predictor.predict_many(files, bs=bs, workers=machine.workers)))
        results = _counting(with_bar(predictions, len(files), "predicting"), counts)
        if csv is None:
            _show(results, predictor, top, screen)
        else:
            partial = opened.enter_context(whole_file(csv))
            _write(results, predictor, top, partial)
    _say_result(screen, counts, time.monotonic() - began, csv)
    if counts["unreadable"] == len(files):
        raise ImageError(
            f"None of {counted(len(files), 'picture')} could be read. Expected picture files such as .jpg or .png."
        )


def columns(predictor: Predictor, top: int) -> list[str]:
    """The column names of the table."""
    if predictor.vocab is None:
        return ["file", *output_names(predictor.target), "error"]
    count = min(top, len(predictor.vocab))
    return ["file", "label", *(name for k in range(1, count + 1) for name in (f"top_{k}", f"probability_{k}")), "error"]


def row_of(prediction: Prediction, predictor: Predictor, top: int) -> list[str]:
    """One picture's cells, in the order of `columns`."""
    width = len(columns(predictor, top)) - 2
    if prediction.error is not None:
        return [str(prediction.source), *[""] * width, prediction.error]
    if predictor.vocab is None:
        return [str(prediction.source), *(f"{value:.6g}" for value in prediction.probabilities.tolist()), ""]
    best = [cell for name, share in prediction.top(top) for cell in (str(name), f"{share:.6f}")]
    return [str(prediction.source), _label_text(prediction.label), *best, ""]


def _label_text(label: Any) -> str:
    return " ".join(map(str, label)) if isinstance(label, list) else str(label)


def _write(results: Iterator[Prediction], predictor: Predictor, top: int, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        file.write(csv_line(columns(predictor, top)))
        file.writelines(csv_line(row_of(prediction, predictor, top)) for prediction in results)


def _show(results: Iterator[Prediction], predictor: Predictor, top: int, screen: PlainConsole) -> None:
    headings = ["file", *output_names(predictor.target)] if predictor.vocab is None else ["file", "label", "most probable"]
    table = ScreenTable(*headings, box=None, header_style="bold", pad_edge=False)
    # The end of a path tells pictures apart, so it is never cut off; in a file or a pipe nothing is.
    table.columns[0].overflow = "fold"
    if not screen.is_terminal:
        screen.width = UNBOUNDED
    rows = 0
    for prediction in results:
        rows += 1
        if rows <= SHOWN:
            table.add_row(*map(for_terminal, (prediction.source, *_cells(prediction, top))))
    screen.print(table)
    if rows > SHOWN:
        screen.print(f"... and {rows - SHOWN:,} more. Write all of them with --csv FILE.csv.")


def _cells(prediction: Prediction, top: int) -> list[str]:
    """What the screen shows beside the file."""
    if prediction.error is not None:
        return ["-", prediction.error]
    if prediction.vocab is None:
        return [f"{value:.6g}" for value in prediction.probabilities.tolist()]
    best = ", ".join(f"{name} {share:.2f}" for name, share in prediction.top(top))
    return [_label_text(prediction.label) or "(none)", best]


def _counting(results: Iterator[Prediction], counts: Counter[str]) -> Iterator[Prediction]:
    for prediction in results:
        counts["unreadable" if prediction.error is not None else "predicted"] += 1
        yield prediction


def _say_result(screen: PlainConsole, counts: Counter[str], seconds: float, csv: Path | None) -> None:
    total = counts.total()
    text = f"{counted(total, 'picture')} in {seconds:.1f} s ({total / max(seconds, 1e-9):,.0f} images/s)"
    if counts["unreadable"]:
        text += f", {counts['unreadable']:,} of them unreadable"
    screen.print(text + (f"; written to {csv}" if csv is not None else ""), soft_wrap=True)
