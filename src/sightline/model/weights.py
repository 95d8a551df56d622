"""A user's file of weights: read without running code, and matched to a body by name and shape."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightline.errors import TensorFileError, WeightsError, counted
from sightline.model.spelling import SAFE_SUFFIX, TORCH_SUFFIXES, check_file
from sightline.stored import shown
from sightline.tensorfile import LARGEST_FILE, read_metadata, read_tensors

NESTS = ("state_dict", "model_state_dict", "model", "net", "network", "weights", "state_dict_ema", "model_ema")
PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
"""What wrappers and training scripts put before the names of a network; never part of the names themselves."""

SAVED_FORMAT = "sightline-weights"
SAVED_MODEL = "model."
"""In the files of `learn.save`: what the header says, and what stands before the network's names, beside the optimizer's."""

OURS = "sightline"
"""What the header of every file that sightline writes says, or begins with; such a file has a seal."""

SHOWN = 3
"""How many mismatches of each kind an error names."""


@dataclass(frozen=True)
class Tensors:
    """Tensors by name, and words for where they came from.

    Attributes:
        by_name: The tensors.
        origin: Where they came from.
        has_optimizer: The file also holds the state of an optimizer, which was not read.
    """

    by_name: Mapping[str, Tensor]
    origin: str
    has_optimizer: bool = False


class _Inert(list[Any]):
    """Stands in for fastcore's list in files of fastai, whose optimizer's state holds some; it does nothing."""


@dataclass(frozen=True)
class Layout:
    """One way in which a file may name the tensors of a body.

    Attributes:
        keys: Name in the file -> name in the body.
        ignored: Beginnings of names that belong to a classifier and are left aside.
    """

    keys: Mapping[str, str]
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True)
class Fit:
    """How the tensors of a file meet a body: what matches, and what does not, by the names in the file."""

    matched: dict[str, Tensor] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    @property
    def complete(self) -> bool:
        """Whether every tensor found its place."""
        return not (self.missing or self.wrong or self.unknown)


def read_file(path: Path) -> Tensors:
    """The tensors of a `.safetensors` file, or of a `.pth` or `.pt` file read without running any code in it.

    Of a file that `learn.save` wrote, those of the network, by its own names.

    Raises:
        WeightsError: No such file, another kind of file, damaged, or it holds more than tensors and plain values.
    """
    check_file(path)
    suffix = path.suffix.lower()
    if suffix == SAFE_SUFFIX:
        return Tensors(_read_safetensors(path), str(path))
    if suffix in TORCH_SUFFIXES:
        return _read_torch(path)
    raise WeightsError(f"weights={str(path)!r} ends in {suffix!r}. Expected a file that ends in .safetensors, .pth or .pt.")


def load_into(
    body: nn.Module,
    tensors: Tensors,
    layouts: Sequence[Layout],
    *,
    arch: str,
    adapters: Mapping[str, Callable[[Tensor], Tensor]] | None = None,
) -> None:
    """Copy tensors into a body, whichever of the layouts names them.

    Args:
        body: Changed in place, once everything is known to fit.
        tensors: What was read.
        layouts: The ways in which the names may be spelled; the one that matches most is taken.
        arch: For the error.
        adapters: Body name -> function that brings a tensor of another shape to the one that the body has.

    Raises:
        WeightsError: Something is missing, has another shape, or belongs nowhere: how many matched, and the first of each.
    """
    fit = best_fit(body, tensors.by_name, layouts, adapters or {})
    if not fit.complete:
        raise WeightsError(_mismatch(body, fit, tensors.origin, arch))
    body.load_state_dict({**body.state_dict(), **fit.matched})


def best_fit(
    body: nn.Module,
    by_name: Mapping[str, Tensor],
    layouts: Sequence[Layout],
    adapters: Mapping[str, Callable[[Tensor], Tensor]],
) -> Fit:
    """The fit of the spelling and layout under which most names match."""
    spellings = list(_spellings(by_name))
    pairs = [(names, layout) for names in spellings for layout in layouts]
    names, layout = max(pairs, key=lambda pair: sum(name in pair[1].keys for name in pair[0]))
    return _fit(body, names, layout, adapters)


def used_by(network: nn.Module, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without those of parts that this network leaves out because nothing uses them, such as a second classifier.

    Args:
        network: Has an `nn.Identity` in their place.
        tensors: By the network's own names.
    """
    left_out = tuple(f"{name}." for name, part in network.named_modules() if isinstance(part, nn.Identity) and name)
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(left_out)}


def _fit(
    body: nn.Module, names: Mapping[str, Tensor], layout: Layout, adapters: Mapping[str, Callable[[Tensor], Tensor]]
) -> Fit:
    fit = Fit()
    expected = body.state_dict()
    for name, tensor in names.items():
        key = layout.keys.get(name)
        if key is None:
            if not name.startswith(layout.ignored):
                fit.unknown.append(repr(name))
            continue
        wanted = expected[key]
        if tensor.shape != wanted.shape and key in adapters:
            tensor = adapters[key](tensor)
        if tensor.shape == wanted.shape:
            fit.matched[key] = tensor
        else:
            fit.wrong.append(f"{name!r} is {_shape(tensor)} in the file and {_shape(wanted)} in the network")
    needed = _needed(body)
    fit.missing.extend(repr(name) for name, key in layout.keys.items() if key in needed and name not in names)
    return fit


