"""Weight gradients of convolutions by unfolding and one matrix product, for the shapes for which this machine is quicker so.

oneDNN, which computes PyTorch's convolutions on a CPU, gives the gradient of kernels far more slowly than everything else for
some shapes (large kernels over few pixels, strides). The same gradient is the product of two matrices: what lay under the
kernel at each place, unfolded, and the gradient of each place. Which way is taken is timed once for a machine and a shape.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from sightline.errors import counted
from sightline.runtime import Runtime
from sightline.train.timed_choices import TimedChoices

FILE_NAME = "weight_gradients.json"
_MOST_UNFOLDED_BYTES = 64 * 2**20
"""Bytes that are unfolded at a time; a batch that needs more is taken in parts."""
_FEWEST_OPERATIONS = 10**8
"""Below this many, of some tenths of a millisecond, nothing can be gained that would be noticed."""
_DEFAULTS = MappingProxyType(
    {"input": None, "weight": None, "bias": None, "stride": 1, "padding": 0, "dilation": 1, "groups": 1}
)
"""The arguments of `torch.conv2d` in order."""

Pair = tuple[int, int]


@dataclass(frozen=True)
class WeightGradients:
    """How the gradients of kernels are computed: a value that is planned once for a run.

    Attributes:
        choices: What was timed on this machine; None where PyTorch's own way is always taken.
        reason: Why it is, in words.
    """

    choices: TimedChoices | None
    reason: str = ""

    @classmethod
    def planned(cls, runtime: Runtime) -> WeightGradients:
        """What a runtime allows: in bf16 on a CPU both ways, elsewhere PyTorch's own."""
        if runtime.device.type != "cpu" or runtime.precision != "bf16":
            return cls(None, "unfolding pays in bf16 on a CPU only")
        choices = TimedChoices.in_cache(FILE_NAME)
        return cls(None, f"choices could not be kept: {choices.problem}") if choices.problem else cls(choices)

    def forward(self) -> contextlib.AbstractContextManager[object]:
        """The context in which the network's forward pass of a training step runs, autocast within or around it."""
        return contextlib.nullcontext() if self.choices is None else _Watching(self.choices)

    def describe(self) -> str:
        """For the plan, as one sentence whose subject is the weight gradients."""
        if self.choices is None:
            return f"PyTorch's own way, because {self.reason}"
        if torch.are_deterministic_algorithms_enabled():
            return "PyTorch's own way, because deterministic algorithms were asked for"
        known, problem = self.choices.known, self.choices.problem
        if not known:
            timed = "the quicker of two ways for each shape, timed in the first step and kept for later runs"
            return f"PyTorch's own way, because choices could not be kept: {problem}" if problem else timed
        return (
            f"by unfolding and matrix product for {sum(known.values())} of {counted(len(known), 'shape')} "
            f"that were timed on this machine{f'; no others are timed, because {problem}' if problem else ''}"
        )


