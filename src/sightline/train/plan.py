"""Plan: in words, what a fine-tuning run is about to do."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from sightline.errors import OptionError, counted, listed, name_of
from sightline.metrics.gathering import named_metrics
from sightline.runtime import cpus, determinism_in_words
from sightline.train.features import frozen_phase
from sightline.train.schedule import spread
from sightline.waiting import waiting_in_words

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
        note: What else is to be known of it; empty where nothing is.
    """

    name: str
    epochs: int
    rates: tuple[float, ...]
    trained: int
    rising: float
    div: float
    note: str = ""


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


def fine_tune_phases(
    learn: Learner,
    epochs: int,
    base_lr: float,
    freeze_epochs: int,
    lr_mult: float,
    pct_start: float,
    div: float,
    frozen: str = "train",
) -> tuple[Phase, Phase]:
    """The two fits of `learn.fine_tune` with these arguments, every one of them checked.

    Raises:
        OptionError: An argument is outside what it may be.

    Warns:
        SightlineWarning: The network has one parameter group, so that both fits train all of it.
    """
    for name, value in (("base_lr", base_lr), ("lr_mult", lr_mult), ("div", div)):
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
            raise OptionError(f"{name}={value!r}: expected one positive number.")
    if not 0 <= pct_start <= 1:
        raise OptionError(f"pct_start={pct_start!r}: expected a share of the steps, from 0 to 1.")
    learn.warn_of_one_group()
    groups = (learn.opt or learn.create_opt()).param_lists
    kept = _norms_below_the_head(learn)
    below = f" and the normalisation below it ({counted(kept, 'parameter')})" if kept else ""
    in_head, total = (sum(p.numel() for group in part for p in group) for part in (groups[-1:], groups))
    first, last = slice(base_lr), slice(base_lr / 2 / lr_mult, base_lr / 2)
    head = Phase(
        f"the head{below}", whole_epochs("freeze_epochs", freeze_epochs), _rates(first, groups), in_head + kept, 0.99, 25.0
    )
    return (
        frozen_phase(learn, head, frozen),
        Phase("everything", whole_epochs("epochs", epochs), _rates(last, groups), total, pct_start, div),
    )


def make_plan(learn: Learner, phases: Sequence[Phase], *, wd: float | None) -> Plan:
    """The plan of these fits, with this weight decay (None: the optimizer's own)."""
    phases = tuple(phase for phase in phases if phase.epochs)
    iterations = len(learn.dls.train)
    rows = (*_data_lines(learn, iterations), *_model_lines(learn, wd), *_phase_lines(phases, iterations))
    longest = max((phase.epochs for phase in phases), default=0)
    return Plan((*rows, *_machine_lines(learn), ("compile", str(learn.compiling(longest)))), phases, iterations)


def whole_epochs(name: str, value: int) -> int:
    """A number of epochs.

    Raises:
        OptionError: It is not a whole number, 0 or more.
    """
    try:
        epochs = -1 if isinstance(value, bool) else operator.index(value)
    except TypeError:
        epochs = -1
    if epochs < 0:
        raise OptionError(f"{name}={value!r}: expected a whole number of epochs, 0 or more.")
    return epochs


def _rates(value: slice, groups: Sequence[object]) -> tuple[float, ...]:
    return tuple(spread(value, len(groups)))


def _data_lines(learn: Learner, iterations: int) -> list[tuple[str, str]]:
    train, valid = learn.dls.train, learn.dls.valid
    size = learn.dls.preprocess.output_size if learn.dls.preprocess is not None else None
    pixels = f" of {size[0]} x {size[1]} pixels" if size else ""
    used = min(train.n, iterations * train.bs)
    rest = f" ({counted(train.n - used, 'picture')} left over in each)" if used < train.n else ""
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


def _model_lines(learn: Learner, wd: float | None) -> list[tuple[str, str]]:
    spec = learn.spec
    total = sum(parameter.numel() for parameter in learn.model.parameters())
    name = spec.arch if spec is not None else type(learn.model).__name__
    reason = "as asked for" if learn.objective.loss_func is not None else f"because {learn.target.because}"
    metrics = ", ".join(name for name, _ in named_metrics(learn.metrics)) or "none"
    return [
        ("network", f"{name}, {counted(total, 'parameter')}"),
        ("loss", f"{learn.objective.name}, {reason}"),
        ("metrics", metrics),
        ("optimizer", f"{name_of(learn.opt_func)}, weight decay {_decay(learn, wd)}{_fused(learn)}"),
    ]


def _phase_lines(phases: tuple[Phase, ...], iterations: int) -> list[tuple[str, str]]:
    rows = []
    for number, phase in enumerate(phases, start=1):
        steps = phase.epochs * iterations
        rates = " / ".join(f"{rate:.2g}" for rate in phase.rates)
        sentence = (
            f"{phase.name}: {counted(phase.epochs, 'epoch')}, {counted(steps, 'step')}; learning rates up to {rates} by depth, "
            f"one cycle: from 1/{phase.div:g} of that, rising for {counted(math.ceil(phase.rising * steps), 'step')}, "
            "then falling"
        )
        rows += [(f"phase {number}", sentence), *([("features", phase.note)] if phase.note else [])]
    return rows


def _machine_lines(learn: Learner) -> list[tuple[str, str]]:
    runtime = learn.runtime
    kept = runtime.prepare_host()
    order = "pixel by pixel" if runtime.channels_last else "channel by channel"
    memory = f"pictures {order}: {runtime.format_reason}" + ("; what a step frees is kept for the next" if kept else "")
    lines = [
        ("device", f"{runtime.device}: {runtime.device_reason}"),
        ("precision", f"{runtime.precision}: {runtime.precision_reason}"),
        ("memory", memory),
    ]
    if runtime.device.type == "cpu":
        lines.append(("threads", f"{torch.get_num_threads()} compute, for {counted(cpus(), 'CPU')}; {waiting_in_words()}"))
        lines.append(("gradients", f"of kernels: {learn.engine.weight_gradients.describe()}"))
    return [*lines, ("same again", determinism_in_words()), ("reading", learn.dls.reading)]


def _norms_below_the_head(learn: Learner) -> int:
    from sightline.model.freeze import norm_parameters

    if not learn.train_bn or learn.opt is None:
        return 0
    head = {id(parameter) for parameter in learn.opt.param_lists[-1]}
    return sum(parameter.numel() for parameter in norm_parameters(learn.model) if id(parameter) not in head)


def _fused(learn: Learner) -> str:
    return ", each step by one kernel" if learn.opt is not None and learn.opt.fused else ""


def _decay(learn: Learner, wd: float | None) -> str:
    own = learn.opt.hypers[-1].get("wd", 0.0) if learn.opt is not None else 0.0
    exempt = "" if learn.wd_bn_bias else ", none on biases and normalisation"
    return f"{own if wd is None else wd:g}{exempt}"
