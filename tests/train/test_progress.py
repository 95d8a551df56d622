"""What is shown while training: bar and table, in a terminal, a notebook and a log."""

from __future__ import annotations

import io
import sys
import types
from html.parser import HTMLParser

import pytest
import torch
from rich.console import Console
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.metrics.single_label import error_rate
from sightline.target import SingleLabel
from sightline.train import progress
from sightline.train.learner import Learner
from sightline.train.progress import LogDisplay, NotebookDisplay, ProgressCallback, TerminalDisplay, choose_display, row_text


def learner() -> Learner:
    rows = [(torch.randn(4, 3), torch.randint(0, 2, (4,)))] * 5
    return Learner(DataLoaders(rows, rows[:2], target=SingleLabel.learn(["a", "b"])), nn.Linear(3, 2), metrics=error_rate)


def shown(display_class, *, epochs: int = 2, **console_options) -> str:
    text = io.StringIO()
    learn = learner()
    learn.progress.display_of = lambda: display_class(Console(file=text, width=100, **console_options))
    learn.fit(epochs)
    return text.getvalue()


def test_a_log_gets_one_plain_row_an_epoch_and_no_bar():
    lines = shown(LogDisplay).splitlines()
    assert lines[0].split() == ["epoch", "train_loss", "valid_loss", "error_rate", "time"]
    assert [line.split()[0] for line in lines[1:]] == ["0", "1"]
    assert all(len(line.split()) == 5 for line in lines)
    assert len({len(line) for line in lines}) == 1


def test_a_terminal_gets_a_bar_with_speed_and_the_table(monkeypatch):
    monkeypatch.setattr(progress, "REDRAW_EVERY_S", 0.0)
    text = shown(TerminalDisplay, force_terminal=True)
    assert "images/s" in text
    assert "epoch 2/2 training" in text
    assert "epoch 2/2 validating" in text
    assert "2/2" in text
    assert text.count("00:00") >= 2


def test_the_speed_is_that_of_the_part_at_hand(monkeypatch):
    seconds = iter(range(10_000))
    monkeypatch.setattr(progress, "time", types.SimpleNamespace(monotonic=lambda: next(seconds)))
    text = io.StringIO()
    learn = learner()
    notes: list[str] = []
    learn.progress.display_of = lambda: LogDisplay(Console(file=text))
    monkeypatch.setattr(LogDisplay, "advance", lambda self, done, note: notes.append(note))
    learn.fit(2)
    # Every look at the clock is a second later: 4 pictures each, in every part of every epoch anew.
    assert [note.split("  ")[0] for note in notes] == ["4 images/s"] * 2 * (5 + 2)


def test_no_bar_and_no_logging_hide_their_parts():
    text = io.StringIO()
    learn = learner()
    learn.progress.display_of = lambda: LogDisplay(Console(file=text))
    with learn.no_logging():
        learn.fit(1)
    assert text.getvalue() == ""
    with learn.no_bar(), learn.no_mbar() as same:
        same.fit(1)
    assert same is learn
    assert "train_loss" in text.getvalue()


def test_a_notebook_gets_one_area_that_is_redrawn(monkeypatch):
    drawn: list[str] = []
    ipython = types.ModuleType("IPython")
    area = types.ModuleType("IPython.display")
    area.HTML = lambda text: text
    area.display = lambda html, display_id: types.SimpleNamespace(update=drawn.append)
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", area)
    monkeypatch.setattr(progress, "REDRAW_EVERY_S", 0.0)
    learn = learner()
    learn.progress.display_of = NotebookDisplay
    learn.fit(2)
    assert any("<progress value=" in html and "images/s" in html for html in drawn)
    assert drawn[-1].count("<tr>") == 3
    assert "<progress" not in drawn[-1]
    assert "<th>error_rate</th>" in drawn[-1]


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a</td><td>b", "&lt;b&gt;", '"><img src=x onerror=alert(1)>'])
def test_a_notebook_shows_names_and_notes_as_text(name, monkeypatch):
    drawn: list[str] = []
    area = types.ModuleType("IPython.display")
    area.HTML = lambda text: text
    area.display = lambda html, display_id: types.SimpleNamespace(update=drawn.append)
    monkeypatch.setitem(sys.modules, "IPython.display", area)
    display = NotebookDisplay()
    display.begin([name, "time"])
    display.stage(name, 5)
    display.advance(1, name)
    display.row([name, "00:01"])
    display.advance(2, name)
    display.note(name)
    tags: list[str] = []
    texts: list[str] = []
    reader = HTMLParser()
    monkeypatch.setattr(reader, "handle_starttag", lambda tag, attributes: tags.append(tag))
    monkeypatch.setattr(reader, "handle_data", texts.append)
    reader.feed(drawn[-1])
    assert tags == ["table", "tr", "th", "th", "tr", "td", "td", "div", "div", "progress"]
    assert "".join(texts).count(name) == 5


def test_the_display_is_closed_after_an_error():
    text = io.StringIO()
    learn = learner()
    learn.progress.display_of = lambda: TerminalDisplay(Console(file=text, force_terminal=True))

    def broken(logits, target):
        raise KeyError("broken")

    learn.objective.loss_func = broken
    with pytest.raises(KeyError):
        learn.fit(1)
    assert learn.progress._display is None


def test_the_display_follows_the_output(monkeypatch):
    assert type(choose_display()) is LogDisplay
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    monkeypatch.setattr(progress, "NotebookDisplay", lambda: "notebook")
    assert choose_display() == "notebook"


def test_rows_show_blank_where_there_is_no_figure():
    row = {"epoch": 3, "train_loss": 0.5, "valid_loss": None, "metrics": {"error_rate": 0.25}, "seconds": 61.2}
    assert row_text(row) == ["3", "0.500000", "", "0.250000", "01:01"]


def test_a_display_of_ones_own_serves():
    assert ProgressCallback(lambda: None).display_of() is None