def _needed(body: nn.Module) -> set[str]:
    """Names that a file must hold: all parameters and running statistics, but no counters or tables that are computed."""
    running = {name for name, _ in body.named_buffers() if name.endswith(("running_mean", "running_var"))}
    return {name for name, _ in body.named_parameters()} | running


def _spellings(by_name: Mapping[str, Tensor]) -> Iterator[Mapping[str, Tensor]]:
    """The names as they are, and again with each prefix that most of them share taken off."""
    yield by_name
    for prefix in PREFIXES:
        if 2 * sum(name.startswith(prefix) for name in by_name) > len(by_name):
            yield from _spellings({name.removeprefix(prefix): tensor for name, tensor in by_name.items()})


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        metadata = read_metadata(path)
        form = metadata.get("format", "")
        # The optimizer's state may be twice as large as the network, and is never kept.
        prefix = SAVED_MODEL if form == SAVED_FORMAT else ""
        found = read_tensors(path, sealed=form.startswith(OURS), prefix=prefix).tensors
    except TensorFileError as error:
        raise WeightsError(
            f"weights={str(path)!r} cannot be read as .safetensors: {error}. Expected a whole file; fetch or save it again."
        ) from error
    return {name.removeprefix(prefix): tensor for name, tensor in found.items()}


def _read_torch(path: Path) -> Tensors:
    try:
        _check_archive(path)
        with torch.serialization.safe_globals(_harmless()):
            found = torch.load(path, map_location="cpu", weights_only=True)
        tensors = _state_dict_of(found, path)
        _check_memory(path, tensors)
    except WeightsError:
        raise
    except UnpicklingError as error:
        raise WeightsError(
            f"weights={str(path)!r} holds more than tensors and plain values, or is damaged, so it was not loaded: reading it "
            f"would run code from the file. Save the state_dict alone, best as .safetensors "
            f"(safetensors.torch.save_file(model.state_dict(), ...); in fastai learn.save(..., with_opt=False)), "
            f"and give that file."
        ) from error
    except Exception as error:  # a damaged file fails in any way that its bytes happen to lead to
        raise WeightsError(f"weights={str(path)!r} cannot be read: {shown(str(error))}. Is the file complete?") from error
    return Tensors(tensors, str(path), isinstance(found, Mapping) and "opt" in found)


def _check_archive(path: Path) -> None:
    """Refuse a file that would become larger than it is: torch packs nothing, so what is packed was made to burst.

    Raises:
        WeightsError: It is such a file, or larger than any network.
    """
    size = path.stat().st_size
    if size > LARGEST_FILE:
        raise WeightsError(f"weights={str(path)!r} has {size:,} bytes, more than any network.")
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        parts = archive.infolist()
    if any(part.compress_type != zipfile.ZIP_STORED for part in parts) or sum(part.file_size for part in parts) > size:
        raise WeightsError(
            f"weights={str(path)!r} is a packed archive: it would become larger than it is. Expected what torch.save wrote."
        )


def _check_memory(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Refuse tensors that claim more elements than they have memory for, as an expanded one does.

    Raises:
        WeightsError: There is one.
    """
    for name, tensor in tensors.items():
        if tensor.layout != torch.strided or tensor.is_meta or tensor.nbytes > tensor.untyped_storage().nbytes():
            raise WeightsError(
                f"weights={str(path)!r}: {shown(name)} is {_shape(tensor)}, more than the file holds of it. Expected plain "
                "tensors, each with all of its elements."
            )


def _harmless() -> list[Any]:
    """What fastai's files hold beside tensors: lists of its own, and numbers of NumPy. None of them runs code."""
    numbers = [(np.float64(0).__reduce__()[0], f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")]
    kinds = [type(np.dtype(name)) for name in ("float64", "float32", "int64", "int32", "bool")]
    return [(_Inert, "fastcore.foundation.L"), *numbers, np.dtype, *kinds]


def _state_dict_of(found: Any, path: Path) -> dict[str, Tensor]:
    """The dictionary of tensors inside what a file holds, below at most two of the usual names."""
    for _ in range(3):
        if not isinstance(found, Mapping):
            break
        # Names of other kinds may be anything, even what never ends to be turned into text.
        tensors = {name: value for name, value in found.items() if isinstance(name, str) and isinstance(value, Tensor)}
        nest = next((name for name in NESTS if isinstance(found.get(name), Mapping)), None)
        if tensors and nest is None:
            return tensors
        found = found[nest] if nest else None
    raise WeightsError(
        f"weights={str(path)!r} holds no dictionary of tensors. "
        f"Expected a state_dict, or one under the name 'state_dict' or 'model'."
    )


def _mismatch(body: nn.Module, fit: Fit, origin: str, arch: str) -> str:
    needed = _needed(body)
    matched = len(needed & set(fit.matched))
    parts = [f"weights {origin!r} do not fit {arch}: {matched:,} of its {counted(len(needed), 'tensor')} matched."]
    for words, found in (("Missing", fit.missing), ("Of another shape", fit.wrong), ("Belonging nowhere", fit.unknown)):
        if found:
            more = f" and {len(found) - SHOWN:,} more" if len(found) > SHOWN else ""
            parts.append(f"{words}: {', '.join(found[:SHOWN])}{more}.")
    parts.append("Give a file of the same architecture, or the arch that the file was made for.")
    return " ".join(parts)


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))
