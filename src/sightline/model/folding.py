"""Folding: a copy of a network for inference alone, its BatchNorms multiplied into the convolutions before them.

The copy is a second tree of modules that shares every tensor which it does not replace. Which norms can go is seen by watching
a few pictures pass: nothing is traced, and nothing of the original is touched or patched.

What was watched must hold for all pictures. So a network has no copy if it takes numbers out of tensors, by which it may decide
what it does, or if it keeps other values after each call; and only what happens with one picture and with two alike is folded.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import chain
from operator import is_not
from types import FunctionType, MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CONVOLUTIONS: tuple[type[nn.Module], ...] = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS: tuple[type[nn.Module], ...] = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
KNOWN_PACKAGES = frozenset({"torch", "torchvision", "timm", "sightline"})
"""Their modules keep nothing from one call to the next in evaluation mode, so that several threads may use one of them."""
_TELLING = frozenset({torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape})
_MASKS = frozenset({torch.bool, torch.uint8})

FOLDING_ERROR = 1e-3
"""How far outputs of the copy may be off in 32 bits, as a share of the largest output; rounding alone makes some 1e-6."""
ROUNDING_ERROR = 0.1
"""The same in 16 bits, where the network itself is some 1e-2 off."""

_FACTS = frozenset(
    {
        *("shape", "size", "stride", "dim", "ndim", "ndimension", "numel", "nelement", "__len__", "nbytes", "itemsize"),
        *("element_size", "storage_offset", "dtype", "layout", "device", "get_device", "names", "requires_grad", "is_leaf"),
        *("is_cpu", "is_cuda", "is_mps", "is_xpu", "is_meta", "is_sparse", "is_quantized", "is_mkldnn", "is_nested"),
        *("is_contiguous", "is_floating_point", "is_complex", "is_signed", "is_inference", "is_conj", "is_neg", "is_same_size"),
    }
)
"""What is known of a tensor without looking at its values, which neither uses nor changes it."""


class Copy(NamedTuple):
    """A network for inference, in evaluation mode.

    Attributes:
        network: Computes images `(N, C, H, W)` to outputs `(N, K)`.
        exact: The same in 32 bits and unfolded, which shares all tensors with the original.
        error: By how much outputs of `network` are off, on average (root of the mean square).
    """

    network: Callable[[Tensor], Any]
    exact: nn.Module
    error: float


def folded(model: nn.Module, images: Tensor, dtype: torch.dtype = torch.float32) -> Copy | None:
    """A copy whose norms are folded; None where no copy can be had that agrees with the network on some pictures.

    Args:
        model: In evaluation mode; it is not changed, and must not be trained while the copy is in use: the copy shares what it
            does not replace, and keeps what it replaced.
        images: float `(N, C, H, W)` on the network's device, such as it will be given: two or a few, to watch and compare on.
        dtype: What convolutions and linear layers are to hold: what `torch.autocast` would cast them to in every call, under
            which the copy then has to run.
    """
    try:
        exact, network = resting(model), resting(model)
        if exact is None or network is None:
            return None
        if len(images) == 1:
            images = torch.cat([images, images])
        with torch.no_grad():
            expected, pairs = model(images), _pairs(network, images[:2])
            if pairs is None:
                return None
            for pair in pairs:
                _fold(network, pair)
            error = _worst(network, images[:2], expected[:2], FOLDING_ERROR)
            if error is None or dtype == torch.float32:
                return None if error is None else Copy(network, exact, error)
            _lower(network, dtype)
            with torch.autocast(images.device.type, dtype=dtype):
                error = difference(network(images), expected, ROUNDING_ERROR)
            return None if error is None else Copy(network, exact, error)
    except Exception:  # noqa: BLE001 - whatever a network of the user's own does with its parts: it is used as it is
        return None


def is_stateless(model: nn.Module) -> bool:
    """Whether several threads may use a network at once: its modules are known to keep nothing, and nobody listens to them."""
    known = all(type(module).__module__.partition(".")[0] in KNOWN_PACKAGES for module in model.modules())
    return known and not any(map(_has_hooks, model.modules()))


# -------------------------------------------------------------------- the copy


def resting(model: nn.Module) -> nn.Module | None:
    """A second tree of modules in evaluation mode that shares all tensors; None where parts are reached in other ways."""
    made: dict[nn.Module, nn.Module] = {}
    for module in model.modules():
        if _has_hooks(module) or any(_leads_to_modules(value) for value in _own_values(module)):
            return None
        twin = made[module] = copy.copy(module)
        twin._modules, twin._parameters = dict(module._modules), dict(module._parameters)
        twin._buffers, twin._non_persistent_buffers_set = dict(module._buffers), set(module._non_persistent_buffers_set)
        for name in ("_forward_hooks", "_forward_pre_hooks"):
            vars(twin)[name] = type(vars(module)[name])()
        twin.training = False
    for twin in made.values():
        twin._modules = {name: None if part is None else made[part] for name, part in twin._modules.items()}
    return made[model]


def _has_hooks(module: nn.Module) -> bool:
    """Whether someone listens to this module, and would hear nothing of what happens in a copy."""
    return any(values for name, values in vars(module).items() if name.endswith("_hooks") and "state_dict" not in name)


def _own_values(module: nn.Module) -> Iterator[Any]:
    return (value for name, value in vars(module).items() if name not in {"_modules", "_parameters", "_buffers"})


def _leads_to_modules(value: Any, depth: int = 3) -> bool:
    """Whether a module can be reached from a value, past the tree of modules: a copy would go on using the original's."""
    if isinstance(value, nn.Module):
        return True
    inside: Iterable[Any] = ()
    if isinstance(value, MethodType):
        inside = (value.__self__,)
    elif isinstance(value, partial):
        inside = (value.func, *value.args, *value.keywords.values())
    elif isinstance(value, FunctionType):
        inside = (cell.cell_contents for cell in value.__closure__ or ())
    elif isinstance(value, Mapping):
        inside = value.values()
    elif isinstance(value, list | tuple | set):
        inside = value
    return depth > 0 and any(_leads_to_modules(part, depth - 1) for part in inside)


