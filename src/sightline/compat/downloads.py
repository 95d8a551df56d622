"""Data sets from the network, in the folders where fastai keeps them, so that those already there are found again."""

from __future__ import annotations

import configparser
import os
import shutil
import tempfile
import urllib.parse
import urllib.request
from pathlib import Path

from sightline.atomic import whole_file
from sightline.compat.unpacking import unpack
from sightline.data.pictures.fetch import download_url
from sightline.errors import DataError, OptionError
from sightline.escaping import for_terminal

_SILENCE_S = 30.0


class URLs:
    """Addresses of the data sets of pictures that fastai offers; other archives go to `untar_data` by their own address."""

    S3 = "https://s3.amazonaws.com/fast-ai-"
    URL = f"{S3}sample/"
    S3_IMAGE = f"{S3}imageclas/"
    S3_IMAGELOC = f"{S3}imagelocal/"

    BIWI_SAMPLE = f"{URL}biwi_sample.tgz"
    CIFAR = f"{URL}cifar10.tgz"
    DOGS = f"{URL}dogscats.tgz"
    MNIST_SAMPLE = f"{URL}mnist_sample.tgz"
    MNIST_TINY = f"{URL}mnist_tiny.tgz"
    PLANET_SAMPLE = f"{URL}planet_sample.tgz"
    PLANET_TINY = f"{URL}planet_tiny.tgz"

    CALTECH_101 = f"{S3_IMAGE}caltech_101.tgz"
    CARS = f"{S3_IMAGE}stanford-cars.tgz"
    CIFAR_100 = f"{S3_IMAGE}cifar100.tgz"
    CUB_200_2011 = f"{S3_IMAGE}CUB_200_2011.tgz"
    FLOWERS = f"{S3_IMAGE}oxford-102-flowers.tgz"
    FOOD = f"{S3_IMAGE}food-101.tgz"
    IMAGENETTE = f"{S3_IMAGE}imagenette2.tgz"
    IMAGENETTE_160 = f"{S3_IMAGE}imagenette2-160.tgz"
    IMAGENETTE_320 = f"{S3_IMAGE}imagenette2-320.tgz"
    IMAGEWANG = f"{S3_IMAGE}imagewang.tgz"
    IMAGEWANG_160 = f"{S3_IMAGE}imagewang-160.tgz"
    IMAGEWANG_320 = f"{S3_IMAGE}imagewang-320.tgz"
    IMAGEWOOF = f"{S3_IMAGE}imagewoof2.tgz"
    IMAGEWOOF_160 = f"{S3_IMAGE}imagewoof2-160.tgz"
    IMAGEWOOF_320 = f"{S3_IMAGE}imagewoof2-320.tgz"
    MNIST = f"{S3_IMAGE}mnist_png.tgz"
    MNIST_VAR_SIZE_TINY = f"{S3_IMAGE}mnist_var_size_tiny.tgz"
    PETS = f"{S3_IMAGE}oxford-iiit-pet.tgz"

    BIWI_HEAD_POSE = f"{S3_IMAGELOC}biwi_head_pose.tgz"
    PASCAL_2007 = f"{S3_IMAGELOC}pascal_2007.tgz"
    PASCAL_2012 = f"{S3_IMAGELOC}pascal_2012.tgz"

    @staticmethod
    def path(url: str = ".", c_key: str = "archive") -> Path:
        """Where the archive of an address is kept: below the current folder if it lies there, else in fastai's folder."""
        here = Path.cwd() / ("models" if c_key == "model" else "data") / _file_name(url)
        return here if here.exists() else fastai_path(c_key) / _file_name(url)


def fastai_path(folder: str, base: str | Path | None = None) -> Path:
    """A folder of fastai's: what its `config.ini` says, else one of that name in `FASTAI_HOME`, else in `~/.fastai`.

    Args:
        folder: `data`, `archive`, `model` or `storage`.
        base: In place of `FASTAI_HOME`.
    """
    home = Path(base or os.environ.get("FASTAI_HOME", "~/.fastai")).expanduser().absolute()
    usual = {"model": "models", "storage": "tmp"}.get(folder, folder)
    config = configparser.ConfigParser(interpolation=None)
    config.read(home / "config.ini", encoding="utf-8")
    return home / Path(config.defaults().get(folder, usual)).expanduser()


def untar_data(
    url: str,
    archive: str | Path | None = None,
    data: str | Path | None = None,
    c_key: str = "data",
    force_download: bool = False,
    base: str | Path | None = None,
) -> Path:
    """The folder of a data set: fetched and unpacked where it is not there yet.

    Args:
        url: Address of a .tgz, .tar.* or .zip archive: https, http or file.
        archive: Folder of archives; None is fastai's.
        data: Folder of unpacked data sets; None is fastai's.
        c_key: Which of fastai's folders to unpack into.
        force_download: Fetch and unpack anew.
        base: In place of `FASTAI_HOME`.

    Returns:
        The folder, called like the archive.

    Raises:
        DataError: It cannot be fetched (the message names the ways out), is no archive, or would write elsewhere.
        OptionError: The address is of another kind.
    """
    name = _file_name(url)
    own_name = Path(name).stem.removesuffix(".tar")
    if not own_name.strip("."):
        raise OptionError(f"{url!r} names no file. Expected the address of an archive, such as URLs.PETS.")
    kept = Path(archive).expanduser() / name if archive is not None else fastai_path("archive", base) / name
    folder = Path(data).expanduser() if data is not None else fastai_path(c_key, base)
    found = folder / own_name
    if found.exists() and not force_download:
        return found
    if not kept.exists() or force_download:
        _fetch(url, kept)
    _unpack(kept, found)
    return found


def _fetch(url: str, kept: Path) -> None:
    """Bring an archive to its place among the archives."""
    try:
        if urllib.parse.urlsplit(url).scheme == "file":
            with whole_file(kept) as partial:
                shutil.copyfile(urllib.request.url2pathname(urllib.parse.urlsplit(url).path), partial)
            return
        from rich.text import Text

        from sightline.console import PlainConsole

        kept.parent.mkdir(parents=True, exist_ok=True)
        with PlainConsole(stderr=True).status(Text(f"Fetching {for_terminal(url)}")):
            download_url(url, kept, timeout=_SILENCE_S)
    except (DataError, OSError) as error:
        raise DataError(
            f"{str(error).rstrip('.')}. Ways out: fetch {url} on a machine that is connected and put it at {kept}, where it is "
            "found; set HTTPS_PROXY behind a proxy; or take pictures of your own: ImageDataLoaders.from_folder(...)."
        ) from error


def _unpack(archive: Path, found: Path) -> None:
    """Unpack into a folder beside the final one, then give it its place: what is there is always whole."""
    found.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=found.parent, prefix=f".{found.name}.") as folder:
        unpack(archive, Path(folder))
        inside = list(Path(folder).iterdir())
        top = inside[0] if len(inside) == 1 and inside[0].is_dir() else Path(folder)
        if found.exists():
            shutil.rmtree(found)
        shutil.copytree(top, found) if top == Path(folder) else top.rename(found)


def _file_name(url: str) -> str:
    return Path(urllib.parse.unquote(urllib.parse.urlsplit(url).path)).name
