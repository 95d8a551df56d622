"""Collecting: batches as they pass, and predictions in the middle of a fit."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from sightline.train.events import Callback, Callbacks, each


class CollectDataCallback(Callback):
    """Keeps every batch of a fit, on the CPU; for tests and for looking closely.

    Attributes:
        data: One tuple a batch: inputs and targets, tuples themselves, outputs, loss.
    """

    def __init__(self) -> None:
        self.data: list[tuple[Any, ...]] = []

    def before_fit(self) -> None:
        """Start anew."""
        self.data = []

    def after_batch(self) -> None:
        """Keep the batch."""
        self.data.append(tuple(_kept(part) for part in (self.xb, self.yb, self.pred, self.loss)))


class FetchPredsCallback(Callback):
    """Predicts after every validation of a fit.

    Attributes:
        preds: What `get_preds` gave last; None before.
    """

    remove_on_fetch: ClassVar[bool] = True

    def __init__(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        with_input: bool = False,
        with_decoded: bool = False,
        cbs: Callbacks = None,
        reorder: bool = True,
    ) -> None:
        """Say what to predict; see `learn.get_preds`. `cbs` are callbacks that stay away from it."""
        self.ds_idx, self.with_input, self.with_decoded, self.reorder = ds_idx, with_input, with_decoded, reorder
        self.dl, self.cbs = dl, each(cbs)
        self.preds: tuple[Any, ...] | None = None

    def after_validate(self) -> None:
        """Predict."""
        with self.learn.removed_cbs(self.cbs):
            self.preds = self.learn.get_preds(
                ds_idx=self.ds_idx,
                dl=self.dl,
                with_input=self.with_input,
                with_decoded=self.with_decoded,
                reorder=self.reorder,
            )


def _kept(part: Any) -> Any:
    if isinstance(part, tuple):
        return tuple(_kept(one) for one in part)
    return part.detach().cpu().clone() if isinstance(part, Tensor) else part
