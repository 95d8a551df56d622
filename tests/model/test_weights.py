"""A user's file of weights: read without running code, matched by name in every usual layout, refused in plain words."""

from __future__ import annotations

import random
import re
import zipfile

import pytest
import safetensors.torch
import timm
import torch
from torchvision import models

from sightline.errors import SightlineWarning, WeightsError
from sightline.model.spelling import as_file
from sightline.model.vision import create_vision_model
from sightline.model.weights import Layout, Tensors, load_into, read_file
from sightline.tensorfile import write_tensors

ARCH = models.shufflenet_v2_x0_5


def whole(arch=ARCH) -> dict[str, torch.Tensor]:
    """Tensors of a whole network, other than those that a new one would have."""
    torch.manual_seed(11)
    return arch(weights=None).state_dict()


def body_of(model) -> dict[str, torch.Tensor]:
    return model.body.state_dict()


def in_order(tensors: dict[str, torch.Tensor]) -> list[torch.Tensor]:
    """A whole shufflenet's tensors without its classifier, in the order of the body."""
    return [tensor for name, tensor in tensors.items() if not name.startswith("fc.")]


def same(model, tensors: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(body_of(model).values(), in_order(tensors), strict=True))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tensors: tensors,
        lambda tensors: {"state_dict": tensors, "epoch": 3},
        lambda tensors: {"model": {f"module.{name}": tensor for name, tensor in tensors.items()}, "opt": {"lr": 0.1}},
        lambda tensors: {"state_dict": {f"model._orig_mod.{name}": tensor for name, tensor in tensors.items()}},
        lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.startswith("fc.")},
        lambda tensors: {**tensors, "fc.weight": torch.zeros(7, 1024), "fc.bias": torch.zeros(7)},
        lambda tensors: {name: tensor for name, tensor in tensors.items() if not name.endswith("num_batches_tracked")},
    ],
    ids=["whole", "nested", "parallel", "compiled", "without classifier", "other classifier", "old norms"],
)
def test_a_pth_file_is_matched_however_it_was_wrapped(wrap, tmp_path):
    torch.save(wrap(whole()), tmp_path / "mine.pth")
    model = create_vision_model(ARCH, 3, weights=tmp_path / "mine.pth")
    assert torch.equal(body_of(model)["0.0.weight"], whole()["conv1.0.weight"])
    assert torch.equal(body_of(model)["5.1.running_var"], whole()["conv5.1.running_var"])
    assert model.spec.source == str(tmp_path / "mine.pth")


def test_a_safetensors_file_of_a_whole_network_is_matched_tensor_by_tensor(tmp_path):
    safetensors.torch.save_file(whole(), tmp_path / "mine.safetensors")
    assert same(create_vision_model(ARCH, 3, weights=str(tmp_path / "mine.safetensors")), whole())


