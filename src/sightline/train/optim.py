"""Optimizer: one torch optimizer with hyper-parameters by depth, and parameters that decay or do not.

The network's parameters come in groups ordered by depth (lowest first). Each group has its own hyper-parameters, under the
names of the field: `lr`, `mom`, `sqr_mom`, `eps`, `wd`. Biases and normalisation parameters share their group's rates but
not its weight decay. Adam, which every learner has unless told otherwise, is here; the others are in `optimizers.py` and
`lookahead.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import torch
from torch import nn

from sightline.errors import OptionError, counted, did_you_mean, listed
from sightline.model.freeze import freeze_to
from sightline.train.parameters import parameter_lists, refuse_overlap, torch_groups
from sightline.train.schedule import Rates, spread

OptimizerFunction: TypeAlias = "Callable[..., torch.optim.Optimizer | Optimizer]"
"""`(parameter groups, lr=) -> optimizer`: one of the library's own, a class of `torch.optim`, or a function of yours."""

pytorch_hp_map: Mapping[str, str] = {
    "momentum": "mom", "weight_decay": "wd", "alpha": "sqr_mom", "betas__0": "mom", "betas__1": "sqr_mom",
}  # fmt: skip
"""The field's names of torch's hyper-parameters; `betas__1` is the second of `betas`."""

_FUSING_DEVICES = frozenset({"cpu", "cuda", "mps", "xpu"})
_OURS = frozenset({"params", "depth", "decays", "param_names"})


