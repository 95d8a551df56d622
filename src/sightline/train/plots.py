"""Plots of a record: losses over steps, hyper-parameters over steps, loss over rate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sightline.errors import OptionError, did_you_mean, listed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCHES = (6.0, 4.0)


def plot_losses(
    losses: Sequence[float],
    ends: Sequence[int],
    valid: Sequence[float | None],
    *,
    skip_start: int,
    log: bool,
    show_epochs: bool,
    ax: Axes | None,
    figsize: tuple[float, float] | None,
) -> Figure:
    """The smoothed training loss of every step, and the validation loss at the end of every epoch.

    Args:
        losses: Training losses by step.
        ends: Number of the last step of every epoch.
        valid: Validation loss of every epoch, None where there was none; empty to leave them out.
        skip_start: Steps that are left out at the start.
        log: Both axes logarithmic.
        show_epochs: A dotted line at every epoch's end.
        ax: Where to draw; None makes a figure.
        figsize: Size of that figure in inches.
    """
    axes = ax if ax is not None else _axes(1, figsize)[0]
    draw = axes.loglog if log else axes.plot
    draw(range(skip_start, len(losses)), losses[skip_start:], label="train")
    if show_epochs:
        for end in ends:
            axes.axvline(end, color="grey", linestyle=":")
    points = [(end, loss) for end, loss in zip(ends, valid, strict=False) if loss is not None and end >= skip_start]
    if points:
        axes.plot(*zip(*points, strict=True), marker="." if len(points) == 1 else None, label="valid")
        axes.legend()
    axes.set(xlabel="steps", ylabel="loss", title="learning curve")
    return _figure(axes)


def plot_schedules(
    hps: Mapping[str, Sequence[float]], keys: str | Sequence[str] | None, figsize: tuple[float, float] | None, ax: Axes | None
) -> Figure:
    """Hyper-parameters of the last group over the steps, one plot each.

    Args:
        hps: Values by name.
        keys: Which; None is all.
        figsize: Size of the figure in inches.
        ax: Where to draw a single one; None makes a figure.

    Raises:
        OptionError: There is none of that name, nothing to plot, or several for one `ax`.
    """
    names = list(hps) if keys is None else [keys] if isinstance(keys, str) else list(keys)
    unknown = [name for name in names if name not in hps]
    if unknown:
        raise OptionError(
            f"plot_sched(keys={unknown}): the last fit has {listed(list(hps))}. {did_you_mean(unknown[0], hps)}".rstrip()
        )
    if not names:
        raise OptionError("plot_sched has nothing to plot: no training step was made. Fit first.")
    if ax is not None and len(names) > 1:
        raise OptionError(f"plot_sched was given one ax for {listed(names)}. Name one in keys=, or leave ax out.")
    axes = [ax] if ax is not None else _axes(len(names), figsize)
    for name, one in zip(names, axes, strict=False):
        one.plot(hps[name])
        one.set(xlabel="steps", ylabel=name)
    return _figure(axes[0])


def plot_rates(
    lrs: Sequence[float],
    losses: Sequence[float],
    suggestions: Sequence[tuple[float, float]],
    names: Sequence[str],
    *,
    ax: Axes | None,
    figsize: tuple[float, float] | None,
) -> Figure:
    """Loss over learning rate, with suggested rates marked.

    Args:
        lrs: Rates by step.
        losses: Smoothed losses by step.
        suggestions: Points (rate, loss).
        names: A name for each.
        ax: Where to draw; None makes a figure.
        figsize: Size of that figure in inches.
    """
    axes = ax if ax is not None else _axes(1, figsize)[0]
    axes.plot(lrs, losses)
    axes.set(xlabel="Learning Rate", ylabel="Loss", xscale="log")
    for number, ((rate, loss), name) in enumerate(zip(suggestions, names, strict=True), start=1):
        axes.plot(rate, loss, "o", label=name, color=f"C{number}")
    if suggestions:
        axes.legend(loc="best")
    return _figure(axes)


def _axes(count: int, figsize: tuple[float, float] | None) -> list[Any]:
    import matplotlib.pyplot as plt

    columns = min(2, count)
    rows = math.ceil(count / columns)
    size = figsize or (_INCHES[0] * columns, _INCHES[1] * rows)
    _, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, constrained_layout=True)
    for spare in axes.flat[count:]:
        spare.set_axis_off()
    return list(axes.flat)


def _figure(axes: Axes) -> Figure:
    figure: Any = axes.get_figure(root=True)
    return figure  # type: ignore[no-any-return]
