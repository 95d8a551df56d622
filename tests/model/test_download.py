"""The zoos' own download code against a server on this machine: fetched once, checked, cached; and every way to fail."""

from __future__ import annotations

import gc
import hashlib
import io
import re
import socket
import subprocess
import sys
import time

import huggingface_hub.constants
import pytest
import safetensors.torch
import timm
import torch
from torchvision import models

from sightline.errors import WeightsError
from sightline.model.download import HASH_IN_NAME, _is_what_was_published
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
    with pytest.raises(
        WeightsError, match=r"could not be fetched from http.*its content is not what was published.*" + WAYS_OUT
    ):
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
    name = f"shufflenet-{hashlib.sha256(published[0]).hexdigest()[:8]}.pth"
    monkeypatch.setattr(WEIGHTS.value, "url", f"http://127.0.0.1:{closed_port()}/{name}")
    with pytest.raises(WeightsError, match="Connection refused.*" + WAYS_OUT):
        create_vision_model(ARCH, 3)
    (tmp_path / "torch" / "hub" / "checkpoints" / name).write_bytes(published[0])
    model = create_vision_model(ARCH, 3)
    assert torch.equal(model.body[0][0].weight, published[1]["conv1.0.weight"])


def test_a_damaged_file_in_the_cache_is_named_so_that_it_can_be_deleted(torchvision_server, tmp_path):
    name = next(iter(torchvision_server.files))[1:]
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    (folder / name).write_bytes(b"half a file")
    with pytest.raises(WeightsError, match=rf"cached weights of shufflenet_v2_x0_5 cannot be read.*Delete .*{name}"):
        create_vision_model(ARCH, 3)


def test_a_cached_file_of_another_content_is_not_taken(published, torchvision_server, tmp_path):
    folder = tmp_path / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.manual_seed(8)
    torch.save(ARCH(weights=None).state_dict(), folder / next(iter(torchvision_server.files))[1:])
    with pytest.raises(WeightsError, match=r"cannot be read: .*not what was published: the SHA-256 does not.*Delete"):
        create_vision_model(ARCH, 3)
    assert torchvision_server.requests == []


def test_a_broken_connection_is_taken_up_again(torchvision_server, published):
    torchvision_server.cut_off_at = 2_000_000
    torchvision_server.ranges = True
    torchvision_server.headers |= {"ETag": '"one"', "Accept-Ranges": "bytes"}
    model = create_vision_model(ARCH, 3)
    assert torch.equal(model.body[0][0].weight, published[1]["conv1.0.weight"])
    assert len(torchvision_server.requests) == 3


@pytest.mark.parametrize("to", ["http://example.org/a.pth", "ftp://127.0.0.1/a.pth", "file:///etc/passwd"])
def test_weights_do_not_come_from_where_the_server_leads(torchvision_server, tmp_path, to):
    torchvision_server.redirections = dict.fromkeys(torchvision_server.files, to)
    with pytest.raises(WeightsError, match=r"could not be fetched.*(leads to|not allowed).*" + WAYS_OUT):
        create_vision_model(ARCH, 3)
    assert list((tmp_path / "torch" / "hub" / "checkpoints").iterdir()) == []


