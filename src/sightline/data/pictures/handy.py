"""HandyImage: a Pillow image with what scripts ask of fastai's pictures beyond Pillow, without changing Pillow."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Any, ClassVar, Self, cast

from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class _AnyPicture(type):
    """`isinstance(picture, PILImage)` holds for every Pillow image, `PILImageBW` for every grey one."""

    def __instancecheck__(cls, instance: Any) -> bool:
        if super().__instancecheck__(instance):
            return True
        modes = cls.__dict__.get("looks_like")
        return modes is not None and isinstance(instance, Image.Image) and (not modes or instance.mode in modes)


class HandyImage(Image.Image, metaclass=_AnyPicture):
    """A Pillow image with a few more properties and methods; what Pillow makes of it (`resize`, `crop`) is one, too."""

    colours: ClassVar[str] = "viridis"

    @classmethod
    def of(cls, image: Image.Image) -> Self:
        """The same picture as one of this class; the given one is left as it is."""
        twin = image.copy()
        twin.__class__ = cls
        return cast(Self, twin)

    def _new(self, im: Any) -> Image.Image:
        # Pillow makes all of its results here.
        made = super()._new(im)
        made.__class__ = type(self)
        return made

    def __repr__(self) -> str:
        return f"{type(self).__name__} mode={self.mode} size={self.width}x{self.height}"

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.height, self.width

    @property
    def n_px(self) -> int:
        """Number of pixels."""
        return self.width * self.height

    @property
    def aspect(self) -> float:
        """Width over height."""
        return self.width / self.height

    def reshape(self, h: int, w: int, resample: int = 0) -> Image.Image:
        """The picture at a height and width; `resize` takes them the other way round."""
        return self.resize((w, h), resample=resample)

    def to_thumb(self, h: int, w: int | None = None) -> Image.Image:
        """A copy that fits into a height and a width (None: a square), its aspect kept."""
        thumb = self.copy()
        thumb.thumbnail((h if w is None else w, h))
        return thumb

    def resize_max(
        self, resample: int = 0, max_px: int | None = None, max_h: int | None = None, max_w: int | None = None
    ) -> Image.Image:
        """The picture with at most so many pixels, so high and so wide, its aspect kept."""
        height, width = map(float, self.shape)
        if max_px and height * width > max_px:
            scale = math.sqrt(max_px / (height * width))
            height, width = height * scale, width * scale
        if max_h and height > max_h:
            height, width = max_h, max_h * width / height
        if max_w and width > max_w:
            height, width = max_w * height / width, max_w
        return self.reshape(round(height), round(width), resample)

    def flip_lr(self) -> Image.Image:
        """The picture mirrored, left and right."""
        return self.transpose(Image.Transpose.FLIP_LEFT_RIGHT)

    def dihedral(self, k: int) -> Image.Image:
        """The picture laid down in way `k` of eight: 0 as it is, then those of `PIL.Image.Transpose`."""
        return self.copy() if k == 0 else self.transpose(Image.Transpose(k - 1))

    def crop_pad(self, sz: int | tuple[int, int], tl: tuple[int, int] | None = None, pad_mode: str = "zeros") -> Image.Image:
        """A box of `sz` (one number, or width and height) in pixels; what lies outside of the picture is filled.

        Args:
            sz: Size of the box.
            tl: (left, top) of the box; None takes the middle.
            pad_mode: 'zeros', 'border' or 'reflection'.
        """
        from sightline.data.pictures.resize import Placement, moved
        from sightline.preprocess import as_size

        return moved(self, (Placement.cut(self.size, as_size(sz)[::-1], tl, pad_mode=pad_mode),))

    def to_bytes_format(self, format: str = "png") -> bytes:
        """The bytes of a picture file."""
        file = io.BytesIO()
        self.save(file, format=format)
        return file.getvalue()

    def show(self, ctx: Axes | None = None, **options: Any) -> Axes:  # type: ignore[override]
        """Draws the picture on axes (new ones without `ctx`) and returns them; `options` are those of `show_image`."""
        from sightline.data.showing.plots import show_image

        return show_image(self, ctx=ctx, **({"cmap": self.colours} | options))
