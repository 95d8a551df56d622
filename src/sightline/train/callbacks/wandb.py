"""WandbCallback: a run told to Weights & Biases."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from sightline.data.loading.loaders import Loader
from sightline.errors import OptionError, TrainingError
from sightline.train.callbacks.trackers import SaveModelCallback
from sightline.train.callbacks.tracking import Examples, TrackingCallback, needed, phase_settings, settings


class WandbCallback(TrackingCallback):
    """Tells losses, rates, metrics, settings and predictions to the W&B run that `wandb.init()` began.

    Needs `pip install "sightline[wandb]"`.

    Attributes:
        offset: The W&B run's step before the first of this run.
    """

    resumes: ClassVar[tuple[str, ...]] = ("done", "offset")

    def __init__(
        self,
        log: str | None = None,
        log_preds: bool = True,
        log_preds_every_epoch: bool = False,
        log_model: bool = False,
        model_name: str | None = None,
        log_dataset: bool | str | Path = False,
        dataset_name: str | None = None,
        valid_dl: Any = None,
        n_preds: int = 36,
        seed: int = 12345,
        reorder: bool = True,
    ) -> None:
        """Say what is told.

        Args:
            log: 'gradients', 'parameters' or 'all' of the network too; None is none of them.
            log_preds: A table of validation pictures with their predictions, at the end of the run.
            log_preds_every_epoch: That table after every epoch.
            log_model: The weights as an artifact at the end of the run: those that SaveModelCallback saved last, if there are.
            model_name: What they are called; None is 'run-<id>-model'.
            log_dataset: The pictures' folder as an artifact: True is that of the data, or a path.
            dataset_name: What it is called; None is the folder's name.
            valid_dl: Where the pictures of the table come from: a loader; None draws some of the validation pictures.
            n_preds: How many pictures the table has.
            seed: Which ones.
            reorder: Nothing: rows of the table are in the loader's order.
        """
        super().__init__()
        self.log, self.log_preds, self.log_preds_every_epoch = log, log_preds, log_preds_every_epoch
        self.log_model, self.model_name = log_model, model_name
        self.log_dataset, self.dataset_name = log_dataset, dataset_name
        self.valid_dl, self.n_preds, self.seed = valid_dl, n_preds, seed
        self._wandb: Any = None
        self.offset = 0

    def begin(self, *, first: bool) -> None:
        """Tell the settings.

        Raises:
            TrainingError: `wandb.init()` was not called.
        """
        self._wandb = needed("wandb", "wandb", "WandbCallback")
        if self._wandb.run is None:
            raise TrainingError("WandbCallback: there is no W&B run. Call wandb.init(project=...) before the fit.")
        facts = (settings(self.learn) if first else {}) | phase_settings(self.learn)
        self._wandb.run.config.update(facts, allow_val_change=True)
        if first:
            self.offset = self._wandb.run.step
            if self.log is not None:
                self._wandb.run.watch(self.model, log=self.log)
            if self.log_dataset:
                self._tell_folder()

    def tell(self, figures: dict[str, Any], step: int) -> None:
        self._wandb.run.log(figures, step=self.offset + step)

    def after_epoch(self) -> None:
        super().after_epoch()
        if self.log_preds and self.log_preds_every_epoch and self.recorder.epoch_row is not None:
            self._tell_examples()

    def after_fit(self) -> None:
        super().after_fit()
        if not self.learn.is_last_phase:
            return
        if self.log_preds and not self.log_preds_every_epoch:
            self._tell_examples()

    def end(self, *, well: bool, last: bool) -> None:
        """Tell the weights, which other callbacks have saved or loaded by now."""
        if well and last and self.log_model:
            self._tell_weights()
        if last and self.log is not None:
            self._wandb.run.unwatch(self.model)

    def _tell_examples(self) -> None:
        examples = Examples(self.learn, self.n_preds, self._loader())
        table = self._wandb.Table(columns=["Input image", "Ground_Truth", "Predictions"])
        for row in zip(examples.pixels, examples.truths, examples.predictions, strict=True):
            table.add_data(self._wandb.Image(row[0]), *row[1:])
        self.tell({"Prediction_Samples": table}, self.now)

    def _loader(self) -> Any:
        """Where the pictures of the table come from."""
        valid = self.dls.valid
        if self.valid_dl is None and isinstance(valid, Loader):
            chosen = random.Random(self.seed).sample(valid.rows.tolist(), min(self.n_preds, valid.n))
            self.valid_dl = valid.new(part=valid.part.only(np.array(chosen)), bs=len(chosen), drop_last=False)
        return valid if self.valid_dl is None else self.valid_dl

    def _tell_weights(self) -> None:
        saved = next((cb.last_saved_path for cb in self.cbs if isinstance(cb, SaveModelCallback)), None)
        path = self.learn.save(self.model_name or "model", with_opt=False) if saved is None else saved
        artifact = self._wandb.Artifact(self.model_name or f"run-{self._wandb.run.id}-model", type="model")
        artifact.add_file(str(path))
        self._wandb.run.log_artifact(artifact)

    def _tell_folder(self) -> None:
        folder = Path(self.dls.path if isinstance(self.log_dataset, bool) else self.log_dataset)
        if not folder.is_dir():
            raise OptionError(f"WandbCallback(log_dataset={self.log_dataset!r}): {folder} is no folder. Give the path of one.")
        artifact = self._wandb.Artifact(self.dataset_name or folder.resolve().name, type="dataset")
        for part in sorted(folder.iterdir()):
            if part.is_dir() and part.name != str(self.model_dir):
                artifact.add_dir(str(part), name=part.name)
            elif part.is_file():
                artifact.add_file(str(part))
        self._wandb.run.use_artifact(artifact)
