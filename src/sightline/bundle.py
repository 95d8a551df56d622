"""Bundle: a trained classifier as ONE .safetensors file: tensors, and a JSON manifest in its header.

The manifest names things and never holds code: the architecture by its name in a zoo, the head by its options, the target, the
preprocessing, the history and the versions. Reading a bundle parses JSON and copies tensors; nothing is ever unpickled. Every
value is checked, for the file may be a stranger's: it opens nothing, and cannot ask for more memory than its tensors justify.
"""

from __future__ import annotations

import json
import math
import os
import platform
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from sightline.errors import BundleError, SightlineError, SightlineWarning, TensorFileError, counted
from sightline.model.skeleton import bytes_of, fill, skeleton_of
from sightline.model.vision import ModelSpec, build_from_spec
from sightline.preprocess import Preprocess
from sightline.record import Record
from sightline.runtime import PRECISIONS, Precision
from sightline.stored import LONGEST_TEXT, Kind, check_fields, list_of, one_of, parse_json, shown
from sightline.target import Target
from sightline.tensorfile import read_metadata, read_tensors, write_tensors
from sightline.versions import versions_in_use

FORMAT = "sightline"
FORMAT_VERSION = 2

ROOM = 64 * 2**20
"""Bytes by which a network may need more than twice what its file holds; one that needs more is refused before it is built."""


