"""timm's networks by name: their tags and what those expect, and the bodies built from them, as fastai builds them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor, nn

from sightline.errors import ArchitectureError, ModelError, WeightsError, did_you_mean, listed
from sightline.model.channels import RGB, check_n_in
from sightline.model.cutting import cut_network
from sightline.model.depth import Units, lower_half, parameter_names, units_by_level
from sightline.model.download import create_timm
from sightline.model.spelling import as_file
from sightline.model.timm_body import TimmBody
from sightline.model.weights import Layout, Tensors, best_fit, load_into, read_file
from sightline.model.zoo import Backbone, Body, Cut, Recipe, Weights
from sightline.preprocess import INTERPOLATIONS, Size

NAME = "model."
"""What stands before timm's own names inside a body."""


class TimmBackbone(Backbone):
    """A network of timm, by name, with or without the tag of a set of weights.

    Raises:
        ArchitectureError: timm has no such tag for it.
    """

    zoo = "timm"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.arch, _, tag = name.partition(".")
        if tag and tag not in self.tags():
            raise ArchitectureError(
                f"timm has {self.arch}, but no weights of it tagged {tag!r}. {did_you_mean(tag, self.tags())} "
                f"Its tags are {listed(self.tags())}.".replace("  ", " ")
            )

    def tags(self) -> list[str]:
        """Tags of the published weights, the default first."""
        import timm

        names = timm.models.get_arch_pretrained_cfgs(self.arch)
        return [name.partition(".")[2] for name in names if "." in name]

    def tagged(self, weights: Weights = None) -> str:
        """The name with the tag that `weights` asks for; this one's own name for None.

        Raises:
            WeightsError: timm has no such tag for it.
        """
        if weights is None:
            return self.name
        tag = str(weights).removeprefix(f"{self.arch}.")
        if not isinstance(weights, str) or tag not in self.tags():
            raise WeightsError(
                f"weights={weights!r} is no tag of timm's {self.arch}. {did_you_mean(tag, self.tags())} Its tags are "
                f"{listed(self.tags())}. A file is given by its path, ending in .safetensors or .pth; torchvision's weights "
                f"belong to its constructors, such as torchvision.models.resnet34.".replace("  ", " ")
            )
        return f"{self.arch}.{tag}"

    def recipe(self, weights: Weights = None) -> Recipe | None:
        """Preprocessing of the weights of a tag; of the default ones for None or a file."""
        import timm

        cfg = timm.models.get_pretrained_cfg(self.tagged(None if as_file(weights) else weights))
        if cfg is None:
            return None
        return Recipe(
            mean=tuple(float(value) for value in cfg.mean),
            std=tuple(float(value) for value in cfg.std),
            size=(cfg.input_size[1], cfg.input_size[2]),
            crop_share=min(float(cfg.crop_pct), 1.0),
            interpolation=cfg.interpolation if cfg.interpolation in INTERPOLATIONS else "bilinear",
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
        """See `Backbone.build`. Input channels are adapted by timm's own rule, and `img_size` is passed to its constructor."""
        check_n_in(n_in)
        path = as_file(weights)
        name = self.tagged(None if path else weights)
        published = path is None and (pretrained or weights is not None)
        model = self._create(name, published, n_in, img_size)
        fixed = _fixed_size(model, img_size)
        units = _units(model)
        module: nn.Module = TimmBody(model)
        dropped: set[str] = set()
        if cut is not None:
            module = cut_network(model, cut, self.name)
            units = units_by_level(parameter_names(module))
        elif isinstance(module, TimmBody):
            dropped = module.drop_unused(n_in, img_size or fixed)
            units = _held(units, set(parameter_names(module)))
        source = f"timm/{_tag_in(model, name)}" if published else None
        if path is not None:
            tensors = read_file(path)
            _load_file(module, model, tensors, dropped, n_in, self.name)
            source = tensors.origin
        return Body(
            module, units, lower_half(units), recipe=self.recipe(weights), source=source, fixed_size=fixed, img_size=img_size
        )

    def _create(self, name: str, published: bool, n_in: int, img_size: Size | None) -> Any:
        import timm

        options: dict[str, Any] = {"num_classes": 0, "in_chans": n_in}
        if img_size is not None:
            options["img_size"] = img_size
        if published:
            return create_timm(name, **options)
        try:
            return timm.create_model(name, pretrained=False, **options)
        except (TypeError, ValueError, RuntimeError, AssertionError) as error:
            raise ModelError(f"timm cannot build {name} with {options}: {error}") from error


def timm_names() -> list[str]:
    """Names of all architectures of timm, without tags."""
    import timm

    names: list[str] = timm.list_models()
    return names


def is_timm(name: str) -> bool:
    """Whether timm has an architecture of that name, whatever its tag."""
    import timm

    return bool(timm.is_model(name)) and timm.models.get_deprecated_models().get(name, name) is not None


def current_name(name: str) -> str:
    """What timm calls the architecture now: names of earlier versions are still understood."""
    import timm

    current: str = timm.models.get_deprecated_models().get(name) or name
    return current


def _fixed_size(model: Any, img_size: Size | None) -> Size | None:
    """The one size of a network that says of itself that it takes no other."""
    cfg = model.pretrained_cfg
    if not cfg.get("fixed_input_size", False):
        return None
    height, width = cfg["input_size"][1:]
    return img_size or (height, width)


def _tag_in(model: Any, name: str) -> str:
    tag = model.pretrained_cfg.get("tag") or ""
    return name if "." in name or not tag else f"{name}.{tag}"


def _units(model: Any) -> Units:
    """Blocks by depth as timm itself orders them for layer-wise rates; by levels of names where it does not."""
    from timm.models import group_parameters

    if hasattr(model, "group_matcher"):
        grouped = group_parameters(model, model.group_matcher(coarse=False))
        units = tuple(tuple(f"{NAME}{name}" for name in grouped[depth]) for depth in sorted(grouped))
        if len(units) > 1:
            return units
    return units_by_level([f"{NAME}{name}" for name in parameter_names(model)])


def _held(units: Units, names: set[str]) -> Units:
    held = (tuple(name for name in unit if name in names) for unit in units)
    return tuple(unit for unit in held if unit)


def _load_file(module: nn.Module, model: Any, tensors: Tensors, dropped: set[str], n_in: int, arch: str) -> None:
    """Load a user's file, by name; where names do not fit, once more through timm's own conversion of foreign files."""
    own = list(module.state_dict())
    originals = {id(tensor): name for name, tensor in model.state_dict(keep_vars=True).items()}
    held = module.state_dict(keep_vars=True)
    keys = {originals[id(tensor)]: key for key, tensor in held.items() if id(tensor) in originals}
    layouts = [
        Layout(keys, ignored=(*_classifier(model), *(f"{part}." for part in dropped))),
        Layout({key: key for key in own}),
        # fastai's files also hold the parts that are left out here.
        Layout({f"0.{key}": key for key in own}, ignored=("1.", *(f"0.model.{part}." for part in dropped))),
    ]
    adapters = _kernel_adapters(model, keys, n_in)
    convert = getattr(sys.modules[type(model).__module__], "checkpoint_filter_fn", None)
    if convert is not None and not best_fit(module, tensors.by_name, layouts, adapters).complete:
        tensors = _converted(convert, model, tensors)
    load_into(module, tensors, layouts, arch=arch, adapters=adapters)


def _converted(convert: Callable[..., Mapping[str, Tensor]], model: Any, tensors: Tensors) -> Tensors:
    try:
        return Tensors(dict(convert(dict(tensors.by_name), model)), tensors.origin)
    except Exception:  # noqa: BLE001 - not a file that timm converts; the plain names then give the better error
        return tensors


def _classifier(model: Any) -> tuple[str, ...]:
    """Beginnings of the names of the classifier that was left away."""
    named = model.pretrained_cfg.get("classifier") or ()
    return tuple(f"{name}." for name in ([named] if isinstance(named, str) else named))


def _kernel_adapters(model: Any, keys: Mapping[str, str], n_in: int) -> dict[str, Callable[[Tensor], Tensor]]:
    """How a first convolution over three channels is brought to `n_in`, by timm's rule."""
    from timm.models import adapt_input_conv

    named = model.pretrained_cfg.get("first_conv") or ()
    if n_in == RGB:
        return {}

    def adapt(weight: Tensor) -> Tensor:
        adapted: Tensor = adapt_input_conv(n_in, weight) if weight.ndim == 4 and weight.shape[1] == RGB else weight
        return adapted

    weights = [f"{name}.weight" for name in ([named] if isinstance(named, str) else named)]
    return {keys[name]: adapt for name in weights if name in keys}
