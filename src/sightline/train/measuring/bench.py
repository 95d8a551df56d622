"""Bench: the user's own job measured for a minute: pictures a second by stage, the share of the machine's peak, what limits."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from sightline.data.loading.loaders import Loader
from sightline.errors import OptionError
from sightline.runtime import Runtime
from sightline.train.measuring.feeding import keeps, measure_decoding, measure_gathering, measure_transforms
from sightline.train.measuring.limits import advice, what_limits
from sightline.train.measuring.peak import Peak, measure_peak
from sightline.train.measuring.stages import Stage, Steps
from sightline.train.measuring.timing import measure_steps, measure_validation

if TYPE_CHECKING:
    from sightline.train.learner import Learner

HEADER = ("stage", "images/s", "slowest", "quickest", "ms a batch", "share of a step")


class StageRow(NamedTuple):
    """A line of the table of a `Bench`.

    Attributes:
        stage: What was measured.
        images_per_second: In the middle repeat.
        slowest: Pictures a second in the slowest repeat.
        quickest: In the quickest.
        ms_per_batch: Milliseconds of a full batch, in the middle repeat.
        share: Of a training step, 0..1; None for what is measured for itself.
    """

    stage: str
    images_per_second: float
    slowest: float
    quickest: float
    ms_per_batch: float
    share: float | None

    def cells(self) -> tuple[str, ...]:
        """The line as text."""
        share = "" if self.share is None else f"{self.share:.0%}"
        return (self.stage, *(_figure(value) for value in self[1:5]), share)


@dataclass(frozen=True)
class Bench:
    """What a training job reaches on this machine; `str(bench)` or `print(bench)` reads it out.

    Attributes:
        feeding: How pictures come, each station for itself: decode, gather (where decoded pictures are kept), copy (to a
            GPU), augment; none where batches are the user's own.
        steps: Training steps as the loop makes them, in parts and as a whole.
        validation: The first pass and a later one; none where there are no pictures for it.
        peak: What the machine can do at best.
        runtime: Device, precision and memory format.
        bs: Pictures in a training batch.
        workers: Threads that decode; None where batches are the user's own.
        pictures: How many a training epoch uses, and how many validate.
        cached: Whether epochs after the first take decoded pictures from a cache.
    """

    feeding: tuple[Stage, ...]
    steps: Steps
    validation: tuple[Stage, ...]
    peak: Peak
    runtime: Runtime
    bs: int
    workers: int | None
    pictures: tuple[int, int]
    cached: bool = False

    @property
    def rows(self) -> list[StageRow]:
        """The table, a line each stage: how pictures come, the parts of a step, whole steps, validation."""
        steps = self.steps
        apart = [self._row(stage) for stage in self.feeding]
        parts = [self._row(stage, steps.share(stage.name)) for stage in steps.parts]
        return [*apart, *parts, *(self._row(stage) for stage in (steps.first, steps.whole, *self.validation))]

    @property
    def flops(self) -> float:
        """Floating-point operations a second while network and gradients are computed."""
        computing = sum(stage.median for stage in self.steps.parts if stage.name in ("forward", "backward"))
        return self.steps.flops / max(computing, 1e-12)

    @property
    def share_of_peak(self) -> float:
        """`flops` as a share of the machine's measured peak."""
        return self.flops / self.peak.flops

    @property
    def limits(self) -> str:
        """What limits, in words."""
        return what_limits(self)

    @property
    def advice(self) -> list[str]:
        """What to try, each a sentence; the most promising first."""
        return advice(self)

    def epoch_seconds(self, *, first: bool = False, steps: Steps | None = None) -> float:
        """How long an epoch with its validation takes.

        Args:
            first: The one in which pictures are decoded that were not kept before.
            steps: Other steps than those of this bench, such as with frozen layers.
        """
        steps = self.steps if steps is None else steps
        training = (steps.first if first else steps.whole).median * self.pictures[0]
        validating = self.validation[0 if first else -1].median * self.pictures[1] if self.validation else 0.0
        return training + validating

    def to_json(self) -> dict[str, Any]:
        """Plain values: rates in pictures a second, times in seconds unless the name says otherwise."""
        return {
            "device": str(self.runtime.device),
            "precision": self.runtime.precision,
            "channels_last": self.runtime.channels_last,
            "batch_size": self.bs,
            "workers": self.workers,
            "cached": self.cached,
            "pictures": {"training": self.pictures[0], "validation": self.pictures[1]},
            "stages": [row._asdict() for row in self.rows],
            "gflop_per_picture": self.steps.flops / 1e9,
            "gflops": self.flops / 1e9,
            "peak_gflops": self.peak.flops / 1e9,
            "share_of_peak": self.share_of_peak,
            "copies_gb_per_second": self.peak.copies / 1e9,
            "epoch_seconds": {"first": self.epoch_seconds(first=True), "later": self.epoch_seconds()},
            "limits": self.limits,
            "advice": self.advice,
        }

    def machine_words(self) -> str:
        """The job's arithmetic beside the machine's best, as a sentence."""
        copies = f"copies within memory move {self.peak.copies / 1e9:,.0f} GB/s"
        best = f"{self.peak.flops / 1e9:,.0f} GFLOP/s in {self.peak.precision}"
        if not self.steps.flops:
            return f"The best that was measured on this machine is {best}; {copies}."
        return (
            f"Forward and backward are {self.steps.flops / 1e9:.3g} GFLOP a picture, which is {self.flops / 1e9:,.0f} GFLOP/s: "
            f"{self.share_of_peak:.0%} of the best that was measured on this machine, {best}; {copies}."
        )

    def __str__(self) -> str:
        return "\n\n".join([table_text([HEADER, *(row.cells() for row in self.rows)]), *self.sentences()])

    __repr__ = __str__

    def sentences(self) -> list[str]:
        """What the numbers say: the machine, what limits, what to try."""
        return [self.machine_words(), self.limits, *([" ".join(self.advice)] if self.advice else [])]

    def _row(self, stage: Stage, share: float | None = None) -> StageRow:
        return StageRow(stage.name, stage.images_per_second, *stage.spread, 1000 * stage.median * self.bs, share)


