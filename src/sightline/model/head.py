"""The head: layers that turn the features of a body into the outputs, with fastai's options, order and shapes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from torch import nn

from sightline.errors import BundleError, OptionError
from sightline.model.layers import AdaptiveConcatPool2d, BatchNorm, SigmoidRange
from sightline.stored import FLAG, NUMBER, Kind, check_fields, either, list_of, or_null, whole

DEFAULT_HIDDEN = (512,)
"""Hidden sizes when `lin_ftrs` is not given."""

FINAL_NORM_MOMENTUM = 0.01
"""Momentum of the BatchNorm on the outputs, `bn_final=True` (fastai)."""

LARGEST_LAYER = 1_000_000
"""More units than any head needs; a stored description that asks for more is refused."""

_MOST_LAYERS = 64
_STORED: Mapping[str, Kind] = {
    "lin_ftrs": or_null(list_of(whole(1, LARGEST_LAYER), 0, _MOST_LAYERS)),
    "ps": either(NUMBER, list_of(NUMBER, 1, _MOST_LAYERS + 1)),
    **dict.fromkeys(("concat_pool", "pool", "first_bn", "bn_final", "lin_first"), FLAG),
    "y_range": or_null(list_of(NUMBER, 2, 2)),
}
"""What a file may hold under each name."""


@dataclass(frozen=True)
class HeadOptions:
    """Everything that shapes a head, as a value that can be stored.

    Attributes:
        lin_ftrs: Sizes of the hidden layers; None is (512,), empty is a single linear layer.
        ps: Dropout: a number p gives p before the last linear layer and p/2 before every earlier one; a sequence gives one
            value for each linear layer.
        concat_pool: Pool by maximum and average side by side; False pools by average alone.
        pool: Pool feature maps to one vector a picture. False where the body gives vectors already.
        first_bn: A BatchNorm in the first block.
        bn_final: A BatchNorm on the outputs.
        lin_first: Blocks of linear, activation, norm, dropout, instead of norm, dropout, linear, activation.
        y_range: (low, high) between which a stretched sigmoid keeps the outputs; None for no bounds.

    Raises:
        OptionError: A value is outside what it may be, or `ps` has not one value for each linear layer.
    """

    lin_ftrs: tuple[int, ...] | None = None
    ps: float | tuple[float, ...] = 0.5
    concat_pool: bool = True
    pool: bool = True
    first_bn: bool = True
    bn_final: bool = False
    lin_first: bool = False
    y_range: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        for name in ("concat_pool", "pool", "first_bn", "bn_final", "lin_first"):
            if not isinstance(getattr(self, name), bool):
                raise OptionError(f"{name}={getattr(self, name)!r} is not True or False.")
        _check_hidden(self.lin_ftrs)
        _check_range(self.y_range)
        self.dropouts()

    @classmethod
    def of(cls, **options: Any) -> HeadOptions:
        """Options as a user writes them: lists as well as tuples, whole numbers as well as fractions, numbers of NumPy too."""
        sequences = ("lin_ftrs", "ps", "y_range")
        return cls(**{name: _as_tuple(name, value) if name in sequences else value for name, value in options.items()})

    @property
    def hidden(self) -> tuple[int, ...]:
        """Sizes of the hidden layers, the default filled in."""
        return DEFAULT_HIDDEN if self.lin_ftrs is None else self.lin_ftrs

    def dropouts(self) -> tuple[float, ...]:
        """One dropout probability for each linear layer, in order.

        Raises:
            OptionError: Not numbers from 0 up to but without 1, or not one for each linear layer.
        """
        given = self.ps if isinstance(self.ps, tuple) else (self.ps,)
        for p in given:
            if isinstance(p, bool) or not isinstance(p, int | float) or not 0 <= p < 1:
                raise OptionError(f"ps={self.ps!r}: a dropout probability is a number from 0 up to, but without, 1.")
        n_linear = len(self.hidden) + 1
        if len(given) == 1:
            return (given[0] / 2,) * (n_linear - 1) + given
        if len(given) != n_linear:
            raise OptionError(
                f"ps has {len(given)} values, but a head with lin_ftrs={list(self.hidden)} has {n_linear} linear layers. "
                f"Give one number for all, or {n_linear} values."
            )
        return given

    def to_json(self) -> dict[str, Any]:
        """Plain values for the bundle's manifest."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> HeadOptions:
        """The value that `to_json` described.

        Raises:
            BundleError: A name is unknown, or a value is not what it may be.
        """
        try:
            return cls.of(**check_fields(data, _STORED))
        except ValueError as error:
            raise BundleError(f"The head in the file is not valid: {error}") from error


