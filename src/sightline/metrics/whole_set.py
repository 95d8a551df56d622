"""Figures that are computed once over all pictures: functions over whole tensors, those of scikit-learn among them."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any

import torch
from torch import Tensor

from sightline.errors import OptionError, name_of
from sightline.metrics.metric import Metric, MetricFunction, beside

Expectation = Callable[[str, Tensor, Tensor], None]
"""`(name, outputs, labels)`: raises OptionError where a metric does not fit them."""


class ActivationType(StrEnum):
    """What becomes of outputs before a figure is computed."""

    No = "no"
    Sigmoid = "sigmoid"
    Softmax = "softmax"
    BinarySoftmax = "binarysoftmax"
    """The softmax's second (last) column."""


class AccumMetric(Metric):
    """A function of the outputs and labels of a whole set.

    Called by hand, `metric(preds, targs)`, it takes what the function is about, decisions or probabilities, and returns the
    figure. Outputs with classes are then decided (the largest), probabilities as well (by the threshold); nothing is activated.
    """

    def __init__(
        self,
        func: MetricFunction,
        dim_argmax: int | None = None,
        activation: ActivationType | str = ActivationType.No,
        thresh: float | Tensor | list[float] | None = None,
        to_np: bool = False,
        invert_arg: bool = False,
        flatten: bool = True,
        name: str | None = None,
        *,
        expect: Expectation | None = None,
        **kwargs: Any,
    ) -> None:
        """Say what the function needs.

        Args:
            func: `(preds, targs, **kwargs) -> number`.
            dim_argmax: The dimension of classes, of which the largest is taken, or over which the softmax goes.
            activation: What becomes of outputs first.
            thresh: Decide by `>= thresh`; one number, or one a label.
            to_np: Give the function numpy arrays.
            invert_arg: Give the function `(targs, preds)`, as scikit-learn has them.
            flatten: Give the function one dimension.
            name: What the figure is called in tables; None is the name of `func`.
            expect: Raises where the metric does not fit outputs and labels.
            kwargs: More arguments of `func`.
        """
        self.func, self.dim_argmax, self.activation, self.thresh = func, dim_argmax, ActivationType(activation), thresh
        self.to_np, self.invert_args, self.flatten, self.kwargs = to_np, invert_arg, flatten, kwargs
        self._name, self._expect = name or name_of(func), expect
        self.reset()

    def reset(self) -> None:
        self.preds: list[Tensor] = []
        self.targs: list[Tensor] = []

    def accumulate(self, learn: Any) -> None:
        pred, targ = learn.pred.detach(), learn.y.detach()
        if self._expect is not None:
            self._expect(self.name, pred, targ)
        self.accum_values(self._above_threshold(self._activated(pred)), targ)

    def accum_values(self, preds: Tensor, targs: Tensor, learn: Any = None) -> None:
        """Take in what the function is about: decisions, probabilities or values, and labels.

        Raises:
            OptionError: One side has more numbers than the other, though the function compares them one by one.
        """
        preds, targs = beside(preds.detach(), targs), targs.detach()
        if self.flatten:
            if preds.numel() != targs.numel():
                raise OptionError(
                    f"{self.name} compares one by one, but got {tuple(preds.shape)} and {tuple(targs.shape)}. One label a "
                    "picture, several (such as F1ScoreMulti) and numbers (such as R2Score) have metrics of their own."
                )
            preds, targs = preds.flatten(), targs.flatten()
        self.preds.append(preds)
        self.targs.append(targs)

    def __call__(self, preds: Tensor, targs: Tensor) -> Any:
        """The figure of these decisions, probabilities or values; see the class.

        Raises:
            OptionError: Outputs are given where probabilities are expected.
        """
        preds, targs = torch.as_tensor(preds), torch.as_tensor(targs)
        if self.activation is not ActivationType.No and preds.is_floating_point() and _leaves_unit(preds):
            raise OptionError(
                f"{self.name} called by hand takes probabilities, but got {preds.min():.3g} to {preds.max():.3g}. "
                f"Expected 0 to 1: apply the {'sigmoid' if self.activation is ActivationType.Sigmoid else 'softmax'} first."
            )
        if preds.ndim > targs.ndim:
            preds = preds[..., -1] if self.activation is ActivationType.BinarySoftmax else self._largest(preds)
        self.reset()
        self.accum_values(self._above_threshold(preds), targs)
        return self.value

    @property
    def value(self) -> Any:
        if not self.preds:
            return None
        preds, targs = torch.cat(self.preds), torch.cat(self.targs)
        sides: tuple[Any, Any] = (_array(preds), _array(targs)) if self.to_np else (preds, targs)
        figure = self.func(*(reversed(sides) if self.invert_args else sides), **self.kwargs)
        return float(figure) if getattr(figure, "ndim", 1) == 0 else figure

    @property
    def name(self) -> str:
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = name

    def _activated(self, pred: Tensor) -> Tensor:
        if self.activation is ActivationType.No:
            return self._largest(pred)
        if self.activation is ActivationType.Sigmoid:
            return pred.sigmoid()
        probabilities = pred.softmax(dim=-1 if self.dim_argmax is None else self.dim_argmax)
        return probabilities if self.activation is ActivationType.Softmax else probabilities[:, -1]

    def _largest(self, pred: Tensor) -> Tensor:
        decides = self.dim_argmax is not None and self.activation is ActivationType.No
        return pred.argmax(dim=self.dim_argmax) if decides else pred

    def _above_threshold(self, pred: Tensor) -> Tensor:
        if self.thresh is None or not pred.is_floating_point():
            return pred
        return pred >= torch.as_tensor(self.thresh, device=pred.device)


