"""An optimizer out of functions: each looks at one parameter, and remembers something of it or changes it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch

from sightline.errors import OptionError
from sightline.train.optim import Optimizer
from sightline.train.parameters import torch_groups
from sightline.train.schedule import Rates

Step: TypeAlias = Callable[..., Mapping[str, Any] | None]
"""`(p, **remembered, **hyper-parameters) -> what to remember of p from now on`, or None; it may change `p` in place."""


class StepFunctions(torch.optim.Optimizer):
    """Calls functions for every parameter with a gradient, one after the other.

    Each is given the parameter, what was remembered of it so far, its hyper-parameters, and `do_wd`: whether it decays.
    """

    def __init__(self, params: Iterable[Any], steps: Sequence[Step], **hypers: float) -> None:
        super().__init__(params, hypers)
        self.steps = list(steps)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Call all functions for every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            hypers = {name: value for name, value in group.items() if name not in {"params", "depth", "decays"}}
            hypers["do_wd"] = group.get("decays", True)
            for p in group["params"]:
                if p.grad is not None:
                    for one in self.steps:
                        self.state[p].update(one(p, **(self.state[p] | hypers)) or {})
        return loss


def stepping(params: Iterable[Any], cbs: Step | Iterable[Step], lr: Rates = 1e-3, **defaults: float) -> Optimizer:
    """An optimizer out of functions: `opt_func=partial(stepping, cbs=[average_grad, momentum_step], mom=0.9)`.

    Args:
        params: Parameters, lists of them, or torch parameter groups.
        cbs: One function or several, see `Step`. A function's attribute `defaults` may hold hyper-parameters.
        lr: Learning rate; see `sightline.train.schedule.spread` for one a group.
        defaults: Further hyper-parameters.

    Raises:
        OptionError: There is none, or one cannot be called.
    """
    steps = [cbs] if callable(cbs) else list(cbs)
    if not steps or not all(callable(one) for one in steps):
        raise OptionError(f"cbs={cbs!r}: expected functions (p, lr, **kwargs) that change a parameter.")
    hypers: dict[str, float] = {}
    for one in steps:
        hypers |= getattr(one, "defaults", {})
    opt = Optimizer.over(StepFunctions(torch_groups(params), steps, **{"lr": 1.0, **hypers, **defaults}))
    opt.set_hyper("lr", lr)
    return opt
