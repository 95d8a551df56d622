"""What every loader offers, and the options of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from sightline.data.batch import Batch
from sightline.errors import DataError, OptionError, counted

Rows: TypeAlias = npt.NDArray[np.int64]


class AnyLoader(ABC):
    """What a learner needs of a loader, whether it is ours or a wrapped one of the user's.

    Attributes:
        device: Where batches are made.
        epoch: Counts the passes; a full pass raises it by one, and it may be set.
        set_aside: Why a picture could not be used, by row.
    """

    device: torch.device
    epoch: int = 0
    set_aside: dict[int, str]

    @abstractmethod
    def __iter__(self) -> Iterator[Batch]:
        """One pass over the data."""

    @abstractmethod
    def __len__(self) -> int:
        """Number of batches in a pass."""

    @property
    @abstractmethod
    def n(self) -> int:
        """Number of rows that are served."""

    @property
    @abstractmethod
    def bs(self) -> int:
        """Number of pictures in a full batch."""

    @property
    @abstractmethod
    def rows(self) -> Rows:
        """int64 `(n,)`, the rows that are served, in their own order; `Batch.index` holds such numbers."""

    def one_batch(self) -> Batch:
        """The first batch of the present epoch; the epoch does not move on.

        Raises:
            DataError: There is none.
        """
        return self._first(iter(self))

    def _first(self, batches: Iterator[Batch]) -> Batch:
        batch = next(batches, None)
        if isinstance(batches, Generator):
            batches.close()
        if batch is None:
            raise DataError(f"The loader has no batch to give: it serves {counted(self.n, 'picture')}.")
        return batch


@dataclass(frozen=True)
class LoaderOptions:
    """How a loader goes through its rows.

    Attributes:
        bs: Pictures a batch.
        shuffle: Another order each epoch.
        drop_last: Leave out the last batch if it is not full; None does so in training if rows are shuffled. A part smaller
            than one batch is never dropped. In training, a last batch of one picture is left out whatever is said here: it has
            no batch statistics.
        training: Transforms take their random form.
        seed: What order and augmentation follow from, with epoch and row.
        num_workers: Threads that decode; 0 decodes in the thread that asks, None takes one a CPU, at most 8.
        warn: Warn about pictures that are left out; who reads `set_aside` anyway turns it off.
    """

    bs: int = 64
    shuffle: bool = False
    drop_last: bool | None = None
    training: bool = False
    seed: int = 0
    num_workers: int | None = None
    warn: bool = True

    def __post_init__(self) -> None:
        _check_whole("bs", self.bs, 1)
        if self.num_workers is not None:
            _check_whole("num_workers", self.num_workers, 0)


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError(f"{name}={value!r} is not a whole number of at least {least}.")
