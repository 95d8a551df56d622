"""What every loader offers, and the options of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

import numpy as np
import numpy.typing as npt
import torch

from sightline.data.loading.batch import Batch
from sightline.errors import DataError, OptionError, counted, did_you_mean
from sightline.runtime import plan_runtime

Rows: TypeAlias = npt.NDArray[np.int64]
Weights: TypeAlias = npt.NDArray[np.float64]


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

    def gone_through(self, given: int) -> int:
        """How many batches of the present pass were gone through when it had given so many; more where none could be made."""
        return given

    def starting_at(self, given: int, gone_through: int) -> Iterator[Batch]:
        """What is left of the present pass after it gave so many batches.

        Args:
            given: How many. They are made and dropped here, and need not be where a loader knows its order.
            gone_through: What `gone_through` said then.
        """
        rest = iter(self)
        for _ in range(given):
            next(rest, None)
        return rest

    @property
    def n_inp(self) -> int:
        """1: a batch holds one input, the pictures."""
        return 1

    def to(self, device: str | torch.device) -> Self:
        """Makes batches on another device from now on; returns itself."""
        self.device = plan_runtime(device).device
        return self

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
        augmenting: They do so too, though nothing is trained: no picture is left out.
        seed: What order and augmentation follow from, with epoch and row.
        num_workers: Threads that decode; 0 decodes in the thread that asks, None takes one a CPU, at most 8.
        warn: Warn about pictures that are left out; who reads `set_aside` anyway turns it off.
        weights: float64 `(n,)`, how often rows are drawn in relation to one another: if rows are shuffled, a pass draws as many
            as there are, with replacement. None takes each once.
        partial_n: A pass takes this many rows, other ones each epoch; None takes all.
        cache: Whether pictures are decoded once and kept on disk; None does so where it is possible.
    """

    bs: int = 64
    shuffle: bool = False
    drop_last: bool | None = None
    training: bool = False
    augmenting: bool = False
    seed: int = 0
    num_workers: int | None = None
    warn: bool = True
    weights: Weights | None = field(default=None, compare=False)
    partial_n: int | None = None
    cache: bool | None = None

    @property
    def random(self) -> bool:
        """Whether transforms take their random form."""
        return self.training or self.augmenting

    def __post_init__(self) -> None:
        _check_whole("bs", self.bs, 1)
        if self.num_workers is not None:
            _check_whole("num_workers", self.num_workers, 0)
        if self.partial_n is not None:
            _check_whole("partial_n", self.partial_n, 1)
        if self.cache is not None and not isinstance(self.cache, bool):
            raise OptionError(f"cache={self.cache!r} is neither True nor False nor None. SIGHTLINE_CACHE names another folder.")


_OTHER_NAMES = {"batch_size": "bs", "shuffle_train": "shuffle"}
_WITHOUT_MEANING = (
    "pin_memory", "pin_memory_device", "persistent_workers", "prefetch_factor", "timeout", "wif", "worker_init_fn",
    "multiprocessing_context", "do_setup", "verbose", "indexed",
)  # fmt: skip
"""Options of worker processes. Here threads decode, which need none of them; memory is pinned where there is a GPU."""


def settled(options: Mapping[str, Any], known: Iterable[str], what: str) -> dict[str, Any]:
    """Options under the names that are used here; what has no meaning for threads is left out.

    Args:
        options: As the user gave them. `batch_size` is taken for `bs`, `shuffle_train` for `shuffle`; pin_memory,
            persistent_workers, prefetch_factor, timeout, worker_init_fn and the like are accepted and change nothing.
        known: Names that are allowed.
        what: Whose options they are, as the beginning of a message.

    Raises:
        OptionError: An option is neither known nor without meaning.
    """
    known = list(known)
    found: dict[str, Any] = {}
    for given, value in options.items():
        name = _OTHER_NAMES.get(given, given)
        if name in known:
            found[name] = value
        elif name not in _WITHOUT_MEANING:
            hint = did_you_mean(given, [*known, *_OTHER_NAMES, *_WITHOUT_MEANING])
            raise OptionError(f"{what} has no option {given!r}. Expected one of {', '.join(known)}. {hint}".rstrip())
    return found


def _check_whole(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise OptionError(f"{name}={value!r} is not a whole number of at least {least}.")
