"""Callbacks of precision: mixed precision with scaled losses, and the channels-last memory format, for one fit or for all."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar

import torch

from sightline.errors import OptionError
from sightline.runtime import Precision, Runtime
from sightline.train.events import Callback, CancelStepException
from sightline.train.progress import say


class AMPMode(StrEnum):
    """The mixed precisions by name."""

    FP16 = "fp16"
    BF16 = "bf16"


class MixedPrecision(Callback):
    """Computes in a mixed precision while it is there; in fp16 it scales losses, and leaves out steps that overflow.

    Gradients are scaled back in `before_step`, at this callback's order, 10: callbacks that gather gradients over batches come
    before it, those that clip them after it.
    """

    order: ClassVar[int] = 10
    resumes: ClassVar[tuple[str, ...]] = ("scaling",)

    def __init__(self, amp_mode: str = AMPMode.FP16, **kwargs: Any) -> None:
        """Say which: 'fp16' (on CUDA GPUs; the nearest elsewhere) or 'bf16'.

        Args:
            amp_mode: Which.
            kwargs: Arguments of `torch.amp.GradScaler`, such as `init_scale`, for fp16.

        Raises:
            OptionError: There is no such mixed precision.
        """
        if amp_mode not in set(AMPMode):
            raise OptionError(f"amp_mode={amp_mode!r} is no mixed precision. Expected 'fp16' or 'bf16'.")
        self.precision: Precision = "fp16" if amp_mode == AMPMode.FP16 else "bf16"
        self.kwargs = kwargs
        self._scaler: torch.amp.GradScaler | None = None
        self._scaling: dict[str, Any] = {}
        self._outside: Runtime | None = None
        self._probe: _Probe | None = None
        self._told = False

    @property
    def scaling(self) -> dict[str, Any]:
        """The state of the scaler, as plain values."""
        return dict(self._scaler.state_dict()) if self._scaler is not None else self._scaling

    @scaling.setter
    def scaling(self, state: Mapping[str, Any]) -> None:
        self._scaling = dict(state)
        if self._scaler is not None and state:
            self._scaler.load_state_dict(dict(state))

    def before_fit(self) -> None:
        """Switch to the precision; begin to scale, unless another callback does it already."""
        learn = self.learn
        self._outside = learn.runtime
        # What is set already stays, whatever its reason.
        if learn.runtime.precision != self.precision:
            learn.runtime = learn.runtime.with_precision(self.precision)
            if learn.runtime.precision != self.precision and not self._told:
                self._told = True
                say(f"Computing in {learn.runtime.precision}: {learn.runtime.precision_reason}.")
        if learn.runtime.precision == "fp16" and learn.scaler is None:
            if self._scaler is None:
                self._scaler = torch.amp.GradScaler(learn.runtime.device.type, **self.kwargs)
                self.scaling = self._scaling
            learn.scaler = self._scaler

    def _scales(self) -> bool:
        return self._scaler is not None and self.learn.scaler is self._scaler

    def before_backward(self) -> None:
        """Scale the loss, so that small gradients do not vanish."""
        if self._scaler is not None and self._scales():
            self.learn.loss_grad = self._scaler.scale(self.learn.loss_grad)

    def before_step(self) -> None:
        """Scale gradients back, and leave the step out where they overflowed."""
        opt, scaler = self.learn.opt, self._scaler
        if scaler is None or opt is None or not self._scales():
            return
        groups = [{"params": [p for p in group["params"] if p.grad is not None]} for group in opt.inner.param_groups]
        if not any(group["params"] for group in groups):
            return
        self._probe = _Probe(groups)
        scaler.step(self._probe)  # type: ignore[arg-type] # it asks for parameter groups and a step, no more
        if not self._probe.stepped:
            raise CancelStepException

    def after_step(self) -> None:
        """Adapt the scale."""
        if self._scaler is not None and self._probe is not None:
            self._scaler.update()
        self._probe = None

    def close(self) -> None:
        """Compute as before the fit."""
        if self._outside is not None:
            self.learn.runtime, self._outside = self._outside, None
        if self._scales():
            self.learn.scaler = None
        self._probe = None


class _Probe:
    """Stands in for the optimizer: whether a step would be made, without making it."""

    def __init__(self, param_groups: list[dict[str, Any]]) -> None:
        self.param_groups = param_groups
        self.stepped = False

    def step(self) -> None:
        self.stepped = True


class ChannelsLast(Callback):
    """Holds pictures and kernels pixel by pixel while a fit lasts; see `Learner.to_channelslast`."""

    order: ClassVar[int] = -1

    def __init__(self) -> None:
        """Nothing to say."""
        self._outside: Runtime | None = None

    def before_fit(self) -> None:
        """Switch, unless it is so already."""
        if not self.learn.runtime.channels_last:
            self._outside = self.learn.runtime
            self.learn.to_channelslast(use_amp=False)

    def close(self) -> None:
        """Switch back."""
        if self._outside is not None:
            self.learn.runtime, self._outside = self._outside, None
            self.learn.runtime.place(self.learn.model)
