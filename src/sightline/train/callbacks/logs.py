"""Logs: the table of a fit as a file, and as a graph that grows."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from sightline.cells import csv_line, read_back
from sightline.errors import OptionError
from sightline.train.callbacks.core import PerRun
from sightline.train.events import Callback
from sightline.train.progress import in_notebook

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class CSVLogger(PerRun):
    """Writes the table to a file in the learner's folder, a row as soon as its epoch ends.

    The phases of `fine_tune` are one run and stand below one another. Numbers have all their digits; what was not computed is
    left blank.
    """

    order: ClassVar[int] = 60
    remove_on_fetch: ClassVar[bool] = True
    resumes: ClassVar[tuple[str, ...]] = ("size",)

    def __init__(self, fname: str | Path = "history.csv", append: bool = False) -> None:
        """Take the file's name, and whether rows of earlier runs stay."""
        self.fname, self.append = Path(fname), append
        self.size = 0

    @property
    def file_path(self) -> Path:
        """The file."""
        return self.path / self.fname

    def read_log(self) -> pd.DataFrame:
        """The file as a table."""
        import pandas as pd

        return pd.read_csv(self.file_path)

    def before_fit(self) -> None:
        """Begin the file, or see whether rows can be added to it.

        Raises:
            OptionError: Rows are to be added to a file that has other columns.
        """
        path, names = self.file_path, self.recorder.metric_names
        path.parent.mkdir(parents=True, exist_ok=True)
        begins = self.begins_run()
        if begins and not self.append:
            path.write_text("", encoding="utf-8")
        elif not begins and path.is_file() and path.stat().st_size > self.size:
            # Rows that were written after the state was taken will be written again.
            os.truncate(path, self.size)
        with path.open("a+", encoding="utf-8", newline="") as file:
            file.seek(0)
            there = next(csv.reader(file), None)
        if there is None:
            self._write(names)
        elif [read_back(name) for name in there] != names:
            raise OptionError(
                f"{path} has the columns {', '.join(there)}. Rows of {', '.join(names)} cannot be added to it: "
                "give CSVLogger another fname=, or append=False to write it anew."
            )

    def after_epoch(self) -> None:
        """Write the epoch's row, unless it was skipped."""
        if self.recorder.epoch_row is not None:
            self._write(self.recorder.log)

    def _write(self, values: Iterable[Any]) -> None:
        with self.file_path.open("a", encoding="utf-8", newline="") as file:
            file.write(csv_line(values))
        self.size = self.file_path.stat().st_size


class ShowGraphCallback(Callback):
    """Draws training and validation loss after every epoch; in a notebook the graph is redrawn in its place.

    Attributes:
        figure: The last drawing; None before the first.
    """

    order: ClassVar[int] = 65
    remove_on_fetch: ClassVar[bool] = True
    resumes: ClassVar[tuple[str, ...]] = ("nb_batches",)
    run_valid = False

    def __init__(self) -> None:
        self.figure: Figure | None = None
        self.nb_batches: list[int] = []
        self._handle: Any = None

    def before_fit(self) -> None:
        """Begin a graph."""
        self.nb_batches, self._handle = [], None

    def after_train(self) -> None:
        """Note where the epoch ends."""
        self.nb_batches.append(self.train_iter)

    def after_epoch(self) -> None:
        """Draw."""
        if self.recorder.epoch_row is None or not self.nb_batches:
            return
        from matplotlib.figure import Figure

        self.figure = Figure(figsize=(6, 4))
        self.draw(self.figure.subplots())
        if in_notebook():
            self._show(self.figure)

    def draw(self, ax: Axes) -> Axes:
        """Draw both losses over the steps of the fit."""
        losses, per_epoch = [float(loss) for loss in self.recorder.losses], self.nb_batches[0]
        ends = zip(self.nb_batches, self.recorder.valid_losses, strict=False)
        checks = [(end, loss) for end, loss in ends if loss is not None]
        ax.plot(range(len(losses)), losses, label="train")
        ax.plot([end for end, _ in checks], [loss for _, loss in checks], label="valid")
        ax.set_xlim(0, max((self.n_epoch - len(self.nb_batches)) * per_epoch + len(losses), 1))
        ax.set_ylim(0, max([*losses, *(loss for _, loss in checks), 1e-9]))
        ax.legend()
        return ax

    def _show(self, figure: Figure) -> None:
        import io

        from IPython.display import Image, display  # type: ignore[import-not-found]

        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        image = Image(picture.getvalue())
        if self._handle is None:
            self._handle = display(image, display_id=True)
        else:
            self._handle.update(image)
