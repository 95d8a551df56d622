"""Importing the package, and asking the command for help, cost little: nothing heavy is loaded."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

HEAVY = ("torch", "torchvision", "timm", "torchmetrics", "numpy", "pandas", "matplotlib", "PIL", "sklearn", "safetensors")


def modules_loaded_by(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=120)
    return set(done.stdout.rpartition("loaded:")[2].split())


def heavy_ones(modules: set[str]) -> list[str]:
    return [name for name in HEAVY if name in modules]


def test_importing_the_package_loads_its_door_alone():
    modules = modules_loaded_by("import sightline")
    assert heavy_ones(modules) == []
    assert {name for name in modules if name.partition(".")[0] == "sightline"} == {"sightline"}


def test_looking_at_the_names_loads_nothing():
    assert heavy_ones(modules_loaded_by("import sightline\ndir(sightline)\nsightline.__version__")) == []


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["predict", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(arguments):
    code = (
        f"import sys\nsys.argv = ['sightline', *{arguments!r}]\nfrom sightline.cli import main\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    code = stop.code\nassert not code, code"
    )
    assert heavy_ones(modules_loaded_by(code)) == []


def test_the_check_sees_a_heavy_import():
    assert "numpy" in heavy_ones(modules_loaded_by("import sightline, numpy"))


@pytest.mark.parametrize("policy", [None, "ACTIVE"])
def test_threads_wait_without_spinning_unless_the_user_says_otherwise(policy):
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    if policy is not None:
        environment["OMP_WAIT_POLICY"] = policy
    program = "import os, sightline; print(os.environ['OMP_WAIT_POLICY'])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == (policy or "PASSIVE")
