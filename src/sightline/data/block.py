"""DataBlock: a declaration of what the data is, from which a Table, a Target and loaders follow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from sightline.data.blocks import CategoryBlock, ImageBlock, TargetBlock, as_instance
from sightline.data.dataloaders import DataLoaders
from sightline.data.datasets import Datasets, plan_loading
from sightline.data.loading.samples import DecodedSamples, Part
from sightline.data.raw import raw_datasets
from sightline.data.rows.collect import Getter, Recipe, collect, label_hints
from sightline.data.rows.getters import ItemGetter, Pipeline, each_item
from sightline.data.rows.labels import Unknown, encode, refuse_emptied, say_untaught, settle_unknown
from sightline.data.rows.sources import OnError, check_sources, is_picture
from sightline.data.rows.split import RandomSplitter
from sightline.data.rows.table import TRAIN, Table
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.errors import OptionError, TableError, counted
from sightline.target import Target


class DataBlock:
    """What pictures and labels are, where they come from and what happens to them."""

    def __init__(
        self,
        blocks: Any = None,
        dl_type: None = None,
        getters: Sequence[Getter] | None = None,
        n_inp: int | None = None,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        *,
        get_items: Callable[[Any], Any] | None = None,
        splitter: Callable[[Any], Any] | None = None,
        get_x: Any = None,
        get_y: Any = None,
    ) -> None:
        """Declares the data.

        Args:
            blocks: `(ImageBlock, CategoryBlock)`, or `MultiCategoryBlock` or `RegressionBlock` in second place; bare or called.
                None is the same, but `datasets` then gives what the getters return, to look at while a block is being written.
            dl_type: Has no meaning here; it is refused.
            getters: `get_x` and `get_y` as a list.
            n_inp: Number of inputs; only 1 is possible.
            item_tfms: Transforms of one picture, such as `Resize(224)`.
            batch_tfms: Transforms of a batch, such as `aug_transforms()`.
            get_items: From the source to its items; None takes the source itself (a DataFrame's rows, a list).
            splitter: From the items to `(train, valid)` positions; None takes a random fifth for validation.
            get_x: From an item to its picture; a function, or a list of functions applied one after the other.
            get_y: From an item to its label; likewise.

        Raises:
            OptionError: Blocks or getters do not fit together.
        """
        if dl_type is not None:
            raise OptionError("dl_type has no meaning in sightline: loaders are made by DataBlock.dataloaders. Leave it out.")
        self.image, self.label = _image_and_label(blocks)
        if n_inp not in (None, 1):
            raise OptionError(f"n_inp={n_inp}: expected 1, a picture with its label.")
        first, second = _two_getters(getters)
        self.get_x = _composed(first if get_x is None else get_x, "get_x")
        labels = _composed(second if get_y is None else get_y, "get_y")
        self.is_raw = blocks is None
        if labels is None and not self.is_raw:
            raise _no_labels()
        self.get_y = labels
        self.get_items = get_items
        if isinstance(splitter, type):
            raise OptionError(f"splitter={splitter.__name__} is a class; give what it makes, such as {splitter.__name__}(...).")
        self.splitter = splitter or RandomSplitter()
        self.new(item_tfms, batch_tfms)

    @classmethod
    def from_columns(
        cls,
        blocks: Any = None,
        getters: Sequence[Getter] | None = None,
        get_items: Callable[[Any], Any] | None = None,
        **options: Any,
    ) -> DataBlock:
        """A block whose source is columns: `(pictures, labels)`, or what `get_items` makes such columns from."""

        def rows(source: Any) -> list[tuple[Any, ...]]:
            columns = [list(column) for column in (source if get_items is None else get_items(source))]
            if len({len(column) for column in columns}) > 1:
                raise TableError(f"The columns have {[len(column) for column in columns]} values. Expected as many in each.")
            return list(zip(*columns, strict=True))

        return cls(blocks=blocks, getters=getters or [ItemGetter(0), ItemGetter(1)], get_items=rows, **options)

    def new(self, item_tfms: Any = None, batch_tfms: Any = None) -> DataBlock:
        """Takes these transforms in place of those before; returns itself."""
        # Made here and thrown away, so that what is wrong with them is said before files are looked at.
        ItemPipeline(item_tfms, self.image.channels, self.image.read)
        _check_stats(BatchPipeline(batch_tfms), self.image.channels)
        self.item_tfms, self.batch_tfms = item_tfms, batch_tfms
        return self

    def table(self, source: Any, *, on_error: OnError = "set_aside", unknown: Unknown = "error") -> Table:
        """The rows that `dataloaders` would load, checked in the same way; see there."""
        return self._prepared(source, on_error, unknown)[1]

    def datasets(
        self, source: Any, verbose: bool = False, *, on_error: OnError = "set_aside", unknown: Unknown = "error"
    ) -> Any:
        """The parts of the data, one by one, without loaders.

        Returns:
            `Datasets`; where no blocks were given `RawDatasets`, which hold what the getters return.

        Raises:
            SightlineError: As for `dataloaders`.
        """
        if self.is_raw:
            items = self.items_of(source)
            return raw_datasets(items, self.get_x, self.get_y, self.splitter(items))
        return self.read_datasets(source, on_error, unknown)

    def read_datasets(self, source: Any, on_error: OnError = "set_aside", unknown: Unknown = "error") -> Datasets:
        """The parts of the data with pictures and encoded labels, also where no blocks were given; see `dataloaders`."""
        items, table, target, recipe = self._prepared(source, on_error, unknown)
        return Datasets(tuple(self._parts(items, table, target)), target, table, recipe, self.batch_tfms)

    def dataloaders(
        self,
        source: Any,
        path: str | Path = ".",
        verbose: bool = False,
        bs: int = 64,
        val_bs: int | None = None,
        shuffle: bool = True,
        *,
        val_shuffle: bool = False,
        device: str | torch.device | None = None,
        num_workers: int | None = None,
        seed: int | None = None,
        drop_last: bool | None = None,
        cache: bool | None = None,
        on_error: OnError = "set_aside",
        unknown: Unknown = "error",
        **others: Any,
    ) -> DataLoaders:
        """Loaders of what the source holds.

        Args:
            source: What `get_items` takes; without it, the items.
            path: The folder that a learner writes below.
            verbose: Has no meaning; print `dls.table` to see what was found.
            bs: Pictures in a training batch, at least 2.
            val_bs: Pictures in a validation batch; None takes `bs`.
            shuffle: Another order of the training rows each epoch.
            val_shuffle: The same for the other parts.
            device: Where batches are made; None takes a GPU if there is one.
            num_workers: Threads that decode; 0 decodes in the thread that asks, None takes one a CPU, at most 8.
            seed: What order and augmentation follow from; None draws it from PyTorch's global generator.
            drop_last: Leave out a last training batch that is not full; None does so if rows are shuffled. A training part
                smaller than one batch is one smaller batch, and a last batch of one picture is always left out.
            cache: Decode each picture once and keep its pixels on disk, for later epochs and later runs; pixels do not depend
                on it. None does so for picture files, unless there is no room; see `dls.reading`. They lie in
                `~/.cache/sightline/samples`, which may be deleted at any time. `SIGHTLINE_CACHE` names another folder, 0
                turns it off; `SIGHTLINE_CACHE_GB` bounds it, to at most 32 GB where it is not given.
            on_error: 'set_aside' leaves out pictures that cannot be read and warns; 'raise' decodes all of them beforehand
                and refuses the data if one fails.
            unknown: 'error' refuses labels that training does not have; 'drop' leaves those rows out and warns.
            others: `batch_size` for `bs`, `shuffle_train` for `shuffle`. Options of worker processes (pin_memory,
                persistent_workers, prefetch_factor, timeout, worker_init_fn) are accepted and change nothing: threads decode
                here, and memory is pinned where there is a GPU.

        Raises:
            NoImagesError: Nothing was found.
            TableError: Files or columns are missing.
            SplitError: The split is not possible.
            LabelError: Labels are blank, unknown or too few.
            ImageError: Pictures cannot be read, and `on_error` is 'raise'.
            OptionError: An option is outside what it may be.
        """
        plan = plan_loading(
            bs, val_bs, shuffle, val_shuffle, device, num_workers, seed, drop_last, cache, **others
        )  # fmt: skip
        return self.read_datasets(source, on_error, unknown).loaded(plan, path)

    def weighted_dataloaders(
        self,
        source: Any,
        wgts: Any,
        bs: int = 64,
        verbose: bool = False,
        *,
        on_error: OnError = "set_aside",
        unknown: Unknown = "error",
        **options: Any,
    ) -> DataLoaders:
        """Loaders whose training rows are drawn with replacement, as often as their weights say.

        Args:
            source: What `get_items` takes; without it, the items.
            wgts: A weight for each item, those of validation included (they have no effect).
            bs: Pictures in a training batch.
            verbose: Has no meaning.
            on_error: As for `dataloaders`, and so is what follows.
            unknown: See `on_error`.
            options: See `on_error`.

        Raises:
            OptionError: There are not as many weights as items, or they are negative, not finite or all zero.
        """
        datasets = self.read_datasets(source, on_error, unknown)
        return datasets.dataloaders(bs, weights=datasets.weights_of_items(wgts), **options)

    def summary(self, source: Any, bs: int = 4, show_batch: bool = False, **options: Any) -> None:
        """Prints what happens to one sample step by step, and then to a batch; the place to look when data do not fit.

        Args:
            source: What `dataloaders` would be given.
            bs: Pictures of the batch.
            show_batch: Also draw the batch.
            options: As for `show_batch`.

        Raises:
            SightlineError: A step failed; which one, and why, is printed before.
        """
        from sightline.data.summary import tell

        tell(self, source, bs, show_batch, options)

    def _prepared(self, source: Any, on_error: OnError, unknown: Unknown) -> tuple[Any, Table, Target, Recipe]:
        items = self.items_of(source)
        recipe = self._recipe(items)
        found = collect(items, recipe, self.splitter, source)
        table = check_sources(found, on_error=on_error, read=self.image.read)
        refuse_emptied(found, table, "Setting aside unreadable pictures", classes=recipe.block.has_classes)
        target = recipe.block.learn(table.labels_of(table.rows(TRAIN)))
        table = settle_unknown(table, target, unknown=unknown, given=recipe.block.has_vocab)
        if recipe.block.has_vocab:
            say_untaught(table, target)
        return items, table, target, recipe

    def items_of(self, source: Any) -> Any:
        """What `get_items` makes of a source: anything with a length."""
        if self.get_items is not None:
            found = self.get_items(source)
        elif isinstance(source, (str, Path)):
            raise OptionError(f"The source is a path ({source}), and get_items is missing. Pass get_items=get_image_files.")
        else:
            found = source
        return found if hasattr(found, "__len__") else list(found)

    def _recipe(self, items: Any) -> Recipe:
        if self.get_y is None:
            raise _no_labels()
        first = next(each_item(items), None) if len(items) else None
        if self.get_x is None and first is not None and not is_picture(first):
            raise OptionError(
                f"Items are rows (the first is a {type(first).__name__}), and get_x is missing. Pass get_x=ColReader('file')."
            )
        return Recipe(
            self.get_x,
            self.get_y,
            self.label.adapt(label_hints(items, self.get_y)),
            rows=first is not None and not is_picture(first),
        )

    def _parts(self, items: Any, table: Table, target: Target) -> Iterable[Part]:
        samples = DecodedSamples(table.sources, ItemPipeline(self.item_tfms, self.image.channels, self.image.read), table.root)
        targets = encode(table, target)
        frame = items if hasattr(items, "iloc") else None
        return [Part(samples, table.rows(number), targets, target, table.sources, frame) for number in table.parts]


def _image_and_label(blocks: Any) -> tuple[ImageBlock, TargetBlock]:
    given = (ImageBlock, CategoryBlock) if blocks is None else blocks
    made = [as_instance(block) for block in (given if isinstance(given, (list, tuple)) else [given])]
    if len(made) == 2 and isinstance(made[0], ImageBlock) and isinstance(made[1], TargetBlock):
        return made[0], made[1]
    raise OptionError(
        f"blocks={given!r}: expected (ImageBlock, CategoryBlock), or MultiCategoryBlock or RegressionBlock in second place."
    )


def _no_labels() -> OptionError:
    return OptionError(
        "There is no get_y, so labels are not known. Pass a function, such as get_y=parent_label or get_y=ColReader('label')."
    )


def _two_getters(getters: Sequence[Getter] | None) -> tuple[Any, Any]:
    if getters is None:
        return None, None
    if len(getters) != 2:
        raise OptionError(
            f"getters holds {counted(len(getters), 'function')}. Expected two: for the picture and for its label."
        )
    return getters[0], getters[1]


def _composed(getter: Any, name: str) -> Getter | None:
    """A getter that may have been given as a list of functions, applied from the left."""
    if isinstance(getter, (list, tuple)):
        getter = getter[0] if len(getter) == 1 else Pipeline(getter)
    if getter is not None and not callable(getter):
        raise OptionError(
            f"{name}={getter!r} is not a function. Expected one from an item, such as ColReader({getter!r}) for a column."
        )
    found: Getter | None = getter
    return found


def _check_stats(batches: BatchPipeline, channels: int) -> None:
    """Refuse a `Normalize` for another number of channels than pictures have."""
    mean = None if batches.normalize is None else batches.normalize.mean
    if mean is not None and len(mean) != channels:
        raise OptionError(
            f"Normalize has figures for {counted(len(mean), 'channel')}, but pictures have {channels}. Give one a channel, or "
            "Normalize() to measure them on the first training batch."
        )
