"""Micro-batches: where memory is too short for a batch, its outputs and gradients are computed part by part.

Callbacks, loss and metrics see the whole batch as ever: outputs of all parts are put together before the loss, whatever it is,
and one backward pass goes through them. What a part remembers for that pass is let go again and computed once more when the
pass comes to it (all but the last part's), so that the memory of one part is enough. Gradients are those of the whole batch;
BatchNorm alone notices, because it normalises each part by itself. Hooks on layers see parts.

An attempt that runs out of memory leaves no trace in the network, its gradients and random numbers; only callbacks have seen
its events, from `after_pred` on, once more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from sightline.errors import DeviceMemoryError, counted
from sightline.runtime.memory import Parts, is_out_of_memory, release

if TYPE_CHECKING:
    from sightline.train.learner import Learner

Function = Callable[[Tensor], Tensor]


class MicroBatches:
    """In what parts the batches of a learner are computed.

    Attributes:
        training: The parts of steps.
        evaluation: Those of passes that do not learn, which need less memory.
    """

    def __init__(self) -> None:
        """Batches are taken whole."""
        self.training, self.evaluation = Parts(), Parts()
        self._fitted: dict[tuple[bool, int], int] = {}
        self._buffers = _Buffers()

    def sizes(self, learn: Learner) -> list[int]:
        """How the present batch is divided, now."""
        parts, images = self._parts(), learn.xb[0]
        return [len(images)] if parts.most is None else parts.sizes(len(images), _smallest(learn.model))

    def within_memory(self, learn: Learner, attempt: Callable[[], None]) -> None:
        """Do what computes outputs and gradients of the present batch; with smaller parts again where memory was too short.

        Raises:
            DeviceMemoryError: Not even the smallest part fits.
        """
        parts, before = self._parts(), self._parts().most
        undo = self._undo(learn)
        try:
            while not self._fits(learn, attempt):
                undo.attempt()
                release(learn.runtime.device)
        except DeviceMemoryError:
            undo.attempt()
            raise
        finally:
            undo.gradients_aside()
        if parts.most != before:
            self._say(learn)

    def features(self, model: nn.Module, function: Function, images: Tensor) -> Tensor:
        """What frozen layers of a network, in whatever mode, give for images: `(N, ...)` for `(N, ...)`.

        Raises:
            DeviceMemoryError: Not even the smallest part fits.

        Warns:
            SightlineWarning: Parts are smaller from now on.
        """
        self._buffers.keep(model)
        return self.evaluation.computed(function, images, _smallest(model), self._buffers.put_back)

    def _parts(self) -> Parts:
        return self.training if torch.is_grad_enabled() else self.evaluation

    def _fits(self, learn: Learner, attempt: Callable[[], None]) -> bool:
        """Whether memory was enough; where not, the next attempt's parts are half as large."""
        images = learn.xb[0]
        try:
            attempt()
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            learn.pred = learn.loss = learn.loss_grad = None
            self._parts().halve(images, error, _smallest(learn.model))
            return False
        kind = self._kind(learn)
        self._fitted[kind] = max(self._fitted.get(kind, 0), images.numel())
        return True

    def _undo(self, learn: Learner) -> _Undo:
        """On a CPU, what fitted once fits again: there buffers are not kept for such a batch."""
        known = learn.xb[0].numel() <= self._fitted.get(self._kind(learn), 0)
        if known and learn.runtime.device.type == "cpu":
            return _Undo(learn, None)
        self._buffers.keep(learn.model)
        return _Undo(learn, self._buffers)

    def _kind(self, learn: Learner) -> tuple[bool, int]:
        return torch.is_grad_enabled(), learn.frozen_to

    def _say(self, learn: Learner) -> None:
        images = learn.xb[0]
        sizes = self.sizes(learn)
        pictures = f"The memory of {images.device} is too small for {counted(len(images), 'picture')} at once"
        if not torch.is_grad_enabled():
            learn.progress.note(f"{pictures}: validation takes {sizes[0]} at a time from now on, with the same results.")
            return
        norm = ", each normalised by itself in BatchNorm" if _smallest(learn.model) > 1 else ""
        learn.progress.note(
            f"{pictures}: from now on a step adds up parts of {counted(sizes[0], 'picture')}{norm}. "
            "The batch remains the same; steps take longer."
        )


