"""The oldest releases that may be installed have none of the flaws that are known and matter here."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]

SOUND_FROM = {
    "pillow": ("12.3", "PYSEC-2026-2253 to -2257, -3451 to -3453, CVE-2026-40192, -25990: writes beyond buffers, bombs"),
    "torch": ("2.10", "CVE-2026-24747, CVE-2025-32434: the restricted unpickler behind weights_only=True"),
    "scikit-learn": ("1.5", "CVE-2024-5206: training data kept in fitted vectorizers"),
}
"""By package: the first release without the flaws that are named. `make audit` asks the databases for new ones."""


def declared() -> dict[str, Requirement]:
    """Every requirement of the package and of what users may add to it, by name."""
    extras = PROJECT["optional-dependencies"]
    lines = [*PROJECT["dependencies"], *(line for name, lines in extras.items() if name != "dev" for line in lines)]
    return {requirement.name: requirement for requirement in map(Requirement, lines)}


def oldest(requirement: Requirement) -> Version:
    """The lower bound of a requirement."""
    return max(Version(one.version) for one in requirement.specifier if one.operator in (">=", "==", "~="))


@pytest.mark.parametrize("package", SOUND_FROM)
def test_a_lower_bound_lies_above_known_flaws(package):
    sound, flaws = SOUND_FROM[package]
    assert oldest(declared()[package]) >= Version(sound), flaws


@pytest.mark.parametrize("requirement", declared().values(), ids=str)
def test_every_dependency_has_a_lower_bound(requirement):
    assert oldest(requirement) > Version("0")


def test_a_bound_that_is_too_low_is_seen():
    assert oldest(Requirement("torch>=2.5,<3")) < Version(SOUND_FROM["torch"][0])
