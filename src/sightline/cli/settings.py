"""What the commands are told, as values: plain enough to be written into run.json."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal


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
    """

    labels: Path | None = None
    fn_col: str | None = None
    label_cols: tuple[str, ...] = ()
    label_delim: str | None = None
    valid_col: str | None = None
    folder: str | None = None
    suffix: str = ""
    regression: bool = False


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

    def to_json(self) -> dict[str, Any]:
        """Plain values, paths as they were given."""
        values = asdict(self)
        table = values.pop("table")
        return {name: str(value) if isinstance(value, Path) else value for name, value in {**values, **table}.items()}
