"""Losses of logits and classes that PyTorch does not have: focal, smoothed labels, Dice."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import OptionError


class FocalLoss(nn.Module):
    """Cross-entropy that counts less where the network is sure already (Lin et al. 2017, arXiv 1708.02002).

    Attributes:
        gamma: How much less; 0 is plain cross-entropy.
        weight: A factor for each class, float `(K,)`, or None.
        reduction: 'mean' (over all pictures, whatever their weights), 'sum' or 'none'.
    """

    weight: Tensor | None

    def __init__(self, gamma: float = 2.0, weight: Tensor | None = None, reduction: str = "mean") -> None:
        """Take the attributes."""
        super().__init__()
        self.gamma, self.reduction = gamma, reduction
        self.register_buffer("weight", weight)

    def forward(self, inp: Tensor, targ: Tensor) -> Tensor:
        """The loss of logits `(N, K)` and classes `(N,)`."""
        entropy = F.cross_entropy(inp, targ, weight=self.weight, reduction="none")
        return _reduced((1 - (-entropy).exp()) ** self.gamma * entropy, self.reduction)


class LabelSmoothingCrossEntropy(nn.Module):
    """Cross-entropy of labels that keep `1 - eps` for their own class and share `eps` among all.

    Attributes:
        eps: The share that is spread over all classes.
        weight: A factor for each class in the first part only, float `(K,)`, or None.
        reduction: 'mean' (of the first part the weighted one), 'sum' or 'none'.
    """

    weight: Tensor | None

    def __init__(self, eps: float = 0.1, weight: Tensor | None = None, reduction: str = "mean") -> None:
        """Take the attributes."""
        super().__init__()
        self.eps, self.reduction = eps, reduction
        self.register_buffer("weight", weight)

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of logits `(N, K)` and classes `(N,)`."""
        log_probabilities = output.log_softmax(dim=1)
        spread = _reduced(-log_probabilities.mean(dim=1), self.reduction)
        own = F.nll_loss(log_probabilities, target.long(), weight=self.weight, reduction=self.reduction)
        return self.eps * spread + (1 - self.eps) * own

    def activation(self, out: Tensor) -> Tensor:
        """Probabilities: the softmax."""
        return out.softmax(dim=-1)

    def decodes(self, out: Tensor) -> Tensor:
        """The number of the largest."""
        return out.argmax(dim=-1)


class DiceLoss(nn.Module):
    """1 - Dice coefficient of each class, for maps of classes.

    Attributes:
        axis: The dimension of the classes.
        smooth: Keeps the quotient finite where a class is absent.
        reduction: 'sum' or 'mean' over pictures and classes, or 'none'.
        square_in_union: Square the probabilities in the denominator, which steepens the slope.
    """

    def __init__(self, axis: int = 1, smooth: float = 1e-6, reduction: str = "sum", square_in_union: bool = False) -> None:
        """Take the attributes."""
        super().__init__()
        self.axis, self.smooth, self.reduction, self.square_in_union = axis, smooth, reduction, square_in_union

    def forward(self, pred: Tensor, targ: Tensor) -> Tensor:
        """The loss of logits `(N, K, H, W)` and classes `(N, H, W)`: `(N, K)` before it is reduced."""
        probabilities = self.activation(pred)
        present = F.one_hot(targ.long(), pred.shape[self.axis]).movedim(-1, self.axis).to(probabilities)
        places = tuple(range(2, pred.ndim))
        both = _total(probabilities * present, places)
        size = probabilities.square() if self.square_in_union else probabilities
        either = _total(size + present, places)
        return _reduced(1 - (2 * both + self.smooth) / (either + self.smooth), self.reduction)

    def activation(self, x: Tensor) -> Tensor:
        """Probabilities: the softmax over `axis`."""
        return x.softmax(dim=self.axis)

    def decodes(self, x: Tensor) -> Tensor:
        """The number of the largest."""
        return x.argmax(dim=self.axis)


def _total(x: Tensor, places: tuple[int, ...]) -> Tensor:
    return torch.sum(x, dim=places) if places else x


def _reduced(values: Tensor, reduction: str) -> Tensor:
    if reduction not in ("mean", "sum", "none"):
        raise OptionError(f"reduction={reduction!r}: expected 'mean', 'sum' or 'none'.")
    return values.mean() if reduction == "mean" else values.sum() if reduction == "sum" else values
