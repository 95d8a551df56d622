"""Blocks of a batch: every picture is done once, step after step, whatever the number of threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import pytest
import torch

from reference.pictures import picture
from sightline.data.loading.streams import Streams, computes_by_thread, in_streams
from sightline.data.transforms import blocks
from sightline.data.transforms.augment import aug_transforms, imagenet_stats
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.blocks import in_blocks
from sightline.data.transforms.colour import Hue, Normalize, Saturation


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    """PyTorch may use so many."""
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(1)


def test_every_picture_takes_all_steps_once_and_in_order(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PIXELS", 300)
    images = torch.zeros(50, 1, 10, 10)
    in_blocks(
        [lambda some, _: some.add_(2), lambda some, rows: some.mul_(torch.arange(50)[rows, None, None, None])], images, 100
    )
    assert torch.equal(images, 2 * torch.arange(50.0)[:, None, None, None].expand_as(images))


def test_blocks_are_the_same_for_any_number_of_threads(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PIXELS", 300)
    seen: list[tuple[int, int]] = []
    in_blocks([lambda _, rows: seen.append((rows.start, rows.stop))], torch.zeros(7, 1, 10, 10), 100)
    assert sorted(seen) == [(0, 3), (3, 6), (6, 7)]


def test_large_pictures_are_blocks_of_their_own_and_an_empty_batch_has_none() -> None:
    seen: list[slice] = []
    in_blocks([lambda _, rows: seen.append(rows)], torch.zeros(2, 1, 1, 1), 10**9)
    assert seen == [slice(0, 1), slice(1, 2)]
    in_blocks([lambda _, rows: seen.append(rows)], torch.zeros(0, 1, 1, 1), 1)
    assert len(seen) == 2


def test_each_thread_computes_by_itself_and_the_number_is_as_before_afterwards(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_PIXELS", 1)
    seen: list[int] = []
    in_blocks([lambda some, _: seen.append(torch.get_num_threads())], torch.zeros(9, 1, 1, 1), 1)
    assert seen == [1] * 9
    assert torch.get_num_threads() == threads
    started_later: list[int] = []
    later = threading.Thread(target=lambda: started_later.append(torch.get_num_threads()))
    later.start()
    later.join()
    assert started_later == [threads]


def test_what_goes_wrong_in_any_thread_is_raised(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PIXELS", 1)

    def failing(_: torch.Tensor, rows: slice) -> None:
        if rows.start == 7:
            raise ValueError("picture 7")

    with pytest.raises(ValueError, match="picture 7"):
        in_blocks([failing], torch.zeros(9, 1, 1, 1), 1)
    assert torch.get_num_threads() == threads


def augmented(transforms: list, *, evaluation: bool = False) -> torch.Tensor:
    batch = torch.from_numpy(np.stack([picture(24, 32, number) for number in range(11)]))
    pipeline = BatchPipeline([*transforms, Normalize(*imagenet_stats)])
    return pipeline.evaluate(batch) if evaluation else pipeline.train(batch, seed=3, epoch=1, rows=np.arange(11))


@pytest.mark.parametrize("options", [{}, {"size": 16, "min_scale": 0.1}, {"xtra_tfms": [Hue(), Saturation()]}])
def test_threads_and_blocks_change_no_bit(threads: int, options: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    in_one_block = [augmented(aug_transforms(**options), evaluation=form) for form in (False, True)]
    monkeypatch.setattr(blocks, "_PIXELS", 24 * 32 * 2)
    for form, expected in zip((False, True), in_one_block, strict=True):
        assert torch.equal(augmented(aug_transforms(**options), evaluation=form), expected)


def test_batches_may_be_made_in_inference_mode(threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "_PIXELS", 24 * 32)
    expected = augmented(aug_transforms())
    with torch.inference_mode():
        assert torch.equal(augmented(aug_transforms()), expected)


@pytest.mark.skipif(not computes_by_thread(), reason="this build of PyTorch has one number of threads for all")
@pytest.mark.parametrize("each", [1, 2])
def test_work_in_streams_leaves_the_number_of_threads_that_start_later_as_it_was(
    each: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks, "_PIXELS", 1)
    torch.set_num_threads(4)
    work = lambda _: in_blocks([lambda some, _: some.add_(1)], torch.zeros(5, 1, 1, 1), 1)
    during: list[int] = []

    def asked_of_a_new_thread() -> int:
        found: list[int] = []
        later = threading.Thread(target=lambda: found.append(torch.get_num_threads()))
        later.start()
        later.join()
        return found[0]

    for _ in in_streams(range(12), work, Streams(2, threads=each)):
        during.append(asked_of_a_new_thread())
    assert asked_of_a_new_thread() == 4
    assert each > 1 or during == [4] * 12
