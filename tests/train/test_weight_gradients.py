"""Weight gradients by unfolding: the same gradients as PyTorch's own, wherever a convolution comes from."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from sightline.runtime import plan_runtime
from sightline.train import timed_choices, weight_gradients
from sightline.train.weight_gradients import WeightGradients, unfolded_weight_gradient

BF16 = plan_runtime("cpu", "bf16")


@pytest.fixture(autouse=True)
def _everything_is_worth_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(weight_gradients, "_FEWEST_OPERATIONS", 1)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def unfolds(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Timing always finds unfolding quicker; gives the shapes of the gradients that were computed so."""
    shapes: list[tuple[int, ...]] = []

    def counted(*args: object, **kwargs: object) -> Tensor:
        shapes.append(tuple((found := unfolded_weight_gradient(*args, **kwargs)).shape))
        return found

    monkeypatch.setattr(timed_choices, "_time_both", lambda usual, other: (2.0, 1.0))
    monkeypatch.setattr(weight_gradients, "unfolded_weight_gradient", counted)
    return shapes


@pytest.fixture
def never_unfolds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timed_choices, "_time_both", lambda usual, other: (1.0, 1.0))


def pictures(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def small_network() -> nn.Module:
    network = nn.Sequential(
        nn.Conv2d(3, 8, 7, 2, 3, bias=False),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 12, 1, 2),
        nn.ReLU(),
        nn.Conv2d(12, 8, (3, 2), (2, 1), (1, 0)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )
    return network.to(memory_format=torch.channels_last)


def backward(network: nn.Module, images: Tensor, *, bf16: bool = True, watched: bool = True) -> tuple[Tensor, list[Tensor]]:
    """Outputs, and the gradients of all parameters that train."""
    network.zero_grad()
    ways = WeightGradients.planned(BF16 if watched else plan_runtime("cpu", "fp32"))
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16), ways.forward():
        found = network(images)
    found.float().square().sum().backward()
    return found.detach(), [parameter.grad for parameter in network.parameters() if parameter.grad is not None]


def error(found: Tensor, right: Tensor) -> float:
    return ((found - right).norm() / right.norm().clamp(min=1e-12)).item()


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5), (7, 7)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (0, 3)])
@pytest.mark.parametrize("in_parts", [False, True])
def test_the_product_is_the_gradient(kernel, stride, padding, in_parts, monkeypatch: pytest.MonkeyPatch):
    if in_parts:
        monkeypatch.setattr(weight_gradients, "_MOST_UNFOLDED_BYTES", 1)
    images = pictures(3, 4, 9, 8)
    kernels = torch.randn(5, 4, *kernel, requires_grad=True)
    outputs = F.conv2d(images, kernels, stride=stride, padding=padding)
    gradient = torch.randn_like(outputs)
    (right,) = torch.autograd.grad(outputs, kernels, gradient)
    torch.testing.assert_close(unfolded_weight_gradient(images, gradient, kernel, stride, padding), right, atol=1e-4, rtol=1e-4)


def test_gradients_are_as_near_to_fp32_as_those_of_pytorch_in_bf16(unfolds):
    network, images = small_network(), pictures(6, 3, 32, 32)
    _, right = backward(network, images, bf16=False, watched=False)
    plain, usual = backward(network, images, watched=False)
    watched, ours = backward(network, images)
    assert torch.equal(watched, plain)
    assert len(unfolds) == 4
    for one, other, best in zip(ours, usual, right, strict=True):
        assert one.dtype == torch.float32
        assert one.stride() == other.stride()
        assert F.cosine_similarity(one.flatten(), other.flatten(), dim=0) > 0.9999
        assert error(one, best) < 1.05 * error(other, best) + 1e-4


def test_where_unfolding_is_no_quicker_the_bits_are_those_of_pytorch(never_unfolds):
    network, images = small_network(), pictures(6, 3, 32, 32)
    _, usual = backward(network, images, watched=False)
    _, ours = backward(network, images)
    assert all(torch.equal(one, other) for one, other in zip(ours, usual, strict=True))


