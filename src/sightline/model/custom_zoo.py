"""A constructor of the user's own as an architecture: called as torchvision's are, cut as fastai cuts unknown networks."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from sightline.errors import ModelError, WeightsError
from sightline.model.channels import check_n_in, replace_first_conv
from sightline.model.cutting import cut_before_last_pooling, cut_network
from sightline.model.depth import lower_half, parameter_names, units_by_level
from sightline.model.spelling import as_file
from sightline.model.torchvision_zoo import adapters_of, layouts_of
from sightline.model.weights import load_into, read_file
from sightline.model.zoo import Backbone, Body, Cut, Recipe, Weights
from sightline.preprocess import Size


class CustomBackbone(Backbone):
    """A callable that returns a network. It lives in the user's code, so that no exported file can name it."""

    zoo = "custom"

    def __init__(self, constructor: Callable[..., Any]) -> None:
        super().__init__(getattr(constructor, "__name__", type(constructor).__name__))
        self.constructor = constructor

    def recipe(self, weights: Weights = None) -> Recipe | None:
        """None: nothing is known about the pictures that it was made for."""
        return None

    def build(
        self,
        *,
        pretrained: bool = False,
        weights: Weights = None,
        n_in: int = 3,
        cut: Cut = None,
        img_size: Size | None = None,
    ) -> Body:
        """See `Backbone.build`. The constructor gets `weights=` or `pretrained=`, whichever it takes, or nothing."""
        check_n_in(n_in)
        if img_size is not None:
            raise ModelError(f"img_size={img_size} cannot be passed to {self.name}: let the constructor build for that size.")
        path = as_file(weights)
        network = self._call(pretrained and path is None, None if path else weights)
        originals = {id(tensor): name for name, tensor in network.state_dict(keep_vars=True).items()}
        module = cut_before_last_pooling(network, self.name) if cut is None else cut_network(network, cut, self.name)
        held = module.state_dict(keep_vars=True)
        keys = {originals[id(tensor)]: key for key, tensor in held.items() if id(tensor) in originals}
        replace_first_conv(module, n_in, keep_weights=pretrained, arch=self.name)
        if path is not None:
            layouts = layouts_of(module, keys, set(originals.values()) - set(keys))
            adapters = adapters_of(module, n_in, network)
            load_into(module, read_file(path), layouts, arch=self.name, adapters=adapters)
        units = units_by_level(parameter_names(module))
        source = str(path) if path else str(weights or self.name) if pretrained else None
        return Body(module, units, lower_half(units), source=source)

    def _call(self, pretrained: bool, weights: Weights) -> nn.Module:
        accepted = _keywords(self.constructor)
        if weights is not None and "weights" not in accepted:
            raise WeightsError(f"weights={weights!r} cannot be passed to {self.name}, which takes no weights=. Give a file.")
        if "pretrained" in accepted and weights is None:
            network = self.constructor(pretrained=pretrained)
        elif "weights" in accepted:
            network = self.constructor(weights=weights if weights is not None else "DEFAULT" if pretrained else None)
        else:
            network = self.constructor()
        if not isinstance(network, nn.Module):
            raise ModelError(f"{self.name}() returned {type(network).__name__}. Expected a torch.nn.Module.")
        return network


def _keywords(constructor: Callable[..., Any]) -> set[str]:
    """Names that a callable takes as keywords; `pretrained` among them where it takes any."""
    try:
        parameters = inspect.signature(constructor).parameters.values()
    except (TypeError, ValueError):
        return set()
    names = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters)
    return names | {"pretrained"} if takes_any and "weights" not in names else names
