"""Target: what the labels are, and all that follows from it.

A target knows how labels become numbers, which loss fits them, how a network's outputs become probabilities, decisions and
labels again, and which metrics are shown by default. No other file asks which kind of target it has.

| target | labels | encoded | loss | activation | decision |
|---|---|---|---|---|---|
| SingleLabel | one name a picture | int64 `(N,)` | cross-entropy | softmax | the largest |
| MultiLabel | any number of names | float32 `(N, K)` of 0 and 1 | binary cross-entropy | sigmoid | above the threshold |
| Regression | one or several numbers | float32 `(N,)` or `(N, K)` | squared error | none | the value |

K is `num_outputs`, the number of the network's outputs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.errors import BundleError, LabelError, OptionError, close_matches, counted, listed

Label: TypeAlias = str | int | float | bool

NOT_AVAILABLE = "#na#"
"""Stands first in the vocabulary when `add_na=True`, for every label that is not known."""


class Vocab(Sequence[Label]):
    """The names of the classes, in the order of the network's outputs; immutable.

    Attributes:
        o2i: From name to position.
    """

    def __init__(self, names: Iterable[Label]) -> None:
        self._names = tuple(_plain(name) for name in names)
        self.o2i: dict[Label, int] = {name: position for position, name in enumerate(self._names)}
        if len(self.o2i) != len(self._names):
            repeated = sorted({str(name) for name in self._names if self._names.count(name) > 1})
            raise LabelError(f"The vocabulary names {listed(repeated)} more than once. Give every class one name.")

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, position: Any) -> Any:
        return self._names[position]

    def __iter__(self) -> Iterator[Label]:
        return iter(self._names)

    def __contains__(self, name: object) -> bool:
        return name in self.o2i

    def __eq__(self, other: object) -> bool:
        return isinstance(other, (Vocab, list, tuple)) and self._names == tuple(other)

    def __hash__(self) -> int:
        return hash(self._names)

    def __repr__(self) -> str:
        return repr(list(self._names))


class Target(ABC):
    """Base of the three kinds of target."""

    kind: ClassVar[str]
    loss_name: ClassVar[str]
    because: ClassVar[str]
    default_metrics: ClassVar[tuple[str, ...]]

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

    @abstractmethod
    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities (or values) `(N, K)` from the network's outputs `(N, K)`."""

    @abstractmethod
    def blank(self, n: int) -> Tensor:
        """Encoded labels of `n` pictures, all zero: the shape and dtype that `encode` gives."""

    @abstractmethod
    def decide(self, probabilities: Tensor) -> Tensor:
        """Decisions from what `activate` returned: int64 `(N,)`, bool `(N, K)`, or the values themselves."""

    @abstractmethod
    def decode(self, decision: Tensor) -> Any:
        """The label that one decision (a row of what `decide` or `encode` returned) stands for."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Plain values for the bundle's manifest."""

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Target:
        """The target that `to_json` described.

        Raises:
            BundleError: The kind is unknown or a value is not valid.
        """
        kinds: dict[str, type[SingleLabel] | type[MultiLabel] | type[Regression]] = {
            kind.kind: kind for kind in (SingleLabel, MultiLabel, Regression)
        }
        values = dict(data)
        kind = kinds.get(str(values.pop("kind", None)))
        if kind is None:
            raise BundleError(f"target kind {data.get('kind')!r} is not one of {', '.join(kinds)}.")
        try:
            if "names" in values and values["names"] is not None:
                values["names"] = Vocab(values["names"])
            if isinstance(values.get("thresholds"), list):
                values["thresholds"] = tuple(float(value) for value in values["thresholds"])
            return kind(**values)
        except (LabelError, OptionError, TypeError, ValueError) as error:
            raise BundleError(f"target in the file is not valid: {error}") from error


