"""Plots of a record, and the record under the field's names."""

import matplotlib.pyplot as plt
import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import OptionError
from sightline.target import Regression
from sightline.train.callbacks.core import ParamScheduler
from sightline.train.learner import Learner
from sightline.train.schedule import SchedLin, combined_cos


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def trained(epochs=2, method="fit_one_cycle", **options):
    torch.manual_seed(0)
    data = [(torch.randn(4, 2), torch.randn(4, 1)) for _ in range(4)]
    learn = Learner(DataLoaders(data, data[:1], target=Regression.learn([0.0, 1.0])), nn.Linear(2, 1))
    with learn.no_logging():
        getattr(learn, method)(epochs, **options)
    return learn


def test_losses_are_plotted_by_step_and_by_epoch():
    learn = trained(3)
    figure = learn.recorder.plot_loss(skip_start=2, show_epochs=True)
    (axes,) = figure.axes
    train, *marks, valid = axes.lines
    assert list(train.get_xdata()) == list(range(2, 12))
    assert list(train.get_ydata()) == learn.recorder.losses[2:]
    assert list(valid.get_xdata()) == [4, 8, 12]
    assert list(valid.get_ydata()) == [row[1] for row in learn.recorder.values]
    assert len(marks) == 3


def test_a_plot_goes_where_it_is_told():
    learn = trained()
    figure, axes = plt.subplots()
    assert learn.recorder.plot_loss(ax=axes, log=True, with_valid=False) is figure
    assert (axes.get_xscale(), len(axes.lines)) == ("log", 1)
    assert learn.recorder.plot_sched("lr", ax=axes) is figure
    assert tuple(learn.recorder.plot_sched(figsize=(3, 2)).get_size_inches()) == (3, 2)


def test_schedules_are_plotted_under_their_names():
    learn = trained()
    figure = learn.recorder.plot_sched()
    assert [axes.get_ylabel() for axes in figure.axes] == ["lr", "mom"]
    assert list(figure.axes[0].lines[0].get_ydata()) == learn.recorder.lrs == learn.recorder.hps["lr"]
    with pytest.raises(OptionError, match=r"plot_sched\(keys=\['lrs'\]\).*Did you mean 'lr'"):
        learn.recorder.plot_sched("lrs")
    with pytest.raises(OptionError, match="one ax"):
        learn.recorder.plot_sched(ax=figure.axes[0])


def test_schedules_of_ones_own_drive_any_hyper_parameter():
    learn = trained(2, "fit", cbs=ParamScheduler({"lr": combined_cos(0.25, 1e-4, 1e-2, 1e-5), "eps": SchedLin(1e-5, 1e-3)}))
    hps = learn.recorder.hps
    assert hps["eps"] == pytest.approx([1e-5 + (1e-3 - 1e-5) * step / 8 for step in range(8)])
    assert hps["lr"][2] == pytest.approx(1e-2)
    assert [axes.get_ylabel() for axes in learn.recorder.plot_sched().axes] == ["lr", "eps"]


def test_a_fit_without_schedule_has_rates_to_plot_and_none_of_the_last_one():
    learn = trained()
    with learn.no_logging():
        learn.fit(1, 0.5)
    assert learn.recorder.hps == {}
    assert list(learn.recorder.plot_sched("lr").axes[0].lines[0].get_ydata()) == [0.5] * 4


def test_the_record_has_the_fields_names():
    learn = trained(2)
    assert learn.recorder.iters == [4, 8]
    assert learn.final_record == learn.recorder.final_record == learn.recorder.values[-1]
    epoch, train_loss, valid_loss, time = learn.recorder.log
    assert [epoch, train_loss, valid_loss, time] == [1, *learn.recorder.values[-1], "00:00"]
    assert len(learn.recorder.metric_names) == len(learn.recorder.log)


def test_flat_cos_leaves_epochs_out_as_if_they_had_been_run():
    whole, part = trained(4, "fit_flat_cos", lr=0.01), trained(4, "fit_flat_cos", lr=0.01, start_epoch=2)
    assert part.recorder.lrs == whole.recorder.lrs[8:]


def test_nothing_to_plot_is_said():
    learn = trained(0)
    with pytest.raises(OptionError, match="nothing to plot"):
        learn.recorder.plot_sched()
    assert learn.recorder.final_record == []
