"""Every example of the README and of docs/ runs, from top to bottom, in a folder of small pictures."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from conftest import COLOURS, draw_picture

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = [
    pytest.param(code, id=f"{page.stem}-{number}")
    for page in PAGES
    for number, code in enumerate(
        re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL), start=1
    )
]


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """The folders that examples speak of, and weights where the zoo caches its downloads."""
    for part, count in (("train", 8), ("valid", 3)):
        for name, colour in zip(("cat", "dog", "hen"), COLOURS.values(), strict=True):
            folder = tmp_path / "pets" / part / name
            folder.mkdir(parents=True)
            for number in range(1, count + 1):
                draw_picture(colour, seed=number).save(folder / f"{number}.jpg")
    scenes = tmp_path / "scenes"
    (scenes / "images").mkdir(parents=True)
    rows = ["fname,labels,is_valid"]
    for number in range(12):
        draw_picture(list(COLOURS.values())[number % 3], seed=number).save(scenes / "images" / f"{number}.jpg")
        rows.append(f"{number}.jpg,{('sky', 'sky tree', 'tree road')[number % 3]},{number % 4 == 0}")
    (scenes / "labels.csv").write_text("\n".join(rows) + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def downloaded(tmp_path_factory) -> Path:
    """A zoo's cache folder that holds (random) weights of resnet34 under their real name."""
    from torchvision.models import ResNet34_Weights, resnet34

    home = tmp_path_factory.mktemp("torch")
    folder = home / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(resnet34().state_dict(), folder / ResNet34_Weights.DEFAULT.url.rsplit("/", 1)[1])
    return home


@pytest.mark.filterwarnings("ignore:The training part has:sightline.errors.SightlineWarning")
@pytest.mark.parametrize("code", EXAMPLES)
def test_example_runs(code, workplace, downloaded, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(downloaded))
    # Random weights have not the hash that is in the name of the published ones.
    monkeypatch.setattr("sightline.model.download.digest_of", lambda path: path.stem.rpartition("-")[2])
    np.random.seed(0)
    exec(compile(code, "example", "exec"), {"__name__": "example"})


def test_the_pages_hold_examples_at_all():
    assert len(EXAMPLES) >= 8


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), target
