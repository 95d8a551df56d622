"""What `DataBlock.summary` says: one sample on its way through every step, then a batch. The one file here that speaks."""

# ruff: noqa: T201 - it is asked to print

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from sightline.data.datasets import Datasets
from sightline.data.loading.any_loader import LoaderOptions
from sightline.data.loading.loaders import Loader
from sightline.data.pictures.bands import Bands
from sightline.data.rows.getters import Pipeline, each_item
from sightline.data.rows.sources import as_source
from sightline.data.rows.table import part_name
from sightline.data.transforms.batch_pipeline import BatchPipeline, order_of
from sightline.data.transforms.chance import ItemDraw
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.data.transforms.measure import measured
from sightline.errors import counted, listed, name_of
from sightline.escaping import for_terminal
from sightline.runtime import plan_runtime

if TYPE_CHECKING:
    from sightline.data.block import DataBlock

_LETTERS = 160
_FEW = 20
"""Tensors of no more values than this are written out."""


def tell(block: DataBlock, source: Any, bs: int, show_batch: bool, options: Mapping[str, Any]) -> None:
    """Prints what happens to one training sample and to a batch of `bs`, step by step; see `DataBlock.summary`."""
    items, datasets = _collected(block, source)
    row = int(datasets.train.rows[0])
    print(f"\nBuilding one sample (row {row})")
    item = next(islice(each_item(items), row, row + 1))
    _picture_told(block, item)
    _label_told(block, datasets, item)
    loader = _plain_loader(block, datasets, bs)
    _items_told(block, loader)
    _batch_told(loader)
    if show_batch:
        measured([loader])[0].show_batch(**options)


def _collected(block: DataBlock, source: Any) -> tuple[Any, Datasets]:
    print("Collecting items")
    print(f"  from {_described(source)}")
    with _failing("get_items"):
        items = block.items_of(source)
    name = name_of(block.get_items) if block.get_items else "the source itself"
    print(f"  {name} gives {counted(len(items), 'item')}")
    print(f"  {_called(block.splitter)} splits them, {block.image} and {_called(block.label)} say what they are")
    with _failing("collecting pictures and labels"):
        datasets = block.read_datasets(source)
    sizes = ", ".join(
        f"{len(part)} in '{part_name(number)}'" for number, part in zip(datasets.table.parts, datasets.parts, strict=True)
    )
    print(f"  {sizes}; {counted(len(datasets.table.set_aside), 'picture')} set aside")
    target = datasets.target
    names = f": {listed(list(target.vocab))}" if target.vocab else ""
    print(f"  labels are {target.kind}, {counted(datasets.c, 'output')}{names}")
    return items, datasets


def _picture_told(block: DataBlock, item: Any) -> None:
    print("  The picture")
    print(f"    starting from\n      {_described(item)}")
    found = item
    for function in _functions(block.get_x):
        found = _applied(_called(function), function, found)
    with _failing("what get_x returned"):
        source = as_source(found)
    _applied(block.image.read.name or f"{block.image.cls.__name__}.create", block.image.read, source)


def _label_told(block: DataBlock, datasets: Datasets, item: Any) -> None:
    print("  The label")
    print(f"    starting from\n      {_described(item)}")
    found = item
    for function in _functions(block.get_y):
        found = _applied(_called(function), function, found)
    with _failing(_called(block.label)):
        encoded = datasets.train[0][1]
    print(f"    {_called(block.label)} gives\n      {_described(encoded)}")


def _plain_loader(block: DataBlock, datasets: Datasets, bs: int) -> Loader:
    options = LoaderOptions(bs=bs, training=True, drop_last=False, num_workers=0)
    return Loader(datasets.train, BatchPipeline(block.batch_tfms), options, plan_runtime().device)


