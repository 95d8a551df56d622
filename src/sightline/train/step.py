"""Engine: how the forward passes of steps are computed, as the runtime plans it; nothing in them waits for the device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from sightline.inference import infer
from sightline.runtime import Runtime
from sightline.train.compiling import Compiled
from sightline.train.micro_batches import in_parts
from sightline.train.weight_gradients import WeightGradients


@dataclass(frozen=True)
class Engine:
    """Computes a network's outputs in training and in validation.

    What goes back from them is autograd's: no further than to the lowest layer that trains, and without the kernels of those
    that are frozen.

    Attributes:
        runtime: Device, precision and memory format.
        weight_gradients: How the gradients of convolutions' kernels are computed.
        compiled: The network compiled for training; None trains it as it is.
    """

    runtime: Runtime
    weight_gradients: WeightGradients
    compiled: Compiled | None = None

    @classmethod
    def planned(cls, runtime: Runtime) -> Engine:
        """What suits a runtime."""
        return cls(runtime, WeightGradients.planned(runtime))

    def compiling(self, model: nn.Module | None) -> Engine:
        """The same engine with this network compiled for training; None compiles none."""
        if model is None:
            return replace(self, compiled=None)
        return self if self._compiled_of(model) else replace(self, compiled=Compiled(model))

    def outputs(self, model: nn.Module, images: Tensor, *, training: bool, sizes: Sequence[int] = ()) -> Tensor:
        """The network's outputs, float32 `(N, K)`; those of training can be differentiated.

        Args:
            model: The network, in the mode in which it is to compute.
            images: `(N, C, H, W)` on its device.
            training: Whether gradients will be asked for.
            sizes: Pictures of the parts in which they are computed, see `sightline.train.micro_batches`; none: at once.
        """
        if len(sizes) > 1:
            if training:
                return in_parts(lambda part: self.outputs(model, part, training=True), images, sizes, model)
            return torch.cat([self.outputs(model, part, training=False) for part in images.split(list(sizes))])
        if training and (compiled := self._compiled_of(model)) is not None:
            return infer(compiled, images, self.runtime)
        if training:
            with self.weight_gradients.forward():
                return infer(model, images, self.runtime)
        # Not in inference mode, which would save less than a hundredth of the time: a tensor that the network makes in it and
        # keeps, or that a user's loss is given, could never take part in anything that is differentiated.
        with torch.no_grad():
            return infer(model, images, self.runtime)

    def _compiled_of(self, model: nn.Module) -> Compiled | None:
        """This network compiled, if it is."""
        return self.compiled if self.compiled is not None and self.compiled.model is model else None
