"""Trying a network on a blank picture: how many features it gives, and whether it takes pictures of a size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sightline.errors import ModelError
from sightline.model.modes import evaluating
from sightline.preprocess import Size

SIZES_TO_TRY: tuple[int, ...] = (32, 64, 128, 224, 256, 384, 512)
"""Sides in pixels, smallest first: the first that a network takes tells how many features it gives."""


@dataclass(frozen=True)
class Features:
    """What a body gives for a picture.

    Attributes:
        count: Number of features C.
        pooled: True for vectors (N, C), False for maps (N, C, H, W).
        size: (height, width) in pixels of the picture on which it was found.
    """

    count: int
    pooled: bool
    size: Size


def blank(module: nn.Module, n_in: int, size: Size) -> Tensor:
    """One black picture (1, n_in, height, width) of the network's own type, on its device."""
    like = next((p for p in module.parameters() if p.is_floating_point()), torch.empty(0))
    return torch.zeros(1, n_in, *size, dtype=like.dtype, device=like.device)


def failure(module: nn.Module, n_in: int, size: Size) -> Exception | None:
    """What the network raises for a picture of `size`, or None where it takes it."""
    try:
        with evaluating(module):
            module(blank(module, n_in, size))
    except Exception as error:  # noqa: BLE001 - whatever a network of any author raises is the answer
        return error
    return None


def measure(body: nn.Module, n_in: int, sizes: Sequence[Size], arch: str, *, draws: bool = False) -> Features:
    """Number and kind of features that a body gives, found on the first of `sizes` that it takes.

    Args:
        body: The network.
        n_in: Channels of the picture.
        sizes: What to try, in this order.
        arch: Its name, for messages.
        draws: Try it on noise from PyTorch's global generator instead of black pictures. What the network gives does not
            matter, but fastai draws here, so with the same seed the head's first weights are the same as there.

    Raises:
        ModelError: It takes none of them, or gives something other than maps or vectors.
    """
    problem: Exception | None = None
    for size in sizes:
        try:
            with evaluating(body):
                picture = blank(body, n_in, size)
                features = body(picture.uniform_(-1, 1) if draws else picture)
        except Exception as error:  # noqa: BLE001 - the network's own complaint is kept for the message
            problem = error
            continue
        if not isinstance(features, Tensor) or features.ndim not in (2, 4):
            shape = tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__
            raise ModelError(
                f"The body of {arch} gives {shape} for one picture. Expected feature maps (N, C, H, W) or vectors (N, C): "
                f"pass cut= with a place, or a function, that ends the body there."
            )
        return Features(features.shape[1], features.ndim == 2, size)
    raise ModelError(
        f"The body of {arch} takes no picture with {n_in} channels of {_sizes(sizes)} pixels: {_first_line(problem)}"
    ) from problem


def squares(sides: Sequence[int] = SIZES_TO_TRY) -> tuple[Size, ...]:
    """(side, side) for each of the sides."""
    return tuple((side, side) for side in sides)


def check_size(module: nn.Module, n_in: int, size: Size, arch: str, *, fixed: Size | None, native: Size | None) -> None:
    """Make sure that a network takes pictures of a size, before any training starts.

    Args:
        module: The network; one blank picture is tried unless the size is known to fit.
        n_in: Channels of the pictures.
        size: (height, width) in pixels of the pictures to come.
        arch: For the error.
        fixed: The only size that it takes, if it has one.
        native: A size that it is known to take.

    Raises:
        ModelError: It does not take them; says which size to use.
    """
    problem = None if size == fixed else failure(module, n_in, size)
    if problem is None:
        return
    if fixed is not None:
        raise ModelError(
            f"{arch} takes pictures of {_words(fixed)} pixels, but yours are {_words(size)}. Use {_advice(fixed)}."
        ) from problem
    fits = _nearest_that_fits(lambda other: failure(module, n_in, other) is None, size, native)
    way_out = f"A size that works is {_words(fits)}: use {_advice(fits)}." if fits else "Choose another size."
    raise ModelError(f"{arch} does not take pictures of {_words(size)} pixels: {_first_line(problem)} {way_out}") from problem


def _nearest_that_fits(takes: Callable[[Size], bool], size: Size, native: Size | None) -> Size | None:
    """The nearest square up from `size` in steps of 32 or the native one, whichever the network takes first."""
    start = -(-max(size) // 32) * 32
    candidates: list[Size] = [*squares([start]), *([native] if native else []), *squares([start * 2, 224, 256])]
    return next((candidate for candidate in candidates if candidate != size and takes(candidate)), None)


def _words(size: Size) -> str:
    return f"{size[0]}x{size[1]}"


def _advice(size: Size) -> str:
    return f"item_tfms=Resize({size[0] if size[0] == size[1] else size})"


def _sizes(sizes: Sequence[Size]) -> str:
    return ", ".join(_words(size) for size in sizes)


def _first_line(problem: Exception | None) -> str:
    text = str(problem).strip().split("\n")[0] if problem is not None else ""
    return (text[:200] or type(problem).__name__).rstrip(".") + "."
