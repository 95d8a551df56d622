"""Feeding: how quickly pictures come to the network, each station on their way for itself."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import numpy as np
from torch import Tensor

from sightline.data.loading.loaders import Loader
from sightline.train.measuring.peak import wait_for
from sightline.train.measuring.stages import Stage

_FEWEST, _MOST = 3, 1000


def measure_decoding(loader: Loader, seconds: float) -> Stage:
    """The stage decode: batches read from files, decoded and brought to the item size by the loader's threads.

    Args:
        loader: It stays as it was; what it keeps is not used.
        seconds: About how long.

    Raises:
        DataError: A whole batch cannot be read.
    """
    return _repeated("decode", _first_batches(loader.new(cache=False, device="cpu")), seconds)


def measure_gathering(loader: Loader, seconds: float) -> Stage | None:
    """The stage gather: batches put together of pictures that are kept; None where none are kept.

    Args:
        loader: It stays as it was, and keeps some pictures more.
        seconds: About how long.
    """
    if not keeps(loader):
        return None
    few = loader.new(part=loader.part.only(np.unique(loader.order(loader.epoch)[: loader.bs])), partial_n=None, device="cpu")
    for _ in few:
        # A pass keeps what was not kept before.
        continue
    return _repeated("gather", _first_batches(few), seconds)


def measure_transforms(loader: Loader, seconds: float) -> list[Stage]:
    """The stages copy (to a GPU only) and augment.

    Args:
        loader: It stays as it was.
        seconds: About how long, for both together.

    Raises:
        DataError: The first batch cannot be read.
    """
    device = loader.device
    batch = loader.new(device="cpu").raw_batch()
    keys = loader.keys(loader.epoch)[: len(batch)]
    stages = []
    if device.type != "cpu":
        batch = batch.pin_memory() if device.type == "cuda" else batch
        stages.append(_repeated("copy", lambda: batch.to(device, non_blocking=True), seconds / 2))
    raw, options = batch.to(device), loader.options

    def augmented() -> Tensor:
        if not options.random:
            return loader.batches.evaluate(raw)
        return loader.batches.train(raw, seed=options.seed, epoch=loader.epoch, rows=keys)

    return [*stages, _repeated("augment", augmented, seconds / 2)]


def keeps(loader: object) -> bool:
    """Whether a loader keeps decoded pictures for later epochs."""
    return isinstance(loader, Loader) and loader.reads.kept is not None


def _first_batches(loader: Loader) -> Callable[[], Tensor]:
    """Gives the first batch of one epoch after the other, before its transforms."""
    epochs = itertools.count(loader.epoch)

    def next_batch() -> Tensor:
        loader.epoch = next(epochs)
        return loader.raw_batch()

    return next_batch


def _repeated(name: str, work: Callable[[], Tensor], seconds: float) -> Stage:
    """A stage that is done again and again, after once that is not counted."""
    device = work().device
    wait_for(device)
    times: list[tuple[float, int]] = []
    began = time.perf_counter()
    while len(times) < _FEWEST or (len(times) < _MOST and time.perf_counter() - began < seconds):
        start = time.perf_counter()
        made = work()
        wait_for(device)
        times.append((time.perf_counter() - start, len(made)))
    return Stage.of(name, times)
