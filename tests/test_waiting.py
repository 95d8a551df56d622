"""How threads wait for one another."""

import os
import subprocess
import sys

import pytest

from sightline import waiting


@pytest.mark.parametrize(
    ("running", "cpus", "mine", "shared"),
    [
        pytest.param(1, 2, 2, False, id="nobody else"),
        pytest.param(2, 2, 2, True, id="another task on a machine that this process wants whole"),
        pytest.param(3, 64, 4, False, id="others, and CPUs to spare"),
        pytest.param(62, 64, 4, True, id="others, and too few CPUs to spare"),
    ],
)
def test_a_machine_is_shared_where_others_want_the_same_cpus(running, cpus, mine, shared, tmp_path, monkeypatch):
    loadavg = tmp_path / "loadavg"
    loadavg.write_text(f"0.31 0.52 0.60 {running}/412 9183\n")
    monkeypatch.setattr(waiting, "_LOADAVG", str(loadavg))
    monkeypatch.setattr(os, "cpu_count", lambda: cpus)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(mine)), raising=False)
    assert waiting.is_shared() is shared


def test_what_ends_within_milliseconds_does_not_make_a_machine_shared(monkeypatch):
    looks = iter([True, True, False, True])
    monkeypatch.setattr(waiting, "_is_busy", lambda look: next(looks))
    assert not waiting.is_shared()


@pytest.mark.parametrize("said", [None, "", "0.3 0.5", "0.31 0.52 0.60 many/412 9183"])
def test_a_machine_that_does_not_tell_is_taken_for_shared(said, tmp_path, monkeypatch):
    if said is not None:
        (tmp_path / "loadavg").write_text(said)
    monkeypatch.setattr(waiting, "_LOADAVG", str(tmp_path / "loadavg"))
    assert waiting.is_shared()


@pytest.mark.parametrize(
    ("shared", "said", "expected"), [(True, None, "PASSIVE"), (True, "ACTIVE", "ACTIVE"), (False, None, None)]
)
def test_threads_sleep_on_a_shared_machine_unless_the_user_says_otherwise(shared, said, expected, monkeypatch):
    monkeypatch.setattr(waiting, "is_shared", lambda: shared)
    monkeypatch.delenv(waiting.WAIT_VARIABLE, raising=False)
    if said is not None:
        monkeypatch.setenv(waiting.WAIT_VARIABLE, said)
    waiting.let_waiting_threads_sleep()
    assert os.environ.get(waiting.WAIT_VARIABLE) == expected


def test_importing_the_package_asks_before_torch_is_loaded():
    program = "import sys, sightline; print('sightline.waiting' in sys.modules, 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
