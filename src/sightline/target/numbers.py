"""Labels that are numbers: values, or points in the picture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from sightline.errors import LabelError, OptionError, counted, listed
from sightline.stored import FLAG, Kind, or_null, whole
from sightline.target.base import Target
from sightline.target.vocab import (
    STORED_NAMES,
    Vocab,
    is_collection,
    numbers_of,
)

_COUNT = whole(1, 1_000_000)


class _Numbers(Target):
    """What labels that are numbers share: squared error, and values that need no decision."""

    loss_name: ClassVar[str] = "mean squared error"
    default_metrics: ClassVar[tuple[str, ...]] = ("rmse",)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        difference = self.beside(logits, target).float() - target.float()
        return difference.square().reshape(len(difference), -1).mean(dim=-1)

    def beside(self, logits: Tensor, target: Tensor) -> Tensor:
        # One output (N, 1) beside flat labels (N,) would be broadcast to (N, N) by losses that do not check.
        return logits.reshape(target.shape) if logits.numel() == target.numel() else logits

    def activate(self, logits: Tensor) -> Tensor:
        return logits.float()

    def decide(self, probabilities: Tensor) -> Tensor:
        return probabilities


@dataclass(frozen=True)
class Regression(_Numbers):
    """One or several numbers a picture.

    Attributes:
        width: How many numbers a picture has.
        names: What the numbers are, where that is known (the columns of a table).
        flat: Labels were single numbers, so targets are `(N,)` and not `(N, 1)`.
    """

    width: int = 1
    names: Vocab | None = field(default=None)
    flat: bool = True

    stored: ClassVar[Mapping[str, Kind]] = {"width": _COUNT, "names": or_null(STORED_NAMES), "flat": FLAG}

    kind: ClassVar[str] = "regression"
    because: ClassVar[str] = "labels are numbers"

    def __post_init__(self) -> None:
        if self.width < 1 or (self.names is not None and len(self.names) != self.width):
            raise OptionError(
                f"Regression has {counted(self.width, 'output')} and {counted(len(self.names or ()), 'name')}: "
                "expected as many, at least one."
            )

    @classmethod
    def learn(cls, labels: Sequence[Any], *, n_out: int | None = None, names: Iterable[Any] | None = None) -> Regression:
        """The target of these training labels, each a number or a sequence of numbers.

        Raises:
            LabelError: A label is no number, is NaN or infinite, or the lengths differ.
        """
        rows = [numbers_of(label) for label in labels]
        widths = sorted({len(row) for row in rows})
        if len(widths) > 1:
            raise LabelError(f"Labels hold {listed(widths)} numbers. Expected the same count for every picture.")
        width = widths[0] if widths else (n_out or 1)
        if n_out is not None and n_out != width:
            raise LabelError(
                f"Each picture has {counted(width, 'number')}, but n_out={n_out}. Leave n_out out, or make them agree."
            )
        flat = width == 1 and not any(is_collection(label) for label in labels)
        return cls(width, Vocab(names) if names is not None else None, flat)

    @property
    def num_outputs(self) -> int:
        return self.width

    def encode(self, labels: Sequence[Any]) -> Tensor:
        rows = [numbers_of(label) for label in labels]
        wrong = [len(row) for row in rows if len(row) != self.width]
        if wrong:
            raise LabelError(f"A label holds {counted(wrong[0], 'number')}. Expected {self.width}, as in the training part.")
        encoded = torch.tensor(rows, dtype=torch.float32).reshape(len(rows), self.width)
        return encoded.flatten() if self.flat else encoded

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n) if self.flat else torch.zeros(n, self.width)

    def decode(self, decision: Tensor) -> float | list[float]:
        values = [float(value) for value in decision.flatten()]
        return values[0] if self.flat else values

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "width": self.width, "names": list(self.names) if self.names else None, "flat": self.flat}


@dataclass(frozen=True)
class Points(_Numbers):
    """One or several points (x, y) in each picture, which follow it through its transforms.

    Labels are pixels of the picture as it was read, from its outer edge; a network learns and gives -1..1 of what it sees.

    Attributes:
        n: How many points a picture has.
    """

    n: int = 1

    stored: ClassVar[Mapping[str, Kind]] = {"n": _COUNT}

    kind: ClassVar[str] = "points"
    because: ClassVar[str] = "labels are points, each x and y"
    moves_with_picture: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.n, int) or self.n < 1:
            raise OptionError(f"Points has n={self.n!r} points a picture. Expected a whole number, at least 1.")

    @classmethod
    def learn(cls, labels: Sequence[Any]) -> Points:
        """The target of these training labels, each x and y in turns.

        Raises:
            LabelError: The counts differ.
        """
        counts = sorted({len(label) // 2 for label in labels})
        if len(counts) > 1:
            raise LabelError(f"Labels hold {listed(counts)} points. Expected the same count for every picture.")
        return cls(counts[0] if counts else 1)

    @property
    def num_outputs(self) -> int:
        return 2 * self.n

    def encode(self, labels: Sequence[Any]) -> Tensor:
        wrong = [len(label) for label in labels if len(label) != 2 * self.n]
        if wrong:
            raise LabelError(f"A label holds {counted(wrong[0] // 2, 'point')}. Expected {self.n}, as in the training part.")
        return torch.tensor(labels, dtype=torch.float32).reshape(len(labels), self.n, 2)

    def placed(self, target: Tensor, paths: Tensor) -> Tensor:
        return _seen_through(paths, target).to(target.dtype)

    def in_picture(self, decision: Tensor, path: Tensor) -> Tensor:
        return _seen_through(torch.linalg.inv(path), decision.reshape(self.n, 2)).float()

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n, self.n, 2)

    def decode(self, decision: Tensor) -> Tensor:
        return decision.reshape(self.n, 2)

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "n": self.n}


def _seen_through(paths: Tensor, points: Tensor) -> Tensor:
    """Points `(..., n, 2)` after projective maps `(..., 3, 3)`: float64."""
    points = points.double()
    mapped = torch.cat([points, torch.ones_like(points[..., :1])], dim=-1) @ paths.double().transpose(-1, -2)
    return mapped[..., :2] / mapped[..., 2:]
