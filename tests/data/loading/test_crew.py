"""A reader that hangs is named, then given up; its threads keep nobody from ending."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from data.drawn import draw_folder
from sightline.data.factories import ImageDataLoaders
from sightline.data.loading import crew
from sightline.data.loading.crew import Crew, Watch, result_of
from sightline.data.loading.streams import Streams
from sightline.data.pictures.decode import PILImage
from sightline.data.transforms.items import Resize
from sightline.errors import DataError, SightlineWarning


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in (("NOTE_AFTER_S", 0.2), ("END_AFTER_S", 0.6), ("LOOK_EVERY_S", 0.05), ("LEAVE_AFTER_S", 0.1)):
        monkeypatch.setattr(crew, name, seconds)


@pytest.fixture
def stuck():
    """Something to wait for in vain, which is set at the end, so that no thread is left."""
    event = threading.Event()
    yield event
    event.set()


def threads(name: str) -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith(name)]


def test_a_crew_works_in_order_and_leaves_no_thread() -> None:
    ours = Crew(3, "sightline-test")
    futures = [ours.submit(pow, number, 2) for number in range(20)]
    assert [result_of(future, lambda: None) for future in futures] == [number**2 for number in range(20)]
    assert len(threads("sightline-test")) == 3
    assert ours.dismiss()
    assert not threads("sightline-test")


def test_a_crew_starts_no_more_threads_than_there_is_work() -> None:
    ours = Crew(8, "sightline-test")
    assert not threads("sightline-test")
    result_of(ours.submit(int), lambda: None)
    assert len(threads("sightline-test")) == 1
    ours.dismiss()


def test_errors_keep_their_class_and_words_even_one_that_looks_like_waiting() -> None:
    ours = Crew(1, "sightline-test")

    def fails() -> None:
        raise TimeoutError("the server did not answer")

    with pytest.raises(TimeoutError, match="the server did not answer"):
        result_of(ours.submit(fails), lambda: None)
    ours.dismiss()


def test_a_thread_that_hangs_is_left_behind(impatient: None, stuck: threading.Event) -> None:
    ours = Crew(2, "sightline-test")
    hung, later = ours.submit(stuck.wait), [ours.submit(time.sleep, 0) for _ in range(3)]
    began = time.monotonic()
    assert not ours.dismiss()
    assert time.monotonic() - began < 2
    assert not hung.done()
    assert all(future.done() for future in later)


def test_who_waits_is_told_once_by_name_and_then_gets_an_error(impatient: None, stuck: threading.Event) -> None:
    watch, ours = Watch(lambda row: f"cats/{row}.jpg"), Crew(2, "sightline-test")

    def read() -> None:
        with watch.reading(7):
            stuck.wait()

    with (
        pytest.warns(SightlineWarning, match=r"Still waiting for 1 picture, after 0 s: 'cats/7.jpg'\.") as told,
        pytest.raises(DataError, match=r"'cats/7.jpg' could not be read within 1 s: nothing came back, not even an error"),
    ):
        result_of(ours.submit(read), watch.look)
    assert len(told) == 1
    ours.dismiss()


@pytest.mark.parametrize("streams", [False, True])
def test_a_pass_ends_by_the_name_of_the_picture_that_never_comes(
    tmp_path: Path, impatient: None, stuck: threading.Event, streams: bool
) -> None:
    root = draw_folder(tmp_path / "set", {"cats": 8, "dogs": 8})

    class Hanging(PILImage):
        @classmethod
        def create(cls, fn, mode=None):
            if Path(fn).name == "3.png" and Path(fn).parent.name == "dogs":
                stuck.wait()
            return Image.fromarray(np.zeros((8, 8, 3), np.uint8))

    dls = ImageDataLoaders.from_folder(
        root, valid_pct=0.5, item_tfms=Resize(8), bs=4, device="cpu", img_cls=Hanging, num_workers=2, seed=1
    )
    row = next(row for row, source in enumerate(dls.table.sources) if str(source).endswith("dogs/3.png"))
    loader = next(loader for loader in dls.loaders if row in loader.rows).new(shuffle=False, training=False)

    def passed():
        return loader.used_in_streams(torch.sum, Streams(2)) if streams else loader

    began = time.monotonic()
    with pytest.warns(SightlineWarning, match="dogs/3.png"), pytest.raises(DataError, match=r"'dogs/3\.png' could not be read"):
        list(passed())
    assert time.monotonic() - began < 8


SCRIPT = """
import sys, time, threading
from sightline.data.loading.threads import decoded
import numpy as np
groups = [np.arange(4)]
def sample(row):
    print("reading", flush=True)
    threading.Event().wait()
try:
    list(decoded(groups, sample, 2, 0))
except KeyboardInterrupt:
    print("interrupted", flush=True)
    sys.exit(130)
"""


@pytest.mark.processes
@pytest.mark.skipif(os.name == "nt", reason="it sends a signal")
def test_ctrl_c_ends_a_process_whose_readers_hang() -> None:
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    shown, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "interrupted" in shown
    assert time.monotonic() - began < 15