def test_a_later_run_has_the_same_bits_without_timing(unfolds, monkeypatch: pytest.MonkeyPatch):
    network, images = small_network(), pictures(6, 3, 32, 32)
    _, first = backward(network, images)
    monkeypatch.setattr(timed_choices, "_time_both", lambda usual, other: pytest.fail("this shape was timed already"))
    _, second = backward(network, images)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_batches_up_to_the_next_power_of_two_share_a_choice(unfolds, monkeypatch: pytest.MonkeyPatch):
    network = nn.Conv2d(3, 4, 3)
    backward(network, pictures(8, 3, 9, 9))
    monkeypatch.setattr(timed_choices, "_time_both", lambda usual, other: (1.0, 9.0))
    backward(network, pictures(5, 3, 9, 9))
    assert len(unfolds) == 2
    backward(network, pictures(9, 3, 9, 9))
    assert len(unfolds) == 2


def test_timing_itself_chooses_one_of_the_two(tmp_path: Path):
    backward(small_network(), pictures(2, 3, 16, 16))
    known = WeightGradients.planned(BF16).choices.known
    assert len(known) == 4
    assert "bfloat16 2x3x16x16 by 8x3x7x7 stride (2, 2) padding (3, 3)" in known


def test_nothing_changes_in_fp32(unfolds):
    network, images = small_network(), pictures(6, 3, 32, 32)
    _, usual = backward(network, images, bf16=False, watched=False)
    _, ours = backward(network, images, bf16=False)
    assert all(torch.equal(one, other) for one, other in zip(ours, usual, strict=True))
    assert unfolds == []
    assert WeightGradients.planned(plan_runtime("cpu", "fp32")).choices is None


def test_deterministic_algorithms_are_pytorchs_own(unfolds):
    torch.use_deterministic_algorithms(True)
    try:
        backward(small_network(), pictures(2, 3, 16, 16))
        assert "deterministic" in WeightGradients.planned(BF16).describe()
    finally:
        torch.use_deterministic_algorithms(False)
    assert unfolds == []


