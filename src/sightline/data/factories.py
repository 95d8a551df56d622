"""ImageDataLoaders: one call from a folder, a table or lists to loaders, with fastai's names and defaults."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypedDict, Unpack

import torch

from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock, MultiCategoryBlock, PictureClass, RegressionBlock
from sightline.data.dataloaders import DataLoaders
from sightline.data.pictures.decode import PILImage
from sightline.data.rows.files import get_image_files, nothing_found
from sightline.data.rows.frames import read_labels, without_repeats
from sightline.data.rows.getters import ColReader, RegexLabeller, parent_label, using_attr
from sightline.data.rows.inside import refuse_outside
from sightline.data.rows.labels import Unknown
from sightline.data.rows.sources import OnError
from sightline.data.rows.split import ColSplitter, GrandparentSplitter, RandomSplitter
from sightline.data.rows.table import NO_PART
from sightline.errors import LabelError, OptionError, SightlineWarning, counted
from sightline.target import is_blank

if TYPE_CHECKING:
    import pandas as pd


class LoadingOptions(TypedDict, total=False):
    """Options that every factory hands on to `DataBlock.dataloaders`, see there; but for `splitter`, see `ImageDataLoaders`.

    pin_memory, persistent_workers, prefetch_factor, timeout, worker_init_fn and verbose change nothing.
    """

    bs: int
    batch_size: int
    val_bs: int | None
    shuffle: bool
    shuffle_train: bool
    val_shuffle: bool
    device: str | torch.device | None
    num_workers: int | None
    drop_last: bool | None
    cache: bool | None
    on_error: OnError
    unknown: Unknown
    pin_memory: bool
    persistent_workers: bool
    prefetch_factor: int | None
    timeout: float
    worker_init_fn: Any
    verbose: bool
    splitter: Callable[[Any], Any] | None


class ImageDataLoaders(DataLoaders):
    """Factories of `DataLoaders` for pictures; what they return is a `DataLoaders`.

    All take `item_tfms`, `batch_tfms`, `img_cls` (PILImage, PILImageBW or your own class, see `ImageBlock`) and the options of
    `DataBlock.dataloaders`: `bs=64, val_bs=None, shuffle=True, val_shuffle=False, device=None, num_workers=None,
    drop_last=None, cache=None, on_error='set_aside', unknown='error'`.
    `seed` makes the split, the order and the augmentation repeatable; None draws one from PyTorch's global generator.
    `splitter` makes the split in place of the shares, columns and folders that the factory has for it, such as
    `ContentSplitter(valid_pct=0.2)`, which keeps copies of a picture together.
    """

    @staticmethod
    def from_folder(
        path: str | Path,
        train: str = "train",
        valid: str = "valid",
        valid_pct: float | None = None,
        seed: int | None = None,
        vocab: Any = None,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        img_cls: PictureClass = PILImage,
        **options: Unpack[LoadingOptions],
    ) -> DataLoaders:
        """From folders named after the labels: `path/train/cat/1.jpg`, or `path/cat/1.jpg` with `valid_pct`.

        Args:
            path: The folder.
            train: Name of the training folder, where `valid_pct` is None.
            valid: Name of the validation folder, where `valid_pct` is None.
            valid_pct: Random share for validation, of all pictures below `path`.
            seed: See the class.
            vocab: The names, where they are known beforehand.
            item_tfms: Transforms of one picture.
            batch_tfms: Transforms of a batch.
            img_cls: Colour or grey.
            options: See the class.

        Raises:
            NoImagesError: No pictures were found.
            DataError: Splits, labels or pictures are not usable; see `DataBlock.dataloaders`.
        """
        splitter = options.pop("splitter", None)
        by_name = valid_pct is None and splitter is None
        if splitter is None:
            splitter = GrandparentSplitter(train, valid) if valid_pct is None else RandomSplitter(valid_pct, seed=seed)
        block = DataBlock(
            blocks=(ImageBlock(img_cls), CategoryBlock(vocab=vocab)),
            get_items=partial(_files_in, folders=[train, valid]) if by_name else get_image_files,
            splitter=splitter,
            get_y=parent_label,
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
        )
        dls = block.dataloaders(path, path, seed=seed, **options)
        if by_name:
            _say_if_left_out(dls, train, valid)
        return dls

    @staticmethod
    def from_path_func(
        path: str | Path,
        fnames: Sequence[str | Path],
        label_func: Callable[[Any], Any],
        valid_pct: float = 0.2,
        seed: int | None = None,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        img_cls: PictureClass = PILImage,
        **options: Unpack[LoadingOptions],
    ) -> DataLoaders:
        """From files, labelled by a function of the path."""
        block = DataBlock(
            blocks=(ImageBlock(img_cls), CategoryBlock),
            splitter=options.pop("splitter", None) or RandomSplitter(valid_pct, seed=seed),
            get_y=label_func,
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
        )
        return block.dataloaders([Path(name) for name in fnames], path, seed=seed, **options)

    @staticmethod
    def from_name_func(
        path: str | Path, fnames: Sequence[str | Path], label_func: Callable[[Any], Any], **options: Any
    ) -> DataLoaders:
        """From files, labelled by a function of the file's name; further options as in `from_path_func`."""
        return ImageDataLoaders.from_path_func(path, fnames, using_attr(label_func, "name"), **options)

    @staticmethod
    def from_path_re(path: str | Path, fnames: Sequence[str | Path], pat: str, **options: Any) -> DataLoaders:
        """From files, labelled by the first group of an expression found in the path; options as in `from_path_func`."""
        return ImageDataLoaders.from_path_func(path, fnames, RegexLabeller(pat), **options)

    @staticmethod
    def from_name_re(path: str | Path, fnames: Sequence[str | Path], pat: str, **options: Any) -> DataLoaders:
        """From files, labelled by the first group of an expression found in the file's name; options as in `from_path_func`."""
        return ImageDataLoaders.from_name_func(path, fnames, RegexLabeller(pat), **options)

    @staticmethod
    def from_df(
        df: pd.DataFrame,
        path: str | Path = ".",
        valid_pct: float = 0.2,
        seed: int | None = None,
        fn_col: Any = 0,
        folder: str | Path | None = None,
        suff: str = "",
        label_col: Any = 1,
        label_delim: str | None = None,
        y_block: Any = None,
        valid_col: Any = None,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        img_cls: PictureClass = PILImage,
        **options: Unpack[LoadingOptions],
    ) -> DataLoaders:
        """From a table with a row for each picture.

        Args:
            df: The table.
            path: File names are relative to it.
            valid_pct: Random share for validation, where `valid_col` is None.
            seed: See the class.
            fn_col: Column of file names, by name or position.
            folder: Below `path`, where the files are.
            suff: Put after each file name, such as '.jpg'.
            label_col: Column of labels, or several.
            label_delim: Splits a cell into several labels.
            y_block: What labels are; None takes several labels if there is a `label_delim` or several columns, else one.
                Numbers are asked for: `y_block=RegressionBlock`.
            valid_col: Column that is true for validation.
            item_tfms: Transforms of one picture.
            batch_tfms: Transforms of a batch.
            img_cls: Colour or grey.
            options: See the class.

        Raises:
            TableError: A column or files are missing.
            DataError: Splits, labels or pictures are not usable; see `DataBlock.dataloaders`.
        """
        several = label_delim is not None or (isinstance(label_col, (list, tuple)) and len(label_col) > 1)
        by_column = RandomSplitter(valid_pct, seed=seed) if valid_col is None else ColSplitter(valid_col)
        block = DataBlock(
            blocks=(ImageBlock(img_cls), y_block or (MultiCategoryBlock if several else CategoryBlock)),
            get_x=ColReader(fn_col, pref=Path(path) / (folder or ""), suff=suff),
            get_y=ColReader(label_col, label_delim=label_delim),
            splitter=options.pop("splitter", None) or by_column,
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
        )
        return block.dataloaders(df, path, seed=seed, **options)

    @staticmethod
    def from_csv(
        path: str | Path,
        csv_fname: str = "labels.csv",
        header: int | Literal["infer"] | None = "infer",
        delimiter: str | None = None,
        quoting: int = csv.QUOTE_MINIMAL,
        **options: Any,
    ) -> DataLoaders:
        """From a CSV file `path/csv_fname`, one row a picture; further options as in `from_df`.

        File names stay text as they are written, and so do labels ('007' stays '007'), unless the whole column is whole
        numbers written as such. Nothing but an empty cell is missing: 'NA' is a name.

        Args:
            path: The folder of the pictures, and of the file.
            csv_fname: The file.
            header: Row of the column names; 'infer' takes the first one, unless it names a picture; None where there are none.
            delimiter: Between cells; None recognises comma, tab, semicolon and '|'.
            quoting: A constant of the csv module.
            options: As for `from_df`. Besides, `encoding` of the file (None recognises UTF-8, UTF-16 and UTF-32, and takes all
                else for Windows-1252, with a warning), and `outside=True` for tables that may name files anywhere: else all
                must lie within `path`.

        Raises:
            TableError: The file cannot be read, contradicts itself, or names files outside of `path`.
        """
        encoding, outside = options.pop("encoding", None), options.pop("outside", False)
        fn_col, labels = options.get("fn_col", 0), options.get("label_col", 1)
        label_cols = list(labels) if isinstance(labels, (list, tuple)) else [labels]
        fn_cols = list(fn_col) if isinstance(fn_col, (list, tuple)) else [fn_col]
        file = Path(path) / csv_fname
        table = read_labels(
            file,
            header=header,
            delimiter=delimiter,
            quoting=quoting,
            encoding=encoding,
            text_columns=fn_cols if options.get("label_delim") is None else [*fn_cols, *label_cols],
            label_columns=label_cols,
        )
        if not outside:
            refuse_outside(table, file, fn_cols[0], Path(path), options.get("folder") or "")
        table = without_repeats(table, file, fn_cols[0], label_cols, options.get("valid_col"))
        return ImageDataLoaders.from_df(table, path, **options)

    @staticmethod
    def from_lists(
        path: str | Path,
        fnames: Sequence[Any],
        labels: Sequence[Any],
        valid_pct: float = 0.2,
        seed: int | None = None,
        y_block: Any = None,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        img_cls: PictureClass = PILImage,
        **options: Unpack[LoadingOptions],
    ) -> DataLoaders:
        """From a list of files (or pictures in memory) and a list of labels.

        Without `y_block`, labels that are lists mean several labels a picture, floats mean regression, all else one label.

        Raises:
            LabelError: Labels are lists of floats, or of 0 and 1, and `y_block` does not say what they mean.
            OptionError: The lists have different lengths.
        """
        if len(fnames) != len(labels):
            raise OptionError(
                f"There are {counted(len(fnames), 'file')} and {counted(len(labels), 'label')}. Expected as many of each."
            )
        block = DataBlock.from_columns(
            blocks=(ImageBlock(img_cls), y_block or _block_for(labels)),
            splitter=options.pop("splitter", None) or RandomSplitter(valid_pct, seed=seed),
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
        )
        return block.dataloaders((fnames, labels), path, seed=seed, **options)


