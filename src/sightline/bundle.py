"""Bundle: a trained classifier as ONE .safetensors file: tensors, and a JSON manifest in its header.

The manifest names things and never holds code: the architecture by its name in a zoo, the head by its options, the target, the
preprocessing, the history and the versions. Reading a bundle parses JSON and copies tensors; nothing is ever unpickled.
"""

from __future__ import annotations

import json
import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sightline.atomic import whole_file
from sightline.errors import BundleError, SightlineError, SightlineWarning, counted
from sightline.model.vision import ModelSpec, build_from_spec
from sightline.preprocess import Preprocess
from sightline.record import Record
from sightline.runtime import PRECISIONS, Precision
from sightline.target import Target
from sightline.versions import versions_in_use

FORMAT = "sightline"
FORMAT_VERSION = 1


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
            BundleError: It cannot be written.
        """
        path = Path(path)
        metadata = {"format": FORMAT, "manifest": json.dumps(self.manifest(), allow_nan=True)}
        # Networks may hold one tensor under two names; a file holds each on its own.
        tensors = {name: tensor.clone() for name, tensor in self.tensors.items()}
        try:
            with whole_file(path) as partial:
                save_file(tensors, partial, metadata=metadata)
        except (OSError, SafetensorError) as error:
            raise BundleError(
                f"{path} cannot be written: {error}. Choose a folder that you may write to, with room."
            ) from error
        return path

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read a file that `save` wrote.

        Raises:
            BundleError: It is missing, damaged, no bundle, or from a newer version.
        """
        path = Path(path)
        if not path.is_file():
            raise BundleError(f"{path} is not a file. Expected what learn.export(...) or `sightline train` wrote.")
        try:
            with safe_open(path, framework="pt") as opened:
                metadata = opened.metadata() or {}
                tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118 - not a mapping
        except (SafetensorError, OSError, ValueError) as error:
            raise BundleError(f"{path} cannot be read as .safetensors: {error}. {_hint(path)}") from error
        manifest = _parse(path, metadata)
        try:
            bundle = cls(
                tensors,
                ModelSpec.from_json(manifest["architecture"]),
                Target.from_json(manifest["target"]),
                Preprocess.from_json(manifest["preprocess"]),
                _precision(manifest["precision"]),
                list(manifest["history"]),
                dict(manifest["made"]),
            )
        except (KeyError, TypeError, ValueError) as error:
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
        try:
            network = build_from_spec(self.spec) if model is None else model
        except SightlineError as error:
            own = " Build it in your own code: Predictor.load(path, model=network)." if self.spec.needs_code else ""
            raise BundleError(f"The network in the file cannot be built: {error}{own}") from error
        wanted = network.state_dict()
        wrong = sorted(
            name for name in {*wanted, *self.tensors} if name not in wanted or name not in self.tensors
            or wanted[name].shape != self.tensors[name].shape
        )  # fmt: skip
        if wrong:
            raise BundleError(
                f"{counted(len(wrong), 'tensor')} in the file do not fit the architecture {self.spec.arch} "
                f"(first: {wrong[0]!r}). "
                "Expected the same names and shapes. The file is damaged, or the given network is another one."
            )
        network.load_state_dict(dict(self.tensors))
        return network.eval()


def _check_outputs(spec: ModelSpec, target: Target) -> None:
    if spec.n_out != target.num_outputs:
        raise BundleError(
            f"The network has {counted(spec.n_out, 'output')}, but its labels need {target.num_outputs}. What the others mean "
            "only a loss of one's own knows, so nothing could be predicted from a file. Save the weights with learn.save(...)."
        )


def _precision(value: Any) -> Precision:
    if value not in PRECISIONS:
        raise BundleError(f"precision {value!r} in the file is not one of {', '.join(PRECISIONS)}.")
    return cast(Precision, value)


def _parse(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    if metadata.get("format") != FORMAT or "manifest" not in metadata:
        raise BundleError(
            f"{path} holds tensors but no manifest of sightline. To start from these weights, pass "
            f"vision_learner(..., weights='{path}'); to predict, export with learn.export(...)."
        )
    try:
        manifest = json.loads(metadata["manifest"])
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path}: its manifest is not JSON: {error}") from error
    if not isinstance(manifest, dict):
        raise BundleError(f"{path}: its manifest is not a JSON object.")
    found = manifest.get("format_version")
    if not isinstance(found, int) or not 1 <= found <= FORMAT_VERSION:
        raise BundleError(
            f"{path} has format version {found!r}; this sightline reads 1 to {FORMAT_VERSION}. Update sightline to read it."
        )
    return manifest


def _hint(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(2)
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
        "It looks like a pickle, which is code and is never loaded here; fastai's learn.export(...) writes such files. Where "
        f"fastai is installed, take the weights out: learn = load_learner('{path.name}'); torch.save(learn.model.state_dict(), "
        f"'{weights}'); print(learn.dls.vocab). Then: sightline convert {weights} --arch NAME --labels NAMES."
    )
