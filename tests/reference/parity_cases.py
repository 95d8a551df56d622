"""Pictures, labels, weights and the list of cases that fastai and sightline are both run on, drawn by formula.

`benchmarks/parity_reference.py` runs the cases in fastai and writes `parity.json`; the tests run them in sightline and compare.
Both import this file, which needs numpy and torch alone, so that neither side can drift from the other.

One epoch is one full batch of 64 pictures, so the order of rows cannot matter. Sizes are 48x48: the last feature map of a
resnet is then 2x2, so that average and maximum pooling differ, at half the cost of 64x64.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

TRAIN_COUNT = 64
VALID_COUNT = 32
SIZE_PX = 48
CLASS_NAMES = ("bars", "rings", "waves")
TAG_NAMES = ("blue", "dots", "green", "lines")
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)
GROUP_COUNT = 3
GAIN = 64.0

PLAIN_HEAD: dict[str, Any] = {}
AVERAGE_HEAD: dict[str, Any] = {"concat_pool": False, "lin_ftrs": [64, 32], "first_bn": False, "bn_final": True}
LINEAR_FIRST_HEAD: dict[str, Any] = {"lin_first": True}
DECAY_ALL: dict[str, Any] = {"wd": 0.1, "wd_bn_bias": True, "train_bn": False}


@dataclass(frozen=True)
class ParityCase:
    """One training run that both libraries make.

    Attributes:
        name: Key of the run in `parity.json`.
        arch: Name of a torchvision constructor.
        kind: `single` (one of 3 classes, cross-entropy) or `multi` (4 labels, binary cross-entropy).
        method: Learner method that trains: `fine_tune`, `fit_one_cycle` or `fit`.
        epochs: Its first argument.
        lr: Its second argument: a number, a (low, high) pair standing for slice(low, high), a 1-tuple (high,) standing for
            slice(high), or None to leave the method its default.
        head: Head options of `vision_learner`; `ps=0` is added by `learner_options`.
        learner: Other options of `vision_learner`.
    """

    name: str
    arch: str
    kind: str
    method: str
    epochs: int
    lr: float | tuple[float, ...] | None = None
    head: dict[str, Any] = field(default_factory=dict)
    learner: dict[str, Any] = field(default_factory=dict)

    @property
    def n_out(self) -> int:
        """Number of outputs of the network."""
        return len(CLASS_NAMES if self.kind == "single" else TAG_NAMES)

    @property
    def options(self) -> dict[str, Any]:
        """Keywords of `vision_learner` beyond data, architecture, loss and metrics."""
        return {"pretrained": False, "normalize": False, "ps": 0.0, **self.head, **self.learner}

    @property
    def arguments(self) -> tuple[Any, ...]:
        """Positional arguments of `method`."""
        if self.lr is None:
            return (self.epochs,)
        return (self.epochs, slice(*self.lr) if isinstance(self.lr, tuple) else self.lr)


CASES: tuple[ParityCase, ...] = (
    ParityCase("r18-single-plain-fine_tune", "resnet18", "single", "fine_tune", 2),
    ParityCase("r18-multi-plain-fine_tune", "resnet18", "multi", "fine_tune", 2),
    ParityCase("r18-single-plain-fit_one_cycle", "resnet18", "single", "fit_one_cycle", 3, 1e-3),
    ParityCase("r18-multi-plain-fit_one_cycle-range", "resnet18", "multi", "fit_one_cycle", 3, (1e-5, 1e-3)),
    ParityCase("r18-single-plain-fit", "resnet18", "single", "fit", 2, 1e-3),
    ParityCase("r18-multi-plain-fit-slice", "resnet18", "multi", "fit", 2, (1e-3,)),
    ParityCase("r18-single-average-fine_tune", "resnet18", "single", "fine_tune", 2, None, AVERAGE_HEAD),
    ParityCase("r18-multi-average-fit_one_cycle-slice", "resnet18", "multi", "fit_one_cycle", 3, (1e-3,), AVERAGE_HEAD),
    ParityCase("r18-single-average-fit", "resnet18", "single", "fit", 2, 1e-3, AVERAGE_HEAD),
    ParityCase("r18-single-linfirst-fine_tune", "resnet18", "single", "fine_tune", 2, None, LINEAR_FIRST_HEAD, DECAY_ALL),
    ParityCase("r18-multi-linfirst-fit_one_cycle", "resnet18", "multi", "fit_one_cycle", 3, 1e-3, LINEAR_FIRST_HEAD, DECAY_ALL),
    ParityCase("r18-multi-linfirst-fit", "resnet18", "multi", "fit", 2, 1e-3, LINEAR_FIRST_HEAD, DECAY_ALL),
    ParityCase("r34-single-plain-fine_tune", "resnet34", "single", "fine_tune", 1),
    ParityCase("r34-multi-plain-fit_one_cycle", "resnet34", "multi", "fit_one_cycle", 3, 1e-3),
    ParityCase("r34-multi-average-fine_tune", "resnet34", "multi", "fine_tune", 1, None, AVERAGE_HEAD),
    ParityCase(
        "r34-single-linfirst-fit_one_cycle", "resnet34", "single", "fit_one_cycle", 2, (1e-3,), LINEAR_FIRST_HEAD, DECAY_ALL
    ),
)


@dataclass(frozen=True)
class SmallRun:
    """One training of a network of three layers, each a parameter group: what an optimizer or a schedule does to it.

    Attributes:
        name: Key of the run in `parity.json`.
        optimizer: Name of the optimizer; `torch.<name>` is one of `torch.optim`, wrapped.
        options: Further arguments of it.
        method: Learner method that trains.
        arguments: Its positional arguments; (low, high) stands for slice(low, high).
        keywords: Its keywords.
        lookahead: Whether Lookahead goes around the optimizer.
    """

    name: str
    optimizer: str = "Adam"
    options: dict[str, Any] = field(default_factory=dict)
    method: str = "fit_one_cycle"
    arguments: tuple[Any, ...] = (10, 0.02)
    keywords: dict[str, Any] = field(default_factory=dict)
    lookahead: bool = False


L2: dict[str, Any] = {"decouple_wd": False}
LAYERWISE: tuple[Any, ...] = (10, (0.005, 0.05))

SMALL_RUNS: tuple[SmallRun, ...] = (
    SmallRun("SGD without momentum", "SGD"),
    SmallRun("SGD", "SGD", {"mom": 0.9}, arguments=LAYERWISE),
    SmallRun("SGD, L2", "SGD", {"mom": 0.9, **L2}),
    SmallRun("RMSProp without momentum", "RMSProp"),
    SmallRun("RMSProp", "RMSProp", {"mom": 0.9, "sqr_mom": 0.95}, arguments=(10, 0.002)),
    SmallRun("RMSProp, L2", "RMSProp", {"mom": 0.9, **L2}, arguments=(10, 0.002)),
    SmallRun("Adam", "Adam", {"sqr_mom": 0.98, "eps": 1e-4}, arguments=LAYERWISE),
    SmallRun("Adam, L2", "Adam", L2),
    SmallRun("RAdam", "RAdam", {"sqr_mom": 0.9}, arguments=LAYERWISE),
    SmallRun("RAdam, softplus", "RAdam", {"sqr_mom": 0.9, "beta": 50.0}),
    SmallRun("RAdam, L2", "RAdam", {"sqr_mom": 0.9, **L2}),
    SmallRun("QHAdam", "QHAdam", arguments=LAYERWISE),
    SmallRun("QHAdam, L2", "QHAdam", {"nu_1": 0.6, "nu_2": 0.9, **L2}),
    SmallRun("Larc", "Larc", arguments=(10, (0.05, 0.5))),
    SmallRun("Larc without momentum, LARS", "Larc", {"mom": 0.0, "clip": False}, arguments=(10, 0.5)),
    SmallRun("Larc, L2", "Larc", L2, arguments=(10, 0.5)),
    SmallRun("Lamb", "Lamb", arguments=LAYERWISE),
    SmallRun("Lamb, L2", "Lamb", L2),
    SmallRun("ranger", "ranger", {"k": 3}, "fit_flat_cos", arguments=(10, 0.02)),
    SmallRun("Lookahead over Adam", "Adam", {}, lookahead=True, arguments=(14, 0.02)),
    SmallRun("torch.AdamW", "torch.AdamW", keywords={"wd": 0.0}),
    SmallRun("torch.SGD", "torch.SGD", {"momentum": 0.9}, keywords={"wd": 0.0}),
    SmallRun("fit_flat_cos", "Adam", {}, "fit_flat_cos", (8, (0.005, 0.05)), {"pct_start": 0.5}),
    SmallRun("fit_sgdr", "SGD", {"mom": 0.9}, "fit_sgdr", (2, 3, 0.05), {"cycle_mult": 3}),
    SmallRun("fit_one_cycle, momentum by hand", "Adam", {}, arguments=LAYERWISE, keywords={"moms": (0.8, 0.7, 0.9), "wd": 0.3}),
)
"""Decay is 0.1 unless a keyword says otherwise; biases and norm parameters are spared."""


def small_network() -> nn.Sequential:
    """Three parts with a norm layer among them, 4 numbers in and 1 out, with weights by formula.

    The layer before the norm has no bias: its gradient would be rounding alone, which a small eps blows up to a step.
    """
    layers = nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.Sequential(nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 5)), nn.Linear(5, 1)
    )
    with torch.no_grad():
        for i, parameter in enumerate(layers.parameters()):
            wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 1.7 + i)
            parameter.copy_((0.6 * wave + (1.0 if i == 1 else 0.0)).reshape(parameter.shape))
    return layers


def small_data() -> tuple[Tensor, Tensor]:
    """The one batch of a small run: float32 (16, 4) and (16, 1)."""
    x = torch.sin(torch.arange(64, dtype=torch.float64).reshape(16, 4) * 0.9)
    return x.float(), (x[:, :1] * x[:, 1:2] + 0.5 * x[:, 2:3]).float()


def images(split: str, kind: str) -> np.ndarray:
    """Pictures of a split: uint8 (N, 48, 48, 3), N = 64 for `train` and 32 for `valid`.

    `single`: stripes whose direction follows the class. `multi`: a background on which each present label adds its own mark.
    """
    noise = np.random.RandomState({"train": 101, "valid": 202}[split] + (1000 if kind == "multi" else 0))
    labels = label_table(split, kind)
    rows, columns = np.meshgrid(np.linspace(0, 1, SIZE_PX), np.linspace(0, 1, SIZE_PX), indexing="ij")
    drawn = np.empty((len(labels), SIZE_PX, SIZE_PX, 3))
    for i, label in enumerate(labels):
        phase, pitch = noise.uniform(0, 2 * np.pi), noise.uniform(3.0, 5.0)
        picture = 0.45 + 0.05 * noise.standard_normal((SIZE_PX, SIZE_PX, 3)) + noise.uniform(-0.1, 0.1, size=3)
        marks = _class_marks(int(label), rows, columns) if kind == "single" else _tag_marks(label, rows, columns)
        drawn[i] = picture + 0.2 * np.sin(2 * np.pi * pitch * marks[0] + phase)[..., None] * marks[1]
    return np.clip(np.rint(drawn * 255), 0, 255).astype(np.uint8)


def _class_marks(label: int, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What the sine wave of a class runs along, and its share in each colour."""
    along = (columns, 2.0 * np.hypot(rows - 0.5, columns - 0.5), 0.7 * rows + 0.2 * np.sin(2 * np.pi * columns))[label]
    return along, np.array([(1.0, 0.8, 0.6), (0.6, 1.0, 0.8), (0.8, 0.6, 1.0)][label])


