"""Blocks: what the pictures are, and how raw labels become a Target."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

from sightline.data.pictures.decode import PILImage
from sightline.data.pictures.reading import Reader
from sightline.errors import LabelError, OptionError, listed
from sightline.target import NOT_AVAILABLE, MultiLabel, Regression, SingleLabel, Target, is_blank

PictureClass: TypeAlias = type[PILImage]
BLANK = "blank (None, NaN or nothing but spaces)"


class ImageBlock:
    """The input is a picture.

    Attributes:
        read: How one is read.
        channels: How many channels it has.
    """

    def __init__(self, cls: PictureClass = PILImage, channels: int | None = None) -> None:
        """Says what pictures are.

        Args:
            cls: `PILImage` for colour, `PILImageBW` for grey; or a class of your own that inherits from one of them, whose
                `create(source)` returns a Pillow image, an array `(H, W, C)` or a tensor `(C, H, W)`.
            channels: In place of the class's own number. With 2, 4 or more, pictures are arrays (in memory, or .npy files),
                TIFF files with a grey page for each channel, or, for 4, pictures with transparency.

        Raises:
            OptionError: `cls` is no such class, or `channels` no number of channels.
        """
        if not (isinstance(cls, type) and issubclass(cls, PILImage)):
            raise OptionError(
                f"ImageBlock(cls={cls!r}): expected PILImage (colour), PILImageBW (grey) or a class that inherits from one."
            )
        found = cls.channels if channels is None else channels
        if isinstance(found, bool) or not isinstance(found, int) or found < 1:
            raise OptionError(f"ImageBlock(channels={found!r}): expected a whole number of channels, at least 1.")
        self.cls, self.channels = cls, found
        self.read = Reader.of(cls, found)

    def __repr__(self) -> str:
        return f"ImageBlock({self.cls.__name__}, channels={self.channels})"


@dataclass(frozen=True)
class LabelHints:
    """What a table says about its labels beyond their values.

    Attributes:
        columns: Names of the columns that labels are read from, where there are several.
        categories: The order of the names, where the column is a pandas categorical.
        flags: The several columns hold nothing but 0 and 1, or False and True.
    """

    columns: tuple[str, ...] | None = None
    categories: tuple[Any, ...] | None = None
    flags: bool = False


class TargetBlock(ABC):
    """Base of the blocks for labels.

    Attributes:
        expects: What each label must be, as the end of a sentence that begins with 'Expected'.
        has_classes: Labels are names, and every one of them needs training pictures.
    """

    expects: ClassVar[str]
    has_classes: ClassVar[bool] = True

    @abstractmethod
    def read(self, label: Any) -> Any:
        """A raw label as plain Python values.

        Raises:
            LabelError: It cannot be used; the message is the bare reason, for the caller collects them.
        """

    @abstractmethod
    def learn(self, labels: Sequence[Any]) -> Target:
        """The target of the training labels, each as `read` returned it."""

    def adapt(self, hints: LabelHints) -> TargetBlock:
        """The same block with what the table says about its labels."""
        return self

    @property
    def has_vocab(self) -> bool:
        """Whether the names were given, and not learned from the training part."""
        return False


@dataclass(frozen=True, eq=False)
class CategoryBlock(TargetBlock):
    """One label a picture.

    Attributes:
        vocab: The names, where they are known beforehand; a pandas categorical keeps its order.
        sort: Sorted names; False keeps the order given, or the order of first appearance in the training part.
        add_na: Adds '#na#' as the first name, for blank labels and those not seen in training.
        order: Names that come first, in this order, if they occur; from a categorical column.
    """

    vocab: Any = None
    sort: bool = True
    add_na: bool = False
    order: tuple[Any, ...] | None = None

    expects: ClassVar[str] = "one name for each picture"

    def read(self, label: Any) -> Any:
        if self.add_na and is_blank(label):
            return NOT_AVAILABLE
        return _name(label)

    def learn(self, labels: Sequence[Any]) -> SingleLabel:
        if self.vocab is not None:
            return SingleLabel.learn(labels, names=given_names(self.vocab, sort=self.sort), add_na=self.add_na)
        if self.order is None:
            return SingleLabel.learn(labels, sort=self.sort, add_na=self.add_na)
        seen = set(labels)
        return SingleLabel.learn(labels, names=[name for name in self.order if name in seen], add_na=self.add_na)

    def adapt(self, hints: LabelHints) -> CategoryBlock:
        return replace(self, order=hints.categories) if hints.categories is not None else self

    @property
    def has_vocab(self) -> bool:
        return self.vocab is not None


@dataclass(frozen=True, eq=False)
class MultiCategoryBlock(TargetBlock):
    """Any number of labels a picture, none included.

    Attributes:
        encoded: Labels are rows of 0 and 1, one for each name of `vocab` (or of the columns they are read from).
        vocab: The names, in the order of the outputs; None learns them, sorted, from the training part.
        add_na: Adds '#na#' as the first name, for labels not seen in training.
    """

    encoded: bool = False
    vocab: Any = None
    add_na: bool = False

    expects: ClassVar[str] = "a list of names for each picture (an empty one where it has none)"

    def read(self, label: Any) -> list[Any]:
        if self.encoded:
            return self._names_of_flags(label)
        if not _is_list(label):
            return [] if is_blank(label) else [_name(label)]
        return list(dict.fromkeys(_name(name) for name in label if not is_blank(name)))

    def learn(self, labels: Sequence[Any]) -> MultiLabel:
        if self.vocab is None:
            return MultiLabel.learn(labels, add_na=self.add_na)
        return MultiLabel.learn(labels, names=given_names(self.vocab, sort=False), add_na=self.add_na)

    def adapt(self, hints: LabelHints) -> MultiCategoryBlock:
        if hints.flags and not self.encoded:
            raise LabelError(
                f"The label columns {listed(hints.columns or ())} hold nothing but 0 and 1, or False and True, which would "
                "become names of classes. Expected names. Where 1 says that a picture has the class of the column, pass "
                f"y_block=MultiCategoryBlock(encoded=True, vocab={list(hints.columns or ())})."
            )
        if not self.encoded or self.vocab is not None:
            return self
        if hints.columns is None:
            raise OptionError(
                "MultiCategoryBlock(encoded=True) needs vocab=[...], the names that the 0s and 1s stand for, in order."
            )
        return replace(self, vocab=hints.columns)

    @property
    def has_vocab(self) -> bool:
        return self.vocab is not None

    def _names_of_flags(self, label: Any) -> list[Any]:
        flags = [_plain(flag) for flag in label] if _is_list(label) else []
        names = given_names(self.vocab, sort=False)
        if len(flags) != len(names):
            raise LabelError(f"{len(flags)} values for {len(names)} names")
        if any(flag not in (0, 1) for flag in flags):
            raise LabelError("not only 0 and 1")
        return [name for name, flag in zip(names, flags, strict=True) if flag]


@dataclass(frozen=True, eq=False)
class RegressionBlock(TargetBlock):
    """One or several numbers a picture.

    Attributes:
        n_out: How many; None learns it from the training part.
        names: What the numbers are; None takes the columns they are read from.
    """

    n_out: int | None = None
    names: tuple[str, ...] | None = None

    expects: ClassVar[str] = "finite numbers for each picture, the same count for all"
    has_classes: ClassVar[bool] = False

    def read(self, label: Any) -> float | list[float]:
        if _is_list(label):
            return [_number(value) for value in label]
        return _number(label)

    def learn(self, labels: Sequence[Any]) -> Regression:
        return Regression.learn(labels, n_out=self.n_out, names=self.names)

    def adapt(self, hints: LabelHints) -> RegressionBlock:
        return replace(self, names=hints.columns) if self.names is None and hints.columns is not None else self


def given_names(vocab: Any, *, sort: bool) -> list[Any]:
    """The names of a vocabulary that the user gave: a list, a Series, or a pandas categorical, which keeps its order."""
    categories = categories_of(vocab)
    if categories is not None:
        return list(categories)
    names = list(dict.fromkeys(_plain(name) for name in vocab if not is_blank(name)))
    return sorted(names) if sort else names


def categories_of(values: Any) -> tuple[Any, ...] | None:
    """The categories of a pandas categorical, in order; None for anything else."""
    categories = getattr(getattr(values, "dtype", None), "categories", None)
    return None if categories is None else tuple(_plain(name) for name in categories.tolist())


def as_instance(block: Any) -> Any:
    """A block that may have been given bare: `CategoryBlock` for `CategoryBlock()`."""
    return block() if isinstance(block, type) else block


def _name(label: Any) -> Any:
    if _is_list(label):
        raise LabelError("a list of names (for several labels a picture, use MultiCategoryBlock)")
    if is_blank(label):
        raise LabelError(BLANK)
    name = str(label) if isinstance(label, Path) else _plain(label)
    if not isinstance(name, (str, int, float)):
        raise LabelError(f"a {type(name).__name__}, which is neither text nor a number")
    return name


def _number(value: Any) -> float:
    if is_blank(value):
        raise LabelError(BLANK)
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise LabelError(f"{str(value)[:40]!r}, not a number") from None
    if not math.isfinite(number):
        raise LabelError("infinite")
    return number


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _is_list(label: Any) -> bool:
    return isinstance(label, Iterable) and not isinstance(label, (str, bytes)) and getattr(label, "ndim", 1) > 0
