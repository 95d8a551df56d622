"""How one picture is brought to a size: laid down, cropped, padded or squished; and the picture part of a `Preprocess`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from PIL import Image

from sightline.data.pictures.bands import picture_of
from sightline.data.transforms.chance import Floats
from sightline.errors import OptionError
from sightline.preprocess import Preprocess, Size

CENTRE = (0.5, 0.5)
_PADDINGS = {"reflection": "reflect", "border": "edge", "zeros": "constant"}

DIHEDRAL = np.array(
    [
        [[1, 0], [0, 1]],
        [[-1, 0], [0, 1]],
        [[1, 0], [0, -1]],
        [[0, -1], [1, 0]],
        [[-1, 0], [0, -1]],
        [[0, 1], [-1, 0]],
        [[0, 1], [1, 0]],
        [[0, -1], [-1, 0]],
    ],
    dtype=np.float64,
)
"""Where x and y come from (rows) in the eight ways to lay down a square, in the order of `PIL.Image.Transpose` after 0."""


@dataclass(frozen=True)
class Placement:
    """One step of a picture on its way to its size. Its pixels, and points in it, are moved by these same numbers.

    Attributes:
        picture: (width, height) of the picture before.
        left_top: (left, top) of the box that is kept, in pixels; it may leave the picture.
        box: (width, height) of that box.
        size: (height, width) that the box is brought to.
        way: How the picture is laid down before the box is cut; see `DIHEDRAL`.
        pad_mode: What fills the box outside of the picture.
        interpolation: Resampling of the box.
    """

    picture: tuple[int, int]
    left_top: tuple[int, int]
    box: tuple[int, int]
    size: Size
    way: int = 0
    pad_mode: str = "zeros"
    interpolation: str = "bilinear"

    @classmethod
    def laid(cls, picture: tuple[int, int], way: int) -> Placement:
        """The whole picture (width, height), laid down in one of eight ways."""
        width, height = _turned(picture, way)
        return cls(picture, (0, 0), (width, height), (height, width), way)

    @classmethod
    def cut(cls, picture: tuple[int, int], size: Size, left_top: tuple[int, int] | None = None, **how: Any) -> Placement:
        """A box of `size` (height, width), not resampled, at `left_top`; None is the centre."""
        box = (size[1], size[0])
        centre = ((picture[0] - box[0]) // 2, (picture[1] - box[1]) // 2)
        return cls(picture, centre if left_top is None else left_top, box, size, **how)

    def pixels(self, image: Image.Image) -> Image.Image:
        """The picture after this step; the picture itself where nothing changes."""
        if self.way:
            image = image.transpose(Image.Transpose(self.way - 1))
        return resized(crop_pad(image, self.box, self.left_top, self.pad_mode), self.size, self.interpolation)

    @property
    def matrix(self) -> Floats:
        """Where points (x, y, 1), in pixels before, lie in pixels after: float64 `(3, 3)`; 0 is the outer edge of a pixel."""
        scale_x, scale_y = self.size[1] / self.box[0], self.size[0] / self.box[1]
        left, top = self.left_top
        cut = np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y], [0, 0, 1]])
        if not self.way:
            return cut
        lay = np.eye(3)
        lay[:2, :2] = DIHEDRAL[self.way].T
        laid: Floats = np.linalg.inv(to_unit(_turned(self.picture, self.way))) @ lay @ to_unit(self.picture)
        return cut @ laid


def moved(image: Image.Image, placements: Iterable[Placement]) -> Image.Image:
    """The picture after one step after the other."""
    for placement in placements:
        image = placement.pixels(image)
    return image


def to_unit(picture: tuple[int, int]) -> Floats:
    """From pixels to -1..1, the outer edges of a picture (width, height): float64 `(3, 3)`."""
    width, height = picture
    return np.array([[2 / width, 0, -1], [0, 2 / height, -1], [0, 0, 1]])


def placements_of(pre: Preprocess, picture: tuple[int, int]) -> tuple[Placement, ...]:
    """The picture part of a `Preprocess` as steps: its resize and its centre crop.

    Validation and prediction resize pictures by these and by nothing else. What concerns whole batches (`batch_size_px`, mean
    and std) is done by `batch_pipeline.BatchPipeline`.

    Args:
        pre: What to do.
        picture: (width, height) of a picture of mode 'RGB' or 'L', as `read_image` gives it.
    """
    steps: list[Placement] = []
    if pre.size is not None:
        longest = pre.method == "longest"
        steps.append(fitting(picture, pre, CENTRE, longest_side(picture, max(pre.size)) if longest else pre.size))
        picture = steps[-1].size[::-1]
    if pre.crop is not None:
        steps.append(Placement.cut(picture, pre.crop, pad_mode=pre.crop_pad_mode))
    return tuple(steps)


def fitting(picture: tuple[int, int], pre: Preprocess, place: tuple[float, float], size: Size) -> Placement:
    """How a picture is brought to a size by `pre.method`.

    Args:
        picture: (width, height).
        pre: Says how.
        place: In 0..1, where the box lies between left and right, top and bottom.
        size: (height, width).
    """
    box, left_top = picture, (0, 0)
    if pre.method != "squish":
        pick = max if pre.method == "pad" else min
        scale = pick(picture[0] / size[1], picture[1] / size[0])
        box = (max(1, int(scale * size[1])), max(1, int(scale * size[0])))
        left_top = (int(place[0] * (picture[0] - box[0])), int(place[1] * (picture[1] - box[1])))
    return Placement(picture, left_top, box, size, pad_mode=pre.pad_mode, interpolation=pre.interpolation)


def longest_side(picture: tuple[int, int], longest: int) -> Size:
    """(height, width) of a picture (width, height) with its longest side at `longest`, its aspect kept."""
    width, height = picture
    return max(1, height * longest // max(picture)), max(1, width * longest // max(picture))


def crop_pad(image: Image.Image, box: tuple[int, int], left_top: tuple[int, int], pad_mode: str) -> Image.Image:
    """The `box` (width, height) at `left_top` of the picture, which it may leave; what lies outside is filled by `pad_mode`."""
    (box_w, box_h), (left, top) = box, left_top
    inside = (max(left, 0), max(top, 0), min(left + box_w, image.width), min(top + box_h, image.height))
    if inside != (0, 0, image.width, image.height):
        image = image.crop(inside)
    before = (max(-left, 0), max(-top, 0))
    after = (box_w - image.width - before[0], box_h - image.height - before[1])
    if not any(before + after):
        return image
    widths = [(before[1], after[1]), (before[0], after[0])] + [(0, 0)] * (len(image.getbands()) > 1)
    return picture_of(np.pad(np.asarray(image), widths, mode=cast(Any, _PADDINGS[pad_mode])))


def resized(image: Image.Image, size: Size, interpolation: str) -> Image.Image:
    """The picture at `size` (height, width), its aspect not kept."""
    height, width = size
    return image if image.size == (width, height) else image.resize((width, height), Image.Resampling[interpolation.upper()])


def check_box_ranges(min_scale: float, max_scale: float, ratio: tuple[float, float]) -> None:
    """Refuses areas and aspects of a random box that make no sense."""
    if not 0 < min_scale <= max_scale <= 1:
        raise OptionError(
            f"min_scale={min_scale} and max_scale={max_scale} are shares of the area: 0 < min_scale <= max_scale <= 1."
        )
    if len(ratio) != 2 or not 0 < ratio[0] <= ratio[1]:
        raise OptionError(f"ratio={ratio} is not a range of width over height, such as (3/4, 4/3).")


def largest_box(picture: Size, ratio: tuple[float, float]) -> Size:
    """(height, width) of the largest box in `picture` (height, width) whose width over height lies in the range `ratio`."""
    height, width = picture
    if width / height < ratio[0]:
        return max(1, int(width / ratio[0])), width
    if width / height > ratio[1]:
        return height, max(1, int(height * ratio[1]))
    return height, width


def _turned(picture: tuple[int, int], way: int) -> tuple[int, int]:
    """(width, height) of a picture after it is laid down."""
    return picture[::-1] if DIHEDRAL[way, 0, 0] == 0 else picture
