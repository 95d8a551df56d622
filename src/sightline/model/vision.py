"""The door of this room: a body and a head as one network, its description, and its parameters in three groups by depth."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, overload

import torch
from torch import nn
from torch.nn.init import kaiming_normal_

from sightline.errors import ArchitectureError, BundleError, ModelError, OptionError, SightlineWarning
from sightline.model.backbones import Arch, rebuild, resolve
from sightline.model.freeze import freeze_to, norm_and_bias_parameters, norm_parameters
from sightline.model.head import HeadOptions, build_head
from sightline.model.initial import Init, apply_init
from sightline.model.probe import check_size, measure, squares
from sightline.model.spec import CUSTOM, ModelSpec
from sightline.model.zoo import Backbone, Body, Cut, Recipe, Stats, Weights
from sightline.preprocess import Size, as_size

__all__ = [
    "ModelSpec",
    "VisionModel",
    "build_from_spec",
    "check_input",
    "create_vision_model",
    "freeze_to",
    "norm_and_bias_parameters",
    "norm_parameters",
    "parameter_groups",
]


class VisionModel(nn.Sequential):
    """A body and its head, in that order, so that names, order and shapes are fastai's.

    Shapes: (N, n_in, H, W) to (N, n_out).

    Attributes:
        spec: What it takes to build it again.
        recipe: Preprocessing of the weights that the body came with, or of its architecture's own; None where none is known.
        pretrained: Whether the body came with weights to be fine-tuned.
        fixed_size: The only (height, width) that it takes; None where it takes others too.
        units: Names of the body's parameters by block, lowest block first.
        lower_names: Names of the body's parameters that form the lower of its two groups.
    """

    def __init__(self, body: Body, head: nn.Module, spec: ModelSpec, *, pretrained: bool = False) -> None:
        super().__init__(body.module, head)
        self.spec = spec
        self.recipe: Recipe | None = body.recipe
        self.pretrained = pretrained
        self.fixed_size = body.fixed_size
        self.units, self.lower_names = body.units, body.lower_names

    @property
    def body(self) -> nn.Module:
        """The network below the head."""
        return self[0]

    @property
    def head(self) -> nn.Module:
        """The layers that turn features into outputs."""
        return self[1]

    @property
    def stats(self) -> Stats | None:
        """(mean, std) that pictures must be normalised with: those of the weights, for as many channels as it takes."""
        known = self.pretrained and self.recipe is not None and len(self.recipe.mean) == self.spec.n_in
        return self.recipe.stats if known and self.recipe else None

    @overload
    def __getitem__(self, index: slice) -> nn.Sequential: ...

    @overload
    def __getitem__(self, index: int) -> nn.Module: ...

    def __getitem__(self, index: int | slice) -> nn.Module:
        """One part, or several as a plain sequence: a part of a model is no model."""
        if isinstance(index, slice):
            return nn.Sequential(OrderedDict(list(self.named_children())[index]))
        return super().__getitem__(index)


def create_vision_model(
    arch: Arch,
    n_out: int,
    *,
    pretrained: bool = True,
    weights: Weights = None,
    cut: Cut = None,
    n_in: int = 3,
    init: Init | None = kaiming_normal_,
    custom_head: nn.Module | None = None,
    concat_pool: bool = True,
    pool: bool = True,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    first_bn: bool = True,
    bn_final: bool = False,
    lin_first: bool = False,
    y_range: Sequence[float] | None = None,
    img_size: int | tuple[int, int] | None = None,
) -> VisionModel:
    """A network for `n_out` outputs: the body of `arch`, and a new head.

    Args:
        arch: A torchvision constructor, a name of timm's or torchvision's, or a constructor of the user's own (`resolve`).
        n_out: Number of outputs.
        pretrained: Load weights: those that `weights` names, or the zoo's default ones.
        weights: A torchvision weights enum member or its name, a tag of timm's, or a file (.safetensors, .pth, .pt).
        cut: Where the body ends: a number of children to keep, or a function from network to body.
        n_in: Number of input channels. With weights: 1 sums the first kernel's three, 2 keeps two times 1.5, more adds zeros;
            timm's networks follow timm's own rule.
        init: Initialises every layer of the head that is no norm, a `custom_head` included; None leaves it as it is.
        custom_head: Used as it is after the body, instead of a head made from the options that follow.
        concat_pool: Pool by maximum and average side by side, instead of average alone. `HeadOptions` says more of the head.
        pool: Pool feature maps to one vector a picture; bodies that give vectors are never pooled.
        lin_ftrs: Sizes of the hidden layers; None is (512,).
        ps: Dropout: p before the last linear layer and p/2 before the others, or one number for each.
        first_bn: A BatchNorm in the first block.
        bn_final: A BatchNorm on the outputs.
        lin_first: Blocks that begin with their linear layer.
        y_range: (low, high) between which the outputs are kept.
        img_size: (height, width) to build for, where that is part of the architecture (most transformers); weights for
            another size are adapted where their zoo can.

    Raises:
        ArchitectureError: No such architecture; the closest names are in the message.
        WeightsError: The weights cannot be found, fetched, read or matched.
        ModelError: The body, its input or its features do not fit what was asked.
        OptionError: An option is outside what it may be.

    Warns:
        SightlineWarning: `weights` is given with `pretrained=False`.
    """
    options = HeadOptions.of(
        lin_ftrs=lin_ftrs,
        ps=ps,
        y_range=y_range,
        concat_pool=concat_pool,
        pool=pool,
        first_bn=first_bn,
        bn_final=bn_final,
        lin_first=lin_first,
    )
    _check_outputs(n_out)
    _check_head(custom_head)
    if weights is not None and not pretrained:
        warnings.warn(
            f"weights={weights!r} are loaded although pretrained=False, as fastai does; nothing is frozen or normalised for "
            f"them. Leave pretrained=False away to fine-tune, or weights= to start from random weights.",
            SightlineWarning,
            stacklevel=2,
        )
    backbone = resolve(arch)
    size = None if img_size is None else as_size(img_size)
    body = backbone.build(pretrained=pretrained, weights=weights, n_in=n_in, cut=cut, img_size=size)
    n_features = None
    if custom_head is None:
        n_features, options = _fit_head(body, n_in, options, backbone)
    spec = ModelSpec(
        zoo=backbone.zoo,
        arch=backbone.name,
        n_out=n_out,
        n_features=n_features,
        n_in=n_in,
        cut=CUSTOM if callable(cut) else cut,
        img_size=body.img_size,
        head=options if custom_head is None else None,
        source=body.source,
    )
    head = custom_head if custom_head is not None else build_head(n_features or 0, n_out, options)
    apply_init(head, init)
    return VisionModel(body, head, spec, pretrained=pretrained)


def build_from_spec(spec: ModelSpec, *, custom_head: nn.Module | None = None) -> VisionModel:
    """The network that a description names, with random weights: nothing is downloaded, and no code is taken from it.

    Args:
        spec: As read from a file.
        custom_head: The user's own head, where the description says that there is one.

    Raises:
        BundleError: It needs code that a file cannot hold, or the installed zoos cannot build what it names.
    """
    missing = [words for words in spec.needs_code if custom_head is None or not words.startswith("custom_head")]
    if missing:
        raise BundleError(f"This network cannot be built from its description alone: {'; '.join(missing)}.")
    cut = spec.cut if isinstance(spec.cut, int) else None
    with torch.random.fork_rng(devices=[]):  # loading a model must not move the caller's random numbers
        try:
            body = rebuild(spec.zoo, spec.arch).build(n_in=spec.n_in, cut=cut, img_size=spec.img_size)
        except (ArchitectureError, ModelError, OptionError) as error:
            raise BundleError(f"The network in the file cannot be built here: {error}") from error
        head = build_head(spec.n_features or 0, spec.n_out, spec.head) if spec.head else custom_head
    if head is None:
        raise BundleError("The network in the file has a head of the user's own, which was not given.")
    return VisionModel(body, head, spec)


def parameter_groups(model: nn.Module) -> list[list[nn.Parameter]]:
    """All parameters in groups by depth, each parameter in exactly one.

    Args:
        model: A `VisionModel` gives [lower half of the body, upper half, head]; any other network is one group.
    """
    if not isinstance(model, VisionModel):
        return [list(model.parameters())]
    lower: dict[int, nn.Parameter] = {}
    upper: dict[int, nn.Parameter] = {}
    for name, parameter in model.body.named_parameters():
        (lower if name in model.lower_names else upper)[id(parameter)] = parameter
    head = {id(p): p for p in model[1:].parameters() if id(p) not in lower and id(p) not in upper}
    return [list(group.values()) for group in (lower, upper, head)]


def check_input(model: nn.Module, size: Size) -> None:
    """Make sure that a network takes pictures of a size, before any training starts.

    Args:
        model: One blank picture is tried, in evaluation mode, unless the size is known to fit. Nothing is changed.
        size: (height, width) in pixels of the pictures to come.

    Raises:
        ModelError: It does not take them; the message says which size to use.
    """
    if not isinstance(model, VisionModel):
        return
    native = model.recipe.size if model.recipe else None
    check_size(model, model.spec.n_in, as_size(size), model.spec.arch, fixed=model.fixed_size, native=native)


def _fit_head(body: Body, n_in: int, options: HeadOptions, backbone: Backbone) -> tuple[int, HeadOptions]:
    """Number of features of a body, and the options with `pool` off where the body pools for itself."""
    native = [body.recipe.size] if body.recipe else []
    sizes = [body.fixed_size] if body.fixed_size else [*squares(), *native]
    arch = backbone.name
    # timm tells the number of features, so fastai need not try its networks and draws nothing for them.
    found = measure(body.module, n_in, sizes, arch, draws=backbone.zoo != "timm")
    if not found.pooled and not options.pool:
        raise ModelError(
            f"pool=False, but the body of {arch} gives feature maps (N, {found.count}, H, W), which a head of linear layers "
            f"cannot take. Leave pool=True, or pass a custom_head."
        )
    kept: dict[str, Any] = {**options.__dict__, "pool": options.pool and not found.pooled}
    return found.count, HeadOptions(**kept)


def _check_outputs(n_out: int) -> None:
    if isinstance(n_out, bool) or not isinstance(n_out, int) or n_out < 1:
        raise OptionError(f"n_out={n_out!r} is not a number of outputs, at least 1.")


def _check_head(custom_head: Any) -> None:
    if custom_head is None or isinstance(custom_head, nn.Module):
        return
    if callable(custom_head):
        name = getattr(custom_head, "__name__", type(custom_head).__name__)
        raise OptionError(
            f"custom_head={name} is a class or a function. Expected a torch.nn.Module: give what it makes, {name}(...)."
        )
    raise OptionError(f"custom_head={custom_head!r} is not a torch.nn.Module, such as nn.Sequential(...).")
