"""A trace of some steps: when it is taken, what lies in it, and what is shown of it."""

from __future__ import annotations

import io
import json
from collections import Counter

import pytest
from rich.console import Console

from sightline.errors import OptionError
from sightline.train.callbacks.profile import ProfileCallback
from sightline.train.events import Callback, CancelFitException
from sightline.train.progress import LogDisplay
from train.callbacks.small import learner, quiet

STEPS_AN_EPOCH = 4
SPANS = {"data", "forward", "loss", "backward", "step", "callbacks"}


def spans_of(cb: ProfileCallback) -> Counter[str]:
    """How often each span lies in the trace."""
    trace = json.loads(cb.written.read_text(encoding="utf-8"))
    return Counter(event["name"] for event in trace["traceEvents"] if event.get("cat") == "user_annotation")


def test_a_trace_holds_the_steps_in_spans(tmp_path):
    cb = ProfileCallback(wait=2, steps=3)
    quiet(learner(path=tmp_path, cbs=cb), "fit", 2)
    assert cb.written == tmp_path / "trace.json"
    spans = spans_of(cb)
    # The third step warms up; the trace goes from the fourth to the sixth, with a validation between.
    assert {name: spans[name] for name in SPANS - {"data"}} == dict.fromkeys(SPANS - {"data"}, 3)
    assert spans["data"] in (3, 4)  # at the end of an epoch it is found that there is no more
    assert spans["validation"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_operators_are_ordered_by_what_they_cost(tmp_path):
    cb = ProfileCallback(wait=0, steps=2)
    quiet(learner(path=tmp_path, cbs=cb), "fit", 1)
    names = [cost.name for cost in cb.costs]
    assert "aten::convolution_backward" in names
    assert not SPANS & set(names)
    assert [cost.ms for cost in cb.costs] == sorted((cost.ms for cost in cb.costs), reverse=True)
    assert sum(cost.share for cost in cb.costs) == pytest.approx(1)
    assert next(cost for cost in cb.costs if cost.name == "aten::convolution_backward").calls == 2


@pytest.mark.parametrize(("wait", "steps", "traced"), [(10, 5, 3), (0, 50, 3), (2, 1, 1), (3, 3, 3)])
def test_short_fits_are_traced_as_far_as_they_go(wait, steps, traced, tmp_path):
    cb = ProfileCallback(wait=wait, steps=steps)
    quiet(learner(path=tmp_path, cbs=cb), "fit", 1)
    assert spans_of(cb)["backward"] == min(traced, STEPS_AN_EPOCH - 1)


def test_of_fine_tuning_the_last_phase_is_traced(tmp_path):
    traced_in = []
    cb = ProfileCallback(wait=0, steps=2)
    watch = Callback(after_fit=lambda watch: traced_in.append((watch.learn.phase_name, cb.written is not None)))
    quiet(learner(path=tmp_path, cbs=[cb, watch]), "fine_tune", 1)
    assert [written for _, written in traced_in] == [False, True]


def test_it_says_where_the_trace_is_and_how_to_open_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = io.StringIO()
    learn = learner(path=tmp_path / "runs", cbs=ProfileCallback("first", wait=0, steps=2, top=3))
    learn.progress.display_of = lambda: LogDisplay(Console(file=text, width=200))
    learn.fit(1)
    told = text.getvalue()
    assert "Trace of 2 steps: runs/first.json. Open it at https://ui.perfetto.dev, or in Chrome at chrome://tracing." in told
    assert len([line for line in told.splitlines() if line.endswith(("calls", "1 call"))]) == 3


def test_a_fit_of_one_step_is_too_short_and_says_so(tmp_path):
    text = io.StringIO()
    cb = ProfileCallback()
    learn = learner(sizes=(6,), path=tmp_path, cbs=cb)
    learn.progress.display_of = lambda: LogDisplay(Console(file=text, width=200))
    learn.fit(1)
    assert cb.written is None
    assert "No trace: the fit has one step" in text.getvalue()


@pytest.mark.parametrize("error", [CancelFitException, ZeroDivisionError])
def test_a_fit_that_ends_within_the_trace_leaves_what_there_is(error, tmp_path):
    class Stop(Callback):
        def after_loss(self):
            if self.training and self.train_iter == 2:
                raise error

    cb = ProfileCallback(wait=0, steps=3)
    learn = learner(path=tmp_path, cbs=[cb, Stop()])
    if error is ZeroDivisionError:
        with pytest.raises(error):
            quiet(learn, "fit", 1)
    else:
        quiet(learn, "fit", 1)
    assert spans_of(cb)["backward"] == 1
    assert [path.name for path in tmp_path.iterdir()] == ["trace.json"]


def test_each_fit_writes_its_own_trace(tmp_path):
    cb = ProfileCallback(wait=0, steps=1)
    learn = quiet(learner(path=tmp_path, cbs=cb), "fit", 1)
    cb.written.unlink()
    quiet(learn, "fit", 1)
    assert spans_of(cb)["step"] == 1


def test_steps_outside_of_the_trace_are_not_touched(tmp_path):
    cb = ProfileCallback(wait=1, steps=1)
    active = []
    watch = Callback(after_loss=lambda watch: active.append(cb._profiler is not None) if watch.training else None)
    quiet(learner(path=tmp_path, cbs=[cb, watch]), "fit", 2)
    assert active == [False, True, True, False, False, False, False, False]


@pytest.mark.parametrize("wrong", [{"wait": -1}, {"steps": 0}, {"top": 1.5}, {"steps": True}])
def test_numbers_outside_their_range_are_refused(wrong):
    with pytest.raises(OptionError, match="expected a whole number"):
        ProfileCallback(**wrong)
