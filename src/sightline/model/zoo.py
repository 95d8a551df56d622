"""What a zoo of architectures gives: a Backbone (a name that can be built), its Recipe, and the Body that it builds."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from sightline.preprocess import Size

Stats = tuple[tuple[float, ...], tuple[float, ...]]
Cut = int | Callable[[nn.Module], nn.Module] | None
Weights = Any
"""What `weights=` may be: None, a name or tag, a torchvision enum member, or the path of a file."""


@dataclass(frozen=True)
class Recipe:
    """How pictures were prepared when a set of weights was made.

    Attributes:
        mean: Per channel, in 0..1.
        std: Per channel, in 0..1.
        size: (height, width) in pixels that the weights were evaluated at.
        crop_share: Share of the resized picture that the centre crop kept, at most 1.
        interpolation: Resampling of the picture, one of `preprocess.INTERPOLATIONS`.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    size: Size
    crop_share: float = 1.0
    interpolation: str = "bilinear"

    @property
    def stats(self) -> Stats:
        """(mean, std)."""
        return self.mean, self.std


@dataclass(frozen=True)
class Body:
    """A network without its classifier, and what is known about it.

    Attributes:
        module: (N, n_in, H, W) to feature maps (N, C, h, w), or to vectors (N, C) where the network pools for itself.
        units: Names of the module's parameters, a list for each block, lowest block first.
        lower_units: How many of the units form the lower half.
        recipe: Preprocessing of the weights that it carries, or of the architecture's own; None where none is known.
        source: Where its weights came from, in words that can be stored; None for random weights.
        fixed_size: The only (height, width) that the network takes; None where it takes others too.
        img_size: (height, width) that it was built for, where that is part of the architecture; None elsewhere.
    """

    module: nn.Module
    units: tuple[tuple[str, ...], ...]
    lower_units: int
    recipe: Recipe | None = None
    source: str | None = None
    fixed_size: Size | None = None
    img_size: Size | None = None

    @property
    def lower_names(self) -> frozenset[str]:
        """Names of the parameters that belong to the lower half."""
        return frozenset(name for unit in self.units[: self.lower_units] for name in unit)


class Backbone(ABC):
    """An architecture by name: it can be described and built.

    Attributes:
        name: Its name in its zoo.
        zoo: Which zoo: 'torchvision', 'timm', or 'custom' for a constructor of the user's own.
    """

    zoo: ClassVar[str]

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"

    @property
    def stats(self) -> Stats | None:
        """(mean, std) that its default weights expect, or None where none is known."""
        recipe = self.recipe()
        return recipe.stats if recipe else None

    @abstractmethod
    def recipe(self, weights: Weights = None) -> Recipe | None:
        """Preprocessing of a set of weights; of the default ones for None; None where none is known."""

    @abstractmethod
    def build(
        self,
        *,
        pretrained: bool = False,
        weights: Weights = None,
        n_in: int = 3,
        cut: Cut = None,
        img_size: Size | None = None,
    ) -> Body:
        """The network without its classifier.

        Args:
            pretrained: Whether to load the zoo's default weights where `weights` is None.
            weights: A name or tag of the zoo's, a torchvision enum member, or a file; loaded whatever `pretrained` is.
            n_in: Number of input channels; other than 3, the first convolution is adapted.
            cut: Where the body ends: keep that many children (negative counts from the end), or a function from the whole
                network to its body; None is the architecture's own place.
            img_size: (height, width) to build for, for networks whose size is fixed; None is their own.

        Raises:
            WeightsError: The weights cannot be found, fetched, read or matched.
            ModelError: The architecture cannot be built that way.
        """
