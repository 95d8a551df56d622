"""Conversion: weights that fastai saved -> a file that predicts here, or one from which training goes on.

fastai's `learn.save` writes a dictionary of tensors. Its names are those of the networks of `model/` for the same architecture
and fastai's default head. It is read without running any code in it, and every name and shape is checked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.bundle import Bundle, of_pickle
from sightline.errors import (
    ArchitectureError,
    ModelError,
    OptionError,
    TensorFileError,
    WeightsError,
    close_matches,
    counted,
    listed,
)
from sightline.model.architectures import Architecture
from sightline.model.backbones import Arch, resolve, torchvision_names
from sightline.model.spelling import SAFE_SUFFIX
from sightline.model.timm_zoo import TimmBackbone, timm_names
from sightline.model.torchvision_zoo import TorchvisionBackbone
from sightline.model.vision import VisionModel, create_vision_model
from sightline.model.weights import SAVED_FORMAT, SAVED_MODEL, read_file, used_by
from sightline.model.zoo import Backbone, Stats
from sightline.preprocess import IMAGENET_STATS, Preprocess, ResizeMethod, as_size
from sightline.record import Record
from sightline.target import MultiLabel, Regression, SingleLabel, Target, Vocab
from sightline.tensorfile import write_tensors

NORMALIZED_BY_FASTAI = (
    "resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "squeezenet1_0", "squeezenet1_1", "densenet121",
    "densenet161", "densenet169", "densenet201", "vgg11_bn", "vgg13_bn", "vgg16_bn", "vgg19_bn", "alexnet",
)  # fmt: skip
"""torchvision's networks whose pictures fastai normalises, by the figures of ImageNet; those of its others it does not."""

_TIMM_BODY = "0.model."
_TRIED = 24
"""How many architectures are tried to find one that fits."""


@dataclass(frozen=True)
class Converted:
    """What was written.

    Attributes:
        path: Where.
        tensors: How many tensors it holds.
        arch: The architecture that they fit; None where none was named.
        target: What the outputs mean; None for weights alone, which train further but do not predict by themselves.
    """

    path: Path
    tensors: int
    arch: str | None = None
    target: Target | None = None


def convert_weights(
    path: str | Path,
    arch: Arch | None = None,
    labels: Sequence[Any] | None = None,
    *,
    out: str | Path | None = None,
    multi_label: bool = False,
    thresholds: float | tuple[float, ...] = 0.5,
    regression: bool = False,
    y_range: tuple[float, float] | None = None,
    size: int | tuple[int, int] = 224,
    item_size: int | tuple[int, int] | None = None,
    resize: ResizeMethod = "crop",
    normalize: bool | None = None,
    n_in: int = 3,
) -> Converted:
    """Turn weights of fastai into a file of this library. Nothing in them is ever executed.

    With `arch` and `labels` (or `regression`), the file is what `learn.export` would have written: `load_learner` and
    `sightline predict` take it. Otherwise it holds weights alone, for `learn.load` and `vision_learner(weights=)`.

    Args:
        path: What fastai's `learn.save` wrote, with or without its optimizer, or a state_dict of torch.save or safetensors.
        arch: The architecture: a name, or a constructor of torchvision.
        labels: The names of the outputs in their order: `learn.dls.vocab`.
        out: Where to write; None is `path` with the ending `.safetensors`.
        multi_label: Each picture may have several of the labels.
        thresholds: With `multi_label`: a label is decided for above this probability; one number, or one a label.
        regression: The outputs are numbers.
        y_range: (low, high) that the learner kept its outputs in, if it did.
        size: Side, or (height, width), in pixels of what the network was validated on.
        item_size: With presizing, the size of item_tfms=Resize(item_size), `size` being that of the batch transforms.
        resize: How pictures were brought to a size: 'crop', 'pad' or 'squish'.
        normalize: Whether pictures were normalised; None does as fastai does for pretrained networks of this architecture.
        n_in: Number of channels of the pictures.

    Returns:
        What was written.

    Raises:
        WeightsError: The file cannot be read, or does not fit; the message names architectures that do.
        ArchitectureError: There is no architecture of that name.
        OptionError: Arguments are missing or contradict each other.
    """
    path = Path(path)
    if path.suffix == ".pkl":
        raise WeightsError(f"{path}: {of_pickle(path)}")
    out = path.with_suffix(SAFE_SUFFIX) if out is None else Path(out)
    if out.resolve() == path.resolve():
        raise OptionError(f"out={str(out)!r} is the file that is read. Expected another name.")
    tensors = dict(read_file(path).by_name)
    _check_question(tensors, arch, labels, regression=regression, multi_label=multi_label)
    if arch is None:
        return Converted(_write_weights(out, tensors), len(tensors))
    width = _outputs_in(tensors)
    backbone = _backbone(arch, tensors)
    target = _target(labels, width, thresholds, multi_label=multi_label, regression=regression)
    model = _filled(backbone, tensors, width if target is None else target.num_outputs, n_in, y_range)
    if target is None:
        return Converted(_write_weights(out, model.state_dict()), len(model.state_dict()), backbone.name)
    batch_size_px = None if item_size is None else as_size(size)
    preprocess = Preprocess(as_size(item_size or size), resize, batch_size_px=batch_size_px, channels=n_in)
    if (stats := _stats(backbone, n_in, normalize)) is not None:
        preprocess = preprocess.with_stats(*stats)
    bundle = Bundle.of(model, model.spec, target, preprocess, Record())
    bundle = replace(bundle, made={**bundle.made, "converted_from": path.name})
    return Converted(bundle.save(out), len(bundle.tensors), backbone.name, target)


