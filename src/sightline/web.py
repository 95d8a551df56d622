"""Files from the web: fetched whole or not at all, only from where they may come, and no larger than they may be."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from sightline.atomic import whole_file
from sightline.errors import counted

Progress = Callable[[int, int | None], None]
"""Told the bytes that are there, and how many there will be, where that is known."""

CHUNK = 1 << 20
MOST_REDIRECTIONS = 5
_RANGES = 206


def fetch(
    url: str,
    target: Path,
    *,
    most_bytes: int,
    timeout: float | None,
    schemes: Sequence[str] = ("https",),
    sha256: str = "",
    headers: Mapping[str, str] | None = None,
    progress: Progress | None = None,
) -> None:
    """Bring a file to its place; a connection that breaks is taken up where it broke, if the server can do that.

    Args:
        url: The address. Where http is not among `schemes` it is taken from this machine itself alone.
        target: The file. Until all of it is there and right, nothing has its name.
        most_bytes: A larger file is refused, before it is fetched where the server says its size.
        timeout: Seconds of silence after which to give up; None waits as long as the system does.
        schemes: Of the address, and of all to which it leads on; nothing leads from https to http.
        sha256: What the digest of the content begins with, in hexadecimal; empty where it is not known.
        headers: Of the request.
        progress: Told now and then.

    Raises:
        OSError: It cannot be fetched or written, or is not what it should be; the message says why.
    """
    refuse_address(url, schemes)
    opener = urllib.request.build_opener(_Redirections(schemes))
    with whole_file(target) as partial:
        with partial.open("wb") as file:
            download = _Download(url, dict(headers or {}), file, most_bytes, progress)
            try:
                while missing := download.receive(opener, timeout):
                    if not download.can_go_on():
                        raise OSError(f"the answer ended {counted(missing, 'byte')} early")
            except (http.client.HTTPException, ValueError) as error:
                raise OSError(f"{type(error).__name__}: {error}".rstrip(": ")) from error
        found = digest_of(partial) if sha256 else ""
        if not found.startswith(sha256):
            raise OSError(
                f"its content is not what was published: the SHA-256 begins with {found[: len(sha256)]}, not {sha256}"
            )


def refuse_address(url: str, schemes: Sequence[str], before: str | None = None) -> None:
    """Make sure that a file may come from an address.

    Args:
        url: The address.
        schemes: What it may begin with; plain http may always lead to and from this machine itself.
        before: The address that led on to this one.

    Raises:
        OSError: It may not.
    """
    parts = urlsplit(url)
    local = is_this_machine(url) and (before is None or is_this_machine(before))
    if not parts.hostname or parts.scheme not in (*schemes, *(["http"] if local else [])):
        led = f"{before} leads to" if before else "the address is"
        raise OSError(f"{led} {url}, and only {' or '.join(schemes)} is trusted")
    if before is not None and urlsplit(before).scheme == "https" and parts.scheme != "https":
        raise OSError(f"{before} leads away from https, to {url}")


def is_this_machine(url: str) -> bool:
    """Whether an address is one of this machine for itself."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def digest_of(path: Path) -> str:
    """The SHA-256 of a file's content, 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Redirections(urllib.request.HTTPRedirectHandler):
    """Follows a few redirections, to where files may come from."""

    max_redirections = MOST_REDIRECTIONS

    def __init__(self, schemes: Sequence[str]) -> None:
        self._schemes = schemes

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        try:
            refuse_address(newurl, self._schemes, before=req.full_url)
        except OSError:
            fp.close()
            raise
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class _Download:
    """One file on its way."""

    def __init__(self, url: str, headers: dict[str, str], file: IO[bytes], most_bytes: int, progress: Progress | None) -> None:
        self._url, self._headers, self._file = url, headers, file
        self._most_bytes, self._progress = most_bytes, progress
        self._tag = ""
        self._had = -1

    def can_go_on(self) -> bool:
        """Whether asking for the rest makes sense: the server can give it, and the last answer brought something."""
        return bool(self._tag) and self._file.tell() > self._had

    def receive(self, opener: urllib.request.OpenerDirector, timeout: float | None) -> int:
        """Take in one answer; returns how many bytes are missing after it."""
        there = self._had = self._file.tell()
        rest = {"Range": f"bytes={there}-", "If-Range": self._tag} if there else {}
        request = urllib.request.Request(self._url, headers={**self._headers, **rest})  # noqa: S310 - the scheme was checked
        try:
            answer = opener.open(request, timeout=timeout) if timeout else opener.open(request)
        except urllib.error.HTTPError as error:
            error.close()  # it is the server's answer too, and holds the connection
            raise
        with answer:
            if not (there and answer.status == _RANGES and _begins_at(answer, there)):
                self._file.seek(0)
                self._file.truncate()
            self._tag = _strong_tag(answer)
            self._refuse_size(answer.length)
            try:
                self._copy(answer, None if answer.length is None else self._file.tell() + answer.length)
            except OSError:
                if not answer.length or not self.can_go_on():
                    raise
            return answer.length or 0

    def _copy(self, answer: Any, total: int | None) -> None:
        while chunk := answer.read(CHUNK):
            if self._file.tell() + len(chunk) > self._most_bytes:
                raise OSError(f"it is larger than {self._most_bytes:,} bytes")
            self._file.write(chunk)
            if self._progress is not None:
                self._progress(self._file.tell(), total)

    def _refuse_size(self, length: int | None) -> None:
        size = self._file.tell() + (length or 0)
        if size > self._most_bytes:
            raise OSError(f"it has {size:,} bytes, more than {self._most_bytes:,}")
        free = shutil.disk_usage(Path(self._file.name).parent).free
        if length is not None and length > free:
            raise OSError(f"it has {size:,} bytes, and the disk has room for {free:,}")


def _strong_tag(answer: Any) -> str:
    """What names this very content, for a server that can send the rest of it; else empty."""
    tag = answer.headers.get("ETag", "")
    ranges = answer.headers.get("Accept-Ranges", "").strip().lower() == "bytes" or answer.status == _RANGES
    return tag if ranges and not tag.startswith("W/") else ""


def _begins_at(answer: Any, there: int) -> bool:
    return str(answer.headers.get("Content-Range", "")).startswith(f"bytes {there}-")
