"""Optimizer: one torch optimizer with hyper-parameters by depth, and parameters that decay or do not.

The network's parameters come in groups ordered by depth (lowest first). Each group has its own hyper-parameters, under the
names of the field: `lr`, `mom`, `sqr_mom`, `eps`, `wd`. Biases and normalisation parameters share their group's rates but
not its weight decay.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import nn

from sightline.errors import ModelError, OptionError, did_you_mean, listed
from sightline.train.schedule import spread

OptimizerFunction = Callable[..., torch.optim.Optimizer]


def Adam(  # noqa: N802 - a name of the field, called as a constructor
    params: Iterable[Any],
    lr: float = 1e-3,
    mom: float = 0.9,
    sqr_mom: float = 0.99,
    eps: float = 1e-5,
    wd: float = 0.01,
    decouple_wd: bool = True,
) -> torch.optim.Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), or with L2 decay where `decouple_wd` is False.

    Args:
        params: Parameters, or torch parameter groups.
        lr: Learning rate.
        mom: Decay of the mean of gradients (beta 1).
        sqr_mom: Decay of the mean of squared gradients (beta 2).
        eps: Added to the root of the mean of squares.
        wd: Weight decay; weights shrink by `lr * wd` before each step.
        decouple_wd: Shrink weights directly, rather than through the gradient.
    """
    kind = torch.optim.AdamW if decouple_wd else torch.optim.Adam
    return kind(params, lr=lr, betas=(mom, sqr_mom), eps=eps, weight_decay=wd)


class Optimizer:
    """A torch optimizer, seen as parameter groups ordered by depth.

    Attributes:
        param_lists: The parameters of every group, lowest group first.
        hypers: The hyper-parameters of every group, as dictionaries; change them with `set_hyper`.
        inner: The torch optimizer that makes the steps.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[nn.Parameter]],
        opt_func: OptimizerFunction,
        *,
        lr: float | slice | Sequence[float],
        no_decay: Iterable[nn.Parameter] = (),
    ) -> None:
        """Build the optimizer.

        Args:
            groups: Parameters by depth, every parameter in one group.
            opt_func: `(torch parameter groups, lr=) -> torch.optim.Optimizer`, such as `Adam` or a class of `torch.optim`.
            lr: Rates; see `sightline.train.schedule.spread`.
            no_decay: Parameters without weight decay.

        Raises:
            ModelError: There is no parameter at all.
        """
        self.param_lists = [list(group) for group in groups]
        if not any(self.param_lists):
            raise ModelError("The network has no parameters. Expected at least one to train.")
        if not callable(opt_func):
            raise OptionError(f"opt_func={opt_func!r} cannot be called. Expected such as Adam or torch.optim.SGD.")
        _refuse_overlap(self.param_lists)
        exempt = {id(parameter) for parameter in no_decay}
        parts = [
            {"params": part, "depth": depth, "decays": decays}
            for depth, group in enumerate(self.param_lists)
            for decays in (True, False)
            if (part := [p for p in group if (id(p) not in exempt) == decays])
        ]
        rates = spread(lr, len(self.param_lists))
        self.inner = opt_func(parts, lr=rates[-1])
        self.hypers: list[dict[str, float]] = [_read(self.inner.param_groups[0]) for _ in self.param_lists]
        self.set_hyper("lr", rates)
        self.set_hyper("wd", [hyper.get("wd", 0.0) for hyper in self.hypers])

    def set_hyper(self, name: str, value: float | slice | Sequence[float]) -> None:
        """Set one hyper-parameter of every group; see `sightline.train.schedule.spread` for `value`.

        Raises:
            OptionError: This optimizer has no hyper-parameter of that name.
        """
        known = self.hypers[0]
        values = spread(value, len(self.hypers))
        if name in {"lr", "wd"} and min(values) < 0:
            raise OptionError(f"{name}={value!r} is negative. Expected 0 or more.")
        if name == "mom" and name not in known:
            # Optimizers without momentum run under every schedule.
            return
        if name not in known and name != "wd":
            raise OptionError(
                f"The optimizer has no hyper-parameter {name!r}, only {listed(list(known))}. {did_you_mean(name, known)}"
            )
        for hyper, one in zip(self.hypers, values, strict=True):
            hyper[name] = one
        for group in self.inner.param_groups:
            _write(group, name, self.hypers[group["depth"]][name] if group["decays"] or name != "wd" else 0.0)

    def set_hypers(self, **values: float | slice | Sequence[float]) -> None:
        """Set several hyper-parameters."""
        for name, value in values.items():
            self.set_hyper(name, value)

    @property
    def kind(self) -> str:
        """The class of the torch optimizer."""
        return type(self.inner).__name__

    def step(self) -> None:
        """Change every parameter that has a gradient."""
        self.inner.step()

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.inner.zero_grad(set_to_none=True)

    def clear_state(self) -> None:
        """Forget the running means of gradients."""
        self.inner.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """The torch optimizer's state."""
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state, hyper-parameters included."""
        self.inner.load_state_dict(state)
        for depth, hyper in enumerate(self.hypers):
            groups = [group for group in self.inner.param_groups if group["depth"] == depth]
            for group in sorted(groups, key=lambda group: not group["decays"])[:1]:
                hyper.update(_read(group))


def _read(group: dict[str, Any]) -> dict[str, float]:
    """The hyper-parameters of a torch parameter group under the names of the field."""
    found = {"lr": group["lr"]}
    if "betas" in group:
        found["mom"], found["sqr_mom"] = group["betas"]
    elif "momentum" in group:
        found["mom"] = group["momentum"]
    if "alpha" in group:
        found["sqr_mom"] = group["alpha"]
    if "weight_decay" in group:
        found["wd"] = group["weight_decay"]
    if "eps" in group:
        found["eps"] = group["eps"]
    return {name: float(value) for name, value in found.items() if isinstance(value, (int, float))}


def _write(group: dict[str, Any], name: str, value: float) -> None:
    if name == "mom" and "betas" in group:
        group["betas"] = (value, group["betas"][1])
    elif name == "sqr_mom" and "betas" in group:
        group["betas"] = (group["betas"][0], value)
    else:
        key = {"mom": "momentum", "sqr_mom": "alpha", "wd": "weight_decay"}.get(name, name)
        if key in group:
            group[key] = value


def _refuse_overlap(groups: Sequence[Sequence[nn.Parameter]]) -> None:
    seen: set[int] = set()
    for group in groups:
        for parameter in group:
            if id(parameter) in seen:
                raise ModelError(
                    f"A parameter of shape {tuple(parameter.shape)} is in two parameter groups, or twice in one. "
                    "Expected a splitter that gives each parameter once."
                )
            seen.add(id(parameter))
