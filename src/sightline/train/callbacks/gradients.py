"""Gradients: gathered over several batches, and kept short."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from sightline.errors import OptionError
from sightline.train.events import Callback, CancelBatchException


class GradientAccumulation(Callback):
    """Makes a step only once `n_acc` pictures were seen, as if they had been one batch.

    The step follows the mean over the pictures that were really seen: also where batches do not divide `n_acc`, and in the last
    step of an epoch, which takes what is left. BatchNorm still sees single batches.

    Attributes:
        n_acc: Pictures a step, counted in pictures and not in batches.
        count: Pictures since the last step.
    """

    order: ClassVar[int] = 6
    resumes: ClassVar[tuple[str, ...]] = ("count",)
    run_valid = False

    def __init__(self, n_acc: int = 32) -> None:
        """Take the number of pictures a step.

        Raises:
            OptionError: It is no whole number of at least 1.
        """
        if isinstance(n_acc, bool) or int(n_acc) != n_acc or n_acc < 1:
            raise OptionError(f"GradientAccumulation(n_acc={n_acc!r}): expected how many pictures make a step, at least 1.")
        self.n_acc = n_acc
        self.count = 0

    def before_fit(self) -> None:
        """Start counting."""
        self.count = 0

    def after_loss(self) -> None:
        """Weigh the batch by its number of pictures."""
        if self.yb:
            self.learn.loss_grad = self.loss_grad * (len(self.y) / self.n_acc)

    def before_step(self) -> None:
        """Leave the step out, and keep the gradients, until enough pictures were seen."""
        self.count += len(self.y)
        if self.count < self.n_acc and self.iter + 1 < self.n_iter:
            raise CancelBatchException
        for parameter in self.model.parameters():
            if parameter.grad is not None and self.count != self.n_acc:
                parameter.grad.mul_(self.n_acc / self.count)
        self.count = 0


class GradientClip(Callback):
    """Shortens gradients so that the norm of all together is at most `max_norm`."""

    order: ClassVar[int] = 11
    run_valid = False

    def __init__(self, max_norm: float = 1.0, norm_type: float = 2.0) -> None:
        """Take the longest norm, and its kind: 2 is Euclid's, infinity the largest element."""
        self.max_norm, self.norm_type = max_norm, norm_type

    def before_step(self) -> None:
        """Shorten."""
        nn.utils.clip_grad_norm_(self.model.parameters(), self.max_norm, self.norm_type)
