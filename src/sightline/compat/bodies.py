"""Bodies and heads by themselves, for scripts that put networks together: cutting, joining, and where fastai cuts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import nn
from torch.nn.init import kaiming_normal_

from sightline.errors import ArchitectureError
from sightline.model import architectures, timm_body
from sightline.model.architectures import Architecture
from sightline.model.backbones import resolve
from sightline.model.channels import check_n_in, replace_first_conv
from sightline.model.cutting import cut_before_last_pooling, cut_network
from sightline.model.head import create_head
from sightline.model.initial import Init, apply_init
from sightline.model.torchvision_zoo import TorchvisionBackbone
from sightline.model.vision import VisionModel, create_vision_model
from sightline.train.groups import Splitter, params

Cut = int | Callable[[nn.Module], nn.Module] | None


def cut_model(model: nn.Module, cut: int | Callable[[nn.Module], nn.Module]) -> nn.Module:
    """The body of a network: its first `cut` children, or what the function `cut` makes of it.

    Raises:
        OptionError: `cut` is neither.
        ModelError: Nothing is left.
    """
    return cut_network(model, cut, type(model).__name__)


def create_body(model: nn.Module, n_in: int = 3, pretrained: bool = True, cut: Cut = None) -> nn.Module:
    """The body of a network that was made already.

    Args:
        model: The network, such as `resnet18(weights=None)`; the body keeps its layers and weights.
        n_in: Channels of the pictures; the first convolution is made anew for other than 3.
        pretrained: Whether its weights are trained ones, which a new first convolution then takes over.
        cut: Children to keep, or a function of the network; None cuts before the last pooling.

    Raises:
        ModelError: It has no pooling layer that shows where it ends, or nothing is left.
    """
    check_n_in(n_in)
    body = cut_before_last_pooling(model, type(model).__name__) if cut is None else cut_model(model, cut)
    replace_first_conv(body, n_in, keep_weights=pretrained, arch=type(model).__name__)
    return body


def add_head(
    body: nn.Module,
    nf: int,
    n_out: int,
    init: Init | None = kaiming_normal_,
    head: nn.Module | None = None,
    **options: Any,
) -> nn.Sequential:
    """A body and a head as one network.

    Args:
        body: Gives `nf` features a picture.
        nf: Number of features.
        n_out: Number of outputs.
        init: Draws the head's weights, in place; None leaves them.
        head: Used as it is, in place of `create_head(nf, n_out, **options)`.
        options: Those of `create_head`.
    """
    made = head if head is not None else create_head(nf, n_out, **options)
    apply_init(made, init)
    return nn.Sequential(body, made)


class TimmBody(timm_body.TimmBody):
    """A timm network made without classifier (`num_classes=0`) as a body.

    Attributes:
        needs_pool: Whether it gives feature maps, which a head has to pool.
    """

    def __init__(self, model: Any, pretrained: bool = True, cut: Any = None, n_in: int = 3) -> None:
        """Wrap it; all but `model` changes nothing, as in fastai."""
        super().__init__(model)
        self.needs_pool = self.gives_maps


def create_timm_model(
    arch: str, n_out: int, cut: Any = None, pretrained: bool = True, n_in: int = 3, **options: Any
) -> tuple[VisionModel, dict[str, Any]]:
    """A network with a body of timm's, and what timm says of its weights (`mean`, `std`, `input_size`, ...).

    Args:
        arch: Its name.
        n_out: Number of outputs.
        cut: Changes nothing, as in fastai.
        pretrained: Load weights.
        n_in: Channels of the pictures.
        options: Those of `create_vision_model`.
    """
    model = create_vision_model(arch, n_out, pretrained=pretrained, n_in=n_in, **options)
    return model, dict(getattr(model.body, "model").default_cfg)  # noqa: B009 - a body of timm's has one


class ModelMeta(Mapping[Any, dict[str, Any]]):
    """What fastai knows of a torchvision constructor, by the constructor, ours or torchvision's own.

    `cut` (children to keep), `split` (network to parameter groups), `stats` (mean and std of its weights' pictures) and
    `weights`. Only architectures whose border between lower and upper body is fastai's are in it.
    """

    def __getitem__(self, arch: Any) -> dict[str, Any]:
        backbone = _torchvisions(arch)
        family = backbone.family if backbone else None
        if backbone is None or family is None or family.lower is None:
            raise KeyError(arch)
        return {"cut": family.cut, "split": split_at(family.lower), "stats": backbone.stats, "weights": "DEFAULT"}

    def __iter__(self) -> Iterator[Any]:
        return (arch for arch in vars(architectures).values() if isinstance(arch, Architecture) and arch in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)


def _torchvisions(arch: Any) -> TorchvisionBackbone | None:
    try:
        backbone = resolve(arch) if callable(arch) else None
    except ArchitectureError:
        return None
    return backbone if isinstance(backbone, TorchvisionBackbone) else None


def split_at(lower: str) -> Splitter:
    """A splitter of a body and a head: parameters of the body whose names match `lower`, its others, and the head's."""

    def split(m: Any) -> list[list[nn.Parameter]]:
        named = list(m[0].named_parameters())
        groups = [[p for name, p in named if bool(re.match(lower, name)) is below] for below in (True, False)]
        return [*groups, params(m[1:])]

    return split


model_meta = ModelMeta()
"""See `ModelMeta`: `model_meta[resnet34]["cut"]`."""
