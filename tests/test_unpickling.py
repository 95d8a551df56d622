"""The watch over unpicklers sees each of them when sightline uses it, and leaves everybody else alone."""

from __future__ import annotations

import copy
import io
import marshal
import multiprocessing
import pickle
import shelve
from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.preprocess import Preprocess
from unpickling import PACKAGE, UnpicklerUsed


def of_sightline(body: str):
    """A function as if its code stood in a file of the package."""
    space: dict = {"io": io, "marshal": marshal, "np": np, "pickle": pickle, "shelve": shelve, "torch": torch}
    source = f"def use(given):\n    try:\n        return {body}\n    except Exception:\n        return None\n"
    exec(compile(source, str(Path(PACKAGE, "made_up.py")), "exec"), space)
    return space["use"]


def saved_by(save, value) -> bytes:
    file = io.BytesIO()
    save(value, file)
    return file.getvalue()


OBJECTS = np.array([{"a": 1}], dtype=object)
USES = [
    ("pickle.loads(given)", pickle.dumps([1])),
    ("pickle.load(io.BytesIO(given))", pickle.dumps([1])),
    ("pickle.Unpickler(io.BytesIO(given)).load()", pickle.dumps(Preprocess())),
    ("marshal.loads(given)", marshal.dumps([1])),
    ("shelve.open(given)", "/nowhere/at/all"),
    ("np.load(io.BytesIO(given), allow_pickle=True)", saved_by(lambda value, file: np.save(file, value), OBJECTS)),
    ("torch.load(io.BytesIO(given))", saved_by(torch.save, {"a": torch.zeros(2)})),
    ("torch.load(io.BytesIO(given), weights_only=False)", saved_by(torch.save, {"a": torch.zeros(2)})),
]


@pytest.mark.parametrize(("body", "given"), USES, ids=[body for body, _ in USES])
def test_an_unpickler_is_seen_even_where_its_error_is_swallowed(body, given, unpicklers):
    with pytest.raises(UnpicklerUsed, match=r"by /made_up\.py:3"):
        of_sightline(body)(given)
    assert unpicklers.take(), "the test fails even if somebody swallows the error"


def test_weights_and_plain_arrays_are_read_in_peace():
    weights = saved_by(torch.save, {"a": torch.zeros(2)})
    assert set(of_sightline("torch.load(io.BytesIO(given), weights_only=True)")(weights)) == {"a"}
    array = saved_by(lambda value, file: np.save(file, value), np.arange(3))
    assert of_sightline("np.load(io.BytesIO(given))")(array).tolist() == [0, 1, 2]


def test_what_others_unpickle_is_theirs():
    assert pickle.loads(pickle.dumps(Preprocess())) == Preprocess()
    assert of_sightline("given()")(lambda: copy.deepcopy(Preprocess())) == Preprocess()
    queue = multiprocessing.get_context("spawn").SimpleQueue()
    queue.put(Preprocess())
    assert of_sightline("given.get()")(queue) == Preprocess()
    assert of_sightline("__import__(given)")("colorsys") is not None
