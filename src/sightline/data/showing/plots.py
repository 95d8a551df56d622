"""Pictures on axes of matplotlib, with fastai's names: one, several, a grid; nothing here knows of data sets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from sightline.escaping import for_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

FigSize = tuple[float, float]
_MOST_CHANNELS_FIRST = 4
"""A tensor whose first dimension is not larger than this is `(C, H, W)`."""


def subplots(
    nrows: int = 1,
    ncols: int = 1,
    figsize: FigSize | None = None,
    imsize: float = 3,
    suptitle: str | None = None,
    **options: Any,
) -> tuple[Figure, Any]:
    """A figure and its axes, `imsize` inches each way for every one of them.

    Args:
        nrows: Rows of axes.
        ncols: Columns of axes.
        figsize: (width, height) of the figure in inches, in place of `imsize`.
        imsize: Inches a picture.
        suptitle: Title of the figure.
        options: As for `matplotlib.pyplot.subplots`.

    Returns:
        The figure, and an array of axes: `(nrows, ncols)`, or `(n,)` where one of them is 1.
    """
    import matplotlib.pyplot as plt

    if figsize is None:
        room = 0.6 if suptitle is not None and imsize <= 2 else 0.0
        figsize = (ncols * imsize, nrows * imsize + room)
    figure, axes = plt.subplots(nrows, ncols, figsize=figsize, **options)
    if suptitle is not None:
        figure.suptitle(suptitle)
    return figure, axes if isinstance(axes, np.ndarray) else np.array([axes], dtype=object)


def get_grid(
    n: int,
    nrows: int | None = None,
    ncols: int | None = None,
    figsize: FigSize | None = None,
    double: bool = False,
    title: str | None = None,
    return_fig: bool = False,
    flatten: bool = True,
    **options: Any,
) -> Any:
    """Axes for `n` pictures, in about as many rows as columns.

    Args:
        n: Number of axes.
        nrows: Rows; None chooses.
        ncols: Columns; None chooses.
        figsize: (width, height) of the figure in inches.
        double: Twice as many columns and axes, for pairs of pictures.
        title: Title of the figure.
        return_fig: Return (figure, axes).
        flatten: A list of the `n` axes, the rest of the grid switched off; False returns the array as it is.
        options: As for `subplots`.
    """
    rows, columns = grid_shape(n, nrows, ncols)
    if double:
        columns, n = 2 * columns, 2 * n
    figure, axes = subplots(rows, columns, figsize=figsize, **options)
    if flatten:
        for unused in axes.flat[n:]:
            unused.set_axis_off()
        axes = list(axes.flat[:n])
    if title is not None:
        figure.suptitle(title, weight="bold", size=14)
    return (figure, axes) if return_fig else axes


def show_image(
    im: Any,
    ax: Axes | None = None,
    figsize: FigSize | None = None,
    title: str | None = None,
    ctx: Axes | None = None,
    **options: Any,
) -> Axes:
    """Draws one picture.

    Args:
        im: A Pillow image, an array `(H, W[, C])` or a tensor `(C, H, W)` or `(H, W)`; of 2 channels the first is shown, of
            more than 4 the first three.
        ax: Where to draw; None makes a figure.
        figsize: (width, height) of a new figure in inches; None takes an inch for 32 pixels, 1 to 5.
        title: Written above.
        ctx: Another name for `ax`.
        options: As for matplotlib's `imshow`, such as cmap='gray'.

    Returns:
        The axes.
    """
    pixels = showable(im)
    where = ax if ax is not None else ctx
    if where is None:
        import matplotlib.pyplot as plt

        height, width = (min(5, max(1, side // 32)) for side in pixels.shape[:2])
        # fastai passes (height, width) where matplotlib expects (width, height).
        _, where = plt.subplots(figsize=figsize or (width, height))
    where.imshow(pixels, **options)
    if title is not None:
        where.set_title(title)
    where.axis("off")
    return where


def show_titled_image(o: Sequence[Any], **options: Any) -> Axes:
    """Draws `(picture, label)`, the label as it is; options as for `show_image`, which see."""
    return show_image(o[0], title=for_figure(o[1]), **options)


def show_images(
    ims: Sequence[Any], nrows: int = 1, ncols: int | None = None, titles: Sequence[Any] | None = None, **options: Any
) -> Figure:
    """Draws several pictures in a grid.

    Args:
        ims: Pictures, as for `show_image`.
        nrows: Rows of the grid.
        ncols: Columns; None takes as many as are needed.
        titles: One for each picture.
        options: As for `subplots`: figsize, imsize, suptitle.

    Returns:
        The figure.
    """
    columns = ncols or max(1, math.ceil(len(ims) / nrows))
    figure, axes = subplots(nrows, columns, **options)
    for axis in axes.flat[len(ims) :]:
        axis.set_axis_off()
    for axis, picture, title in zip(axes.flat, ims, titles or [None] * len(ims), strict=False):
        show_image(picture, ax=axis, title=title)
    return figure


def grid_shape(n: int, nrows: int | None = None, ncols: int | None = None) -> tuple[int, int]:
    """(rows, columns) of a grid for `n` pictures, where one or none of them is given."""
    if nrows is None:
        nrows = math.ceil(n / ncols) if ncols else max(1, int(math.sqrt(n)))
    return nrows, ncols or math.ceil(n / nrows)


def showable(im: Any) -> npt.NDArray[Any]:
    """What matplotlib can draw: `(H, W)`, `(H, W, 3)` or `(H, W, 4)`."""
    if isinstance(im, torch.Tensor):
        im = im.detach().cpu()
        pixels: npt.NDArray[Any] = (im.permute(1, 2, 0) if im.ndim == 3 and im.shape[0] <= _MOST_CHANNELS_FIRST else im).numpy()
    else:
        pixels = np.asarray(im)
    if pixels.ndim == 3 and pixels.shape[2] not in (3, 4):
        pixels = pixels[..., 0] if pixels.shape[2] < 3 else pixels[..., :3]
    return pixels