class Optimizer:
    """A torch optimizer, seen as parameter groups ordered by depth. `print` it for a table of the groups.

    Attributes:
        param_lists: The parameters of every group, lowest group first.
        hypers: The hyper-parameters of every group, as dictionaries. `set_hyper` changes and checks them; what is written into
            them directly counts from the next step on.
        inner: The torch optimizer that makes the steps; also `opt`.
        frozen_idx: Groups below this number do not train.
        fused: Whether the whole step is one kernel; see `fuse`.
        always_train: Parameters that train in frozen groups too.
    """

    def __init__(
        self,
        groups: Iterable[Any],
        opt_func: OptimizerFunction,
        *,
        lr: Rates,
        no_decay: Iterable[nn.Parameter] = (),
        always_train: Iterable[nn.Parameter] = (),
    ) -> None:
        """Build the optimizer.

        Args:
            groups: Parameters by depth, every parameter in one group; see `parameter_lists` for how they may be given.
            opt_func: `(torch parameter groups, lr=) -> optimizer`, such as `Adam` or a class of `torch.optim`.
            lr: Rates; see `sightline.train.schedule.spread`.
            no_decay: Parameters without weight decay.
            always_train: Parameters that train in frozen groups too.

        Raises:
            ModelError: There is no parameter at all, or one is there twice.
        """
        lists = parameter_lists(groups)
        if not callable(opt_func):
            raise OptionError(f"opt_func={opt_func!r} cannot be called. Expected such as Adam or torch.optim.SGD.")
        refuse_overlap(lists)
        exempt = {id(parameter) for parameter in no_decay}
        parts = [
            {"params": part, "depth": depth, "decays": decays}
            for depth, group in enumerate(lists)
            for decays in (True, False)
            if (part := [p for p in group if (id(p) not in exempt) == decays])
        ]
        rates = spread(lr, len(lists))
        made = opt_func(parts, lr=rates[-1])
        inner, names = (made.inner, made.names) if isinstance(made, Optimizer) else (made, {})
        self._adopt(inner, names, lists if _holds(inner, parts) else None)
        self.always_train = list(always_train)
        if len(self.param_lists) == len(rates):
            self.set_hyper("lr", rates)
        self.set_hyper("wd", [hyper.get("wd", 0.0) for hyper in self.hypers])

    @classmethod
    def over(cls, inner: torch.optim.Optimizer, names: Mapping[str, str | None] | None = None) -> Optimizer:
        """The view of a torch optimizer that is there already.

        Args:
            inner: The torch optimizer; its parameter groups are the groups.
            names: Names of its hyper-parameters where they are not those of `pytorch_hp_map`; None for what is no
                hyper-parameter to anyone outside, and stays as it is.
        """
        made = cls.__new__(cls)
        made._adopt(inner, names or {}, None)
        made.always_train = []
        return made

    def _adopt(
        self, inner: torch.optim.Optimizer, names: Mapping[str, str | None], lists: list[list[nn.Parameter]] | None
    ) -> None:
        self.inner = inner
        self.names: dict[str, str | None] = {**pytorch_hp_map, **names}
        for depth, group in enumerate(inner.param_groups):
            group.setdefault("depth", depth)
            group.setdefault("decays", True)
        if lists is None:
            # An optimizer that made its own groups: they are the groups.
            depths = range(1 + max(group["depth"] for group in inner.param_groups))
            lists = [[p for g in inner.param_groups if g["depth"] == depth for p in g["params"]] for depth in depths]
        self.param_lists = lists
        self.frozen_idx = 0
        self.fused = False
        self._chosen = any(inner.defaults.get(name) for name in ("fused", "foreach", "capturable", "differentiable"))
        first = self._read(inner.param_groups[0])
        self.hypers: list[dict[str, float]] = [first | self._of_depth(depth) for depth in range(len(lists))]
        self._written = [dict(hyper) for hyper in self.hypers]

    # ---------------------------------------------------------------- hyper-parameters

    def set_hyper(self, name: str, value: Rates) -> None:
        """Set one hyper-parameter of every group; see `sightline.train.schedule.spread` for `value`.

        Raises:
            OptionError: This optimizer has no hyper-parameter of that name, or the value is outside what it may be.
        """
        known = self.hypers[0]
        values = spread(value, len(self.hypers))
        if name in {"lr", "wd"} and not all(0 <= one < math.inf for one in values):
            raise OptionError(f"{name}={value!r} is negative or not finite. Expected 0 or more.")
        # Optimizers without momentum or decay run under every schedule.
        if name not in known and name not in {"wd", "mom"}:
            raise OptionError(
                f"The optimizer has no hyper-parameter {name!r}, only {listed(list(known))}. {did_you_mean(name, known)}"
            )
        for hyper, one in zip(self.hypers, values, strict=True):
            hyper[name] = one
        self._write([name])

    def set_hypers(self, **values: Rates) -> None:
        """Set several hyper-parameters."""
        for name, value in values.items():
            self.set_hyper(name, value)

    def _write(self, names: Iterable[str]) -> None:
        """Hand hyper-parameters on to the torch optimizer."""
        for name in names:
            for group in self.inner.param_groups:
                value = self.hypers[group["depth"]].get(name)
                if value is not None:
                    self._write_one(group, name, value)
            for hyper, written in zip(self.hypers, self._written, strict=True):
                written.update({name: hyper[name]} if name in hyper else {})

    def _write_one(self, group: dict[str, Any], name: str, value: float) -> None:
        for key in (key for key, own in _flat(group).items() if self.names.get(key, key) == name):
            place, _, index = key.partition("__")
            # Optimizers that hold `wd` under that name mind the exemption themselves.
            one = 0.0 if place == "weight_decay" and not group["decays"] else value
            group[place] = tuple(one if i == int(index) else v for i, v in enumerate(group[place])) if index else one

    def _read(self, group: dict[str, Any]) -> dict[str, float]:
        named = ((self.names.get(key, key), value) for key, value in _flat(group).items())
        return {name: float(value) for name, value in named if name is not None}

    def _of_depth(self, depth: int) -> dict[str, float]:
        """The hyper-parameters of a depth, as its decaying part has them; empty where no parameter is there."""
        groups = [group for group in self.inner.param_groups if group["depth"] == depth]
        return self._read(min(groups, key=lambda group: not group["decays"])) if groups else {}

    # ---------------------------------------------------------------- what trains

    def freeze_to(self, n: int) -> None:
        """Let the groups from `n` on train, and freeze those below except `always_train`; negative `n` counts from the end.

        Raises:
            OptionError: There is no such group.
        """
        count = len(self.param_lists)
        if not isinstance(n, int) or not -count <= n < count:
            raise OptionError(
                f"freeze_to({n!r}): the network has {counted(count, 'parameter group')}. "
                f"Expected a whole number from {-count} to {count - 1}."
            )
        self.frozen_idx = freeze_to(self.param_lists, n, always_train=self.always_train)

    def freeze(self) -> None:
        """Let the last group train alone."""
        self.freeze_to(-1)

    def unfreeze(self) -> None:
        """Let everything train."""
        self.freeze_to(0)

    # ---------------------------------------------------------------- steps and state

    def step(self, closure: Callable[[], float] | None = None) -> None:
        """Change every parameter that has a gradient."""
        changed = {n for now, old in zip(self.hypers, self._written, strict=True) for n in now if now[n] != old.get(n)}
        self._write(changed)
        self._align()
        self.inner.step() if closure is None else self.inner.step(closure)

    def fuse(self, fused: bool = True) -> None:
        """Make the whole step by one kernel from now on, or no longer; it rounds in another order.

        Nothing happens where the torch optimizer has no such kernel, or where its maker chose a way of stepping.
        """
        if not {"fused", "foreach"} <= set(self.inner.defaults) or self._chosen:
            return
        parameters = [parameter for group in self.inner.param_groups for parameter in group["params"]]
        self.fused = fused and all(p.is_floating_point() and p.device.type in _FUSING_DEVICES for p in parameters)
        for group in self.inner.param_groups:
            group["fused"] = self.fused or None
        for parameter, state in self.inner.state.items():
            if self.fused and isinstance(state.get("step"), torch.Tensor):
                state["step"] = state["step"].to(parameter.device)

    def _align(self) -> None:
        """Lay what is remembered of a parameter in memory as the parameter itself lies.

        A fused step goes through both in the order of memory and does not look: after a change of format, or a state that
        was read from a file, it would silently mix up elements.
        """
        if not self.fused:
            return
        for parameter, state in self.inner.state.items():
            for name, kept in state.items():
                same = isinstance(kept, torch.Tensor) and kept.shape == parameter.shape
                if same and kept.stride() != parameter.stride():
                    state[name] = torch.empty_like(parameter).copy_(kept)

    def zero_grad(self) -> None:
        """Forget all gradients."""
        self.inner.zero_grad(set_to_none=True)

    def clear_state(self) -> None:
        """Forget all running means, and slow weights."""
        self.inner.state.clear()

    def state_dict(self) -> dict[str, Any]:
        """The torch optimizer's state."""
        return self.inner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a state, hyper-parameters included."""
        self.inner.load_state_dict(state)
        # A file brings along how its own machine stepped.
        self.fuse(self.fused)
        for depth, hyper in enumerate(self.hypers):
            hyper.update(self._of_depth(depth))
        self._written = [dict(hyper) for hyper in self.hypers]

    # ---------------------------------------------------------------- seen from outside

    @property
    def opt(self) -> torch.optim.Optimizer:
        """The torch optimizer that makes the steps."""
        return self.inner

    @property
    def kind(self) -> str:
        """The class of the torch optimizer, and of the one that it wraps."""
        base = getattr(self.inner, "base", None)
        return type(self.inner).__name__ + (f"({type(base).__name__})" if base is not None else "")

    @property
    def state(self) -> Any:
        """What the torch optimizer remembers of every parameter."""
        return self.inner.state

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """Parameters and hyper-parameters of every group, to be read."""
        return [{"params": group, **hyper} for group, hyper in zip(self.param_lists, self.hypers, strict=True)]

    def all_params(
        self, n: slice | int = slice(None), with_grad: bool = False
    ) -> list[tuple[nn.Parameter, list[nn.Parameter], dict[str, Any], dict[str, float]]]:
        """(parameter, its group, its state, its hyper-parameters) of the groups `n`; of those with a gradient if wanted."""
        chosen = n if isinstance(n, slice) else slice(n, n + 1 or None)
        groups = list(zip(self.param_lists, self.hypers, strict=True))[chosen]
        state = self.inner.state
        # Looking must not create an entry: torch takes an entry for a started one.
        rows = [(p, group, state.get(p, {}), hyper) for group, hyper in groups for p in group]
        return [row for row in rows if not with_grad or row[0].grad is not None]

    def __str__(self) -> str:
        from sightline.train.groups import describe_groups

        return f"{self.kind}\n{describe_groups(self)}"

    __repr__ = __str__


def Adam(  # noqa: N802 - a name of the field, called as a constructor
    params: Iterable[Any],
    lr: Rates = 1e-3,
    mom: float = 0.9,
    sqr_mom: float = 0.99,
    eps: float = 1e-5,
    wd: float = 0.01,
    decouple_wd: bool = True,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019), over torch's.

    Args:
        params: Parameters, lists of them, or torch parameter groups.
        lr: Learning rate; see `sightline.train.schedule.spread` for one a group.
        mom: Decay of the mean of gradients (beta 1).
        sqr_mom: Decay of the mean of squared gradients (beta 2).
        eps: Added to the root of the mean of squares.
        wd: Weight decay.
        decouple_wd: Shrink weights by `lr * wd` before each step, rather than through the gradient.
    """
    kind = torch.optim.AdamW if decouple_wd else torch.optim.Adam
    return with_rates(kind(torch_groups(params), lr=1.0, betas=(mom, sqr_mom), eps=eps, weight_decay=wd), lr)