@pytest.mark.parametrize("n_out", [3, 8], ids=["same head", "another head"])
def test_a_body_with_a_head_of_this_layout_gives_its_body(n_out, tmp_path):
    other = create_vision_model(ARCH, n_out, pretrained=False)
    safetensors.torch.save_file(other.state_dict(), tmp_path / "other.safetensors")
    model = create_vision_model(ARCH, 3, weights=tmp_path / "other.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(body_of(model).values(), body_of(other).values(), strict=True))


@pytest.mark.parametrize("arch", [ARCH, "test_convnext"], ids=["torchvision", "timm"])
@pytest.mark.parametrize("with_opt", [True, False])
def test_a_file_that_a_learner_saved_gives_its_body(arch, with_opt, tmp_path):
    other = create_vision_model(arch, 8, pretrained=False)
    tensors = {f"model.{name}": tensor for name, tensor in other.state_dict().items()}
    if with_opt:
        state = {"exp_avg": torch.ones(3), "exp_avg_sq": torch.ones(3)}
        count = len(list(other.parameters()))
        tensors |= {f"optimizer.{i}.{key}": value.clone() for i in range(count) for key, value in state.items()}
    write_tensors(tmp_path / "saved.safetensors", tensors, {"format": "sightline-weights"})
    assert set(read_file(tmp_path / "saved.safetensors").by_name) == set(other.state_dict())
    model = create_vision_model(arch, 3, weights=tmp_path / "saved.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(body_of(model).values(), body_of(other).values(), strict=True))


@pytest.mark.parametrize("arch", [ARCH, "test_convnext"], ids=["torchvision", "timm"])
def test_an_exported_file_gives_its_body(arch, tmp_path):
    other = create_vision_model(arch, 8, pretrained=False)
    metadata = {"format": "sightline", "manifest": "{}"}
    write_tensors(tmp_path / "exported.safetensors", other.state_dict(), metadata)
    model = create_vision_model(arch, 3, weights=tmp_path / "exported.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(body_of(model).values(), body_of(other).values(), strict=True))


def test_a_body_alone_is_matched(tmp_path):
    other = create_vision_model(ARCH, 2, pretrained=False)
    torch.save(other.body.state_dict(), tmp_path / "body.pt")
    model = create_vision_model(ARCH, 3, weights=tmp_path / "body.pt")
    assert all(torch.equal(a, b) for a, b in zip(body_of(model).values(), body_of(other).values(), strict=True))


def test_densenets_published_names_are_understood(tmp_path):
    tensors = whole(models.densenet121)
    old = {re.sub(r"(denselayer\d+\.(?:norm|conv))(\d)", r"\1.\2", name): tensor for name, tensor in tensors.items()}
    assert "features.denseblock2.denselayer3.conv.2.weight" in old
    torch.save(old, tmp_path / "densenet.pth")
    model = create_vision_model(models.densenet121, 3, weights=tmp_path / "densenet.pth")
    name = "denseblock2.denselayer3.conv2.weight"
    assert torch.equal(model.body[0].get_parameter(name), tensors[f"features.{name}"])


@pytest.mark.parametrize("n_in", [1, 2, 5])
def test_input_channels_are_adapted_when_the_file_has_three(n_in, tmp_path):
    torch.save(whole(), tmp_path / "rgb.pth")
    kernel = create_vision_model(ARCH, 3, weights=tmp_path / "rgb.pth", n_in=n_in).body[0][0].weight
    rgb = whole()["conv1.0.weight"]
    expected = {1: rgb.sum(1, keepdim=True), 2: rgb[:, :2] * 1.5, 5: torch.cat([rgb, torch.zeros(24, 2, 3, 3)], 1)}[n_in]
    assert torch.equal(kernel, expected)


def test_a_file_that_has_the_channels_already_is_taken_as_it_is(tmp_path):
    grey = create_vision_model(ARCH, 3, pretrained=False, n_in=1)
    torch.save(grey.state_dict(), tmp_path / "grey.pth")
    again = create_vision_model(ARCH, 3, weights=tmp_path / "grey.pth", n_in=1)
    assert torch.equal(again.body[0][0].weight, grey.body[0][0].weight)


def test_a_file_of_another_architecture_says_how_much_matched_and_names_the_first_of_each_kind(tmp_path):
    torch.save(whole(models.shufflenet_v2_x1_0), tmp_path / "wider.pth")
    message = (
        r"wider.pth' do not fit shufflenet_v2_x0_5: \d+ of its \d+ tensors matched. Of another shape: "
        r"'stage2.0.branch1.2.weight' is \(58, 24, 1, 1\) in the file and \(24, 24, 1, 1\) in the network, .* and \d+ more"
    )
    with pytest.raises(WeightsError, match=message):
        create_vision_model(ARCH, 3, weights=tmp_path / "wider.pth")


def test_missing_and_unknown_tensors_are_named(tmp_path):
    tensors = whole()
    tensors["stage9.extra"] = tensors.pop("conv1.0.weight")
    torch.save(tensors, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"279 of its 280 .*Missing: 'conv1.0.weight'. Belonging nowhere: 'stage9.extra'"):
        create_vision_model(ARCH, 3, weights=tmp_path / "odd.pth")


def test_a_body_stays_as_it_was_when_tensors_do_not_fit():
    body = torch.nn.Sequential(torch.nn.Linear(2, 2))
    before = {name: tensor.clone() for name, tensor in body.state_dict().items()}
    with pytest.raises(WeightsError, match="1 of its 2 tensors matched"):
        load_into(body, Tensors({"0.weight": torch.ones(2, 2)}, "mine"), [Layout({n: n for n in before})], arch="toy")
    assert all(torch.equal(before[name], tensor) for name, tensor in body.state_dict().items())


def test_a_file_that_holds_code_is_refused_and_the_code_never_runs(tmp_path):
    class Hostile:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    torch.save({"conv1.0.weight": Hostile()}, tmp_path / "hostile.pth")
    with pytest.raises(WeightsError, match=r"holds more than tensors.*would run code.*safetensors.torch.save_file"):
        create_vision_model(ARCH, 3, weights=tmp_path / "hostile.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.pth", None, r"gone.pth': there is no such file. Give the path of a .safetensors, .pth or .pt file"),
        ("odd.h5", b"x", r"odd.h5' ends in '.h5'. Expected a file that ends in .safetensors, .pth or .pt"),
        ("short.safetensors", b"\x10\x00", "cannot be read as .safetensors"),
        ("short.pth", b"PK\x03\x04 and then nothing", "cannot be read|holds more than tensors"),
        ("empty.pth", b"", "cannot be read|holds more than tensors"),
    ],
)
def test_a_file_that_is_none_is_refused(name, content, message, tmp_path):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=message):
        create_vision_model(ARCH, 3, weights=tmp_path / name)


