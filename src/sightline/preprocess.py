"""Preprocess: how a picture becomes the numbers that a network sees, as a value that can be stored and compared.

It is made from the transforms that validation uses, travels in the bundle, and is the only thing that prediction needs to
know of the data road. The resizing itself is done in `data/pictures/resize.py` and `data/transforms/batch_pipeline.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from sightline.errors import BundleError, OptionError, did_you_mean
from sightline.stored import NUMBER, Kind, check_fields, list_of, one_of, or_null, whole

Size = tuple[int, int]
ResizeMethod = Literal["crop", "pad", "squish", "longest"]
PadMode = Literal["reflection", "border", "zeros"]

METHODS: tuple[str, ...] = ("crop", "pad", "squish", "longest")
PAD_MODES: tuple[str, ...] = ("reflection", "border", "zeros")
INTERPOLATIONS: tuple[str, ...] = ("nearest", "bilinear", "bicubic", "lanczos")

IMAGENET_STATS: tuple[tuple[float, ...], tuple[float, ...]] = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of the three colour channels over ImageNet, in 0..1 (torchvision)."""

LARGEST_SIDE = 16_384
LARGEST_AREA = 50_000_000
"""Pixels of a size that a file may ask for: one picture of it, as the network sees it, is 600 MB."""

_SIZE = or_null(Kind(
    f"[height, width] in pixels, at most {LARGEST_SIDE:,} each and {LARGEST_AREA:,} together",
    lambda value: list_of(whole(1, LARGEST_SIDE), 2, 2).fits(value) and value[0] * value[1] <= LARGEST_AREA,
))  # fmt: skip
_PER_CHANNEL = or_null(list_of(NUMBER, 1, 4096))
_STORED: Mapping[str, Kind] = {
    "size": _SIZE, "method": one_of(METHODS), "pad_mode": one_of(PAD_MODES), "interpolation": one_of(INTERPOLATIONS),
    "crop": _SIZE, "crop_pad_mode": one_of(PAD_MODES), "batch_size_px": _SIZE, "channels": whole(1, 4096),
    "mean": _PER_CHANNEL, "std": _PER_CHANNEL,
}  # fmt: skip
"""What a file may hold under each name."""


@dataclass(frozen=True)
class Preprocess:
    """The steps between a picture and a batch, in the order in which they run.

    Attributes:
        size: (height, width) in pixels of the resized picture; None leaves the picture as it is.
        method: How the picture meets `size`: the largest centred box of that aspect (`crop`), the smallest enclosing box
            (`pad`), both sides independently (`squish`), or the longest side alone (`longest`).
        pad_mode: What fills the border when the method is `pad`.
        interpolation: Resampling of the picture.
        crop: (height, width) of a centre crop after the resize; None for no crop.
        crop_pad_mode: What fills a crop that is larger than the picture.
        batch_size_px: (height, width) to which whole batches are resampled; None keeps the picture's own size.
        channels: 1 for grey, 3 for RGB; any other number is that many channels from the user's own arrays.
        mean: Per channel, in 0..1, subtracted; None for no normalising.
        std: Per channel, in 0..1, divided by; None for no normalising.
    """

    size: Size | None = None
    method: ResizeMethod = "crop"
    pad_mode: PadMode = "reflection"
    interpolation: str = "bilinear"
    crop: Size | None = None
    crop_pad_mode: PadMode = "zeros"
    batch_size_px: Size | None = None
    channels: int = 3
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("method", self.method, METHODS),
            ("pad_mode", self.pad_mode, PAD_MODES),
            ("crop_pad_mode", self.crop_pad_mode, PAD_MODES),
            ("interpolation", self.interpolation, INTERPOLATIONS),
        ):
            if value not in allowed:
                raise OptionError(f"{name}={value!r} is not one of {', '.join(allowed)}. {did_you_mean(str(value), allowed)}")
        for name, size in (("size", self.size), ("crop", self.crop), ("batch_size_px", self.batch_size_px)):
            if size is not None and (len(size) != 2 or min(size) < 1):
                raise OptionError(f"{name}={size!r} is not (height, width) in pixels, both at least 1.")
        if (self.mean is None) != (self.std is None):
            raise OptionError("mean and std belong together: give both or neither.")
        if self.mean is not None and self.std is not None:
            if not len(self.mean) == len(self.std) == self.channels:
                raise OptionError(
                    f"mean has {len(self.mean)} values and std {len(self.std)}, but pictures have {self.channels} channels."
                )
            if min(self.std) <= 0:
                raise OptionError(f"std={self.std} holds a value that is not positive.")

    @property
    def output_size(self) -> Size | None:
        """(height, width) of what the network receives, or None where pictures keep their own size."""
        return self.batch_size_px or self.crop or (None if self.method == "longest" else self.size)

    @property
    def normalizes(self) -> bool:
        """Whether mean and standard deviation are applied."""
        return self.mean is not None

    def with_stats(self, mean: tuple[float, ...], std: tuple[float, ...]) -> Preprocess:
        """The same steps with another mean and standard deviation."""
        return replace(self, mean=tuple(mean), std=tuple(std))

    def to_json(self) -> dict[str, Any]:
        """Plain values for the bundle's manifest."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Preprocess:
        """The value that `to_json` described.

        Raises:
            BundleError: A name is unknown or a value is not of its type.
        """
        try:
            stored = check_fields(data, _STORED)
            values: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()
            }
            return cls(**values)
        except ValueError as error:
            raise BundleError(f"The preprocessing in the file is not valid: {error}") from error


def as_size(size: int | tuple[int, int] | list[int]) -> Size:
    """(height, width) from one number (a square) or a pair.

    Raises:
        OptionError: Not a positive number or a pair of them.
    """
    pair = (size, size) if isinstance(size, int) else tuple(size)
    if len(pair) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in pair):
        raise OptionError(f"size={size!r} is not a number of pixels or a pair (height, width), both at least 1.")
    return pair[0], pair[1]
