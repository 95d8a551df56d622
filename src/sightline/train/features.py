"""Stored features: while the head trains alone, what the frozen layers say of a picture stands in for the picture.

Pictures pass the frozen layers once, in the first epoch of the phase, and train the head as they come; the epochs after it
take what was kept. The frozen layers are in training mode meanwhile, so that running statistics of normalisation adapt as far
as they do in the usual frozen phase of as many epochs; validation is kept as the statistics have it then. Callbacks, record and
progress see a fit as every other: the loop goes through other loaders, and `layers_for` says what a batch goes through.

Two things are other than in the usual frozen phase: normalisation weights below the head stay as they are, and the epochs
after the first see no new augmentation.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from sightline.data.loading.batch import Batch
from sightline.errors import OptionError, TrainingError, did_you_mean, listed
from sightline.model.modes import evaluating
from sightline.train.events import Callback
from sightline.train.feature_loaders import FeatureBatch, TrainingFeatures, ValidationFeatures

if TYPE_CHECKING:
    from sightline.train.learner import Learner
    from sightline.train.plan import Phase

Frozen: TypeAlias = Literal["train", "features"]
FROZEN: tuple[str, ...] = ("train", "features")

LARGEST_STORE = 2**30
"""Bytes of features that are kept at most: 260,000 pictures of a resnet18, 65,000 of a resnet50."""


class StoredFeatures:
    """What the loop goes through in place of the data loaders while the head trains from features.

    Attributes:
        train: Features of the training pictures.
        valid: Features of the validation pictures.
    """

    def __init__(self, learn: Learner, epochs: int) -> None:
        """Take the learner, and for how many epochs, from its present one on, features are asked for.

        Raises:
            OptionError: The network does not allow it.
        """
        below, above = split_below_the_head(learn)

        def passed(batch: Batch) -> FeatureBatch:
            found = learn.micro_batches.features(learn.model, lambda part: _features(learn, below, part), batch.image)
            return FeatureBatch(found, batch.target, batch.index, above=above)

        epochs_ahead = range(learn.epochs_done, learn.epochs_done + epochs)
        self.train = TrainingFeatures(learn.dls.train, passed, epochs_ahead, below)
        self.valid = ValidationFeatures(learn.dls.valid, passed, self.train)


@contextmanager
def from_features(learn: Learner, epochs: int) -> Iterator[None]:
    """The loop goes through stored features within a block, and through the data loaders again however it ends."""
    learn.stored = StoredFeatures(learn, epochs)
    try:
        yield
    finally:
        learn.stored = None


def layers_for(learn: Learner) -> nn.Module:
    """What the inputs of the present step go through: the network, or for features the layers above them.

    Raises:
        TrainingError: A callback put something else in the place of features.
    """
    batch = learn.batch
    if not isinstance(batch, FeatureBatch):
        return learn.model
    if learn.xb[0] is not batch.image:
        raise TrainingError(
            "A callback changed the inputs of a batch, which holds stored features and not pictures. "
            "Leave the callback out of this phase, or train with fine_tune(..., frozen='train')."
        )
    return batch.above


def frozen_phase(learn: Learner, phase: Phase, frozen: str) -> Phase:
    """The first phase of `fine_tune` as `frozen` has it: as it is, or on stored features with words on what that means.

    Raises:
        OptionError: There is no such way, or features cannot be stored: for this network, or because they are too many.
    """
    if frozen not in FROZEN:
        raise OptionError(f"frozen={frozen!r}: expected 'train' or 'features'. {did_you_mean(str(frozen), FROZEN)}".rstrip())
    if frozen == "train" or not phase.epochs:
        return phase
    below, _ = split_below_the_head(learn)
    one = _features_of_one(learn, below)
    pictures = learn.dls.train.n + learn.dls.valid.n
    size = pictures * one.numel() * one.element_size()
    shape = " x ".join(f"{side:,}" for side in one.shape[1:])
    kept = f"{shape} numbers ({str(one.dtype).removeprefix('torch.')}) for each of {pictures:,}, {_mib(size)}"
    if phase.epochs > 1 and size > LARGEST_STORE:
        raise OptionError(
            f"frozen='features' would keep {kept}. Expected {_mib(LARGEST_STORE)} at most. Use frozen='train', "
            "freeze_epochs=1 (a single epoch keeps nothing), or a head that begins with pooling."
        )
    trained = sum(p.numel() for p in _head_of(learn))
    storing = f"; kept are {kept}, and each later epoch takes them as they are" if phase.epochs > 1 else "; nothing is kept"
    note = (
        f"pictures pass the frozen layers once, augmented once, forwards only{storing}. "
        "Other than with frozen='train', normalisation weights below the head stay as they are"
    )
    return replace(phase, name="the head, from stored features", trained=trained, note=note)


def refuse_callbacks(cbs: Sequence[Callback]) -> None:
    """Make sure that no callback needs pictures.

    Raises:
        OptionError: Some do.
    """
    needing = [cb.name for cb in cbs if cb.needs_pictures]
    if needing:
        raise OptionError(
            f"frozen='features' trains the head from stored features, but {listed(needing)} "
            f"{'needs' if len(needing) == 1 else 'need'} pictures that pass the whole network. "
            "Use frozen='train', or leave the callback out."
        )


def split_below_the_head(learn: Learner) -> tuple[nn.Sequential, nn.Sequential]:
    """The layers below the last parameter group, and those from it on; dropout right below it belongs to the upper ones.

    Raises:
        OptionError: The network is no sequence of layers, or there is nothing to be frozen below the head.
    """
    layers = list(_in_order(learn.model))
    head = {id(p) for p in _head_of(learn)}
    border = next((i for i, layer in enumerate(layers) if any(id(p) in head for p in layer.parameters())), 0)
    below = border
    while below and not any(True for _ in layers[below - 1].parameters()):
        below -= 1
        border = below if _draws(layers[below]) else border
    if not any(True for layer in layers[:border] for _ in layer.parameters()):
        raise OptionError(
            "frozen='features' needs a network that is a sequence of frozen layers and a head: nn.Sequential(body, head), with "
            f"the head's parameters in the last of two groups or more. This {type(learn.model).__name__} has none that is "
            "frozen below the last group. Use frozen='train', or give Learner a splitter."
        )
    return nn.Sequential(*layers[:border]), nn.Sequential(*layers[border:])


def _head_of(learn: Learner) -> list[nn.Parameter]:
    return (learn.opt or learn.create_opt()).param_lists[-1]


def _in_order(module: nn.Module) -> Iterator[nn.Module]:
    """The layers of a sequence in the order in which they are called, sequences within it opened up."""
    if isinstance(module, nn.Sequential) and type(module).forward is nn.Sequential.forward:
        for layer in module:
            yield from _in_order(layer)
    else:
        yield module


def _draws(layer: nn.Module) -> bool:
    """Whether a layer without parameters gives something else each time."""
    return any(isinstance(part, _DropoutNd) or "drop" in type(part).__name__.lower() for part in layer.modules())


def _features_of_one(learn: Learner, below: nn.Module) -> Tensor:
    prepared = learn.dls.preprocess
    if prepared is not None and prepared.output_size is not None:
        picture = torch.zeros(1, prepared.channels, *prepared.output_size)
    else:
        # A torch DataLoader draws from the global generator when it begins.
        with torch.random.fork_rng(devices=[]):
            picture = learn.dls.train.one_batch().image[:1]
    with evaluating(learn.model):
        return _features(learn, below, picture.to(learn.runtime.device))


def _features(learn: Learner, below: nn.Module, images: Tensor) -> Tensor:
    if learn.runtime.channels_last:
        images = images.contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), learn.runtime.autocast():
        found = below(images)
    if not isinstance(found, Tensor):
        raise OptionError(
            f"frozen='features': the layers below the head give a {type(found).__name__}. Expected one tensor of features "
            "(N, ...). Use frozen='train'."
        )
    return found


def _mib(size: int) -> str:
    return f"{size / 2**20:,.1f} MiB"