@dataclass(frozen=True)
class Bundle:
    """What an exported file holds.

    Attributes:
        tensors: The network's parameters and buffers by name, on the CPU.
        spec: How to build the network from names.
        target: What the outputs mean.
        preprocess: How pictures are prepared.
        precision: What it was trained and validated in: 'fp32' or 'bf16'.
        history: The epoch rows of the record.
        made: When and with which versions it was written.
    """

    tensors: Mapping[str, Tensor]
    spec: ModelSpec
    target: Target
    preprocess: Preprocess
    precision: Precision = "fp32"
    history: list[dict[str, Any]] = field(default_factory=list)
    made: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        model: nn.Module,
        spec: ModelSpec | None,
        target: Target,
        preprocess: Preprocess,
        record: Record,
        precision: Precision = "fp32",
    ) -> Bundle:
        """The bundle of a trained network.

        Raises:
            BundleError: The network cannot be built again from names.
        """
        if spec is None:
            raise BundleError(
                "This network was not built by vision_learner, so a file cannot name it. Expected a network that can be built "
                "again from names. Save its weights with learn.save(...), and build the network in your own code."
            )
        if spec.needs_code:
            warnings.warn(
                f"{'; '.join(spec.needs_code)}: a file never carries code, so this one holds the tensors alone. To load it, "
                "build the network in your own code and pass it: Predictor.load(path, model=network).",
                SightlineWarning,
                stacklevel=3,
            )
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
        made = {
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "versions": versions_in_use(),
        }
        _check_outputs(spec, target)
        return cls(tensors, spec, target, preprocess, precision, record.of("epoch"), made)

    def manifest(self) -> dict[str, Any]:
        """All but the tensors, as plain values."""
        return {
            "format_version": FORMAT_VERSION,
            "architecture": self.spec.to_json(),
            "target": self.target.to_json(),
            "preprocess": self.preprocess.to_json(),
            "precision": self.precision,
            "history": self.history,
            "made": self.made,
        }

    def save(self, path: str | Path) -> Path:
        """Write the file, whole or not at all; returns its path.

        Raises:
            BundleError: It cannot be written, or what it would say could not be read again.
        """
        path = Path(path)
        try:
            text = json.dumps(self.manifest(), allow_nan=True)
        except (TypeError, ValueError) as error:
            raise BundleError(
                f"{path} cannot be written: {error}. Expected names of classes that are texts, numbers, True or False."
            ) from error
        Bundle._of_manifest(path, _parse(path, {"format": FORMAT, "manifest": text}))
        try:
            write_tensors(path, self.tensors, {"format": FORMAT, "manifest": text})
        except (OSError, TensorFileError) as error:
            raise BundleError(
                f"{path} cannot be written: {error}. Choose a folder that you may write to, with room."
            ) from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read a file that `save` wrote, and check all of it: bytes against their seal, values against what they may be.

        Raises:
            BundleError: It is missing, damaged, no bundle, or from another version.
        """
        path = Path(path)
        try:
            metadata = read_metadata(path)
            # What it says is checked before its tensors are read, which may be large.
            try:
                bundle = cls._of_manifest(path, _parse(path, metadata))
            except BundleError:
                read_tensors(path, sealed=False)  # a damaged file says odd things: if its seal is broken, that is why
                raise
            file = read_tensors(path)
        except TensorFileError as error:
            raise BundleError(f"{path} cannot be used: {error}. {_hint(path)}") from error
        if file.metadata != metadata:
            raise BundleError(f"{path} was changed while it was being read. Load it again.")
        return replace(bundle, tensors=file.tensors)

    @classmethod
    def _of_manifest(cls, path: Path, manifest: Mapping[str, Any]) -> Bundle:
        """The bundle without its tensors."""
        try:
            values = check_fields(manifest, _STORED, needed=list(_STORED))
            bundle = cls(
                {},
                ModelSpec.from_json(values["architecture"]),
                Target.from_json(values["target"]),
                Preprocess.from_json(values["preprocess"]),
                cast(Precision, values["precision"]),
                list(values["history"]),
                dict(values["made"]),
            )
        except ValueError as error:
            raise BundleError(f"{path}: its manifest is not complete or not valid: {error}") from error
        _check_outputs(bundle.spec, bundle.target)
        return bundle

    def build(self, model: nn.Module | None = None) -> nn.Module:
        """The network with its weights, in evaluation mode.

        Args:
            model: The network itself where its architecture or head is code of the user's own.

        Raises:
            BundleError: The tensors do not fit the architecture.
        """
        if model is None:
            model = self._skeleton()
            if fill(model, self.tensors):
                return model.eval()
            model = self._built(build_from_spec)
        self._check_fit(model)
        model.load_state_dict(dict(self.tensors))
        return model.eval()

    def _check_fit(self, network: nn.Module) -> None:
        wanted = network.state_dict()
        wrong = sorted(
            name for name in {*wanted, *self.tensors} if name not in wanted or name not in self.tensors
            or wanted[name].shape != self.tensors[name].shape
        )  # fmt: skip
        if wrong:
            raise BundleError(
                f"{counted(len(wrong), 'tensor')} in the file do not fit the architecture {self.spec.arch} "
                f"(first: {shown(wrong[0])}). "
                "Expected the same names and shapes. The file is damaged, or the given network is another one."
            )

    def _skeleton(self) -> nn.Module:
        """The network without weights, once it is known that the file's tensors justify their memory."""
        network = self._built(skeleton_of)
        held, needed = sum(tensor.nbytes for tensor in self.tensors.values()), bytes_of(network)
        if needed > 2 * held + ROOM:
            raise BundleError(
                f"The network {self.spec.arch} that the file describes needs {needed:,} bytes, but its tensors have {held:,}: "
                "they are not of that network. The file is damaged, or was made to do harm."
            )
        # Names may differ here, where a part was kept that a real picture shows to be unused; shapes of the same names may not.
        if network.state_dict().keys() == self.tensors.keys():
            self._check_fit(network)
        return network

    def _built(self, how: Callable[[ModelSpec], nn.Module]) -> nn.Module:
        try:
            return how(self.spec)
        except SightlineError as error:
            own = " Build it in your own code: Predictor.load(path, model=network)." if self.spec.needs_code else ""
            raise BundleError(f"The network in the file cannot be built: {error}{own}") from error
        except Exception as error:  # a zoo's constructor fails in any way that odd numbers lead to
            raise BundleError(f"The network {self.spec.arch} in the file cannot be built: {shown(str(error))}") from error


