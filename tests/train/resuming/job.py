"""A small job that can be killed: `python job.py DATA FOLDER [STEPS [EPOCHS]]` trains, and prints a digest of what came out."""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

import torch

from sightline import ImageDataLoaders, Resize, aug_transforms, error_rate, set_seed, vision_learner
from sightline.train.callbacks.ema import EMACallback
from sightline.train.callbacks.gradients import GradientAccumulation
from sightline.train.events import Callback
from sightline.train.learner import Learner
from sightline.train.resuming.keeping import Checkpoint

TIMED = {"seconds", "images_per_second", "memory_mib"}


def learner(data: Path, cbs: list[Callback] | None = None, **options: Any) -> Learner:
    """Random augmentation, dropout in the head, averaged weights, and steps over several batches."""
    torch.set_num_threads(1)
    set_seed(7)
    tfms = {"item_tfms": Resize(32), "batch_tfms": aug_transforms(max_rotate=20), "bs": 5}
    dls = ImageDataLoaders.from_folder(data, **{**tfms, "num_workers": 0, **options})
    cbs = [EMACallback(), GradientAccumulation(10), *(cbs or [])]
    return vision_learner(dls, "test_resnet", pretrained=False, metrics=error_rate, cbs=cbs)


def digest(learn: Learner) -> str:
    """What follows from every bit of the weights, and from the record without its times."""
    found = hashlib.sha256()
    for name, tensor in learn.model.state_dict().items():
        found.update(name.encode() + tensor.detach().contiguous().numpy().tobytes())
    rows = [{name: value for name, value in row.items() if name not in TIMED} for row in learn.recorder.record.rows]
    found.update(json.dumps(rows).encode())
    return found.hexdigest()


def run(learn: Learner, folder: Path | None, every_steps: int = 2, epochs: int = 2, **options: Any) -> str:
    """The job: two phases, of one epoch and two unless it is said otherwise."""
    how = None if folder is None else Checkpoint(folder, every_minutes=None, every_steps=every_steps)
    with learn.no_bar(), learn.no_logging():
        learn.fine_tune(epochs, 1e-2, **{"freeze_epochs": 1, **options}, checkpoint=how)
    return digest(learn)


if __name__ == "__main__":
    print(run(learner(Path(sys.argv[1])), Path(sys.argv[2]), *map(int, sys.argv[3:5])))
