"""Optimizer rules that torch has not, or has otherwise, as torch optimizers: one rule a class, one parameter at a time.

All of them hold their hyper-parameters under the names of the field. Weight decay shrinks a parameter by `lr * wd` before the
step (decoupled), or is added to its gradient (L2); parameter groups with `decays=False` are spared.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Any]
Hypers = dict[str, Any]


class Rule(torch.optim.Optimizer, ABC):
    """Base of the rules: decay, then `update` for every parameter with a gradient."""

    def __init__(self, params: Iterable[Any], *, decouple_wd: bool, **hypers: float) -> None:
        super().__init__(params, hypers)
        self.decouple_wd = decouple_wd

    @abstractmethod
    def update(self, p: Tensor, grad: Tensor, state: State, hypers: Hypers) -> None:
        """Change `p` in place; `state` is what this rule remembers of it."""

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Change every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            decay = group["wd"] if group.get("decays", True) else 0.0
            for p in group["params"]:
                if p.grad is None:
                    continue
                if self.decouple_wd:
                    p.mul_(1 - group["lr"] * decay)
                grad = p.grad if self.decouple_wd or not decay else p.grad.add(p, alpha=decay)
                self.update(p, grad, self.state[p], group)
        return loss


class DecoupledSGD(torch.optim.SGD):
    """torch's SGD with decoupled weight decay. Without momentum from the start it stays so under every schedule of `mom`."""

    def __init__(self, params: Iterable[Any], *, lr: float, mom: float, wd: float, decouple_wd: bool) -> None:
        super().__init__(params, lr=lr, momentum=mom, weight_decay=0.0 if decouple_wd else wd)
        if decouple_wd:
            self._hold(wd=wd)
        if mom == 0:
            self._hold(mom=0.0)

    def _hold(self, **values: float) -> None:
        self.defaults.update(values)
        for group in self.param_groups:
            group.update({name: value for name, value in values.items() if name not in group})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Shrink, then torch's step."""
        for group in self.param_groups:
            if group.get("wd") and group.get("decays", True):
                for p in (p for p in group["params"] if p.grad is not None):
                    p.mul_(1 - group["lr"] * group["wd"])
        loss: float | None = super().step(closure)
        return loss


class RMSPropRule(Rule):
    """RMSProp whose momentum is that of gradients, not of steps as torch has it."""

    def update(self, p: Tensor, grad: Tensor, state: State, hypers: Hypers) -> None:
        """`lr * mean of gradients / (root of the mean of their squares + eps)`."""
        average = momentum(state, grad, hypers["mom"]) if self.defaults["mom"] else grad
        p.addcdiv_(average, mean_square(state, grad, hypers["sqr_mom"]).sqrt().add_(hypers["eps"]), value=-hypers["lr"])


class RAdamRule(Rule):
    """Rectified Adam (Liu et al., 2020); `beta` above 0 softens the denominator by softplus (SAdam)."""

    def update(self, p: Tensor, grad: Tensor, state: State, hypers: Hypers) -> None:
        """Adam's step times its rectification; without a denominator while the variance is not to be trusted."""
        step, average, square = moments(state, grad, hypers)
        sqr_mom, rate = hypers["sqr_mom"], hypers["lr"] / (1 - hypers["mom"] ** step)
        longest = 2 / (1 - sqr_mom) - 1
        length = longest - 2 * step * sqr_mom**step / (1 - sqr_mom**step)
        if length <= 5:
            p.add_(average, alpha=-rate)
            return
        trust = math.sqrt((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length))
        root = (square / (1 - sqr_mom**step)).sqrt_().add_(hypers["eps"])
        p.addcdiv_(average, F.softplus(root, hypers["beta"]) if hypers["beta"] else root, value=-rate * trust)


class QHAdamRule(Rule):
    """Quasi-hyperbolic Adam (Ma and Yarats, 2019): gradient and mean gradient mixed by `nu_1`, their squares by `nu_2`."""

    def update(self, p: Tensor, grad: Tensor, state: State, hypers: Hypers) -> None:
        """`lr * mixed gradient / (root of mixed square + eps)`."""
        step, average, square = moments(state, grad, hypers)
        top = torch.lerp(grad, average / (1 - hypers["mom"] ** step), hypers["nu_1"])
        below = torch.lerp(grad * grad, square / (1 - hypers["sqr_mom"] ** step), hypers["nu_2"])
        p.addcdiv_(top, below.sqrt_().add_(hypers["eps"]), value=-hypers["lr"])


class LarcRule(Rule):
    """Layer-wise rates by the ratio of norms: LARC with `clip`, LARS without (You et al., 2017)."""

    def __init__(self, params: Iterable[Any], *, clip: bool, decouple_wd: bool, **hypers: float) -> None:
        super().__init__(params, decouple_wd=decouple_wd, **hypers)
        self.clip = clip

    def update(self, p: Tensor, grad: Tensor, state: State, hypers: Hypers) -> None:
        """`local rate * momentum`, the rate being `lr * trust_coeff * |p| / (|grad| + wd |p| + eps)`."""
        average = momentum(state, grad, hypers["mom"]) if self.defaults["mom"] else grad
        size = p.norm()
        local = hypers["lr"] * hypers["trust_coeff"] * size / (grad.norm() + size * hypers["wd"] + hypers["eps"])
        p.sub_(average * (local.clamp(max=hypers["lr"]) if self.clip else local))


class LambRule(Rule):
    """Adam's step, scaled by the ratio of root mean squares of parameter and step, at most 10 (You et al., 2020)."""

    def update(self, p: Tensor, grad: Tensor, state: State, hypers: Hypers) -> None:
        """`lr * ratio * Adam's step`; the ratio is 1 where one of the two is zero."""
        step, average, square = moments(state, grad, hypers)
        below = (square / (1 - hypers["sqr_mom"] ** step)).sqrt_().add_(hypers["eps"])
        move = (average / (1 - hypers["mom"] ** step)).div_(below)
        size, length = p.square().mean().sqrt(), move.square().mean().sqrt()
        ratio = torch.where((size == 0) | (length == 0), 1.0, (size / length).clamp(max=10.0))
        p.sub_(move * (ratio * hypers["lr"]))


def momentum(state: State, grad: Tensor, mom: float) -> Tensor:
    """The decayed sum of gradients so far, `mom * sum + grad`."""
    if "grad_avg" not in state:
        state["grad_avg"] = torch.zeros_like(grad)
    return state["grad_avg"].mul_(mom).add_(grad)  # type: ignore[no-any-return]


def mean_square(state: State, grad: Tensor, sqr_mom: float) -> Tensor:
    """The running mean of squared gradients, not corrected for having started at zero."""
    if "sqr_avg" not in state:
        state["sqr_avg"] = torch.zeros_like(grad)
    return state["sqr_avg"].mul_(sqr_mom).addcmul_(grad, grad, value=1 - sqr_mom)  # type: ignore[no-any-return]


def moments(state: State, grad: Tensor, hypers: Hypers) -> tuple[int, Tensor, Tensor]:
    """(number of this step, running mean of gradients, running mean of their squares), uncorrected."""
    state["step"] = step = state.get("step", 0) + 1
    if "grad_avg" not in state:
        state["grad_avg"] = torch.zeros_like(grad)
    return step, state["grad_avg"].lerp_(grad, 1 - hypers["mom"]), mean_square(state, grad, hypers["sqr_mom"])