def _files_in(path: str | Path, folders: list[str]) -> list[Path]:
    found = get_image_files(path, folders=folders)
    if not found:
        raise nothing_found(Path(path), folders)
    return found


def _say_if_left_out(dls: DataLoaders, train: str, valid: str) -> None:
    table = dls.table
    rows = [] if table is None else [row for row, reason in table.reasons.items() if reason == NO_PART]
    if table is not None and rows:
        warnings.warn(
            f"{counted(len(rows), 'picture')} left out (first: {table.name(rows[0])!r}): expected {train}/<label>/<picture> "
            f"and {valid}/<label>/<picture>. Move them, or pass valid_pct=0.2 to take every picture and split at random.",
            SightlineWarning,
            stacklevel=3,
        )


def _block_for(labels: Sequence[Any]) -> Any:
    first = next((label for label in labels if not is_blank(label)), None)
    if isinstance(first, (list, tuple, set, frozenset)) or getattr(first, "ndim", 0) == 1:
        _refuse_lists_of_numbers(labels)
        return MultiCategoryBlock
    number = first.item() if first is not None and hasattr(first, "item") else first
    return RegressionBlock if isinstance(number, float) else CategoryBlock


def _refuse_lists_of_numbers(labels: Sequence[Any]) -> None:
    rows = [row for row in map(_plain_list, labels) if row]
    floats = bool(rows) and all(isinstance(value, float) for row in rows for value in row)
    # Names that are 0 and 1 would hardly stand beside each other in every list.
    flags = len({len(row) for row in rows}) == 1 and len(rows[0]) > 1 and all(v in (0, 1) for row in rows for v in row)
    if floats or flags:
        raise LabelError(
            f"Labels are lists of numbers (first: {rows[0]}), which would become names of classes. Expected lists of names. "
            "Pass y_block=RegressionBlock for quantities, y_block=MultiCategoryBlock(encoded=True, vocab=[...]) where 1 says "
            "that a picture has the class at that place, or y_block=MultiCategoryBlock if these are names."
        )


def _plain_list(label: Any) -> list[Any]:
    """A list, tuple or array of one dimension as a list of Python's own values; anything else as an empty one."""
    if getattr(label, "ndim", 0) == 1:
        return list(label.tolist())
    return [v.item() if hasattr(v, "item") else v for v in label] if isinstance(label, (list, tuple)) else []
