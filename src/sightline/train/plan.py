"""Plan: in words, what a fine-tuning run is about to do."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sightline.errors import counted, listed
from sightline.metrics import metric_name
from sightline.train.optim import described
from sightline.train.schedule import spread

if TYPE_CHECKING:
    from sightline.train.learner import Learner


@dataclass(frozen=True)
class Phase:
    """One fit within a plan.

    Attributes:
        name: What trains, in words.
        epochs: How many epochs.
        rates: Highest learning rate of every parameter group, lowest group first.
        trained: How many parameters train.
        rising: Share of the steps during which the rates rise.
        div: The first rates are the highest divided by this.
    """

    name: str
    epochs: int
    rates: tuple[float, ...]
    trained: int
    rising: float
    div: float


@dataclass(frozen=True)
class Plan:
    """What is about to happen; `str(plan)` or `print(plan)` reads it out.

    Attributes:
        lines: What and how, one (topic, sentence) a line.
        phases: The fits that have an epoch, in order.
        iterations: Training steps of one epoch.
    """

    lines: tuple[tuple[str, str], ...]
    phases: tuple[Phase, ...]
    iterations: int

    def __str__(self) -> str:
        width = max(len(topic) for topic, _ in self.lines)
        return "\n".join(f"{topic:<{width}}  {sentence}" for topic, sentence in self.lines)

    __repr__ = __str__


def plan_phases(
    learn: Learner, epochs: int, *, base_lr: float, freeze_epochs: int, lr_mult: float, pct_start: float = 0.3, div: float = 5.0
) -> Plan:
    """The plan of `learn.fine_tune` with these arguments."""
    groups = (learn.opt or learn.create_opt()).param_lists
    total = sum(parameter.numel() for group in groups for parameter in group)
    kept = _norms_below_the_head(learn)
    head = sum(parameter.numel() for parameter in groups[-1])
    below = f" and the normalisation below it ({counted(kept, 'parameter')})" if kept else ""
    last = base_lr / 2
    planned = (
        Phase(f"the head{below}", freeze_epochs, tuple(spread(slice(base_lr), len(groups))), head + kept, 0.99, 25.0),
        Phase("everything", epochs, tuple(spread(slice(last / lr_mult, last), len(groups))), total, pct_start, div),
    )
    phases = tuple(phase for phase in planned if phase.epochs)
    iterations = len(learn.dls.train)
    rows = (
        *_data_lines(learn, iterations),
        *_model_lines(learn, total),
        *_phase_lines(phases, iterations),
    )
    return Plan((*rows, *_machine_lines(learn)), phases, iterations)


def _data_lines(learn: Learner, iterations: int) -> list[tuple[str, str]]:
    train, valid = learn.dls.train, learn.dls.valid
    size = learn.dls.preprocess.output_size if learn.dls.preprocess is not None else None
    pixels = f" of {size[0]} x {size[1]} pixels" if size else ""
    used = min(train.n, iterations * train.bs)
    rest = f" ({counted(train.n - used, 'picture')} left over, other ones each epoch)" if used < train.n else ""
    vocab = learn.target.vocab
    names = (
        f"{len(vocab)} names: {listed(list(vocab), most=6)}"
        if vocab is not None
        else counted(learn.target.num_outputs, "number")
    )
    return [
        ("pictures", f"{train.n:,} for training, {valid.n:,} for validation{pixels}"),
        ("labels", f"{names}; {learn.target.because}"),
        ("batches", f"{train.n:,} pictures in batches of {train.bs} make {counted(iterations, 'iteration')} an epoch{rest}"),
    ]


def _model_lines(learn: Learner, total: int) -> list[tuple[str, str]]:
    spec = learn.spec
    name = spec.arch if spec is not None else type(learn.model).__name__
    reason = "as asked for" if learn.objective.loss_func is not None else f"because {learn.target.because}"
    metrics = ", ".join(metric_name(metric) for metric in learn.metrics) or "none"
    return [
        ("network", f"{name}, {counted(total, 'parameter')}"),
        ("loss", f"{learn.objective.name}, {reason}"),
        ("metrics", metrics),
        ("optimizer", f"{described(learn.opt_func)}, weight decay {_decay(learn)}"),
    ]


def _phase_lines(phases: tuple[Phase, ...], iterations: int) -> list[tuple[str, str]]:
    rows = []
    for number, phase in enumerate(phases, start=1):
        steps = phase.epochs * iterations
        rates = " / ".join(f"{rate:.2g}" for rate in phase.rates)
        sentence = (
            f"{phase.name}: {counted(phase.epochs, 'epoch')}, {counted(steps, 'step')}; learning rates up to {rates} by depth, "
            f"one cycle: from 1/{phase.div:g} of that, rising for {math.ceil(phase.rising * steps):,} steps, then falling"
        )
        rows.append((f"phase {number}", sentence))
    return rows


def _machine_lines(learn: Learner) -> list[tuple[str, str]]:
    runtime = learn.runtime
    return [
        ("device", f"{runtime.device}: {runtime.device_reason}"),
        ("precision", f"{runtime.precision}: {runtime.precision_reason}"),
    ]


def _norms_below_the_head(learn: Learner) -> int:
    from sightline.model.freeze import norm_parameters

    if not learn.train_bn or learn.opt is None:
        return 0
    head = {id(parameter) for parameter in learn.opt.param_lists[-1]}
    return sum(parameter.numel() for parameter in norm_parameters(learn.model) if id(parameter) not in head)


def _decay(learn: Learner) -> str:
    own = learn.opt.hypers[-1].get("wd", 0.0) if learn.opt is not None else 0.0
    exempt = "" if learn.wd_bn_bias else ", none on biases and normalisation"
    return f"{own if learn.wd is None else learn.wd:g}{exempt}"
