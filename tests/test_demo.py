"""The demonstration: its pictures are the digits, its words and small pictures say what the network read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sightline import demo
from sightline.predict import Prediction


def prediction(label: str, truth: str, number: int = 0) -> Prediction:
    return Prediction(label, torch.tensor(0), torch.tensor([1.0]), Path(truth) / f"{number}.png")


def test_the_digits_are_written_as_they_are(tmp_path):
    digits, names = demo.load_digits()
    demo.write_digits(tmp_path, digits, names)
    files = sorted(tmp_path.rglob("*.png"))
    assert len(files) == len(digits) == 1797
    assert {path.parent.name for path in files} == set("0123456789")
    number = int(files[0].stem)
    assert files[0].parent.name == names[number]
    written = Image.open(files[0]).crop((2, 2, 30, 30))
    small = np.asarray(written.resize((8, 8), Image.Resampling.BOX)).astype(int)
    assert np.corrcoef(small.flatten(), digits[number].flatten())[0, 1] > 0.97


def test_a_fifth_of_every_class_validates_and_none_of_it_trains(tmp_path):
    digits, names = demo.load_digits()
    demo.write_digits(tmp_path, digits, names)
    for name in set(names):
        train, valid = ({path.stem for path in (tmp_path / part / name).iterdir()} for part in ("train", "valid"))
        assert not train & valid
        assert len(valid) / (len(train) + len(valid)) == pytest.approx(0.2, abs=0.01)


def test_wrong_ones_come_first_and_right_ones_fill_up():
    predictions = [prediction(str(i % 10), str(i % 10), i) for i in range(100)]
    predictions[50] = prediction("3", "8", 50)
    chosen = demo.worth_seeing(predictions, 6)
    assert [demo.is_right(one) for one in chosen] == [False, True, True, True, True, True]
    assert len({one.source for one in chosen}) == 6


def test_a_picture_becomes_half_blocks_or_shades():
    picture = Image.fromarray(np.array([[0, 255], [255, 0], [255, 255], [0, 0]], dtype=np.uint8))
    coloured = demo.in_characters(picture, colours=True)
    assert coloured.plain == "▀▀\n▀▀"
    assert str(coloured.spans[0].style) == "rgb(0,0,0) on rgb(255,255,255)"
    shades = demo.in_characters(Image.fromarray(np.array([[0, 255], [0, 255]], dtype=np.uint8)), colours=False)
    assert shades.plain == " @"


@pytest.mark.slow
def test_the_demonstration_runs_from_digits_to_predictions(tmp_path, monkeypatch, capsys):
    # The whole road, but one epoch of it; that the figure is good is not for a test to wait for.
    monkeypatch.setattr(demo, "EPOCHS", 1)
    folder = demo.run_demo(out=tmp_path / "demo", device="cpu")
    shown = capsys.readouterr().out
    assert "digits that training never saw" in shown
    for line in shown.split(f"In {folder}:")[1].strip().splitlines():
        assert (folder / line.split()[0]).exists(), line
    for name in ("batch.png", "predictions.png"):
        with Image.open(folder / name) as picture:
            assert min(picture.size) > 300
