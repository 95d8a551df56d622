"""Lookahead: slow weights that follow any optimizer's, and `ranger`, which is that over RAdam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from sightline.errors import OptionError
from sightline.train.optim import Optimizer
from sightline.train.optimizers import RAdam
from sightline.train.schedule import Rates


class SlowWeights(torch.optim.Optimizer):
    """A torch optimizer around another one, `base`, whose groups and state it shares.

    Slow weights and the count of steps lie in the state of each parameter, so that they are saved, loaded and forgotten
    with it.
    """

    def __init__(self, base: torch.optim.Optimizer, k: int, alpha: float) -> None:
        super().__init__(base.param_groups, base.defaults)
        self.base, self.k, self.alpha = base, k, alpha
        self._share()

    def _share(self) -> None:
        self.param_groups, self.state = self.base.param_groups, self.base.state

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """A step of `base`; every `k` of them slow weights move by `alpha` towards the fast ones, which then begin there."""
        moving = [p for group in self.param_groups for p in group["params"] if p.grad is not None]
        # torch takes an entry in the state for a started one: nothing is put there before the base's first step.
        started = {p: p.detach().clone() for p in moving if "slow" not in self.state.get(p, {})}
        count = 1 + max((entry.get("looked", 0) for entry in self.state.values()), default=0)
        loss = self.base.step() if closure is None else self.base.step(closure)
        for p in moving:
            state = self.state[p]
            state["slow"], state["looked"] = state.get("slow", started.get(p)), count
            if count % self.k == 0:
                p.copy_(state["slow"].lerp_(p, self.alpha))
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The state of `base`, slow weights included."""
        return self.base.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over a state."""
        self.base.load_state_dict(state_dict)
        self._share()


def Lookahead(opt: Optimizer | torch.optim.Optimizer, k: int = 6, alpha: float = 0.5) -> Optimizer:  # noqa: N802 - the field's
    """Slow weights around an optimizer (Zhang et al., "Lookahead Optimizer", 2019).

    Such as `opt_func=lambda params, lr: Lookahead(Adam(params, lr))`.

    Args:
        opt: The optimizer that makes the fast steps.
        k: Fast steps to each slow one.
        alpha: How far slow weights move towards the fast ones.

    Raises:
        OptionError: A number outside its range.
    """
    if isinstance(k, bool) or not isinstance(k, int) or k < 1 or not 0 <= alpha <= 1:
        raise OptionError(f"k={k!r}, alpha={alpha!r}: expected a whole number of steps, at least 1, and a share from 0 to 1.")
    base, names = (opt.inner, opt.names) if isinstance(opt, Optimizer) else (opt, None)
    return Optimizer.over(SlowWeights(base, k, alpha), names)


def ranger(
    params: Iterable[nn.Parameter] | Iterable[Any],
    lr: Rates,
    mom: float = 0.95,
    wd: float = 0.01,
    eps: float = 1e-6,
    k: int = 6,
    alpha: float = 0.5,
    sqr_mom: float = 0.99,
    beta: float = 0.0,
    decouple_wd: bool = True,
) -> Optimizer:
    """`Lookahead` over `RAdam`; see there for the arguments."""
    fast = RAdam(params, lr=lr, mom=mom, wd=wd, eps=eps, sqr_mom=sqr_mom, beta=beta, decouple_wd=decouple_wd)
    return Lookahead(fast, k=k, alpha=alpha)
