"""What can be said of a command before PyTorch is loaded: a mistake in a name or a path is answered at once.

Nothing here is new: the same is found, in the same words, where it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from sightline.cli.facts import refuse_used
from sightline.cli.settings import TableSettings, TrainSettings
from sightline.data.rows.files import check_folder, get_image_files, nothing_found
from sightline.errors import BundleError, NoImagesError, OptionError, TableError, did_you_mean, listed
from sightline.model.spelling import as_file, check_file, check_spelling

DEVICES = ("cpu", "cuda", "mps", "xpu")


def check_training(settings: TrainSettings) -> None:
    """See whether there is what `sightline train` is told to use.

    Raises:
        NoImagesError: There is no such folder of pictures.
        TableError: There is no such table.
        OptionError: Options for a table are given without one, there is no such device, or the run folder holds something
            already.
        ArchitectureError: There is no such architecture.
        WeightsError: There is no such file of weights.
    """
    check_labelled(settings.data, settings.table)
    check_device(settings.device)
    check_spelling(settings.arch)
    weights = as_file(settings.weights)
    if weights is not None:
        check_file(weights)
    if settings.out is not None:
        refuse_used(settings.out, settings.to_json())


def check_labelled(data: Path, table: TableSettings) -> None:
    """See whether there are the folder and the table of labelled pictures.

    Raises:
        NoImagesError: There is no such folder of pictures.
        TableError: There is no such table.
        OptionError: Options for a table are given without one.
    """
    check_folder(data)
    if table.labels is not None:
        table_path(table.labels, data)
    else:
        refuse_table_options(table)


def table_path(labels: Path, data: Path) -> Path:
    """The file of a table that was named from here, or within `data`.

    Raises:
        TableError: There is none.
    """
    found = next((path for path in (labels, data / labels) if path.is_file()), None)
    if found is not None:
        return found
    beside = [path.name for folder in (Path(), data) if folder.is_dir() for path in folder.glob("*.csv")]
    raise TableError(
        f"There is no table {labels}, here or in {data}. Expected a CSV file. {did_you_mean(labels.name, beside)}".rstrip()
    )


def refuse_table_options(settings: TableSettings) -> None:
    """Refuse options that mean nothing without a table.

    Raises:
        OptionError: One of them was given.
    """
    given = {
        "--fn-col": settings.fn_col,
        "--label-col": settings.label_cols,
        "--label-delim": settings.label_delim,
        "--valid-col": settings.valid_col,
        "--folder": settings.folder,
        "--suffix": settings.suffix,
        "--regression": settings.regression,
        "--group-col": settings.group_col,
        "--allow-outside": settings.allow_outside,
    }
    named = [name for name, value in given.items() if value]
    if named:
        raise OptionError(f"There is no table that {listed(named)} could tell how to read. Name it with --labels FILE.csv.")


def check_device(device: str | None) -> None:
    """See whether a device is called so at all; whether this machine has it, PyTorch knows.

    Raises:
        OptionError: None is.
    """
    if device is not None and re.fullmatch(rf"({'|'.join(DEVICES)})(:\d+)?", device) is None:
        raise OptionError(
            f"device={device!r} is not a device that PyTorch knows, such as 'cpu', 'cuda', 'cuda:1' or 'mps'. "
            f"{did_you_mean(device.partition(':')[0], DEVICES)}".rstrip()
        )


def check_target(option: str, path: Path | None) -> None:
    """See whether a file could be written there at all, before the work is done that it is to hold.

    Raises:
        OptionError: There is a folder of that name, or a file where its folder should be.
    """
    if path is None:
        return
    if path.is_dir():
        raise OptionError(f"{option} {path} is a folder. Expected the name of a file to write, in that folder or elsewhere.")
    above = next(folder for folder in path.absolute().parents if folder.exists())
    if not above.is_dir():
        raise OptionError(f"{option} {path} cannot be written: {above} is a file. Expected a folder there; give another name.")


def check_model_file(path: Path) -> None:
    """See whether there is a model at all.

    Raises:
        BundleError: There is no such file.
    """
    if (path / "model.safetensors").is_file():
        raise BundleError(f"{path} is a run folder. Its model is {path / 'model.safetensors'}: give that.")
    if not path.is_file():
        beside = [entry.name for entry in path.parent.glob("*.safetensors")] if path.parent.is_dir() else []
        raise BundleError(
            f"{path} is not a file. Expected what learn.export(...) or `sightline train` wrote. "
            f"{did_you_mean(path.name, beside)}".rstrip()
        )


def find_pictures(given: Iterable[Path]) -> list[Path]:
    """The picture files that were named, and those in the folders that were named, each once, in that order.

    Raises:
        NoImagesError: A path does not exist, or a folder holds no pictures.
    """
    files: dict[Path, None] = {}
    for path in given:
        if path.is_file():
            files[path] = None
            continue
        if not path.exists():
            beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise NoImagesError(f"There is no file or folder {path}. {did_you_mean(path.name, beside) or 'Check the path.'}")
        found = get_image_files(path)
        if not found:
            raise nothing_found(path)
        files.update(dict.fromkeys(found))
    if not files:
        raise NoImagesError("No pictures were named. Expected files or folders.")
    return list(files)
