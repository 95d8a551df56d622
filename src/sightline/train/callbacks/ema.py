"""EMA: weights averaged over the steps, which often do better than the last ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from sightline.errors import OptionError
from sightline.train.callbacks.core import PerRun

State = dict[str, Tensor]


class EMACallback(PerRun):
    """Keeps an exponential moving average of the network's weights, which is what is validated, saved and left at the end.

    Before a validation the averaged weights take the place of the trained ones, and stay until training goes on with those,
    exactly as they were. When the run ends the averaged ones stay for good. BatchNorm's running statistics are averaged with
    the weights that they belong to; counters are copied. A fit that ends by an error leaves the trained weights.

    Attributes:
        steps: How many steps the average has seen.
        average: The averaged state of the network, by name; empty before the first fit.
        trained: The trained state while the averaged one is in its place, else empty.
    """

    order: ClassVar[int] = 50
    remove_on_fetch: ClassVar[bool] = True
    resumes: ClassVar[tuple[str, ...]] = ("steps", "average", "trained")

    def __init__(self, decay: float = 0.9998, warmup: bool = True) -> None:
        """Say how long the average remembers.

        Args:
            decay: Share of the average that stays in every step, below 1.
            warmup: Let it remember less at first: at most (1 + steps) / (10 + steps), so that short fits are averaged too.

        Raises:
            OptionError: `decay` is no such share.
        """
        if not 0 <= decay < 1:
            raise OptionError(f"EMACallback(decay={decay!r}): expected a share from 0 up to, not including, 1, such as 0.9998.")
        self.decay, self.warmup = decay, warmup
        self.steps = 0
        self.average: State = {}
        self.trained: State = {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.average, self.trained = _copy(self.average), _copy(self.trained)

    def before_fit(self) -> None:
        """Begin an average with a new run; take the trained weights up again within one.

        Raises:
            OptionError: The average that was loaded is of another network.
        """
        own = self._state()
        if self.begins_run() or not self.average:
            self.steps, self.trained, self.average = 0, {}, _copy(own)
        if any(name not in self.average or self.average[name].shape != tensor.shape for name, tensor in own.items()):
            raise OptionError("The state that EMACallback goes on from is of another network. Leave it out, or build that one.")
        # A loaded average may be elsewhere than the network.
        self.average = {name: self.average[name].to(tensor.device) for name, tensor in own.items()}
        self._take_out()

    def before_train(self) -> None:
        """Go on with the trained weights."""
        self._take_out()

    def after_step(self) -> None:
        """Average."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps)) if self.warmup else self.decay
        own = self._state()
        floats = [name for name, tensor in own.items() if tensor.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_([self.average[n] for n in floats], [own[n] for n in floats], 1 - decay)
            for name in own.keys() - set(floats):
                self.average[name].copy_(own[name])

    def before_validate(self) -> None:
        """Put the averaged weights in."""
        self._put_in()

    def after_fit(self) -> None:
        """Leave the averaged weights at the end of the run."""
        self._put_in()
        if self.learn.is_last_phase:
            self.trained = {}

    def close(self) -> None:
        """After an error, or between two phases, leave the trained weights."""
        self._take_out()

    def _state(self) -> State:
        return dict(self.model.state_dict())

    def _put_in(self) -> None:
        if not self.trained:
            self.trained = _copy(self._state())
            _write(self._state(), self.average)

    def _take_out(self) -> None:
        if self.trained:
            _write(self._state(), self.trained)
            self.trained = {}


def _copy(state: State) -> State:
    return {name: tensor.detach().clone() for name, tensor in state.items()}


def _write(into: State, values: State) -> None:
    with torch.no_grad():
        for name, tensor in into.items():
            tensor.copy_(values[name])