@dataclass(frozen=True)
class SingleLabel(Target):
    """Exactly one class a picture.

    Attributes:
        names: The classes, in the order of the outputs.
        add_na: The first class is '#na#' and stands for every label that is not known.
    """

    names: Vocab
    add_na: bool = False

    kind: ClassVar[str] = "single_label"
    loss_name: ClassVar[str] = "cross-entropy"
    because: ClassVar[str] = "each picture has exactly one label"
    default_metrics: ClassVar[tuple[str, ...]] = ("error_rate",)

    @classmethod
    def learn(
        cls, labels: Sequence[Any], *, names: Iterable[Any] | None = None, sort: bool = True, add_na: bool = False
    ) -> SingleLabel:
        """The target of these training labels.

        Args:
            labels: Raw labels of the training part, none of them blank.
            names: The vocabulary, where it is known beforehand.
            sort: Sorted names; False keeps the order of first appearance.
            add_na: Put '#na#' first, for labels that are not known.

        Raises:
            LabelError: A label is blank, or there are fewer than two classes.
        """
        _refuse_blank(labels)
        vocab = _vocabulary(labels, names, sort=sort, first=(NOT_AVAILABLE,) if add_na else ())
        if len(vocab) < 2:
            raise LabelError(
                f"Only one class was found: {listed(list(vocab))} ({counted(len(labels), 'picture')}). Expected at least two, "
                "or there is nothing to tell apart. Add pictures of another class, or check where the labels come from."
            )
        return cls(vocab, add_na)

    @property
    def num_outputs(self) -> int:
        return len(self.names)

    @property
    def vocab(self) -> Vocab:
        return self.names

    def unknown(self, labels: Sequence[Any]) -> list[int]:
        return [] if self.add_na else [i for i, label in enumerate(labels) if _plain(label) not in self.names.o2i]

    def encode(self, labels: Sequence[Any]) -> Tensor:
        _refuse_blank(labels)
        _refuse_unknown([labels[i] for i in self.unknown(labels)], self.names)
        fallback = 0
        return torch.tensor([self.names.o2i.get(_plain(label), fallback) for label in labels], dtype=torch.int64)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), target, reduction="none")

    def activate(self, logits: Tensor) -> Tensor:
        return logits.float().softmax(dim=-1)

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n, dtype=torch.int64)

    def decide(self, probabilities: Tensor) -> Tensor:
        return probabilities.argmax(dim=-1)

    def decode(self, decision: Tensor) -> Label:
        return self.names[int(decision)]  # type: ignore[no-any-return]

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "names": list(self.names), "add_na": self.add_na}


