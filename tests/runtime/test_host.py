"""The host: its CPUs and its memory."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from sightline.runtime import cpus, default_workers, host
from sightline.runtime.host import cache_place, fit_threads, keep_freed_memory


def test_workers_are_between_one_and_eight():
    assert 1 <= default_workers() <= 8


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("cpu.max", "150000 100000\n", 2),
        ("cpu.max", "50000 100000\n", 1),
        ("cpu.max", "max 100000\n", 16),
        ("cpu.max", "9900000 100000\n", 16),
        ("cpu/cpu.cfs_quota_us", "300000\n", 3),
        ("cpu/cpu.cfs_quota_us", "-1\n", 16),
        ("cpu.max", "nonsense", 16),
    ],
)
def test_a_container_with_a_share_of_the_cpus_counts_that_share(name, text, expected, tmp_path, monkeypatch):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(text)
    (tmp_path / "cpu").mkdir(exist_ok=True)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    monkeypatch.setattr(host, "_CGROUP", tmp_path)
    monkeypatch.setattr(host.os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)
    assert cpus() == expected


def test_no_more_threads_compute_than_there_are_cpus(monkeypatch):
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(6)
        monkeypatch.setattr(host, "cpus", lambda: 2)
        assert fit_threads() == 2
        torch.set_num_threads(1)
        assert fit_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_settings_of_the_users_own_are_left_alone(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "2")
    assert not keep_freed_memory()
    monkeypatch.delenv("MALLOC_ARENA_MAX")
    monkeypatch.setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")
    assert not keep_freed_memory()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of Linux's C library")
def test_a_large_tensor_that_was_freed_costs_no_new_pages():
    program = """
import resource, sys, torch
from sightline.runtime.host import keep_freed_memory
kept = keep_freed_memory() if sys.argv[1] == "keep" else True
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones(8 << 20)
before = faults()
for _ in range(20):
    torch.ones(8 << 20)
print(int(kept), faults() - before)
"""

    def run(word):
        done = subprocess.run([sys.executable, "-c", program, word], capture_output=True, text=True, check=True)
        return [int(number) for number in done.stdout.split()]

    (kept, few), (_, many) = run("keep"), run("leave")
    if not kept:
        pytest.skip("this C library has no such settings")
    assert few < many / 3


def test_the_environment_names_the_place_of_what_may_be_deleted(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.setenv("SIGHTLINE_CACHE", "~/x")
    assert cache_place() == cache_place("samples") == tmp_path / "x"
    monkeypatch.setenv("SIGHTLINE_CACHE", "x")
    assert cache_place() == Path.cwd() / "x"
    monkeypatch.setenv("SIGHTLINE_CACHE", "0")
    assert cache_place() == "SIGHTLINE_CACHE=0"
    monkeypatch.delenv("SIGHTLINE_CACHE")
    assert cache_place() == tmp_path / ".cache" / "sightline"
    assert cache_place("samples") == tmp_path / ".cache" / "sightline" / "samples"


def test_without_a_home_folder_there_is_a_reason_and_no_place(monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", "~nobody-of-that-name/x")
    assert cache_place() == "there is no home folder for the cache, and SIGHTLINE_CACHE='~nobody-of-that-name/x' is within one"
    monkeypatch.delenv("SIGHTLINE_CACHE")
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert cache_place() == "there is no home folder for the cache, and SIGHTLINE_CACHE names no other"