class _Scored(AccumMetric):
    """A metric over scikit-learn, whose complaints are passed on in time and in full."""

    @property
    def value(self) -> Any:
        self._refuse_binary()
        try:
            return super().value
        except ValueError as error:
            # How many weights of pictures there should be is not known before the set is complete.
            if isinstance(error, OptionError) or self.kwargs.get("sample_weight") is not None:
                raise
            raise OptionError(
                f"{self.name} cannot be computed of these outputs and labels. scikit-learn says: {error}"
            ) from error

    def _refuse_binary(self) -> None:
        if self.kwargs.get("average") != "binary" or not self.preds:
            return
        classes = torch.cat([part.flatten() for part in (*self.preds, *self.targs)]).unique()
        if len(classes) > 2:
            raise OptionError(
                f"{self.name} has average='binary', which is for two classes, but there are {len(classes)}. Choose "
                "average='macro' (every class counts alike), 'weighted' (by its number of pictures) or 'micro' (every picture "
                "counts alike), such as F1Score(average='macro')."
            )


def skm_to_fastai(
    func: MetricFunction,
    is_class: bool = True,
    thresh: float | Tensor | list[float] | None = None,
    axis: int = -1,
    activation: ActivationType | str | None = None,
    **kwargs: Any,
) -> AccumMetric:
    """A metric from a function of `sklearn.metrics`.

    Args:
        func: `(y_true, y_pred, **kwargs) -> number`.
        is_class: It compares classes, so outputs are decided: the largest, or by `thresh` where that is given.
        thresh: Decide by `>= thresh`; one number, or one a label.
        axis: The dimension of classes.
        activation: What becomes of outputs first; None is the sigmoid where there is a threshold for classes, else nothing.
        kwargs: More arguments of `AccumMetric` and `func`.
    """
    if activation is None:
        activation = ActivationType.Sigmoid if is_class and thresh is not None else ActivationType.No
    dim_argmax = axis if is_class and thresh is None else None
    return _Scored(func, dim_argmax, activation, thresh, to_np=True, invert_arg=True, **kwargs)


def optim_metric(
    f: MetricFunction,
    argname: str,
    bounds: tuple[float, float],
    tol: float = 0.01,
    do_neg: bool = True,
    get_x: bool = False,
) -> MetricFunction:
    """The metric `f` at the value of one of its arguments that is best for each set of outputs and labels.

    Args:
        f: `(preds, targs, **{argname: value}) -> number`.
        argname: The argument, such as 'thresh'.
        bounds: Where its value is looked for.
        tol: How exactly.
        do_neg: The largest figure is the best; False: the smallest.
        get_x: Return (figure, value) and not the figure alone.

    Returns:
        `(preds, targs) -> figure`, called 'opt_' and the name of `f`.
    """
    from scipy.optimize import minimize_scalar

    def best(preds: Tensor, targs: Tensor) -> Any:
        sign = -1 if do_neg else 1
        found = minimize_scalar(
            lambda value: sign * float(f(preds, targs, **{argname: value})),
            bounds=bounds,
            method="bounded",
            options={"xatol": tol},
        )
        figure = sign * float(found.fun)
        return (figure, float(found.x)) if get_x else figure

    best.__name__ = f"opt_{name_of(f)}"
    return best


def _leaves_unit(preds: Tensor) -> bool:
    return bool((preds < 0).any() or (preds > 1).any())


def _array(values: Tensor) -> Any:
    return (values.float() if values.dtype in (torch.bfloat16, torch.float16) else values).cpu().numpy()
