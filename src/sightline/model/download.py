"""Weights over the network, through the zoos' own loaders: what goes wrong becomes an error that names the ways out."""

from __future__ import annotations

import hashlib
import os
import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import nn

from sightline.errors import ModelError, WeightsError
from sightline.model.weights import Tensors
from sightline.web import digest_of, fetch, refuse_address

STALLED_S = 20.0
"""A connection that brings nothing for this many seconds is given up."""

REACHED_S = 10.0
"""A hub that has not answered after this many seconds is taken for unreachable."""

MOST_BYTES = 32 << 30
"""More than any published network has."""

HASH_IN_NAME = r"-([0-9a-f]{8,64})\."
"""In the names of published files: how the SHA-256 of their content begins."""

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
    url = str(entry.url)
    cached = _place(url)
    was_cached = cached.exists()
    try:
        _bring(url, cached)
        found = entry.get_state_dict(progress=False, check_hash=True, map_location="cpu", weights_only=True)
    except Exception as error:  # urllib, sockets, ssl, pickle and torch each raise their own
        if was_cached:
            raise WeightsError(
                f"The cached weights of {arch} cannot be read: {_reason(error)}. Delete {cached} and try again."
            ) from error
        raise WeightsError(
            f"The weights {entry.name} of {arch} could not be fetched from {url}: {_reason(error)}. {_ways_out(cached)}"
        ) from error
    return Tensors(found, f"{type(entry).__name__}.{entry.name}")


def create_timm(name: str, **options: Any) -> nn.Module:
    """A timm network with its published weights, by `timm.create_model(pretrained=True)`.

    The file is brought here and checked first, and what was checked is what is loaded. The hub's client tries for most of a
    minute when there is no network, so that the hub is asked once beforehand.

    Raises:
        WeightsError: There are no such weights, they cannot be fetched, or they are not what was published.
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
        overlay = {}
        if cfg.hf_hub_id:
            names = [cfg.hf_hub_filename] if cfg.hf_hub_filename else HUB_FILES
            # Files of the hub are never in a format of their own; timm would take this one for such a file otherwise.
            overlay = {"file": str(hub_file(cfg.hf_hub_id, names)), "custom_load": False}
        elif cfg.url:
            url, *named = (cfg.url,) if isinstance(cfg.url, str) else cfg.url
            _bring(url, _place(named[0] if named else url))
        with _patience(STALLED_S):
            return timm.create_model(name, pretrained=True, pretrained_cfg_overlay=overlay, **options)
    except TypeError as error:
        raise ModelError(f"timm cannot build {name} with {options}: {error}") from error
    except Exception as error:  # httpx, requests, urllib, the hub and safetensors each raise their own
        raise WeightsError(
            f"The weights of timm's {name} could not be fetched from {where}: {_reason(error)}. {ways_out}"
        ) from error


def _place(url: str) -> Path:
    """Where torch's hub, and timm with it, looks for a file of that address."""
    return Path(torch.hub.get_dir()) / "checkpoints" / PurePosixPath(urlsplit(url).path).name


def _bring(url: str, cached: Path) -> None:
    """Have a published file in the cache, with the content that the digits in its name stand for.

    Raises:
        OSError: It cannot be fetched, or it is another content; or the network is not to be used.
    """
    named = re.search(HASH_IN_NAME, cached.name)
    sha256 = named[1] if named else ""
    if cached.exists():
        if not digest_of(cached).startswith(sha256):
            raise OSError(f"its content is not what was published: the SHA-256 does not begin with {sha256}")
        return
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}:
        raise OSError("HF_HUB_OFFLINE is set, so that nothing is fetched")
    from tqdm.auto import tqdm

    with tqdm(unit="B", unit_scale=True, unit_divisor=1024, desc=cached.name, leave=True) as bar:

        def progress(there: int, total: int | None) -> None:
            bar.total = total
            bar.update(there - bar.n)

        fetch(url, cached, most_bytes=MOST_BYTES, timeout=STALLED_S, sha256=sha256, progress=progress)


def hub_file(repo: str, filenames: Sequence[str]) -> Path:
    """The first of these files that a repository of the hub has: from the cache, or downloaded; its content checked.

    Args:
        repo: `owner/name`, or `owner/name@revision`.
        filenames: Names in the repository, the best first.

    Raises:
        Exception: Whatever the hub's client raises when there is none, or the hub cannot be reached.
        OSError: The content is not what the hub says, twice; the file was removed from the cache.
    """
    import huggingface_hub as hub
    from huggingface_hub import constants

    refuse_address(constants.ENDPOINT, ("https",))
    name, _, revision = repo.partition("@")
    cached = (hub.try_to_load_from_cache(name, filename, revision=revision or None) for filename in filenames)
    found = next((Path(path) for path in cached if isinstance(path, str)), None)
    if found is not None and _is_what_was_published(found):
        return found
    _remove(found)
    _ask_hub(repo, filenames)
    found = _download_first(name, filenames, revision or None)
    if not _is_what_was_published(found):
        _remove(found)
        raise OSError("its content is not what the hub announced, and was removed; try again")
    return found


def _download_first(name: str, filenames: Sequence[str], revision: str | None) -> Path:
    import huggingface_hub as hub
    from huggingface_hub.errors import EntryNotFoundError

    for filename in filenames[:-1]:
        try:
            return Path(hub.hf_hub_download(name, filename, revision=revision))
        except EntryNotFoundError:
            continue
    return Path(hub.hf_hub_download(name, filenames[-1], revision=revision))


def _is_what_was_published(path: Path) -> bool:
    """Whether a file in the hub's cache has the content that it is kept under the name of: a SHA-256, or git's SHA-1.

    Under another name, as some mirrors have it, its size is all that the hub's client could check.
    """
    content = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", content.name):
        return digest_of(content) == content.name
    if re.fullmatch("[0-9a-f]{40}", content.name):
        data = content.read_bytes()
        named = hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False)
        return named.hexdigest() == content.name
    return True


def _remove(path: Path | None) -> None:
    """Take a file, and what it points to, out of the hub's cache."""
    if path is not None:
        content = path.resolve()
        path.unlink(missing_ok=True)
        content.unlink(missing_ok=True)


def _ask_hub(repo: str, filenames: Sequence[str]) -> None:
    """Ask the hub for a file, without the retries of its client; any answer will do.

    Raises:
        Exception: Whatever the client raises when the hub cannot be reached.
    """
    import huggingface_hub as hub
    from huggingface_hub.errors import HfHubHTTPError

    repo, _, revision = repo.partition("@")
    try:
        hub.get_hf_file_metadata(hub.hf_hub_url(repo, filenames[0], revision=revision or None), timeout=REACHED_S)
    except HfHubHTTPError:
        return


@contextmanager
def _patience(seconds: float) -> Iterator[None]:
    """Sockets opened inside give up after `seconds` of silence, unless the process has set its own limit.

    The hub's client, for one, may wait for ever on a connection that went dead.
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
