"""What `sightline train` does: pictures -> learner -> fine-tuning -> run folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar

from sightline.atomic import write_text
from sightline.cli.beforehand import refuse_table_options
from sightline.cli.labelled import read_table, split_folders
from sightline.cli.runs import Run, open_run
from sightline.cli.settings import TrainSettings
from sightline.data.blocks import MultiCategoryBlock, RegressionBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.items import Resize
from sightline.errors import counted
from sightline.metrics.defaults import default_metrics
from sightline.runtime import set_seed
from sightline.train.callbacks.profile import ProfileCallback
from sightline.train.events import Callback
from sightline.train.learner import Learner
from sightline.train.progress import Display, LogDisplay, choose_display
from sightline.train.vision import vision_learner

DEFAULT_VALID = 0.2


def run_training(settings: TrainSettings, name: str | None = None) -> tuple[Path, Learner]:
    """Train as the settings say, telling what happens on the screen and in the run folder.

    Args:
        settings: What to do.
        name: What the run is called; None takes the name of the data folder.

    Returns:
        The run folder, and the learner.

    Raises:
        SightlineError: Data, options or weights cannot be used; before anything was trained, unless it says otherwise.
        KeyboardInterrupt: It was stopped; what was reached lies in the run folder.
    """
    with open_run(settings.out, name or settings.data.resolve().name) as run:
        run.note(options=settings.to_json(), seed=settings.seed)
        set_seed(settings.seed)
        dls = load_pictures(settings)
        learn = make_learner(settings, dls)
        schedule = schedule_of(settings)
        plan = learn.plan(**schedule)
        run.note(plan=str(plan), data=_data_facts(dls))
        run.say(str(plan))
        run.say()
        learn.progress.display_of = lambda: _Displays([choose_display(), LogDisplay(run.log)])
        learn.add_cb(_KeepRun(run))
        if settings.profile:
            learn.add_cb(ProfileCallback(run.path.absolute() / "trace.json"))
        began = time.monotonic()
        try:
            learn.fine_tune(**schedule)
        except KeyboardInterrupt:
            _say_what_is_left(run, learn)
            raise
        if not run.model_path.exists():
            learn.export(run.model_path)
        _say_result(run, learn, time.monotonic() - began)
    return run.path, learn


def load_pictures(settings: TrainSettings) -> DataLoaders:
    """The data loaders of a run.

    Raises:
        DataError: The pictures or labels cannot be used.
        OptionError: Options contradict one another.
    """
    tfms = aug_transforms(do_flip=settings.flip) if settings.augment else None
    options: dict[str, Any] = {
        "item_tfms": Resize(settings.size, method=str(settings.resize)),
        "batch_tfms": tfms,
        "bs": settings.bs,
        "device": settings.device,
        "num_workers": settings.workers,
        "cache": None if settings.cache else False,
        "on_error": str(settings.on_error),
        "seed": settings.seed,
    }
    share = DEFAULT_VALID if settings.valid is None else settings.valid
    if settings.table.labels is not None:
        return _from_table(settings, share, options)
    refuse_table_options(settings.table)
    folders = split_folders(settings.data) if settings.valid is None else None
    if folders is not None:
        return ImageDataLoaders.from_folder(settings.data, train=folders[0], valid=folders[1], **options)
    return ImageDataLoaders.from_folder(settings.data, valid_pct=share, **options)


def _from_table(settings: TrainSettings, share: float, options: dict[str, Any]) -> DataLoaders:
    table = read_table(settings.table, settings.data)
    numbers = settings.table.regression or (settings.table.label_delim is None and table.holds_fractions)
    several = settings.table.label_delim is not None or len(table.label_cols) > 1
    return ImageDataLoaders.from_df(
        table.frame,
        settings.data,
        valid_pct=share,
        fn_col=table.fn_col,
        folder=table.folder,
        suff=table.suffix,
        label_col=table.label_cols[0] if len(table.label_cols) == 1 else list(table.label_cols),
        label_delim=settings.table.label_delim,
        y_block=RegressionBlock() if numbers else MultiCategoryBlock() if several else None,
        valid_col=table.valid_col if settings.valid is None else None,
        **options,
    )


def make_learner(settings: TrainSettings, dls: DataLoaders) -> Learner:
    """The learner of a run, with the metrics that fit its labels."""
    learn = vision_learner(
        dls,
        settings.arch,
        pretrained=settings.pretrained,
        weights=settings.weights,
        metrics=default_metrics(dls.target),
    )
    return learn if settings.precision is None else learn.to_precision(settings.precision)


def schedule_of(settings: TrainSettings) -> dict[str, Any]:
    """Arguments of `fine_tune`. Random weights have no lower layers worth keeping: no frozen epochs, one rate for all."""
    freeze_epochs = settings.freeze_epochs
    if freeze_epochs is None:
        freeze_epochs = 1 if settings.pretrained else 0
    schedule = {
        "epochs": settings.epochs,
        "base_lr": settings.lr,
        "freeze_epochs": freeze_epochs,
        "frozen": str(settings.frozen),
    }
    return schedule if settings.pretrained else {**schedule, "lr_mult": 1}


class _KeepRun(Callback):
    """Writes model and history after every epoch, so that whatever stops the run leaves the last whole one."""

    order: ClassVar[int] = 90

    def __init__(self, run: Run) -> None:
        self.folder = run

    def after_epoch(self) -> None:
        record = self.learn.recorder.record
        write_text(self.folder.history_path, record.epochs_csv())
        self.learn.export(self.folder.model_path)
        self.folder.note(epochs_done=len(record.of("epoch")), final=_final(self.learn))


class _Displays:
    """Several displays that are shown the same."""

    def __init__(self, displays: list[Display]) -> None:
        self.displays = displays

    def begin(self, columns: list[str]) -> None:
        for display in self.displays:
            display.begin(columns)

    def stage(self, title: str, total: int) -> None:
        for display in self.displays:
            display.stage(title, total)

    def advance(self, done: int, note: str) -> None:
        for display in self.displays:
            display.advance(done, note)

    def row(self, values: list[str]) -> None:
        for display in self.displays:
            display.row(values)

    def note(self, text: str) -> None:
        for display in self.displays:
            display.note(text)

    def end(self) -> None:
        for display in self.displays:
            display.end()


def _data_facts(dls: DataLoaders) -> dict[str, Any]:
    parts = dls.table.counts() if dls.table is not None and dls.vocab is not None else {}
    return {
        "training": dls.train.n,
        "validation": dls.valid.n,
        "target": dls.target.to_json(),
        "counts": {part: {str(label): count for label, count in counts.items()} for part, counts in parts.items()},
        "unreadable": dls.set_aside,
    }


def _final(learn: Learner) -> dict[str, Any]:
    rows = learn.recorder.record.of("epoch")
    if not rows:
        return {}
    last = rows[-1]
    return {"train_loss": last["train_loss"], "valid_loss": last["valid_loss"], **last["metrics"]}


def _say_result(run: Run, learn: Learner, seconds: float) -> None:
    final = _final(learn)
    run.note(final=final, seconds=round(seconds, 1), data=_data_facts(learn.dls))
    figures = ", ".join(f"{name} {value:.4f}" for name, value in final.items() if value is not None)
    took = f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds >= 60 else f"{seconds:.1f} s"
    run.say(
        f"\n{counted(len(learn.recorder.record.of('epoch')), 'epoch')} in {took}: {figures or 'nothing was trained'}",
        style="bold",
    )
    run.say(f"{run.path} holds model.safetensors, history.csv, run.json and log.txt. To use the model:")
    run.say(f"  sightline predict {_quoted(run.model_path)} PICTURES")


def _say_what_is_left(run: Run, learn: Learner) -> None:
    done = len(learn.recorder.record.of("epoch"))
    if run.model_path.exists():
        kept = f"model.safetensors and history.csv hold the {counted(done, 'whole epoch')} before it"
    else:
        kept = "no epoch had ended, so there is no model yet"
    run.say(f"\nStopped by Ctrl-C: {kept}. See {run.path}.")


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text
