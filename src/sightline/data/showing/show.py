"""Pictures of a batch as a person would look at them: colours restored, labels above."""

from __future__ import annotations

import importlib
import io
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.data.loading.batch import Batch
from sightline.data.loading.loaders import Loader
from sightline.data.showing.plots import grid_shape, showable
from sightline.data.transforms.points import draw_points
from sightline.errors import OptionError, counted
from sightline.escaping import for_figure, for_terminal
from sightline.target import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = 3.0
_LETTERS_AN_INCH = 10.5
"""Of a title in matplotlib's usual 12 points; a letter is about 0.57 of that wide."""
_TITLE_LINES = 3


def show_batch(
    loader: Loader,
    b: Any = None,
    max_n: int = 9,
    ctxs: Sequence[Axes] | None = None,
    show: bool = True,
    unique: bool = False,
    *,
    epoch: int = -1,
    nrows: int | None = None,
    ncols: int | None = None,
    figsize: tuple[float, float] | None = None,
) -> Any:
    """A figure of the first pictures of a batch, each with its label.

    Args:
        loader: Where the batch comes from.
        b: A batch to show, or `(images, targets)`; None takes the first one of `epoch`.
        max_n: The most pictures.
        ctxs: Axes to draw on, one a picture; None makes a figure.
        show: Draw; False returns the batch's images, its targets, and what would be drawn.
        unique: One picture again and again, augmented anew each time.
        epoch: Which epoch's draws to look at; those of negative epochs are never trained on.
        nrows: Rows of the grid; None chooses.
        ncols: Columns of the grid; None chooses.
        figsize: (width, height) of the figure in inches.
    """
    if max_n < 1:
        raise OptionError(f"max_n={max_n} pictures cannot be shown. Expected at least 1.")
    if b is None:
        b = repeated(loader, max_n, epoch) if unique else loader.peek(epoch)
    image, target = _image_and_target(b)
    if not show:
        return image, target, decoded_pairs(loader, b, max_n)
    shown = min(max_n, len(image))
    pixels = denormalized(_decoded(loader, image[:shown]), None)
    labels = [label_text(loader.part.target, None if target is None else target[i]) for i in range(shown)]
    figure = grid(pixels, labels, nrows=nrows, ncols=ncols, figsize=figsize, axes=ctxs)
    if target is not None and loader.part.labels_move:
        for axis, points in zip(figure.axes if ctxs is None else ctxs, target[:shown].cpu(), strict=False):
            draw_points(axis, points, (image.shape[-2], image.shape[-1]))
    return figure


def repeated(loader: Loader, count: int, epoch: int) -> Batch:
    """A batch of one picture `count` times, with the draws of `count` epochs."""
    row = loader.order(epoch)[:1]
    single = loader.new(part=loader.part.only(row), bs=1, shuffle=False, drop_last=False, partial_n=None)
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


def restored(loader: Loader, b: Any) -> tuple[Tensor, ...]:
    """A batch with its colours restored: uint8 `(N, C, H, W)` on the host, and its targets, if it has any."""
    image, target = _image_and_target(b)
    pixels = torch.from_numpy(denormalized(_decoded(loader, image), None)).permute(0, 3, 1, 2)
    colours = (pixels * 255).round().to(torch.uint8)
    return (colours,) if target is None else (colours, target.cpu())


def _decoded(loader: Loader, image: Tensor) -> Tensor:
    """Not normalised, and what the user's own transforms have `decodes` for undone."""
    return loader.batches.decoded(image.detach().float(), training=loader.options.training)


def decoded_pairs(loader: Loader, b: Any, max_n: int = 9, full: bool = True) -> list[tuple[Any, ...]]:
    """The first pictures of a batch, uint8 `(C, H, W)`, each with its label; with `full` as it was in the data."""
    image, *targets = restored(loader, b)
    target = loader.part.target
    if not targets or target is None:
        return [(picture,) for picture in image[:max_n]]
    labels = [target.decode(label) if full else label for label in targets[0][:max_n]]
    return list(zip(image[:max_n], labels, strict=True))


def label_text(target: Target | None, encoded: Tensor | None) -> str:
    """The label of one encoded target in words; several names are joined by ';'. Empty for points, which are drawn."""
    if target is None or encoded is None or target.moves_with_picture:
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
    axes: Sequence[Axes] | None = None,
) -> Figure:
    """A matplotlib figure of pictures `(N, H, W, C)` in 0..1 with a label above each; of many channels three are shown.

    Args:
        pixels: The pictures.
        labels: One a picture; long ones are broken into lines, and cut at the third.
        nrows: Rows of the grid; None chooses.
        ncols: Columns of the grid; None chooses.
        figsize: (width, height) of the figure in inches.
        axes: Where to draw instead; fewer than pictures show only the first ones.

    Returns:
        The figure, or that of the axes.
    """
    if axes is not None and not len(axes):
        raise OptionError("There are no axes to draw on: ctxs is empty. Expected one for each picture.")
    places = _new_axes(len(pixels), nrows, ncols, figsize) if axes is None else list(axes)
    for axis in places:
        axis.set_axis_off()
    for axis, picture, label in zip(places, pixels, labels, strict=False):
        drawn = showable(picture)
        axis.imshow(drawn if drawn.ndim == 2 else drawn[..., :3], **_colours(drawn))
        axis.set_title(fitting_title(label, axis))
    figure: Any = places[0].figure
    return cast("Figure", figure)


def fitting_title(label: str, axis: Axes) -> str:
    """A label as it is, broken into lines that are not wider than the axes; past the third it is cut."""
    inches = axis.get_window_extent().width / axis.figure.dpi
    wide = max(8, int(inches * _LETTERS_AN_INCH))
    label = for_terminal(label)
    lines = textwrap.wrap(label.replace(";", "; "), wide) if len(label) > wide else [label]
    if len(lines) > _TITLE_LINES:
        lines = [*lines[: _TITLE_LINES - 1], lines[_TITLE_LINES - 1][: wide - 1] + "…"]
    return "\n".join(map(for_figure, lines))


def _image_and_target(b: Any) -> tuple[Tensor, Tensor | None]:
    parts = tuple(b) if isinstance(b, (Batch, list, tuple)) else (b,)
    if not 1 <= len(parts) <= 2 or not isinstance(parts[0], Tensor) or parts[0].ndim != 4:
        raise OptionError(
            f"b is a {type(b).__name__} of {counted(len(parts), 'part')}. Expected a batch, such as dls.one_batch(), or "
            "(images, targets) with images (N, C, H, W)."
        )
    return parts[0], parts[1] if len(parts) == 2 else None


def _new_axes(n: int, nrows: int | None, ncols: int | None, figsize: tuple[float, float] | None) -> list[Axes]:
    import matplotlib.pyplot as plt

    rows, columns = grid_shape(n, nrows, ncols)
    size = figsize or (columns * _INCHES, rows * _INCHES)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained", FigureClass=_figure_class())
    return list(axes.flat)


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


def _colours(picture: npt.NDArray[Any]) -> dict[str, Any]:
    return {"cmap": "gray", "vmin": 0, "vmax": 1} if picture.ndim == 2 else {}
