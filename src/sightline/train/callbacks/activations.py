"""ActivationStats: mean, spread and share of small values of what layers give, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from sightline.errors import OptionError
from sightline.train.callbacks.hooks import HookCallback

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


class ActivationStats(HookCallback):
    """Keeps mean, standard deviation and the share of values near zero of what each layer gives in training.

    Attributes:
        stats: One list a step, with one dictionary a layer: mean, std, near_zero and, `with_hist`, hist.
    """

    order: ClassVar[int] = -20

    def __init__(self, with_hist: bool = False, **kwargs: Any) -> None:
        """Say whether histograms are kept as well: 40 bins from 0 to 10. Other arguments are those of `HookCallback`."""
        super().__init__(**kwargs)
        self.with_hist = with_hist
        self.stats: list[list[Any]] = []

    def before_fit(self) -> None:
        """Start anew."""
        super().before_fit()
        self.stats = []

    def hook(self, m: nn.Module, i: Any, o: Any) -> Any:
        """The figures of one layer; None outside training."""
        if not self.training:
            return None
        if isinstance(o, (tuple, list)):
            return [self.hook(m, i, one) for one in o if isinstance(one, (Tensor, tuple, list))]
        o = o.float()
        near_zero = float((o <= 0.05).float().mean())
        found: dict[str, Any] = {"mean": float(o.mean()), "std": float(o.std()), "near_zero": near_zero}
        return {**found, "hist": o.histc(40, 0, 10)} if self.with_hist else found

    def after_batch(self) -> None:
        """Keep the figures of this step."""
        if self.training and self.hooks is not None:
            self.stats.append(self.hooks.stored)
        super().after_batch()

    def layer_stats(self, idx: int) -> list[list[float]]:
        """Means, standard deviations and shares near zero of layer number `idx`, one a step."""
        return [[step[idx][name] for step in self.stats] for name in ("mean", "std", "near_zero")]

    def hist(self, idx: int) -> Tensor:
        """Float `(40, steps)`: the logarithms of 1 + count in the histograms of layer number `idx`.

        Raises:
            OptionError: None were kept.
        """
        if not self.with_hist or not self.stats:
            raise OptionError("There are no histograms. Fit with ActivationStats(with_hist=True).")
        return torch.stack([step[idx]["hist"] for step in self.stats]).t().float().log1p()

    def color_dim(self, idx: int, figsize: tuple[float, float] = (10, 5), ax: Axes | None = None) -> Any:
        """The histograms of layer number `idx` as a picture, steps to the right; returns its figure."""
        if ax is None:
            import matplotlib.pyplot as plt

            _, ax = plt.subplots(figsize=figsize)
        ax.imshow(self.hist(idx).numpy(), origin="lower")
        ax.axis("off")
        return ax.figure

    def plot_layer_stats(self, idx: int, figsize: tuple[float, float] = (12, 3)) -> Figure:
        """Three graphs of the figures of layer number `idx` over the steps; returns their figure."""
        import matplotlib.pyplot as plt

        figure, axs = plt.subplots(1, 3, figsize=figsize)
        for values, ax, title in zip(self.layer_stats(idx), axs, ("mean", "std", "% near zero"), strict=True):
            ax.plot(values)
            ax.set_title(title)
        return figure
