"""Pictures from the web: one file, or a list of addresses, under names that are safe on every system."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from sightline.data.rows.files import IMAGE_EXTENSIONS
from sightline.data.rows.sources import named_reasons
from sightline.errors import DataError, OptionError, SightlineWarning, counted
from sightline.web import fetch

_AGENT = "Mozilla/5.0 (compatible; sightline)"
"""Some servers of pictures refuse Python's own name."""
_LONGEST_STEM = 100
_LONGEST_ENDING = 12
_WEB = ("https", "http")
_DEVICES = re.compile(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\.|$)")
"""Names that are no files to Windows, whatever their ending."""
LARGEST_PICTURE = 256 << 20
LARGEST_FILE = 1 << 40


def download_url(
    url: str,
    dest: str | Path | None = None,
    timeout: float | None = None,
    show_progress: bool = True,
    *,
    most_bytes: int = LARGEST_FILE,
) -> Path:
    """Fetches one file, whole or not at all; a connection that breaks is taken up again where the server can do that.

    Args:
        url: An http or https address.
        dest: File or existing folder; None takes the present folder.
        timeout: Seconds of silence after which to give up; None waits as long as the system does.
        show_progress: Has no meaning here.
        most_bytes: A larger file is refused; so is one for which the disk has no room.

    Returns:
        The file's path.

    Raises:
        OptionError: The address is not http or https.
        DataError: It cannot be fetched; the message says why.
    """
    parts = urlsplit(url)
    if parts.scheme not in _WEB or not parts.netloc:
        raise OptionError(f"{url!r} is no web address. Expected one that begins with http:// or https://.")
    target = Path("." if dest is None else dest)
    if target.is_dir():
        target = target / (_safe_stem(url) + _safe_ending(url))
    # Addresses are written with spaces and letters that no request may hold; what is quoted already stays.
    address = urlunsplit(
        parts._replace(path=quote(parts.path, safe="/%:@!$&'()*+,;=~"), query=quote(parts.query, safe="/%:@!$&'()*+,;=~?"))
    )
    try:
        fetch(
            address, target, most_bytes=most_bytes, timeout=timeout or None, schemes=_WEB, headers={"User-Agent": _AGENT}
        )  # fmt: skip
    except (OSError, ValueError) as error:
        raise DataError(f"{url} cannot be fetched: {getattr(error, 'reason', None) or error}.") from error
    return target


def download_images(
    dest: str | Path,
    url_file: str | Path | None = None,
    urls: Iterable[str] | None = None,
    max_pics: int = 1000,
    n_workers: int = 8,
    timeout: float = 4,
    preserve_filename: bool = False,
) -> None:
    """Fetches pictures into a folder; what cannot be fetched is named by one warning. `verify_images` finds what is no picture.

    Args:
        dest: The folder, made where it is missing.
        url_file: A text file with an address in each line.
        urls: The addresses, in place of `url_file`.
        max_pics: The most lines of `url_file` that are used.
        n_workers: How many are fetched at a time.
        timeout: Seconds of silence after which one is given up.
        preserve_filename: Keep the names of the files, made safe and numbered where two are the same. Otherwise a name follows
            from the address, so that fetching a list again fetches nothing twice.

    Raises:
        OptionError: Neither or both of `url_file` and `urls` are given.

    Warns:
        SightlineWarning: Some could not be fetched.
    """
    folder = Path(dest)
    wanted = _addresses(url_file, urls, max_pics)
    folder.mkdir(parents=True, exist_ok=True)
    targets = _kept_names(wanted, folder) if preserve_filename else {url: folder / _hashed_name(url) for url in wanted}
    missing = [(url, target) for url, target in targets.items() if preserve_filename or not target.exists()]

    def fetched(job: tuple[str, Path]) -> str | None:
        try:
            download_url(*job, timeout=timeout, most_bytes=LARGEST_PICTURE)
        except DataError as error:
            return str(error).partition(" cannot be fetched: ")[2].rstrip(".")
        except OptionError:
            return "it is no web address"
        return None

    with ThreadPoolExecutor(max(1, n_workers), thread_name_prefix="sightline-fetch") as pool:
        reasons = list(pool.map(fetched, missing))
    failed = [(url, reason) for (url, _), reason in zip(missing, reasons, strict=True) if reason is not None]
    if failed:
        warnings.warn(
            f"{counted(len(failed), 'picture')} of {len(targets):,} could not be fetched: {named_reasons(failed)}.",
            SightlineWarning,
            stacklevel=2,
        )


def _addresses(url_file: str | Path | None, urls: Iterable[str] | None, max_pics: int) -> list[str]:
    """The addresses once each, in order."""
    if (url_file is None) == (urls is None):
        raise OptionError("download_images needs the addresses: pass urls=[...], or url_file=, a text file with one a line.")
    if urls is None:
        urls = Path(url_file or "").read_text(encoding="utf-8").splitlines()[:max_pics]
    return list(dict.fromkeys(url.strip() for url in urls if url.strip()))


def _hashed_name(url: str) -> str:
    return hashlib.blake2b(url.encode(), digest_size=12).hexdigest() + _ending(url)


def _kept_names(urls: list[str], folder: Path) -> dict[str, Path]:
    taken = {entry.name.lower() for entry in folder.iterdir()}
    targets: dict[str, Path] = {}
    for url in urls:
        stem, ending, number = _safe_stem(url), _ending(url), 0
        while (name := f"{stem}{number or ''}{ending}").lower() in taken:
            number += 1
        taken.add(name.lower())
        targets[url] = folder / name
    return targets


def _safe_stem(url: str) -> str:
    """The name in an address, without what a file system may take for a folder, a device or a hidden file."""
    stem = PurePosixPath(unquote(urlsplit(url).path)).stem
    safe = re.sub(r"[^\w.-]+", "_", stem).strip("._")[:_LONGEST_STEM] or "picture"
    return f"_{safe}" if _DEVICES.match(safe) else safe


def _safe_ending(url: str) -> str:
    return re.sub(r"[^\w.]+", "", PurePosixPath(unquote(urlsplit(url).path)).suffix)[:_LONGEST_ENDING]


def _ending(url: str) -> str:
    ending = PurePosixPath(unquote(urlsplit(url).path)).suffix.lower()
    return ending if ending in IMAGE_EXTENSIONS else ".jpg"
