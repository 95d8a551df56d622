"""Batches follow from seed, epoch and row alone; threads end with the iterator; what cannot be read is told, not raised."""

from __future__ import annotations

import gc
import threading
import time

import numpy as np
import pytest
import torch

from data.drawn import cut_short, draw, draw_folder, pixels
from sightline import draws
from sightline.data.block import DataBlock
from sightline.data.blocks import CategoryBlock, ImageBlock
from sightline.data.loading.any_loader import LoaderOptions
from sightline.data.loading.loaders import Loader
from sightline.data.loading.samples import Part
from sightline.data.loading.threads import decoded
from sightline.data.rows.files import get_image_files
from sightline.data.rows.getters import parent_label
from sightline.data.rows.split import GrandparentSplitter
from sightline.data.transforms.augment import aug_transforms
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.chance import ItemDraw
from sightline.data.transforms.items import RandomResizedCrop, Resize
from sightline.errors import DataError, ImageError, OptionError, SightlineWarning

CPU = torch.device("cpu")


class Numbered:
    """Samples without files: every pixel of row r is r; some rows fail, and what is asked for is written down."""

    def __init__(self, n, failing=(), wait_s=0.0):
        self.n, self.failing, self.wait_s = n, set(failing), wait_s
        self.asked = []

    def __len__(self):
        return self.n

    def __call__(self, row, draw):
        self.asked.append((row, draw.epoch, draw.training))
        time.sleep(self.wait_s)
        if row in self.failing:
            raise ImageError(f"'{row}.png' cannot be read: it is empty (0 bytes).")
        return np.full((2, 2, 3), row, dtype=np.uint8)

    def name(self, row):
        return f"{row}.png"


def numbered(n, samples=None, **options):
    samples = samples or Numbered(n)
    given = {"bs": 4, "num_workers": 0} | options
    part = Part(samples, np.arange(n, dtype=np.int64), torch.arange(n) * 10)
    return Loader(part, BatchPipeline(None), LoaderOptions(**given), CPU)


def rows(loader):
    return [batch.index.tolist() for batch in loader]


def decoders():
    return [thread for thread in threading.enumerate() if thread.name.startswith("sightline-decode")]


@pytest.fixture
def pets(tmp_path):
    return draw_folder(tmp_path / "pets", {"train/cat": 9, "train/dog": 8, "valid/cat": 3, "valid/dog": 2}, size=(40, 30))


def loaded(root, **options):
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        get_items=get_image_files,
        splitter=GrandparentSplitter(),
        get_y=parent_label,
        item_tfms=options.pop("item_tfms", RandomResizedCrop(16)),
        batch_tfms=options.pop("batch_tfms", aug_transforms()),
    )
    return block.dataloaders(root, **({"bs": 5, "seed": 11} | options))


# What a batch holds


def test_pixels_targets_and_rows_belong_together():
    for batch in numbered(10, training=True, shuffle=True, seed=3):
        assert (batch.image[:, 0, 0, 0] * 255).round().int().tolist() == batch.index.tolist()
        assert batch.target.tolist() == (batch.index * 10).tolist()
        assert batch.index.dtype == np.int64


@pytest.mark.parametrize("workers", [1, 4, None])
def test_batches_are_the_same_bit_for_bit_whatever_the_number_of_threads(pets, workers):
    alone, many = loaded(pets, num_workers=0), loaded(pets, num_workers=workers)
    for _ in range(2):
        for one, other in zip(alone.train, many.train, strict=True):
            assert torch.equal(one.image, other.image)
            assert torch.equal(one.target, other.target)
            assert one.index.tolist() == other.index.tolist()
    for one, other in zip(alone.valid, many.valid, strict=True):
        assert torch.equal(one.image, other.image)


