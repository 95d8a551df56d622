"""Batches worked on a few pictures at a time, so that on a CPU each stays in the processor's cache from step to step.

A step over a whole batch writes it to memory and the next one reads it back, which takes longer than computing it. Here all
steps are done to one block of pictures before the next block is begun, by as many threads as PyTorch may use. Which pictures
make a block depends on their size alone, so threads change no number. A GPU is given the whole batch at once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch

Step = Callable[[torch.Tensor, slice], object]
"""Changes some pictures of a batch in place; it is told which rows they are. What it returns is not used."""

_PIXELS = 2**16
"""Pixels of a block: few enough for a core's own cache, enough for the time in which Python goes from step to step."""


def in_blocks(steps: Sequence[Step], images: torch.Tensor, pixels: int) -> None:
    """Does all steps to the pictures of a batch, block by block.

    Args:
        steps: What to do, in order.
        images: `(N, C, h, w)`.
        pixels: Pixels of a picture, where it has most of them.
    """

    def work(rows: slice) -> None:
        some = images[rows]
        for step in steps:
            step(some, rows)

    if images.device.type != "cpu":
        work(slice(None))
        return
    size = max(1, _PIXELS // max(1, pixels))
    blocks = [slice(start, min(start + size, len(images))) for start in range(0, len(images), size)]
    _shared(work, blocks, min(torch.get_num_threads(), len(blocks)))


def _shared(work: Callable[[slice], None], blocks: Sequence[slice], threads: int) -> None:
    """Does the work by some threads, this one among them, each of which computes by itself: its steps are short."""
    waiting, inference, before = deque(blocks), torch.is_inference_mode_enabled(), torch.get_num_threads()

    def share() -> None:
        # Left alone where it is right already, as in a stream: threads that start later begin with whatever was set last.
        if torch.get_num_threads() > 1:
            torch.set_num_threads(1)
        with torch.inference_mode(inference):
            while waiting:
                try:
                    rows = waiting.popleft()
                except IndexError:  # another thread was quicker
                    return
                work(rows)

    if before == 1:
        share()
        return
    try:
        with ThreadPoolExecutor(max(1, threads - 1), thread_name_prefix="sightline-augment") as pool:
            helpers = [pool.submit(share) for _ in range(threads - 1)]
            share()
            for helper in helpers:
                helper.result()
    finally:
        # Every thread has a number of its own; threads that are yet to start take what was set last.
        torch.set_num_threads(before)
