"""A network built without memory for its weights: how large it would be, and the network itself once it is given tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from sightline.errors import BundleError
from sightline.model.spec import ModelSpec
from sightline.model.vision import VisionModel, build_from_spec

_FILLED = frozenset({torch.empty, torch.zeros, torch.ones, torch.full, torch.rand, torch.randn})


class _WithoutWeights(TorchFunctionMode):
    """Tensors that are made full of something have no memory; those that say something, such as torch.arange(3), have.

    Some constructors count with tensors of the second kind, which torch.device("meta") does not allow.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options = {**(kwargs or {}), "device": "meta"} if func in _FILLED else kwargs or {}
        return func(*args, **options)


def skeleton_of(spec: ModelSpec) -> VisionModel:
    """The network that a description names, its parameters and buffers without memory.

    Raises:
        BundleError: It cannot be built.
    """
    try:
        with torch.device("meta"):
            return build_from_spec(spec)
    except BundleError:
        with _WithoutWeights():
            return build_from_spec(spec)


def bytes_of(network: nn.Module) -> int:
    """How many bytes its parameters and buffers take, or would take."""
    return sum(tensor.nbytes for tensor in network.state_dict().values())


def fill(skeleton: nn.Module, tensors: Mapping[str, Tensor]) -> bool:
    """Give a skeleton copies of tensors, where that makes it a whole network: no weight is made at random to be overwritten.

    Returns:
        Whether it is whole; False where names, shapes or dtypes differ, or where it holds something else that was computed
        when it was built, and is missing now.
    """
    own = skeleton.state_dict()
    alike = own.keys() == tensors.keys() and all(
        own[name].shape == tensor.shape and own[name].dtype == tensor.dtype for name, tensor in tensors.items()
    )
    if alike:
        skeleton.load_state_dict({name: tensor.clone() for name, tensor in tensors.items()}, assign=True)
    return alike and not any(tensor.is_meta for tensor in _everything_in(skeleton))


def _everything_in(network: nn.Module) -> Iterator[Tensor]:
    """Parameters, buffers, and tensors that layers keep without registering them."""
    for layer in network.modules():
        kept = chain(layer.__dict__.values(), layer._parameters.values(), layer._buffers.values())
        for value in kept:
            parts = value if isinstance(value, list | tuple) else value.values() if isinstance(value, dict) else (value,)
            yield from (part for part in parts if isinstance(part, Tensor))
