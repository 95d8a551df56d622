"""Points in pictures: `PointBlock`, where points go when their picture is transformed, and how they are drawn.

A point is (x, y) in pixels, counted from the left and upper outer edge: the centre of the first pixel is (0.5, 0.5). It is
told for the picture as a person sees it, rotation flags (EXIF) applied. In a batch it is told in -1..1 of the picture, from
outer edge to outer edge; points that a crop left outside lie beyond.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from torch import Tensor

from sightline.data.blocks import BLANK, TargetBlock
from sightline.data.transforms.chance import Floats, ItemDraw
from sightline.data.transforms.items import ItemTransform
from sightline.errors import LabelError, OptionError, counted
from sightline.preprocess import Size
from sightline.target import Points, is_blank

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Step = tuple[str, object]
"""A transform of one picture with its name."""


@dataclass(frozen=True, eq=False)
class PointBlock(TargetBlock):
    """One or several points in each picture, which follow it through every transform.

    A label is a list, an array or a tensor: (x, y), or `(n, 2)`, or x and y in turns. Points are told in pixels of the picture
    as a person sees it, that is, after the turn that a photograph's rotation flag (EXIF) asks for.
    """

    expects: ClassVar[str] = "finite numbers x, y for each picture, the same count of points for all"
    has_classes: ClassVar[bool] = False

    def read(self, label: Any) -> list[float]:
        """The coordinates x, y in turns."""
        label = label.detach().cpu() if isinstance(label, Tensor) else label
        if is_blank(label):
            raise LabelError(BLANK)
        try:
            values = np.asarray(label, dtype=np.float64).ravel()
        except (TypeError, ValueError):
            raise LabelError(f"{str(label)[:40]!r}, not points (x, y)") from None
        if not len(values) or len(values) % 2:
            raise LabelError(f"{counted(len(values), 'number')}, not points (x, y)")
        if not np.isfinite(values).all():
            raise LabelError("missing or infinite coordinates")
        return [float(value) for value in values]

    def learn(self, labels: Sequence[Any]) -> Points:
        return Points.learn(labels)


def path_of_points(steps: Iterable[Step], sizes: Sequence[tuple[int, int]], draw: ItemDraw) -> Floats:
    """Where points of the first picture lie in the last one: float64 `(3, 3)`, pixels to pixels.

    Draws depend on their names alone, so what is asked for here is what moved the pixels.

    Args:
        steps: The transforms that were applied.
        sizes: (width, height) before the first of them and after each.
        draw: What they were given, without their scopes.

    Raises:
        OptionError: A transform changed the size and cannot say where points went.
    """
    path = np.eye(3)
    for (name, transform), before, after in zip(steps, sizes[:-1], sizes[1:], strict=True):
        scoped = draw.scoped(f"{name}.")
        placements = transform.placements(before, scoped) if isinstance(transform, ItemTransform) else None
        if after != (placements[-1].size[::-1] if placements else before):
            raise OptionError(
                f"The item transform {name} made a picture of {before[0]} x {before[1]} pixels one of {after[0]} x {after[1]}, "
                "and labels are points: where they went is not known. Expected sightline's own transforms for what moves "
                "pixels, such as Resize or RandomCrop. Or cut pictures beforehand, and tell points in what you give."
            )
        for placement in placements or ():
            path = placement.matrix @ path
    return path


def check_size(expected: Size, found: Size) -> None:
    """Refuses a batch whose size a transform of the user's own changed.

    Args:
        expected: (height, width) after the library's own transforms.
        found: (height, width) of the batch.
    """
    if found != expected:
        raise OptionError(
            f"A batch transform of your own made pictures of {expected[1]} x {expected[0]} pixels ones of {found[1]} x "
            f"{found[0]}, and labels are points: where they went is not known. Use size= of sightline's own transforms, such "
            "as aug_transforms(size=224)."
        )


def draw_points(axis: Axes, points: Any, picture: Size, **options: Any) -> None:
    """Draws points on a picture that `axis.imshow` shows.

    Args:
        axis: Of matplotlib.
        points: `(n, 2)` or `(2 n,)` in -1..1 of the picture.
        picture: (height, width) in pixels.
        options: For `axis.scatter`; the default is small and red.
    """
    height, width = picture
    x, y = np.asarray(points, dtype=np.float64).reshape(-1, 2).T
    # imshow puts the centre of the first pixel at 0. A point outside must not change what is seen of the picture.
    limits = axis.get_xlim(), axis.get_ylim()
    axis.scatter((x + 1) * width / 2 - 0.5, (y + 1) * height / 2 - 0.5, **{"s": 10, "marker": ".", "c": "r", **options})
    axis.set_xlim(limits[0])
    axis.set_ylim(limits[1])
