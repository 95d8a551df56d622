"""Objective: the loss of a run, as one value a picture and as the number that training descends.

The target brings the loss that fits the labels; a user's own `loss_func` replaces it, and keeps its own weights and reduction.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sightline.errors import ModelError, OptionError, TrainingError, name_of
from sightline.target import Target

LossFunction = Callable[..., Tensor]


class Objective:
    """What is minimised.

    Attributes:
        target: Gives the default loss, and the shape that outputs have beside their labels.
        loss_func: The user's own loss `(logits, target) -> Tensor`, or None for the target's.
    """

    def __init__(self, target: Target, loss_func: LossFunction | None = None) -> None:
        if loss_func is not None and (isinstance(loss_func, type) or not callable(loss_func)):
            example = f"{loss_func.__name__}()" if isinstance(loss_func, type) else "nn.CrossEntropyLoss()"
            raise OptionError(f"loss_func={loss_func!r} cannot be called with (logits, target). Expected such as {example}.")
        self.target = target
        self.loss_func = loss_func
        self._per_item = target.loss if loss_func is None else _unreduced(loss_func)

    @property
    def name(self) -> str:
        """What the loss is called, in words."""
        if self.loss_func is None:
            return self.target.loss_name
        return name_of(self.loss_func)

    def to(self, device: torch.device) -> Objective:
        """Move the loss's own tensors, such as class weights, to `device`; returns self."""
        if isinstance(self.loss_func, nn.Module):
            self.loss_func.to(device)
            self._per_item = _unreduced(self.loss_func)
        return self

    def mean(self, logits: Tensor, target: Tensor) -> Tensor:
        """The number to minimise, from logits `(N, K)` and encoded labels: float, no dimensions."""
        if self.loss_func is None:
            return self.items(logits, target).mean()
        value = self.loss_func(self.target.beside(logits, target), target)
        if not isinstance(value, Tensor):
            raise TrainingError(f"The loss {self.name} returned {type(value).__name__}. Expected a tensor.")
        return value.mean()

    def items(self, logits: Tensor, target: Tensor) -> Tensor:
        """One loss a picture: float `(N,)`, from logits `(N, K)` and encoded labels."""
        if self.loss_func is not None:
            logits = self.target.beside(logits, target)
        elif logits.ndim != 2 or logits.shape[1] != self.target.num_outputs:
            raise ModelError(
                f"The network gives outputs of shape {tuple(logits.shape)}. Expected (N, {self.target.num_outputs}), because "
                f"{self.target.because}. Give the network that many outputs, or pass a loss_func of your own."
            )
        values = self._per_item(logits, target)
        if values.ndim == 0:
            # A loss that only knows a whole batch: ask it about batches of one.
            values = torch.stack([self._per_item(logits[i : i + 1], target[i : i + 1]) for i in range(len(logits))])
        return values.reshape(len(logits), -1).mean(dim=1)


def _unreduced(loss_func: LossFunction) -> LossFunction:
    """The same loss without its final mean or sum, where it offers to leave that out."""
    if hasattr(loss_func, "reduction"):
        bare: Any = copy.copy(loss_func)
        bare.reduction = "none"
        return bare  # type: ignore[no-any-return]
    try:
        accepts = "reduction" in inspect.signature(loss_func).parameters
    except (TypeError, ValueError):
        accepts = False
    return partial(loss_func, reduction="none") if accepts else loss_func
