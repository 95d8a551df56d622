"""Sealed tensor files: what goes in comes back, is read by others, and nothing that is not whole is taken for it."""

from __future__ import annotations

import os

import numpy as np
import pytest
import safetensors.torch
import torch
from safetensors import safe_open

from sightline.errors import SightlineError, TensorFileError
from sightline.tensorfile import DTYPES, read_metadata, read_tensors, write_tensors


def every_dtype() -> dict[str, torch.Tensor]:
    return {name: torch.arange(6).reshape(2, 3).to(dtype) for name, dtype in DTYPES.items()}


ODD = {
    "none": torch.zeros(0, 3),
    "scalar": torch.tensor(2.5),
    "turned": torch.arange(12.0).reshape(3, 4).T,
    "wide": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last),
    "expanded": torch.tensor([1.0]).expand(5),
    "trained": torch.nn.Parameter(torch.ones(2)),
    "é [\"{,": torch.ones(1),
}  # fmt: skip


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()


def test_tensors_of_every_dtype_and_layout_come_back(tmp_path):
    tensors = {**every_dtype(), **ODD}
    write_tensors(tmp_path / "deep" / "a.safetensors", tensors, {"format": "x", "é": '{"sha256":"0"}'})
    found = read_tensors(tmp_path / "deep" / "a.safetensors")
    assert list(found.tensors) == list(tensors)
    assert found.metadata == read_metadata(tmp_path / "deep" / "a.safetensors") == {"format": "x", "é": '{"sha256":"0"}'}
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert found.tensors[name].shape == tensor.shape
        assert bytes_of(found.tensors[name]) == bytes_of(tensor)


def test_others_read_what_is_written_and_are_read(tmp_path):
    plain = every_dtype()
    write_tensors(tmp_path / "ours.safetensors", plain, {"a": "b"})
    theirs = safetensors.torch.load_file(tmp_path / "ours.safetensors")
    assert {name: tensor.dtype for name, tensor in theirs.items()} == {name: tensor.dtype for name, tensor in plain.items()}
    with safe_open(tmp_path / "ours.safetensors", "pt") as opened:
        assert opened.metadata()["a"] == "b"
        assert len(opened.metadata()["sha256"]) == 64
    safetensors.torch.save_file(plain, tmp_path / "theirs.safetensors", metadata={"c": "d"})
    found = read_tensors(tmp_path / "theirs.safetensors", sealed=False)
    assert found.metadata == {"c": "d"}
    assert torch.equal(found.tensors["F32"], plain["F32"])


def test_tensors_begin_at_a_multiple_of_eight_bytes(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(3)}, {})
    assert int.from_bytes((tmp_path / "a.safetensors").read_bytes()[:8], "little") % 8 == 0


def test_a_file_without_a_seal_is_taken_only_where_it_may_be_foreign(tmp_path):
    path = tmp_path / "a.safetensors"
    safetensors.torch.save_file({"x": torch.ones(3)}, path)
    with pytest.raises(TensorFileError, match=r"carries no seal"):
        read_tensors(path)
    write_tensors(path, {"x": torch.ones(3)}, {})
    bad = bytearray(path.read_bytes())
    bad[-1] ^= 1
    path.write_bytes(bad)
    with pytest.raises(TensorFileError, match="bytes are not those that its seal"):
        read_tensors(path, sealed=False)
    with pytest.raises(TensorFileError, match="bytes are not those that its seal"):
        read_tensors(path, sealed=False, prefix="another")


def test_a_prefix_leaves_the_others_in_the_file(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"model.x": torch.ones(3), "optimizer.y": torch.ones(300_000), "model.z": torch.zeros(2)}, {})
    assert set(read_tensors(path, prefix="model.").tensors) == {"model.x", "model.z"}
    safetensors.torch.save_file(read_tensors(path).tensors, path)
    assert torch.equal(read_tensors(path, sealed=False, prefix="model.").tensors["model.z"], torch.zeros(2))


def test_an_old_file_stays_when_a_new_one_cannot_be_written(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": torch.ones(3)}, {})
    before = path.read_bytes()
    with pytest.raises(TensorFileError, match=r"'x' is torch.complex128, which \.safetensors files cannot hold"):
        write_tensors(path, {"x": torch.ones(3, dtype=torch.complex128)}, {})
    with pytest.raises(TensorFileError, match="at most 16,777,216 are read again"):
        write_tensors(path, {"x": torch.ones(3)}, {"long": "x" * 2**24})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.safetensors"]


def test_the_error_is_ours_and_does_not_name_the_file(tmp_path):
    with pytest.raises(SightlineError) as caught:
        read_tensors(tmp_path / "nowhere.safetensors")
    assert str(caught.value) == "there is no such file"
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("name", ["a\0b", "x" * 5_000, ""])
def test_names_that_no_file_has_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(TensorFileError):
        read_tensors(name)


def test_a_file_that_shrinks_or_grows_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.safetensors"
    for change, words in ((-4, "cut short while it was being read"), (4, "grew while it was being read")):
        write_tensors(path, {"x": torch.ones(10_000), "y": torch.ones(10_000)}, {})
        empty = torch.empty

        def meanwhile(*args, change=change, empty=empty, **options):
            os.truncate(path, path.stat().st_size + change)
            monkeypatch.setattr(torch, "empty", empty)
            return empty(*args, **options)

        monkeypatch.setattr(torch, "empty", meanwhile)
        with pytest.raises(TensorFileError, match=words):
            read_tensors(path)


def test_a_file_for_which_memory_is_too_short_is_told(tmp_path, monkeypatch):
    def without_memory(*args, **options):
        raise RuntimeError("can't allocate memory: you tried to allocate 99 bytes")

    write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(3)}, {})
    monkeypatch.setattr(torch, "empty", without_memory)
    with pytest.raises(TensorFileError, match="larger than the memory of this machine"):
        read_tensors(tmp_path / "a.safetensors")


@pytest.mark.skipif(not hasattr(os, "SEEK_HOLE"), reason="this system does not tell holes")
def test_zeros_that_were_written_are_no_hole(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensors(path, {"x": torch.zeros(2**24 + 8)}, {})
    assert not read_tensors(path).tensors["x"].any()
    os.truncate(path, 0)
    os.truncate(path, 2**27)
    with pytest.raises(TensorFileError, match="claims 134,217,728 bytes, but only 0 of them were ever written"):
        read_tensors(path)


def test_a_link_that_the_user_names_is_followed(tmp_path):
    write_tensors(tmp_path / "a.safetensors", {"x": torch.ones(3)}, {})
    (tmp_path / "link").symlink_to("a.safetensors")
    assert np.array_equal(read_tensors(tmp_path / "link").tensors["x"], np.ones(3))
