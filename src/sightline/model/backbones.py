"""`arch` to Backbone: a torchvision constructor, a name of timm's or torchvision's, or a constructor of the user's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from torch import nn

from sightline.errors import ArchitectureError, did_you_mean
from sightline.model.architectures import Architecture
from sightline.model.custom_zoo import CustomBackbone
from sightline.model.spelling import no_such_architecture
from sightline.model.timm_zoo import TimmBackbone, current_name, is_timm, timm_names
from sightline.model.torchvision_zoo import TorchvisionBackbone
from sightline.model.zoo import Backbone

Arch = str | Callable[..., Any]


def resolve(arch: Arch) -> Backbone:
    """The backbone that `arch` means.

    Args:
        arch: A torchvision constructor, ours or its own (`resnet34`, `torchvision.models.resnet34`); a name of timm's, with or
            without the tag of a set of weights ('convnext_tiny', 'resnet18.a1_in1k'); a name of torchvision's that timm does
            not have; or any callable that returns a network, called with `pretrained=` or `weights=` where it takes them.

    Raises:
        ArchitectureError: No such name (the closest ones are in the message), or a network that does not classify pictures.
    """
    if isinstance(arch, str):
        return _by_name(arch)
    if isinstance(arch, Architecture):
        return TorchvisionBackbone(arch.name)
    if isinstance(arch, nn.Module):
        raise ArchitectureError(
            f"arch is a network already ({type(arch).__name__}). Expected a name or what builds it: pass its constructor, or a "
            f"function that returns it, and pretrained=False if its weights are random."
        )
    if not callable(arch):
        raise ArchitectureError(
            f"arch={arch!r} is neither a name nor a constructor. Expected something like resnet34 or 'convnext_tiny'."
        )
    return _by_constructor(arch)


def rebuild(zoo: str, name: str) -> Backbone:
    """The backbone that a stored description names.

    Raises:
        ArchitectureError: There is no such zoo, or no such name in it, in the installed version.
    """
    if zoo == "torchvision" and name in torchvision_names():
        return TorchvisionBackbone(name)
    if zoo == "timm" and is_timm(name):
        backbone = TimmBackbone(name.partition(".")[0])
        return TimmBackbone(name) if name.partition(".")[2] in backbone.tags() else backbone
    known = {"torchvision": torchvision_names, "timm": timm_names}.get(zoo, list)()
    raise ArchitectureError(
        f"The installed {zoo} has no network called {name!r}. {did_you_mean(name, known)} "
        f"Was it made with a newer version?".replace("  ", " ")
    )


def torchvision_names() -> list[str]:
    """Names of torchvision's classification networks."""
    from torchvision import models

    names: list[str] = models.list_models(module=models)
    return names


def list_architectures() -> list[str]:
    """Every name that `resolve` takes, in order, tags left away."""
    return sorted({*torchvision_names(), *timm_names()})


def _by_name(name: str) -> Backbone:
    if is_timm(name):
        return TimmBackbone(current_name(name.rstrip(".")))
    if name in torchvision_names():
        return TorchvisionBackbone(name)
    raise no_such_architecture(name, list_architectures())


def _by_constructor(constructor: Callable[..., Any]) -> Backbone:
    # Whoever holds a function of a zoo has loaded that zoo; for a function of the user's own neither is loaded here.
    name = getattr(constructor, "__name__", "")
    if "torchvision.models" in sys.modules and _is_torchvisions(constructor, name):
        if name not in torchvision_names():
            raise ArchitectureError(
                f"{name} is not a network that classifies pictures. Use one of torchvision.models itself, such as resnet34."
            )
        return TorchvisionBackbone(name)
    if "timm" in sys.modules and is_timm(name) and _timm_entry(name) is constructor:
        return TimmBackbone(name)
    return CustomBackbone(constructor)


def _is_torchvisions(constructor: Callable[..., Any], name: str) -> bool:
    from torchvision import models

    return name in models.list_models() and models.get_model_builder(name) is constructor


def _timm_entry(name: str) -> Any:
    import timm

    return timm.model_entrypoint(name)
