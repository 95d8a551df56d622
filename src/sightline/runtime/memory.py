"""The device's memory: what its lack looks like, and batches that are computed in parts which fit."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable

import torch
from torch import Tensor

from sightline.errors import DeviceMemoryError, SightlineError, SightlineWarning, counted

_WORDS = ("out of memory", "DefaultCPUAllocator", "ALLOC_FAILED")
"""What errors without a class of their own say: those of MPS and CUDA's driver, of the CPU, of cuDNN and cuBLAS."""


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory is short, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    plain = isinstance(error, RuntimeError) and not isinstance(error, SightlineError)
    return plain and any(word in str(error) for word in _WORDS)


def release(device: torch.device) -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


class Parts:
    """How many pictures are computed at once: whole batches, until memory was short; from then on parts, for good.

    Attributes:
        most: Pictures of the largest part; None takes batches whole.
    """

    def __init__(self, most: int | None = None) -> None:
        """Take the largest part."""
        self.most = most

    def sizes(self, n: int, smallest: int = 1) -> list[int]:
        """How a batch of `n` pictures is divided: evenly, larger parts first, none below `smallest` unless the batch is."""
        count = 1 if self.most is None else max(1, min(-(-n // self.most), n // smallest))
        size, rest = divmod(n, count)
        return [size + 1] * rest + [size] * (count - rest)

    def halve(self, images: Tensor, error: BaseException, smallest: int = 1) -> None:
        """Make parts half as large as those that `images` were divided into when memory was short.

        Raises:
            DeviceMemoryError: They are as small as they may be.
        """
        before, largest = self.most, self.sizes(len(images), smallest)[0]
        self.most = max(smallest, (largest + 1) // 2)
        if self.sizes(len(images), smallest)[0] == largest:
            self.most = before
            raise DeviceMemoryError(_sentence(images, largest, smallest, error)) from error

    def computed(
        self,
        function: Callable[[Tensor], Tensor],
        images: Tensor,
        smallest: int = 1,
        undo: Callable[[], None] | None = None,
    ) -> Tensor:
        """What a function that learns nothing gives for images `(N, ...)`: `(N, ...)`, in parts where memory is short.

        Args:
            function: Computes.
            images: All of them.
            smallest: The fewest that it takes.
            undo: Takes back what an attempt changed before memory ran out.

        Raises:
            DeviceMemoryError: Not even the smallest part fits.

        Warns:
            SightlineWarning: Parts are smaller from now on.
        """
        before = self.most
        while True:
            try:
                sizes = self.sizes(len(images), smallest)
                one = len(sizes) == 1
                found = function(images) if one else torch.cat([function(part) for part in images.split(sizes)])
                break
            except (RuntimeError, MemoryError) as error:
                if not is_out_of_memory(error):
                    raise
                self.halve(images, error, smallest)
            # Here, where the error and with it all that the attempt held is gone.
            release(images.device)
            if undo is not None:
                undo()
        if self.most != before:
            warnings.warn(
                f"The memory of {images.device} is too small for {counted(len(images), 'picture')} at once: "
                f"{counted(sizes[0], 'picture')} at a time from now on, with the same results.",
                SightlineWarning,
                stacklevel=2,
            )
        return found


def _sentence(images: Tensor, largest: int, smallest: int, error: BaseException) -> str:
    shape = " x ".join(str(side) for side in images.shape[1:])
    why = ", which is the fewest that BatchNorm can train with" if smallest > 1 else ""
    said = str(error).strip().partition("\n")[0].rstrip(".")
    return (
        f"The memory of {images.device} is too small for {counted(largest, 'picture')} of {shape} at once{why}: {said}. "
        "Try smaller pictures, a smaller architecture, or 16 bits (learn.to_bf16()); train the head alone "
        "(fine_tune(0, freeze_epochs=..., frozen='features')); or end other programs that use this memory."
    )
