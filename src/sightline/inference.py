"""Inference: how a network computes when it does not learn: as it is, or as a copy made for it, by several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace
from typing import Protocol, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.loading.batch import Batch
from sightline.errors import ModelError
from sightline.model.folding import Copy, folded, is_stateless
from sightline.model.modes import evaluating
from sightline.runtime import Runtime
from sightline.runtime.memory import Parts

CLOSE = 2.5
"""Of decisions that two outputs would change by being off, each by this error on average, one in 26 lies farther apart."""
_AT_ONCE = 16
"""Pictures that a core computes at once: more would leave its cache, fewer cost more a call (measured: 8 to 32 are alike)."""
_COMPARED = {"fp32": 2, "bf16": 8, "fp16": 8}
"""On how many pictures a copy is compared; in 16 bits its error is measured on them."""
_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


Margins: TypeAlias = Callable[[Tensor], Tensor | None]
"""See `Target.margins`."""
Copying: TypeAlias = Callable[[nn.Module, Tensor, torch.dtype], Copy | None]
"""See `folding.folded`."""


class Forward(Protocol):
    """A network ready to compute.

    Attributes:
        concurrent: Whether several threads may call it at once.
    """

    concurrent: bool

    def __call__(self, images: Tensor) -> Tensor:
        """Outputs `(N, K)`, float32, for prepared images `(N, C, H, W)`."""


class AsItIs:
    """The network itself, put into evaluation mode for each batch; in parts, where the device's memory is too short for it."""

    concurrent = False

    def __init__(self, model: nn.Module, runtime: Runtime, parts: Parts | None = None) -> None:
        """Take the network, on the device of `runtime`, and in what parts batches are computed; None is whole at first."""
        self.model, self.runtime, self.parts = model, runtime, parts or Parts()

    def __call__(self, images: Tensor) -> Tensor:
        with evaluating(self.model):
            return self.parts.computed(lambda part: infer(self.model, part, self.runtime), images)


class Copied:
    """A copy of the network as it is at the first batch: folded, see `folding.folded`, or compiled.

    In 16 bits, pictures that are nearer to another decision than `CLOSE` times the error of the copy are computed again in 32,
    so that decisions are those of 32 bits; on a CPU alone, where that waits for nothing.

    Whatever cannot be copied, or does not agree with its copy on the first pictures, computes as it is, one batch at a time.
    """

    def __init__(
        self, model: nn.Module, runtime: Runtime, margins: Margins, copied: Copying = folded, parts: Parts | None = None
    ) -> None:
        """Nothing is copied yet.

        Args:
            model: The network, on the device of `runtime`.
            runtime: Device and precision.
            margins: How far outputs are from another decision, see `Target.margins`.
            copied: Makes the copy.
            parts: As for `AsItIs`.
        """
        self._plain, self._margins, self._copied = AsItIs(model, runtime, parts), margins, copied
        self.concurrent = is_stateless(model)
        self._copy: Copy | None = None
        self._tried = False
        self._lock = threading.Lock()

    def __call__(self, images: Tensor) -> Tensor:
        if not self._tried:
            self._try(images)
        if self._copy is not None:
            with torch.no_grad():
                return self._decisive(self._computed(images, self._copy), images, self._copy)
        with self._lock:
            return self._plain(images)

    def _try(self, images: Tensor) -> None:
        with self._lock:
            if self._tried:
                return
            model, precision = self._plain.model, self._plain.runtime.precision
            with evaluating(model):
                self._copy = self._copied(model, images[: _COMPARED[precision]], _DTYPES[precision])
            self._tried = True

    def _computed(self, images: Tensor, copy: Copy) -> Tensor:
        runtime = self._plain.runtime
        if runtime.device.type == "cpu":
            return torch.cat([infer(copy.network, part, runtime) for part in images.split(_AT_ONCE)])
        return self._plain.parts.computed(lambda part: infer(copy.network, part, runtime), images)

    def _decisive(self, logits: Tensor, images: Tensor, copy: Copy) -> Tensor:
        """The outputs, those of pictures that are close to another decision in 32 bits."""
        if self._plain.runtime.precision == "fp32" or images.device.type != "cpu":
            return logits
        margins = self._margins(logits)
        close = [] if margins is None else (margins < CLOSE * copy.error).nonzero().flatten().tolist()
        if close:
            logits[close] = infer(copy.exact, images[close], replace(self._plain.runtime, precision="fp32"))
        return logits


def infer(model: Callable[[Tensor], object], images: Tensor, runtime: Runtime) -> Tensor:
    """The network's outputs, float32 `(N, K)`, for images `(N, C, H, W)` on its device, in the precision of `runtime`."""
    if runtime.channels_last and images.ndim == 4:
        images = images.contiguous(memory_format=torch.channels_last)
    with runtime.autocast():
        logits = model(images)
    if not isinstance(logits, Tensor):
        raise ModelError(f"The network returned a {type(logits).__name__}. Expected one tensor of outputs (N, K).")
    return logits.float()


def overlapped(batches: Iterable[Batch], forward: Forward) -> Generator[tuple[Batch, Tensor]]:
    """Each batch with its outputs on the host, while the GPU is busy with the next one already."""
    before: tuple[Batch, Tensor, torch.cuda.Event] | None = None
    for batch in batches:
        logits = forward(batch.image)
        host = torch.empty(logits.shape, dtype=logits.dtype, pin_memory=True)
        host.copy_(logits, non_blocking=True)
        copied = torch.cuda.Event()
        copied.record()
        if before is not None:
            before[2].synchronize()
            yield before[:2]
        before = (batch, host, copied)
    if before is not None:
        before[2].synchronize()
        yield before[:2]


def content_of(model: nn.Module) -> tuple[tuple[int, int, int], ...]:
    """What tells whether a network's tensors are still the same: place, version and sum of each; some 4 ms for a resnet18.

    A version alone would not do: fused optimizers change tensors and leave it as it is.
    """
    tensors = [one.detach() for one in (*model.parameters(), *model.buffers())]
    return tuple((one.data_ptr(), 0 if one.is_inference() else one._version, _sum_of_bits(one)) for one in tensors)


def _sum_of_bits(tensor: Tensor) -> int:
    dense = tensor.is_contiguous() or (tensor.ndim == 4 and tensor.is_contiguous(memory_format=torch.channels_last))
    # In the order in which they lie in memory, whatever it is: nothing needs to be copied.
    flat = tensor.as_strided((tensor.numel(),), (1,)) if dense else tensor.reshape(-1)
    data = flat.view(torch.uint8).numpy()
    whole = len(data) // 8 * 8
    return int(np.sum(data[:whole].view(np.uint64))) + int.from_bytes(data[whole:].tobytes(), "little")
