"""Labels that are names: one a picture, or any number of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.errors import LabelError, OptionError, counted, listed
from sightline.stored import FLAG, NUMBER, Kind, either, list_of, shown
from sightline.target.base import Target, mixed
from sightline.target.vocab import (
    NOT_AVAILABLE,
    STORED_NAMES,
    Label,
    Vocab,
    names_of,
    plain,
    refuse_blank,
    refuse_unknown,
    vocabulary,
)


@dataclass(frozen=True)
class SingleLabel(Target):
    """Exactly one class a picture.

    Attributes:
        names: The classes, in the order of the outputs.
        add_na: The first class is '#na#' and stands for every label that is not known.
        activated: The network gives probabilities already.
    """

    names: Vocab
    add_na: bool = False
    activated: bool = False

    kind: ClassVar[str] = "single_label"
    loss_name: ClassVar[str] = "cross-entropy"
    because: ClassVar[str] = "each picture has exactly one label"
    default_metrics: ClassVar[tuple[str, ...]] = ("error_rate",)
    stored: ClassVar[Mapping[str, Kind]] = {"names": STORED_NAMES, "add_na": FLAG, "activated": FLAG}
    needed: ClassVar[tuple[str, ...]] = ("names",)

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
        refuse_blank(labels)
        vocab = vocabulary(labels, names, sort=sort, first=(NOT_AVAILABLE,) if add_na else ())
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
        return [] if self.add_na else [i for i, label in enumerate(labels) if plain(label) not in self.names.o2i]

    def encode(self, labels: Sequence[Any]) -> Tensor:
        refuse_blank(labels)
        refuse_unknown([labels[i] for i in self.unknown(labels)], self.names)
        fallback = 0
        return torch.tensor([self.names.o2i.get(plain(label), fallback) for label in labels], dtype=torch.int64)

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.activated:
            return F.nll_loss(logits.float().clamp(min=torch.finfo(torch.float32).tiny).log(), target, reduction="none")
        return F.cross_entropy(logits.float(), target, reduction="none")

    def mixed_loss(
        self, items: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor, partner: Tensor, lam: Tensor
    ) -> Tensor:
        # Classes are numbers that nothing lies between, so the losses are mixed; for cross-entropy it is the same.
        return mixed(items(logits, target), items(logits, partner), lam)

    def adjusted(self, *, thresholds: float | tuple[float, ...] | None = None, activated: bool = False) -> Target:
        return replace(self, activated=activated)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.float() if self.activated else logits.float().softmax(dim=-1)

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n, dtype=torch.int64)

    def decide(self, probabilities: Tensor) -> Tensor:
        return probabilities.argmax(dim=-1)

    def margins(self, logits: Tensor) -> Tensor:
        first, second = logits.float().topk(2, dim=-1).values.unbind(-1)
        return first - second

    def decode(self, decision: Tensor) -> Label:
        return self.names[int(decision)]  # type: ignore[no-any-return]

    def to_json(self) -> dict[str, Any]:
        plain = {"kind": self.kind, "names": list(self.names), "add_na": self.add_na}
        return {**plain, "activated": True} if self.activated else plain


@dataclass(frozen=True)
class MultiLabel(Target):
    """Any number of classes a picture, none included.

    Attributes:
        names: The classes, in the order of the outputs.
        thresholds: A class is decided for when its probability is above this; one number, or one a class.
        add_na: The first class is '#na#' and stands for every label that is not known.
        activated: The network gives probabilities already.
    """

    names: Vocab
    thresholds: float | tuple[float, ...] = 0.5
    add_na: bool = False
    activated: bool = False

    kind: ClassVar[str] = "multi_label"
    loss_name: ClassVar[str] = "binary cross-entropy"
    because: ClassVar[str] = "a picture may have several labels, each present or absent"
    default_metrics: ClassVar[tuple[str, ...]] = ("accuracy_multi",)
    stored: ClassVar[Mapping[str, Kind]] = {**SingleLabel.stored, "thresholds": either(NUMBER, list_of(NUMBER, 1))}
    needed: ClassVar[tuple[str, ...]] = ("names",)

    def __post_init__(self) -> None:
        values = (self.thresholds,) if isinstance(self.thresholds, (int, float)) else self.thresholds
        if len(values) not in (1, len(self.names)) or not all(0 <= value <= 1 for value in values):
            raise OptionError(
                f"thresholds={shown(self.thresholds)}: expected one number in 0..1, or {len(self.names)} of them, one a class."
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
        flat = [name for label in labels for name in names_of(label)]
        refuse_blank(flat)
        vocab = vocabulary(flat, names, sort=sort, first=(NOT_AVAILABLE,) if add_na else ())
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
        return [i for i, label in enumerate(labels) if any(plain(n) not in self.names.o2i for n in names_of(label))]

    def encode(self, labels: Sequence[Any]) -> Tensor:
        refuse_blank([name for label in labels for name in names_of(label)])
        strangers = [n for i in self.unknown(labels) for n in names_of(labels[i]) if plain(n) not in self.names.o2i]
        refuse_unknown(strangers, self.names)
        encoded = torch.zeros(len(labels), len(self.names), dtype=torch.float32)
        for row, label in enumerate(labels):
            for name in names_of(label):
                encoded[row, self.names.o2i.get(plain(name), 0)] = 1.0
        return encoded

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        cross_entropy = F.binary_cross_entropy if self.activated else F.binary_cross_entropy_with_logits
        return cross_entropy(logits.float(), target.float(), reduction="none").mean(dim=-1)

    def adjusted(self, *, thresholds: float | tuple[float, ...] | None = None, activated: bool = False) -> Target:
        return replace(self, thresholds=self.thresholds if thresholds is None else thresholds, activated=activated)

    def activate(self, logits: Tensor) -> Tensor:
        return logits.float() if self.activated else logits.float().sigmoid()

    def for_torchmetrics(self, target: Tensor) -> Tensor:
        return target.long()

    def blank(self, n: int) -> Tensor:
        return torch.zeros(n, len(self.names))

    def decide(self, probabilities: Tensor) -> Tensor:
        return probabilities > torch.as_tensor(self.thresholds, dtype=probabilities.dtype, device=probabilities.device)

    def margins(self, logits: Tensor) -> Tensor:
        thresholds = torch.as_tensor(self.thresholds, dtype=torch.float32, device=logits.device)
        return (logits.float() - (thresholds if self.activated else thresholds.logit())).abs().amin(dim=-1)

    def decode(self, decision: Tensor) -> list[Label]:
        return [self.names[int(i)] for i in decision.bool().nonzero().flatten()]

    def to_json(self) -> dict[str, Any]:
        thresholds = list(self.thresholds) if isinstance(self.thresholds, tuple) else self.thresholds
        plain = {"kind": self.kind, "names": list(self.names), "thresholds": thresholds, "add_na": self.add_na}
        return {**plain, "activated": True} if self.activated else plain
