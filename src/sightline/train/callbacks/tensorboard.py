"""TensorBoardCallback: a run told to TensorBoard."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sightline.data.showing.show import denormalized, label_text
from sightline.errors import SightlineWarning
from sightline.escaping import for_markdown, for_terminal
from sightline.inference import infer
from sightline.model.modes import evaluating
from sightline.train.callbacks.hooks import hook_output
from sightline.train.callbacks.tracking import Examples, Facts, TrackingCallback, needed, phase_settings, settings


class TensorBoardCallback(TrackingCallback):
    """Writes losses, rates and metrics, the network's graph and predictions for TensorBoard: `tensorboard --logdir runs`.

    Needs `pip install "sightline[tensorboard]"`.

    Attributes:
        log_dir: The folder of the last run; None before the first, unless one was given.
    """

    resumes: ClassVar[tuple[str, ...]] = ("done", "log_dir")

    def __init__(
        self,
        log_dir: str | Path | None = None,
        trace_model: bool = True,
        log_preds: bool = True,
        n_preds: int = 9,
        projector: bool = False,
        layer: nn.Module | None = None,
    ) -> None:
        """Say what is written.

        Args:
            log_dir: The folder; None is a new one in `runs` for every run.
            trace_model: The network's graph too.
            log_preds: Some validation pictures with their predictions after every epoch.
            n_preds: How many.
            projector: What `layer` gives for the validation pictures at the end of the run, to be looked at as points.
            layer: The layer; None is what the network's head starts from.
        """
        super().__init__()
        self.log_dir = None if log_dir is None else str(log_dir)
        self._given = self.log_dir
        self.trace_model, self.log_preds, self.n_preds = trace_model, log_preds, n_preds
        self.projector, self.layer = projector, layer
        self.writer: Any = None

    def begin(self, *, first: bool) -> None:
        """Open the folder."""
        make = needed("torch.utils.tensorboard", "tensorboard", "TensorBoardCallback").SummaryWriter
        self.writer = make(log_dir=self._given if first else self.log_dir)
        self.log_dir = self.writer.log_dir
        facts = (settings(self.learn) if first else {}) | phase_settings(self.learn)
        self.writer.add_text("settings", _as_list(facts), self.done)
        if first and self.trace_model:
            self._trace()

    def tell(self, figures: dict[str, Any], step: int) -> None:
        for name, value in figures.items():
            self.writer.add_scalar(name, value, step)

    def after_epoch(self) -> None:
        super().after_epoch()
        if self.log_preds and self.recorder.epoch_row is not None:
            self.writer.add_figure("Sample results", Examples(self.learn, self.n_preds).figure(), self.now)

    def after_fit(self) -> None:
        super().after_fit()
        if self.projector and self.learn.is_last_phase:
            self._project()

    def end(self, *, well: bool, last: bool) -> None:
        """Close the folder."""
        self.writer.close()
        self.writer = None

    def _trace(self) -> None:
        image = self.dls.valid.one_batch().image[:2]
        try:
            with evaluating(self.model), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self.writer.add_graph(self.model, image)
        except (RuntimeError, ValueError, TypeError) as error:
            warnings.warn(f"The network's graph cannot be traced and is left out: {error}", SightlineWarning, stacklevel=2)

    def _project(self) -> None:
        """Write what the layer gives for every validation picture."""
        vectors: list[Tensor] = []
        pictures: list[Tensor] = []
        labels: list[str] = []
        loader = self.dls.evaluation(1)
        with hook_output(self.layer or _head_start(self.model), cpu=True) as hook, evaluating(self.model):
            for batch in loader:
                infer(self.model, batch.image, self.learn.runtime)
                vectors.append(hook.stored.flatten(1))
                small = nn.functional.interpolate(batch.image, size=(32, 32), mode="area")
                pictures.append(torch.from_numpy(denormalized(small, getattr(loader, "stats", None))).permute(0, 3, 1, 2))
                targets = [None] * batch.n if batch.target is None else batch.target
                # A line a picture: a line break in a label would move all labels after it.
                labels += [for_terminal(label_text(self.learn.target, target)) for target in targets]
        self.writer.add_embedding(torch.cat(vectors), metadata=labels, label_img=torch.cat(pictures), global_step=self.now)


def _as_list(facts: Facts) -> str:
    """Settings as a list in Markdown."""
    return "\n".join(f"- {for_markdown(name)}: {for_markdown(value)}" for name, value in facts.items())


def _head_start(model: nn.Module) -> nn.Module:
    """The layer that makes one row of numbers of a picture, or else the last but one of those that hold no others."""
    leaves = [layer for layer in model.modules() if next(layer.children(), None) is None]
    return next((layer for layer in leaves if isinstance(layer, nn.Flatten)), leaves[max(len(leaves) - 2, 0)])