def bench(learn: Learner, seconds: float = 60, *, tell: Callable[[str], None] | None = None) -> Bench:
    """Run a learner's own job for some time and measure it, stage by stage; the learner stays as it was.

    Steps are real ones, with the learner's loaders, callbacks and frozen layers. Each figure is the middle of several repeats,
    warm-up left out.

    Args:
        learn: Whatever is frozen in it stays so.
        seconds: About how long; some steps are made whatever it says.
        tell: Called with what is measured now, to be shown.

    Raises:
        OptionError: `seconds` is no positive number, or there is no training batch.
    """
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds < math.inf:
        raise OptionError(f"seconds={seconds!r}: expected a positive number.")
    say = tell or (lambda words: None)
    train = learn.dls.train
    say("the machine's peak")
    peak = measure_peak(learn.runtime, min(3.0, 0.05 * seconds))
    feeding: list[Stage | None] = []
    if isinstance(train, Loader):
        say("decoding")
        feeding = [measure_decoding(train, 0.15 * seconds)]
    say("training steps")
    steps = measure_steps(learn, 0.6 * seconds, feeding[0].images_per_second if feeding and feeding[0] else math.inf)
    if isinstance(train, Loader):
        say("gathering and augmenting")
        feeding += [measure_gathering(train, 0.05 * seconds), *measure_transforms(train, 0.05 * seconds)]
    say("validation")
    validation = measure_validation(learn, 0.1 * seconds)
    return Bench(
        feeding=tuple(stage for stage in feeding if stage is not None),
        steps=steps,
        validation=validation,
        peak=peak,
        runtime=learn.runtime,
        bs=train.bs,
        workers=train.num_workers if isinstance(train, Loader) else None,
        pictures=(train.n_used if isinstance(train, Loader) else train.n, learn.dls.valid.n),
        cached=keeps(train),
    )


def table_text(rows: list[tuple[str, ...]]) -> str:
    """Lines of equal columns, the first to the left and the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = (
        "  ".join(
            f"{cell:<{width}}" if i == 0 else f"{cell:>{width}}"
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
