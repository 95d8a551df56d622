"""What is loaded when: nothing heavy by the package, by help and by typing mistakes; later what a task needs and no more."""

from __future__ import annotations

import subprocess
import sys

import pytest

TORCH = ("torch", "numpy", "PIL", "safetensors")
WITH_NETWORKS = ("torchvision", "timm", "torch._dynamo", "huggingface_hub")
WITH_FIGURES = ("torchmetrics", "pandas", "matplotlib", "sklearn", "scipy", "fastcore")
SLOW_TO_DRAW = ("rich", "pydantic")


def loaded_by(code: str, modules: tuple[str, ...]) -> list[str]:
    """Which of the modules a fresh Python has loaded after it ran the code."""
    program = f"import sys\n{code}\nprint('loaded:', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    found = set(done.stdout.rpartition("loaded:")[2].split())
    return [name for name in modules if name in found]


def loaded_by_command(arguments: list[str], code: int, modules: tuple[str, ...]) -> list[str]:
    """Which of the modules a command has loaded that ends with the exit code."""
    run = f"try:\n    main({arguments!r})\nexcept SystemExit as stop:\n    code = stop.code or 0"
    return loaded_by(f"from sightline.cli import main\n{run}\nassert code == {code}, code", modules)


def test_importing_the_package_and_looking_at_its_names_loads_nothing():
    code = "import sightline\ndir(sightline)\nsightline.__version__, sightline.SightlineError, sightline.resnet18"
    assert loaded_by(code, (*TORCH, *WITH_NETWORKS, *WITH_FIGURES, *SLOW_TO_DRAW)) == []
    assert loaded_by("import sightline", ("sightline.errors", "sightline.data", "sightline.train")) == []


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["train", "--help"], 0), (["--version"], 0), (["train", "x", "--epohcs", "3"], 2)]
)
def test_help_and_a_wrong_option_load_nothing_heavy(arguments, code):
    assert loaded_by_command(arguments, code, (*TORCH, *WITH_NETWORKS, *WITH_FIGURES, *SLOW_TO_DRAW)) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "{nowhere}"],
        ["train", "{here}", "--arch", "resnet81"],
        ["train", "{here}", "--labels", "no.csv"],
        ["train", "{here}", "--weights", "no.pth"],
        ["train", "{here}", "--device", "gpu"],
        ["predict", "{here}/a.png", "{here}", "--device", "gpu"],
        ["train", "{here}", "--out", "{here}"],
        ["predict", "{nowhere}.safetensors", "{here}/a.png"],
        ["evaluate", "{nowhere}.safetensors", "{here}"],
    ],
)
def test_what_is_not_there_is_told_before_pytorch_is_loaded(arguments, tmp_path):
    (tmp_path / "a.png").touch()
    given = [argument.format(here=tmp_path, nowhere=tmp_path / "nowhere") for argument in arguments]
    assert loaded_by_command(given, 2, (*TORCH, *WITH_NETWORKS, *WITH_FIGURES)) == []


def test_the_first_batch_needs_no_network_and_no_figures(colour_folder):
    code = (
        "from sightline import *\n"
        f"dls = ImageDataLoaders.from_folder({str(colour_folder)!r}, item_tfms=Resize(32), bs=4, device='cpu')\ndls.one_batch()"
    )
    assert loaded_by(code, (*WITH_NETWORKS, *WITH_FIGURES)) == []


def test_training_a_network_of_torchvision_needs_no_other_zoo_and_no_figures(colour_folder):
    code = (
        "from sightline import *\n"
        f"dls = ImageDataLoaders.from_folder({str(colour_folder)!r}, item_tfms=Resize(32), bs=18, device='cpu')\n"
        "learn = vision_learner(dls, squeezenet1_1, pretrained=False, metrics=[error_rate, accuracy])\nlearn.fit(1)"
    )
    assert loaded_by(code, ("timm", "huggingface_hub", *WITH_FIGURES)) == []


def test_the_check_sees_a_heavy_import():
    assert loaded_by("import sightline, numpy", TORCH) == ["numpy"]
