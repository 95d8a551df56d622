"""Evaluation for a while: a network computes as it predicts, and is afterwards as it was."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
from torch import nn


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Evaluation mode without gradients; every layer's own mode comes back afterwards, and no statistics change.

    Several threads may do so at once: the modes come back when the last of them is done with a layer.
    """
    layers = _lent().take(module)
    try:
        with torch.no_grad():
            yield
    finally:
        _lent().give_back(layers)


class _Lent:
    """The layers that are in evaluation mode for a while alone, and how many blocks need each.

    A layer has one mode for all threads, whoever holds the network, so this is noted once for the process. Nothing stays noted
    when no block is under way.
    """

    def __init__(self) -> None:
        self._users: Counter[nn.Module] = Counter()
        self._lock = threading.Lock()

    def take(self, module: nn.Module) -> list[nn.Module]:
        """Puts a network into evaluation mode; which of its layers would train otherwise."""
        with self._lock:
            layers = [layer for layer in module.modules() if layer.training or layer in self._users]
            self._users.update(layers)
            module.eval()
            return layers

    def give_back(self, layers: list[nn.Module]) -> None:
        """Lets layers train again that no other block needs."""
        with self._lock:
            for layer in layers:
                self._users[layer] -= 1
                if not self._users[layer]:
                    del self._users[layer]
                    layer.training = True


@cache
def _lent() -> _Lent:
    return _Lent()
