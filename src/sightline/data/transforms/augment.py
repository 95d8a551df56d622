"""Presets of batch transforms: the usual augmentations in one call."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sightline.data.transforms.batch_pipeline import BatchTransform, flattened
from sightline.data.transforms.colour import Brightness, Contrast, Lighting
from sightline.data.transforms.geometry import Dihedral, Flip, Geometric, RandomResizedCropGPU, Rotate, Warp, Zoom
from sightline.data.transforms.items import PadMode
from sightline.errors import OptionError
from sightline.preprocess import IMAGENET_STATS

imagenet_stats = IMAGENET_STATS
"""(mean, std) of ImageNet, for `Normalize.from_stats(*imagenet_stats)`."""

cifar_stats = ((0.491, 0.482, 0.447), (0.247, 0.243, 0.261))
"""(mean, std) of CIFAR-10."""

mnist_stats = ((0.131,), (0.308,))
"""(mean, std) of MNIST, in one channel."""


def aug_transforms(
    mult: float = 1.0,
    do_flip: bool = True,
    flip_vert: bool = False,
    max_rotate: float = 10.0,
    min_zoom: float = 1.0,
    max_zoom: float = 1.1,
    max_lighting: float = 0.2,
    max_warp: float = 0.2,
    p_affine: float = 0.75,
    p_lighting: float = 0.75,
    xtra_tfms: BatchTransform | Iterable[BatchTransform] | None = None,
    size: int | tuple[int, int] | None = None,
    mode: str = "bilinear",
    pad_mode: str = PadMode.Reflection,
    align_corners: bool = True,
    batch: bool = False,
    min_scale: float = 1.0,
) -> list[BatchTransform]:
    """The usual augmentations: flip, warp, rotate, zoom, brightness and contrast, drawn for each picture.

    Args:
        mult: Multiplies `max_rotate`, `max_lighting` and `max_warp`.
        do_flip: Whether to mirror left and right, with probability 0.5.
        flip_vert: Whether to draw from all eight ways to lay down a square instead, with probability 0.5.
        max_rotate: Largest angle in degrees, either way.
        min_zoom: Smallest factor of enlargement.
        max_zoom: Largest factor of enlargement.
        max_lighting: Largest change of brightness and contrast, 0 to below 1.
        max_warp: Largest tilt of the perspective.
        p_affine: Probability of warp, of rotation and of zoom.
        p_lighting: Probability of a change of brightness, and of contrast.
        xtra_tfms: Further transforms, put at the end.
        size: Output size in pixels, one number or (height, width), in training and validation; None keeps the input's.
        mode: Interpolation: 'bilinear', 'nearest' or 'bicubic'.
        pad_mode: What lies beyond the border: 'reflection', 'border' or 'zeros'.
        align_corners: Whether coordinates -1 and 1 are the centres of the outermost pixels.
        batch: Whether one draw serves the whole batch.
        min_scale: Below 1, a square box of this share of the area or more is cut out of each picture and brought to `size`.

    Returns:
        Transforms for `batch_tfms`.

    Raises:
        OptionError: A value makes no sense, or `min_scale` comes without `size`.
    """
    shared: dict[str, Any] = {"mode": mode, "pad_mode": pad_mode, "align_corners": align_corners, "batch": batch}
    options = shared | {"size": size if min_scale == 1 else None}
    transforms: list[BatchTransform] = []
    if do_flip:
        transforms.append(Dihedral(0.5, **options) if flip_vert else Flip(0.5, **options))
    if max_warp * mult:
        transforms.append(Warp(max_warp * mult, p_affine, **options))
    if max_rotate * mult:
        transforms.append(Rotate(max_rotate * mult, p_affine, **options))
    if min_zoom < 1 or max_zoom > 1:
        transforms.append(Zoom(min_zoom, max_zoom, p_affine, **options))
    if max_lighting * mult:
        transforms += [kind(max_lighting * mult, p_lighting, batch=batch) for kind in (Brightness, Contrast)]
    if min_scale != 1:
        if size is None:
            raise OptionError(
                f"min_scale={min_scale} cuts boxes out of the pictures: say with size= what size they are brought to."
            )
        transforms.append(RandomResizedCropGPU(size, min_scale, (1, 1), **shared))
    extra = flattened(xtra_tfms)
    # Light is changed in one pass, hue after it, whatever the order in which they were given (fastai).
    return sorted([*transforms, *extra], key=lambda transform: not isinstance(transform, Geometric | Lighting))
