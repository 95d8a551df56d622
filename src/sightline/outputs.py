"""Outputs: what a network gave for the pictures of a loader, one row a picture."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.batch import Batch
from sightline.data.loading.foreign import ForeignLoader
from sightline.data.loading.loaders import Loader
from sightline.target import Target


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network gave for the pictures of a loader, on the CPU. Pictures that cannot be read are left out.

    Attributes:
        loader: Where the pictures came from.
        target: What the labels are.
        rows: int64 `(N,)`, the row of each picture, see `Batch.index`.
        preds: Probabilities (or values) `(N, K)`.
        targs: Encoded labels; None where they are not known.
        decoded: Decisions, see `Target.decide`.
        losses: float `(N,)`; None where they were not asked for or labels are not known.
        inputs: Images `(N, C, H, W)`, or a list of them where their sizes differ; None where they were not asked for.
    """

    loader: AnyLoader
    target: Target
    rows: Tensor
    preds: Tensor
    targs: Tensor | None
    decoded: Tensor
    losses: Tensor | None = None
    inputs: Any = None

    def as_tuple(
        self,
        *,
        with_input: bool = False,
        with_decoded: bool = False,
        with_loss: bool = False,
        with_preds: bool = True,
        with_targs: bool = True,
    ) -> tuple[Any, ...]:
        """`([inputs], preds, targs, [decoded], [losses])`, in the order of fastai.

        Without `preds` or `targs` None stands in their place; without `preds` there are no decisions either.
        """
        parts: list[Any] = [self.inputs] if with_input else []
        parts += [self.preds if with_preds else None, self.targs if with_targs else None]
        parts += [self.decoded] if with_decoded and with_preds else []
        parts += [self.losses] if with_loss else []
        return tuple(parts)


class Collector:
    """Gathers what a network gives, batch by batch, on the CPU."""

    def __init__(self) -> None:
        self._rows: list[Tensor] = []
        self._logits: list[Tensor] = []
        self._targets: list[Tensor] = []
        self._losses: list[Tensor] = []
        self._inputs: list[Tensor] = []

    def add(
        self,
        rows: Any,
        logits: Tensor,
        *,
        target: Tensor | None = None,
        losses: Tensor | None = None,
        image: Tensor | None = None,
    ) -> None:
        """Take in one batch: its row numbers, outputs, and what else is wanted."""
        self._rows.append(torch.as_tensor(rows))
        self._logits.append(logits.detach().float().cpu())
        for parts, part in ((self._targets, target), (self._losses, losses), (self._inputs, image)):
            if part is not None:
                parts.append(part.detach().cpu())

    def outputs(
        self,
        loader: AnyLoader,
        target: Target,
        act: Callable[[Tensor], Tensor],
        decide: Callable[[Tensor], Tensor],
        *,
        reorder: bool = True,
    ) -> Outputs:
        """All of it, with activated outputs and decisions.

        Args:
            loader: Where the batches came from.
            target: What the labels are.
            act: From outputs `(N, K)` to probabilities.
            decide: From probabilities to decisions.
            reorder: In the order of the loader's own rows, even if it shuffles; False keeps the order of the batches.
        """
        rows = torch.cat(self._rows) if self._rows else torch.zeros(0, dtype=torch.int64)
        order = torch.argsort(_places(rows, loader), stable=True) if reorder else torch.arange(len(rows))
        logits = _joined(self._logits, order)
        preds = act(torch.zeros(0, target.num_outputs) if logits is None else logits)
        return Outputs(
            loader,
            target,
            rows[order],
            preds,
            _joined(self._targets, order),
            decide(preds),
            _joined(self._losses, order),
            _pictures(self._inputs, order),
        )


def gathered(
    passed: Iterable[tuple[Batch, Tensor]],
    losses: Callable[[Tensor, Tensor], Tensor] | None = None,
    *,
    with_input: bool = False,
) -> Collector:
    """All that a pass gives, see `Predictor.passed`.

    Args:
        passed: Batches with their outputs.
        losses: From outputs and targets to one loss a picture; None leaves them out.
        with_input: Keep images too.
    """
    found = Collector()
    for batch, logits in passed:
        target = batch.target
        known = None if losses is None or target is None else losses(logits, target.to(logits.device))
        found.add(batch.index, logits, target=target, losses=known, image=batch.image if with_input else None)
    return found


def as_loader(given: Any, device: torch.device) -> AnyLoader:
    """A loader as a pass without training needs it: every picture once, unaugmented.

    Args:
        given: A loader of ours, a list of batches, or a user's loader.
        device: Where batches of others are moved to.
    """
    if isinstance(given, Loader) and given.options.training:
        return given.new(shuffle=False, training=False, drop_last=False, partial_n=None)
    if isinstance(given, AnyLoader):
        return given
    return ForeignLoader(_renumbered(given) if isinstance(given, (list, tuple)) else given, device)


def _renumbered(batches: Iterable[Any]) -> list[Any]:
    """Batches of ours with rows in the order in which they are given: a list has no other."""
    numbered: list[Any] = []
    start = 0
    for batch in batches:
        if isinstance(batch, Batch):
            batch = replace(batch, index=np.arange(start, start + batch.n, dtype=np.int64))
            start += batch.n
        numbered.append(batch)
    return numbered


def _places(rows: Tensor, loader: AnyLoader) -> Tensor:
    """Where each row stands among the loader's own rows, which need not be ascending, and may name a picture repeatedly."""
    places: defaultdict[int, deque[int]] = defaultdict(deque)
    for position, row in enumerate(loader.rows.tolist()):
        places[row].append(position)
    # Ready-made batches may bring row numbers of their own, which then are their order.
    return torch.tensor([places[row].popleft() if places[row] else row for row in rows.tolist()], dtype=torch.int64)


def _joined(parts: list[Tensor], order: Tensor) -> Tensor | None:
    return torch.cat(parts)[order] if parts else None


def _pictures(parts: list[Tensor], order: Tensor) -> Any:
    if len({part.shape[1:] for part in parts}) <= 1:
        return _joined(parts, order)
    single = [picture for part in parts for picture in part]
    return [single[position] for position in order.tolist()]