def test_nothing_depends_on_or_touches_the_global_generators(pets):
    dls = loaded(pets)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    first = [batch.image for batch in dls.train]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (np.random.get_state()[1] == before[1]).all()
    torch.manual_seed(99)
    dls.train.epoch = 0
    assert all(torch.equal(one, other.image) for one, other in zip(first, dls.train, strict=True))


def test_the_order_is_the_permutation_of_seed_and_epoch_and_the_epoch_counts_full_passes():
    loader = numbered(10, training=True, shuffle=True, seed=5, bs=5)
    for epoch in range(2):
        assert loader.epoch == epoch
        assert np.concatenate(rows(loader)).tolist() == draws.permutation(5, epoch, 10).tolist()
    for _ in loader:
        break
    loader.one_batch()
    assert loader.epoch == 2
    loader.epoch = 7
    assert np.concatenate(rows(loader)).tolist() == draws.permutation(5, 7, 10).tolist()
    assert loader.epoch == 8


def test_samples_are_told_epoch_and_training():
    samples = Numbered(4)
    loader = numbered(4, samples, training=True, shuffle=True, bs=2)
    loader.epoch = 3
    rows(loader)
    assert {asked[1:] for asked in samples.asked} == {(3, True)}
    rows(numbered(4, samples := Numbered(4)))
    assert {asked[1:] for asked in samples.asked} == {(0, False)}


def test_augmentation_differs_between_epochs_and_validation_does_not(pets):
    dls = loaded(pets)
    epochs = [
        {int(row): image for batch in dls.train for row, image in zip(batch.index, batch.image, strict=True)} for _ in "12"
    ]
    shared = set(epochs[0]) & set(epochs[1])
    assert shared
    assert not any(torch.equal(epochs[0][row], epochs[1][row]) for row in shared)
    once, again = ([batch.image for batch in dls.valid] for _ in "12")
    assert all(torch.equal(one, other) for one, other in zip(once, again, strict=True))


# How many batches


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"training": True, "shuffle": True}, [4, 4]),
        ({"training": True, "shuffle": False}, [4, 4, 2]),
        ({"training": True, "shuffle": True, "drop_last": False}, [4, 4, 2]),
        ({"drop_last": True}, [4, 4]),
        ({}, [4, 4, 2]),
        ({"training": True, "shuffle": True, "bs": 64}, [10]),
        ({"training": True, "shuffle": True, "bs": 64, "drop_last": True}, [10]),
        ({"training": True, "shuffle": True, "bs": 9}, [9]),
        ({"training": True, "shuffle": False, "bs": 3}, [3, 3, 3]),
        ({"training": True, "shuffle": True, "bs": 3, "drop_last": False}, [3, 3, 3]),
        ({"training": True, "shuffle": False, "bs": 9}, [9]),
        ({"training": False, "bs": 3}, [3, 3, 3, 1]),
        ({"training": True, "shuffle": False, "bs": 64}, [10]),
    ],
    ids=str,
)
def test_the_last_batch_is_dropped_in_shuffled_training_unless_it_is_the_only_one(options, sizes):
    loader = numbered(10, **options)
    assert [len(batch) for batch in rows(loader)] == sizes
    assert len(loader) == len(sizes)
    assert len(loader.order(0)) == loader.n_used == sum(sizes)


def test_a_picture_that_would_make_a_training_batch_alone_is_left_out_and_told_once(pets):
    with pytest.warns(SightlineWarning) as caught:
        dls = loaded(pets, bs=4, shuffle=False)
    assert [str(warning.message) for warning in caught] == [
        "17 training pictures in batches of 4 leave one over ('train/dog/7.png'), which is left out of the epoch: batch "
        "statistics need two pictures. Choose another bs to use all of them."
    ]
    assert [batch.n for batch in dls.train] == [4] * len(dls.train) == [4] * 4
    assert sum(batch.n for batch in dls.evaluation(0)) == 17
    with pytest.warns(SightlineWarning, match=r"leave one over \(another one each epoch\)"):
        dls = loaded(pets, bs=8, drop_last=False)
    left_out = {(set(range(17)) - {int(row) for batch in dls.train for row in batch.index}).pop() for _ in range(8)}
    assert len(left_out) > 1


