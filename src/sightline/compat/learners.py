"""Learners that keep their files where scripts written for fastai look for them, and learners read from such files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.model.vision import parameter_groups
from sightline.predict import Predictor
from sightline.train import learner, vision


class Learner(learner.Learner):
    """`sightline.Learner` whose exported file is `export.pkl` in `learn.path`, whatever the current folder is.

    Only the name is a pickle's: what is written is the same safe file as ever, without code.
    """

    def export(self, fname: str | Path | None = None) -> Path:
        """Write network, target and preprocessing to one file below `learn.path`; see `sightline.Learner.export`."""
        self.export_to = Path(self.path) / "export.pkl"
        return super().export(fname)


def vision_learner(dls: DataLoaders, arch: str | Callable[..., nn.Module], *args: Any, **options: Any) -> learner.Learner:
    """`sightline.vision_learner`, with the files of a `Learner` of this room."""
    return vision.vision_learner(dls, arch, *args, **options, cls=Learner)


cnn_learner = vision_learner


def load_learner(fname: str | Path, cpu: bool = True) -> Learner:
    """What `learn.export` wrote as a learner without pictures: it predicts, and trains on once it is given new `dls`.

    Args:
        fname: Path of the file. fastai's own files are pickles, which are refused: `sightline convert` takes their weights.
        cpu: Compute on the CPU, even where there is a GPU.

    Raises:
        BundleError: The file cannot be read or is no export of sightline.
    """
    read = Predictor.load(fname, device="cpu" if cpu else None)
    prepared = read.pipeline.preprocess
    dls = DataLoaders([], [], target=read.target, preprocess=prepared, path=Path(fname).parent, device=read.runtime.device)
    stats = (prepared.mean, prepared.std) if prepared.mean is not None and prepared.std is not None else None
    spec = getattr(read.model, "spec", None)
    learn = Learner(dls, read.model, splitter=parameter_groups, spec=spec, stats=stats)
    learn.runtime = read.runtime
    return learn
