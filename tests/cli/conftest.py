"""One small run of the command that most tests look at, and the data behind it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cli.small import COLOURS, SMALL, draw, run


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three colours in `train` (8 pictures each) and `valid` (4 each)."""
    root = tmp_path_factory.mktemp("data") / "colours"
    for part, count in (("train", 8), ("valid", 4)):
        for number, (name, colour) in enumerate(COLOURS.items()):
            for i in range(count):
                draw(root / part / name / f"{name}_{i}.png", colour, seed=100 * number + i + (50 if part == "valid" else 0))
    return root


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `images` and labels.csv: file, colours, is_valid, brightness; the file names lack their .png."""
    root = tmp_path_factory.mktemp("data") / "table"
    lines = ["file,colours,is_valid,brightness"]
    for i in range(24):
        names = list(COLOURS)[i % 3 : i % 3 + 1 + i % 2]
        colour = COLOURS[names[0]]
        draw(root / "images" / f"{i:03d}.png", colour, seed=i)
        lines.append(f"{i:03d},{' '.join(names)},{i % 4 == 0},{sum(colour) / 765:.3f}")
    (root / "labels.csv").write_text("\n".join(lines) + "\n")
    return root


@pytest.fixture(scope="session")
def finished_run(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder of two epochs on `folders`."""
    out = tmp_path_factory.mktemp("runs") / "colours"
    assert run("train", folders, *SMALL, "--epochs", 2, "--out", out) == 0
    return out


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    """A file called .png that is no picture."""
    path = tmp_path / "broken.png"
    path.write_bytes(b"this is no picture")
    return path


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """What was printed since the last call, on both streams, in one line and without the borders of panels."""
    monkeypatch.setenv("COLUMNS", "200")

    def text() -> str:
        out, err = capsys.readouterr()
        return " ".join((out + err).replace("│", " ").split())

    return text
