"""A folder of good pictures salted with hundreds of odd ones and of files that are none: what may happen to anyone's folder."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from data.pictures.hostile import icon_of, jpeg_of_scans, png, sound_files, tiff_of_strips, zeros

COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 210)}
ENDINGS = {"jpeg": "jpg", "tiff": "tif", "jpeg 2000": "jp2", "pgm": "pgm"}
ODD_NAMES = [
    b"two\nlines.png",
    b"a" * 251 + b".png",
    b"caf\xe9.png",
    "\u202egnp.elcric.png".encode(),
    "\U0001f98a fox.png".encode(),
    "\u05e9\u05dc\u05d5\u05dd.png".encode(),
    b"-rf.png",
    b" spaces .png",
    b"dots...png",
    b"<script>alert(1)</script>.png".replace(b"/", b"\xe2\x88\x95"),
    b"'quoted' \"twice\".png",
    b"100%s{0}$HOME`id`.png",
    b"[bold]red[reset].png",
    b"UPPER.PNG",
    b"back\\slash.png",
    b"\x1b[31mred.png",
]


@dataclass
class Salted:
    """What lies in a salted folder, by paths relative to it.

    Attributes:
        root: The folder.
        good: Pictures that are to be used.
        bad: What is to be set aside, each by name.
        ignored: What is no picture by its name, or belongs to the system.
    """

    root: Path
    good: set[str] = field(default_factory=set)
    bad: set[str] = field(default_factory=set)
    ignored: set[str] = field(default_factory=set)

    def path(self, name: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def salted_folder(root: Path, bad: int = 300) -> Salted:
    """Three classes of good and odd pictures, among them at least so many files that cannot be read."""
    salted = Salted(root)
    _plain(salted)
    _odd_kinds(salted)
    _odd_names(salted)
    _no_files(salted)
    _of_the_system(salted)
    _bombs(salted)
    _damaged(salted, bad - len(salted.bad))
    return salted


def _noisy(colour: str, seed: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    noise = np.random.default_rng(seed).integers(-40, 40, (size[1], size[0], 3))
    return Image.fromarray(np.clip(np.array(COLOURS[colour]) + noise, 0, 255).astype(np.uint8))


def _bytes(image: Image.Image, kind: str = "PNG") -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind)
    return buffer.getvalue()


def _plain(salted: Salted) -> None:
    for number, colour in enumerate(COLOURS):
        for i in range(12):
            name = f"{colour}/{i}.jpg"
            salted.path(name).write_bytes(_bytes(_noisy(colour, 100 * number + i), "JPEG"))
            salted.good.add(name)


def _odd_kinds(salted: Salted) -> None:
    """Every format and colour mode that is read; and some with the ending of another."""
    for name, content in sound_files().items():
        ending = next((ending for kind, ending in ENDINGS.items() if name.startswith(kind)), name.split()[0])
        for path in (f"red/kind {name}.{ending}", f"blue/as another {name}.jpg"):
            salted.path(path).write_bytes(content)
            salted.good.add(path)
    for turn in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = turn
        _noisy("green", turn).save(salted.path(f"green/turn {turn}.jpg"), exif=exif)
        salted.good.add(f"green/turn {turn}.jpg")
    for width, height in ((1, 1), (1, 300), (3000, 2)):
        _noisy("red", 1, (width, height)).save(salted.path(f"red/{width} x {height}.png"))
        salted.good.add(f"red/{width} x {height}.png")
    original = salted.path("green/0.jpg")
    os.link(original, salted.path("green/hard link.jpg"))
    salted.path("green/link.jpg").symlink_to(original)
    salted.good |= {"green/hard link.jpg", "green/link.jpg"}


def _odd_names(salted: Salted) -> None:
    """Good pictures and damaged ones with names that are hard to write down."""
    content = _bytes(_noisy("green", 7))
    for kind, names in ((content, salted.good), (b"spoilt", salted.bad)):
        for name in ODD_NAMES:
            path = os.fsdecode(os.fsencode(f"{'green' if names is salted.good else 'blue'}/") + name)
            try:
                salted.path(path).write_bytes(kind)
            except OSError:
                continue  # not on this file system
            names.add(path)
    deep = "blue/" + "d/" * 60 + "blue/0.png"
    salted.path(deep).write_bytes(content)
    salted.good.add(deep)


def _no_files(salted: Salted) -> None:
    """What has a picture's name and is none."""
    os.mkfifo(salted.path("red/pipe.jpg"))
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(salted.root / "red")  # paths of sockets are short
        listener.bind("socket.jpg")
        os.chdir(before)
    salted.path("red/nowhere.jpg").symlink_to("there is none")
    salted.path("red/round.jpg").symlink_to("round.jpg")
    salted.path("red/one.jpg").symlink_to("other.jpg")
    salted.path("red/other.jpg").symlink_to("one.jpg")
    salted.path("red/device.jpg").symlink_to("/dev/zero")
    salted.path("red/folder.jpg").mkdir()
    salted.path("red/empty.jpg").touch()
    salted.bad |= {
        f"red/{name}.jpg" for name in ("pipe", "socket", "nowhere", "round", "one", "other", "device", "folder", "empty")
    }
    salted.path("red/again").symlink_to(salted.root, target_is_directory=True)


def _of_the_system(salted: Salted) -> None:
    picture = _bytes(_noisy("red", 3))
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._0.jpg", ".hidden.jpg", "notes.txt", "film.mp4", "0.jpg.bak"):
        salted.path(f"red/{name}").write_bytes(picture)
        salted.ignored.add(f"red/{name}")
    for name in ("__MACOSX/red/0.jpg", "red/@eaDir/0.jpg/thumb.jpg", ".cache/0.jpg"):
        salted.path(name).write_bytes(picture)
        salted.ignored.add(name)


def _bombs(salted: Salted) -> None:
    for name, content in {
        "header.png": png(60_000, 60_000),
        "zeros.png": png(12_000, 11_000, pixels=zeros(1 << 20)),
        "icon.ico": icon_of(png(13_000, 13_000)),
        "scans.jpg": jpeg_of_scans(600, 6000),
        "strips.tif": tiff_of_strips(250_000),
    }.items():
        salted.path(f"green/bomb {name}").write_bytes(content)
        salted.bad.add(f"green/bomb {name}")


def _damaged(salted: Salted, count: int) -> None:
    """Files cut short, of another kind, or spoilt; of every format and in every class."""
    files = sound_files()
    for i in range(count):
        name = f"{list(COLOURS)[i % 3]}/bad {i}.{'png' if i % 2 else 'jpg'}"
        kind = list(files)[i % len(files)]
        content = files[kind]
        ways = (content[: len(content) // 9], b"<html>no picture</html>", bytes(len(content)), b"GIF89a" + content[40:])
        salted.path(name).write_bytes(ways[i // 3 % len(ways)])
        salted.bad.add(name)
