"""Position: where in a run it was kept, and where it goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self, TypeAlias, get_args

Place: TypeAlias = Literal["epoch", "batch", "validation"]


@dataclass(frozen=True)
class Position:
    """A moment between two steps of a run.

    Attributes:
        fit: Number of the fit within the run, from 0; the two phases of `fine_tune` are two fits.
        epoch: Number of the epoch within that fit, from 0.
        place: Before the epoch begins, within its training, or before its validation.
        batches: How many batches of the epoch have been trained on.
        gone_through: The same, counting batches of which nothing could be made, because no picture could be read.
    """

    fit: int = 0
    epoch: int = 0
    place: Place = "epoch"
    batches: int = 0
    gone_through: int = 0

    @property
    def begins_fit(self) -> bool:
        """Whether the fit before it has ended, and nothing of this one has been done."""
        return self.epoch == 0 and self.place == "epoch"

    def __str__(self) -> str:
        if self.begins_fit:
            return f"the end of phase {self.fit - 1}" if self.fit else "the beginning"
        where = {"epoch": "its beginning", "batch": f"after {self.batches} batches", "validation": "before its validation"}
        return f"phase {self.fit}, epoch {self.epoch}, {where[self.place]}"

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """What `to_json` gave.

        Raises:
            ValueError: It is no position.
        """
        found = cls(**values)
        numbers = (found.fit, found.epoch, found.batches, found.gone_through)
        if found.place not in get_args(Place) or not all(type(one) is int and one >= 0 for one in numbers):
            raise ValueError(f"{values} is no position in a run")
        return found
