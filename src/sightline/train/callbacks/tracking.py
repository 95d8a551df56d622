"""Tracking: what TensorBoard, Weights & Biases and MLflow have in common: what is told of a run, and when."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar

from sightline.data.loading.batch import Batch
from sightline.data.showing.show import denormalized, grid, label_text
from sightline.errors import MissingExtraError, name_of
from sightline.metrics.gathering import named_metrics
from sightline.record import Row
from sightline.train.callbacks.core import PerRun

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.train.learner import Learner

Facts = dict[str, Any]


class TrackingCallback(PerRun, ABC):
    """Base of callbacks that tell a tracker of experiments how a run goes.

    Steps are counted through all phases of a run. They are told when the recorder has read their losses, so that nothing waits
    for a GPU in every step; an epoch's figures come after all of its steps.

    Attributes:
        done: Steps of this run's finished phases.
    """

    order: ClassVar[int] = 51
    remove_on_fetch: ClassVar[bool] = True
    resumes: ClassVar[tuple[str, ...]] = ("done",)
    done: int = 0

    def __init__(self) -> None:
        self._told, self._ended, self._open = 0, False, False

    def state_dict(self) -> dict[str, Any]:
        # In the middle of a fit, its steps so far are done as well: a fit that goes on counts from 0 again.
        return {**super().state_dict(), "done": self.now if self._open else self.done}

    @abstractmethod
    def begin(self, *, first: bool) -> None:
        """A fit begins, the first of its run or a later one."""

    @abstractmethod
    def tell(self, figures: dict[str, Any], step: int) -> None:
        """Figures of one step, or of the epoch that ended with it."""

    @abstractmethod
    def end(self, *, well: bool, last: bool) -> None:
        """A fit ended: well or by an error, as the last of its run or not."""

    def before_fit(self) -> None:
        """Begin."""
        first = self.begins_run()
        self.done = 0 if first else self.done
        self._told, self._ended = len(self.recorder.record.rows), False
        self.begin(first=first)
        self._open = True

    def after_batch(self) -> None:
        """Tell the steps that were read."""
        if self.training:
            self._tell_steps()

    def after_epoch(self) -> None:
        """Tell the epoch's figures."""
        self._tell_steps()
        row = self.recorder.epoch_row
        if row is not None:
            names = [name for name in self.recorder.metric_names if name not in {"epoch", "time"}]
            values = dict(zip(names, self.recorder.values[-1], strict=True))
            values |= {"epoch": self.epoch + 1.0, "images_per_second": row["images_per_second"]}
            self.tell({name: value for name, value in values.items() if value is not None and name != "train_loss"}, self.now)

    def after_fit(self) -> None:
        """The fit ended as it should."""
        self._tell_steps()
        self._ended = True

    def close(self) -> None:
        """End."""
        if self._open:
            self._open = False
            self.done = self.now
            self.end(well=self._ended, last=self.learn.is_last_phase)

    @property
    def now(self) -> int:
        """The number of the present step in the run."""
        return self.done + self.train_iter

    def _tell_steps(self) -> None:
        rows = self.recorder.record.rows
        for row in rows[self._told :]:
            if row["kind"] == "step":
                self.tell(_figures(row), self.done + row["step"])
        self._told = len(rows)


class Examples:
    """Some validation pictures with what the network says about them.

    Attributes:
        pixels: float32 `(N, H, W, C)` in 0..1.
        truths: The right labels in words.
        predictions: What is predicted, in words.
    """

    def __init__(self, learn: Learner, count: int, loader: Any = None) -> None:
        """Predict for the first `count` pictures of a loader, that of validation where none is given."""
        loader = learn.dls.valid if loader is None else loader
        whole = loader.one_batch()
        target = None if whole.target is None else whole.target[:count]
        batch = Batch(whole.image[:count], target, whole.index[:count])
        image, decided = batch.image, learn.get_preds(dl=[batch], with_decoded=True, reorder=False)[2]
        self.pixels = denormalized(image, getattr(loader, "stats", None))
        self.truths = [label_text(learn.target, None if target is None else target[i]) for i in range(len(image))]
        self.predictions = [label_text(learn.target, one) for one in decided]

    def figure(self) -> Figure:
        """The pictures, each under its right label and its prediction."""
        return grid(self.pixels, [f"{true}\n{said}" for true, said in zip(self.truths, self.predictions, strict=True)])


def needed(module: str, extra: str, who: str) -> Any:
    """A module of an optional package.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f'{who} needs a package that is not installed: {error}. pip install "sightline[{extra}]"'
        ) from None


def settings(learn: Learner) -> Facts:
    """What a learner was made of, as plain values."""
    spec, train = learn.spec, learn.dls.train
    hypers = {} if learn.opt is None else learn.opt.hypers[-1]
    return {
        "arch": type(learn.model).__name__ if spec is None else spec.arch,
        "model parameters": sum(parameter.numel() for parameter in learn.model.parameters()),
        "loss": learn.objective.name,
        "optimizer": name_of(learn.opt_func),
        "metrics": ", ".join(name for name, _ in named_metrics(learn.metrics)),
        "batch size": train.bs,
        "batch per epoch": len(train),
        "training pictures": train.n,
        "validation pictures": learn.dls.valid.n,
        "device": str(learn.runtime.device),
        "precision": str(learn.runtime.precision),
        "callbacks": ", ".join(type(cb).__name__ for cb in learn.cbs),
        **{name: value for name, value in hypers.items() if name not in {"lr", "mom"}},
    }


def phase_settings(learn: Learner) -> Facts:
    """What the fit that begins is told to do, as plain values, each named after its phase."""
    rates = [] if learn.opt is None else [hyper["lr"] for hyper in learn.opt.hypers]
    facts = {"epochs": learn.n_epoch, "frozen to": learn.frozen_to, "lr": ", ".join(f"{rate:.4g}" for rate in rates)}
    return {f"{learn.phase_name} {name}": value for name, value in facts.items()}


def _figures(row: Row) -> dict[str, float]:
    hypers = {f"{name}_{i}": value for name in ("lr", "mom") for i, value in enumerate(row[name])}
    return {"train_loss": row["smooth_loss"], "raw_loss": row["loss"], **hypers}
