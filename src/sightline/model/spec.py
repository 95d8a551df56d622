"""ModelSpec: what it takes to build a network again, as names and numbers that a file may hold; never code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any

from sightline.errors import BundleError
from sightline.model.channels import LARGEST_INPUT
from sightline.model.head import LARGEST_LAYER, HeadOptions
from sightline.preprocess import Size
from sightline.stored import TEXT, Kind, check_fields, either, list_of, one_of, or_null, whole

ZOOS = ("torchvision", "timm", "custom")
CUSTOM = "custom"
LARGEST_HEAD = 1_000_000_000
LARGEST_PICTURE = 2_048
"""More weights in a head, and pixels a side, than any network has; a stored description that asks for more is refused."""

_NAME = Kind(
    "a name of letters, digits, '_', '-' and '.'",
    lambda value: type(value) is str and bool(re.fullmatch(r"[\w.-]{1,200}", value)),
)
_FEATURES = whole(1, LARGEST_LAYER)
_STORED: Mapping[str, Kind] = {
    "zoo": one_of(ZOOS),
    "arch": TEXT,
    "n_out": _FEATURES,
    "n_features": or_null(_FEATURES),
    "n_in": whole(1, LARGEST_INPUT),
    "cut": or_null(either(whole(-LARGEST_LAYER, LARGEST_LAYER), one_of((CUSTOM,)))),
    "img_size": or_null(list_of(whole(1, LARGEST_PICTURE), 2, 2)),
    "head": or_null(Kind("names with values", lambda value: isinstance(value, Mapping))),
    "source": or_null(TEXT),
}
"""What a file may hold under each name."""


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
        try:
            values = check_fields(data, _STORED, needed=("zoo", "arch", "n_out"))
            # A constructor of the user's own is called anything, and never by this.
            if values["zoo"] != CUSTOM:
                check_fields({"arch": values["arch"]}, {"arch": _NAME})
            head = None if values.get("head") is None else HeadOptions.from_json(values["head"])
            size = values.get("img_size")
            spec = cls(**{**values, "head": head, "img_size": None if size is None else tuple(size)})
            spec._check_head()
        except ValueError as error:
            raise BundleError(f"The model in the file is not valid: {error}") from error
        return spec

    def _check_head(self) -> None:
        if self.head is None:
            return
        if self.n_features is None:
            raise ValueError("it has a head, but n_features=None. Expected a number of features.")
        sizes = (2 * self.n_features, *self.head.hidden, self.n_out)
        weights = sum(n_in * n_out for n_in, n_out in pairwise(sizes))
        if weights > LARGEST_HEAD:
            raise ValueError(f"its head would have {weights:,} weights. Expected at most {LARGEST_HEAD:,}.")