def OptimWrapper(  # noqa: N802 - a name of the field, called as a constructor
    params: Iterable[Any] | None = None,
    opt: Callable[..., torch.optim.Optimizer] | torch.optim.Optimizer | None = None,
    hp_map: Mapping[str, str] | None = None,
    convert_groups: bool = True,
    **kwargs: Any,
) -> Optimizer:
    """A torch optimizer as an `Optimizer`: `opt_func=partial(OptimWrapper, opt=torch.optim.AdamW)`.

    Args:
        params: Parameters, lists of them, or torch parameter groups; None where `opt` is built already.
        opt: Makes the torch optimizer, or is one.
        hp_map: The field's names of its hyper-parameters; None is `pytorch_hp_map`.
        convert_groups: Turn lists into torch parameter groups; False hands lists of parameters on as they are.
        kwargs: Further arguments of `opt`.

    Raises:
        OptionError: Neither or both of parameters and a built optimizer were given.
    """
    if isinstance(opt, torch.optim.Optimizer):
        if params is not None:
            raise OptionError("OptimWrapper was given params and a built optimizer. Expected one of them: pass opt= alone.")
        return Optimizer.over(opt, hp_map)
    if params is None or not callable(opt):
        raise OptionError(f"OptimWrapper(opt={opt!r}) expects params, and what makes the optimizer, such as torch.optim.SGD.")
    groups = torch_groups(params)
    given = groups if convert_groups else [group["params"] for group in groups]
    return Optimizer.over(opt(given, **kwargs), hp_map)


