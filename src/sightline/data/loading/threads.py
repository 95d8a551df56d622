"""Decoding ahead: samples of the next batches are made in threads while the present one is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import TypeVar

from torch import Tensor

from sightline.data.loading.any_loader import Rows
from sightline.data.loading.crew import Crew, result_of
from sightline.data.loading.samples import Sample
from sightline.errors import ImageError

Decoded = Sample | ImageError
Item = TypeVar("Item")


def decoded(
    groups: Sequence[Rows],
    sample: Callable[[int], Decoded],
    workers: int,
    prefetch: int,
    look: Callable[[], None] = lambda: None,
) -> Generator[list[Decoded]]:
    """The samples of each group in turn, decoded by threads that end with this iterator, however it ends.

    Args:
        groups: Rows of each batch.
        sample: Called with a row, from any thread.
        workers: Number of threads; 0 works in the thread that asks.
        prefetch: How many groups are begun ahead of the one that is asked for.
        look: Called now and then while threads are waited for; see `Watch.look`.
    """
    for found in whole_or_decoded(groups, lambda rows: None, sample, workers, prefetch, look):
        if isinstance(found, list):
            yield found


def whole_or_decoded(
    groups: Sequence[Rows],
    whole: Callable[[Rows], Tensor | None],
    sample: Callable[[int], Decoded],
    workers: int,
    prefetch: int,
    look: Callable[[], None] = lambda: None,
) -> Generator[Tensor | list[Decoded]]:
    """The same for groups that may be there already.

    Args:
        groups: As above, and so is what is not described.
        whole: Asked first, with the rows of a group, by the thread that asks for the group: its pictures in one tensor, or None
            if they must be made one by one.
        sample: See `groups`.
        workers: See `groups`.
        prefetch: See `groups`.
        look: See `groups`.
    """
    crew = Crew(workers, "sightline-decode") if workers else None

    def begun(rows: Rows) -> Callable[[], Tensor | list[Decoded]]:
        there = whole(rows)
        if there is not None:
            return lambda: there
        if crew is None:
            return lambda: [sample(row) for row in rows.tolist()]
        futures = [crew.submit(sample, row) for row in rows.tolist()]
        return lambda: [result_of(future, look) for future in futures]

    try:
        upcoming = map(begun, groups)
        waiting = deque(islice(upcoming, prefetch + 1))
        while waiting:
            yield waiting.popleft()()
            # After the yield: with nothing begun ahead, the threads rest while the batch is in use.
            waiting.extend(islice(upcoming, 1))
    finally:
        if crew is not None:
            crew.dismiss()


def made_ahead(items: Generator[Item], depth: int) -> Generator[Item]:
    """What a generator gives, made by one thread, `depth` items ahead of the one that is asked for."""
    crew = Crew(1, "sightline-gather")
    end = object()
    try:
        waiting: deque[Future[Item | object]] = deque(crew.submit(next, items, end) for _ in range(depth))
        while True:
            waiting.append(crew.submit(next, items, end))
            item = result_of(waiting.popleft(), lambda: None)
            if item is end:
                return
            yield item  # type: ignore[misc]
    finally:
        if crew.dismiss():  # else its thread is still inside the generator, which nobody else can close then
            items.close()
