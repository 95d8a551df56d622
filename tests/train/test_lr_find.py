"""The search for a rate: suggestions, and a learner that stays exactly as it was."""

from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from torch import nn

from sightline.data.dataloaders import DataLoaders
from sightline.errors import OptionError, SightlineWarning
from sightline.target import Regression
from sightline.train.events import Callback
from sightline.train.learner import Learner
from sightline.train.lr_find import LRFinder, SuggestionMethod, minimum, slide, steep, valley


@pytest.fixture(autouse=True)
def _no_figure_stays_open():
    yield
    plt.close("all")


def curve(n):
    """Rates and losses as a search sees them: flat, falling, rising again."""
    place = np.arange(n)
    falling = 2 - 1.2 / (1 + np.exp(-(place - n * 0.6) / 4))
    losses = falling + np.exp((place - n * 0.93) / 2.0) + 0.03 * np.sin(7.0 * place)
    return torch.tensor(1e-7 * 1e8 ** (place / 100), dtype=torch.float32), torch.tensor(losses, dtype=torch.float32)


# What fastai 2.8.12 gives for curve(n).
FOUND = {
    20: {
        "valley": (3.63078e-07, 3.63078e-07, 1.707175),
        "slide": (1e-07, 1e-07, 1.94318),
        "minimum": (1.584893e-07, 1.584893e-06, 1.321168),
        "steep": (9.120108e-07, 9.120108e-07, 1.458879),
    },
    45: {
        "valley": (3.981072e-06, 3.981072e-06, 1.851769),
        "slide": (2.511887e-07, 2.511887e-07, 1.98227),
        "minimum": (6.309574e-06, 6.309574e-05, 0.9742664),
        "steep": (2.511886e-05, 2.511886e-05, 1.201689),
    },
    90: {
        "valley": (0.002089296, 0.002089296, 1.425388),
        "slide": (8.317637e-06, 8.317637e-06, 1.969422),
        "minimum": (0.01202264, 0.1202264, 0.7998358),
        "steep": (0.003019952, 0.003019952, 1.272355),
    },
}


@pytest.mark.parametrize("n", sorted(FOUND))
def test_suggestions_equal_the_reference(n):
    rates, losses = curve(n)
    for suggest in (valley, slide, minimum, steep):
        rate, (marked, loss) = suggest(rates, losses, 100)
        assert (rate, marked, loss) == pytest.approx(FOUND[n][suggest.__name__], rel=1e-6)


def test_suggestions_take_lists_as_well():
    assert valley([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], 4) == (1.0, (1.0, 4.0))
    assert minimum([1.0, 2.0, 4.0], [4.0, 1.0, 3.0], 3) == (0.2, (2.0, 1.0))
    assert steep([1.0, 2.0, 4.0], [4.0, 3.5, 1.0], 3) == (2.0, (2.0, 3.5))
    assert SuggestionMethod.Steep is steep


def learner(batches=4, **options):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.2), nn.Linear(8, 1))
    x = torch.randn(8 * batches, 4)
    data = [(part, part[:, :1] * 2 + 1) for part in x.split(8)]
    dls = DataLoaders(data, data[:1], target=Regression.learn([0.0, 1.0]))
    return Learner(dls, model, splitter=lambda m: [list(m[:2].parameters()), list(m[2:].parameters())], **options)


def everything(learn):
    """All that a fit changes, as values that can be compared."""
    opt = learn.opt
    return {
        "weights": {name: tensor.clone() for name, tensor in learn.model.state_dict().items()},
        "optimizer": None if opt is None else [
            {k: v.clone() if torch.is_tensor(v) else v for k, v in opt.state[p].items()} for p in opt.state
        ],
        "hypers": None if opt is None else [dict(hyper) for hyper in opt.hypers],
        "modes": [module.training for module in learn.model.modules()],
        "random": torch.get_rng_state(),
        "record": [dict(row) for row in learn.recorder.record.rows],
        "counts": (learn.epochs_done, learn.train_iter, learn.n_epoch, learn.run, learn.dls.train.epoch, learn.frozen_to),
        "cbs": list(learn.cbs),
    }  # fmt: skip