def test_where_choices_cannot_be_kept_pytorchs_own_way_is_taken(unfolds, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", "0")
    backward(small_network(), pictures(2, 3, 16, 16))
    assert unfolds == []
    assert "SIGHTLINE_CACHE=0" in WeightGradients.planned(BF16).describe()


def test_the_plan_says_that_choices_cannot_be_kept_once_that_is_known(unfolds, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    ways = WeightGradients.planned(BF16)
    assert not ways.choices.takes_other("one", lambda: None, lambda: None)
    assert ways.describe().startswith("PyTorch's own way, because choices could not be kept: weight_gradients.json cannot be")
    ways.choices._known = {"two": {"other": True}}
    assert "1 of 1 shape that were timed on this machine; no others are timed, because weight" in ways.describe()


class Scaled(Tensor):
    """A tensor with a type of its own."""


LEFT_ALONE: dict[str, tuple[Callable[[], nn.Module], Callable[[Tensor], Tensor]]] = {
    "groups": (lambda: nn.Conv2d(4, 4, 3, groups=2), lambda x: x),
    "dilation": (lambda: nn.Conv2d(4, 4, 3, dilation=2), lambda x: x),
    "padding by name": (lambda: nn.Conv2d(4, 4, 3, padding="same"), lambda x: x),
    "other padding": (lambda: nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect", groups=4), lambda x: x),
    "channels first": (lambda: nn.Conv2d(4, 4, 3), lambda x: x.contiguous()),
    "one picture": (lambda: nn.Conv2d(4, 4, 3), lambda x: x[0]),
    "no picture": (lambda: nn.Conv2d(4, 4, 3), lambda x: x[:0]),
    "frozen kernels": (lambda: nn.Conv2d(4, 4, 3).requires_grad_(False), lambda x: x),
    "transposed": (lambda: nn.ConvTranspose2d(4, 4, 3), lambda x: x),
    "a line": (lambda: nn.Conv1d(4, 4, 3), lambda x: x.flatten(2)),
    "64 bits": (lambda: nn.Conv2d(4, 4, 3, dtype=torch.float64), lambda x: x.double()),
    "a tensor with a type": (lambda: nn.Conv2d(4, 4, 3), lambda x: x.as_subclass(Scaled)),
}


@pytest.mark.parametrize("kind", LEFT_ALONE)
def test_other_convolutions_are_left_alone(kind: str, unfolds):
    made, changed = LEFT_ALONE[kind]
    layer, images = made(), pictures(2, 4, 9, 9).requires_grad_()
    found = []
    for watched in (False, True):
        ways = WeightGradients.planned(BF16 if watched else plan_runtime("cpu", "fp32"))
        with torch.autocast("cpu", torch.bfloat16), ways.forward():
            outputs = layer(changed(images)).as_subclass(Tensor)
        found.append((outputs, *torch.autograd.grad(outputs.float().square().sum(), images)))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))
    assert unfolds == []


def test_without_gradients_nothing_is_watched(unfolds):
    network = small_network()
    with torch.autocast("cpu", torch.bfloat16), WeightGradients.planned(BF16).forward():
        with torch.no_grad():
            assert network(pictures(2, 3, 16, 16)).grad_fn is None
        with torch.inference_mode():
            network(pictures(2, 3, 16, 16))
        with torch.autocast("cpu", enabled=False):
            assert network[0](pictures(2, 3, 16, 16)).dtype == torch.float32


@pytest.mark.parametrize("frozen", ["weight", "bias"])
def test_frozen_parameters_get_no_gradient(frozen: str, unfolds):
    layer, images = nn.Conv2d(3, 4, 3), pictures(2, 3, 9, 9).requires_grad_()
    getattr(layer, frozen).requires_grad_(False)
    _, (gradient,) = backward(layer, images)
    assert getattr(layer, frozen).grad is None
    assert gradient.shape == (layer.weight if frozen == "bias" else layer.bias).shape
    assert images.grad is not None
    assert len(unfolds) == (frozen == "bias")


@pytest.mark.parametrize("bias", [True, False])
def test_the_gradient_of_images_is_computed_only_where_asked_for(bias: bool, unfolds):
    layer, images = nn.Conv2d(3, 4, 3, bias=bias), pictures(2, 3, 9, 9)
    with torch.autocast("cpu", torch.bfloat16), WeightGradients.planned(BF16).forward():
        outputs = layer(images)
    cast = outputs.grad_fn.next_functions[0][0]
    assert cast is None
    outputs.float().sum().backward()
    assert unfolds == [(4, 3, 3, 3)]


def test_gradients_of_gradients_are_pytorchs_own(unfolds):
    network, found = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Tanh(), nn.Conv2d(4, 2, 3)), []
    images = pictures(2, 3, 12, 12).requires_grad_()
    for watched in (False, True):
        network.zero_grad()
        with (
            torch.autocast("cpu", torch.bfloat16),
            WeightGradients.planned(BF16 if watched else plan_runtime("cpu", "fp32")).forward(),
        ):
            outputs = network(images).float().square().sum()
        (slope,) = torch.autograd.grad(outputs, images, create_graph=True)
        slope.square().sum().backward()
        found.append([parameter.grad for parameter in network.parameters() if parameter.grad is not None])
    assert len(found[1]) == len(found[0]) > 2
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, atol=1e-2, rtol=2e-2)


def test_a_graph_that_is_kept_can_be_gone_through_twice(unfolds):
    layer = nn.Conv2d(3, 4, 3)
    with torch.autocast("cpu", torch.bfloat16), WeightGradients.planned(BF16).forward():
        loss = layer(pictures(2, 3, 9, 9)).float().square().sum()
    loss.backward(retain_graph=True)
    once = layer.weight.grad.clone()
    loss.backward()
    torch.testing.assert_close(layer.weight.grad, 2 * once)


def test_a_layer_used_twice_adds_its_gradients_up(unfolds):
    layer = nn.Conv2d(4, 4, 3, padding=1)
    images = pictures(2, 4, 9, 9)
    network = nn.Sequential(layer, layer)
    _, usual = backward(network, images, watched=False)
    _, ours = backward(network, images)
    assert len(unfolds) == 2
    assert error(ours[0], usual[0]) < 1e-2