def _items_told(block: DataBlock, loader: Loader) -> None:
    pipeline = ItemPipeline(block.item_tfms, block.image.channels, block.image.read)
    steps, rows = pipeline.transforms, loader.keys(0)[: loader.bs].tolist()
    sources = [loader.part.sources[row] for row in rows]
    draw = ItemDraw(training=True, row=rows[0])
    print("\nBuilding one batch")
    print("Item transforms, applied to the first sample" if steps else "No item transforms to apply")
    for count in range(bool(steps) and 1, len(steps) + 1):
        name = _called(steps[count - 1]) if count else "reading"
        so_far = ItemPipeline(steps[:count], block.image.channels, block.image.read)
        with _failing(name):
            pixels = so_far.sample(sources[0], draw)
        print(f"    {name} gives\n      {_described(pixels)}")
    print(f"Adding the next {counted(len(rows) - 1, 'sample')}")
    with _failing("reading and transforming them"):
        shapes = [
            pipeline.sample(source, ItemDraw(training=True, row=row)).shape for source, row in zip(sources, rows, strict=True)
        ]
    print("\nCollating the samples into a batch")
    if len(set(shapes)) > 1:
        print("  Error! Pictures of several sizes cannot be put into one batch (height, width, channels):")
        for shape, count in Counter(shapes).most_common():
            first = loader.part.samples.name(rows[shapes.index(shape)])
            print(f"    {shape}: {counted(count, 'picture')}, such as {first!r}")
        print("  Bring all of them to one size with item_tfms=Resize(224).")


def _batch_told(loader: Loader) -> None:
    with _failing("collating"):
        raw = loader.raw_batch()
    print(f"  pictures: {_described(raw)}")
    with _failing("Normalize()"):
        loader = measured([loader])[0]
    steps = sorted(loader.batches.transforms, key=order_of)
    print("\nBatch transforms, applied to the batch" if steps else "\nNo batch transforms to apply")
    print(f"    in floating point, 0 to 255 becoming 0 to 1:\n      {_described(BatchPipeline().evaluate(raw))}")
    for count, step in enumerate(steps, start=1):
        with _failing(_called(step)):
            done = BatchPipeline(steps[:count]).train(raw, seed=0, epoch=0, rows=loader.keys(0)[: loader.bs])
        print(f"    {_called(step)} gives\n      {_described(done)}")
    with _failing("making the batch"):
        batch = loader.one_batch()
    print("\nThe batch")
    print(f"  pictures: {_described(batch.image)}\n  labels: {_described(batch.target)}\n  rows: {batch.index.tolist()}")


def _applied(name: str, function: Callable[[Any], Any], value: Any) -> Any:
    with _failing(name):
        result = function(value)
    print(f"    {name} gives\n      {_described(result)}")
    return result


@contextmanager
def _failing(name: str) -> Iterator[None]:
    """Says which step failed, and lets the error go on."""
    try:
        yield
    except Exception as error:
        print(f"    {name} FAILED with {type(error).__name__}:\n      {for_terminal(error, lines=True)}")
        raise


def _functions(getter: Any) -> Sequence[Callable[[Any], Any]]:
    if getter is None:
        return []
    return [inner for function in getter.fs for inner in _functions(function)] if isinstance(getter, Pipeline) else [getter]


def _called(thing: Any) -> str:
    """A function by its name; an object that shows its options by those."""
    shown = repr(thing)
    return name_of(thing) if " at 0x" in shown or shown.startswith("<") else _short(shown)


def _described(value: Any) -> str:
    """A value in a line: what it is, its size, its range."""
    if isinstance(value, Bands):
        return f"a picture of {len(value.bands)} channels, {value.width} x {value.height} pixels (width x height)"
    if isinstance(value, Image.Image):
        return f"a picture, {value.mode}, {value.width} x {value.height} pixels (width x height)"
    if isinstance(value, torch.Tensor) and value.numel() > _FEW:
        numbers = value.detach().float()
        return (
            f"a tensor {str(value.dtype).removeprefix('torch.')} {tuple(value.shape)}, values {numbers.min():.4g} to "
            f"{numbers.max():.4g}, mean {numbers.mean():.4g}"
        )
    if isinstance(value, np.ndarray) and value.size > _FEW:
        return f"an array {value.dtype} {value.shape}, values {value.min():.4g} to {value.max():.4g}"
    if isinstance(value, tuple | list) and value and not isinstance(value[0], str | int | float):
        shown = ", ".join(_described(part) for part in value[:2])
        return f"a {type(value).__name__} of {len(value)}: {shown}{', ...' if len(value) > 2 else ''}"
    if hasattr(value, "iloc"):
        rows = f"a table of {len(value)} rows, columns " if hasattr(value, "columns") else "a row, "
        return _short(rows + (", ".join(map(str, value.columns)) if hasattr(value, "columns") else str(value.to_dict())))
    return _short(str(value) if isinstance(value, str | Path | torch.Tensor) else repr(value))


def _short(text: str) -> str:
    text = for_terminal(" ".join(text.split()))
    return text if len(text) <= _LETTERS else f"{text[:_LETTERS]}... ({len(text):,} letters)"
