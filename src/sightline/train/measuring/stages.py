"""Stages: how long the parts of a training job took, as values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

PARTS = ("wait", "forward", "backward", "optimizer", "callbacks")
"""What a step consists of: waiting for the batch, network and loss, gradients, change of the weights, and what callbacks do."""
REPEATS = 9


@dataclass(frozen=True)
class Step:
    """One step as it was timed.

    Attributes:
        epoch: From 0.
        seconds: Of each of `PARTS`.
        pictures: In the batch.
    """

    epoch: int
    seconds: tuple[float, ...]
    pictures: int


@dataclass(frozen=True)
class Stage:
    """How long one stage takes for a picture.

    Attributes:
        name: Which.
        seconds: Of one picture, a value each repeat; a repeat is one batch or more.
        pictures: How many pictures were measured in all.
    """

    name: str
    seconds: tuple[float, ...]
    pictures: int

    @property
    def median(self) -> float:
        """Seconds of one picture in the middle repeat."""
        return median(self.seconds)

    @property
    def images_per_second(self) -> float:
        """Pictures a second in the middle repeat."""
        return 1 / max(self.median, 1e-12)

    @property
    def spread(self) -> tuple[float, float]:
        """Pictures a second in the slowest and in the quickest repeat."""
        return 1 / max(*self.seconds, 1e-12), 1 / max(min(self.seconds), 1e-12)

    @classmethod
    def of(cls, name: str, batches: Sequence[tuple[float, int]]) -> Stage:
        """From (seconds, pictures) of batches in their order; neighbours together make a repeat, nine at most.

        Times of single batches say little where batches are made ahead in bursts; those of several are what a run sees.
        """
        count = min(REPEATS, len(batches))
        cuts = [round(i * len(batches) / count) for i in range(count + 1)]
        repeats = [batches[start:end] for start, end in pairwise(cuts)]
        seconds = (sum(s for s, _ in repeat) / sum(n for _, n in repeat) for repeat in repeats)
        return cls(name, tuple(seconds), sum(n for _, n in batches))


@dataclass(frozen=True)
class Steps:
    """What training steps took.

    Attributes:
        parts: A stage for each of `PARTS`, of the steps that `whole` is made of.
        whole: Whole steps, end to end: of all epochs but the first, or of that one where the time allowed no other.
        first: Whole steps of the first epoch, in which pictures are decoded that were not kept before.
        flops: Floating-point operations for a picture, forward and backward, as PyTorch counts them; 0 where it counts none.
    """

    parts: tuple[Stage, ...]
    whole: Stage
    first: Stage
    flops: float

    def share(self, part: str) -> float:
        """The share of a step that one of `PARTS` takes, 0..1."""
        return self.parts[PARTS.index(part)].median / max(sum(stage.median for stage in self.parts), 1e-12)

    @property
    def network(self) -> float:
        """Pictures a second that the network could train on if none had to be waited for."""
        return 1 / max(sum(stage.median for stage in self.parts[1:]), 1e-12)


def summed(steps: Sequence[Step], flops: float) -> Steps:
    """What single steps say together; those that warm up are left out, where others are there."""
    later = [step for step in steps if step.epoch > 0]
    settled = later if len(later) >= 2 else steps[1:] or steps
    first = [step for step in steps if step.epoch == 0]
    return Steps(
        tuple(Stage.of(part, [(step.seconds[i], step.pictures) for step in settled]) for i, part in enumerate(PARTS)),
        Stage.of("whole step", [(sum(step.seconds), step.pictures) for step in settled]),
        Stage.of("whole step, first epoch", [(sum(step.seconds), step.pictures) for step in first[1:] or first]),
        flops,
    )
