"""A folder of pictures before training: which of them cannot be opened, and smaller copies of all others."""

from __future__ import annotations

import os
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from sightline.atomic import whole_file
from sightline.data.pictures.decode import load_image, read_image
from sightline.data.pictures.modes import in_eight_bits
from sightline.data.rows.files import get_image_files
from sightline.data.rows.sources import failure, named_reasons, reason_in
from sightline.errors import ImageError, OptionError, SightlineWarning, counted
from sightline.runtime import default_workers

BILINEAR, NEAREST = Image.Resampling.BILINEAR, Image.Resampling.NEAREST

_Given = TypeVar("_Given")
_Made = TypeVar("_Made")


def verify_image(fn: Any) -> bool:
    """Whether a picture can be read, in full and not by its header alone."""
    return failure(lambda: read_image(fn)) is None


def verify_images(fns: Iterable[Any]) -> list[Any]:
    """Those of some pictures that cannot be read, in their order; several threads look."""
    files = list(fns)
    return [file for file, sound in zip(files, _in_threads(verify_image, files), strict=True) if not sound]


def resize_to(img: Image.Image, targ_sz: int, use_min: bool = False) -> tuple[int, int]:
    """(width, height) at which the longest side (`use_min`: the shortest) of a picture is `targ_sz` pixels, its aspect kept."""
    ratio = targ_sz / (min if use_min else max)(img.size)
    return max(1, int(img.width * ratio)), max(1, int(img.height * ratio))


def resize_image(
    file: str | Path,
    dest: str | Path,
    src: str | Path = ".",
    max_size: int | None = None,
    n_channels: int = 3,
    ext: str | None = None,
    img_format: str | None = None,
    resample: int = BILINEAR,
    resume: bool | None = False,
    **save_options: Any,
) -> None:
    """Writes a copy of one picture whose longest side is at most `max_size`, turned as a person sees it.

    A picture that is small enough and has the right channels already is copied byte for byte.

    Args:
        file: Path of the picture within `src`.
        dest: Folder of the copy, which has the same path within it.
        src: Folder that `file` is relative to; the same as `dest` replaces the picture by its copy.
        max_size: Pixels; None keeps the size.
        n_channels: 3 for RGB, 1 for grey, 4 for RGB with transparency.
        ext: Ending of the copy, such as '.png'; None keeps it.
        img_format: Pillow's name of the file format; None takes that of the ending.
        resample: Pillow's interpolation.
        resume: Leave alone what is in `dest` already.
        save_options: As for Pillow's `save`, such as quality=95.

    Warns:
        SightlineWarning: The picture cannot be read or written; it is named.
    """
    _check_channels(n_channels)
    target = _target(Path(file), Path(dest), ext)
    if resume and target.exists():
        return
    reason = _copied(Path(src) / file, target, max_size, n_channels, img_format, resample, save_options)
    if reason is not None:
        _warn({str(file): reason})


def resize_images(
    path: str | Path,
    max_workers: int | None = None,
    max_size: int | None = None,
    recurse: bool = False,
    dest: str | Path = Path("."),
    n_channels: int = 3,
    ext: str | None = None,
    img_format: str | None = None,
    resample: int = BILINEAR,
    resume: bool | None = None,
    **save_options: Any,
) -> None:
    """Writes smaller copies of the pictures in a folder to another one, in the same tree; see `resize_image`.

    With `dest` the folder itself, pictures are replaced by their copies, each of them whole or not at all.

    Args:
        path: The folder.
        max_workers: Threads; None takes one a CPU, 0 works in this one.
        max_size: Pixels of the longest side; None keeps sizes.
        recurse: Also look into folders.
        dest: Where copies go; what lies there already is no source.
        n_channels: See `resize_image`, as what follows.
        ext: See there.
        img_format: See there.
        resample: See there.
        resume: See there.
        save_options: See there.

    Raises:
        NoImagesError: There is no folder `path`.

    Warns:
        SightlineWarning: Pictures cannot be read or written, or two of them would have one name; they are named.
    """
    _check_channels(n_channels)
    root, there = Path(path), Path(dest)
    nested = there.resolve() != root.resolve() and there.resolve().is_relative_to(root.resolve())
    files = [
        file.relative_to(root)
        for file in get_image_files(root, recurse=recurse)
        if not (nested and Path(os.path.realpath(file)).is_relative_to(there.resolve()))
    ]
    there.mkdir(parents=True, exist_ok=True)
    taken: dict[Path, Path] = {}
    doubled = {str(file): f"{taken[target].name} becomes {target.name} too" for file in files
               if taken.setdefault(target := _target(file, there, ext), file) != file}  # fmt: skip
    wanted = [file for file in files if str(file) not in doubled and not (resume and _target(file, there, ext).exists())]

    def copied(file: Path) -> str | None:
        target = _target(file, there, ext)
        return _copied(root / file, target, max_size, n_channels, img_format, resample, save_options)

    reasons = {str(file): why for file, why in zip(wanted, _in_threads(copied, wanted, max_workers), strict=True) if why}
    if doubled or reasons:
        _warn(doubled | reasons)


def _copied(
    source: Path,
    target: Path,
    max_size: int | None,
    n_channels: int,
    img_format: str | None,
    resample: int,
    save_options: dict[str, Any],
) -> str | None:
    """Writes the copy; the reason if that is not possible."""
    try:
        image = load_image(source)
        large = max_size is not None and max(image.size) > max_size
        if not large and len(image.getbands()) == n_channels and image.mode != "P":
            if target.resolve() != source.resolve():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
            return None
        image = image.convert("RGBA") if n_channels == 4 else in_eight_bits(image, n_channels)
        if large and max_size is not None:
            image = image.resize(resize_to(image, max_size), resample=resample)
        format_name = img_format or Image.registered_extensions().get(target.suffix.lower())
        with whole_file(target) as partial:
            image.save(partial, format_name, **save_options)
    except ImageError as error:
        return reason_in(error)
    except (OSError, ValueError, KeyError) as error:
        return f"it cannot be written as {target.name}: {error}"
    return None


def _target(file: Path, dest: Path, ext: str | None) -> Path:
    target = dest / file
    return target if ext is None else target.with_suffix(ext)


def _check_channels(n_channels: int) -> None:
    if n_channels not in (1, 3, 4):
        raise OptionError(f"n_channels={n_channels!r} is not 1 (grey), 3 (RGB) or 4 (RGB with transparency).")


def _in_threads(work: Callable[[_Given], _Made], items: Sequence[_Given], workers: int | None = None) -> list[_Made]:
    if workers == 0:
        return [work(item) for item in items]
    with ThreadPoolExecutor(workers or default_workers(), thread_name_prefix="sightline-upkeep") as pool:
        return list(pool.map(work, items))


def _warn(reasons: dict[str, str]) -> None:
    warnings.warn(
        f"{counted(len(reasons), 'picture')} left out of resizing: {named_reasons(reasons.items())}.",
        SightlineWarning,
        stacklevel=3,
    )
