"""torchvision's classification networks by name: their weights, what those expect, and the bodies built from them."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from sightline.errors import ModelError, WeightsError, did_you_mean, listed
from sightline.model.channels import RGB, check_n_in, first_layer, kernel_adapter, replace_first_conv
from sightline.model.cutting import cut_before_last_pooling, cut_network
from sightline.model.depth import Units, lower_half, parameter_names, units_by_level, units_by_pattern
from sightline.model.download import fetch_torchvision
from sightline.model.spelling import as_file
from sightline.model.torchvision_families import RescaleInput, family_of
from sightline.model.weights import Layout, Tensors, load_into, read_file
from sightline.model.zoo import Backbone, Body, Cut, Recipe, Weights
from sightline.preprocess import INTERPOLATIONS, Size

UNPUBLISHED_SIZE = (224, 224)
"""What the constructors of fixed-size networks build for by themselves."""

POSITIONS = "encoder.pos_embedding"
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Training-time side classifiers of GoogLeNet and Inception, in files only."""

OLD_DENSENET = r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)"


class TorchvisionBackbone(Backbone):
    """A classification network of torchvision, by name."""

    zoo = "torchvision"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.family = family_of(name)

    def recipe(self, weights: Weights = None) -> Recipe | None:
        """Preprocessing of a weights enum member or its name; of the default weights for None or a file."""
        entry = self.entry(None if as_file(weights) else weights)
        if entry is None:
            return None
        made = entry.transforms()
        interpolation = made.interpolation.value
        return Recipe(
            mean=tuple(made.mean),
            std=tuple(made.std),
            size=(made.crop_size[0], made.crop_size[0]),
            crop_share=made.crop_size[0] / made.resize_size[0],
            interpolation=interpolation if interpolation in INTERPOLATIONS else "bilinear",
        )

    def entry(self, weights: Weights = None) -> Any:
        """The weights enum member that `weights` names; the default for None; None where nothing was published.

        Raises:
            WeightsError: It names none of this architecture's.
        """
        from torchvision.models import WeightsEnum, get_model_weights

        enum = get_model_weights(self.name)
        names = list(enum.__members__)
        if weights is None:
            return enum.__members__.get("DEFAULT")
        if isinstance(weights, enum):
            return weights
        asked = str(weights.name if isinstance(weights, WeightsEnum) else weights)
        if isinstance(weights, str) and asked.removeprefix(f"{enum.__name__}.") in names:
            return enum[asked.removeprefix(f"{enum.__name__}.")]
        raise WeightsError(
            f"weights={weights!r} is not among those of {self.name}: {listed(names)}. "
            f"{did_you_mean(asked, names)} A file is given by its path, ending in .safetensors or .pth.".replace("  ", " ")
        )

    def build(
        self,
        *,
        pretrained: bool = False,
        weights: Weights = None,
        n_in: int = 3,
        cut: Cut = None,
        img_size: Size | None = None,
    ) -> Body:
        """See `Backbone.build`."""
        check_n_in(n_in)
        path = as_file(weights)
        entry = self.entry(weights) if path is None and (pretrained or weights is not None) else None
        size = img_size or self._own_size(entry)
        network = self._network(size)
        originals = {id(tensor): name for name, tensor in _tensors(network).items()}
        module = self._body(network, cut, n_in)
        keys = {originals[id(tensor)]: key for key, tensor in _tensors(module).items() if id(tensor) in originals}
        replace_first_conv(module, n_in, keep_weights=False, arch=self.name)
        tensors = read_file(path) if path else fetch_torchvision(entry, self.name) if entry is not None else None
        if tensors is not None:
            layouts = layouts_of(module, keys, set(originals.values()) - set(keys))
            self._load(module, tensors, layouts, adapters_of(module, n_in, network))
        units = self._units(module, cut)
        return Body(
            module,
            units,
            self._border(units),
            recipe=self.recipe(weights),
            source=tensors.origin if tensors else None,
            fixed_size=size,
            img_size=size,
        )

    def _network(self, size: Size | None) -> nn.Module:
        """The whole network with random weights, its classifier included."""
        from torchvision.models import get_model_builder

        family = self.family
        options: dict[str, Any] = dict(family.options) if family else {}
        if size is not None:
            if family is None or family.size_option is None:
                raise ModelError(f"{self.name} is not built for one size of picture: leave img_size={size} away.")
            if family.size_option == "image_size" and size[0] != size[1]:
                raise ModelError(f"{self.name} takes square pictures, but img_size={size} is not square.")
            options[family.size_option] = size[0] if family.size_option == "image_size" else size
        try:
            network: nn.Module = get_model_builder(self.name)(weights=None, **options)
        except (ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"{self.name} cannot be built for pictures of {size}: {error}") from error
        return network

    def _own_size(self, entry: Any) -> Size | None:
        """The size that a set of weights, or the architecture by itself, is built for; None where it takes many."""
        if self.family is None or self.family.size_option is None:
            return None
        height, width = entry.meta["min_size"] if entry is not None else UNPUBLISHED_SIZE
        return height, width

    def _body(self, network: nn.Module, cut: Cut, n_in: int) -> nn.Module:
        if cut is None:
            module = (
                cut_network(network, self.family.cut, self.name) if self.family else cut_before_last_pooling(network, self.name)
            )
        elif not callable(cut) and self.family and self.family.size_option:
            raise ModelError(
                f"cut={cut!r}: {self.name} does not run its parts one after the other, so that it cannot be cut by number. "
                f"Pass a function from the network to its body, or leave cut away."
            )
        else:
            module = cut_network(network, cut, self.name)
        if self.family and self.family.rescales and not callable(cut):
            module = nn.Sequential(RescaleInput(n_in), *module.children())
        return module

    def _load(
        self, module: nn.Module, tensors: Tensors, layouts: list[Layout], adapters: Mapping[str, Callable[[Tensor], Tensor]]
    ) -> None:
        for layer in module.modules():
            if isinstance(layer, RescaleInput):
                layer.use_imagenet()
        load_into(module, _current_names(tensors), layouts, arch=self.name, adapters=adapters)

    def _units(self, module: nn.Module, cut: Cut) -> Units:
        names = parameter_names(module)
        return units_by_level(names) if callable(cut) or not self.family else units_by_pattern(names, self.family.blocks)

    def _border(self, units: Units) -> int:
        """The border of fastai where it has one and both sides of it hold something; else half of the blocks."""
        pattern = self.family.lower if self.family else None
        lower = sum(all(re.match(pattern, name) for name in unit) for unit in units) if pattern else 0
        return lower if 0 < lower < len(units) else lower_half(units)


