"""Decoding ahead: samples of the next batches are made in threads while the present one is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from torch import Tensor

from sightline.data.loading.any_loader import Rows
from sightline.data.loading.samples import Sample
from sightline.errors import ImageError

Decoded = Sample | ImageError
Item = TypeVar("Item")


def decoded(groups: Sequence[Rows], sample: Callable[[int], Decoded], workers: int, prefetch: int) -> Generator[list[Decoded]]:
    """The samples of each group in turn, decoded by threads that end with this iterator, however it ends.

    Args:
        groups: Rows of each batch.
        sample: Called with a row, from any thread.
        workers: Number of threads; 0 works in the thread that asks.
        prefetch: How many groups are begun ahead of the one that is asked for.
    """
    for found in whole_or_decoded(groups, lambda rows: None, sample, workers, prefetch):
        if isinstance(found, list):
            yield found


def whole_or_decoded(
    groups: Sequence[Rows],
    whole: Callable[[Rows], Tensor | None],
    sample: Callable[[int], Decoded],
    workers: int,
    prefetch: int,
) -> Generator[Tensor | list[Decoded]]:
    """The same for groups that may be there already.

    Args:
        groups: As above, and so is what is not described.
        whole: Asked first, with the rows of a group, by the thread that asks for the group: its pictures in one tensor, or None
            if they must be made one by one.
        sample: See `groups`.
        workers: See `groups`.
        prefetch: See `groups`.
    """
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sightline-decode") if workers else None

    def begun(rows: Rows) -> Callable[[], Tensor | list[Decoded]]:
        there = whole(rows)
        if there is not None:
            return lambda: there
        if pool is None:
            return lambda: [sample(row) for row in rows.tolist()]
        futures = [pool.submit(sample, row) for row in rows.tolist()]
        return lambda: [future.result() for future in futures]

    try:
        upcoming = map(begun, groups)
        waiting = deque(islice(upcoming, prefetch + 1))
        while waiting:
            yield waiting.popleft()()
            # After the yield: with nothing begun ahead, the threads rest while the batch is in use.
            waiting.extend(islice(upcoming, 1))
    finally:
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def made_ahead(items: Generator[Item], depth: int) -> Generator[Item]:
    """What a generator gives, made by one thread, `depth` items ahead of the one that is asked for."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="sightline-gather")
    end = object()
    try:
        waiting: deque[Future[Item | object]] = deque(pool.submit(next, items, end) for _ in range(depth))
        while True:
            waiting.append(pool.submit(next, items, end))
            item = waiting.popleft().result()
            if item is end:
                return
            yield item  # type: ignore[misc]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        items.close()
