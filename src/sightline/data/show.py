"""Pictures of a batch as a person would look at them: colours restored, labels above."""

from __future__ import annotations

import importlib
import io
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.data.batch import Batch
from sightline.data.loaders import Loader
from sightline.errors import OptionError
from sightline.target import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INCHES = 3.0


def show_batch(
    loader: Loader,
    *,
    batch: Batch | None = None,
    epoch: int = -1,
    max_n: int = 9,
    nrows: int | None = None,
    ncols: int | None = None,
    figsize: tuple[float, float] | None = None,
    unique: bool = False,
) -> Figure:
    """A figure of the first pictures of a batch, each with its label.

    Args:
        loader: Where the batch comes from.
        batch: A batch to show; None takes the first one of `epoch`.
        epoch: Which epoch's draws to look at; those of negative epochs are never trained on.
        max_n: The most pictures.
        nrows: Rows of the grid; None chooses.
        ncols: Columns of the grid; None chooses.
        figsize: (width, height) of the figure in inches.
        unique: One picture again and again, augmented anew each time.
    """
    if max_n < 1:
        raise OptionError(f"max_n={max_n} pictures cannot be shown. Expected at least 1.")
    if batch is None:
        batch = repeated(loader, max_n, epoch) if unique else loader.peek(epoch)
    shown = min(max_n, batch.n)
    pixels = denormalized(batch.image[:shown], loader.stats)
    labels = [label_text(loader.part.target, None if batch.target is None else batch.target[i]) for i in range(shown)]
    return grid(pixels, labels, nrows=nrows, ncols=ncols, figsize=figsize)


def repeated(loader: Loader, count: int, epoch: int) -> Batch:
    """A batch of one picture `count` times, with the draws of `count` epochs."""
    row = loader.order(epoch)[:1]
    single = loader.new(part=loader.part.only(row), bs=1, shuffle=False, drop_last=False)
    batches = [single.peek(epoch - i) for i in range(count)]
    targets = [batch.target for batch in batches if batch.target is not None]
    image = torch.cat([batch.image for batch in batches])
    return Batch(image, torch.cat(targets) if targets else None, np.repeat(row, count))


def denormalized(image: Tensor, stats: tuple[Sequence[float], Sequence[float]] | None) -> npt.NDArray[np.float32]:
    """float32 `(N, H, W, C)` in 0..1 from `(N, C, H, W)` normalised by (mean, std), if at all."""
    image = image.detach().float().cpu()
    if stats is not None:
        mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in stats)
        image = image * std + mean
    pixels: npt.NDArray[np.float32] = image.clamp(0, 1).permute(0, 2, 3, 1).numpy()
    return pixels


def label_text(target: Target | None, encoded: Tensor | None) -> str:
    """The label of one encoded target in words; several names are joined by ';'."""
    if target is None or encoded is None:
        return ""
    label = target.decode(encoded.cpu())
    if isinstance(label, list):
        return ";".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in label)
    return f"{label:.4g}" if isinstance(label, float) else str(label)


def grid(
    pixels: npt.NDArray[np.float32],
    labels: list[str],
    *,
    nrows: int | None = None,
    ncols: int | None = None,
    figsize: tuple[float, float] | None = None,
) -> Figure:
    """A matplotlib figure of pictures `(N, H, W, C)` in 0..1 with a label above each."""
    import matplotlib.pyplot as plt

    rows, columns = _grid_shape(len(pixels), nrows, ncols)
    size = figsize or (columns * _INCHES, rows * _INCHES)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, FigureClass=_figure_class())
    for axis in axes.flat:
        axis.set_axis_off()
    for axis, picture, label in zip(axes.flat, pixels, labels, strict=False):
        axis.imshow(picture if picture.shape[2] == 3 else picture[:, :, 0], **_colours(picture))
        axis.set_title(label)
    return figure


def _figure_class() -> type[Figure]:
    """A figure that a notebook shows once.

    At the end of a cell notebooks show every open figure of pyplot and close it; a figure that is also the cell's value would
    be shown a second time.
    """
    from matplotlib._pylab_helpers import Gcf
    from matplotlib.figure import Figure

    class ShownOnce(Figure):
        def _ipython_display_(self) -> None:
            if any(manager.canvas.figure is self for manager in Gcf.get_all_fig_managers()):
                return
            page = io.BytesIO()
            self.savefig(page, format="png", bbox_inches="tight")
            # Only a notebook calls this, and a notebook has IPython.
            notebook = importlib.import_module("IPython.display")
            notebook.display(notebook.Image(data=page.getvalue()))

    return ShownOnce


def _grid_shape(n: int, nrows: int | None, ncols: int | None) -> tuple[int, int]:
    if nrows is None:
        nrows = math.ceil(n / ncols) if ncols else max(1, int(math.sqrt(n)))
    return nrows, ncols or math.ceil(n / nrows)


def _colours(picture: npt.NDArray[np.float32]) -> dict[str, Any]:
    return {} if picture.shape[2] == 3 else {"cmap": "gray", "vmin": 0, "vmax": 1}
