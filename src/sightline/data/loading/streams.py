"""Streams: batches made and used by several threads at once, each with its share of the CPUs, given in order.

Where nothing is learned, batches have nothing to do with one another. A thread that decodes its own pictures and computes with
them, on one core, never waits for another, and what it works on stays in that core's cache.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch

from sightline.data.loading.crew import Crew, result_of
from sightline.runtime import cpus

MOST_STREAMS = 16
"""More threads would wait for Python's lock; past as many cores, each computes with several."""
FEWEST = 16
"""Pictures that a stream takes at least, and so many that it comes 8 times or more, for all to end at about the same time."""
AHEAD = 2
"""How many batches a stream may be ahead of the one that is asked for, so that memory is bounded however slow the asker is."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Streams:
    """How many threads work side by side.

    Attributes:
        count: Threads.
        threads: With how many threads of PyTorch's each computes.
    """

    count: int
    threads: int = 1

    @classmethod
    def planned(cls, workers: int | None = None) -> Streams:
        """The streams of this process.

        Args:
            workers: How many are wanted; None takes one for each CPU that PyTorch computes with, at most 16; 0 is none but the
                thread that asks.
        """
        able = min(cpus(), torch.get_num_threads())
        if not computes_by_thread() or workers == 0:
            return cls(1, able)
        count = min(able, MOST_STREAMS) if workers is None else workers
        return cls(count, max(1, able // count))

    def batch_size(self, pictures: int, most: int) -> int:
        """How many of some pictures a stream takes at once, at most `most`."""
        return min(most, max(FEWEST, pictures // (8 * self.count)))


def computes_by_thread() -> bool:
    """Whether each thread may have a number of PyTorch's threads of its own: so it is with OpenMP, which counts by thread."""
    return "ATen parallel backend: OpenMP" in torch.__config__.parallel_info()


def in_streams(
    items: Iterable[Item], work: Callable[[Item], Result], streams: Streams, look: Callable[[], None] = lambda: None
) -> Generator[Result]:
    """What `work` gives for each item, in their order, by threads that end with this iterator, however it ends.

    Args:
        items: What is worked on.
        work: Called with an item, from any of the threads.
        streams: How many threads.
        look: Called now and then while they are waited for; see `Watch.look`.
    """
    with _workers(streams) as crew:
        upcoming = (crew.submit(work, item) for item in items)
        waiting: deque[Future[Result]] = deque(islice(upcoming, streams.count * AHEAD))
        while waiting:
            result = result_of(waiting.popleft(), look)
            waiting.extend(islice(upcoming, 1))
            yield result


@contextmanager
def _workers(streams: Streams) -> Iterator[Crew]:
    """Threads that compute with their own number of PyTorch's threads; that of the thread that asks stays as it is."""
    own = torch.get_num_threads()
    settled = threading.Barrier(streams.count + 1)

    def settle() -> None:
        # Asked first, for a new thread takes the number of the process at its first question or first work, whatever was set.
        torch.get_num_threads()
        torch.set_num_threads(streams.threads)
        settled.wait()

    crew = Crew(streams.count, "sightline-stream")
    try:
        for _ in range(streams.count):
            crew.submit(settle)
        settled.wait()
        # What was set last is also what threads begin with that start later.
        torch.set_num_threads(own)
        yield crew
    finally:
        settled.abort()
        crew.dismiss()
        # Work in a stream may have set it anew.
        torch.set_num_threads(own)
