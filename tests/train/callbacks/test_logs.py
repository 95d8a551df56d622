"""The table as a file, and the graph."""

from __future__ import annotations

import pandas as pd
import pytest

from sightline.errors import OptionError
from sightline.train.callbacks import logs
from sightline.train.callbacks.logs import CSVLogger, ShowGraphCallback
from sightline.train.events import Callback, CancelValidException
from train.callbacks.small import learner, quiet


def test_the_file_holds_the_table_with_all_digits(tmp_path):
    learn = quiet(learner(path=tmp_path, cbs=CSVLogger()), "fit", 2)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == "epoch,train_loss,valid_loss,error_rate,accuracy,time"
    assert [line.split(",")[0] for line in lines[1:]] == ["0", "1"]
    assert [[float(cell) for cell in line.split(",")[1:-1]] for line in lines[1:]] == learn.recorder.values
    assert lines[1].endswith(",00:00")
    assert learn.csv_logger.read_log().shape == (2, 6)


def test_both_phases_are_one_table_and_a_new_run_begins_anew(tmp_path):
    learn = learner(path=tmp_path, cbs=CSVLogger("sub/log.csv"))
    quiet(learn, "fine_tune", 2)
    assert learn.csv_logger.read_log()["epoch"].tolist() == [0, 0, 1]
    quiet(learn, "fit", 1)
    assert learn.csv_logger.read_log()["epoch"].tolist() == [0]


def test_appended_runs_have_one_header(tmp_path):
    for _ in range(2):
        quiet(learner(path=tmp_path, cbs=CSVLogger(append=True)), "fit", 1)
    assert pd.read_csv(tmp_path / "history.csv")["epoch"].tolist() == [0, 0]
    with pytest.raises(OptionError, match="has the columns epoch, train_loss, valid_loss, error_rate, accuracy, time"):
        quiet(learner(path=tmp_path, metrics=[], cbs=CSVLogger(append=True)), "fit", 1)


def test_what_was_not_computed_is_blank_and_skipped_epochs_have_no_row(tmp_path):
    def skip(cb):
        raise CancelValidException

    learn = learner(path=tmp_path, cbs=[CSVLogger(), Callback(before_validate=skip)])
    quiet(learn, "fit", 2, start_epoch=1)
    assert (tmp_path / "history.csv").read_text().splitlines()[1].split(",")[2:5] == ["", "", ""]
    assert learn.csv_logger.read_log()["epoch"].tolist() == [1]


def test_a_saved_run_goes_on_below_its_rows(tmp_path):
    first = CSVLogger()
    quiet(learner(path=tmp_path, cbs=first), "fit", 1)
    again = CSVLogger()
    again.load_state_dict(first.state_dict())
    quiet(learner(path=tmp_path, cbs=again), "fit", 2, start_epoch=1)
    assert again.read_log()["epoch"].tolist() == [0, 1]


def test_the_graph_shows_both_losses_up_to_the_end_that_is_to_come():
    bounds = []
    graph = ShowGraphCallback()
    look = Callback(after_epoch=lambda cb: bounds.append(graph.figure.axes[0].get_xlim()))
    look.order = 99
    learn = quiet(learner(cbs=[graph, look]), "fit", 3)
    train, valid = graph.figure.axes[0].get_lines()
    assert train.get_ydata().tolist() == learn.recorder.losses
    assert valid.get_xdata().tolist() == [4, 8, 12]
    assert valid.get_ydata().tolist() == [row[1] for row in learn.recorder.values]
    assert bounds == [(0, 12)] * 3


def test_a_notebook_has_one_graph_that_is_redrawn(monkeypatch):
    import sys
    import types

    shown, redrawn = [], []

    def display(image, display_id):
        shown.append(image)
        return types.SimpleNamespace(update=redrawn.append)

    area = types.ModuleType("IPython.display")
    area.Image, area.display = lambda data: data, display
    outer = types.ModuleType("IPython")
    outer.version_info = (9, 0, 0)  # matplotlib asks for it when it is first used
    monkeypatch.setitem(sys.modules, "IPython", outer)
    monkeypatch.setitem(sys.modules, "IPython.display", area)
    monkeypatch.setattr(logs, "in_notebook", lambda: True)
    quiet(learner(cbs=ShowGraphCallback), "fit", 3)
    assert (len(shown), len(redrawn)) == (1, 2)
    assert shown[0].startswith(b"\x89PNG")
