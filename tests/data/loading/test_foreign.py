"""A user's own batches serve as loaders: numbered, moved, and never changed."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from sightline.data.dataloaders import DataLoaders
from sightline.data.loading.batch import Batch
from sightline.data.loading.foreign import ForeignLoader
from sightline.errors import DataError, OptionError
from sightline.preprocess import Preprocess
from sightline.target import SingleLabel, Vocab

CPU = torch.device("cpu")
IMAGES, TARGETS = torch.rand(10, 3, 4, 4), torch.arange(10) % 2


def torch_loader(**options):
    return DataLoader(TensorDataset(IMAGES, TARGETS), batch_size=4, **options)


def test_a_torch_loader_is_taken_as_it_is_and_numbered():
    loader = ForeignLoader(torch_loader(), CPU)
    batches = list(loader)
    assert [batch.index.tolist() for batch in batches] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert torch.equal(torch.cat([batch.image for batch in batches]), IMAGES)
    assert (len(loader), loader.n, loader.bs) == (3, 10, 4)
    assert loader.rows.tolist() == list(range(10))
    assert loader.epoch == 1
    assert ForeignLoader(torch_loader(drop_last=True), CPU).n == 8


def test_lists_and_other_iterables_serve_too():
    pairs = [(IMAGES[:6], TARGETS[:6]), (IMAGES[6:], TARGETS[6:])]

    class Source:
        def __iter__(self):
            return iter(pairs)

    for source in (pairs, Source()):
        loader = ForeignLoader(source, CPU)
        assert [batch.n for batch in loader] == [6, 4]
        assert len(loader) == 2
        assert loader.bs == 6
    assert ForeignLoader(pairs, CPU).n == 10
    assert ForeignLoader(pairs, CPU).one_batch().n == 6


def test_batches_may_bring_their_own_rows():
    loader = ForeignLoader([(IMAGES[:2], TARGETS[:2], [7, 3]), Batch(IMAGES[:1], TARGETS[:1], np.array([9]))], CPU)
    assert [batch.index.tolist() for batch in loader] == [[7, 3], [9]]


def test_a_sampler_is_told_the_epoch():
    epochs = []

    class Sampler(torch.utils.data.SequentialSampler):
        def set_epoch(self, epoch):
            epochs.append(epoch)

    data = TensorDataset(IMAGES, TARGETS)
    loader = ForeignLoader(DataLoader(data, batch_size=4, sampler=Sampler(data)), CPU)
    for _ in range(2):
        list(loader)
    assert epochs == [0, 1]


def test_what_can_be_gone_through_only_once_is_refused():
    for source in (iter([1]), (pair for pair in [1]), 3):
        with pytest.raises(OptionError, match=r"cannot be gone through again and again. Expected a torch DataLoader"):
            ForeignLoader(source, CPU)


def test_batches_that_are_none_are_told():
    with pytest.raises(DataError, match=r"A batch is a Tensor. Expected"):
        list(ForeignLoader([IMAGES], CPU))
    with pytest.raises(DataError, match=r"A batch has 2 pictures, 3 targets and 2 indices"):
        list(ForeignLoader([(IMAGES[:2], TARGETS[:3])], CPU))


def test_dataloaders_of_them_know_the_target_and_little_else():
    target = SingleLabel(Vocab(["a", "b"]))
    dls = DataLoaders(torch_loader(), torch_loader(), target=target, device="cpu")
    assert dls.vocab == ["a", "b"]
    assert dls.c == 2
    assert dls.preprocess is None
    assert dls.normalizes
    assert dls.with_stats((0.5,) * 3, (0.5,) * 3).train is dls.train
    assert dls.evaluation(0) is dls.train
    image, label = dls.one_batch()
    assert image.shape == (4, 3, 4, 4)
    assert label.tolist() == [0, 1, 0, 1]
    with pytest.raises(OptionError, match=r"ready-made batches.*make the data with a DataBlock"):
        _ = dls.pipeline
    with pytest.raises(OptionError, match=r"ready-made batches"):
        dls.show_batch()
    with pytest.raises(OptionError, match=r"kind is not known. Pass target="):
        DataLoaders(torch_loader(), torch_loader())
    with pytest.raises(OptionError, match=r"was given 1 loader\(s\). Expected training and validation"):
        DataLoaders(torch_loader(), target=target)


def test_dataloaders_of_them_predict_from_pictures_where_it_was_said_how():
    pre = Preprocess(size=(4, 4), mean=(0.5,) * 3, std=(0.25,) * 3)
    target = SingleLabel(Vocab(["a", "b"]))
    dls = DataLoaders(torch_loader(), torch_loader(), target=target, preprocess=pre, device="cpu")
    assert dls.preprocess == dls.pipeline.preprocess == pre
    picture = np.full((4, 4, 3), 255, dtype=np.uint8)
    assert torch.equal(dls.pipeline.loader([picture]).one_batch().image, torch.full((1, 3, 4, 4), 2.0))
    assert torch.equal(dls.test_dl([picture] * 2).one_batch().image, torch.full((2, 3, 4, 4), 2.0))
    with pytest.raises(OptionError, match=r"with_labels=True needs to know how labels are read"):
        dls.test_dl([picture], with_labels=True)
    silent = DataLoaders(torch_loader(), torch_loader(), target=target, device="cpu")
    with pytest.raises(OptionError, match=r"say it with DataLoaders\(\.\.\., preprocess=Preprocess\(\.\.\.\)\)"):
        silent.test_dl([picture])


def test_looking_at_them_does_not_move_pytorchs_generator():
    dls = DataLoaders(torch_loader(), torch_loader(), target=SingleLabel(Vocab(["a", "b"])), device="cpu")
    before = torch.get_rng_state()
    _ = dls.preprocess, dls.normalizes, dls.bs, dls.train.n, len(dls.train), dls.train.rows, repr(dls), dls.set_aside
    assert torch.equal(torch.get_rng_state(), before)


KILLED = """
import os, signal, sys, torch
from torch.utils.data import DataLoader
from sightline.data.loading.foreign import ForeignLoader
from sightline.errors import TrainingError

