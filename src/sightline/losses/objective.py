"""Objective: the loss of a run, as one value a picture and as the number that training descends.

The target brings the loss that fits the labels; a user's own `loss_func` replaces it, and keeps its own weights and reduction.
Activation and decision stay the target's, unless that loss says otherwise: by a method `activation`, by a number `thresh`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import ModelError, OptionError, TrainingError, name_of
from sightline.losses.flat import BaseLoss
from sightline.target import Target

LossFunction = Callable[..., Tensor]


class Objective:
    """What is minimised, and what follows from it for the outputs.

    Attributes:
        target: Gives the default loss, and the shape that outputs have beside their labels.
        loss_func: The user's own loss `(logits, target) -> Tensor`, or None for the target's.
    """

    loss_func: LossFunction | None

    def __init__(self, target: Target, loss_func: LossFunction | None = None) -> None:
        if loss_func is not None and (isinstance(loss_func, type) or not callable(loss_func)):
            example = f"{loss_func.__name__}()" if isinstance(loss_func, type) else "nn.CrossEntropyLoss()"
            raise OptionError(f"loss_func={loss_func!r} cannot be called with (logits, target). Expected such as {example}.")
        self.target = target
        self.loss_func = loss_func.loss_func if isinstance(loss_func, Objective) else loss_func
        _ = self.outcome  # raises now what would be found after training

    @property
    def name(self) -> str:
        """What the loss is called, in words."""
        if self.loss_func is None:
            return self.target.loss_name
        return name_of(self.loss_func)

    def to(self, device: torch.device) -> Objective:
        """Move the loss's own tensors, such as class weights, to `device`; returns self."""
        if callable(move := getattr(self.loss_func, "to", None)):
            move(device)
        return self

    # ---------------------------------------------------------------- the loss

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        """The number to minimise: see `mean`."""
        return self.mean(logits, target)

    def __repr__(self) -> str:
        return f"Objective({self.name}, because {self.target.because})" if self.loss_func is None else repr(self.loss_func)

    def mean(self, logits: Tensor, target: Tensor) -> Tensor:
        """The number to minimise, from logits `(N, K)` and encoded labels: float, no dimensions."""
        if self.loss_func is None:
            return self.items(logits, target).mean()
        return self._checked(self.loss_func(self.target.beside(logits, target), target)).mean()

    def items(self, logits: Tensor, target: Tensor) -> Tensor:
        """One loss a picture: float `(N,)`, from logits `(N, K)` and encoded labels."""
        return self._values(logits, target).mean(dim=1)

    def mixed_mean(self, logits: Tensor, target: Tensor, partner: Tensor, lam: Tensor) -> Tensor:
        """The number to minimise for pictures that were mixed from two, as MixUp and CutMix do.

        Args:
            logits: Outputs for the mixed pictures, float `(N, K)`.
            target: Encoded labels of the pictures themselves.
            partner: Encoded labels of the pictures that were mixed in.
            lam: The share of the picture itself, float `(N,)` in 0..1.

        Returns:
            Float, no dimensions: the sum for a loss with `reduction="sum"`, else the mean of what single pictures give, whereby
            weights of classes count as factors.
        """
        values = self.target.mixed_loss(self._values, logits, target, partner, lam)
        return values.sum() if self.reduction == "sum" else values.mean()

    def _values(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss before it is reduced: float `(N, M)`, M values a picture, such as one a label."""
        if self.loss_func is None:
            self._expect_width(logits)
            return self.target.loss(logits, target).unsqueeze(1)
        logits = self.target.beside(logits, target)
        values = self._unreduced(logits, target)
        if values.ndim == 0:
            # A loss that only knows a whole batch: ask it about batches of one.
            values = torch.stack([self._unreduced(logits[i : i + 1], target[i : i + 1]) for i in range(len(logits))])
        return values.reshape(len(logits), -1)

    def _expect_width(self, logits: Tensor) -> None:
        if logits.ndim != 2 or logits.shape[1] != self.target.num_outputs:
            raise ModelError(
                f"The network gives outputs of shape {tuple(logits.shape)}. Expected (N, {self.target.num_outputs}), because "
                f"{self.target.because}. Give the network that many outputs, or pass a loss_func of your own."
            )

    def _unreduced(self, logits: Tensor, target: Tensor) -> Tensor:
        """The user's loss without its final mean or sum, where it offers to leave that out."""
        loss_func: Any = self.loss_func
        if hasattr(loss_func, "reduction"):
            with _reduction(loss_func, "none"):
                return self._checked(loss_func(logits, target))
        if _accepts_reduction(loss_func):
            loss_func = partial(loss_func, reduction="none")
        return self._checked(loss_func(logits, target))

    def _checked(self, value: Any) -> Tensor:
        if not isinstance(value, Tensor):
            raise TrainingError(f"The loss {self.name} returned {type(value).__name__}. Expected a tensor.")
        return value

    # ---------------------------------------------------------------- what follows for the outputs

    @property
    def outcome(self) -> Target:
        """The target as the loss in use has it decided: by its threshold, and not activated where the loss takes probabilities.

        This is what predictions and an exported file need.

        Raises:
            OptionError: The loss's `thresh` is outside 0..1, or there are more or fewer of them than labels.
        """
        thresh = getattr(self.loss_func, "thresh", None)
        if thresh is not None and not isinstance(thresh, (int, float)):
            flat = torch.as_tensor(thresh, dtype=torch.float64).flatten().tolist()
            thresh = flat[0] if len(flat) == 1 else tuple(flat)
        own = self._declared_activation()
        takes_probabilities = isinstance(self.loss_func, nn.BCELoss) or (own is not None and self._agree(own, lambda x: x))
        return self.target.adjusted(thresholds=thresh, activated=takes_probabilities)

    @property
    def own_activation(self) -> Callable[[Tensor], Tensor] | None:
        """The loss's `activation` where it differs from that of `outcome`, so that only this loss knows it; else None."""
        own = self._declared_activation()
        return None if own is None or self._agree(own, self.outcome.activate) else own

    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities (or values) `(N, K)` from outputs `(N, K)`: by the loss's own activation, or else the target's."""
        return (self.own_activation or self.outcome.activate)(logits.float())

    def decide(self, probabilities: Tensor) -> Tensor:
        """Decisions from what `activate` returned: int64 `(N,)`, bool `(N, K)`, or the values themselves."""
        return self.outcome.decide(probabilities)

    def activation(self, out: Tensor) -> Tensor:
        """The same as `activate`, by the name that losses have for it."""
        return self.activate(out)

    def decodes(self, out: Tensor) -> Tensor:
        """The same as `decide`, by the name that losses have for it."""
        return self.decide(out)

    @property
    def thresh(self) -> Any:
        """Above which probability a class is decided for, where several may be; None for other labels. Assign another."""
        return getattr(self.outcome, "thresholds", None)

    @thresh.setter
    def thresh(self, thresh: float | tuple[float, ...]) -> None:
        self.target = self.target.adjusted(thresholds=thresh)

    @property
    def reduction(self) -> str:
        """'mean', or what the user's own loss says."""
        return str(getattr(self.loss_func, "reduction", "mean"))

    def _declared_activation(self) -> Callable[[Tensor], Tensor] | None:
        if isinstance(self.loss_func, BaseLoss) and type(self.loss_func).activation is BaseLoss.activation:
            return None  # it says nothing about activation
        declared = getattr(self.loss_func, "activation", None)
        return declared if callable(declared) else None

    def _agree(self, one: Callable[[Tensor], Tensor], other: Callable[[Tensor], Tensor]) -> bool:
        """Whether two activations do the same, which of a user's own method can only be seen by trying it."""
        probe = torch.linspace(-2, 2, 2 * self.target.num_outputs).reshape(2, -1)
        try:
            return torch.allclose(one(probe), other(probe), atol=1e-6)
        except (RuntimeError, TypeError, ValueError, IndexError):
            return False


@contextmanager
def _reduction(loss_func: Any, reduction: str) -> Iterator[None]:
    """Another reduction within a block. The loss itself, not a copy: a copy would part from what it learns or keeps."""
    before = loss_func.reduction
    loss_func.reduction = reduction
    try:
        yield
    finally:
        loss_func.reduction = before


def _accepts_reduction(loss_func: LossFunction) -> bool:
    try:
        return "reduction" in inspect.signature(loss_func).parameters
    except (TypeError, ValueError):
        return False
