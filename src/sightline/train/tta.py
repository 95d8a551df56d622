"""Test-time augmentation: the same pictures as training would show them, and the mean of what is said of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.loaders import Loader
from sightline.data.loading.samples import DecodedSamples
from sightline.data.transforms.batch_pipeline import BatchPipeline, flattened
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.item_pipeline import ItemPipeline
from sightline.errors import OptionError


def check(loader: AnyLoader, n: int, beta: float | None, *, moves: bool) -> Loader:
    """The loader, if its pictures can be augmented.

    Args:
        loader: What the pictures come from.
        n: Number of augmented passes.
        beta: Share of the plain pass.
        moves: Labels are places in the picture.

    Raises:
        OptionError: They cannot, or an argument is outside what it may be.
    """
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise OptionError(f"n={n!r} augmented passes. Expected a whole number of at least 1.")
    if beta is not None and not 0 <= beta <= 1:
        raise OptionError(f"beta={beta!r}: expected the share of the plain pictures, 0 to 1, or None for both results.")
    if moves:
        raise OptionError(
            "The labels are points, which move with the picture: predictions for differently augmented pictures are places in "
            "different pictures, and have no mean. Use learn.get_preds()."
        )
    if not isinstance(loader, Loader):
        raise OptionError(
            f"A loader of ready-made batches ({type(loader).__name__}) cannot be augmented. Expected one of `learn.dls`, or "
            "dls.test_dl(...)."
        )
    return loader


def with_transforms(loader: Loader, item_tfms: Any, batch_tfms: Any) -> Loader:
    """The loader with other transforms; None keeps its own. It goes on normalising as it did.

    Raises:
        OptionError: Something is no transform, or the loader's pictures are not read and transformed one by one.
    """
    changes: dict[str, Any] = {}
    if item_tfms is not None:
        samples = loader.part.samples
        if not isinstance(samples, DecodedSamples):
            raise OptionError("item_tfms cannot replace those of pictures that are not read anew. Leave item_tfms out.")
        items = ItemPipeline(item_tfms, samples.items.channels, samples.items.read)
        changes["part"] = replace(loader.part, samples=replace(samples, items=items))
    if batch_tfms is not None:
        given, normalize = flattened(batch_tfms), loader.batches.normalize
        if normalize is not None and not any(isinstance(transform, Normalize) for transform in given):
            given.append(normalize)
        changes["batches"] = BatchPipeline(given)
    return loader.new(**changes)


def augmented(loader: Loader, number: int) -> Loader:
    """The same pictures, none left out, with training transforms and the draws of an epoch that is never trained on."""
    twin = loader.new(shuffle=False, drop_last=False, training=False, augmenting=True)
    twin.epoch = -1 - number
    return twin


def blended(passes: list[Tensor], plain: Tensor, beta: float | None, *, use_max: bool) -> Any:
    """What `n` augmented passes and a plain one say together.

    Args:
        passes: Probabilities `(N, K)` of each augmented pass.
        plain: Those of the plain pass.
        beta: Share of the plain pass; None gives (mean of the augmented ones, plain).
        use_max: The largest of all, element by element, whatever `beta` is.
    """
    stacked = torch.stack(passes)
    if use_max:
        return torch.maximum(stacked.amax(dim=0), plain)
    mean = stacked.mean(dim=0)
    return (mean, plain) if beta is None else torch.lerp(mean, plain, float(beta))