def unfolded_weight_gradient(
    images: Tensor, gradient: Tensor, kernel: Pair, stride: Pair = (1, 1), padding: Pair = (0, 0)
) -> Tensor:
    """The gradient of a convolution's kernels as a product of matrices.

    Args:
        images: What the convolution was given, `(N, C, H, W)`; quickest in channels-last format.
        gradient: That of its outputs, `(N, O, h, w)`, of the same dtype.
        kernel: Height and width of the kernels.
        stride: Of the convolution, down and across.
        padding: Zeros on each side, down and across.

    Returns:
        `(O, C, *kernel)` in channels-last format, of the same dtype; summed in float32.
    """
    outputs, channels = gradient.shape[1], images.shape[1]
    pixel_bytes = math.prod(gradient.shape[2:]) * math.prod(kernel) * channels * images.element_size()
    share = max(1, _MOST_UNFOLDED_BYTES // max(1, pixel_bytes))
    parts = zip(images.split(share), gradient.split(share), strict=True)
    products = [_flat(g.permute(0, 2, 3, 1)).t() @ _unfolded(x, kernel, stride, padding) for x, g in parts]
    # Of a batch in one part nothing is added; parts are added in float32, as within one product.
    total = products[0] if len(products) == 1 else torch.stack(products).sum(0, dtype=torch.float32).to(images.dtype)
    return total.view(outputs, *kernel, channels).permute(0, 3, 1, 2)


def _unfolded(images: Tensor, kernel: Pair, stride: Pair, padding: Pair) -> Tensor:
    """What lies under the kernel at each place of the output, `(N * h * w, kh * kw * C)`; a view for kernels of one pixel."""
    if any(padding):
        images = F.pad(images, (padding[1], padding[1], padding[0], padding[0]))
    pixels = images.permute(0, 2, 3, 1)
    windows = pixels.unfold(1, kernel[0], stride[0]).unfold(2, kernel[1], stride[1])
    return windows.permute(0, 1, 2, 4, 5, 3).reshape(-1, math.prod(kernel) * pixels.shape[3])


def _flat(pixels: Tensor) -> Tensor:
    return pixels.reshape(-1, pixels.shape[-1])


class _Convolution(torch.autograd.Function):
    """A convolution like any other whose kernels' gradient is computed in the way chosen for its shape."""

    @staticmethod
    def forward(
        images: Tensor, kernels: Tensor, bias: Tensor | None, stride: Pair, padding: Pair, choices: TimedChoices
    ) -> Tensor:
        return torch.conv2d(images, kernels, bias, stride, padding)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        images, kernels, bias, ctx.stride, ctx.padding, ctx.choices = inputs
        ctx.bias_sizes = None if bias is None else list(bias.shape)
        ctx.save_for_backward(images, kernels)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        images, kernels = ctx.saved_tensors
        for_images, for_kernels, for_bias = ctx.needs_input_grad[:3]

        def usual(*wanted: bool) -> Sequence[Tensor | None]:
            rest = (ctx.bias_sizes, ctx.stride, ctx.padding, (1, 1), False, (0, 0), 1, wanted)
            found: Sequence[Tensor | None] = torch.ops.aten.convolution_backward(gradient, images, kernels, *rest)
            return found

        def unfolding() -> Tensor:
            return unfolded_weight_gradient(images, gradient, (kernels.shape[2], kernels.shape[3]), ctx.stride, ctx.padding)

        # Where gradients will be differentiated PyTorch's own way is taken: it knows how to differentiate itself.
        if not for_kernels or torch.is_grad_enabled() or torch.are_deterministic_algorithms_enabled():
            return (*usual(for_images, for_kernels, for_bias), None, None, None)
        case = _case(images, kernels, ctx.stride, ctx.padding)
        if not ctx.choices.takes_other(case, lambda: usual(False, True, False), unfolding):
            return (*usual(for_images, True, for_bias), None, None, None)
        of_images, _, of_bias = usual(for_images, False, for_bias) if for_images or for_bias else (None, None, None)
        return of_images, unfolding(), of_bias, None, None, None


def _case(images: Tensor, kernels: Tensor, stride: Pair, padding: Pair) -> str:
    """All that the time depends on but the machine; batches up to the next power of two count as one."""
    batch = 1 << (images.shape[0] - 1).bit_length()
    sizes = "x".join(str(side) for side in images.shape[1:])
    kind = "x".join(str(side) for side in kernels.shape)
    return f"{str(images.dtype).removeprefix('torch.')} {batch}x{sizes} by {kind} stride {stride} padding {padding}"


class _Watching(TorchFunctionMode):
    """Gives the convolutions of a forward pass to `_Convolution` where its way may pay; leaves all else alone."""

    def __init__(self, choices: TimedChoices) -> None:
        super().__init__()
        self._choices = choices

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        given = _eligible(args, kwargs) if func is torch.conv2d else None
        return func(*args, **kwargs) if given is None else _Convolution.apply(*given, self._choices)


def _eligible(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> tuple[Any, ...] | None:
    """Images, kernels and bias in bf16, stride and padding of a convolution that can be unfolded; None for all others."""
    if not _computes_in_bf16() or torch.compiler.is_compiling():
        return None
    given: dict[str, Any] = _DEFAULTS | dict(zip(_DEFAULTS, args, strict=False)) | dict(kwargs)
    images, kernels, bias = tensors = [given.pop(name) for name in ("input", "weight", "bias")]
    stride, padding, dilation = (_pair(given.pop(name)) for name in ("stride", "padding", "dilation"))
    if stride is None or min(stride) < 1 or padding is None or dilation != (1, 1) or given != {"groups": 1}:
        return None
    if images is None or kernels is None or not all(part is None or _is_castable(part) for part in tensors):
        return None
    if not kernels.requires_grad or not _is_worth_it(images, kernels, stride):
        return None
    # As autocast casts them, gradients flowing back through the casts.
    return (*(None if part is None else part.to(torch.bfloat16) for part in (images, kernels, bias)), stride, padding)


def _is_castable(part: Tensor) -> bool:
    """Whether it is a plain tensor that autocast would cast; subclasses have ways of their own."""
    return type(part) in (Tensor, nn.Parameter) and part.dtype in (torch.float32, torch.bfloat16) and part.device.type == "cpu"


def _computes_in_bf16() -> bool:
    return torch.is_grad_enabled() and torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16


def _is_worth_it(images: Tensor, kernels: Tensor, stride: Pair) -> bool:
    """Whether there is enough to compute, and images lie in the format from which unfolding is quick."""
    if images.ndim != 4 or kernels.ndim != 4 or images.shape[1] != kernels.shape[1]:
        return False
    places = math.prod(images.shape[2:]) / math.prod(stride)
    enough = 2 * images.shape[0] * places * kernels.numel() >= _FEWEST_OPERATIONS
    return enough and images.is_contiguous(memory_format=torch.channels_last)


def _pair(given: Any) -> Pair | None:
    """Down and across, from one number or two; None for anything else, such as padding='same'."""
    both = (given, given) if isinstance(given, int) else tuple(given) if isinstance(given, (tuple, list)) else ()
    both = both * 2 if len(both) == 1 else both
    return both if len(both) == 2 and all(isinstance(one, int) for one in both) else None
