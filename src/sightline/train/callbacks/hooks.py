"""Hooks: looking at what single layers take and give, by hand or during a fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Self, TypeAlias

import torch
from torch import Tensor, nn

from sightline.errors import ModelError
from sightline.metrics.metric import to_detach
from sightline.model.modes import evaluating
from sightline.train.events import Callback

HookFunction: TypeAlias = Callable[[nn.Module, Any, Any], Any]
"""`(layer, inputs, outputs) -> what is stored`; for gradients, those of inputs and outputs."""


class Hook:
    """Calls a function whenever a layer was used, and stores what it returns; a `with` block removes it at its end.

    Attributes:
        stored: What the function returned last; None before.
        removed: Whether the hook is gone from its layer.
    """

    def __init__(
        self,
        m: nn.Module,
        hook_func: HookFunction,
        is_forward: bool = True,
        detach: bool = True,
        cpu: bool = False,
        gather: bool = False,
    ) -> None:
        """Add the hook.

        Args:
            m: The layer.
            hook_func: `(layer, inputs, outputs) -> Any`.
            is_forward: After the forward pass; False is after the backward pass, with gradients.
            detach: Give the function tensors without their graph.
            cpu: Give it tensors on the CPU.
            gather: Nothing: tensors are gathered from one device.
        """
        self.hook_func, self.detach, self.cpu = hook_func, detach, cpu
        register = m.register_forward_hook if is_forward else m.register_full_backward_hook
        self.hook = register(self.hook_fn)
        self.stored: Any = None
        self.removed = False

    def hook_fn(self, module: nn.Module, input: Any, output: Any) -> None:
        """Store what the function returns."""
        if self.detach:
            input, output = to_detach(input, self.cpu), to_detach(output, self.cpu)
        self.stored = self.hook_func(module, input, output)

    def remove(self) -> None:
        """Take the hook away; a second time does nothing."""
        self.hook.remove()
        self.removed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


class Hooks:
    """One hook on each of several layers; a `with` block removes them at its end."""

    def __init__(
        self,
        ms: Sequence[nn.Module],
        hook_func: HookFunction,
        is_forward: bool = True,
        detach: bool = True,
        cpu: bool = False,
    ) -> None:
        """Add the hooks; see `Hook`."""
        self.hooks = [Hook(m, hook_func, is_forward, detach, cpu) for m in ms]

    def __getitem__(self, position: int) -> Hook:
        return self.hooks[position]

    def __len__(self) -> int:
        return len(self.hooks)

    def __iter__(self) -> Iterator[Hook]:
        return iter(self.hooks)

    @property
    def stored(self) -> list[Any]:
        """What each hook stored last."""
        return [hook.stored for hook in self.hooks]

    def remove(self) -> None:
        """Take all away."""
        for hook in self.hooks:
            hook.remove()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def hook_output(module: nn.Module, detach: bool = True, cpu: bool = False, grad: bool = False) -> Hook:
    """A hook that stores what a layer gives, or the gradient of it."""
    return Hook(module, _output, is_forward=not grad, detach=detach, cpu=cpu)


def hook_outputs(modules: Sequence[nn.Module], detach: bool = True, cpu: bool = False, grad: bool = False) -> Hooks:
    """Hooks that store what layers give, or the gradients of it."""
    return Hooks(modules, _output, is_forward=not grad, detach=detach, cpu=cpu)


def has_params(m: nn.Module) -> bool:
    """Whether a layer, or one within it, has parameters."""
    return any(True for _ in m.parameters())


def total_params(m: nn.Module) -> tuple[int, bool]:
    """How many numbers the parameters of `m` hold, and whether the first of them trains."""
    parameters = list(m.parameters())
    return sum(p.numel() for p in parameters), bool(parameters) and parameters[0].requires_grad


def flatten_model(m: nn.Module) -> list[nn.Module]:
    """The layers of a network that hold no others, in the order in which they were declared."""
    return [layer for layer in m.modules() if next(layer.children(), None) is None]


def dummy_eval(m: nn.Module, size: tuple[int, int] = (64, 64)) -> Any:
    """What `m` gives in evaluation mode for one made-up picture of `size` (height, width).

    Raises:
        ModelError: It has no convolution to tell how many channels it takes.
    """
    weight = next((p for p in m.parameters() if p.ndim == 4), None)
    if weight is None:
        raise ModelError("The network has no convolution, so how many channels its pictures have is not known.")
    picture = torch.empty(1, weight.shape[1], *size, device=weight.device, dtype=weight.dtype).uniform_(-1, 1)
    with evaluating(m):
        return m(picture)


def model_sizes(m: nn.Sequential, size: tuple[int, int] = (64, 64)) -> list[torch.Size]:
    """The shapes of what each part of `m` gives for one made-up picture of `size` (height, width)."""
    with hook_outputs(list(m.children())) as hooks:
        dummy_eval(m, size)
        return [hook.stored.shape for hook in hooks]


def num_features_model(m: nn.Sequential) -> int:
    """How many channels come out of `m`, found with ever larger pictures from 32 to 2048 pixels.

    Raises:
        RuntimeError: The network takes none of them; what it says about the largest.
    """
    size = 32
    while True:
        try:
            return int(model_sizes(m, (size, size))[-1][1])
        except RuntimeError:
            size *= 2
            if size > 2048:
                raise


def layer_info(learn: Any, *xb: Tensor) -> list[tuple[str, int | str, bool | str, Any, bool]]:
    """What each layer of a learner's network does with a batch.

    Args:
        learn: The learner.
        xb: Inputs; the first of the batch alone is passed through.

    Returns:
        (class, parameters, whether they train, shape of what it gives, whether that is the shape it took) a layer. Layers
        without weights have blanks for the second and third.
    """

    def seen(layer: nn.Module, inputs: Any, output: Any) -> tuple[Any, ...]:
        outputs = output if isinstance(output, (tuple, list)) else (output,)
        same = any(
            isinstance(i, Tensor) and isinstance(o, Tensor) and i.shape[1:] == o.shape[1:]
            for i, o in zip(inputs, outputs, strict=False)
        )
        parameters, trains = total_params(layer) if hasattr(layer, "weight") else ("", "")
        return (type(layer).__name__, parameters, trains, _shapes(output), same)

    device = learn.runtime.device
    with Hooks(flatten_model(learn.model), seen) as hooks, evaluating(learn.model):
        learn.model(*(x[:1].to(device) for x in xb))
        return [hook.stored for hook in hooks if hook.stored is not None]


class HookCallback(Callback):
    """Has hooks on layers during a fit. A subclass, or `hook=`, says what they store.

    Attributes:
        hooks: The hooks; None while there are none.
    """

    needs_pictures = True

    def __init__(
        self,
        modules: Sequence[nn.Module] | None = None,
        every: int | None = None,
        remove_end: bool = True,
        is_forward: bool = True,
        detach: bool = True,
        cpu: bool = True,
        include_paramless: bool = False,
        hook: HookFunction | None = None,
    ) -> None:
        """Say where hooks are and when.

        Args:
            modules: The layers; None is all that hold no others and have parameters.
            every: Hooks are there in every so many training batches only; None is always.
            remove_end: Take them away when the fit ends.
            is_forward: See `Hook`.
            detach: See `Hook`.
            cpu: See `Hook`.
            include_paramless: Layers without parameters too, where `modules` is None.
            hook: `(layer, inputs, outputs) -> Any`, in place of the method.
        """
        self.modules, self.every, self.remove_end = modules, every, remove_end
        self.is_forward, self.detach, self.cpu, self.include_paramless = is_forward, detach, cpu, include_paramless
        self.hooks: Hooks | None = None
        self._function = hook

    def hook(self, m: nn.Module, i: Any, o: Any) -> Any:
        """What is stored when layer `m` has made outputs `o` of inputs `i`."""
        return None if self._function is None else self._function(m, i, o)

    def before_fit(self) -> None:
        """Find the layers, and hook them."""
        if self.modules is None:
            self.modules = [m for m in flatten_model(self.model) if self.include_paramless or has_params(m)]
        if self.every is None:
            self._register()

    def before_batch(self) -> None:
        """Hook the layers, if it is time."""
        if self.due:
            self._register()

    def after_batch(self) -> None:
        """Take away what is there for this batch only."""
        if self.every is not None:
            self._remove()

    def close(self) -> None:
        """Take the hooks away."""
        if self.remove_end:
            self._remove()

    @property
    def due(self) -> bool:
        """Whether the present batch is one of the `every`."""
        return self.every is not None and self.training and self.train_iter % self.every == 0

    def _register(self) -> None:
        self._remove()
        self.hooks = Hooks(self.modules or [], self.hook, self.is_forward, self.detach, self.cpu)

    def _remove(self) -> None:
        if self.hooks is not None:
            self.hooks.remove()
            self.hooks = None


def _output(layer: nn.Module, inputs: Any, output: Any) -> Any:
    return output


def _shapes(value: Any) -> Any:
    return value.shape if isinstance(value, Tensor) else [_shapes(one) for one in value]
