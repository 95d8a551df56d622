"""Small learners over made-up batches, in fractions of a second."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.metrics.single_label import accuracy, error_rate
from sightline.target import MultiLabel, Regression, SingleLabel, Target
from sightline.train.events import Callback
from sightline.train.learner import Learner


def network(k: int = 3) -> nn.Module:
    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(body, nn.Sequential(nn.Dropout(0.2), nn.Linear(4, k)))


def two_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    return [list(part.parameters()) for part in model.children()]


def batches(sizes: list[int], target: Target, seed: int = 0) -> list[tuple[torch.Tensor, torch.Tensor]]:
    made = torch.Generator().manual_seed(seed)
    rows = []
    for size in sizes:
        image = torch.rand(size, 3, 8, 8, generator=made)
        if isinstance(target, SingleLabel):
            label = (image.mean((2, 3)).argmax(1)) % target.num_outputs
        elif isinstance(target, MultiLabel):
            label = (image.mean((2, 3)) > 0.5).float()
        else:
            label = image.mean((1, 2, 3))
        rows.append((image, label))
    return rows


SINGLE = SingleLabel.learn(["a", "b", "c"])
MULTI = MultiLabel.learn([["a"], ["b"], ["c"]])
NUMBERS = Regression()


def learner(sizes: tuple[int, ...] = (6, 6, 6, 4), target: Target = SINGLE, model: nn.Module | None = None, **options: Any):
    torch.manual_seed(0)
    metrics = options.pop("metrics", [error_rate, accuracy] if target is SINGLE else None)
    dls = DataLoaders(batches(list(sizes), target), batches([5, 4], target, seed=1), target=target)
    model = network(target.num_outputs) if model is None else model
    return Learner(dls, model, splitter=two_groups, metrics=metrics, **options)


def quiet(learn: Learner, method: str = "fit", *args: Any, **kwargs: Any) -> Learner:
    with learn.no_logging():
        getattr(learn, method)(*args, **kwargs)
    return learn


def weights_of(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class Pretend(Callback):
    """Replaces a column of the table by given values, epoch by epoch, before callbacks that follow it."""

    order = 10
    remove_on_fetch = True

    def __init__(self, values: list[float], column: str = "valid_loss") -> None:
        self.values, self.column, self.seen = list(values), column, 0

    def after_epoch(self) -> None:
        row = self.recorder.epoch_row
        if row is None:
            return  # a skipped epoch
        value = self.values[self.seen]
        self.seen += 1
        if self.column in row:
            row[self.column] = value
        else:
            row["metrics"][self.column] = value
