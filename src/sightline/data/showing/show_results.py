"""Pictures with what was said of them: the label above the prediction, green where they agree and red where not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.loaders import Loader
from sightline.data.showing.plots import FigSize
from sightline.data.showing.show import denormalized, fitting_title, grid, label_text, restored
from sightline.data.transforms.points import draw_points
from sightline.errors import OptionError
from sightline.target import Target

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG = "green", "red"


@dataclass(frozen=True, eq=False)
class Shown:
    """Pictures and what is to be written above them.

    Attributes:
        pixels: float32 `(H, W, C)` in 0..1 each.
        target: What the labels are.
        targs: Encoded labels `(N, ...)`, or None where they are not known.
        decoded: Decisions `(N, ...)`.
    """

    pixels: Sequence[npt.NDArray[np.float32]]
    target: Target
    targs: Tensor | None
    decoded: Tensor

    def texts(self, position: int) -> tuple[str, str]:
        """Label and prediction of one picture in words; empty where they are points, which are drawn, or not known."""
        actual = None if self.targs is None else self.targs[position]
        return label_text(self.target, actual), label_text(self.target, self.decoded[position])

    def colour(self, position: int) -> str | None:
        """Green or red; None where there is no label, or where labels are numbers, which are never met exactly."""
        if self.targs is None or self.target.vocab is None:
            return None
        agree = torch.equal(self.targs[position].long(), self.decoded[position].long())
        return RIGHT if agree else WRONG


def show_results(shown: Shown, **options: Any) -> Figure:
    """A figure of pictures, the label of each above its prediction; options as for `titled`."""
    titles = [[text for text in shown.texts(i) if text] for i in range(len(shown.pixels))]
    return titled(shown, titles, heading="Target/Prediction", **options)


def titled(
    shown: Shown,
    titles: Sequence[Sequence[str]],
    *,
    nrows: int | None = None,
    ncols: int | None = None,
    figsize: FigSize | None = None,
    ctxs: Sequence[Axes] | None = None,
    heading: str | None = None,
) -> Figure:
    """A figure of pictures with these titles; points are drawn, true ones green and predicted ones red.

    Args:
        shown: The pictures.
        titles: The lines above each.
        nrows: Rows of the grid; None chooses.
        ncols: Columns of the grid; None chooses.
        figsize: (width, height) of the figure in inches.
        ctxs: Axes to draw on, one a picture; None makes a figure.
        heading: Above all of them.

    Raises:
        OptionError: There are no pictures.
    """
    if not shown.pixels:
        raise OptionError("There is no picture to show. Expected at least one.")
    pixels: Any = shown.pixels
    figure = grid(pixels, [""] * len(pixels), nrows=nrows, ncols=ncols, figsize=figsize, axes=ctxs)
    if heading is not None and ctxs is None:
        figure.suptitle(heading, weight="bold")
    for position, (axis, lines) in enumerate(zip(figure.axes if ctxs is None else ctxs, titles, strict=False)):
        colour = shown.colour(position)
        text = "\n".join(fitting_title(line, axis) for line in lines)
        title = axis.set_title(text)
        if colour is not None:
            title.set_color(colour)
        if shown.target.moves_with_picture:
            height, width = shown.pixels[position].shape[:2]
            for points, ink in ((shown.targs, RIGHT), (shown.decoded, WRONG)):
                if points is not None:
                    draw_points(axis, points[position], (height, width), c=ink)
    return figure


def pixels_of(images: Any, loader: AnyLoader) -> list[npt.NDArray[np.float32]]:
    """float32 `(H, W, C)` in 0..1 of each image `(C, H, W)` that a loader gave, its colours restored."""
    if not isinstance(loader, Loader):
        return [denormalized(image[None], None)[0] for image in images]
    colours = (restored(loader, image[None])[0][0] for image in images)
    return [np.divide(picture.permute(1, 2, 0).numpy(), 255, dtype=np.float32) for picture in colours]
