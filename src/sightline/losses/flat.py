"""Losses that flatten outputs and labels first, under the field's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from sightline.errors import OptionError
from sightline.losses.classes import FocalLoss, LabelSmoothingCrossEntropy


class BaseLoss(nn.Module):
    """A loss of PyTorch whose outputs and labels are flattened first.

    Attributes:
        func: The loss itself.
        axis: The dimension of the classes in outputs and labels; it is made the last one.
        flatten: Whether outputs become `(M, K)`, or `(M,)` unless `is_2d`, and labels `(M,)`.
        floatify: Whether labels become float32.
        is_2d: Whether flattened outputs keep their last dimension.
    """

    def __init__(
        self,
        loss_cls: Callable[..., Any],
        *args: Any,
        axis: int = -1,
        flatten: bool = True,
        floatify: bool = False,
        is_2d: bool = True,
        **kwargs: Any,
    ) -> None:
        """Make `loss_cls(*args, **kwargs)`; the other arguments are the attributes."""
        super().__init__()
        self.axis, self.flatten, self.floatify, self.is_2d = axis, flatten, floatify, is_2d
        self.func = loss_cls(*args, **kwargs)

    @property
    def reduction(self) -> str:
        """How single losses become one: 'mean', 'sum' or 'none'; may be set."""
        return str(self.func.reduction)

    @reduction.setter
    def reduction(self, reduction: str) -> None:
        self.func.reduction = reduction

    def forward(self, inp: Tensor, targ: Tensor, **kwargs: Any) -> Tensor:
        """The loss of outputs `(N, ..., K)` and encoded labels: no dimensions, or as many as `reduction` leaves."""
        inp, targ = self._classes_last(inp), self._classes_last(targ)
        if self.floatify and targ.dtype != torch.float16:
            targ = targ.float()
        if targ.dtype in (torch.int8, torch.int16, torch.int32):
            targ = targ.long()
        if self.flatten:
            inp = inp.view(-1, inp.shape[-1]) if self.is_2d else inp.view(-1)
            targ = targ.view(-1)
        return self.func(inp, targ, **kwargs)  # type: ignore[no-any-return]

    def _classes_last(self, x: Tensor) -> Tensor:
        return x.transpose(self.axis, -1).contiguous() if -x.ndim <= self.axis < x.ndim else x.contiguous()

    def activation(self, x: Tensor) -> Tensor:
        """Probabilities or values from the outputs `x`: here `x` itself."""
        return x

    def decodes(self, x: Tensor) -> Tensor:
        """Decisions from what `activation` returned: here `x` itself."""
        return x


class _ClassLoss(BaseLoss):
    """A loss whose outputs are the logits of classes that exclude one another."""

    def activation(self, x: Tensor) -> Tensor:
        """Probabilities: the softmax over `axis`."""
        return x.softmax(dim=self.axis)

    def decodes(self, x: Tensor) -> Tensor:
        """The number of the largest."""
        return x.argmax(dim=self.axis)


class CrossEntropyLossFlat(_ClassLoss):
    """Cross-entropy of logits `(N, K)` and classes `(N,)`; `weight`, `ignore_index`, `label_smoothing` as in PyTorch.

    With weights, the mean is the weighted one: divided by the sum of the weights of the classes that occur.
    """

    def __init__(self, *args: Any, axis: int = -1, **kwargs: Any) -> None:
        """Take what `nn.CrossEntropyLoss` and `BaseLoss` take."""
        super().__init__(nn.CrossEntropyLoss, *args, axis=axis, **kwargs)


class FocalLossFlat(_ClassLoss):
    """Focal loss of logits `(N, K)` and classes `(N,)`; see `FocalLoss`."""

    def __init__(self, *, gamma: float = 2.0, axis: int = -1, **kwargs: Any) -> None:
        """Take what `FocalLoss` and `BaseLoss` take."""
        super().__init__(FocalLoss, gamma=gamma, axis=axis, **kwargs)


class LabelSmoothingCrossEntropyFlat(_ClassLoss):
    """Cross-entropy with smoothed labels, of logits `(N, K)` and classes `(N,)`; see `LabelSmoothingCrossEntropy`."""

    def __init__(self, *args: Any, axis: int = -1, **kwargs: Any) -> None:
        """Take what `LabelSmoothingCrossEntropy` and `BaseLoss` take."""
        super().__init__(LabelSmoothingCrossEntropy, *args, axis=axis, **kwargs)


class BCEWithLogitsLossFlat(BaseLoss):
    """Binary cross-entropy of logits `(N, K)` and labels `(N, K)` of 0 and 1.

    Attributes:
        thresh: A label is decided for when its probability is above this; one number, or one a label.
    """

    def __init__(
        self, *args: Any, axis: int = -1, floatify: bool = True, thresh: float | Tensor | list[float] = 0.5, **kwargs: Any
    ) -> None:
        """Take what `nn.BCEWithLogitsLoss` and `BaseLoss` take; with weights by label nothing is flattened.

        Raises:
            OptionError: `flatten=True` is asked for together with `pos_weight`.
        """
        if kwargs.get("pos_weight") is not None and kwargs.get("flatten"):
            raise OptionError(
                "flatten=True with pos_weight: there is one weight a label, so labels must stay apart. Leave it out."
            )
        if kwargs.get("pos_weight") is not None or _by_label(args[0] if args else kwargs.get("weight")):
            kwargs.setdefault("flatten", False)
        super().__init__(nn.BCEWithLogitsLoss, *args, axis=axis, floatify=floatify, **{"is_2d": False, **kwargs})
        self.thresh = thresh

    def activation(self, x: Tensor) -> Tensor:
        """Probabilities: the sigmoid."""
        return x.sigmoid()

    def decodes(self, x: Tensor) -> Tensor:
        """Whether each probability is above the threshold."""
        return x > torch.as_tensor(self.thresh, dtype=x.dtype, device=x.device)


class _NumberLoss(BaseLoss):
    """A loss of as many outputs as labels."""

    loss_cls: ClassVar[type[nn.Module]]

    def __init__(self, *args: Any, axis: int = -1, floatify: bool = True, **kwargs: Any) -> None:
        """Take what the loss of PyTorch and `BaseLoss` take."""
        super().__init__(self.loss_cls, *args, axis=axis, floatify=floatify, **{"is_2d": False, **kwargs})


class BCELossFlat(_NumberLoss):
    """Binary cross-entropy of probabilities and labels of 0 and 1, of one shape: for networks that end in a sigmoid."""

    loss_cls = nn.BCELoss

    def activation(self, x: Tensor) -> Tensor:
        """Probabilities, which `x` already is."""
        return x


class MSELossFlat(_NumberLoss):
    """Squared error of outputs and labels that hold equally many numbers."""

    loss_cls = nn.MSELoss


class L1LossFlat(_NumberLoss):
    """Absolute error of outputs and labels that hold equally many numbers."""

    loss_cls = nn.L1Loss


def _by_label(weight: Any) -> bool:
    return isinstance(weight, Tensor) and weight.numel() > 1