def in_parts(function: Function, images: Tensor, sizes: Sequence[int], model: nn.Module) -> Tensor:
    """The outputs `(N, K)` of a function for images `(N, ...)` divided into `sizes`, to be differentiated part by part.

    Args:
        function: The forward pass of `model` in training.
        images: The whole batch.
        sizes: Pictures of each part.
        model: Its buffers change once for each part, although most parts are computed twice.
    """
    *again, last = images.split(list(sizes))
    buffers = list(model.buffers())

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _Unchanged(buffers)

    found = [checkpoint(function, part, use_reentrant=False, context_fn=contexts) for part in again]
    # The backward pass begins with the last part, so that nothing else is in memory with what it remembers.
    return torch.cat([*found, function(last)])


class _Unchanged(AbstractContextManager[None]):
    """Within the block tensors may change; after it they are as before."""

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self._tensors = tensors
        self._before: list[Tensor] = []

    def __enter__(self) -> None:
        self._before = [tensor.detach().clone() for tensor in self._tensors]

    def __exit__(self, *_: object) -> None:
        _write(self._tensors, self._before)
        self._before = []


class _Buffers:
    """The buffers of a network and copies of them: looked for once, and again when one was replaced."""

    def __init__(self) -> None:
        self._model: nn.Module | None = None
        self._places: list[tuple[dict[str, Tensor | None], str, Tensor]] = []
        self._groups: list[tuple[list[Tensor], list[Tensor]]] = []

    def keep(self, model: nn.Module) -> None:
        """Copy them, those of one dtype at once."""
        if self._model is not model or any(held.get(name) is not tensor for held, name, tensor in self._places):
            self._find(model)
        with torch.no_grad():
            for tensors, kept in self._groups:
                torch._foreach_copy_(kept, tensors)

    def put_back(self) -> None:
        """Make them what they were."""
        for tensors, kept in self._groups:
            _write(tensors, kept)

    def _find(self, model: nn.Module) -> None:
        self._model = model
        held = [(part._buffers, name) for part in model.modules() for name in part._buffers]
        self._places = [(into, name, tensor) for into, name in held if (tensor := into[name]) is not None]
        by_dtype: dict[torch.dtype, list[Tensor]] = {}
        for _, _, tensor in self._places:
            by_dtype.setdefault(tensor.dtype, []).append(tensor)
        self._groups = [(tensors, [torch.empty_like(tensor) for tensor in tensors]) for tensors in by_dtype.values()]


class _Undo:
    """What the attempt at a batch changes, as it was before: buffers, random generators, gradients."""

    def __init__(self, learn: Learner, buffers: _Buffers | None) -> None:
        self._buffers = buffers
        self._device = learn.runtime.device
        self._random = torch.get_rng_state()
        self._random_there = _device_random(self._device)
        # Gradients that were gathered in earlier batches wait aside: what a broken attempt added could not be told from them.
        lists = [] if learn.opt is None else learn.opt.param_lists
        self._parameters = [parameter for part in lists for parameter in part]
        self._aside = [(parameter, parameter.grad) for parameter in self._parameters if parameter.grad is not None]
        for parameter, _ in self._aside:
            parameter.grad = None

    def attempt(self) -> None:
        """All is as before."""
        if self._buffers is not None:
            self._buffers.put_back()
        torch.set_rng_state(self._random)
        if self._random_there is not None and self._device.type == "cuda":
            torch.cuda.set_rng_state(self._random_there, self._device)
        elif self._random_there is not None:
            torch.mps.set_rng_state(self._random_there)
        for parameter in self._parameters:
            parameter.grad = None

    def gradients_aside(self) -> None:
        """Add the gradients of earlier batches to those of this one."""
        with torch.no_grad():
            for parameter, before in self._aside:
                parameter.grad = before if parameter.grad is None else before.add_(parameter.grad)


def _device_random(device: torch.device) -> Tensor | None:
    if device.type == "cuda":
        return torch.cuda.get_rng_state(device)
    return torch.mps.get_rng_state() if device.type == "mps" else None


def _smallest(model: nn.Module) -> int:
    """The fewest pictures that the network can be given as it is: BatchNorm has no use for a single one while it trains."""
    return 2 if any(isinstance(part, _BatchNorm) and part.training for part in model.modules()) else 1


def _write(tensors: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    # By `.data`: a pass that goes back through the tensors later must not take this for a change of what it remembers.
    for tensor, value in zip(tensors, values, strict=True):
        tensor.data.copy_(value)
