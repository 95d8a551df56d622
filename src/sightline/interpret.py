"""Interpretation: what a network gets right and wrong, read from one pass over a loader.

Everything is computed from the arrays of `Outputs` and their row indices; the network is not asked a second time. Only the
pictures themselves are read again when they are shown.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.loaders import Loader
from sightline.data.showing.plots import FigSize, grid_shape
from sightline.data.showing.show_results import Shown, pixels_of, show_results, titled
from sightline.errors import LabelError, OptionError, counted
from sightline.escaping import for_figure, for_terminal
from sightline.outputs import Outputs

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Counts = npt.NDArray[np.int64]
_MOST_READABLE = 30
"""Up to so many classes, every cell of a matrix has room for its number."""


class Predicts(Protocol):
    """What is interpreted: a learner, or the predictor of an exported file."""

    @property
    def dls(self) -> Any:
        """Its data, whose `evaluation(ds_idx)` gives the loader of a part."""

    def outputs(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        *,
        with_input: bool = False,
        with_loss: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
    ) -> Outputs:
        """What it gives for the pictures of a loader."""


class Interpretation:
    """Losses and predictions for the pictures of a loader, and the pictures themselves.

    Positions, such as those of `top_losses`, count the pictures that could be read, in the order of the loader.

    Attributes:
        outputs: All of it, as a value.
        dl: The loader.
        preds: Probabilities (or values) `(N, K)`.
        targs: Encoded labels.
        decoded: Decisions.
        losses: float `(N,)`.
        vocab: The names of the classes; None where labels are numbers.
    """

    def __init__(self, outputs: Outputs) -> None:
        """Take what a network gave; `from_learner` asks for it.

        Raises:
            LabelError: Labels are not known, so there is nothing to compare with.
        """
        if outputs.targs is None or outputs.losses is None:
            raise LabelError(
                f"The {counted(outputs.loader.n, 'picture')} to interpret have no labels, or none can be read. Expected "
                "labelled ones: the validation part (ds_idx=1), or dls.test_dl(items, with_labels=True)."
            )
        self.outputs, self.dl = outputs, outputs.loader
        self.preds, self.targs, self.decoded, self.losses = outputs.preds, outputs.targs, outputs.decoded, outputs.losses
        self.vocab = outputs.target.vocab

    @classmethod
    def from_learner(
        cls, learn: Predicts, ds_idx: int = 1, dl: Any = None, act: Callable[[Tensor], Tensor] | None = None
    ) -> Self:
        """The interpretation of a learner, from one pass over its pictures.

        Args:
            learn: A learner, or with `dl` a predictor.
            ds_idx: 1 for validation, 0 for the training pictures, unaugmented.
            dl: A loader in their place.
            act: In place of the activation of the loss in use.

        Raises:
            LabelError: The pictures have no labels.
        """
        loader = learn.dls.evaluation(ds_idx) if dl is None else dl
        # Pictures that cannot be read again by their row are kept.
        return cls(learn.outputs(dl=loader, with_loss=True, with_input=not isinstance(loader, Loader), act=act))

    def __len__(self) -> int:
        return len(self.losses)

    def __getitem__(self, idxs: Any) -> tuple[Any, Tensor, Tensor, Tensor, Tensor]:
        """(images, probabilities, targets, decisions, losses) of the pictures at these positions."""
        where = _positions(idxs)
        return self._images(where), self.preds[where], self.targs[where], self.decoded[where], self.losses[where]

    def items(self, idxs: Any) -> list[Any]:
        """Where the pictures at these positions come from: paths, or the pictures themselves.

        Raises:
            OptionError: The loader was given ready-made batches.
        """
        if not isinstance(self.dl, Loader):
            raise OptionError("The loader was given ready-made batches, so where its pictures come from is not known.")
        return [self.dl.part.sources[row] for row in self.outputs.rows[_positions(idxs)].tolist()]

    def top_losses(self, k: int | None = None, largest: bool = True, items: bool = False) -> tuple[Any, ...]:
        """The largest losses.

        Args:
            k: How many; None takes all.
            largest: False for the smallest.
            items: Also where the pictures come from.

        Returns:
            `(losses (k,), positions (k,))`, and a list of items if asked for.
        """
        count = len(self) if k is None else max(0, min(int(k), len(self)))
        losses, idxs = self.losses.topk(count, largest=largest)
        return (losses, idxs, self.items(idxs)) if items else (losses, idxs)

    def plot_top_losses(
        self,
        k: int | Iterable[int],
        largest: bool = True,
        nrows: int | None = None,
        ncols: int | None = None,
        figsize: FigSize | None = None,
        ctxs: Any = None,
    ) -> Figure:
        """A figure of the pictures with the largest losses: prediction, label, loss, and the probability of what is predicted.

        Args:
            k: How many; or which of all, the largest loss being number 0.
            largest: False for the smallest losses.
            nrows: Rows of the grid; None chooses.
            ncols: Columns of the grid; None chooses.
            figsize: (width, height) of the figure in inches.
            ctxs: Axes to draw on, one a picture; None makes a figure.
        """
        _, idxs = self.top_losses(k if isinstance(k, int) else None, largest)
        where = idxs if isinstance(k, int) else idxs[_positions(k)]
        shown = self._shown(where)
        classes = self.vocab is not None
        titles = []
        for position, (loss, probabilities) in enumerate(zip(self.losses[where], self.preds[where], strict=True)):
            actual, predicted = shown.texts(position)
            figures = [f"{float(loss):.2f}", *([f"{float(probabilities.max()):.2f}"] if classes else [])]
            labels = [f"{predicted}/{actual}"] if actual or predicted else []
            titles.append([*labels, " / ".join(figures)])
        heading = "Prediction/Actual/Loss" + ("/Probability" if classes else "")
        return titled(shown, titles, nrows=nrows, ncols=ncols, figsize=figsize, ctxs=ctxs, heading=heading)

    def show_results(self, idxs: Any, **options: Any) -> Figure:
        """A figure of the pictures at these positions, the label of each above its prediction.

        Args:
            idxs: One position, or several.
            options: nrows, ncols, figsize, ctxs.
        """
        return show_results(self._shown(_positions(idxs)), **options)

    def __repr__(self) -> str:
        mean = float(self.losses.mean()) if len(self) else float("nan")
        return f"{type(self).__name__}({counted(len(self), 'picture')}, mean loss {mean:.4f})"

    def _shown(self, where: Tensor) -> Shown:
        pixels = pixels_of(self._images(where), self.dl)
        return Shown(pixels, self.outputs.target, self.targs[where], self.decoded[where])

    def _images(self, where: Tensor) -> Any:
        if self.outputs.inputs is not None:
            kept = self.outputs.inputs
            return kept[where] if isinstance(kept, Tensor) else [kept[i] for i in where.tolist()]
        return _read(self.dl, self.outputs.rows[where])


class ClassificationInterpretation(Interpretation):
    """What is taken for what, where labels are classes: one a picture, or several."""

    def __init__(self, outputs: Outputs) -> None:
        """Take what a network gave; `from_learner` asks for it.

        Raises:
            LabelError: Labels are not known.
            OptionError: They are numbers.
        """
        super().__init__(outputs)
        if self.vocab is None or len(self.vocab) != outputs.target.num_outputs:
            raise OptionError(
                f"The labels are of kind {outputs.target.kind}, not classes. Expected labels that are names; for numbers use "
                "Interpretation.from_learner(learn)."
            )
        self._names = [str(name) for name in self.vocab]
        self._several = self.targs.ndim > 1

    def confusion_matrix(self) -> Counts:
        """How often each class was taken for each: int64 `(K, K)`, rows actual, columns predicted.

        For several labels a picture, one table for each label: `(K, 2, 2)`, [[absent rightly, invented], [missed, found]].
        """
        count = len(self._names)
        if not self._several:
            pairs = self.targs.long() * count + self.decoded.long()
            table: Counts = torch.bincount(pairs, minlength=count * count).reshape(count, count).numpy()
            return table
        actual, predicted = self.targs.bool(), self.decoded.bool()
        cells = [(~actual & ~predicted), (~actual & predicted), (actual & ~predicted), (actual & predicted)]
        several: Counts = torch.stack([cell.sum(dim=0) for cell in cells], dim=1).reshape(count, 2, 2).numpy()
        return several

    def most_confused(self, min_val: int = 1) -> list[tuple[Any, Any, int]]:
        """`(actual, predicted, count)` of the classes that are taken for others, most often first.

        For several labels a picture, a label is taken for its absence ('no cat'), or the other way round.

        Args:
            min_val: The least count.
        """
        table = self.confusion_matrix()
        if self._several:
            found: list[tuple[Any, Any, int]] = [
                entry
                for name, ((_, invented), (missed, _)) in zip(self._names, table.tolist(), strict=True)
                for entry in ((name, f"no {name}", missed), (f"no {name}", name, invented))
            ]
        else:
            names = list(self.vocab or ())
            found = [
                (names[i], names[j], int(table[i, j])) for i in range(len(names)) for j in range(len(names)) if i != j
            ]  # fmt: skip
        return sorted((entry for entry in found if entry[2] >= min_val), key=itemgetter(2), reverse=True)

    def plot_confusion_matrix(
        self,
        normalize: bool = False,
        title: str = "Confusion matrix",
        cmap: str = "Blues",
        norm_dec: int = 2,
        plot_txt: bool = True,
        figsize: FigSize | None = None,
        ax: Axes | None = None,
        **options: Any,
    ) -> Figure:
        """A figure of the confusion matrix; of one for each label, where a picture has several.

        Args:
            normalize: Shares of each row instead of counts.
            title: Title of the figure.
            cmap: A colour map of matplotlib's.
            norm_dec: Decimal places of shares.
            plot_txt: Write the number into each cell.
            figsize: (width, height) of the figure in inches; None grows with the number of classes.
            ax: Where to draw instead of a new figure; for one label a picture.
            options: As for `matplotlib.pyplot.figure`, such as dpi.

        Returns:
            The figure.
        """
        import matplotlib.pyplot as plt

        tables, names = self._tables()
        if ax is not None and len(tables) > 1:
            raise OptionError(f"ax= has room for one matrix, but there are {len(tables)}, one a label. Leave ax out.")
        if ax is not None:
            axes, figure = [ax], cast("Figure", ax.get_figure(root=True))
        else:
            rows, columns = grid_shape(len(tables))
            side = min(20.0, max(3.0 if self._several else 5.0, 0.45 * len(names[0])))
            figure = plt.figure(figsize=figsize or (columns * side, rows * side), **options)
            axes = list(np.ravel(figure.subplots(rows, columns, squeeze=False)))
        for unused in axes[len(tables) :]:
            unused.set_axis_off()
        for axis, table, ticks, label in zip(axes, tables, names, self._names, strict=False):
            values = _shares(table) if normalize else table
            _draw_matrix(axis, values, ticks, cmap, f".{norm_dec}f" if normalize else "d", plot_txt)
            axis.set_title(for_figure(label) if self._several else title)
        if self._several:
            figure.suptitle(title)
        if ax is None:
            figure.tight_layout()
        return figure

    def classification_report(self) -> str:
        """Precision, recall, F1 and count of each class, as scikit-learn writes them."""
        from sklearn.metrics import classification_report

        actual, predicted = (values.long().numpy() for values in (self.targs, self.decoded))
        names = [for_terminal(name) for name in self._names]
        text: str = classification_report(
            actual, predicted, labels=list(range(len(self._names))), target_names=names, zero_division=0.0
        )
        return text

    def print_classification_report(self) -> None:
        """Print `classification_report`."""
        print(self.classification_report())  # noqa: T201 - it is asked to

    def _tables(self) -> tuple[Sequence[Counts], list[list[str]]]:
        table = self.confusion_matrix()
        if self._several:
            return list(table), [[f"no {name}", name] for name in self._names]
        return [table], [self._names]


def _shares(table: Counts) -> npt.NDArray[np.float64]:
    """Each row divided by its sum; a class that no picture has gives zeros."""
    shares: npt.NDArray[np.float64] = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    return shares


def _draw_matrix(axis: Axes, values: npt.NDArray[Any], names: list[str], cmap: str, form: str, written: bool) -> None:
    axis.imshow(values, interpolation="nearest", cmap=cmap)
    ticks, labels = range(len(names)), [for_figure(name) for name in names]
    axis.set_xticks(ticks, labels, rotation=90)
    axis.set_yticks(ticks, labels)
    axis.set_xlabel("Predicted")
    axis.set_ylabel("Actual")
    axis.grid(False)
    if written:
        size = None if len(names) <= _MOST_READABLE else 6
        for (i, j), value in np.ndenumerate(values):
            colour = "white" if value > values.max() / 2 else "black"
            axis.text(j, i, format(value, form), ha="center", va="center", color=colour, fontsize=size)


def _positions(idxs: Any) -> Tensor:
    """One position or several, as int64 `(n,)`."""
    given = idxs if isinstance(idxs, (Tensor, np.ndarray)) else list(idxs) if isinstance(idxs, Iterable) else [idxs]
    return torch.as_tensor(given, dtype=torch.int64).reshape(-1)


def _read(loader: AnyLoader, rows: Tensor) -> Any:
    """The images of these rows of a loader of ours, in this order; readable ones, for they were read before."""
    if not isinstance(loader, Loader) or not len(rows):
        return []
    single = loader.new(part=loader.part.only(rows.numpy()), shuffle=False, partial_n=None, drop_last=False)
    parts = [batch.image.cpu() for batch in single]
    return torch.cat(parts)