def _tag_marks(label: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sine wave and colour shares of a picture that has the labels of the 0/1 row `label`."""
    blue, dots, green, lines = (float(v) for v in label)
    along = 0.3 * rows + lines * columns + dots * np.sin(6 * np.pi * rows) * np.sin(6 * np.pi * columns) / 4
    return along, np.array([0.5, 0.5 + green, 0.5 + blue])


def label_table(split: str, kind: str) -> np.ndarray:
    """Labels of a split: int64 (N,) class numbers for `single`, float32 (N, 4) zeros and ones for `multi`."""
    count = TRAIN_COUNT if split == "train" else VALID_COUNT
    draw = np.random.RandomState({"train": 11, "valid": 22}[split])
    if kind == "single":
        return np.concatenate([np.arange(len(CLASS_NAMES)), draw.randint(0, len(CLASS_NAMES), count - len(CLASS_NAMES))])
    return (draw.uniform(size=(count, len(TAG_NAMES))) < 0.4).astype(np.float32)


def label_names(split: str, kind: str) -> list[Any]:
    """The same labels by name: a string a picture for `single`, a list of strings (may be empty) for `multi`."""
    table = label_table(split, kind)
    if kind == "single":
        return [CLASS_NAMES[i] for i in table]
    return [[name for name, present in zip(TAG_NAMES, row, strict=True) if present] for row in table]


def normalised(pictures: np.ndarray) -> Tensor:
    """uint8 (N, H, W, 3) -> float32 (N, 3, H, W): scaled to 0..1, less the ImageNet mean, over its standard deviation."""
    scaled = torch.from_numpy(pictures).permute(0, 3, 1, 2).contiguous().float() / 255
    return (scaled - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(STD).view(1, 3, 1, 1)


def tensors(split: str, kind: str) -> tuple[Tensor, Tensor]:
    """The whole split as one batch: float32 (N, 3, 48, 48), and int64 (N,) or float32 (N, 4)."""
    return normalised(images(split, kind)), torch.from_numpy(label_table(split, kind))


def fill_weights(model: nn.Module) -> None:
    """Overwrite every tensor of `model.state_dict()` in place; entry i depends on its position, name and shape alone.

    Kernels and hidden matrices are normal with standard deviation GAIN / sqrt(fan-in), the last matrix (few outputs) without
    the gain; norm weights lie near 1, biases near 0, running means are 0 and running variances what the layer before puts out.
    The gain changes nothing in the forward pass, since a norm layer follows each of these layers, but it makes an Adam step
    small beside the weights, and gradients not much larger than Adam's eps, which a wrong eps then betrays. Without it one step
    at 1e-3 takes the loss from 1.6 to 0.01, and rounding in the first step moves the third loss by up to 2 percent, which would
    drown the differences that the tests look for.
    """
    gain, rows = 1.0, 0
    with torch.no_grad():
        for i, (key, value) in enumerate(model.state_dict().items()):
            if value.dim() > 1:
                rows = len(value)
                gain = GAIN if rows > len(TAG_NAMES) else 1.0
            spread = gain if len(value.reshape(-1)) == rows or value.dim() > 1 else 1.0
            value.copy_(_formula(i, key.rpartition(".")[2], tuple(value.shape), spread))


def _formula(position: int, last_name: str, shape: tuple[int, ...], spread: float) -> Tensor:
    draw = np.random.RandomState(position)
    if last_name in ("num_batches_tracked", "running_mean"):
        return torch.zeros(shape)
    if last_name == "running_var":
        return torch.full(shape, spread**2)
    if len(shape) > 1:
        values = spread * draw.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    elif last_name == "weight":
        values = 1 + 0.1 * draw.uniform(-1, 1, shape)
    else:
        values = 0.05 * draw.standard_normal(shape)
    return torch.from_numpy(values.astype(np.float32))


def copies(groups: Iterable[Iterable[Tensor]]) -> list[list[Tensor]]:
    """Detached copies of the parameters of each group, to be given to `group_sums` after training."""
    return [[p.detach().clone() for p in group] for group in groups]


def group_sums(before: list[list[Tensor]], groups: Iterable[Iterable[Tensor]]) -> list[dict[str, float]]:
    """What became of each group of parameters, added up in float64.

    Returns:
        For each group: `sum` of the values and `size`, the sum of their absolute values; `growth`, the change of `size`, to
        which weight decay adds up while the steps of the optimizer mostly cancel; and `path`, the sum of the absolute changes.
    """
    sums = []
    for old_group, group in zip(before, groups, strict=True):
        totals = dict.fromkeys(("sum", "size", "growth", "path"), 0.0)
        for old, new in zip((t.double() for t in old_group), (t.detach().double() for t in group), strict=True):
            totals["sum"] += float(new.sum())
            totals["size"] += float(new.abs().sum())
            totals["growth"] += float((new.abs() - old.abs()).sum())
            totals["path"] += float((new - old).abs().sum())
        sums.append(totals)
    return sums


def statistics_checksum(model: nn.Module) -> list[float]:
    """[sum of all running means, sum of all running variances] of a model, added in float64."""
    totals = {"running_mean": 0.0, "running_var": 0.0}
    for key, value in model.state_dict().items():
        name = key.rpartition(".")[2]
        if name in totals:
            totals[name] += float(value.double().sum())
    return list(totals.values())