class Killed:
    def __len__(self):
        return 40
    def __getitem__(self, position):
        if position == 22:
            os.kill(os.getpid(), signal.SIGKILL)
        return torch.zeros(3, 4, 4), 0

source = DataLoader(Killed(), batch_size=4, num_workers=2, persistent_workers=len(sys.argv) > 1)
try:
    list(ForeignLoader(source, torch.device("cpu")))
except TrainingError as error:
    print(error, flush=True)
    os._exit(3)
"""


@pytest.mark.processes
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system kills in other ways")
@pytest.mark.parametrize("persistent", [[], ["persistent"]], ids=str)
def test_a_worker_process_that_is_killed_ends_the_pass_by_name(persistent):
    # In a process of its own: PyTorch says it whenever it hears of it, in the midst of whatever runs then.
    before = shared_memory()
    done = subprocess.run([sys.executable, "-c", KILLED, *persistent], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 3, done.stdout + done.stderr
    assert re.search(
        r"A worker process of the DataLoader died: (pid \d+ \(signal 9\)|which, is not known)\. .* fewer workers", done.stdout
    )
    assert shared_memory() <= before


def shared_memory():
    """Names of PyTorch's files in shared memory."""
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir() if path.name.startswith("torch_")} if folder.is_dir() else set()


def test_other_errors_of_a_source_come_as_they_are():
    def source():
        yield IMAGES[:2], TARGETS[:2]
        raise RuntimeError("mine")

    class Failing:
        def __iter__(self):
            return source()

    with pytest.raises(RuntimeError, match=r"^mine$"):
        list(ForeignLoader(Failing(), CPU))
