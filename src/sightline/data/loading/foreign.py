"""ForeignLoader: the user's own batches, such as a torch DataLoader's, where a learner expects a loader of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from typing import Any

import numpy as np
import torch

from sightline.data.loading.any_loader import AnyLoader, Rows
from sightline.data.loading.batch import Batch
from sightline.errors import DataError, OptionError, TrainingError

_DEAD_WITHIN_S = 3.0


class ForeignLoader(AnyLoader):
    """Batches `(image, target)` or `(image, target, index)` of any iterable that can be gone through again and again.

    They are taken as they are, moved to the device and numbered in the order in which they come, unless they bring their own
    index: nothing is decoded, augmented or normalised here.
    """

    def __init__(self, source: Any, device: torch.device) -> None:
        """Wraps `source`.

        Raises:
            OptionError: It cannot be gone through twice.
        """
        if not hasattr(source, "__iter__") or hasattr(source, "__next__"):
            raise OptionError(
                f"A {type(source).__name__} cannot be gone through again and again. Expected a torch DataLoader, a list of "
                "batches (image, target), or a loader of sightline."
            )
        self.source = source
        self.device = device
        self.epoch = 0
        self.set_aside = {}

    def __len__(self) -> int:
        if hasattr(self.source, "__len__"):
            return len(self.source)
        return sum(1 for _ in self.source)

    @property
    def n(self) -> int:
        dataset: Any = getattr(self.source, "dataset", None)
        if hasattr(dataset, "__len__"):
            # A torch DataLoader may drop its last batch.
            return min(len(dataset), len(self) * self.bs) if getattr(self.source, "drop_last", False) else len(dataset)
        if isinstance(self.source, (list, tuple)):
            return sum(len(batch[0]) for batch in self.source)
        return len(self) * self.bs

    @property
    def bs(self) -> int:
        size = getattr(self.source, "batch_size", None)
        if isinstance(size, int):
            return size
        first = self.source[0] if isinstance(self.source, (list, tuple)) and self.source else next(iter(self.source), None)
        return 1 if first is None else len(first[0])

    @property
    def rows(self) -> Rows:
        return np.arange(self.n, dtype=np.int64)

    def __iter__(self) -> Iterator[Batch]:
        epoch, start = self.epoch, 0
        sampler: Any = getattr(self.source, "sampler", None)
        if hasattr(sampler, "set_epoch"):
            sampler.set_epoch(epoch)
        for given in self._given():
            batch = self._batch(given, start)
            start += batch.n
            yield batch
        self.epoch = epoch + 1

    def _given(self) -> Iterator[Any]:
        """What the source gives.

        Raises:
            TrainingError: One of its worker processes died.
        """
        given = iter(self.source)
        while True:
            try:
                one = next(given)
            except StopIteration:
                return
            except (RuntimeError, OSError, EOFError) as error:
                # PyTorch tells it in many ways, by what it was doing then: a broken connection, an end of file.
                workers = [worker for worker in getattr(given, "_workers", ()) if isinstance(worker, BaseProcess)]
                dead = _dead(workers)
                if not dead and not (workers and isinstance(error, ConnectionError | EOFError)):
                    raise
                raise TrainingError(
                    f"A worker process of the {type(self.source).__name__} died: {', '.join(dead) or 'which, is not known'}. "
                    "Expected batches until the end. A process that is killed (signal 9) mostly had too little memory: use "
                    "fewer workers or smaller batches. num_workers=0 shows what they do."
                ) from error
            yield one

    def _batch(self, given: Any, start: int) -> Batch:
        if isinstance(given, Batch):
            return given.to(self.device)
        if not isinstance(given, (list, tuple)) or not 2 <= len(given) <= 3:
            raise DataError(f"A batch is a {type(given).__name__}. Expected (image, target) or (image, target, index).")
        image, target = (torch.as_tensor(part) for part in given[:2])
        index = given[2] if len(given) == 3 else range(start, start + len(image))
        if not len(image) == len(target) == len(index):
            raise DataError(
                f"A batch has {len(image)} pictures, {len(target)} targets and {len(index)} indices. Expected as many of each."
            )
        return Batch(image, target, np.asarray(index, dtype=np.int64)).to(self.device)


def _dead(workers: list[BaseProcess]) -> list[str]:
    """Which of some processes have ended by no wish of anyone's, and how."""
    if workers:
        # A connection breaks a moment before its process has ended; and then PyTorch's own handler of that signal interrupts.
        with suppress(RuntimeError):
            wait([worker.sentinel for worker in workers], timeout=_DEAD_WITHIN_S)
    ends = [(worker.pid, worker.exitcode) for worker in workers if worker.exitcode]
    return [f"pid {pid} ({f'signal {-code}' if code < 0 else f'exit code {code}'})" for pid, code in ends]
