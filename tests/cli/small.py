"""What the tests of the command line share: small pictures, quick options, and giving the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.cli import main

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 210)}
SMALL = ["--arch", "test_resnet", "--no-pretrained", "--size", "32", "--bs", "8", "--device", "cpu", "--workers", "0"]
"""Options that make training quick: timm's network for tests, and small pictures."""


def draw(path: Path, colour: tuple[int, int, int], seed: int) -> None:
    noise = np.random.default_rng(seed).integers(-40, 40, (40, 48, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)).save(path)


def run(*arguments: object) -> int:
    """Give the command in this process; its exit code."""
    with pytest.raises(SystemExit) as stop:
        main([str(argument) for argument in arguments])
    return int(stop.value.code or 0)