def test_activations_may_be_computed_again_in_the_backward_pass(unfolds):
    network, images = small_network(), pictures(2, 3, 16, 16)

    class Again(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return checkpoint(network[3:].forward, network[:3](x), use_reentrant=False)

    again = Again()
    again.network = network
    _, usual = backward(network, images, watched=False)
    _, ours = backward(again, images)
    assert all(error(one, other) < 2e-2 for one, other in zip(ours, usual, strict=True))


@pytest.mark.parametrize("name", ["Conv2dSame", "StdConv2d", "ScaledStdConv2dSame"])
def test_layers_of_timm_have_the_right_gradients(name: str, unfolds):
    layers = pytest.importorskip("timm.layers")
    layer = getattr(layers, name)(4, 6, 3, stride=2).to(memory_format=torch.channels_last)
    images = pictures(4, 4, 15, 15)
    _, right = backward(layer, images, bf16=False, watched=False)
    _, usual = backward(layer, images, watched=False)
    _, ours = backward(layer, images)
    for one, other, best in zip(ours, usual, right, strict=True):
        assert error(one, best) < 1.2 * error(other, best) + 2e-3


def test_layers_with_computed_kernels_have_the_right_gradients(unfolds):
    layer = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 6, 3))
    images = pictures(4, 4, 9, 9)
    _, usual = backward(layer, images, watched=False)
    _, ours = backward(layer, images)
    assert len(unfolds) == 1
    assert all(error(one, other) < 2e-2 for one, other in zip(ours, usual, strict=True))


def test_hooks_see_what_they_always_see(unfolds):
    layer, seen = nn.Conv2d(3, 4, 3), []
    layer.register_forward_hook(lambda module, args, outputs: seen.append(outputs.dtype))
    layer.register_full_backward_hook(lambda module, into, out: seen.append(out[0].dtype))
    backward(layer, pictures(2, 3, 9, 9).requires_grad_())
    assert seen == [torch.bfloat16, torch.bfloat16]
    assert len(unfolds) == 1


def test_functional_gradients_are_right(unfolds):
    layer, images = nn.Conv2d(3, 4, 3), pictures(2, 3, 9, 9)

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        return torch.func.functional_call(layer, parameters, (images,)).float().square().sum()

    _, usual = backward(layer, images, watched=False)
    parameters = {name: parameter.detach() for name, parameter in layer.named_parameters()}
    with torch.autocast("cpu", torch.bfloat16), WeightGradients.planned(BF16).forward():
        ours = torch.func.grad(loss)(parameters)
    assert error(ours["weight"], usual[0]) < 1e-2


def test_a_wrong_call_fails_as_it_always_does():
    with torch.autocast("cpu", torch.bfloat16), WeightGradients.planned(BF16).forward():
        with pytest.raises(RuntimeError, match="to have 4 channels"):
            nn.Conv2d(4, 4, 3)(pictures(2, 3, 9, 9))
        with pytest.raises(RuntimeError, match="stride"):
            F.conv2d(pictures(2, 3, 9, 9), torch.randn(4, 3, 3, 3, requires_grad=True), stride=0)
        with pytest.raises(TypeError, match="conv2d"):
            F.conv2d(pictures(2, 3, 9, 9), torch.randn(4, 3, 3, 3, requires_grad=True), strides=2)


def test_a_batch_is_unfolded_in_parts_of_bounded_size(monkeypatch: pytest.MonkeyPatch):
    sizes: list[int] = []
    unfolded = weight_gradients._unfolded

    def seen(*args: object) -> Tensor:
        sizes.append((found := unfolded(*args)).nbytes)
        return found

    monkeypatch.setattr(weight_gradients, "_unfolded", seen)
    monkeypatch.setattr(weight_gradients, "_MOST_UNFOLDED_BYTES", 20_000)
    unfolded_weight_gradient(pictures(16, 4, 9, 9), pictures(16, 4, 7, 7), (3, 3))
    assert len(sizes) > 1
    assert max(sizes) <= 20_000


def test_the_plan_says_how_weight_gradients_are_computed(unfolds):
    assert "PyTorch's own way" in WeightGradients.planned(plan_runtime("cpu", "fp32")).describe()
    assert "timed in the first step" in WeightGradients.planned(BF16).describe()
    backward(nn.Conv2d(3, 4, 3), pictures(2, 3, 9, 9))
    assert WeightGradients.planned(BF16).describe().endswith("for 1 of 1 shape that were timed on this machine")
