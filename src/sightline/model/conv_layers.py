"""Convolutional blocks for networks of one's own, with fastai's parameters, order of layers and initial values."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.init import kaiming_uniform_, xavier_uniform_
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from sightline.model.initial import Init
from sightline.model.layers import AvgPool, BatchNorm, InstanceNorm, NormType, PoolFlatten, for_dimensions

Activation = Callable[[], nn.Module]

_BATCH = (NormType.Batch, NormType.BatchZero)
_INSTANCE = (NormType.Instance, NormType.InstanceZero)
_LIKE_RELU = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.SiLU, nn.Mish)


def init_linear(
    m: nn.Module, act_func: nn.Module | None = None, init: Init | str | None = "auto", bias_std: float | None = 0.01
) -> None:
    """Start a layer for the activation that follows it.

    Args:
        m: A convolution or a linear layer, changed in place.
        act_func: The activation. Behind those like ReLU weights are He's, behind sigmoid and tanh Glorot's, else torch's.
        init: A function that draws the weight, 'auto' for the above, or None for torch's own.
        bias_std: Standard deviation of the bias; 0 is a bias of zero, None leaves it.
    """
    weight, bias = getattr(m, "weight", None), getattr(m, "bias", None)
    if isinstance(bias, Tensor) and bias_std is not None:
        nn.init.normal_(bias, 0, bias_std) if bias_std else nn.init.zeros_(bias)
    if init == "auto":
        init = (
            kaiming_uniform_
            if isinstance(act_func, _LIKE_RELU)
            else xavier_uniform_
            if isinstance(act_func, nn.Sigmoid | nn.Tanh)
            else None
        )
    if callable(init) and isinstance(weight, Tensor):
        init(weight)


class ConvLayer(nn.Sequential):
    """A convolution, its norm and its activation.

    Shapes: (N, ni, H, W) to (N, nf, H', W') for two dimensions; unless `padding` is given, H' is H / stride, rounded up, for
    odd kernels.
    """

    def __init__(
        self,
        ni: int,
        nf: int,
        ks: int = 3,
        stride: int = 1,
        padding: int | None = None,
        bias: bool | None = None,
        ndim: int = 2,
        norm_type: NormType | None = NormType.Batch,
        bn_1st: bool = True,
        act_cls: Activation | None = nn.ReLU,
        transpose: bool = False,
        init: Init | str | None = "auto",
        xtra: nn.Module | None = None,
        bias_std: float | None = 0.01,
        **kwargs: Any,
    ) -> None:
        """Put the layers together.

        Args:
            ni: Channels that come in.
            nf: Channels that go out.
            ks: Size of the kernel.
            stride: Step of the kernel.
            padding: Margin; None is (ks - 1) // 2, and 0 for a transposed convolution.
            bias: Whether the convolution has one; None is: where no norm follows.
            ndim: 1, 2 or 3.
            norm_type: Which norm, or None. Weight and Spectral change the convolution itself, as torch's parametrizations.
            bn_1st: The norm before the activation.
            act_cls: Makes the activation; None for none.
            transpose: A transposed convolution.
            init: See `init_linear`.
            xtra: One more layer at the end.
            bias_std: See `init_linear`.
            kwargs: Further options of the convolution, such as `groups`.

        Raises:
            OptionError: `ndim` is not 1, 2 or 3.
        """
        if padding is None:
            padding = 0 if transpose else (ks - 1) // 2
        if bias is None:
            bias = norm_type not in (*_BATCH, *_INSTANCE)
        make = for_dimensions("ConvTranspose" if transpose else "Conv", ndim)
        conv = make(ni, nf, kernel_size=ks, bias=bias, stride=stride, padding=padding, **kwargs)
        act = None if act_cls is None else act_cls()
        init_linear(conv, act, init, bias_std)
        if norm_type in (NormType.Weight, NormType.Spectral):
            conv = (weight_norm if norm_type is NormType.Weight else spectral_norm)(conv)
        behind = [] if act is None else [act]
        if norm_type in _BATCH:
            behind.append(BatchNorm(nf, ndim, norm_type))
        elif norm_type in _INSTANCE:
            behind.append(InstanceNorm(nf, ndim, norm_type))
        super().__init__(conv, *(reversed(behind) if bn_1st else behind), *([] if xtra is None else [xtra]))


class SequentialEx(nn.Module):
    """Layers one after the other, each of which finds what went into the first one as `orig` of what it is given."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, x: Any) -> Any:
        """What the last layer gives."""
        result = x
        for layer in self.layers:
            result.orig = x
            following = layer(result)
            # A tensor that knows its own origin would never be freed.
            result.orig = following.orig = None
            result = following
        return result

    def __getitem__(self, i: int) -> nn.Module:
        return self.layers[i]

    def append(self, layer: nn.Module) -> None:
        """Add a layer at the end."""
        self.layers.append(layer)

    def extend(self, layers: Iterable[nn.Module]) -> None:
        """Add layers at the end."""
        self.layers.extend(layers)

    def insert(self, i: int, layer: nn.Module) -> None:
        """Add a layer before the one at `i`."""
        self.layers.insert(i, layer)


class MergeLayer(nn.Module):
    """The shortcut of a `SequentialEx`: adds what went into it, or puts it beside as further channels where `dense`."""

    def __init__(self, dense: bool = False) -> None:
        super().__init__()
        self.dense = dense

    def forward(self, x: Any) -> Tensor:
        """(N, C, ...) to the same, or to (N, C + C of the first, ...)."""
        merged: Tensor = torch.cat([x, x.orig], dim=1) if self.dense else x + x.orig
        return merged


