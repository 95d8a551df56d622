"""The zoos' own download code against a server on this machine: fetched once, checked, cached; and every way to fail."""

from __future__ import annotations

import gc
import hashlib
import io
import socket
import time

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch
from torchvision import models

from sightline.errors import WeightsError
from sightline.model.vision import create_vision_model

from .serving import serving

ARCH = models.shufflenet_v2_x0_5
WEIGHTS = models.ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1
WAYS_OUT = r"Ways out: connect and try again; .*weights='file.safetensors'.*pretrained=False"
TIMM_ARCH = "test_convnext.r160_in1k"
TIMM_FILE = f"/timm/{TIMM_ARCH}/resolve/main/model.safetensors"


@pytest.fixture(scope="module")
def published() -> tuple[bytes, dict[str, torch.Tensor]]:
    """A file as torchvision publishes them, and its tensors."""
    torch.manual_seed(7)
    tensors = ARCH(weights=None).state_dict()
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue(), tensors


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server, and an empty cache."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    with serving() as served:
        yield served
    gc.collect()  # a connection left open is a warning, here and not in some later test


@pytest.fixture
def torchvision_server(server, published, monkeypatch):
    """The server serves a torchvision network's weights, named by their hash."""
    content, _ = published
    name = f"/shufflenet-{hashlib.sha256(content).hexdigest()[:8]}.pth"
    server.files[name] = content
    monkeypatch.setattr(WEIGHTS.value, "url", f"{server.address}{name}")
    return server


def test_weights_are_downloaded_once_checked_and_cached(torchvision_server, published, tmp_path, capsys):
    for _ in range(2):
        model = create_vision_model(ARCH, 3)
        assert torch.equal(model.body[0][0].weight, published[1]["conv1.0.weight"])
        assert model.spec.source == "ShuffleNet_V2_X0_5_Weights.IMAGENET1K_V1"
        assert model.pretrained
    assert len(torchvision_server.requests) == 1
    assert len(list((tmp_path / "torch" / "hub" / "checkpoints").iterdir())) == 1
    assert "100%" in capsys.readouterr().err


def test_an_altered_file_is_refused_by_its_hash(torchvision_server, tmp_path):
    for name, content in torchvision_server.files.items():
        torchvision_server.files[name] = content[:-1] + b"!"
    with pytest.raises(WeightsError, match=r"could not be fetched from http.*invalid hash value.*" + WAYS_OUT):
        create_vision_model(ARCH, 3)
    assert list((tmp_path / "torch" / "hub" / "checkpoints").iterdir()) == []


def test_a_download_that_breaks_off_is_refused(torchvision_server):
    torchvision_server.cut_off_at = 1000
    with pytest.raises(WeightsError, match="could not be fetched.*" + WAYS_OUT):
        create_vision_model(ARCH, 3)


def test_a_missing_file_names_the_address_and_where_a_copy_may_lie(torchvision_server, tmp_path):
    name = next(iter(torchvision_server.files))
    torchvision_server.files.clear()
    with pytest.raises(WeightsError, match="HTTP Error 404") as error:
        create_vision_model(ARCH, 3)
    assert f"{torchvision_server.address}{name}" in str(error.value)
    assert f"copy the file to {tmp_path / 'torch' / 'hub' / 'checkpoints' / name[1:]}" in str(error.value)


def test_a_file_copied_into_the_cache_needs_no_network(published, tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(WEIGHTS.value, "url", f"http://127.0.0.1:{closed_port()}/shufflenet-00000000.pth")
    with pytest.raises(WeightsError, match="Connection refused.*" + WAYS_OUT):
        create_vision_model(ARCH, 3)
    (tmp_path / "torch" / "hub" / "checkpoints" / "shufflenet-00000000.pth").write_bytes(published[0])
    model = create_vision_model(ARCH, 3)
    assert torch.equal(model.body[0][0].weight, published[1]["conv1.0.weight"])


def test_a_damaged_file_in_the_cache_is_named_so_that_it_can_be_deleted(torchvision_server, tmp_path):
    name = next(iter(torchvision_server.files))[1:]
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=rf"cached weights of shufflenet_v2_x0_5 cannot be read.*Delete .*{name}"):
        create_vision_model(ARCH, 3)


