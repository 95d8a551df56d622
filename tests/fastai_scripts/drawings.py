"""The pictures that the scripts work on: a few small ones of every kind that tutorials use, drawn by formula.

folders/{train,valid}/{apple,leaf,plum}/NN.png   one label by folder: 8 and 4 of each
names/{Apple,leaf,plum}_NN.png                   one label by file name: 12 of each; a capital letter means fruit
table/images/NN.png, table/labels.csv            several labels, and a number: fname,labels,is_valid,brightness
points/NN.png, points/NN.txt                     a bright spot, and where it is: x y in pixels
grey/{train,valid}/{3,7}/NN.png                  grey pictures: 8 and 4 of each
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

COLOURS = {"apple": (200, 60, 50), "leaf": (60, 170, 60), "plum": (90, 60, 190)}
WIDTH, HEIGHT = 56, 48


def draw_all(root: Path) -> Path:
    """Fill the folder `root`; returns it."""
    draw_folders(root / "folders")
    draw_names(root / "names")
    draw_table(root / "table")
    draw_points(root / "points")
    draw_grey(root / "grey")
    return root


def painted(names: list[str], seed: int) -> Image.Image:
    """Stripes of the colours of `names` with noise, 56 x 48 pixels."""
    draw = np.random.RandomState(seed)
    columns = np.arange(WIDTH) * len(names) // WIDTH
    pixels = np.array([COLOURS[name] for name in names], dtype=float)[columns][None].repeat(HEIGHT, axis=0)
    waves = 30 * np.sin(np.arange(WIDTH)[None, :] / draw.uniform(2, 4) + np.arange(HEIGHT)[:, None] / draw.uniform(2, 4))
    pixels = pixels + waves[..., None] + draw.uniform(-25, 25, pixels.shape)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def draw_folders(root: Path) -> None:
    for part, count in (("train", 8), ("valid", 4)):
        for number, name in enumerate(COLOURS):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                painted([name], seed=1000 * number + 100 * count + i).save(folder / f"{i:02d}.png")


def draw_names(root: Path) -> None:
    root.mkdir(parents=True)
    for number, name in enumerate(COLOURS):
        for i in range(12):
            painted([name], seed=5000 + 100 * number + i).save(root / f"{name.replace('apple', 'Apple')}_{i:02d}.png")


def draw_table(root: Path) -> None:
    (root / "images").mkdir(parents=True)
    draw = np.random.RandomState(3)
    lines = ["fname,labels,is_valid,brightness"]
    for i in range(32):
        present = [name for name in COLOURS if draw.uniform() < 0.5] or ["leaf"]
        picture = painted(present, seed=7000 + i)
        picture.save(root / "images" / f"{i:02d}.png")
        lines.append(f"{i:02d}.png,{' '.join(present)},{i % 4 == 3},{np.asarray(picture).mean() / 255:.4f}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")


def draw_points(root: Path) -> None:
    root.mkdir(parents=True)
    draw = np.random.RandomState(4)
    for i in range(24):
        x, y = draw.uniform(10, WIDTH - 10), draw.uniform(10, HEIGHT - 10)
        pixels = np.asarray(painted(["leaf"], seed=8000 + i)).copy()
        pixels[int(y) - 4 : int(y) + 4, int(x) - 4 : int(x) + 4] = 255
        Image.fromarray(pixels).save(root / f"{i:02d}.png")
        (root / f"{i:02d}.txt").write_text(f"{x:.2f} {y:.2f}\n")


def draw_grey(root: Path) -> None:
    for part, count in (("train", 8), ("valid", 4)):
        for name in ("3", "7"):
            folder = root / part / name
            folder.mkdir(parents=True)
            for i in range(count):
                noise = np.random.RandomState(9000 + 100 * int(name) + 10 * count + i).uniform(0, 60, (28, 28))
                noise[:: int(name)] += 150
                Image.fromarray(noise.astype(np.uint8)).save(folder / f"{i:02d}.png")