@pytest.mark.parametrize("content", [[torch.zeros(2)], {"epoch": 3}, {"model": {"model": {"model": {}}}}, torch.zeros(3)])
def test_a_file_without_a_dictionary_of_tensors_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match="holds no dictionary of tensors"):
        read_file(tmp_path / "odd.pth")


def test_names_and_tags_are_not_taken_for_files(tmp_path):
    assert as_file("IMAGENET1K_V1") is None
    assert as_file("a1_in1k") is None
    assert as_file(None) is None
    assert as_file("resnet18.a1_in1k") is None
    assert as_file("runs/mine.pth").name == "mine.pth"
    assert as_file("mine.safetensors").name == "mine.safetensors"
    assert as_file(tmp_path) == tmp_path


def test_weights_together_with_pretrained_false_are_loaded_with_a_word_about_it(tmp_path):
    torch.save(whole(), tmp_path / "mine.pth")
    with pytest.warns(SightlineWarning, match="are loaded although pretrained=False"):
        model = create_vision_model(ARCH, 3, pretrained=False, weights=tmp_path / "mine.pth")
    assert same(model, whole())
    assert not model.pretrained
    assert model.stats is None


def test_inceptions_input_is_rescaled_only_when_weights_are_loaded(tmp_path):
    torch.save(models.googlenet(weights=None, aux_logits=False, init_weights=True).state_dict(), tmp_path / "googlenet.pth")
    pictures = torch.randn(1, 3, 2, 2)
    plain = create_vision_model(models.googlenet, 3, pretrained=False)
    assert torch.equal(plain.body[0](pictures), pictures)
    loaded = create_vision_model(models.googlenet, 3, weights=tmp_path / "googlenet.pth")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in loaded.stats)
    torch.testing.assert_close(loaded.body[0](pictures), (pictures * std + mean - 0.5) / 0.5)


def test_a_timm_file_is_matched_in_timms_own_names_and_in_this_layout(tmp_path):
    tensors = timm.create_model("test_convnext", pretrained=False).state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "timm.safetensors")
    model = create_vision_model("test_convnext", 3, weights=tmp_path / "timm.safetensors")
    assert torch.equal(model.body.model.stem[0].weight, tensors["stem.0.weight"])
    safetensors.torch.save_file(model.state_dict(), tmp_path / "ours.safetensors")
    again = create_vision_model("test_convnext", 8, weights=tmp_path / "ours.safetensors")
    assert torch.equal(again.body.model.stem[0].weight, tensors["stem.0.weight"])