def same(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other


class Breaks(Callback):
    """Ends a fit in its middle, by an error of a kind."""

    def __init__(self, error):
        self.error = error

    def after_batch(self):
        if self.learn.train_iter == 5:
            raise self.error


def test_a_suggestion_is_a_field_of_the_result():
    found = learner().lr_find(show_plot=False)
    assert found._fields == ("valley",)
    assert 1e-7 < found.valley < 10


def test_all_suggestions_come_in_one_result_and_are_marked_in_the_plot():
    learn = learner()
    found = learn.lr_find(suggest_funcs=(minimum, steep, valley, partial(slide, thresh=0.01)))
    assert found._fields == ("minimum", "steep", "valley", "slide")
    assert found.minimum == found[0]
    (axes,) = plt.gcf().axes
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["minimum", "steep", "valley", "slide"]
    assert axes.get_xscale() == "log"
    assert learn.lr_find(suggest_funcs=None, show_plot=False) is None


def test_rates_rise_by_equal_factors_and_small_sets_are_gone_round_again():
    learn = learner(batches=1)
    learn.lr_find(num_it=50, end_lr=1e-3, show_plot=False)
    rates = np.array(learn.recorder.lrs)
    assert len(rates) == len(learn.recorder.losses) == 50
    assert rates == pytest.approx(1e-7 * 1e4 ** (np.arange(50) / 50))


def test_every_parameter_group_can_have_a_range_of_its_own():
    learn = learner()
    learn.lr_find(start_lr=[1e-8, 1e-7], end_lr=[1e-3, 1e-1], num_it=10, show_plot=False, suggest_funcs=None)
    assert learn.recorder.sweep.of("step")[5]["lr"] == pytest.approx([1e-8 * 1e5**0.5, 1e-7 * 1e6**0.5])


@pytest.mark.parametrize("trained", [False, True], ids=["before training", "after training"])
@pytest.mark.parametrize("error", [None, KeyboardInterrupt, RuntimeError])
def test_the_learner_is_as_it_was_however_the_search_ends(trained, error):
    learn = learner()
    with learn.no_logging():
        if trained:
            learn.fit_one_cycle(2, 0.01)
    learn.model[1].eval()
    before = everything(learn)
    if error is None:
        learn.lr_find(show_plot=False)
    else:
        with pytest.raises(error), learn.added_cbs(Breaks(error)):
            learn.lr_find(show_plot=False)
    after = everything(learn)
    assert [name for name in before if not same(before[name], after[name])] == []
    assert all(p.grad is None for p in learn.model.parameters())


def test_later_training_goes_as_if_there_had_been_no_search():
    def losses(search):
        learn = learner()
        with learn.no_logging():
            learn.fit_one_cycle(1, 0.01)
            if search:
                learn.lr_find(show_plot=False)
            learn.fit(2)
        return learn.recorder.record.of("step")

    assert losses(search=True) == losses(search=False)


def test_a_loss_that_is_no_number_ends_the_search_quietly():
    learn = learner()
    seen = []

    def broken(logits, target):
        seen.append(1)
        return nn.functional.mse_loss(logits, target) * (float("nan") if len(seen) > 40 else 1.0)

    learn.loss_func = broken
    found = learn.lr_find(show_plot=False)
    assert np.isfinite(found.valley)
    assert len(learn.recorder.sweep.of("step")) == 41
    assert all(torch.isfinite(p).all() for p in learn.model.parameters())


def test_too_few_steps_give_nan_and_a_warning():
    with pytest.warns(SightlineWarning, match="no suggestion by slide: 3 steps with a finite loss were left"):
        found = learner().lr_find(num_it=8, show_plot=False, suggest_funcs=(valley, slide))
    assert np.isnan(found.slide)
    assert not np.isnan(found.valley)
    hopeless = learner(loss_func=lambda logits, target: (logits * float("nan")).sum())
    with pytest.warns(SightlineWarning, match="no suggestion by valley: 0 steps"):
        assert np.isnan(hopeless.lr_find().valley)
    assert np.isfinite(learner(batches=1).lr_find(num_it=1).valley)


def test_a_suggestion_of_nan_is_never_trained_with():
    learn = learner()
    with pytest.raises(OptionError, match="lr=nan"):
        learn.fit_one_cycle(1, float("nan"))


def test_callbacks_that_stay_away_from_passes_beside_a_fit_see_nothing():
    class Watches(Callback):
        remove_on_fetch = True
        seen = 0

        def before_fit(self):
            self.seen += 1

    watch = Watches()
    learn = learner(cbs=watch)
    learn.lr_find(show_plot=False)
    assert watch.seen == 0
    assert watch in learn.cbs


def test_the_plot_can_be_drawn_again_after_later_fits():
    learn = learner()
    with pytest.raises(OptionError, match=r"Call learn\.lr_find\(\) first"):
        learn.recorder.plot_lr_find()
    learn.lr_find(show_plot=False)
    with learn.no_logging():
        learn.fit(1)
    assert len(learn.recorder.lrs) == 4
    figure, axes = plt.subplots()
    assert learn.recorder.plot_lr_find(skip_end=0, suggestions=[(1e-3, 1.0)], ax=axes) is figure
    assert len(axes.lines[0].get_xdata()) == len(learn.recorder.sweep.of("step"))


def test_the_callback_alone_puts_the_learner_back():
    learn = learner()
    with learn.no_logging():
        learn.fit(1)
        before = everything(learn)
        learn.fit(10, cbs=LRFinder(num_it=20))
    after = everything(learn)
    assert same(before["weights"], after["weights"])
    assert same(before["optimizer"], after["optimizer"])


def test_wrong_numbers_are_refused():
    learn = learner()
    with pytest.raises(OptionError, match="positive rates, the second the higher"):
        learn.lr_find(start_lr=1.0, end_lr=1e-3)
    with pytest.raises(OptionError, match="num_it=0"):
        learn.lr_find(num_it=0)
