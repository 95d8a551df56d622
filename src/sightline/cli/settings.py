"""What the commands are told, as values: plain enough to be written into run.json."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, Self

from sightline.errors import OptionError, listed


class ResizeWay(StrEnum):
    """How a picture is brought to a square."""

    crop = "crop"
    pad = "pad"
    squish = "squish"


class OnError(StrEnum):
    """What happens to pictures that cannot be read."""

    set_aside = "set_aside"
    raise_ = "raise"


class FrozenWay(StrEnum):
    """How the head trains while everything below it is frozen."""

    train = "train"
    features = "features"


@dataclass(frozen=True)
class TableSettings:
    """How a table of labels is to be read; nothing given means that folders name the labels.

    Attributes:
        labels: The CSV file.
        fn_col: Column of the file names.
        label_cols: Columns of the labels.
        label_delim: What separates several labels in a cell.
        valid_col: Column that says which rows validate.
        folder: Folder within the data folder that the file names belong to.
        suffix: What the file names lack.
        regression: Labels are numbers.
        group_col: Column that says which pictures belong together.
        allow_outside: File names may lead out of the data folder.
    """

    labels: Path | None = None
    fn_col: str | None = None
    label_cols: tuple[str, ...] = ()
    label_delim: str | None = None
    valid_col: str | None = None
    folder: str | None = None
    suffix: str = ""
    regression: bool = False
    group_col: str | None = None
    allow_outside: bool = False


@dataclass(frozen=True)
class Machine:
    """On what an exported model computes.

    Attributes:
        device: Which device; None is the best one.
        workers: Threads that read pictures, and on a CPU compute with them; None goes by the CPUs.
        fp32: In 32-bit floats.
        backend: What computes: 'torch' or 'openvino'.
    """

    device: str | None = None
    workers: int | None = None
    fp32: bool = False
    backend: str = "torch"


@dataclass(frozen=True)
class TrainSettings:
    """All that `sightline train` is told; see its help for each."""

    data: Path
    table: TableSettings = field(default_factory=TableSettings)
    valid: float | None = None
    test: float = 0.0
    folds: int | None = None
    fold: int = 0
    seed: int = 42
    size: int = 224
    resize: ResizeWay = ResizeWay.crop
    augment: bool = True
    flip: bool = True
    on_error: OnError = OnError.set_aside
    arch: str = "resnet34"
    weights: str | None = None
    pretrained: bool = True
    epochs: int = 3
    freeze_epochs: int | None = None
    frozen: FrozenWay = FrozenWay.train
    lr: float = 2e-3
    bs: int = 64
    precision: Literal["fp32", "bf16"] | None = None
    out: Path | None = None
    profile: bool = False
    device: str | None = None
    workers: int | None = None
    cache: bool = True
    deterministic: bool = False
    save_minutes: float = 2.0
    save_steps: int | None = None

    @property
    def splits(self) -> bool:
        """Whether a split is asked for, in place of one that folders or a column say."""
        return self.valid is not None or self.test > 0 or self.folds is not None

    def flat(self) -> dict[str, Any]:
        """All values by name, those of the table among them."""
        values = asdict(self)
        table = values.pop("table")
        return {**values, **table}

    def to_json(self) -> dict[str, Any]:
        """Plain values, paths as they were given."""
        flat = self.flat()
        paths = {name: str(value) for name, value in flat.items() if isinstance(value, Path)}
        return {**flat, "label_cols": list(flat["label_cols"]), **paths}

    @classmethod
    def from_json(cls, values: Mapping[str, Any], *, beside: Path) -> Self:
        """What `to_json` gave, in a run that another command began.

        Args:
            values: Plain values, whoever wrote them.
            beside: The folder that relative paths begin from.

        Raises:
            OptionError: They are no such options.
        """
        own, of_table = ({f.name: f for f in fields(kind)} for kind in (cls, TableSettings))
        names = (own.keys() | of_table.keys()) - {"table"}
        if set(values) != names:
            raise OptionError(f"The run's options are not those of this version: {listed(sorted(names ^ set(values)))} differ.")
        read = {name: _read(name, values[name], {**own, **of_table}[name].default, beside) for name in sorted(names)}
        table = TableSettings(**{name: read.pop(name) for name in of_table})
        return cls(table=table, **read)


_PATHS = frozenset({"data", "out", "labels"})
_NUMBERS = frozenset({"valid", "test", "lr", "save_minutes"})
_ENUMS: Mapping[str, type[StrEnum]] = {"resize": ResizeWay, "on_error": OnError, "frozen": FrozenWay}
_PRECISIONS = (None, "fp32", "bf16")


def _read(name: str, value: Any, default: Any, beside: Path) -> Any:
    """One option as it was before it was written; `default` tells its type.

    Raises:
        OptionError: It is of another type.
    """
    try:
        if name in _ENUMS:
            return _ENUMS[name](value)
        if name == "label_cols":
            return tuple(_typed(one, str) for one in _typed(value, list))
        if value is None and name != "data":
            return None
        if name == "labels" and not (beside / _typed(value, str)).is_file():
            return Path(value)  # within the folder of the pictures
        if name in _PATHS:
            return beside / _typed(value, str)
        if name in _NUMBERS:
            return float(_typed(value, int, float))
        if name == "precision" and value not in _PRECISIONS:
            raise ValueError
        if name == "weights":
            return str(beside / value) if (beside / _typed(value, str)).is_file() else value
        return _typed(value, type(default) if isinstance(default, (bool, int)) else int if name in _COUNTS else str)
    except (ValueError, TypeError):
        raise OptionError(f"The run's option {name} is {value!r}, which it cannot be.") from None


_COUNTS = frozenset({"freeze_epochs", "workers", "save_steps", "folds"})


def _typed(value: Any, *kinds: type) -> Any:
    if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
        raise TypeError
    return value
