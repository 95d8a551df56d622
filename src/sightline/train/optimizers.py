"""The optimizers by name beside Adam, with the field's arguments and numbers: SGD, RMSProp, RAdam, QHAdam, Larc, Lamb.

Each is called with parameters (or lists of them, or torch parameter groups) and gives an `Optimizer`, and each serves as
`opt_func=` of a learner. Where torch has the same rule it makes the steps; the others are in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sightline.train.optim import Optimizer, with_rates
from sightline.train.parameters import torch_groups
from sightline.train.rules import DecoupledSGD, LambRule, LarcRule, QHAdamRule, RAdamRule, RMSPropRule, Rule
from sightline.train.schedule import Rates


def SGD(  # noqa: N802 - names of the field, called as constructors, here and below
    params: Iterable[Any], lr: Rates, mom: float = 0.0, wd: float = 0.0, decouple_wd: bool = True
) -> Optimizer:
    """Stochastic gradient descent, over torch's.

    Args:
        params: Parameters, lists of them, or torch parameter groups.
        lr: Learning rate; see `sightline.train.schedule.spread` for one a group.
        mom: Momentum; with 0 there is none, whatever a schedule says.
        wd: Weight decay.
        decouple_wd: Shrink weights by `lr * wd` before each step, rather than through the gradient.
    """
    inner = DecoupledSGD(torch_groups(params), lr=1.0, mom=mom, wd=wd, decouple_wd=decouple_wd)
    # What the rule holds under the field's names is set there; torch's own stays 0.
    held = (["weight_decay"] if decouple_wd else []) + (["momentum"] if mom == 0 else [])
    return with_rates(inner, lr, dict.fromkeys(["dampening", *held]))


def RMSProp(  # noqa: N802
    params: Iterable[Any],
    lr: Rates,
    mom: float = 0.0,
    sqr_mom: float = 0.99,
    eps: float = 1e-8,
    wd: float = 0.0,
    decouple_wd: bool = True,
) -> Optimizer:
    """Gradients (or, with `mom`, their decayed sum) over the root of their mean square (Tieleman and Hinton, 2012).

    Args:
        params: As in `SGD`.
        lr: As in `SGD`.
        mom: Momentum; with 0 there is none, whatever a schedule says.
        sqr_mom: Decay of the mean of squared gradients.
        eps: Added to the root.
        wd: As in `SGD`.
        decouple_wd: As in `SGD`.
    """
    return _ruled(RMSPropRule, params, lr, decouple_wd=decouple_wd, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)


def RAdam(  # noqa: N802
    params: Iterable[Any],
    lr: Rates,
    mom: float = 0.9,
    sqr_mom: float = 0.99,
    eps: float = 1e-5,
    wd: float = 0.0,
    beta: float = 0.0,
    decouple_wd: bool = True,
) -> Optimizer:
    """Rectified Adam (Liu et al., 2020).

    Args:
        params: As in `SGD`.
        lr: As in `SGD`.
        mom: As in `Adam`.
        sqr_mom: As in `Adam`.
        eps: As in `Adam`.
        wd: As in `SGD`.
        beta: Above 0: the denominator goes through a softplus with this slope (SAdam).
        decouple_wd: As in `SGD`.
    """
    return _ruled(RAdamRule, params, lr, decouple_wd=decouple_wd, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd, beta=beta)


def QHAdam(  # noqa: N802
    params: Iterable[Any],
    lr: Rates,
    mom: float = 0.999,
    sqr_mom: float = 0.999,
    nu_1: float = 0.7,
    nu_2: float = 1.0,
    eps: float = 1e-8,
    wd: float = 0.0,
    decouple_wd: bool = True,
) -> Optimizer:
    """Quasi-hyperbolic Adam (Ma and Yarats, 2019).

    Args:
        params: As in `SGD`.
        lr: As in `SGD`.
        mom: As in `Adam`.
        sqr_mom: As in `Adam`.
        nu_1: Share of the mean gradient in what is followed; the rest is the gradient itself.
        nu_2: The same of its square.
        eps: As in `Adam`.
        wd: As in `SGD`.
        decouple_wd: As in `SGD`.
    """
    hypers = {"mom": mom, "sqr_mom": sqr_mom, "nu_1": nu_1, "nu_2": nu_2, "eps": eps, "wd": wd}
    return _ruled(QHAdamRule, params, lr, decouple_wd=decouple_wd, **hypers)


def Larc(  # noqa: N802
    params: Iterable[Any],
    lr: Rates,
    mom: float = 0.9,
    clip: bool = True,
    trust_coeff: float = 0.02,
    eps: float = 1e-8,
    wd: float = 0.0,
    decouple_wd: bool = True,
) -> Optimizer:
    """Rates by layer from the ratio of its norm to its gradient's (You et al., 2017).

    Args:
        params: As in `SGD`.
        lr: As in `SGD`.
        mom: Momentum; with 0 there is none, whatever a schedule says.
        clip: No layer goes beyond `lr` (LARC); False is LARS.
        trust_coeff: Scales the ratio.
        eps: Added to the denominator of the ratio.
        wd: As in `SGD`.
        decouple_wd: As in `SGD`.
    """
    hypers = {"mom": mom, "trust_coeff": trust_coeff, "eps": eps, "wd": wd}
    return with_rates(LarcRule(torch_groups(params), clip=clip, decouple_wd=decouple_wd, lr=1.0, **hypers), lr)


def Lamb(  # noqa: N802
    params: Iterable[Any],
    lr: Rates,
    mom: float = 0.9,
    sqr_mom: float = 0.99,
    eps: float = 1e-5,
    wd: float = 0.0,
    decouple_wd: bool = True,
) -> Optimizer:
    """Adam's step scaled by layer (You et al., 2020).

    Args:
        params: As in `SGD`.
        lr: As in `SGD`.
        mom: As in `Adam`.
        sqr_mom: As in `Adam`.
        eps: As in `Adam`.
        wd: As in `SGD`.
        decouple_wd: As in `SGD`.
    """
    return _ruled(LambRule, params, lr, decouple_wd=decouple_wd, mom=mom, sqr_mom=sqr_mom, eps=eps, wd=wd)


def _ruled(rule: type[Rule], params: Iterable[Any], lr: Rates, *, decouple_wd: bool, **hypers: float) -> Optimizer:
    return with_rates(rule(torch_groups(params), decouple_wd=decouple_wd, lr=1.0, **hypers), lr)