def create_head(
    nf: int,
    n_out: int,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    pool: bool = True,
    concat_pool: bool = True,
    first_bn: bool = True,
    bn_final: bool = False,
    lin_first: bool = False,
    y_range: Sequence[float] | None = None,
) -> nn.Sequential:
    """A head with fastai's signature, layers and initial values of its norms; see `HeadOptions` for the options.

    Args:
        nf: Number of features that the body gives a picture, before any doubling by `concat_pool`.
        n_out: Number of outputs.
        lin_ftrs: Sizes of the hidden layers; None is (512,).
        ps: Dropout, one number or one for each linear layer.
        pool: Pool feature maps first.
        concat_pool: Pool by maximum and average side by side.
        first_bn: A BatchNorm in the first block.
        bn_final: A BatchNorm on the outputs.
        lin_first: Blocks that begin with their linear layer.
        y_range: (low, high) of a stretched sigmoid at the end.

    Returns:
        (N, nf, H, W), or (N, nf) where `pool` is False, to (N, n_out).

    Raises:
        OptionError: An option is outside what it may be.
    """
    options = HeadOptions.of(
        lin_ftrs=lin_ftrs,
        ps=ps,
        y_range=y_range,
        pool=pool,
        concat_pool=concat_pool,
        first_bn=first_bn,
        bn_final=bn_final,
        lin_first=lin_first,
    )
    return build_head(nf, n_out, options)


def build_head(n_features: int, n_out: int, options: HeadOptions) -> nn.Sequential:
    """The layers that `options` describe, for a body with `n_features` features a picture."""
    layers: list[nn.Module] = []
    if options.pool:
        layers += [AdaptiveConcatPool2d() if options.concat_pool else nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    width = 2 * n_features if options.pool and options.concat_pool else n_features
    sizes = (width, *options.hidden, n_out)
    layers += _linear_first(sizes, options) if options.lin_first else _norm_first(sizes, options)
    if options.bn_final:
        layers.append(nn.BatchNorm1d(n_out, momentum=FINAL_NORM_MOMENTUM))
    if options.y_range is not None:
        layers.append(SigmoidRange(*options.y_range))
    return nn.Sequential(*layers)


def _norm_first(sizes: tuple[int, ...], options: HeadOptions) -> list[nn.Module]:
    layers: list[nn.Module] = []
    last = len(sizes) - 2
    for i, (n_in, n_out, p) in enumerate(zip(sizes[:-1], sizes[1:], options.dropouts(), strict=True)):
        norm = options.first_bn or i > 0
        layers += [BatchNorm(n_in, ndim=1)] if norm else []
        layers += [nn.Dropout(p)] if p else []
        layers.append(nn.Linear(n_in, n_out, bias=not norm))
        layers += [nn.ReLU(inplace=True)] if i < last else []
    return layers


def _linear_first(sizes: tuple[int, ...], options: HeadOptions) -> list[nn.Module]:
    first_p, *later = options.dropouts()
    layers: list[nn.Module] = [nn.Dropout(first_p)]
    for i, (n_in, n_out, p) in enumerate(zip(sizes[:-2], sizes[1:-1], later, strict=True)):
        norm = options.first_bn or i > 0
        layers += [nn.Linear(n_in, n_out, bias=not norm), nn.ReLU(inplace=True)]
        layers += [BatchNorm(n_out, ndim=1)] if norm else []
        layers += [nn.Dropout(p)] if p else []
    return [*layers, nn.Linear(sizes[-2], sizes[-1])]


def _as_tuple(name: str, value: Any) -> Any:
    value = _plain(value)
    if value is None or isinstance(value, int | float):
        return value
    try:
        return tuple(_plain(part) for part in value)
    except TypeError:
        raise OptionError(f"{name}={value!r} is not a number, a list or None.") from None


def _plain(value: Any) -> Any:
    """A number of NumPy or PyTorch as Python's own, which can be stored; anything else as it is."""
    return value.item() if hasattr(value, "item") and getattr(value, "ndim", 1) == 0 else value


def _check_hidden(lin_ftrs: tuple[int, ...] | None) -> None:
    if lin_ftrs is not None and not isinstance(lin_ftrs, tuple):
        raise OptionError(f"lin_ftrs={lin_ftrs!r} is not a list of sizes, such as [512].")
    for size in lin_ftrs or ():
        if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST_LAYER:
            raise OptionError(
                f"lin_ftrs={list(lin_ftrs or ())}: {size!r} is not a number of units from 1 to {LARGEST_LAYER:,}."
            )


def _check_range(y_range: tuple[float, float] | None) -> None:
    if y_range is None:
        return
    if not isinstance(y_range, tuple) or len(y_range) != 2 or not all(isinstance(v, int | float) for v in y_range):
        raise OptionError(f"y_range={y_range!r} is not a pair of numbers (low, high).")
    low, high = y_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise OptionError(f"y_range={y_range!r}: low must be below high, and both finite.")