def test_a_server_that_stays_silent_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr("sightline.model.download.STALLED_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setattr(WEIGHTS.value, "url", f"http://127.0.0.1:{silent.getsockname()[1]}/shufflenet-00000000.pth")
        with pytest.raises(WeightsError, match="timed out.*" + WAYS_OUT):
            create_vision_model(ARCH, 3)
    assert socket.getdefaulttimeout() is None


def test_weights_hold_no_code_that_would_run(server, monkeypatch):
    class Hostile:
        def __reduce__(self):
            return exec, ("raise SystemExit('code ran')",)

    buffer = io.BytesIO()
    torch.save({"conv1.0.weight": Hostile()}, buffer)
    name = f"/hostile-{hashlib.sha256(buffer.getvalue()).hexdigest()[:8]}.pth"
    server.files[name] = buffer.getvalue()
    monkeypatch.setattr(WEIGHTS.value, "url", f"{server.address}{name}")
    with pytest.raises(WeightsError, match="UnpicklingError"):
        create_vision_model(ARCH, 3)


@pytest.fixture
def hub(server, tmp_path, monkeypatch):
    """The server stands for timm's hub, with an empty cache."""
    at(server.address, monkeypatch)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    server.headers |= {"X-Repo-Commit": "0" * 40, "ETag": '"0123456789abcdef"'}
    return server


def test_timm_weights_are_downloaded_once_and_cached(hub):
    torch.manual_seed(7)
    tensors = timm.create_model(TIMM_ARCH, pretrained=False).state_dict()
    hub.files[TIMM_FILE] = safetensors.torch.save(tensors)
    for _ in range(2):
        model = create_vision_model(TIMM_ARCH, 3)
        assert torch.equal(model.body.model.stem[0].weight, tensors["stem.0.weight"])
        assert model.spec.source == f"timm/{TIMM_ARCH}"
    assert hub.requests.count(f"GET {TIMM_FILE}") == 1


def test_cached_timm_weights_need_no_hub(hub, monkeypatch):
    hub.files[TIMM_FILE] = safetensors.torch.save(timm.create_model(TIMM_ARCH, pretrained=False).state_dict())
    create_vision_model(TIMM_ARCH, 3)
    at(f"http://127.0.0.1:{closed_port()}", monkeypatch)
    started = time.perf_counter()
    assert create_vision_model(TIMM_ARCH, 3).pretrained
    assert time.perf_counter() - started < 10


def test_without_timms_hub_the_error_comes_within_seconds(hub, monkeypatch):
    at(f"http://127.0.0.1:{closed_port()}", monkeypatch)
    started = time.perf_counter()
    with pytest.raises(WeightsError, match=rf"timm's test_convnext.* could not be fetched from .*{TIMM_ARCH}.*" + WAYS_OUT):
        create_vision_model("test_convnext", 3)
    assert time.perf_counter() - started < 10


def test_a_file_missing_from_timms_hub_is_refused(hub):
    with pytest.raises(WeightsError, match=r"could not be fetched.*" + WAYS_OUT):
        create_vision_model(TIMM_ARCH, 3)


def test_an_architecture_without_published_weights_says_so():
    with pytest.raises(WeightsError, match="timm has no published weights for 'coatnet_0_224'"):
        create_vision_model("coatnet_0_224", 3)


def at(address: str, monkeypatch) -> None:
    """Send timm's hub client to another address, as HF_ENDPOINT would have before it was imported."""
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(huggingface_hub.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)


def closed_port() -> int:
    """A port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return taken.getsockname()[1]