class ProdLayer(nn.Module):
    """The gate of a `SequentialEx`: multiplies by what went into it."""

    def forward(self, x: Any) -> Tensor:
        """Elementwise, broadcast."""
        product: Tensor = x * x.orig
        return product


class Cat(nn.ModuleList):
    """What several layers give for the same input, side by side."""

    def __init__(self, layers: Iterable[nn.Module], dim: int = 1) -> None:
        super().__init__(layers)
        self.dim = dim

    def forward(self, x: Any) -> Tensor:
        """Joined along `dim`."""
        return torch.cat([layer(x) for layer in self], dim=self.dim)


class SimpleCNN(nn.Sequential):
    """Convolutions with strides, and the average of each feature map: (N, filters[0], H, W) to (N, filters[-1])."""

    def __init__(
        self,
        filters: Sequence[int],
        kernel_szs: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
        bn: bool = True,
    ) -> None:
        """Put the layers together.

        Args:
            filters: Channels: those of the pictures, then those of each convolution.
            kernel_szs: Size of each kernel; None is 3 for all.
            strides: Step of each kernel; None is 2 for all.
            bn: A BatchNorm behind each but the last.
        """
        count = len(filters) - 1
        sizes, steps = kernel_szs or [3] * count, strides or [2] * count
        norms = [NormType.Batch if bn and i < count - 1 else None for i in range(count)]
        layers = [ConvLayer(filters[i], filters[i + 1], sizes[i], stride=steps[i], norm_type=norms[i]) for i in range(count)]
        super().__init__(*layers, PoolFlatten())


def SEModule(ch: int, reduction: int, act_cls: Activation = nn.ReLU) -> SequentialEx:  # noqa: N802 - a layer to its users
    """Squeeze and excitation: each of `ch` channels times a number from 0 to 1 that is made of the averages of all."""
    nf = math.ceil(ch // reduction / 8) * 8
    return SequentialEx(
        nn.AdaptiveAvgPool2d(1),
        ConvLayer(ch, nf, ks=1, norm_type=None, act_cls=act_cls),
        ConvLayer(nf, ch, ks=1, norm_type=None, act_cls=nn.Sigmoid),
        ProdLayer(),
    )


class ResBlock(nn.Module):
    """A residual block, which starts as its shortcut: the last norm of its convolutions begins with weights of zero.

    Shapes: (N, ni * expansion, H, W) to (N, nf * expansion, H / stride, W / stride), rounded up.
    """

    def __init__(
        self,
        expansion: int,
        ni: int,
        nf: int,
        stride: int = 1,
        groups: int = 1,
        reduction: int | None = None,
        nh1: int | None = None,
        nh2: int | None = None,
        dw: bool = False,
        g2: int = 1,
        *,
        norm_type: NormType | None = NormType.Batch,
        act_cls: Activation = nn.ReLU,
        ndim: int = 2,
        ks: int = 3,
        pool: Callable[..., nn.Module] = AvgPool,
        pool_first: bool = True,
        **kwargs: Any,
    ) -> None:
        """Put the layers together.

        Args:
            expansion: 1 for two convolutions; more for three, with that many times `nf` channels on either side.
            ni: Channels that come in, over `expansion`.
            nf: Channels that go out, over `expansion`.
            stride: Step of the middle convolution; the shortcut is pooled by it.
            groups: Groups of that convolution.
            reduction: Squeeze and excitation by that much; None for none.
            nh1: Channels within, before it; None is `nh2`.
            nh2: Channels within, behind it; None is `nf`.
            dw: One group a channel.
            g2: Groups of the last convolution.
            norm_type: Norm of all convolutions.
            act_cls: Makes the activations.
            ndim: 1, 2 or 3.
            ks: Size of the middle kernel.
            pool: Makes the pooling of the shortcut.
            pool_first: Pool before the shortcut's convolution.
            kwargs: Further options of every `ConvLayer`.
        """
        super().__init__()
        last = {NormType.Batch: NormType.BatchZero, NormType.Instance: NormType.InstanceZero}
        nh2 = nf if nh2 is None else nh2
        nh1 = nh2 if nh1 is None else nh1
        nf, ni = nf * expansion, ni * expansion
        inner: dict[str, Any] = {"norm_type": norm_type, "act_cls": act_cls, "ndim": ndim, **kwargs}
        outer = {**inner, "norm_type": last.get(norm_type, norm_type) if norm_type else None, "act_cls": None}
        if expansion == 1:
            path: list[nn.Module] = [
                ConvLayer(ni, nh2, ks, stride=stride, groups=ni if dw else groups, **inner),
                ConvLayer(nh2, nf, ks, groups=g2, **outer),
            ]
        else:
            path = [
                ConvLayer(ni, nh1, 1, **inner),
                ConvLayer(nh1, nh2, ks, stride=stride, groups=nh1 if dw else groups, **inner),
                ConvLayer(nh2, nf, 1, groups=g2, **outer),
            ]
        self.convpath = nn.Sequential(*path, *([SEModule(nf, reduction, act_cls)] if reduction else []))
        pooled: list[nn.Module] = [pool(stride, ndim=ndim, ceil_mode=True)] if stride != 1 else []
        widened: list[nn.Module] = [ConvLayer(ni, nf, 1, act_cls=None, ndim=ndim, **kwargs)] if ni != nf else []
        self.idpath = nn.Sequential(*(pooled + widened if pool_first else widened + pooled))
        self.act = nn.ReLU(inplace=True) if act_cls is nn.ReLU else act_cls()

    def forward(self, x: Tensor) -> Tensor:
        """The activation of convolutions plus shortcut."""
        result: Tensor = self.act(self.convpath(x) + self.idpath(x))
        return result