def with_rates(inner: torch.optim.Optimizer, lr: Rates, names: Mapping[str, str | None] | None = None) -> Optimizer:
    """The view of a torch optimizer, with rates by group."""
    opt = Optimizer.over(inner, names)
    opt.set_hyper("lr", lr)
    return opt


def _holds(inner: Any, parts: list[dict[str, Any]]) -> bool:
    """Whether an optimizer's groups are those that it was given.

    Raises:
        OptionError: It is no optimizer.
    """
    if not isinstance(inner, torch.optim.Optimizer):
        raise OptionError(f"opt_func gave {type(inner).__name__}. Expected an optimizer of torch.optim or of sightline.")
    had, has = ([[id(p) for p in group["params"]] for group in groups] for groups in (parts, inner.param_groups))
    return had == has


def _flat(group: dict[str, Any]) -> dict[str, float]:
    """The numbers of a torch parameter group, those of a pair under `name__0` and `name__1`."""
    flat: dict[str, float] = {}
    for key, value in group.items():
        if key in _OURS:
            continue
        parts = {f"{key}__{i}": one for i, one in enumerate(value)} if isinstance(value, tuple) else {key: value}
        flat.update({name: one for name, one in parts.items() if isinstance(one, (int, float)) and not isinstance(one, bool)})
    return flat