# -------------------------------------------------------------------- what can be folded


class _Pair(NamedTuple):
    """Two modules, the second of which alone works on what the first gives."""

    first: nn.Module
    second: nn.Module


class _Watch(TorchFunctionMode):
    """Notes what happens to each tensor while pictures pass.

    Attributes:
        uses: How many functions took each tensor, by its id.
        calls: Each call of a module that matters: the module, what it took and what it gave.
        looked: Whether values were taken out of tensors, as numbers, so that what happened may have followed from them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.uses: Counter[int] = Counter()
        self.looked = False
        self.calls: list[tuple[nn.Module, Tensor, Tensor]] = []
        self._held: list[Tensor] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        idle = func is F.dropout and args and result is args[0]
        if not idle and _name(func) not in _FACTS:
            given = list(_tensors([*args, *(kwargs or {}).values()]))
            # Held, so that no later tensor is given the id of one that is gone.
            self._held += given
            self.uses.update(map(id, given))
            self.looked |= bool(given) and result is not None and next(_tensors(result), None) is None
        return result

    def called(self, module: nn.Module, args: tuple[Any, ...], result: Any) -> None:
        """A forward hook."""
        self.calls.append((module, args[0], result))

    def pairs(self) -> list[_Pair]:
        """Modules that were called once, one right after the other, with nothing else looking at what passes between them."""
        times = Counter(module for module, _, _ in self.calls)
        once = [call for call in self.calls if times[call[0]] == 1]
        givers = {id(given): module for module, _, given in once}
        return [
            _Pair(givers[id(taken)], module) for module, taken, _ in once if id(taken) in givers and self.uses[id(taken)] == 1
        ]


class _Looks(TorchDispatchMode):
    """Notes whether numbers, or sizes of tensors, follow from values: below Python too, where `_Watch` sees nothing.

    Attributes:
        looked: Whether they did.
    """

    looked: bool = False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if not _TELLING.isdisjoint(getattr(func, "tags", ())):
            # Of what an index chooses only masks determine how many there are.
            self.looked |= func is not torch.ops.aten.index.Tensor or any(i.dtype in _MASKS for i in _tensors(args[1]))
        return func(*args, **(kwargs or {}))


def _pairs(twin: nn.Module, images: Tensor) -> list[_Pair] | None:
    """What can be folded whatever the pictures are, seen on some; None where what the network does may depend on them."""
    one, before = _watched(twin, images[:1]), _kept(twin)
    several, after = _watched(twin, images), _kept(twin)
    if one.looked or several.looked or len(before) != len(after) or any(map(is_not, before, after)):
        return None
    alike = set(one.pairs())
    return [pair for pair in several.pairs() if pair in alike]


def _watched(twin: nn.Module, images: Tensor) -> _Watch:
    watch, looks = _Watch(), _Looks()  # type: ignore[no-untyped-call] # of PyTorch
    hooks = [module.register_forward_hook(watch.called) for module in twin.modules() if _is_layer(module) or _is_norm(module)]
    try:
        with watch, looks:
            twin(images)
    finally:
        for hook in hooks:
            hook.remove()
    watch.looked |= looks.looked
    return watch


def _kept(twin: nn.Module) -> list[Any]:
    """All that modules hold, by which is seen whether they keep something else after each call."""
    return [value for module in twin.modules() for value in vars(module).values()]


def _name(func: Any) -> str:
    """The name of a function, a method or what a property of tensors is read by."""
    name: str = getattr(func, "__name__", "")
    return str(getattr(func.__self__, "__name__", "")) if name == "__get__" else name


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        yield from chain.from_iterable(map(_tensors, value))
    elif isinstance(value, Mapping):
        yield from chain.from_iterable(map(_tensors, value.values()))


def _is_layer(module: nn.Module) -> bool:
    """Whether a module is linear with a weight and a bias of its own, and nothing besides."""
    return type(module) in (*CONVOLUTIONS, nn.Linear) or _is_timm(module, "Conv2dSame")


def _is_norm(module: nn.Module) -> bool:
    """Whether a module scales and shifts channels by statistics that it holds; timm's may also activate."""
    known = type(module) in NORMS or _is_timm(module, "BatchNormAct2d")
    return known and getattr(module, "running_mean", None) is not None


