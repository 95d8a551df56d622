"""Damaged and hostile files end in our own error, soon and small: a part of what benchmarks/mutate_files.py does in full."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from mutations import Kind, Mutation, attempt, kinds, mutations, put_together, taken_apart

EVERY = 8
MOST_MIB = 200

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes and devices are of Unix")


@pytest.fixture(scope="module")
def all_kinds(tmp_path_factory) -> dict[str, Kind]:
    return {kind.name: kind for kind in kinds(tmp_path_factory.mktemp("good"))}


def peak_mib() -> float:
    """The peak of resident memory since it was last forgotten."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


@pytest.mark.parametrize("name", ["bundle", "saved", "foreign"])
@pytest.mark.filterwarnings("ignore")
def test_mutated_files_are_refused_in_our_own_words(name, all_kinds, tmp_path):
    kind = all_kinds[name]
    (tmp_path / "good.safetensors").write_bytes(kind.good)
    kind.open(tmp_path / "good.safetensors")
    measured = sys.platform == "linux"
    if measured:
        Path("/proc/self/clear_refs").write_text("5")
    base = peak_mib() if measured else 0.0
    faults, opened = [], 0
    for mutation in mutations(kind, 300, every=EVERY):
        outcome = attempt(kind, mutation, tmp_path / "mutated.safetensors")
        opened += 1
        if outcome.fault or outcome.seconds > 2:
            faults.append(f"{mutation.name}: {outcome.fault or f'{outcome.seconds:.1f} s'}")
    assert not faults
    assert opened >= 300
    assert not measured or peak_mib() - base < MOST_MIB


def test_a_fault_would_be_seen(all_kinds, tmp_path):
    kind = all_kinds["bundle"]
    put = lambda path: path.write_bytes(kind.good)
    assert attempt(kind, Mutation("nothing", put), tmp_path / "a").fault == "accepted"
    crash = Kind("crash", kind.good, lambda path: 1 / 0, kind.error, sealed=True)
    assert attempt(crash, Mutation("nothing", put), tmp_path / "a").fault == "ZeroDivisionError: division by zero"


@pytest.mark.parametrize("name", ["bundle", "saved"])
def test_mutations_are_sealed_as_sightline_seals(name, all_kinds, tmp_path):
    kind = all_kinds[name]
    assert put_together(*taken_apart(kind.good)) == kind.good
    header, data = taken_apart(kind.good)
    (tmp_path / "other.safetensors").write_bytes(put_together(header, data[:-1] + bytes([data[-1] ^ 1])))
    kind.open(tmp_path / "other.safetensors")


@pytest.mark.parametrize("name", ["bundle", "saved"])
def test_any_bit_that_flips_is_found(name, all_kinds, tmp_path):
    kind = all_kinds[name]
    for place in range(0, len(kind.good), len(kind.good) // 150):
        bad = bytearray(kind.good)
        bad[place] ^= 1 << place % 8
        (tmp_path / "bad.safetensors").write_bytes(bad)
        with pytest.raises(kind.error):
            kind.open(tmp_path / "bad.safetensors")
