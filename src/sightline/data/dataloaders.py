"""DataLoaders: the loaders of all parts with what a learner needs to know of them."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch

from sightline.data.batch import Batch
from sightline.data.collect import Recipe
from sightline.data.enough import check_training
from sightline.data.foreign import ForeignLoader
from sightline.data.loaders import Loader
from sightline.data.loading import AnyLoader
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.samples import Part
from sightline.data.sources import as_items
from sightline.data.table import Table
from sightline.errors import OptionError
from sightline.preprocess import Preprocess
from sightline.runtime import plan_runtime
from sightline.target import Target

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
        self._looks = 0
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

    def one_batch(self) -> Batch:
        """The first training batch: `x, y = dls.one_batch()`."""
        return self.train.one_batch()

    def show_batch(
        self,
        max_n: int = 9,
        nrows: int | None = None,
        ncols: int | None = None,
        figsize: tuple[float, float] | None = None,
        unique: bool = False,
    ) -> Figure:
        """A figure of training pictures with their labels, other ones at each call; see `show.show_batch`."""
        self._looks += 1
        return self._loader(0).show_batch(
            epoch=-self._looks, max_n=max_n, nrows=nrows, ncols=ncols, figsize=figsize, unique=unique
        )

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
        return loader.new(shuffle=False, training=False, drop_last=False, bs=self.valid.bs)

    def test_dl(
        self, items: Any, with_labels: bool = False, bs: int | None = None, num_workers: int | None = None, **unused: Any
    ) -> Loader:
        """Batches of other pictures, prepared as for validation; `Batch.index` is the position in `items`.

        Args:
            items: Paths, PIL images, arrays; or rows like those that the loaders were made from; or a folder.
            with_labels: Also give targets, read from the items as in training.
            bs: Pictures a batch; None takes validation's.
            num_workers: Threads that decode; None takes validation's.
            unused: fastai's further options, which have no meaning here, are refused by name.

        Raises:
            OptionError: An option is not known, or the loaders are the user's own and `preprocess` was not given.
            LabelError: Labels are blank or unknown.
        """
        if unused:
            raise OptionError(f"test_dl has no option {', '.join(map(repr, unused))}. Expected bs, num_workers or with_labels.")
        items = as_items(items)
        if num_workers is None and isinstance(self.valid, Loader):
            num_workers = self.valid.options.num_workers
        sources = items if self._recipe is None else self._recipe.sources(items)
        loader = self.pipeline.loader(sources, bs=bs or self.valid.bs, num_workers=num_workers, device=self.device)
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
        """A copy with other options; `shuffle` and `drop_last` concern training alone. See `LoaderOptions`."""
        training_only = {name: changes.pop(name) for name in ("shuffle", "drop_last") if name in changes}
        first, *others = (self._loader(position) for position in range(len(self.loaders)))
        first_bs, other_bs = bs or first.bs, val_bs or bs
        train = first.new(bs=first_bs, **training_only, **changes)
        check_training(train)
        return self._copy([
            train,
            *(loader.new(bs=other_bs or loader.bs, **changes) for loader in others),
        ])  # fmt: skip

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