def _check_question(
    tensors: Mapping[str, Tensor], arch: Arch | None, labels: Sequence[Any] | None, *, regression: bool, multi_label: bool
) -> None:
    if regression and (labels is not None or multi_label):
        raise OptionError("regression=True: outputs are numbers, which have no labels. Give either labels or regression=True.")
    if multi_label and labels is None:
        raise OptionError("multi_label=True needs the labels: pass labels=, in the order of learn.dls.vocab.")
    if arch is None and (labels is not None or regression):
        raise OptionError(
            "To predict, the architecture is needed too: pass arch=, such as the one that was given to vision_learner. "
            f"{_that_fit(tensors, 'resnet34')}"
        )


def _backbone(arch: Arch, tensors: Mapping[str, Tensor]) -> Backbone:
    """The architecture that is meant: the same name may be in both zoos, and the file tells which."""
    of_timm = any(name.startswith(_TIMM_BODY) for name in tensors)
    if isinstance(arch, str) and not of_timm and arch in torchvision_names():
        return TorchvisionBackbone(arch)
    return resolve(arch)


def _filled(
    backbone: Backbone, tensors: Mapping[str, Tensor], n_out: int, n_in: int, y_range: tuple[float, float] | None
) -> VisionModel:
    """The network with the tensors in it.

    Raises:
        WeightsError: They do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        model = create_vision_model(_constructor(backbone), n_out, pretrained=False, n_in=n_in, y_range=y_range)
    found, own = used_by(model, tensors), model.state_dict()
    wrong = [name for name in own if name in found and found[name].shape != own[name].shape]
    absent = [name for name in own if name not in found]
    unknown = [name for name in found if name not in own]
    if not wrong and not absent and not unknown:
        model.load_state_dict(found)
        return model
    in_body = [name for name in (*wrong, *absent, *unknown) if not name.startswith("1.")]
    if in_body:
        raise WeightsError(_misfit(backbone.name, tensors, own, wrong, absent, unknown))
    raise WeightsError(_other_head(backbone.name, tensors, n_out))


def _constructor(backbone: Backbone) -> Arch:
    return Architecture(backbone.name) if isinstance(backbone, TorchvisionBackbone) else backbone.name


def _misfit(
    arch: str,
    tensors: Mapping[str, Tensor],
    own: Mapping[str, Tensor],
    wrong: Sequence[str],
    absent: Sequence[str],
    unknown: Sequence[str],
) -> str:
    first = (
        f"{wrong[0]!r} is {tuple(tensors[wrong[0]].shape)} in the file and {tuple(own[wrong[0]].shape)} in the network"
        if wrong
        else repr((*absent, *unknown)[0])
    )
    if len(wrong) == 1 and not absent and not unknown and tensors[wrong[0]].ndim == 4:
        channels = tensors[wrong[0]].shape[1]
        hint = f"The file was made for pictures of {counted(channels, 'channel')}: pass n_in={channels}."
    else:
        hint = _that_fit(tensors, arch)
    return (
        f"The weights do not fit {arch}: {counted(len(wrong), 'tensor')} of another shape, {len(absent)} absent, "
        f"{len(unknown)} unknown (first: {first}). Expected the names and shapes of fastai's vision_learner with this network. "
        f"{hint}"
    )


def _other_head(arch: str, tensors: Mapping[str, Tensor], n_out: int) -> str:
    found = _outputs_in(tensors)
    if found != n_out:
        return (
            f"The head in the file has {counted(found, 'output')}, but {counted(n_out, 'label')} were given. Expected one "
            "label for each output, in the order of learn.dls.vocab."
        )
    return (
        f"The body in the file is {arch}, but its head is not fastai's default one (512 hidden features). Expected that one. "
        "Give the options of the head in code: learn = vision_learner(dls, arch, lin_ftrs=...), then "
        "learn.load(...) and learn.export(...)."
    )


def _that_fit(tensors: Mapping[str, Tensor], like: str) -> str:
    """A sentence that names architectures whose body fits, or an empty one."""
    fitting = [backbone.name for backbone in _candidates(tensors, like) if _fits(backbone, tensors)]
    return f"What fits: {listed(fitting, joint=' or ')}." if fitting else "None of the usual architectures fits."


def _candidates(tensors: Mapping[str, Tensor], like: str) -> Iterable[Backbone]:
    if any(name.startswith(_TIMM_BODY) for name in tensors):
        return [TimmBackbone(name) for name in close_matches(like, timm_names(), most=_TRIED)]
    family = re.split(r"[\d_]", like)[0]
    near = [name for name in torchvision_names() if family and name.startswith(family)]
    return [TorchvisionBackbone(name) for name in dict.fromkeys((*near[:_TRIED], *NORMALIZED_BY_FASTAI))]


def _fits(backbone: Backbone, tensors: Mapping[str, Tensor]) -> bool:
    body = {name.removeprefix("0."): tensor.shape for name, tensor in tensors.items() if name.startswith("0.")}
    try:
        # Without memory for its weights a network is built in no time.
        with torch.device("meta"):
            own = _body_of_fastai(backbone).state_dict()
    except (ModelError, ArchitectureError, RuntimeError, NotImplementedError):
        return False
    return body == {name: tensor.shape for name, tensor in own.items()}


def _body_of_fastai(backbone: Backbone) -> nn.Module:
    if isinstance(backbone, TimmBackbone):
        import timm

        return nn.ModuleDict({"model": timm.create_model(backbone.name, pretrained=False, num_classes=0)})
    return backbone.build().module


def _outputs_in(tensors: Mapping[str, Tensor]) -> int:
    """How many outputs the head has: the rows of its last matrix.

    Raises:
        WeightsError: There is no head.
    """
    matrices = [tensor for name, tensor in tensors.items() if name.startswith("1.") and tensor.ndim == 2]
    if not matrices:
        raise WeightsError(
            "The file holds no head: no name begins with '1.'. Expected the weights of a learner made by fastai's "
            "vision_learner. To start from the weights of a body alone: vision_learner(..., weights='file.pth')."
        )
    return len(matrices[-1])


def _target(
    labels: Sequence[Any] | None, width: int, thresholds: float | tuple[float, ...], *, multi_label: bool, regression: bool
) -> Target | None:
    if regression:
        return Regression(width, flat=width == 1)
    if labels is None:
        return None
    if isinstance(labels, str):
        raise OptionError(f"labels={labels!r} is one text. Expected a list of names, such as ['cat', 'dog'].")
    vocab = Vocab(labels)
    return MultiLabel(vocab, thresholds) if multi_label else SingleLabel(vocab)


def _stats(backbone: Backbone, n_in: int, normalize: bool | None) -> Stats | None:
    """(mean, std) as fastai chooses them for a pretrained network."""
    if normalize is False:
        return None
    recipe = backbone.recipe() if isinstance(backbone, TimmBackbone) else None
    known = recipe.stats if recipe else IMAGENET_STATS if backbone.name in NORMALIZED_BY_FASTAI or normalize else None
    return known if known is not None and len(known[0]) == n_in else None


def _write_weights(path: Path, tensors: Mapping[str, Tensor]) -> Path:
    named = {SAVED_MODEL + name: tensor for name, tensor in tensors.items()}
    try:
        write_tensors(path, named, {"format": SAVED_FORMAT})
    except (OSError, TensorFileError) as error:
        raise WeightsError(f"{path} cannot be written: {error}. Choose a folder that you may write to.") from error
    return path
