"""torchvision's automatic augmentations as transforms: drawn for each picture, in training only, from seed, epoch and row.

They work in `item_tfms`, where the threads that decode pictures share the work, and in `batch_tfms`, where they get uint8
pictures one by one before anything else happens to the batch; on a GPU that is many small steps, so prefer `item_tfms`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from PIL import Image

from sightline.data.transforms.chance import BatchDraw
from sightline.data.transforms.seeded import SEEDS, Seeded
from sightline.data.transforms.tensor_kinds import TensorImage
from sightline.data.transforms.user_transforms import DisplayedTransform
from sightline.errors import OptionError, did_you_mean

POLICIES = ("imagenet", "cifar10", "svhn")


class _Automatic(DisplayedTransform):
    """One of torchvision's policies; it runs after a `Resize`."""

    order, split_idx = 2, 0

    def __init__(self, policy: Callable[[Any], Any]) -> None:
        super().__init__([self._one, self._each])
        self._policy = policy

    def _one(self, x: Image.Image) -> Any:
        return self._policy(x)

    def _each(self, x: TensorImage, draw: BatchDraw | None = None) -> torch.Tensor:
        pictures: Any = x
        seeds = [0.0] * len(pictures) if draw is None else draw.uniform("torch")
        results = []
        for picture, seed in zip(pictures, seeds, strict=True):
            with Seeded(int(seed * SEEDS)):
                results.append(self._policy(picture))
        return torch.stack(results)


class RandAugment(_Automatic):
    """Applies `num_ops` operations of equal strength to each picture, drawn from 14 (Cubuk et al., 2019; torchvision).

    Pictures have 1 or 3 channels.
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: Any = "nearest",
        fill: Any = None,
    ) -> None:
        """Sets the strength.

        Args:
            num_ops: How many operations a picture goes through.
            magnitude: Their strength, 0 to `num_magnitude_bins` - 1.
            num_magnitude_bins: How many strengths there are.
            interpolation: torchvision's, or its name: 'nearest', 'bilinear' or 'bicubic'.
            fill: The value 0..255 of what lies outside, one or one a channel; None for black.

        Raises:
            OptionError: A value makes no sense.
        """
        from torchvision.transforms.v2 import RandAugment as Policy

        if not 0 <= magnitude < num_magnitude_bins:
            raise OptionError(
                f"magnitude={magnitude} is not one of the {num_magnitude_bins} strengths 0..{num_magnitude_bins - 1}."
            )
        if num_ops < 0:
            raise OptionError(f"num_ops={num_ops} operations: expected 0 or more.")
        self.num_ops, self.magnitude, self.num_magnitude_bins = num_ops, magnitude, num_magnitude_bins
        super().__init__(Policy(num_ops, magnitude, num_magnitude_bins, _interpolation(interpolation), fill))


class TrivialAugmentWide(_Automatic):
    """Applies one operation of any strength to each picture (Mueller and Hutter, 2021; torchvision).

    Pictures have 1 or 3 channels.
    """

    def __init__(self, num_magnitude_bins: int = 31, interpolation: Any = "nearest", fill: Any = None) -> None:
        """Sets the strengths; for the arguments see `RandAugment`."""
        from torchvision.transforms.v2 import TrivialAugmentWide as Policy

        if num_magnitude_bins < 2:
            raise OptionError(f"num_magnitude_bins={num_magnitude_bins}: expected 2 strengths or more.")
        self.num_magnitude_bins = num_magnitude_bins
        super().__init__(Policy(num_magnitude_bins, _interpolation(interpolation), fill))


class AutoAugment(_Automatic):
    """Applies one of the pairs of operations that were found best for a set of pictures (Cubuk et al., 2018; torchvision).

    Pictures have 1 or 3 channels.
    """

    def __init__(self, policy: Any = "imagenet", interpolation: Any = "nearest", fill: Any = None) -> None:
        """Chooses the set.

        Args:
            policy: 'imagenet', 'cifar10' or 'svhn', or torchvision's `AutoAugmentPolicy`.
            interpolation: As for `RandAugment`.
            fill: As for `RandAugment`.

        Raises:
            OptionError: There is no such policy.
        """
        from torchvision.transforms.v2 import AutoAugment as Policy
        from torchvision.transforms.v2 import AutoAugmentPolicy

        name = str(getattr(policy, "value", policy))
        if name not in POLICIES:
            raise OptionError(f"policy={name!r} is not one of {', '.join(POLICIES)}. {did_you_mean(name, POLICIES)}".rstrip())
        self.policy = name
        super().__init__(Policy(AutoAugmentPolicy(name), _interpolation(interpolation), fill))


TrivialAugment = TrivialAugmentWide
"""The same by its short name."""


def _interpolation(given: Any) -> Any:
    """The mode of torchvision that a name stands for; its own modes and Pillow's numbers as they are."""
    from torchvision.transforms.v2 import InterpolationMode

    names = [mode.value for mode in InterpolationMode]
    if not isinstance(given, str):
        return given
    if given not in names:
        raise OptionError(f"interpolation={given!r} is not one of {', '.join(names)}. {did_you_mean(given, names)}".rstrip())
    return InterpolationMode(given)