def test_training_batches_of_one_picture_are_refused(pets, tmp_path):
    with pytest.raises(OptionError, match=r"bs=1: every training batch would be one picture.*two pictures: use bs=2 or more"):
        loaded(pets, bs=1)
    assert loaded(pets, bs=5, val_bs=1).valid.bs == 1
    block = DataBlock.from_columns((ImageBlock, CategoryBlock(vocab=["a"], add_na=True)), splitter=lambda items: ([0], [1]))
    with pytest.raises(OptionError, match=r"The training part has 1 picture: every training batch .*: put at least one more"):
        block.dataloaders(([pixels(0), pixels(1)], ["a", "a"]), bs=4)


def test_a_loader_has_a_size_rows_and_options():
    loader = numbered(10, seed=4)
    assert (loader.n, loader.bs, len(loader), loader.num_workers) == (10, 4, 3, 0)
    assert loader.rows.tolist() == list(range(10))
    other = loader.new(bs=5, shuffle=True)
    assert (other.bs, other.options.shuffle, other.options.seed) == (5, True, 4)
    assert loader.bs == 4
    with pytest.raises(OptionError, match=r"A loader has no option 'batchsize'\. Expected one of bs, shuffle"):
        loader.new(batchsize=3)
    with pytest.raises(OptionError, match=r"bs=0"):
        loader.new(bs=0)
    assert LoaderOptions(num_workers=None).num_workers is None


def test_an_empty_part_has_no_batch():
    loader = numbered(0)
    assert rows(loader) == []
    with pytest.raises(DataError, match=r"no batch to give: it serves 0 pictures"):
        loader.one_batch()


# What goes wrong with pictures


@pytest.mark.parametrize("workers", [0, 2])
def test_an_unreadable_picture_is_left_out_of_its_batch_and_told_once(workers):
    loader = numbered(10, Numbered(10, failing=[1, 5]), num_workers=workers)
    with pytest.warns(SightlineWarning) as caught:
        assert rows(loader) == [[0, 2, 3], [4, 6, 7], [8, 9]]
    assert [str(warning.message).split(". ")[0] for warning in caught] == [
        "1 picture cannot be read and left out of the batch: '1.png' (it is empty (0 bytes))",
        "1 picture cannot be read and left out of the batch: '5.png' (it is empty (0 bytes))",
    ]
    assert loader.set_aside == {1: "it is empty (0 bytes)", 5: "it is empty (0 bytes)"}
    # A second pass is silent: warnings are errors here.
    assert rows(loader) == [[0, 2, 3], [4, 6, 7], [8, 9]]
    assert rows(loader.new(bs=10)) == [[0, 2, 3, 4, 6, 7, 8, 9]]


def test_a_batch_of_unreadable_pictures_is_skipped_and_training_never_sees_one_picture_alone():
    with pytest.warns(SightlineWarning):
        assert rows(numbered(8, Numbered(8, failing=[0, 1, 2, 3]))) == [[4, 5, 6, 7]]
    with pytest.warns(SightlineWarning):
        assert rows(numbered(8, Numbered(8, failing=[0, 1, 2]))) == [[3], [4, 5, 6, 7]]
    with pytest.warns(SightlineWarning):
        assert rows(numbered(8, Numbered(8, failing=[0, 1, 2]), training=True)) == [[4, 5, 6, 7]]


def test_a_picture_that_breaks_after_the_header_is_found_in_the_middle_of_an_epoch(pets):
    path = cut_short(pets / "train/cat/0.png")
    dls = loaded(pets, bs=17, shuffle=False)
    with pytest.warns(SightlineWarning, match=r"'train/cat/0.png' \(the file is cut short"):
        assert dls.train.one_batch().n == 16
    assert list(dls.set_aside) == [str(path)]


