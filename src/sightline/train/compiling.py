"""Compiling: whether `torch.compile` pays for a run, estimated before it begins, and the network compiled.

The estimate rests on counted operations and on figures of typical hardware, not on a clock: the same run always decides alike.
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sightline.errors import SightlineWarning
from sightline.model.modes import evaluating
from sightline.runtime import Runtime
from sightline.runtime.devices import bf16_instructions

if TYPE_CHECKING:
    from sightline.train.learner import Learner

_WORTH = 2.0
"""The time that is saved must be this many times that of compiling, which the estimate may miss."""


@dataclass(frozen=True)
class _Experience:
    """What compiling cost and brought where it was tried; see docs/performance.md.

    Attributes:
        cost_s: Seconds of compiling a ResNet.
        gain: How many times faster its steps were afterwards.
        pace: Operations a second of a training step without it.
    """

    cost_s: float
    gain: float
    pace: float

    def pays_from_s(self) -> float:
        """Seconds that a run must last."""
        return _WORTH * self.cost_s / (1 - 1 / self.gain)


_ON_GPUS = _Experience(60, 1.15, 5e13)
_ON_AMX = _Experience(45, 1.2, 5e11)


@dataclass(frozen=True)
class Compiling:
    """Whether the network is compiled for training, and why."""

    wanted: bool
    reason: str

    @classmethod
    def planned(cls, learn: Learner, epochs: int, asked: bool | None = None) -> Compiling:
        """What suits a fit of some epochs.

        Args:
            learn: Network, pictures and runtime.
            epochs: How many.
            asked: What the user wants; None estimates what pays.
        """
        if asked is not None:
            return cls(asked, "as asked for")
        known = _experience(learn.runtime)
        if known is None:
            return cls(False, f"on {_name(learn.runtime)} it was not found to be faster")
        if torch.are_deterministic_algorithms_enabled():
            return cls(False, "deterministic algorithms were asked for")
        operations = _operations(learn)
        if isinstance(operations, str):
            return cls(False, f"whether it pays is not known, because {operations}")
        seconds = epochs * learn.dls.train.n * operations / known.pace
        enough = seconds >= known.pays_from_s()
        words = f"the run would take about {seconds / 60:.0f} min, and it pays from {known.pays_from_s() / 60:.0f} min on"
        return cls(enough, words)

    def __str__(self) -> str:
        return f"{'yes' if self.wanted else 'no'}: {self.reason}"


class Compiled:
    """A network's forward pass, compiled at its first call; the plain one takes over where that fails."""

    def __init__(self, model: nn.Module) -> None:
        """Nothing is compiled yet."""
        self.model = model
        self._forward: Callable[[Tensor], Tensor] = torch.compile(model)
        self._proven = False

    def __call__(self, images: Tensor) -> Tensor:
        """What the network gives for `(N, C, H, W)`."""
        if self._proven:
            return self._forward(images)
        try:
            found = self._forward(images)
        except Exception as error:  # noqa: BLE001 - compilers fail in their own ways; the network's own error comes again below
            self._forward, found = self.model, self.model(images)
            reason = str(error).strip().partition("\n")[0]
            warnings.warn(f"The network could not be compiled and runs as it is: {reason}", SightlineWarning, stacklevel=2)
        self._proven = True
        return found


def _experience(runtime: Runtime) -> _Experience | None:
    if runtime.precision == "fp32":
        return None
    if runtime.device.type == "cuda":
        return _ON_GPUS
    return _ON_AMX if runtime.device.type == "cpu" and bf16_instructions() == "AMX" else None


def _name(runtime: Runtime) -> str:
    return "this CPU" if runtime.device.type == "cpu" else f"{runtime.device.type} in {runtime.precision}"


def _operations(learn: Learner) -> float | str:
    """Floating-point operations of a training step for one picture; or why they are not known, as the rest of a sentence."""
    pre = learn.dls.preprocess
    if pre is None or pre.output_size is None:
        return 0.0
    return _counted(weakref.ref(learn.model), (1, pre.channels, *pre.output_size), learn.runtime.device)


@lru_cache(maxsize=8)
def _counted(network: weakref.ref[nn.Module], shape: tuple[int, ...], device: torch.device) -> float | str:
    """Those of a network for pictures of a shape, counted once: forward, and twice that backward."""
    from torch.utils.flop_counter import FlopCounterMode

    model = network()
    if model is None:
        return "the network is gone"
    try:
        with FlopCounterMode(display=False) as counter, evaluating(model):
            model(torch.zeros(shape, device=device))
    except Exception as error:  # noqa: BLE001 - some networks want more than one picture, or no zeros: no reason not to train them
        reason = str(error).strip().partition("\n")[0]
        return f"its operations could not be counted with one picture of zeros ({type(error).__name__}: {reason})"
    return 3.0 * float(counter.get_total_flops())
