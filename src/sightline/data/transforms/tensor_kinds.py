"""Names for what a tensor holds, as fastai's scripts use them: in annotations, in `isinstance`, and as a call.

The tensors themselves are plain: `TensorImage(x)` is `torch.as_tensor(x)`, and `isinstance(x, TensorImage)` asks whether `x`
has the shape and type that such a tensor has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image


class _TensorKind(type):
    """What makes a class a name for plain tensors."""

    def __call__(cls, x: Any, **unused: Any) -> torch.Tensor:
        return torch.as_tensor(np.array(x) if isinstance(x, Image.Image) else x)

    def create(cls, x: Any, **unused: Any) -> torch.Tensor:
        """The tensor of whatever holds such values; points and boxes become rows of floats."""
        made: torch.Tensor = cls(x)
        width = {"TensorPoint": 2, "TensorBBox": 4}.get(cls.__name__)
        return made if width is None else made.view(-1, width).float()

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, torch.Tensor) and cls._fits(instance)

    def _fits(cls, x: torch.Tensor) -> bool:
        """Whether a tensor can be one of this kind."""
        return True


class TensorBase(metaclass=_TensorKind):
    """Any tensor."""


class TensorImageBase(TensorBase):
    """Pictures or masks: `([N,] C, H, W)`, or `(N, H, W)`."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim >= 3


class TensorImage(TensorImageBase):
    """A picture `(C, H, W)` or pictures `(N, C, H, W)`."""


class TensorImageBW(TensorImage):
    """Grey pictures: `(..., 1, H, W)`."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim >= 3 and x.shape[-3] == 1


class TensorMask(TensorBase):
    """A class for each pixel: whole numbers `([N,] H, W)`."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim in (2, 3) and not x.is_floating_point()


class TensorCategory(TensorBase):
    """A class for each picture: one whole number, or `(N,)` of them."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim <= 1 and not x.is_floating_point()


class TensorMultiCategory(TensorBase):
    """0 and 1 for each class: `(K,)` or `(N, K)`."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim in (1, 2)


class TensorPoint(TensorBase):
    """Points x, y: floats `(..., 2)`."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim >= 1 and x.shape[-1] == 2 and x.is_floating_point()


class TensorBBox(TensorBase):
    """Boxes: floats `(..., 4)`."""

    @staticmethod
    def _fits(x: torch.Tensor) -> bool:
        return x.ndim >= 1 and x.shape[-1] == 4 and x.is_floating_point()


TENSOR_KINDS: tuple[type, ...] = (
    TensorBase,
    TensorImageBase,
    TensorImage,
    TensorImageBW,
    TensorMask,
    TensorCategory,
    TensorMultiCategory,
    TensorPoint,
    TensorBBox,
)
TensorTypes = (TensorImage, TensorMask, TensorPoint, TensorBBox)
"""What fastai's geometric transforms are for, `encodes(self, x: (Image.Image, *TensorTypes))`."""
