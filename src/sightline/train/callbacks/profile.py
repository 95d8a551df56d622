"""ProfileCallback: a trace of some training steps for the usual viewers, and the operators that took the longest."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch

from sightline.atomic import whole_file
from sightline.errors import OptionError, counted
from sightline.train.events import Callback


class OperatorCost(NamedTuple):
    """What an operator took in the steps of a trace.

    Attributes:
        name: As PyTorch calls it.
        calls: How often it ran.
        ms: Milliseconds in all, without what it called itself: on the GPU if there is one, else on the CPU.
        share: Of all operators' time, 0..1.
    """

    name: str
    calls: int
    ms: float
    share: float


class ProfileCallback(Callback):
    """Writes a trace of some training steps into one file, and shows which operators took the longest.

    The file opens in Perfetto (https://ui.perfetto.dev) and in Chrome (chrome://tracing). Steps in it are divided into spans:
    data, forward, loss, backward, step, callbacks. Only the steps of the trace, and one before them, are slower for it. Of
    `fine_tune` it watches the last phase, in which everything trains.

    Attributes:
        fname: The file, within the learner's `path` unless it is absolute.
        written: Where the last trace lies; None before there is one.
        costs: The operators of the last trace, the costliest first.
    """

    order: ClassVar[int] = 200
    remove_on_fetch: ClassVar[bool] = True
    run_valid = False

    def __init__(self, fname: str | Path = "trace.json", *, wait: int = 10, steps: int = 5, top: int = 8) -> None:
        """Take where to write, and which steps to watch.

        Args:
            fname: The file; `.json` is added where it has no ending.
            wait: Steps before that, fewer where the fit is short: the first ones are not like the others.
            steps: Steps of the trace, fewer where the fit is short.
            top: Operators that are shown.

        Raises:
            OptionError: A number is outside its range.
        """
        for name, value, least in (("wait", wait, 0), ("steps", steps, 1), ("top", top, 0)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise OptionError(f"ProfileCallback({name}={value!r}): expected a whole number, {least} or more.")
        self.fname = Path(fname) if Path(fname).suffix else Path(fname).with_suffix(".json")
        self.wait, self.steps, self.top = wait, steps, top
        self.written: Path | None = None
        self.costs: list[OperatorCost] = []
        self._profiler: Any = None
        self._span: Any = None
        self._begins_after = self._traced = 0

    def before_fit(self) -> None:
        """Settle which steps are traced: one step goes to warming up the profiler itself."""
        total = self.n_epoch * len(self.dls.train) if self.learn.is_last_phase else 0
        self._traced = min(self.steps, total - 1)
        self._begins_after = max(0, min(self.wait, total - 1 - self._traced))
        if total == 1:
            self._note("No trace: the fit has one step, and a trace begins with the second.")

    def before_train(self) -> None:
        """Wait for the first batch."""
        self._begin_when_due()
        self._enter("data")

    def before_batch(self) -> None:
        """The batch is there."""
        self._enter("forward")

    def after_pred(self) -> None:
        """The outputs are there."""
        self._enter("loss")

    def before_backward(self) -> None:
        """The loss is there."""
        self._enter("backward")

    def before_step(self) -> None:
        """The gradients are there."""
        self._enter("step")

    def after_step(self) -> None:
        """The weights have changed."""
        self._enter("callbacks")

    def after_batch(self) -> None:
        """Begin or end the trace by the number of the step."""
        self._leave()
        if self._profiler is not None:
            if self.learn.train_iter > self._begins_after + self._traced:
                self._finish()
            else:
                self._profiler.step()
        self._begin_when_due()
        self._enter("data")

    def after_train(self) -> None:
        """No further batch is waited for."""
        self._leave()

    def before_validate(self) -> None:
        """What comes between the steps of two epochs."""
        self._enter("validation")

    def after_validate(self) -> None:
        """The epoch is over."""
        self._leave()

    def close(self) -> None:
        """End the trace, if the fit ended within it."""
        self._leave()
        self._finish()

    def _begin_when_due(self) -> None:
        if self._profiler is not None or self._traced < 1 or self.learn.train_iter != self._begins_after:
            return
        activities = [torch.profiler.ProfilerActivity.CPU]
        if self.learn.runtime.device.type == "cuda":
            activities.append(torch.profiler.ProfilerActivity.CUDA)
        else:
            # Otherwise its library complains about the GPU that is not there.
            os.environ.setdefault("KINETO_LOG_LEVEL", "99")
        schedule = torch.profiler.schedule(wait=0, warmup=1, active=self._traced, repeat=1)
        self._profiler = torch.profiler.profile(
            activities=activities, schedule=schedule, on_trace_ready=self._save, record_shapes=True, acc_events=True
        )
        self._profiler.start()

    def _finish(self) -> None:
        profiler, self._profiler, self._traced = self._profiler, None, 0
        if profiler is not None:
            profiler.stop()

    def _enter(self, name: str) -> None:
        self._leave()
        if self._profiler is not None:
            self._span = torch.profiler.record_function(name)
            self._span.__enter__()

    def _leave(self) -> None:
        if self._span is not None:
            span, self._span = self._span, None
            span.__exit__(None, None, None)

    def _save(self, profiler: Any) -> None:
        path = self.path / self.fname
        with whole_file(path) as partial:
            profiler.export_chrome_trace(str(partial))
        self.written, self.costs = path, _costs(profiler, self.learn.runtime.device)
        self._note(
            f"Trace of {counted(profiler.step_num, 'step')}: {_shown(path)}. Open it at https://ui.perfetto.dev, or in Chrome "
            "at chrome://tracing. What took longest:"
        )
        width = max((len(cost.name) for cost in self.costs[: self.top]), default=0)
        for cost in self.costs[: self.top]:
            self._note(f"  {cost.name:<{width}}  {cost.ms:>9,.1f} ms  {cost.share:>4.0%}  {counted(cost.calls, 'call')}")

    def _note(self, line: str) -> None:
        self.learn.progress.note(line)


def _shown(path: Path) -> Path:
    here = Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def _costs(profiler: Any, device: torch.device) -> list[OperatorCost]:
    """The operators of a trace; spans, ours and the profiler's own, are none."""
    attribute = "self_device_time_total" if device.type == "cuda" else "self_cpu_time_total"
    events = [event for event in profiler.key_averages() if not event.is_user_annotation]
    times = [(event, getattr(event, attribute) / 1000) for event in events]
    total = max(sum(ms for _, ms in times), 1e-12)
    costs = [OperatorCost(event.key, event.count, ms, ms / total) for event, ms in times if ms > 0]
    return sorted(costs, key=lambda cost: cost.ms, reverse=True)
