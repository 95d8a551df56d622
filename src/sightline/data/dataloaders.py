"""DataLoaders: the loaders of all parts with what a learner needs to know of them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from sightline.data.checking.checks import check_pictures
from sightline.data.checking.findings import DataCheck
from sightline.data.checking.folders import empty_beside
from sightline.data.loading.any_loader import AnyLoader, LoaderOptions, settled
from sightline.data.loading.batch import Batch
from sightline.data.loading.foreign import ForeignLoader
from sightline.data.loading.loaders import Loader
from sightline.data.loading.samples import Part
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.rows.collect import Recipe
from sightline.data.rows.enough import check_training
from sightline.data.rows.getters import Pipeline
from sightline.data.rows.sources import as_items
from sightline.data.rows.table import Table
from sightline.data.rows.weights import training_weights
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.measure import measured
from sightline.errors import OptionError, did_you_mean
from sightline.preprocess import Preprocess
from sightline.runtime import plan_runtime
from sightline.target import Target

_EVENTS = ("after_item", "after_batch")
_PARTS: dict[Any, int] = {"train": 0, "valid": 1}
_TRAINING_ONLY = ("shuffle", "drop_last", "weights", "partial_n")
_TEST_OPTIONS = ("bs", "num_workers", "shuffle", "drop_last", "seed", "warn")


class DataLoaders:
    """Training and validation batches, and all that follows from the labels.

    Usually made by `ImageDataLoaders` or a `DataBlock`. Made by hand, it takes any batches that can be gone through again and
    again: `DataLoaders(train, valid, target=SingleLabel(Vocab(["cat", "dog"])))`, where train and valid are torch
    DataLoaders or lists of `(image, target)`.

    Attributes:
        loaders: The loaders: training, validation, further parts.
        target: What the labels are.
        table: The rows behind the loaders; None where the user brought batches.
        path: The folder that a learner writes below.
    """

    def __init__(
        self,
        *loaders: Any,
        target: Target | None = None,
        preprocess: Preprocess | None = None,
        table: Table | None = None,
        recipe: Recipe | None = None,
        path: str | Path = ".",
        device: str | torch.device | None = None,
    ) -> None:
        """Puts loaders together.

        Args:
            loaders: Training and validation, then further ones: `Loader`s, or any re-iterable batches.
            target: What the labels are; None takes it from the training loader, if that is a `Loader`.
            preprocess: How pictures were prepared, where loaders are the user's own; needed to predict from pictures.
            table: The rows behind the loaders.
            recipe: How items become rows, for `test_dl`.
            path: The folder that a learner writes below.
            device: Where batches are made; None keeps a `Loader`'s own, and plans one for others.

        Raises:
            OptionError: Fewer than two loaders, one that cannot be gone through twice, or no target.
        """
        if len(loaders) < 2:
            raise OptionError(
                f"DataLoaders was given {len(loaders)} loader(s). Expected training and validation: DataLoaders(train, valid)."
            )
        first = loaders[0]
        found = first.device if device is None and isinstance(first, AnyLoader) else plan_runtime(device).device
        self.loaders: list[AnyLoader] = [
            loader if isinstance(loader, AnyLoader) else ForeignLoader(loader, found) for loader in loaders
        ]
        learned = target or (first.part.target if isinstance(first, Loader) else None)
        if learned is None:
            raise OptionError(
                "The labels' kind is not known. Pass target=, such as SingleLabel(Vocab(['cat', 'dog'])), "
                "MultiLabel(Vocab([...])) or Regression(1) of sightline.target."
            )
        self.target: Target = learned
        self.table = table
        self.path = Path(path)
        self._recipe = recipe
        self._preprocess = preprocess
        if device is not None:
            self.to(found)

    def __getitem__(self, position: int) -> AnyLoader:
        return self.loaders[position]

    def __len__(self) -> int:
        return len(self.loaders)

    @property
    def train(self) -> AnyLoader:
        """The training loader."""
        return self.loaders[0]

    @property
    def valid(self) -> AnyLoader:
        """The validation loader."""
        return self.loaders[1]

    @property
    def train_ds(self) -> Part:
        """The training rows, one by one: `len()`, and `[i]` for (picture, encoded label)."""
        return self._loader(0).part

    @property
    def valid_ds(self) -> Part:
        """The validation rows, one by one."""
        return self._loader(1).part

    @property
    def vocab(self) -> Any:
        """The names of the classes, in the order of the outputs; None where labels are numbers."""
        return self.target.vocab

    @property
    def c(self) -> int:
        """Number of outputs that a network needs."""
        return self.target.num_outputs

    @property
    def bs(self) -> int:
        """Pictures in a training batch."""
        return self.train.bs

    @property
    def device(self) -> torch.device:
        """Where batches are made."""
        return self.train.device

    @property
    def seed(self) -> int:
        """What order and augmentation follow from; 0 where loaders are the user's own."""
        return self.train.options.seed if isinstance(self.train, Loader) else 0

    @property
    def pipeline(self) -> EvaluationPipeline:
        """How validation prepares pictures; prediction takes the same.

        Raises:
            OptionError: The loaders are the user's own, and `preprocess` was not given.
        """
        loader = self.valid
        samples = loader.part.samples if isinstance(loader, Loader) else None
        items = getattr(samples, "items", None)
        if isinstance(loader, Loader) and items is not None:
            return EvaluationPipeline(items, loader.batches)
        if self._preprocess is not None:
            return EvaluationPipeline.from_preprocess(self._preprocess)
        raise OptionError(
            "These loaders were given ready-made batches, so how a picture becomes one is not known. To predict from pictures, "
            "say it with DataLoaders(..., preprocess=Preprocess(...)), or make the data with a DataBlock or ImageDataLoaders."
        )

    @property
    def preprocess(self) -> Preprocess | None:
        """How validation prepares pictures, as a value; None where batches are ready-made and it was not said."""
        return self.pipeline.preprocess if isinstance(self.valid, Loader) else self._preprocess

    @property
    def normalizes(self) -> bool:
        """Whether pictures are normalised; ready-made batches are taken to be."""
        return self.valid.batches.normalizes if isinstance(self.valid, Loader) else True

    @property
    def set_aside(self) -> dict[str, str]:
        """Pictures that could not be read, with the reason, by path."""
        found: dict[str, str] = {}
        if self.table is not None:
            found.update({self._called(row): reason for row, reason in self.table.set_aside.items()})
        for loader in self.loaders:
            found.update({self._called(row): reason for row, reason in loader.set_aside.items()})
        return found

    @property
    def items(self) -> Any:
        """What the training pictures are made of; see `Part.items`."""
        return self._loader(0).items

    @property
    def dataset(self) -> Part:
        """The training rows, one by one."""
        return self.train_ds

    @property
    def num_workers(self) -> int:
        """Threads that decode training pictures."""
        return self._loader(0).num_workers

    @property
    def reading(self) -> str:
        """How pictures are read, and why so, as a sentence."""
        ours = [loader for loader in self.loaders if isinstance(loader, Loader)]
        if not ours or ours[0] is not self.train:
            return "ready-made batches of your own"
        return ours[0].reads.sentence(ours[0].num_workers, sum(loader.reads.bytes for loader in ours))

    @property
    def after_item(self) -> Pipeline:
        """The transforms of one training picture, see `Loader.after_item`."""
        return self._loader(0).after_item

    @property
    def after_batch(self) -> Pipeline:
        """The transforms of a training batch, see `Loader.after_batch`."""
        return self._loader(0).after_batch

    @property
    def loss_func(self) -> Callable[[Tensor, Tensor], Tensor]:
        """The loss that the labels decide, of logits and encoded labels, averaged over pictures; a learner may use another."""

        def loss(logits: Tensor, targets: Tensor) -> Tensor:
            return self.target.loss(logits, targets).mean()

        return loss

    @property
    def n(self) -> int:
        """Number of training pictures."""
        return self.train.n

    @property
    def drop_last(self) -> bool:
        """Whether a last training batch that is not full is left out."""
        return self._loader(0).drop_last

    @property
    def n_inp(self) -> int:
        """1: a batch holds one input, the pictures."""
        return 1

    def one_batch(self) -> Batch:
        """The first training batch: `x, y = dls.one_batch()`."""
        return self.train.one_batch()

    def show_batch(self, b: Any = None, max_n: int = 9, **options: Any) -> Any:
        """A figure of training pictures with their labels, other ones at each call; see `show.show_batch`."""
        return self._loader(0).show_batch(b, max_n, **options)

    def check(self, *, near: bool = True, workers: int | None = None) -> DataCheck:
        """Looks at every picture, its label and its part before they cost an epoch, and says what is wrong with them.

        Args:
            near: Also look for pictures that are the same to the eye, see `check_pictures`.
            workers: Threads that read; None goes by the CPUs.

        Raises:
            OptionError: The loaders are the user's own, so there is no table to check.
        """
        if self.table is None:
            raise OptionError("These loaders were given ready-made batches. check_pictures(files, labels, parts) checks files.")
        size = None if self.preprocess is None else self.preprocess.size
        return check_pictures(
            self.table,
            size=None if size is None else min(size),
            near=near,
            read=self.pipeline.item.read,
            workers=workers,
            further=empty_beside(self.table),
        )

    def decode(self, b: Any) -> tuple[Tensor, ...]:
        """A batch with its colours restored, see `Loader.decode`."""
        return self._loader(0).decode(b)

    def decode_batch(self, b: Any, max_n: int = 9, full: bool = True) -> list[tuple[Any, ...]]:
        """The first pictures of a batch, each with its label in words, see `Loader.decode_batch`."""
        return self._loader(0).decode_batch(b, max_n, full)

    def add_tfms(self, tfms: Any, event: str, loaders: Any = None) -> None:
        """Adds transforms to these loaders, which are changed.

        Args:
            tfms: One transform or a list of them.
            event: 'after_item' for transforms of one picture, 'after_batch' for those of whole batches.
            loaders: Numbers, or 'train' and 'valid'; None adds to all.

        Raises:
            OptionError: The event or a loader is not known, or something is no such transform.
        """
        if event not in _EVENTS:
            raise OptionError(
                f"event={event!r} is not one of {', '.join(map(repr, _EVENTS))}. {did_you_mean(event, _EVENTS)}".rstrip()
            )
        wanted = range(len(self.loaders)) if loaders is None else loaders if isinstance(loaders, list | tuple) else [loaders]
        for given in wanted:
            if given not in _PARTS and not isinstance(given, int):
                raise OptionError(f"loaders holds {given!r}. Expected numbers of loaders, or 'train' and 'valid'.")
            loader = self._loader(_PARTS.get(given, given))
            if event == "after_item":
                loader.add_item_tfms(tfms)
            else:
                loader.batches = BatchPipeline([*loader.batches.transforms, tfms])
        all_loaders = [self._loader(position) for position in range(len(self))]
        for loader, known in zip(all_loaders, measured(all_loaders), strict=True):
            loader.batches = known.batches

    def evaluation(self, ds_idx: int = 1) -> AnyLoader:
        """A part in its own order, unaugmented and whole.

        Args:
            ds_idx: 0 for training, 1 for validation, further numbers for further parts.

        Raises:
            OptionError: There is no such part.
        """
        if not 0 <= ds_idx < len(self.loaders):
            raise OptionError(f"ds_idx={ds_idx}: there are {len(self.loaders)} parts, 0 (training) to {len(self.loaders) - 1}.")
        loader = self.loaders[ds_idx]
        if ds_idx or not isinstance(loader, Loader):
            return loader
        return loader.new(shuffle=False, training=False, drop_last=False, partial_n=None, bs=self.valid.bs)

    def test_dl(
        self,
        test_items: Any,
        rm_type_tfms: int | None = None,
        with_labels: bool = False,
        device: str | torch.device | None = None,
        *,
        bs: int | None = None,
        num_workers: int | None = None,
        **options: Any,
    ) -> Loader:
        """Batches of other pictures, prepared as for validation; `Batch.index` is the position in `test_items`.

        Args:
            test_items: Paths, PIL images, arrays; or rows like those that the loaders were made from; or a folder.
            rm_type_tfms: Has no meaning; fastai has it here.
            with_labels: Also give targets, read from the items as in training.
            device: Where batches are made; None takes that of training.
            bs: Pictures a batch; None takes validation's.
            num_workers: Threads that decode; None takes validation's.
            options: As for `Loader.new`: shuffle, drop_last, ...

        Raises:
            OptionError: An option is not known, or the loaders are the user's own and `preprocess` was not given.
            LabelError: Labels are blank or unknown.
        """
        items = as_items(test_items)
        if num_workers is None and isinstance(self.valid, Loader):
            num_workers = self.valid.options.num_workers
        options = settled({"bs": bs or self.valid.bs} | options, _TEST_OPTIONS, "test_dl")
        place = self.device if device is None else plan_runtime(device).device
        sources = items if self._recipe is None else self._recipe.sources(items)
        loader = self.pipeline.loader(sources, num_workers=num_workers, device=place).new(**options)
        if hasattr(items, "iloc"):
            loader = loader.new(part=replace(loader.part, frame=items))
        if not with_labels:
            return loader
        if self._recipe is None:
            raise OptionError(
                "with_labels=True needs to know how labels are read. Make the data with a DataBlock or ImageDataLoaders."
            )
        labels = self._recipe.labels(items, loader.part.samples.name, range(len(items)))
        return loader.new(part=replace(loader.part, targets=self.target.encode(labels), target=self.target))

    def with_stats(self, mean: tuple[float, ...], std: tuple[float, ...]) -> DataLoaders:
        """A copy that normalises with these figures; loaders with ready-made batches stay as they are."""
        return self._copy(
            [
                loader.new(batches=loader.batches.with_stats(mean, std)) if isinstance(loader, Loader) else loader
                for loader in self.loaders
            ]
        )

    def new(self, *, bs: int | None = None, val_bs: int | None = None, **changes: Any) -> DataLoaders:
        """A copy with other options; `shuffle`, `drop_last`, `weights` and `partial_n` concern training alone.

        See `LoaderOptions`; `dls.train.new(...)` and `dls.valid.new(...)` give one loader with other options.
        """
        changes = settled(changes, [*(field.name for field in fields(LoaderOptions)), "val_bs", "device"], "A loader")
        bs = changes.pop("bs", bs)
        training_only = {name: changes.pop(name) for name in _TRAINING_ONLY if name in changes}
        first, *others = (self._loader(position) for position in range(len(self.loaders)))
        first_bs, other_bs = bs or first.bs, val_bs or bs
        train = first.new(bs=first_bs, **training_only, **changes)
        check_training(train)
        return self._copy([
            train,
            *(loader.new(bs=other_bs or loader.bs, **changes) for loader in others),
        ])  # fmt: skip

    def weighted_dataloaders(self, wgts: Any, bs: int | None = None, **changes: Any) -> DataLoaders:
        """A copy whose training rows are drawn with replacement, as often as their weights say.

        Args:
            wgts: A weight for each training row, or for each row of `table`; `balanced_weights(dls)` makes some.
            bs: Pictures in a batch; None keeps it.
            changes: As for `new`.

        Raises:
            OptionError: There are not as many weights as rows, or they are negative, not finite or all zero.
        """
        weights = training_weights(wgts, self.table, self.train.n)
        return self.new(bs=bs, **({"shuffle": True} | changes), weights=weights)

    def partial_dataloaders(self, partial_n: int, bs: int | None = None, **changes: Any) -> DataLoaders:
        """A copy whose training passes hold `partial_n` rows, other ones each epoch; further options as for `new`."""
        return self.new(bs=bs, partial_n=partial_n, **changes)

    @classmethod
    def from_dblock(cls, dblock: Any, source: Any, path: str | Path = ".", *args: Any, **options: Any) -> DataLoaders:
        """From a DataBlock and what it reads; the same as `dblock.dataloaders(source, path, ...)`."""
        made: DataLoaders = dblock.dataloaders(source, path, False, *args, **options)
        return made

    def to(self, device: str | torch.device) -> Self:
        """Makes batches on another device from now on; returns itself."""
        found = plan_runtime(device).device
        for loader in self.loaders:
            loader.device = found
        return self

    def cpu(self) -> Self:
        """Makes batches on the CPU from now on; returns itself."""
        return self.to("cpu")

    def cuda(self) -> Self:
        """Makes batches on the GPU from now on; returns itself."""
        return self.to("cuda")

    def __repr__(self) -> str:
        sizes = ", ".join(f"{loader.n:,} pictures in {len(loader):,} batches of {loader.bs}" for loader in self.loaders)
        return f"DataLoaders({sizes}; {self.target.kind}, {self.c} outputs; {self.device})"

    def _copy(self, loaders: list[AnyLoader]) -> DataLoaders:
        twin = copy.copy(self)
        twin.loaders = loaders
        return twin

    def _loader(self, position: int) -> Loader:
        loader = self.loaders[position]
        if not isinstance(loader, Loader):
            raise OptionError(
                f"Loader {position} holds ready-made batches ({type(loader).__name__}), which this cannot be done with. "
                "Make the data with a DataBlock or ImageDataLoaders."
            )
        return loader

    def _called(self, row: int) -> str:
        source = None if self.table is None else self.table.sources[row]
        return str(source) if isinstance(source, (str, Path)) else f"picture {row}"
