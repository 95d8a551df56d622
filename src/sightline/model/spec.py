"""ModelSpec: what it takes to build a network again, as names and numbers that a file may hold; never code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from sightline.errors import BundleError, did_you_mean, listed
from sightline.model.channels import LARGEST_INPUT
from sightline.model.head import LARGEST_LAYER, HeadOptions
from sightline.preprocess import Size

ZOOS = ("torchvision", "timm", "custom")
CUSTOM = "custom"
LARGEST_HEAD = 1_000_000_000
LARGEST_PICTURE = 100_000
"""More weights in a head, and pixels a side, than any network has; a stored description that asks for more is refused."""


@dataclass(frozen=True)
class ModelSpec:
    """A body by name, and its head by its options.

    Attributes:
        zoo: 'torchvision', 'timm', or 'custom' for a constructor of the user's own.
        arch: Name in the zoo.
        n_out: Number of outputs.
        n_features: Number of features that the body gives a picture; None where the head is the user's own.
        n_in: Number of input channels.
        cut: How many children of the network form the body; None for the architecture's own place, 'custom' for a function.
        img_size: (height, width) that the network was built for, where that is part of its architecture.
        head: Options of the head; None for a head of the user's own.
        source: Where its first weights came from, for the record; None for random ones.
    """

    zoo: str
    arch: str
    n_out: int
    n_features: int | None = None
    n_in: int = 3
    cut: int | str | None = None
    img_size: Size | None = None
    head: HeadOptions | None = None
    source: str | None = None

    @property
    def needs_code(self) -> tuple[str, ...]:
        """What a file cannot hold, in words; empty where the network can be built from this alone."""
        found = []
        if self.zoo == CUSTOM:
            found.append(f"arch={self.arch} is a constructor of your own")
        if self.cut == CUSTOM:
            found.append("cut is a function")
        if self.head is None:
            found.append("custom_head is a network of your own")
        return tuple(found)

    def to_json(self) -> dict[str, Any]:
        """Plain values for the bundle's manifest."""
        return {
            **{field.name: getattr(self, field.name) for field in fields(self)},
            "img_size": None if self.img_size is None else list(self.img_size),
            "head": None if self.head is None else self.head.to_json(),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ModelSpec:
        """The value that `to_json` described, every part of it checked.

        Raises:
            BundleError: A name is unknown or absent, or a value is not what it may be.
        """
        if not isinstance(data, Mapping):
            raise BundleError(f"The model in the file is {type(data).__name__}. Expected names with values.")
        names = [field.name for field in fields(cls)]
        for name in data:
            if name not in names:
                raise BundleError(
                    f"The model in the file holds the unknown name {name!r}: was it written by a newer sightline? "
                    f"{did_you_mean(name, names)}".rstrip()
                )
        absent = [name for name in ("zoo", "arch", "n_out") if name not in data]
        if absent:
            raise BundleError(f"The model in the file lacks {listed(absent)}. Is the file complete?")
        spec = cls(**{**data, "head": _head(data.get("head")), "img_size": _size(data.get("img_size"))})
        spec._check()
        return spec

    def _check(self) -> None:
        _expect(self.zoo in ZOOS, "zoo", self.zoo, f"one of {listed(ZOOS)}")
        _expect(isinstance(self.arch, str) and 0 < len(self.arch) <= 200, "arch", self.arch, "a name")
        _expect(_is_whole(self.n_out, LARGEST_LAYER), "n_out", self.n_out, "a number of outputs")
        _expect(_is_whole(self.n_in, LARGEST_INPUT), "n_in", self.n_in, "a number of channels")
        if self.head is not None:
            _expect(_is_whole(self.n_features, LARGEST_LAYER), "n_features", self.n_features, "a number of features")
            sizes = (2 * (self.n_features or 0), *self.head.hidden, self.n_out)
            weights = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
            _expect(weights <= LARGEST_HEAD, "head", f"{weights:,} weights", f"at most {LARGEST_HEAD:,}")
        is_place = isinstance(self.cut, int) and not isinstance(self.cut, bool) and abs(self.cut) <= LARGEST_LAYER
        _expect(self.cut is None or self.cut == CUSTOM or is_place, "cut", self.cut, "a number of children, 'custom' or null")
        _expect(self.source is None or isinstance(self.source, str), "source", self.source, "words or null")


def _head(data: Any) -> HeadOptions | None:
    if data is None:
        return None
    _expect(isinstance(data, Mapping), "head", data, "names with values")
    return HeadOptions.from_json(data)


def _size(data: Any) -> Size | None:
    if data is None:
        return None
    good = isinstance(data, list | tuple) and len(data) == 2 and all(_is_whole(side, LARGEST_PICTURE) for side in data)
    _expect(good, "img_size", data, "[height, width] in pixels")
    return data[0], data[1]


def _is_whole(value: Any, largest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= largest


def _expect(good: bool, name: str, value: Any, expected: str) -> None:
    if not good:
        raise BundleError(f"The model in the file has {name}={value!r}. Expected {expected}.")
