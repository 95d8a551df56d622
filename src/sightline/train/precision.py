"""In which precision and memory format a learner computes, and whether it compiles, from one call on."""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, Self, cast

import torch
from torch import nn

from sightline.runtime import Precision, Runtime
from sightline.train.callbacks.precision import ChannelsLast, MixedPrecision
from sightline.train.compiling import Compiling
from sightline.train.events import CallbackHost
from sightline.train.optim import Optimizer
from sightline.train.progress import say

if TYPE_CHECKING:
    from sightline.train.learner import Learner


class Precisions(CallbackHost, ABC):
    """The part of a learner that says how numbers are held.

    Attributes:
        opt: The optimizer, if there is one yet.
        model: The network; its weights are 32-bit floats whatever it computes in.
        runtime: Device, precision and memory format, with reasons.
        scaler: Scales losses within a fit in fp16; None elsewhere.
    """

    model: nn.Module
    opt: Optimizer | None
    runtime: Runtime
    scaler: torch.amp.GradScaler | None = None
    _compiles: bool | None = None

    def to_precision(self, precision: Precision, **scaler_args: Any) -> Self:
        """Compute in 'fp32', 'bf16' or 'fp16' from now on; returns self.

        Where the device has not got it, the nearest that it has is taken, and one line says so.

        Args:
            precision: Which.
            scaler_args: For 'fp16': arguments of `torch.amp.GradScaler`, such as `init_scale`.
        """
        self.runtime = self.runtime.with_precision(precision)
        self._apply()
        if self.runtime.precision != precision:
            say(f"Computing in {self.runtime.precision}: {self.runtime.precision_reason}.")
        self.remove_cb(MixedPrecision)
        return self.add_cb(MixedPrecision("fp16", **scaler_args)) if self.runtime.precision == "fp16" else self

    def to_fp32(self) -> Self:
        """Compute in 32-bit floats from now on; returns self."""
        return self.to_precision("fp32")

    def to_bf16(self) -> Self:
        """Compute in bfloat16 where that is safe from now on, weights staying in 32 bits; returns self."""
        return self.to_precision("bf16")

    def to_fp16(self, **kwargs: Any) -> Self:
        """Compute in 16-bit floats where that is safe from now on, with scaled losses, on CUDA GPUs; returns self.

        Elsewhere bfloat16 is taken where the device has it, and fp32 where not: `learn.runtime.precision_reason` says why.

        Args:
            kwargs: Arguments of `torch.amp.GradScaler`.
        """
        return self.to_precision("fp16", **kwargs)

    def to_channelslast(self, use_amp: bool = True, amp_mode: Precision = "fp16", **kwargs: Any) -> Self:
        """Hold pictures and kernels pixel by pixel from now on, which GPUs with tensor cores prefer; returns self.

        Args:
            use_amp: Compute in `amp_mode` too, unless a mixed precision is set already.
            amp_mode: 'fp16' or 'bf16'.
            kwargs: As in `to_fp16`.
        """
        self.runtime = self.runtime.with_channels_last()
        self._apply()
        return self.to_precision(amp_mode, **kwargs) if use_amp and self.runtime.precision == "fp32" else self

    def to_contiguous(self, to_fp32: bool = False) -> Self:
        """Hold pictures and kernels channel by channel again; returns self.

        Args:
            to_fp32: Compute in 32-bit floats again too.
        """
        self.runtime = self.runtime.with_channels_last(False)
        self._apply()
        self.remove_cb(ChannelsLast)
        return self.to_fp32() if to_fp32 else self

    def compile(self, wanted: bool | None = True) -> Self:
        """Compile the network by `torch.compile` for training from the next fit on; returns self.

        Args:
            wanted: False never does; None, as at first, does where the run is long enough for it to pay.
        """
        self._compiles = wanted
        return self

    def compiling(self, epochs: int) -> Compiling:
        """Whether a fit of so many epochs compiles the network, and why."""
        return Compiling.planned(cast("Learner", self), epochs, self._compiles)

    def _apply(self) -> None:
        """Bring network and optimizer into the form that the runtime plans."""
        self.runtime.place(self.model)
        if self.opt is not None:
            self.opt.fuse(self.runtime.fuses)
