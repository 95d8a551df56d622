"""Decoding ahead: samples of the next batches are made in threads while the present one is in use."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice

from sightline.data.loading.any_loader import Rows
from sightline.data.loading.samples import Sample
from sightline.errors import ImageError


def decoded(
    groups: Sequence[Rows], sample: Callable[[int], Sample | ImageError], workers: int, prefetch: int
) -> Generator[list[Sample | ImageError]]:
    """The samples of each group in turn, decoded by threads that end with this iterator, however it ends.

    Args:
        groups: Rows of each batch.
        sample: Called with a row, from any thread.
        workers: Number of threads; 0 works in the thread that asks.
        prefetch: How many groups are begun ahead of the one that is asked for.
    """
    if workers == 0:
        for rows in groups:
            yield [sample(row) for row in rows.tolist()]
        return
    pool = ThreadPoolExecutor(workers, thread_name_prefix="sightline-decode")
    try:
        upcoming = ([pool.submit(sample, row) for row in rows.tolist()] for rows in groups)
        waiting: deque[list[Future[Sample | ImageError]]] = deque(islice(upcoming, prefetch + 1))
        while waiting:
            yield [future.result() for future in waiting.popleft()]
            # After the yield: with nothing begun ahead, the threads rest while the batch is in use.
            waiting.extend(islice(upcoming, 1))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
