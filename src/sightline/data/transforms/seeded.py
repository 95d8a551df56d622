"""torch's random functions made to follow a draw, in one thread, without touching the global generator."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

SEEDS = 2**53
"""How many seeds a number in [0, 1) tells apart."""

_DRAWN_IN_PLACE = frozenset(
    getattr(torch.Tensor, name)
    for name in ["uniform_", "normal_", "random_", "bernoulli_", "exponential_", "geometric_", "log_normal_", "cauchy_"]
)
_MADE = frozenset({torch.rand, torch.randn, torch.randint, torch.randperm})
_FROM_OTHERS = frozenset(
    {torch.bernoulli, torch.multinomial, torch.normal, torch.poisson, torch.Tensor.multinomial, torch.Tensor.bernoulli}
)
_ALIKE = {torch.rand_like: torch.Tensor.uniform_, torch.randn_like: torch.Tensor.normal_}


class Seeded(TorchFunctionMode):
    """Within `with Seeded(seed):` what torch draws on the CPU or a GPU follows from the seed, in this thread alone.

    That covers what torchvision's transforms draw. Python's `random`, NumPy and functions that take no generator, such as
    dropout, are left as they are.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._seed = seed
        self._generators: dict[torch.device, torch.Generator] = {}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls a function of torch, with a generator of its own where it can take one."""
        kwargs = kwargs or {}
        if kwargs.get("generator") is not None:
            return func(*args, **kwargs)
        if func in _ALIKE:
            made = torch.empty_like(*args, **kwargs)
            return _ALIKE[func](made, generator=self._generator(made.device))
        if func in _MADE:
            device = torch.device(kwargs.get("device") or torch.get_default_device())
        elif func in _DRAWN_IN_PLACE or func in _FROM_OTHERS:
            tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.Tensor)]
            device = tensors[0].device if tensors else torch.get_default_device()
        else:
            return func(*args, **kwargs)
        return func(*args, **{**kwargs, "generator": self._generator(device)})

    def _generator(self, device: torch.device) -> torch.Generator:
        if device.type != "cpu":
            device = torch.empty(0, device=device).device  # 'cuda' is one of its numbers
        if device not in self._generators:
            self._generators[device] = torch.Generator(device).manual_seed(self._seed)
        return self._generators[device]
