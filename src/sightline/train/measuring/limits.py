"""Limits: from the figures of a job, what limits it, and what to try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sightline.errors import counted
from sightline.runtime import cpus, has_native_bf16
from sightline.train.measuring.stages import Stage

if TYPE_CHECKING:
    from sightline.train.measuring.bench import Bench

WORDS = {
    "decode": "Decoding",
    "gather": "Putting batches together",
    "copy": "Copying to the device",
    "augment": "Augmenting",
    "forward": "The network's forward pass",
    "backward": "The network's backward pass",
    "optimizer": "The optimizer's step",
    "callbacks": "What callbacks do",
}
_WAITS = 0.4
"""Where waiting for batches is this share of a step, pictures limit and not the network."""
_NOTEWORTHY = 0.8
"""A first epoch below this share of a later one's speed is worth a word, and a device far below its peak, too."""


def what_limits(found: Bench) -> str:
    """What limits a job: the pictures, or the part of a step that takes longest; and the figures that say so."""
    steps = found.steps
    step, first = steps.whole.images_per_second, steps.first.images_per_second
    said = _pictures_limit(found) if pictures_limit(found) else _network_limits(found)
    if first < _NOTEWORTHY * step:
        said += f" In the first epoch, in which pictures are decoded, it is {first:,.0f} pictures a second, later {step:,.0f}."
    return said


def pictures_limit(found: Bench) -> bool:
    """Whether the network waits for pictures more than it should."""
    return found.steps.share("wait") >= _WAITS


def stations(found: Bench) -> tuple[Stage, ...]:
    """The stages that a picture passes in later epochs on its way to the network."""
    return tuple(stage for stage in found.feeding if not (found.cached and stage.name == "decode"))


def slowest(found: Bench) -> Stage | None:
    """The slowest of them; None where they are not known."""
    return max(stations(found), key=lambda stage: stage.median, default=None)


def _pictures_limit(found: Bench) -> str:
    station = slowest(found)
    pace = f"{found.steps.network:,.0f} of the network"
    if station is None:
        return f"The loader limits: {found.steps.share('wait'):.0%} of a step is waiting for it; it would be {pace} without."
    return (
        f"{WORDS[station.name]} limits: {station.images_per_second:,.0f} pictures a second against {pace}; "
        f"{found.steps.share('wait'):.0%} of a step is waiting for the batch."
    )


def _network_limits(found: Bench) -> str:
    part = max(found.steps.parts[1:], key=lambda stage: stage.median).name
    said = f"{WORDS[part]} limits: it takes {found.steps.share(part):.0%} of a step"
    if not stations(found):
        return f"{said}, waiting for the batch {found.steps.share('wait'):.0%}."
    coming = 1 / sum(stage.median for stage in stations(found))
    return f"{said}. Pictures could come {coming / found.steps.network:.1f} times as fast as the network takes them."


def advice(found: Bench) -> list[str]:
    """What to try, each a sentence, the most promising first."""
    tips = _for_pictures(found) if pictures_limit(found) else _for_the_network(found)
    return [sentence for applies, sentence in tips if applies]


def _for_pictures(found: Bench) -> list[tuple[bool, str]]:
    station, workers = slowest(found), found.workers or 0
    name = "" if station is None else station.name
    threads = f"{counted(workers, 'thread')} decode on {counted(cpus(), 'CPU')}: more of them (workers) may be quicker."
    return [
        (name == "decode" and workers < cpus(), threads),
        (
            name == "decode" and not found.cached,
            "A cache of decoded pictures would spare all epochs but the first the decoding.",
        ),
        (name == "decode", "Pictures that are little larger than the item size decode faster: resize_images makes such once."),
        (name == "augment", "Fewer transforms of batches, or a smaller size, take less time."),
        (station is None, "The loader is your own: see what it does in its __iter__."),
    ]


def _for_the_network(found: Bench) -> list[tuple[bool, str]]:
    device, steps = found.runtime.device, found.steps
    part = max(steps.parts[1:], key=lambda stage: stage.median).name
    far = device.type == "cuda" and found.steps.flops > 0 and found.share_of_peak < 0.2
    slow_numbers = found.runtime.precision == "fp32" and has_native_bf16(device)
    return [
        (part == "callbacks", "Leave callbacks out one by one to see which takes the time."),
        (part == "optimizer", "A larger batch makes fewer steps of the optimizer."),
        (slow_numbers, f"This device ({device}) computes in bf16 natively, which is faster than fp32."),
        (far, "A larger batch, or a larger network, would use more of this GPU."),
        (device.type == "cpu", "Half the size a side is about a quarter of the arithmetic; a GPU does it many times as fast."),
    ]