@dataclass(frozen=True)
class MultiLabel(Target):
    """Any number of classes a picture, none included.

    Attributes:
        names: The classes, in the order of the outputs.
        thresholds: A class is decided for when its probability is above this; one number, or one a class.
        add_na: The first class is '#na#' and stands for every label that is not known.
    """

    names: Vocab
    thresholds: float | tuple[float, ...] = 0.5
    add_na: bool = False

    kind: ClassVar[str] = "multi_label"
    loss_name: ClassVar[str] = "binary cross-entropy"
    because: ClassVar[str] = "a picture may have several labels, each present or absent"
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy_multi",)

    def __post_init__(self) -> None:
        values = (self.thresholds,) if isinstance(self.thresholds, (int, float)) else self.thresholds
        if len(values) not in (1, len(self.names)) or not all(0 <= value <= 1 for value in values):
            raise OptionError(
                f"thresholds={self.thresholds!r}: expected one number in 0..1, or {len(self.names)} of them, one a class."
            )

    @classmethod
    def learn(
        cls,
        labels: Sequence[Any],
        *,
        names: Iterable[Any] | None = None,
        sort: bool = True,
        add_na: bool = False,
        thresholds: float | tuple[float, ...] = 0.5,
    ) -> MultiLabel:
        """The target of these training labels, each a collection of names (an empty one is 'none of them').

        Raises:
            LabelError: A name is blank, or no picture has any label.
        """
        flat = [name for label in labels for name in _names_of(label)]
        _refuse_blank(flat)
        vocab = _vocabulary(flat, names, sort=sort, first=(NOT_AVAILABLE,) if add_na else ())
        if not vocab:
            raise LabelError("No picture has any label. Expected at least one; check the label column and its delimiter.")
        return cls(vocab, thresholds, add_na)

    @property
    def num_outputs(self) -> int:
        return len(self.names)

    @property
    def vocab(self) -> Vocab:
        return self.names

    def unknown(self, labels: Sequence[Any]) -> list[int]:
        if self.add_na:
            return []
        return [i for i, label in enumerate(labels) if any(_plain(n) not in self.names.o2i for n in _names_of(label))]

    def encode(self, labels: Sequence[Any]) -> Tensor:
        _refuse_blank([name for label in labels for name in _names_of(label)])
        strangers = [n for i in self.unknown(labels) for n in _names_of(labels[i]) if _plain(n) not in self.names.o2i]
        _refuse_unknown(strangers, self.names)
        encoded = torch.zeros(len(labels), len(self.names), dtype=torch.float32)
        for row, label in enumerate(labels):
            for name in _names_of(label):
                encoded[row, self.names.o2i.get(_plain(name), 0)] = 1.0
        return encoded

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        return F.binary_cross_entropy_with_logits(logits.float(), target.float(), reduction="none").mean(dim=-1)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.float().sigmoid()

    def for_torchmetrics(self, target: Tensor) -> Tensor:
        return target.long()

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n, len(self.names))

    def decide(self, probabilities: Tensor) -> Tensor:
        return probabilities > torch.as_tensor(self.thresholds, dtype=probabilities.dtype, device=probabilities.device)

    def decode(self, decision: Tensor) -> list[Label]:
        return [self.names[int(i)] for i in decision.bool().nonzero().flatten()]

    def to_json(self) -> dict[str, Any]:
        thresholds = list(self.thresholds) if isinstance(self.thresholds, tuple) else self.thresholds
        return {"kind": self.kind, "names": list(self.names), "thresholds": thresholds, "add_na": self.add_na}


@dataclass(frozen=True)
class Regression(Target):
    """One or several numbers a picture.

    Attributes:
        width: How many numbers a picture has.
        names: What the numbers are, where that is known (the columns of a table).
        flat: Labels were single numbers, so targets are `(N,)` and not `(N, 1)`.
    """

    width: int = 1
    names: Vocab | None = field(default=None)
    flat: bool = True

    kind: ClassVar[str] = "regression"
    loss_name: ClassVar[str] = "mean squared error"
    because: ClassVar[str] = "labels are numbers"
    default_metrics: ClassVar[tuple[str, ...]] = ("rmse",)

    def __post_init__(self) -> None:
        if self.width < 1 or (self.names is not None and len(self.names) != self.width):
            raise OptionError(f"Regression has {self.width} outputs and names {self.names}: expected as many, at least one.")

    @classmethod
    def learn(cls, labels: Sequence[Any], *, n_out: int | None = None, names: Iterable[Any] | None = None) -> Regression:
        """The target of these training labels, each a number or a sequence of numbers.

        Raises:
            LabelError: A label is no number, is NaN or infinite, or the lengths differ.
        """
        rows = [_numbers(label) for label in labels]
        widths = sorted({len(row) for row in rows})
        if len(widths) > 1:
            raise LabelError(f"Labels hold {listed(widths)} numbers. Expected the same count for every picture.")
        width = widths[0] if widths else (n_out or 1)
        if n_out is not None and n_out != width:
            raise LabelError(
                f"Each picture has {counted(width, 'number')}, but n_out={n_out}. Leave n_out out, or make them agree."
            )
        flat = width == 1 and not any(_is_collection(label) for label in labels)
        return cls(width, Vocab(names) if names is not None else None, flat)

    @property
    def num_outputs(self) -> int:
        return self.width

    def encode(self, labels: Sequence[Any]) -> Tensor:
        rows = [_numbers(label) for label in labels]
        wrong = [len(row) for row in rows if len(row) != self.width]
        if wrong:
            raise LabelError(f"A label holds {counted(wrong[0], 'number')}. Expected {self.width}, as in the training part.")
        encoded = torch.tensor(rows, dtype=torch.float32).reshape(len(rows), self.width)
        return encoded.flatten() if self.flat else encoded

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        difference = self.beside(logits, target).float() - target.float()
        return difference.square().reshape(len(difference), -1).mean(dim=-1)

    def beside(self, logits: Tensor, target: Tensor) -> Tensor:
        # One output (N, 1) beside flat labels (N,) would be broadcast to (N, N) by losses that do not check.
        return logits.reshape(target.shape) if logits.numel() == target.numel() else logits

    def activate(self, logits: Tensor) -> Tensor:
        return logits.float()

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n) if self.flat else torch.zeros(n, self.width)

    def decide(self, probabilities: Tensor) -> Tensor:
        return probabilities

    def decode(self, decision: Tensor) -> float | list[float]:
        values = [float(value) for value in decision.flatten()]
        return values[0] if self.flat else values

    def to_json(self) -> dict[str, Any]:
        return {"kind": self.kind, "width": self.width, "names": list(self.names) if self.names else None, "flat": self.flat}


