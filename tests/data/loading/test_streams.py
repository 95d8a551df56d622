"""Streams: order, errors, and threads that leave nothing behind."""

from __future__ import annotations

import threading
import time

import pytest
import torch

from sightline.data.loading.streams import AHEAD, Streams, computes_by_thread, in_streams


def ours() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sightline-stream")]


def test_results_come_in_order_whoever_is_quicker():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0)
        return number**2

    assert list(in_streams(range(20), slow_first, Streams(3))) == [number**2 for number in range(20)]
    assert not ours()


def test_an_error_reaches_the_one_who_asks_and_ends_the_threads():
    def fails(number: int) -> int:
        if number == 3:
            raise ValueError("the third")
        return number

    found = in_streams(range(100), fails, Streams(2))
    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="the third"):
        next(found)
    assert not ours()


def test_who_stops_early_leaves_no_thread_and_little_done():
    done: list[int] = []
    found = in_streams(range(10**9), done.append, Streams(2))
    next(found)
    found.close()
    assert len(done) <= 2 * AHEAD + 1
    assert not ours()


@pytest.mark.skipif(not computes_by_thread(), reason="this build of PyTorch has one number of threads for all")
def test_each_thread_computes_with_its_own_number_of_threads_and_no_other_does():
    torch.set_num_threads(3)

    def threads(_: int) -> int:
        torch.ones(300, 300) @ torch.ones(300, 300)
        return torch.get_num_threads()

    assert set(in_streams(range(8), threads, Streams(2, threads=1))) == {1}
    assert torch.get_num_threads() == 3
    later: list[int] = []
    thread = threading.Thread(target=lambda: later.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert later == [3]


@pytest.mark.skipif(not computes_by_thread(), reason="this build of PyTorch has one number of threads for all")
def test_there_is_a_stream_for_each_cpu_that_pytorch_computes_with(monkeypatch):
    monkeypatch.setattr("sightline.data.loading.streams.cpus", lambda: 40)
    torch.set_num_threads(36)
    assert Streams.planned() == Streams(16, threads=2)
    assert Streams.planned(4) == Streams(4, threads=9)
    assert Streams.planned(80) == Streams(80, threads=1)
    assert Streams.planned(0).count == 1
    torch.set_num_threads(1)
    assert Streams.planned() == Streams(1, threads=1)


def test_batches_are_small_enough_for_all_to_end_together():
    assert [Streams(2).batch_size(pictures, 64) for pictures in (20, 256, 600, 5000)] == [16, 16, 37, 64]
    assert Streams(2).batch_size(5000, 8) == 8