def _is_timm(module: nn.Module, name: str) -> bool:
    # By name, since timm is slow to import and may not be in use at all.
    return type(module).__name__ == name and type(module).__module__.startswith("timm.layers")


# -------------------------------------------------------------------- folding


def _fold(twin: nn.Module, pair: _Pair) -> None:
    """Takes a norm out of the tree, if it stands behind a convolution or linear layer or before a linear one."""
    first, second = pair
    if _is_layer(first) and _is_norm(second):
        fuse: Callable[[Any, Any], nn.Module] = fuse_linear_bn_eval if type(first) is nn.Linear else fuse_conv_bn_eval
        _replace(twin, {first: fuse(first, _plain(second)), second: _activation(second)})
    elif type(first) in NORMS and type(second) is nn.Linear:
        _replace(twin, {first: nn.Identity(), second: _linear_after(first, second)})


def _plain(norm: Any) -> Any:
    """The norm with a weight and a bias, which fusing asks for."""
    if norm.weight is not None and norm.bias is not None:
        return norm
    plain = copy.copy(norm)
    plain._parameters = dict(norm._parameters)
    if norm.weight is None:
        plain.weight = nn.Parameter(torch.ones_like(norm.running_var), requires_grad=False)
    if norm.bias is None:
        plain.bias = nn.Parameter(torch.zeros_like(norm.running_mean), requires_grad=False)
    return plain


def _activation(norm: Any) -> nn.Module:
    """What is left of a norm once it is folded."""
    return nn.Identity() if type(norm) in NORMS else nn.Sequential(norm.drop, norm.act)


def _linear_after(norm: Any, linear: nn.Linear) -> nn.Linear:
    """W (scale x + shift) + b as one layer."""
    norm = _plain(norm)
    scale = norm.weight * torch.rsqrt(norm.running_var + norm.eps)
    shift = norm.bias - norm.running_mean * scale
    made: nn.Linear = _with_own(linear)
    bias = linear.weight @ shift + (0 if linear.bias is None else linear.bias)
    made._parameters = {name: _fixed(value) for name, value in (("weight", linear.weight * scale), ("bias", bias))}
    return made


def _lower(twin: nn.Module, dtype: torch.dtype) -> None:
    """Has convolutions and linear layers hold their weights in 16 bits."""
    lowered: dict[nn.Module, nn.Module] = {}
    for module in twin.modules():
        if _is_layer(module):
            low = lowered[module] = _with_own(module)
            low._parameters = {name: None if p is None else _fixed(p.to(dtype)) for name, p in module._parameters.items()}
    _replace(twin, lowered)


def _with_own(module: Any) -> Any:
    """The same module, whose parameters can be replaced."""
    made = copy.copy(module)
    made._parameters = dict(module._parameters)
    return made


def _fixed(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values, requires_grad=False)


def _replace(tree: nn.Module, new: Mapping[nn.Module, nn.Module]) -> None:
    for parent in list(tree.modules()):
        for name, part in parent._modules.items():
            if part is not None and part in new:
                parent._modules[name] = new[part].eval()


def _worst(network: nn.Module, images: Tensor, expected: Tensor, most: float) -> float | None:
    """The larger difference of one picture alone and of all; None if one is too large."""
    errors = [difference(network(images[:n]), expected[:n], most) for n in (1, len(images))]
    return None if None in errors else max(error for error in errors if error is not None)


def difference(found: Any, expected: Tensor, most: float) -> float | None:
    """The root of the mean square of the differences; None if one is larger than a share of the largest output."""
    if not isinstance(found, Tensor) or found.shape != expected.shape:
        return None
    off = found.float() - expected.float()
    near = off.abs().max() <= most * expected.float().abs().max() + 1e-6
    return float(off.square().mean().sqrt()) if near else None
