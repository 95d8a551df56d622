"""A command that is told to stop leaves through its `finally` blocks, and at once when it is told again."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sightline.cli.signals import leaving_in_order

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals are sent as on POSIX")

AT_WORK = """
import sys, time
from pathlib import Path
from sightline.atomic import whole_file
from sightline.cli import beforehand, main

def slow(path):
    with whole_file(sys.argv[1]) as partial:
        partial.write_text("half")
        try:
            print("at work", flush=True)
            time.sleep(60)
        finally:
            if sys.argv[2] == "hangs":
                print("leaving", flush=True)
                time.sleep(60)

import sightline.cli.convert as command
command.check_file = slow
main(["convert", "old.pth"])
"""
"""A command that writes a file for a minute, and hangs in the end if it is told to."""


def at_work(path: Path, ending: str = "well") -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", AT_WORK, path, ending], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "at work\n"
    return process


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "Stopped by Ctrl-C.\n"), (signal.SIGTERM, 143, "Stopped by SIGTERM.\n")],
)
def test_a_signal_takes_half_files_away_and_ends_with_its_code(number, code, said, tmp_path):
    process = at_work(tmp_path / "out.csv")
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert err == said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_at_once(number, tmp_path):
    process = at_work(tmp_path / "out.csv", "hangs")
    process.send_signal(signal.SIGINT)
    assert process.stdout is not None
    assert process.stdout.readline() == "leaving\n"
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(timeout=20) == -number
    assert time.monotonic() - began < 5
    process.communicate()


def test_handlers_are_put_back_and_may_be_replaced_within():
    def own(number: int, frame: object) -> None: ...

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with leaving_in_order():
        outer = signal.signal(signal.SIGTERM, own)
        assert callable(outer)
        signal.signal(signal.SIGTERM, outer)
        with leaving_in_order():
            assert signal.getsignal(signal.SIGTERM) is outer
        assert signal.getsignal(signal.SIGTERM) is outer
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_handler_that_stays_behind_within_is_left_alone():
    def own(number: int, frame: object) -> None: ...

    before = signal.getsignal(signal.SIGTERM)
    try:
        with leaving_in_order():
            signal.signal(signal.SIGTERM, own)
        assert signal.getsignal(signal.SIGTERM) is own
    finally:
        signal.signal(signal.SIGTERM, before)


def test_a_signal_that_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with leaving_in_order():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_leave_signals_alone():
    seen = []

    def work() -> None:
        with leaving_in_order():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_who_reads_the_output_may_leave_early(finished_run, folders):
    given = [sys.executable, "-m", "sightline", "predict", finished_run / "model.safetensors", folders, "--device", "cpu"]
    command = shlex.join(map(str, given))
    done = subprocess.run(
        ["sh", "-c", f"({command}; echo code $? >&2) | true"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == "code 1\n"
