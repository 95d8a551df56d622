"""What `sightline train` does: pictures -> learner -> fine-tuning -> run folder."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from typing import Any, ClassVar

from sightline.atomic import write_text
from sightline.cells import csv_line
from sightline.cli.beforehand import refuse_table_options
from sightline.cli.facts import facts_of
from sightline.cli.labelled import read_table, split_folders
from sightline.cli.runs import Run, open_run
from sightline.cli.settings import TrainSettings
from sightline.data.blocks import MultiCategoryBlock, RegressionBlock
from sightline.data.checking.checks import BRIEF_SECONDS, check_briefly
from sightline.data.dataloaders import DataLoaders
from sightline.data.factories import ImageDataLoaders
from sightline.data.pictures.contents import hashes_within
from sightline.data.rows.split_content import ContentSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.items import Resize
from sightline.errors import SightlineWarning, counted, listed
from sightline.escaping import for_terminal
from sightline.metrics.defaults import default_metrics
from sightline.runtime import set_seed
from sightline.train.callbacks.profile import ProfileCallback
from sightline.train.events import Callback
from sightline.train.learner import Learner
from sightline.train.progress import Display, LogDisplay, choose_display
from sightline.train.resuming.folder import CheckpointFolder
from sightline.train.resuming.keeping import Checkpoint
from sightline.train.vision import vision_learner

DEFAULT_VALID = 0.2


def run_training(settings: TrainSettings, name: str | None = None, like: Path | None = None) -> tuple[Path, Learner]:
    """Train as the settings say, telling what happens on the screen and in the run folder.

    Args:
        settings: What to do.
        name: What the run is called; None takes the name of the data folder.
        like: The folder of a run that this one does again.

    Returns:
        The run folder, and the learner.

    Raises:
        SightlineError: Data, options or weights cannot be used; before anything was trained, unless it says otherwise.
        KeyboardInterrupt: It was stopped; what was reached lies in the run folder.
        SystemExit: The same, by SIGTERM.
    """
    with open_run(settings.out, name or settings.data.resolve().name, settings.to_json()) as run:
        run.note(seed=settings.seed)
        set_seed(settings.seed, reproducible=settings.deterministic)
        dls = load_pictures(settings)
        learn = make_learner(settings, dls)
        schedule = schedule_of(settings)
        plan = learn.plan(**schedule)
        before = run.facts.get("data", {}) if like is None else facts_of(like).get("data", {})
        run.note(plan=str(plan), data={**_data_facts(dls), "contents": _contents(dls)})
        if isinstance(before, dict) and before:
            _compare(run, before, "when this run began" if like is None else f"in {like}")
        run.say(str(plan))
        _check_data(run, dls)
        run.say()
        learn.progress.display_of = lambda: _Displays([choose_display(), LogDisplay(run.log)])
        learn.add_cb(_KeepRun(run))
        if settings.profile:
            learn.add_cb(ProfileCallback(run.path.absolute() / "trace.json"))
        try:
            learn.fine_tune(**schedule, checkpoint=Checkpoint(run.checkpoints, settings.save_minutes, settings.save_steps))
        except (KeyboardInterrupt, SystemExit):
            _say_what_is_left(run, learn)
            raise
        if not run.model_path.exists():
            learn.export(run.model_path)
        _say_result(run, learn)
        CheckpointFolder(run.checkpoints).clear()
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
    if settings.table.labels is not None:
        return _from_table(settings, options)
    refuse_table_options(settings.table)
    folders = split_folders(settings.data)
    if folders is not None and settings.splits:
        warnings.warn(
            f"The folders {listed(folders)} are not taken for parts: --valid, --test and --folds split all pictures anew. "
            "Leave them out to keep the folders' split.",
            SightlineWarning,
            stacklevel=2,
        )
        folders = None
    if folders is not None:
        return ImageDataLoaders.from_folder(settings.data, train=folders[0], valid=folders[1], **options)
    return ImageDataLoaders.from_folder(settings.data, splitter=_splitter(settings), **options)


def _splitter(settings: TrainSettings, group: str | None = None) -> ContentSplitter:
    share = DEFAULT_VALID if settings.valid is None else settings.valid
    return ContentSplitter(share, settings.test, seed=settings.seed, group=group, k=settings.folds, fold=settings.fold)


def _from_table(settings: TrainSettings, options: dict[str, Any]) -> DataLoaders:
    table = read_table(settings.table, settings.data)
    numbers = settings.table.regression or (settings.table.label_delim is None and table.holds_fractions)
    several = settings.table.label_delim is not None or len(table.label_cols) > 1
    by_column = table.valid_col is not None and not settings.splits
    return ImageDataLoaders.from_df(
        table.frame,
        settings.data,
        splitter=None if by_column else _splitter(settings, table.group_col),
        fn_col=table.fn_col,
        folder=table.folder,
        suff=table.suffix,
        label_col=table.label_cols[0] if len(table.label_cols) == 1 else list(table.label_cols),
        label_delim=settings.table.label_delim,
        y_block=RegressionBlock() if numbers else MultiCategoryBlock() if several else None,
        valid_col=table.valid_col if by_column else None,
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
        "fingerprint": "" if dls.table is None else dls.table.fingerprint(),
        "training": dls.train.n,
        "validation": dls.valid.n,
        "target": dls.target.to_json(),
        "counts": {part: {str(label): count for label, count in counts.items()} for part, counts in parts.items()},
        "unreadable": dls.set_aside,
    }


def _contents(dls: DataLoaders) -> str | None:
    """32 letters that follow from the content of all files; None where there are too many to read them now."""
    if dls.table is None:
        return None
    hashes, unread = hashes_within(BRIEF_SECONDS, dls.table.sources)
    return None if unread else hashlib.blake2b(b"".join(one or b"-" for one in hashes), digest_size=16).hexdigest()


def _final(learn: Learner) -> dict[str, Any]:
    rows = learn.recorder.record.of("epoch")
    if not rows:
        return {}
    last = rows[-1]
    return {"train_loss": last["train_loss"], "valid_loss": last["valid_loss"], **last["metrics"]}


def _compare(run: Run, before: dict[str, Any], where: str) -> None:
    """Say where the data is not that of an earlier run."""
    here = run.facts["data"]
    # Contents that were too many to be read in time say nothing.
    known = [name for name in ("fingerprint", "contents") if before.get(name) and here[name]]
    if any(before[name] != here[name] for name in known):
        told = f"{before.get('training')} and {before.get('validation')} pictures there"
        warnings.warn(
            f"The data is not what it was {where}: {told}, {here['training']} and {here['validation']} here, or other pictures "
            "of the same names, other labels or another split. What comes out will differ.",
            SightlineWarning,
            stacklevel=2,
        )


def _check_data(run: Run, dls: DataLoaders) -> None:
    """What a quick look at the data finds, before it costs an epoch."""
    for line in check_briefly(dls.table) if dls.table is not None else []:
        run.say(line)


def _say_result(run: Run, learn: Learner) -> None:
    final = {**_final(learn), **_tested(learn)}
    seconds = sum(row["seconds"] for row in learn.recorder.record.of("epoch"))
    run.note(final=final, seconds=round(seconds, 1), data={**run.facts["data"], **_data_facts(learn.dls)})
    figures = ", ".join(f"{name} {value:.4f}" for name, value in final.items() if value is not None)
    took = f"{seconds // 60:.0f} min {seconds % 60:.0f} s" if seconds >= 60 else f"{seconds:.1f} s"
    run.say(
        f"\n{counted(len(learn.recorder.record.of('epoch')), 'epoch')} in {took}: {figures or 'nothing was trained'}",
        style="bold",
    )
    _name_set_aside(run, learn.dls)
    run.say(f"{run.path} holds model.safetensors, history.csv, run.json and log.txt. To use the model:")
    run.say(f"  sightline predict {_quoted(run.model_path)} PICTURES")


def _name_set_aside(run: Run, dls: DataLoaders) -> None:
    """All pictures that could not be read, by name, where the screen showed the first ones."""
    if dls.set_aside:
        lines = (csv_line([for_terminal(file), for_terminal(reason)]) for file, reason in sorted(dls.set_aside.items()))
        write_text(run.path / "set_aside.csv", csv_line(["file", "reason"]) + "".join(lines))
        run.say(f"{counted(len(dls.set_aside), 'picture')} could not be read: set_aside.csv names each with its reason.")


def _tested(learn: Learner) -> dict[str, Any]:
    """The figures of the test part, if there is one; asked once, at the end."""
    if len(learn.dls) < 3:
        return {}
    with learn.no_bar(), learn.no_logging():
        figures = learn.validate(dl=learn.dls[2])
    return dict(
        zip([f"test_{name.removeprefix('valid_')}" for name in learn.recorder.metric_names[2:-1]], figures, strict=True)
    )


def _say_what_is_left(run: Run, learn: Learner) -> None:
    done = len(learn.recorder.record.of("epoch"))
    kept = "no epoch had ended" if not done else f"model.safetensors is that of the {counted(done, 'whole epoch')} before it"
    run.say(f"\nStopped; {kept}. To go on from here:\n  sightline resume {_quoted(run.path)}")


def _quoted(path: Path) -> str:
    text = str(path)
    return f'"{text}"' if " " in text else text