def test_weights_come_by_https(monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(WEIGHTS.value, "url", "http://example.org/shufflenet-00000000.pth")
    with pytest.raises(WeightsError, match="only https is trusted"):
        create_vision_model(ARCH, 3)


def test_offline_nothing_is_asked_for(torchvision_server, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(WeightsError, match="HF_HUB_OFFLINE is set.*" + WAYS_OUT):
        create_vision_model(ARCH, 3)
    assert torchvision_server.requests == []


@pytest.mark.slow
def test_a_kill_in_the_middle_leaves_no_file_that_is_taken_for_whole(torchvision_server, published, tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from sightline import web; web.CHUNK = 4096\n"
        "def slow(there, total): print(there, flush=True); time.sleep(0.05)\n"
        "web.fetch(sys.argv[1], Path(sys.argv[2]), most_bytes=1 << 30, timeout=5, progress=slow)"
    )
    name = next(iter(torchvision_server.files))
    cached = tmp_path / "torch" / "hub" / "checkpoints" / name[1:]
    cached.parent.mkdir(parents=True)
    for _ in range(3):
        with subprocess.Popen(
            [sys.executable, "-c", code, f"{torchvision_server.address}{name}", str(cached)], stdout=subprocess.PIPE
        ) as run:
            run.stdout.readline()
            run.kill()
        assert not cached.exists()
    assert torch.equal(create_vision_model(ARCH, 3).body[0][0].weight, published[1]["conv1.0.weight"])


def test_every_file_that_torchvision_publishes_has_a_hash_in_its_name():
    for name in models.list_models(module=models):
        for entry in models.get_model_weights(name):
            assert re.search(HASH_IN_NAME, entry.url), entry.url
            assert entry.url.startswith("https://")


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


def test_timm_weights_of_another_content_than_announced_are_refused_and_removed(hub, tmp_path):
    content = safetensors.torch.save(timm.create_model(TIMM_ARCH, pretrained=False).state_dict())
    hub.files[TIMM_FILE] = content[:-1] + b"!"
    hub.headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
    with pytest.raises(WeightsError, match=r"not what the hub announced, and was removed.*" + WAYS_OUT):
        create_vision_model(TIMM_ARCH, 3)
    assert not [path for path in (tmp_path / "hub").rglob("*") if path.is_file() and path.stat().st_size > 1000]
    hub.files[TIMM_FILE] = content
    assert create_vision_model(TIMM_ARCH, 3).pretrained


def test_a_damaged_file_in_the_hubs_cache_is_fetched_anew(hub, tmp_path):
    content = safetensors.torch.save(timm.create_model(TIMM_ARCH, pretrained=False).state_dict())
    hub.files[TIMM_FILE] = content
    hub.headers["ETag"] = f'"{hashlib.sha256(content).hexdigest()}"'
    create_vision_model(TIMM_ARCH, 3)
    (blob,) = (path for path in (tmp_path / "hub").rglob("*") if path.name == hashlib.sha256(content).hexdigest())
    blob.write_bytes(content[:-1] + b"!")
    assert create_vision_model(TIMM_ARCH, 3).pretrained
    assert hub.requests.count(f"GET {TIMM_FILE}") == 2
    assert blob.read_bytes() == content


def test_small_files_of_the_hub_are_checked_by_the_hash_that_git_gives_them(tmp_path):
    for content, right in ((b"abc", True), (b"abd", False)):
        blob = tmp_path / "f2ba8f84ab5c1bce84a7b441cb1959cfc7093b7f"  # git hash-object of 'abc'
        blob.write_bytes(content)
        assert _is_what_was_published(blob) is right


@pytest.mark.slow
def test_a_download_from_the_hub_that_breaks_off_leaves_nothing_that_counts(hub):
    hub.files[TIMM_FILE] = safetensors.torch.save(timm.create_model(TIMM_ARCH, pretrained=False).state_dict())
    hub.cut_off_at = 100_000
    with pytest.raises(WeightsError, match=r"could not be fetched.*" + WAYS_OUT):
        create_vision_model(TIMM_ARCH, 3)
    hub.cut_off_at = None
    assert create_vision_model(TIMM_ARCH, 3).pretrained


def test_the_hub_is_asked_by_https(hub, monkeypatch):
    at("http://hub.example.org", monkeypatch)
    with pytest.raises(WeightsError, match="only https is trusted"):
        create_vision_model(TIMM_ARCH, 3)


def test_offline_the_hub_is_not_asked(hub, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(WeightsError, match=r"(?i)offline.*" + WAYS_OUT):
        create_vision_model(TIMM_ARCH, 3)
    assert hub.requests == []


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
