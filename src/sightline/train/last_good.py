"""Last good weights: a copy of a network's state from a moment at which its loss and all its numbers were in order.

The copy stays on the network's device and is renewed now and then without the host waiting for anything: whether a moment is a
good one is computed there too, and decides there whether the copy changes.
"""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

SHARE = 200
"""A copy is renewed once this many times as long as it takes has gone by: half a percent of the time."""
EVERY_S = 2.0
"""Seconds between two copies at least where the host cannot see how long one takes: on a GPU."""


class LastGood:
    """The state of a network at its last good moment: parameters and buffers.

    Attributes:
        began_sound: Whether the parameters were finite to begin with.
    """

    def __init__(self, model: nn.Module) -> None:
        """Copy the network as it is; that moment counts as step 0."""
        parameters = [one.detach() for one in model.parameters() if not is_lazy(one)]
        self._tensors = [*parameters, *(one.detach() for one in model.buffers() if not is_lazy(one))]
        self._kept = [one.clone() for one in self._tensors]
        finite = _finite(self._tensors)
        self.began_sound = all(finite[: len(parameters)])
        # What is not finite from the start is meant so, such as a mask of infinities.
        self._watched = [one for one, sound in zip(self._tensors, finite, strict=True) if sound and one.is_floating_point()]
        device = self._tensors[0].device if self._tensors else torch.device("cpu")
        self._step = torch.zeros((), dtype=torch.int64, device=device)
        self._next = 0.0

    @property
    def step(self) -> int:
        """Steps of the fit before the moment of the copy."""
        return int(self._step)

    def renew(self, loss: Tensor, step: int, highest: float = math.inf) -> None:
        """Copy the network, if it is time, and if its loss and its numbers are in order.

        Args:
            loss: What the network, as it is now, has just given.
            step: Steps of the fit so far.
            highest: A higher loss is not in order.
        """
        began = time.perf_counter()
        if began < self._next or not self._tensors:
            return
        with torch.no_grad():
            good = (loss.isfinite() & (loss <= highest)).all() & _sums(self._watched).isfinite().all()
            for kept, tensor in zip(self._kept, self._tensors, strict=True):
                torch.where(good, tensor, kept, out=kept)
            self._step = torch.where(good, torch.full_like(self._step, step), self._step)
        now = time.perf_counter()
        self._next = now + max(SHARE * (now - began), 0.0 if loss.device.type == "cpu" else EVERY_S)

    def is_spoilt(self) -> bool:
        """Whether the network holds numbers that are not finite, now; the host waits for the device."""
        return not bool(_sums(self._watched).isfinite().all())

    def put_back(self) -> None:
        """Make the network what it was at its last good moment, in place."""
        with torch.no_grad():
            for tensor, kept in zip(self._tensors, self._kept, strict=True):
                tensor.copy_(kept)


def _sums(tensors: list[Tensor]) -> Tensor:
    """The sum of each tensor, `(number of tensors,)`: NaN or infinite where one of its numbers is."""
    sums = [one.sum(dtype=torch.promote_types(one.dtype, torch.float32)) for one in tensors]
    return torch.stack(sums) if sums else torch.zeros(0)


def _finite(tensors: list[Tensor]) -> list[bool]:
    found = iter(_sums([one for one in tensors if one.is_floating_point()]).isfinite().tolist())
    return [next(found) if one.is_floating_point() else True for one in tensors]
