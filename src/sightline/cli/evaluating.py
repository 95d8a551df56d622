"""What `sightline evaluate` does: labelled pictures -> Predictor -> loss, metrics and a table by class.

Shapes: N pictures, K outputs.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from rich.table import Table as ScreenTable
from torch import Tensor
from torch.nn import functional as F

from sightline.cli.beforehand import refuse_table_options
from sightline.cli.labelled import read_table, split_folders
from sightline.cli.screen import load_predictor, output_names, with_bar
from sightline.cli.settings import Machine, TableSettings
from sightline.console import PlainConsole
from sightline.data.blocks import CategoryBlock, MultiCategoryBlock, RegressionBlock, TargetBlock
from sightline.data.rows.collect import Recipe, collect
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import ColReader, parent_label
from sightline.data.rows.sources import check_sources
from sightline.data.rows.split import ColSplitter
from sightline.data.rows.table import TRAIN, Table
from sightline.data.transforms.points import PointBlock
from sightline.errors import ImageError, LabelError, close_matches, counted, listed
from sightline.escaping import for_terminal
from sightline.metrics.defaults import default_metrics
from sightline.metrics.gathering import accumulators
from sightline.predict import Predictor
from sightline.target import Target

BLOCKS: dict[str, type[TargetBlock]] = {
    "single_label": CategoryBlock,
    "multi_label": MultiCategoryBlock,
    "regression": RegressionBlock,
    "points": PointBlock,
}
"""What reads the labels of each kind of target."""


ALL_OF_IT = " (all of it: figures flatter a model that was trained on some of these pictures)"


def run_evaluation(model: Path, data: Path, settings: TableSettings, *, every: bool, bs: int, machine: Machine) -> None:
    """Compare predictions with labels, and print the figures.

    Raises:
        BundleError: The model cannot be loaded.
        DataError: Pictures or labels cannot be used, or the model does not know some of the labels.
    """
    predictor = load_predictor(model, machine)
    table, part = labelled_table(data, settings, predictor, every=every)
    labels = known_labels(table, predictor.target)
    began = time.monotonic()
    logits_NK, rows, paths = _outputs(predictor, table, bs, machine.workers)
    encoded = predictor.target.encode([labels[row] for row in rows])
    encoded = encoded if paths is None else predictor.target.placed(encoded, paths)
    screen = PlainConsole()
    seconds = time.monotonic() - began
    left_out = len(table) - len(rows)
    aside = f", {counted(left_out, 'unreadable one')} left out" if left_out else ""
    screen.print(
        f"{counted(len(rows), 'picture')} {part}{aside}; {len(rows) / max(seconds, 1e-9):,.0f} images/s", soft_wrap=True
    )
    for name, value in figures(predictor.target, logits_NK, encoded).items():
        screen.print(f"{name:<16} {value:.6f}", style="bold")
    screen.print()
    screen.print(_table_by_output(predictor.target, logits_NK, encoded))


def labelled_table(data: Path, settings: TableSettings, predictor: Predictor, *, every: bool) -> tuple[Table, str]:
    """The labelled pictures, all in part 0, and in words which ones they are.

    Raises:
        DataError: There are none, or files, columns or labels are missing.
    """
    block = BLOCKS[predictor.target.kind]()
    if settings.labels is not None:
        items, recipe, part = _table_rows(data, settings, block, every=every)
    else:
        refuse_table_options(settings)
        folders = None if every else split_folders(data)
        items = get_image_files(data, folders=[folders[1]] if folders else None)
        recipe, part = Recipe(None, parent_label, block), f"in {data / folders[1] if folders else data}"
        part += "" if folders or every else ALL_OF_IT
    table = collect(items, recipe, lambda found: (range(len(found)), ()), data)
    return check_sources(table, on_error="set_aside", read=predictor.pipeline.item.read), part


def _table_rows(data: Path, settings: TableSettings, block: TargetBlock, *, every: bool) -> tuple[Any, Recipe, str]:
    table = read_table(settings, data)
    frame, part = table.frame, f"of {settings.labels}"
    if table.valid_col is None and not every:
        part += ALL_OF_IT
    if table.valid_col is not None and not every:
        frame = frame.iloc[ColSplitter(table.valid_col)(frame)[1]]
        part += f" where {table.valid_col} is true"
    pictures = ColReader(table.fn_col, pref=data / table.folder, suff=table.suffix)
    return frame, Recipe(pictures, ColReader(list(table.label_cols), label_delim=settings.label_delim), block, rows=True), part


def known_labels(table: Table, target: Target) -> dict[int, Any]:
    """The label of every row in use, in the model's own terms: folders and tables hold text, where it may know numbers.

    Raises:
        LabelError: The model does not know some of them.
    """
    by_text = {str(name): name for name in target.vocab or ()}

    def own(label: Any) -> Any:
        return [own(name) for name in label] if isinstance(label, list) else by_text.get(str(label), label)

    rows = table.rows(TRAIN).tolist()
    labels = [own(label) if by_text else label for label in table.labels_of(rows)]
    unknown = target.unknown(labels)
    if unknown:
        raise _unknown_error(table, target, [(rows[position], labels[position]) for position in unknown])
    return dict(zip(rows, labels, strict=True))


def _unknown_error(table: Table, target: Target, found: list[tuple[int, Any]]) -> LabelError:
    vocab = [str(name) for name in target.vocab or ()]
    pairs = [(str(name), row) for row, label in found for name in (label if isinstance(label, list) else [label])]
    strange = Counter(name for name, _ in pairs if name not in vocab)
    first = dict(reversed(pairs))
    told = ", ".join(f"{name!r} x{count} (first: {table.name(first[name])!r})" for name, count in strange.most_common(10))
    close = list(dict.fromkeys(match for name in strange for match in close_matches(name, vocab, most=1)))
    closest = f"; closest: {listed(close)}" if close else ""
    have = "has a label" if len(found) == 1 else "have labels"
    return LabelError(
        f"{counted(len(found), 'picture')} {have} that the model does not know: {told}.\n"
        f"Expected one of its {counted(len(vocab), 'name')}: {listed(vocab)}{closest}.\n"
        f"{_several_in_one(strange, vocab)}Correct the labels, or leave those pictures out."
    )


def _several_in_one(strange: Iterable[str], vocab: list[str]) -> str:
    """A hint where unknown labels are known ones side by side."""
    for delimiter in " ,;|":
        if any(delimiter in name and set(name.split(delimiter)) <= set(vocab) for name in strange):
            return f"Some are several of them side by side: pass --label-delim '{delimiter}'. "
    return ""


def _outputs(predictor: Predictor, table: Table, bs: int, workers: int | None) -> tuple[Tensor, list[int], Tensor | None]:
    """Outputs `(N, K)` on the CPU, the table's row of each, and its `Batch.paths`; unreadable pictures are left out.

    Raises:
        ImageError: None could be read.
    """
    in_use = table.rows(TRAIN)
    sources = [table.sources[row] for row in in_use]
    place, target = predictor.runtime.device, predictor.target
    loader = predictor.pipeline.loader(sources, bs=bs, num_workers=workers, device=place, target=target)
    outputs: list[Tensor] = []
    rows: list[int] = []
    paths: list[Tensor] = []
    passed = predictor.passed(loader)
    for batch, logits in with_bar(passed, len(sources), "evaluating", lambda one: len(one[0].index)):
        outputs.append(logits.cpu())
        rows.extend(in_use[batch.index].tolist())
        paths.extend([] if batch.paths is None else [torch.from_numpy(batch.paths)])
    if not rows:
        raise ImageError(
            f"None of {counted(len(table), 'picture')} could be read. Expected picture files such as .jpg or .png."
        )
    return torch.cat(outputs), rows, torch.cat(paths) if paths else None


def figures(target: Target, logits_NK: Tensor, encoded: Tensor) -> dict[str, float]:
    """The mean loss and the metrics that fit the labels."""
    found = {"loss": float(target.loss(logits_NK, encoded).mean())}
    for one in accumulators(default_metrics(target), target):
        one.add(logits_NK, encoded)
        found[one.name] = float(one.value() or 0.0)
    return found


def _table_by_output(target: Target, logits_NK: Tensor, encoded: Tensor) -> ScreenTable:
    decided = target.decide(target.activate(logits_NK))
    if target.vocab is None:
        return _table_of_numbers(output_names(target), decided, encoded)
    true_NK, said_NK = _flags(encoded, target.num_outputs), _flags(decided, target.num_outputs)
    table = _table("label", "pictures", "said", "right", "recall", "precision")
    counts = zip((true_NK & said_NK).sum(0).tolist(), true_NK.sum(0).tolist(), said_NK.sum(0).tolist(), strict=True)
    for name, (right, true, said) in zip(target.vocab, counts, strict=True):
        table.add_row(for_terminal(name), f"{true:,}", f"{said:,}", f"{right:,}", _share(right, true), _share(right, said))
    return table


def _table_of_numbers(names: list[str], values_NK: Tensor, encoded: Tensor) -> ScreenTable:
    error_NK = values_NK - encoded.reshape(values_NK.shape)
    table = _table("number", "mean", "mean error", "mean absolute error", "rmse")
    for k, name in enumerate(names):
        error_N = error_NK[:, k]
        cells = (
            encoded.reshape(values_NK.shape)[:, k].mean(),
            error_N.mean(),
            error_N.abs().mean(),
            error_N.square().mean().sqrt(),
        )
        table.add_row(name, *(f"{float(cell):.6g}" for cell in cells))
    return table


def _table(first: str, *others: str) -> ScreenTable:
    table = ScreenTable(first, box=None, header_style="bold", pad_edge=False)
    for heading in others:
        table.add_column(heading, justify="right")
    return table


def _flags(values: Tensor, outputs: int) -> Tensor:
    """Bool `(N, K)` from classes int64 `(N,)` or from flags `(N, K)`."""
    return F.one_hot(values, outputs).bool() if values.ndim == 1 else values.bool()


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.4f}" if whole else "-"