def is_blank(label: object) -> bool:
    """Whether a label is missing: None, NaN, or text of nothing but spaces."""
    if label is None or (isinstance(label, str) and not label.strip()):
        return True
    try:
        return bool(math.isnan(label))  # type: ignore[arg-type]
    except (TypeError, ValueError):
        # pandas' NA refuses to be compared or converted; it is the only value that is unequal to itself in this way.
        return type(label).__name__ in {"NAType", "NaTType"}


def _plain(label: Any) -> Any:
    """A label as Python's own type, so that it can be written as JSON and compared: numpy's int64(3) becomes 3."""
    return label.item() if hasattr(label, "item") and getattr(label, "ndim", 1) == 0 else label


def _is_collection(label: object) -> bool:
    return not isinstance(label, (str, bytes)) and hasattr(label, "__iter__") and getattr(label, "ndim", 1) > 0


def _names_of(label: Any) -> list[Any]:
    """The names in one multi-label label; a bare name counts as one, a blank one as none."""
    if _is_collection(label):
        return list(label)
    return [] if is_blank(label) else [label]


def _numbers(label: Any) -> list[float]:
    try:
        values = [float(value) for value in (label if _is_collection(label) else [label])]
    except (TypeError, ValueError):
        raise LabelError(f"Label {label!r} is not a number. Expected numbers, because the target is Regression.") from None
    if not values or not all(math.isfinite(value) for value in values):
        raise LabelError(f"Label {label!r} is missing, NaN or infinite. Expected finite numbers for every picture.")
    return values


def _vocabulary(labels: Sequence[Any], names: Iterable[Any] | None, *, sort: bool, first: tuple[str, ...]) -> Vocab:
    if names is None:
        found = list(dict.fromkeys(_plain(label) for label in labels))
        try:
            names = sorted(found) if sort else found
        except TypeError:
            names = sorted(found, key=lambda name: (type(name).__name__, str(name)))
    return Vocab([*first, *(name for name in map(_plain, names) if name not in first)])


def _refuse_blank(labels: Sequence[Any]) -> None:
    blank = [position for position, label in enumerate(labels) if is_blank(label)]
    if blank:
        raise LabelError(
            f"{counted(len(blank), 'label')} of {len(labels):,} blank or NaN (first: number {blank[0]}). "
            "Expected a label for every picture. Fill them in, or leave those pictures out."
        )


def _refuse_unknown(strangers: Sequence[Any], vocab: Vocab) -> None:
    if not strangers:
        return
    counts = {str(name): sum(str(other) == str(name) for other in strangers) for name in dict.fromkeys(strangers)}
    named = ", ".join(f"{name!r} x{count}" for name, count in list(counts.items())[:10])
    close = [match for name in list(counts)[:3] for match in close_matches(name, map(str, vocab), most=1)]
    hint = f" Closest: {listed(list(dict.fromkeys(close)))}." if close else ""
    raise LabelError(f"Labels that are not in the vocabulary: {named}. Expected one of the {len(vocab)} known names.{hint}")
