"""Guard: stops a fit whose loss is no number any more, or out of all proportion, and gives back the last good weights.

Sound runs must never be stopped. So a loss counts as out of proportion only above `factor` times the largest of: 1, the losses
of the first pictures of every fit, and the mean square of the labels where those are numbers (what a squared error is before
anything is learned); and it stops a fit only after `PATIENCE` such steps running of which the last is no better than the first.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

from torch import Tensor

from sightline.errors import DivergedLossError, NonFiniteLossError
from sightline.record import Row
from sightline.runtime.memory import is_out_of_memory, release
from sightline.train.last_good import LastGood
from sightline.train.lr_find import LRFinder

if TYPE_CHECKING:
    from sightline.train.learner import Learner

FACTOR = 1000.0
PATIENCE = 10
FIRST_PICTURES = 16
"""How many pictures' loss at the start of a fit says what is usual."""
_STILL_GOOD = 100
"""Weights are kept while the loss is below this part of what counts as diverged."""


class Guard:
    """Watches the fits of a learner.

    Attributes:
        factor: Losses above this many times what is usual are out of proportion; `math.inf` lets every number pass.
    """

    def __init__(self) -> None:
        """Nothing is usual yet."""
        self.factor = FACTOR
        self._usual = 1.0
        self._labels: Tensor | None = None
        self._pictures = self._first = self._judged = 0
        self._high: deque[float] = deque(maxlen=PATIENCE)
        self._good: LastGood | None = None
        self._learn: Learner | None = None
        self._searching = False

    def begin(self, learn: Learner) -> None:
        """A fit begins: its weights are the first good ones."""
        self._learn = learn
        self._searching = any(isinstance(cb, LRFinder) for cb in learn.cbs)
        self._pictures = self._first = self._judged = 0
        self._labels = None
        self._high.clear()
        try:
            self._good = LastGood(learn.model)
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            self._good = None
        if self._good is None:
            release(learn.runtime.device)

    def end(self) -> None:
        """The fit ended, well or not."""
        self._learn = self._good = None

    def before_step(self, loss: Tensor, target: Tensor) -> None:
        """Look at a step that is about to be made; nothing waits for the device.

        Args:
            loss: What the present weights gave.
            target: The labels of the batch.
        """
        if self._learn is None:
            return
        if self._pictures < FIRST_PICTURES:
            self._pictures += len(target)
            self._first += 1
            self._labels = target.float().square().mean() if target.is_floating_point() else None
        if self._good is not None:
            self._good.renew(loss, self._learn.train_iter, self._usual * self.factor / _STILL_GOOD)

    def judge(self, row: Row) -> None:
        """Look at the loss of a step that was made, in the order of steps.

        Raises:
            NonFiniteLossError: It is no number.
            DivergedLossError: It is out of all proportion, and has been for some steps.
        """
        value = row["loss"]
        if not math.isfinite(value):
            raise NonFiniteLossError(f"{self._seen(row)} Expected a finite number. {_ADVICE} {self.give_back()}")
        self._judged += 1
        if self._judged <= self._first:
            self._usual = max(self._usual, value, float(self._labels) if self._labels is not None else 0.0)
        elif value <= self._usual * self.factor:
            self._high.clear()
        else:
            self._high.append(value)
            if len(self._high) == PATIENCE and value >= self._high[0] and not self._searching:
                raise DivergedLossError(
                    f"{self._seen(row)} It has been above {self._usual * self.factor:.3g} for {PATIENCE} steps running: "
                    f"{self.factor:,g} times what is usual here ({self._usual:.3g}). Expected it to fall. {_ADVICE} Where such "
                    f"losses are meant, set learn.recorder.guard.factor = math.inf. {self.give_back()}"
                )

    def after_train(self) -> None:
        """Look at the weights once an epoch: its last step may have spoilt them without a loss that tells.

        Raises:
            NonFiniteLossError: They hold numbers that are not finite.
        """
        if self.is_spoilt() and self._learn is not None:
            step, epoch = self._learn.train_iter, self._learn.epoch
            raise NonFiniteLossError(
                f"The weights became NaN or infinite in the last steps up to {step} (epoch {epoch}), though the loss before "
                f"was finite. Expected finite weights. {_ADVICE} {self.give_back()}"
            )

    def is_spoilt(self) -> bool:
        """Whether weights that were finite when the fit began are not any more; never in a search for a rate."""
        return self._good is not None and not self._searching and self._good.is_spoilt()

    def give_back(self) -> str:
        """Put the last good weights into the network, forget the optimizer's means, and say so."""
        if self._good is None or self._learn is None:
            return "No earlier weights were kept: load saved ones, or build the learner anew."
        self._good.put_back()
        if self._learn.opt is not None:
            self._learn.opt.clear_state()
        if not self._good.began_sound:
            return "The weights were not finite when this fit began: load saved ones, or build the learner anew."
        step = self._good.step
        return "The weights are again those " + (f"after step {step} of this fit." if step else "from before this fit.")

    def _seen(self, row: Row) -> str:
        n_iter = self._learn.n_iter if self._learn is not None else 1
        rates = ", ".join(f"{rate:.2g}" for rate in row["lr"])
        return (
            f"The training loss became {row['loss']:.4g} at step {row['step']} (epoch {row['epoch']}, "
            f"batch {(row['step'] - 1) % max(1, n_iter)} of {n_iter}; learning rates {rates})."
        )


_ADVICE = (
    "Try a learning rate 3 to 10 times lower; check that regression labels have a sensible scale and that inputs hold no NaN; "
    "with bf16, compare with learn.to_fp32()."
)