def _check_outputs(spec: ModelSpec, target: Target) -> None:
    if spec.n_out != target.num_outputs:
        raise BundleError(
            f"The network has {counted(spec.n_out, 'output')}, but its labels need {target.num_outputs}. What the others mean "
            "only a loss of one's own knows, so nothing could be predicted from a file. Save the weights with learn.save(...)."
        )


def _is_plain(value: Any) -> bool:
    """Whether texts are of readable length; all else in what a parser gave is plain already."""
    if isinstance(value, Mapping):
        return all(map(_is_plain, value.values()))
    return all(map(_is_plain, value)) if isinstance(value, list) else not isinstance(value, str) or len(value) <= LONGEST_TEXT


def _is_finite(value: Any) -> bool:
    if isinstance(value, Mapping | list):
        return all(map(_is_finite, value.values() if isinstance(value, Mapping) else value))
    return not isinstance(value, float) or math.isfinite(value)


_ANYTHING = Kind("names with values", lambda value: True)
_STORED: Mapping[str, Kind] = {
    "format_version": Kind(str(FORMAT_VERSION), lambda value: type(value) is int and value == FORMAT_VERSION),
    # Their own rooms know what these may hold.
    "architecture": _ANYTHING,
    "target": _ANYTHING,
    "preprocess": _ANYTHING,
    "precision": one_of(PRECISIONS),
    # Losses that went wrong are part of what happened: the one place where NaN and Infinity may stand.
    "history": list_of(Kind("names with values", lambda row: isinstance(row, Mapping) and _is_plain(row))),
    "made": Kind("names with finite values", lambda made: isinstance(made, Mapping) and _is_plain(made) and _is_finite(made)),
}
"""What a manifest holds under each name."""


def _parse(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT or "manifest" not in metadata:
        raise BundleError(
            f"{path} holds tensors but no manifest of sightline. To start from these weights, pass "
            f"vision_learner(..., weights='{path}'); to predict, export with learn.export(...)."
        )
    try:
        manifest = parse_json(metadata["manifest"], nan=True)
    except ValueError as error:
        raise BundleError(f"{path}: its manifest is not JSON that is read here: {error}") from error
    if not isinstance(manifest, dict):
        raise BundleError(f"{path}: its manifest is not a JSON object.")
    found = manifest.get("format_version")
    if type(found) is not int or found != FORMAT_VERSION:
        way_out = "Export it again." if found == 1 else "Update sightline to read it."
        raise BundleError(f"{path} has format version {shown(found)}; this sightline reads {FORMAT_VERSION}. {way_out}")
    return manifest


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(2)


def _hint(path: Path) -> str:
    try:
        # Anything but a file is not even opened: a pipe would wait for ever.
        head = _first_bytes(path) if os.path.isfile(path) else b""
    except OSError:
        head = b""
    if head[:1] == b"\x80" or head == b"PK":
        return of_pickle(path)
    return "Expected what learn.export(...) or `sightline train` wrote."


def of_pickle(path: Path) -> str:
    """What to do with a pickle, such as fastai exports, in words."""
    weights = path.with_suffix(".pth").name
    if path.suffix == ".pth":
        return (
            f"It looks like a pickle of torch's. If it holds weights: sightline convert {path.name} --arch NAME --labels NAMES."
        )
    return (
        "It looks like a pickle, which is code and is never loaded here; fastai's learn.export(...) writes such files. If it "
        "is your own, or you trust whoever made it (loading it runs what is in it), take the weights out where fastai is: "
        f"learn = load_learner('{path.name}'); torch.save(learn.model.state_dict(), '{weights}'); print(learn.dls.vocab). "
        f"Then: sightline convert {weights} --arch NAME --labels NAMES."
    )