def test_a_timm_file_goes_through_timms_conversion_when_names_or_sizes_are_foreign(tmp_path):
    tensors = timm.create_model("test_vit", pretrained=False).state_dict()
    torch.save({"model": tensors}, tmp_path / "vit160.pth")
    model = create_vision_model("test_vit", 3, weights=tmp_path / "vit160.pth", img_size=96)
    assert model.body.model.pos_embed.shape == (1, 37, 64)
    assert torch.equal(model.body.model.patch_embed.proj.weight, tensors["patch_embed.proj.weight"])


def test_a_timm_file_with_three_channels_is_adapted_by_timms_rule(tmp_path):
    tensors = timm.create_model("test_convnext", pretrained=False).state_dict()
    safetensors.torch.save_file(tensors, tmp_path / "timm.safetensors")
    model = create_vision_model("test_convnext", 3, weights=tmp_path / "timm.safetensors", n_in=1)
    torch.testing.assert_close(model.body.model.stem[0].weight, tensors["stem.0.weight"].sum(1, keepdim=True))


def test_a_foreign_file_for_timm_is_refused_in_its_own_names(tmp_path):
    torch.save(whole(), tmp_path / "odd.pth")
    with pytest.raises(WeightsError, match=r"do not fit test_convnext: 0 of its \d+ tensors matched. Missing: 'stem.0.weight'"):
        create_vision_model("test_convnext", 3, weights=tmp_path / "odd.pth")


def packed(path, *, compression, copies=1):
    """What torch.save wrote, its parts packed as no file of torch's is."""
    torch.save({"a": torch.zeros(500_000)}, path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, content * (copies if "/data/" in name else 1))


def test_an_archive_that_would_burst_is_refused_unread(tmp_path):
    packed(tmp_path / "bomb.pth", compression=zipfile.ZIP_DEFLATED)
    assert (tmp_path / "bomb.pth").stat().st_size < 10_000
    with pytest.raises(WeightsError, match="is a packed archive: it would become larger than it is"):
        read_file(tmp_path / "bomb.pth")


@pytest.mark.parametrize(
    "tensor",
    [torch.zeros(1).expand(10**6, 10**6), torch.empty(10**6, 10**6, device="meta"), torch.eye(3).to_sparse()],
    ids=["expanded", "without memory", "sparse"],
)
def test_tensors_that_claim_more_than_the_file_holds_are_refused(tensor, tmp_path):
    torch.save({"conv1.0.weight": tensor}, tmp_path / "vast.pth")
    with pytest.raises(WeightsError, match=r"'conv1.0.weight' is \(.*more than the file holds of it|cannot be read"):
        read_file(tmp_path / "vast.pth")


def test_names_that_are_no_texts_are_left_aside(tmp_path):
    name = ("x",)
    for _ in range(18):
        name = (name, name)
    torch.save({"a": torch.zeros(2), name: torch.ones(2), 3: torch.ones(2)}, tmp_path / "odd.pth")
    assert set(read_file(tmp_path / "odd.pth").by_name) == {"a"}


@pytest.mark.parametrize("old", [False, True], ids=["archive", "before 1.6"])
@pytest.mark.filterwarnings("ignore")
def test_damaged_files_of_torch_end_in_our_own_error_or_well(old, tmp_path):
    rng = random.Random(0)
    torch.save(
        {f"{i}.weight": torch.rand(4, 4) for i in range(5)}, tmp_path / "good.pth", _use_new_zipfile_serialization=not old
    )
    good = (tmp_path / "good.pth").read_bytes()
    messages = []
    for number in range(300):
        bad = bytearray(good[: rng.randrange(len(good))] if number % 4 == 0 else good)
        for _ in range(rng.randrange(1, 4) if bad else 0):
            bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
        (tmp_path / "bad.pth").write_bytes(bad)
        try:
            read_file(tmp_path / "bad.pth")
        except WeightsError as error:
            messages.append(str(error))
    assert len(messages) > 100
    assert max(map(len, messages)) < 1_500
