"""Small pictures, drawn by the tests themselves, and what keeps tests quick and alike on every machine."""

from __future__ import annotations

import os
from pathlib import Path

# Read when a learner is planned: tests that ask for no precision compare with figures of 32 bits, on every machine alike.
os.environ.setdefault("SIGHTLINE_PRECISION", "fp32")

import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from unpickling import Watch

matplotlib.use("Agg")

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 210)}


@pytest.fixture(scope="session")
def unpicklers() -> Watch:
    """What sightline unpickled: nothing, ever."""
    watch = Watch()
    watch.start()
    return watch


@pytest.fixture(autouse=True)
def _nothing_is_unpickled(unpicklers: Watch):
    """Whatever a test does, and whatever is made of the error, an unpickler on behalf of sightline fails it."""
    unpicklers.take()
    yield
    seen = unpicklers.take()
    assert not seen, f"sightline unpickled: {seen}"


@pytest.fixture(autouse=True)
def _quick_and_alike():
    """One thread and a fixed seed for every test, and no algorithms that a script asked for before."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(False)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def _cache_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test finds what another one, or a user, has kept of its pictures."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("samples")))


def draw_picture(colour: tuple[int, int, int], seed: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A noisy picture of one colour, (width, height) pixels."""
    noise = np.random.default_rng(seed).integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8))


@pytest.fixture
def colour_folder(tmp_path: Path) -> Path:
    """Pictures in `train` and `valid`, three classes by colour: 12 and 4 of each."""
    for part, count in (("train", 12), ("valid", 4)):
        for number, (name, colour) in enumerate(COLOURS.items()):
            folder = tmp_path / "colours" / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                draw_picture(colour, seed=1000 * number + i + (500 if part == "valid" else 0)).save(folder / f"{name}_{i}.png")
    return tmp_path / "colours"


@pytest.fixture
def colour_table(tmp_path: Path) -> Path:
    """A folder with `labels.csv` (fname, labels, is_valid, brightness) and pictures of two colours side by side."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "table"
    (folder / "images").mkdir(parents=True)
    lines = ["fname,labels,is_valid,brightness"]
    for i in range(48):
        names = sorted(rng.choice(list(COLOURS), size=int(rng.integers(1, 3)), replace=False))
        halves = [np.asarray(draw_picture(COLOURS[names[k % len(names)]], seed=i + 100 * k)) for k in range(2)]
        picture = np.concatenate(halves, axis=1)
        Image.fromarray(picture).save(folder / "images" / f"{i:03d}.png")
        lines.append(f"{i:03d}.png,{' '.join(names)},{i % 4 == 0},{picture.mean() / 255:.4f}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder
