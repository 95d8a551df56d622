"""What transforms learn from the training part: the statistics that `Normalize()` was not told, and what `setups` asks for."""

from __future__ import annotations

from typing import Any

from sightline.data.loading.loaders import Loader
from sightline.data.transforms.batch_pipeline import BatchPipeline
from sightline.data.transforms.colour import Normalize
from sightline.data.transforms.user_transforms import Transform


def measured(loaders: list[Loader]) -> list[Loader]:
    """The loaders, with the statistics of the first one's first batch if a `Normalize` waits for them."""
    first = loaders[0]
    _set_up(first)
    if not first.batches.needs_stats:
        return loaders
    batches = first.batches.measured(first.raw_batch())
    return [loader.new(batches=batches) for loader in loaders]


def _set_up(loader: Loader) -> None:
    """Calls `setups` of the user's own transforms with the loader as it would be without those of batches, not normalised."""
    items: Any = getattr(loader.part.samples, "items", None)
    given = [*getattr(items, "transforms", ()), *loader.batches.transforms]
    waiting = [transform for transform in given if isinstance(transform, Transform) and hasattr(transform, "setups")]
    if not waiting:
        return
    others = [t for t in loader.batches.transforms if not isinstance(t, Normalize) and not any(t is w for w in waiting)]
    plain = loader.new(batches=BatchPipeline(others))
    for transform in waiting:
        transform.setup(plain)