def layouts_of(module: nn.Module, keys: Mapping[str, str], left_over: set[str]) -> list[Layout]:
    """The ways in which files name a body: as the whole network, as the body alone, or as a body with a head.

    Args:
        module: The body.
        keys: Name in the whole network -> name in the body.
        left_over: Names of the whole network that the body does not hold.
    """
    classifier = tuple(sorted({f"{name.split('.')[0]}." for name in left_over} | set(AUXILIARY)))
    own = list(module.state_dict())
    return [
        Layout(keys, ignored=classifier),
        Layout({key: key for key in own}),
        Layout({f"0.{key}": key for key in own}, ignored=("1.",)),
    ]


def adapters_of(module: nn.Module, n_in: int, network: Any) -> dict[str, Callable[[Tensor], Tensor]]:
    """How tensors of another shape are brought to the body's: input channels, and positions of another picture size."""
    from torchvision.models.vision_transformer import VisionTransformer, interpolate_embeddings

    adapters: dict[str, Callable[[Tensor], Tensor]] = {}
    if n_in != RGB:
        adapters[f"{first_layer(module)[0]}.weight"] = kernel_adapter(n_in)
    if isinstance(network, VisionTransformer) and POSITIONS in module.state_dict():

        def resize(positions: Tensor) -> Tensor:
            if positions.ndim != 3 or positions.shape[-1] != network.hidden_dim:
                return positions
            state = OrderedDict({POSITIONS: positions})
            resized: Tensor = interpolate_embeddings(network.image_size, network.patch_size, state)[POSITIONS]
            return resized

        adapters[POSITIONS] = resize
    return adapters


def _tensors(module: nn.Module) -> dict[str, Tensor]:
    """Parameters and buffers themselves by name, the same objects as in the module."""
    return module.state_dict(keep_vars=True)


def _current_names(tensors: Tensors) -> Tensors:
    """Names as torchvision spells them now: DenseNet's published files still say `norm.1` for `norm1`."""
    renamed = {re.sub(OLD_DENSENET, r"\1\2", name): tensor for name, tensor in tensors.by_name.items()}
    return Tensors(renamed, tensors.origin)