def test_pictures_of_several_sizes_say_what_to_do(tmp_path):
    for i, size in enumerate([(30, 20), (50, 40)] * 2):
        draw(tmp_path / "train" / "ab"[i % 2] / f"{i}.png", i, size)
        draw(tmp_path / "valid" / "ab"[i % 2] / f"{i}.png", i, size)
    dls = loaded(tmp_path, item_tfms=None, batch_tfms=None, bs=4, shuffle=False)
    with pytest.raises(OptionError) as caught:
        dls.one_batch()
    assert str(caught.value) == (
        "Pictures of several sizes cannot make one batch: 'train/a/0.png' is 30 x 20 pixels (width x height), "
        "'train/b/1.png' is 50 x 40. Expected one size for all; add item_tfms=Resize(224)."
    )


# Threads


@pytest.mark.parametrize(("prefetch", "most"), [(0, 4), (2, 12)])
def test_threads_decode_as_far_ahead_as_told_and_end_with_the_pass(prefetch, most):
    samples = Numbered(100)
    groups = [np.arange(start, start + 4) for start in range(0, 100, 4)]
    iterator = decoded(groups, lambda row: samples(row, ItemDraw()), 2, prefetch)
    next(iterator)
    deadline = time.monotonic() + 10
    while len(samples.asked) < most and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(samples.asked) == most
    assert 1 <= len(decoders()) <= 2
    assert sum(1 for _ in iterator) == 24
    assert decoders() == []


def test_nothing_is_decoded_ahead_for_a_cpu_whose_cores_compute_meanwhile():
    samples = Numbered(100)
    iterator = iter(numbered(100, samples, num_workers=2, bs=4))
    next(iterator)
    time.sleep(0.1)
    assert len(samples.asked) == 4
    assert sum(1 for _ in iterator) == 24
    assert len(samples.asked) == 100
    assert decoders() == []


def test_one_batch_decodes_no_more_than_it_gives():
    samples = Numbered(100)
    numbered(100, samples, num_workers=2, bs=4).one_batch()
    assert sorted(row for row, _, _ in samples.asked) == [0, 1, 2, 3]
    assert decoders() == []


def test_threads_end_when_the_loop_is_left():
    for _ in numbered(100, num_workers=3):
        break
    assert decoders() == []


def test_threads_end_when_an_iterator_is_forgotten_or_closed():
    iterator = iter(numbered(100, num_workers=3))
    next(iterator)
    assert decoders()
    del iterator
    gc.collect()
    assert decoders() == []
    iterator = iter(numbered(100, num_workers=3))
    next(iterator)
    iterator.close()
    assert decoders() == []


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_threads_end_when_the_body_of_the_loop_fails(error):
    def train():
        for _ in numbered(100, num_workers=3):
            raise error("stop")

    with pytest.raises(error, match=r"stop"):
        train()
    assert decoders() == []


def test_threads_end_and_the_users_error_comes_through_when_a_transform_fails(pets):
    def broken(image):
        raise ZeroDivisionError("my own mistake")

    with pytest.raises(ZeroDivisionError, match=r"my own mistake"):
        loaded(pets, item_tfms=[Resize(8), broken], num_workers=2).one_batch()
    assert decoders() == []


def test_two_passes_over_one_loader_at_once_do_not_mix():
    loader = numbered(12, num_workers=2)
    assert [(one.index.tolist(), other.index.tolist()) for one, other in zip(loader, loader, strict=True)] == [
        (group, group) for group in ([0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11])
    ]


def test_a_picture_in_memory_is_not_changed_by_being_loaded():
    original = pixels(0)
    copy = original.copy()
    block = DataBlock.from_columns((ImageBlock, CategoryBlock), splitter=lambda items: ([0, 1], [2]))
    dls = block.dataloaders(([original] * 3, ["a", "b", "a"]), bs=2)
    dls.one_batch().image.mul_(0)
    assert (original == copy).all()
