"""Target: what every kind of label answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from sightline.errors import BundleError
from sightline.stored import Kind, check_fields, shown
from sightline.target.vocab import Vocab


class Target(ABC):
    """Base of the three kinds of target."""

    kind: ClassVar[str]
    loss_name: ClassVar[str]
    because: ClassVar[str]
    default_metrics: ClassVar[tuple[str, ...]]
    stored: ClassVar[Mapping[str, Kind]]
    """What a file may hold under each name, beside `kind`."""
    needed: ClassVar[tuple[str, ...]] = ()
    """Names that a file must hold."""

    @property
    @abstractmethod
    def num_outputs(self) -> int:
        """K, the number of outputs that the network needs."""

    @property
    def vocab(self) -> Vocab | None:
        """The names of the outputs where they are classes, else None."""
        return None

    @abstractmethod
    def encode(self, labels: Sequence[Any]) -> Tensor:
        """Labels as one tensor, one row a label; see the table on top for shape and dtype.

        Raises:
            LabelError: A label is blank, unknown, or of the wrong type.
        """

    def unknown(self, labels: Sequence[Any]) -> list[int]:
        """Positions of the labels that `encode` would refuse because they were not in the training part."""
        return []

    @abstractmethod
    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss that fits these labels: float32 `(N,)`, one value a picture, from float `(N, K)` and encoded labels."""

    def beside(self, logits: Tensor, target: Tensor) -> Tensor:
        """The outputs `(N, K)` in the shape in which losses and metrics expect them beside these encoded labels."""
        return logits

    def for_torchmetrics(self, target: Tensor) -> Tensor:
        """Encoded labels in the dtype that torchmetrics expects: integers for classes."""
        return target

    moves_with_picture: ClassVar[bool] = False
    """Labels are places in the picture: `encode` tells them as it was read, `placed` where its transforms took them."""

    def placed(self, target: Tensor, paths: Tensor) -> Tensor:
        """Encoded labels after `paths`: float64 `(N, 3, 3)`, from pixels as they were read to -1..1 of the network's."""
        return target

    def in_picture(self, decision: Tensor, path: Tensor) -> Tensor:
        """One decision in the picture as it was read, by its path `(3, 3)`: the reverse of `placed`."""
        return decision

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities (or values) `(N, K)` from the network's outputs `(N, K)`."""

    @abstractmethod
    def blank(self, n: int) -> Tensor:
        """Encoded labels of `n` pictures, all zero: the shape and dtype that `encode` gives."""

    @abstractmethod
    def decide(self, probabilities: Tensor) -> Tensor:
        """Decisions from what `activate` returned: int64 `(N,)`, bool `(N, K)`, or the values themselves."""

    def margins(self, logits: Tensor) -> Tensor | None:
        """How far outputs `(N, K)` are from those of another decision: float `(N,)`; None where nothing is decided."""
        return None

    @abstractmethod
    def decode(self, decision: Tensor) -> Any:
        """The label that one decision (a row of what `decide` or `encode` returned) stands for."""

    def mixed_loss(
        self, items: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor, partner: Tensor, lam: Tensor
    ) -> Tensor:
        """The loss of pictures that were mixed from two, as `items` gives it for labels that are mixed in the same shares.

        Args:
            items: The loss in use, unreduced: `(logits, target)` -> float `(N,)` or `(N, ...)`.
            logits: Outputs for the mixed pictures, float `(N, K)`.
            target: Encoded labels of the pictures themselves.
            partner: Encoded labels of the pictures that were mixed in.
            lam: The share of the picture itself, float `(N,)` in 0..1.
        """
        return items(logits, mixed(target.float(), partner.float(), lam))

    def adjusted(self, *, thresholds: float | tuple[float, ...] | None = None, activated: bool = False) -> Target:
        """The same labels, decided by other thresholds (None: the same), of a network that may give probabilities already."""
        return self

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain values for the bundle's manifest."""

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Target:
        """The target that `to_json` described.

        Raises:
            BundleError: The kind is unknown or a value is not valid.
        """
        from sightline.target.names import MultiLabel, SingleLabel
        from sightline.target.numbers import Points, Regression

        kinds: dict[str, Any] = {kind.kind: kind for kind in (SingleLabel, MultiLabel, Regression, Points)}
        named = data.get("kind") if isinstance(data, Mapping) else data
        if not isinstance(named, str) or named not in kinds:
            raise BundleError(f"The target in the file is of kind {shown(named)}. Expected one of {', '.join(kinds)}.")
        kind = kinds[named]
        try:
            values = check_fields(
                {name: value for name, value in data.items() if name != "kind"}, kind.stored, needed=kind.needed
            )
            if values.get("names") is not None:
                values["names"] = Vocab(values["names"])
            if isinstance(values.get("thresholds"), list):
                values["thresholds"] = tuple(float(value) for value in values["thresholds"])
            return kind(**values)  # type: ignore[no-any-return]
        except ValueError as error:
            raise BundleError(f"The target in the file is not valid: {error}") from error


def mixed(own: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
    """`lam` of what each picture has and the rest of what its partner has, row by row."""
    return torch.lerp(partner, own, lam.to(own).reshape(-1, *(1 for _ in own.shape[1:])))
