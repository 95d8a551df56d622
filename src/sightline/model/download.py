"""Weights over the network, through the zoos' own loaders: what goes wrong becomes an error that names the ways out."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import torch
from torch import nn

from sightline.errors import ModelError, WeightsError
from sightline.model.weights import Tensors

STALLED_S = 20.0
"""A connection that brings nothing for this many seconds is given up."""

REACHED_S = 10.0
"""A hub that has not answered after this many seconds is taken for unreachable."""

HUB_FILES = ("model.safetensors", "pytorch_model.bin")
"""What timm looks for on the hub, in that order, where it does not name a file."""


def fetch_torchvision(entry: Any, arch: str) -> Tensors:
    """The tensors of a torchvision weights enum member: from the cache, or downloaded, checked by hash and cached.

    Args:
        entry: A member of a `torchvision.models.WeightsEnum`.
        arch: For the error.

    Raises:
        WeightsError: No network, no such file, an interrupted or altered download, or a damaged file in the cache.
    """
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    cached = folder / str(entry.url).rsplit("/", 1)[-1]
    was_cached = cached.exists()
    try:
        with _patience(STALLED_S):
            found = entry.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # urllib, sockets, ssl, pickle and torch each raise their own
        if isinstance(error, HTTPError):
            error.close()  # it is the server's answer too, and holds the connection
        if was_cached:
            raise WeightsError(
                f"The cached weights of {arch} cannot be read: {_reason(error)}. Delete {cached} and try again."
            ) from error
        raise WeightsError(
            f"The weights {entry.name} of {arch} could not be fetched from {entry.url}: {_reason(error)}. {_ways_out(cached)}"
        ) from error
    return Tensors(found, f"{type(entry).__name__}.{entry.name}")


def create_timm(name: str, **options: Any) -> nn.Module:
    """A timm network with its published weights, by `timm.create_model(pretrained=True)`.

    timm's hub client tries for most of a minute when there is no network, so that the hub is asked once beforehand.

    Raises:
        WeightsError: There are no such weights, or they cannot be fetched.
        ModelError: The network does not take an option.
    """
    import timm
    from huggingface_hub import constants

    cfg = timm.models.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        raise WeightsError(
            f"timm has no published weights for {name!r}. Pass pretrained=False to start from random weights, "
            f"or weights='file.safetensors'."
        )
    ways_out = _ways_out(Path(constants.HF_HUB_CACHE))
    where = f"{constants.ENDPOINT}/{cfg.hf_hub_id}" if cfg.hf_hub_id else str(cfg.url or "")
    try:
        if cfg.hf_hub_id:
            _ask_hub(cfg.hf_hub_id, [cfg.hf_hub_filename] if cfg.hf_hub_filename else HUB_FILES)
        timm.models.set_pretrained_download_progress(True)
        timm.models.set_pretrained_check_hash(True)
        with _patience(STALLED_S):
            return timm.create_model(name, pretrained=True, **options)
    except TypeError as error:
        raise ModelError(f"timm cannot build {name} with {options}: {error}") from error
    except Exception as error:  # httpx, requests, urllib, the hub and safetensors each raise their own
        raise WeightsError(
            f"The weights of timm's {name} could not be fetched from {where}: {_reason(error)}. {ways_out}"
        ) from error


def _ask_hub(repo: str, filenames: Sequence[str]) -> None:
    """Ask the hub for files of which none is in the cache, without the retries of its client; any answer will do.

    Raises:
        Exception: Whatever the client raises when the hub cannot be reached.
    """
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError

    repo, _, revision = repo.partition("@")
    cached = [hub.try_to_load_from_cache(repo, filename, revision=revision or None) for filename in filenames]
    if any(isinstance(path, str) for path in cached):
        return
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, filenames[0], revision=revision or None), timeout=REACHED_S)
    except HfHubHTTPError:
        return


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Sockets opened inside give up after `seconds` of silence, unless the process has set its own limit.

    torch's downloader passes no timeout of its own, and would wait for ever on a connection that went dead.
    """
    before = socket.getdefaulttimeout()
    if before is None:
        socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _ways_out(cached: Path) -> str:
    copied = (
        f"copy the file to {cached}" if cached.suffix else f"copy the hub's cache folder {cached} from a machine that has it"
    )
    return (
        f"Ways out: connect and try again; {copied}; pass weights='file.safetensors' (or .pth) with a file that you have; "
        f"or pass pretrained=False to start from random weights."
    )


def _reason(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text[:300]}".rstrip(". :")
