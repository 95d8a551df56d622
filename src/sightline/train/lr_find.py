"""The search for a learning rate: a mock training at growing rates, what it suggests, and a learner that stays as it was."""

from __future__ import annotations

import copy
import math
import random
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from sightline.errors import NonFiniteLossError, OptionError, SightlineWarning, counted, name_of
from sightline.train.events import Callback, CancelFitException, CancelValidException
from sightline.train.resuming.keeping import Unkept
from sightline.train.schedule import SchedExp

if TYPE_CHECKING:
    from sightline.train.learner import Learner

Point: TypeAlias = tuple[float, float]
Suggest: TypeAlias = Callable[[Any, Any, int], tuple[float, Point]]
"""`(rates, losses, num_it) -> (suggested rate, the point (rate, loss) to be marked)`."""

FEWEST_STEPS = 6
_SKIP_END = 5
_DIVERGED = 4.0
_PLENTY = 20
_COUNTS = (
    "epoch", "n_epoch", "iter", "n_iter", "train_iter", "pct_train", "training", "epochs_done", "run", "phase_name",
)  # fmt: skip


# -------------------------------------------------------------------- suggestions


def valley(lrs: Any, losses: Any, num_it: int) -> tuple[float, Point]:
    """The rate in the middle of the longest fall: of the longest series of steps in which every loss is lower than the last.

    Args:
        lrs: Rates `(n,)`, rising; a sequence, array or tensor, here and below.
        losses: Smoothed losses `(n,)`.
        num_it: Not used here.

    Raises:
        IndexError: There is no step.
    """
    rates, values = _array(lrs), _array(losses)
    longest = np.ones(len(values), dtype=np.int64)
    for end in range(1, len(values)):
        above = longest[:end][values[:end] > values[end]]
        longest[end] = 1 + (above.max() if len(above) else 0)
    end, length = int(np.argmax(longest)) if len(longest) else 0, int(np.max(longest, initial=1))
    start = end - length if length > 1 else end
    third = (end - start) / 3
    place = start + int(third) + int(third / 2)
    return float(rates[place]), (float(rates[place]), float(values[place]))


def slide(
    lrs: Any, losses: Any, num_it: int, lr_diff: int = 15, thresh: float = 0.005, adjust_value: float = 1.0
) -> tuple[float, Point]:
    """The lower end of an interval of steps that slides down from the highest rate until both its ends are equally steep.

    Args:
        lrs: As in `valley`.
        losses: As in `valley`.
        num_it: Not used here.
        lr_diff: Length of the interval in steps.
        thresh: Slopes closer than this are equal.
        adjust_value: The rate is multiplied by this.

    Raises:
        IndexError: There are no more steps than the interval is long.
    """
    rates, values = _array(lrs), _array(losses)
    slopes = np.gradient(values)
    low, high = len(values) - 1 - lr_diff, len(values) - 1
    if low < 0:
        raise IndexError(f"{len(values)} steps are no more than the interval of {lr_diff}")
    found = low
    while low >= 0 and abs(slopes[high] - slopes[low]) > thresh:
        found, low, high = low, low - 1, high - 1
    rate = float(rates[found]) * adjust_value
    return rate, (rate, float(np.interp(np.log10(rate), np.log10(rates), values)))


def minimum(lrs: Any, losses: Any, num_it: int) -> tuple[float, Point]:
    """A tenth of the rate at the lowest loss; see `valley` for the arguments."""
    rates, values = _array(lrs), _array(losses)
    place = int(np.argmin(values))
    return float(rates[place]) / 10, (float(rates[place]), float(values[place]))


def steep(lrs: Any, losses: Any, num_it: int) -> tuple[float, Point]:
    """The rate at which the loss falls fastest over the logarithm of the rate; see `valley` for the arguments."""
    rates, values = _array(lrs), _array(losses)
    place = int(np.argmin(np.diff(values) / np.diff(np.log(rates))))
    return float(rates[place]), (float(rates[place]), float(values[place]))


class SuggestionMethod:
    """The four ways to suggest a rate, for completion in editors: `SuggestionMethod.Valley`."""

    Valley = staticmethod(valley)
    Slide = staticmethod(slide)
    Minimum = staticmethod(minimum)
    Steep = staticmethod(steep)


def _array(values: Any) -> npt.NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


# -------------------------------------------------------------------- the mock training


class LRFinder(Callback):
    """Lets rates grow by equal factors from step to step, and ends the fit when it has seen enough; then all is as before.

    Attributes:
        restores: Whether it puts the learner back itself.
    """

    order: ClassVar[int] = 60

    def __init__(
        self,
        start_lr: float | Sequence[float] = 1e-7,
        end_lr: float | Sequence[float] = 10,
        num_it: int = 100,
        stop_div: bool = True,
    ) -> None:
        """Take what `Learner.lr_find` takes.

        Raises:
            OptionError: A number outside its range.
        """
        low, high = np.asarray(start_lr, dtype=np.float64), np.asarray(end_lr, dtype=np.float64)
        if not (np.all(low > 0) and np.all(high > low) and np.all(np.isfinite(high))):
            raise OptionError(f"start_lr={start_lr!r}, end_lr={end_lr!r}: expected positive rates, the second the higher.")
        if isinstance(num_it, bool) or not isinstance(num_it, int) or num_it < 1:
            raise OptionError(f"num_it={num_it!r}: expected a whole number of steps, {FEWEST_STEPS} or more.")
        self.scheds = {"lr": SchedExp(low, high)}
        self.num_it, self.stop_div = max(num_it, FEWEST_STEPS), stop_div
        self.best_loss = math.inf
        self.restores = True
        self._kept: _Kept | None = None

    def before_fit(self) -> None:
        """Remember the learner as it is."""
        self.best_loss = math.inf
        self._kept = _Kept(self.learn) if self.restores else None

    def before_batch(self) -> None:
        """Set the rate of the step."""
        if self.learn.training and self.learn.opt is not None:
            rates = self.scheds["lr"](self.learn.train_iter / self.num_it)
            self.learn.opt.set_hyper("lr", np.atleast_1d(rates).tolist())

    def after_batch(self) -> None:
        """End where the loss left its lowest far behind, or all steps are done."""
        loss = self.learn.recorder.smooth_loss
        self.best_loss = min(self.best_loss, loss)
        if (self.stop_div and loss > _DIVERGED * self.best_loss) or self.learn.train_iter >= self.num_it:
            raise CancelFitException

    def before_validate(self) -> None:
        """Validation would say nothing here."""
        raise CancelValidException

    def close(self) -> None:
        """Put the learner back, however the fit ended."""
        if self._kept is not None:
            self._kept.put_back()
            self._kept = None


class _Kept:
    """A copy of all that a training changes in a learner, in memory."""

    def __init__(self, learn: Learner) -> None:
        self._learn = learn
        model = learn.model
        self._tensors = {name: _aside(tensor) for name, tensor in _tensors(model)}
        self._modes = [(module, module.training) for module in model.modules()]
        opt = learn.opt
        self._opt, self._state = opt, None if opt is None else _aside(opt.state_dict())
        self._hypers = None if opt is None else copy.deepcopy(opt.hypers)
        self._cbs = [(cb, copy.deepcopy(cb.state_dict())) for cb in learn.cbs if cb.resumes and not cb.remove_on_fetch]
        self._random = random.getstate(), np.random.get_state(), torch.get_rng_state()
        device = learn.runtime.device
        self._device_random = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        self._mps_random = torch.mps.get_rng_state() if device.type == "mps" else None

    def put_back(self) -> None:
        """Make the learner as it was."""
        with torch.no_grad():
            for name, tensor in _tensors(self._learn.model):
                if name in self._tensors:
                    tensor.copy_(self._tensors[name])
        for module, training in self._modes:
            module.training = training
        self._put_back_optimizer()
        for cb, state in self._cbs:
            cb.load_state_dict(state)
        random.setstate(self._random[0])
        np.random.set_state(self._random[1])
        torch.set_rng_state(self._random[2])
        if self._device_random is not None:
            torch.cuda.set_rng_state(self._device_random, self._learn.runtime.device)
        if self._mps_random is not None:
            torch.mps.set_rng_state(self._mps_random)

    def _put_back_optimizer(self) -> None:
        opt = self._learn.opt = self._opt
        if opt is not None and self._state is not None and self._hypers is not None:
            opt.zero_grad()
            opt.load_state_dict(self._state)
            for now, before in zip(opt.hypers, self._hypers, strict=True):
                now.clear()
                now.update(before)


def _tensors(model: torch.nn.Module) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _aside(value: Any) -> Any:
    """A copy of tensors, or of what holds them, in the machine's own memory."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: _aside(one) for key, one in value.items()}
    return [_aside(one) for one in value] if isinstance(value, list) else copy.deepcopy(value)


# -------------------------------------------------------------------- all together


def find_rates(
    learn: Learner,
    start_lr: float | Sequence[float],
    end_lr: float | Sequence[float],
    num_it: int,
    stop_div: bool,
    show_plot: bool,
    suggest_funcs: Suggest | Sequence[Suggest] | None,
) -> Any:
    """What `Learner.lr_find` gives; see there."""
    finder = LRFinder(start_lr, end_lr, num_it, stop_div)
    finder.restores = False
    batches = len(learn.dls.train)
    if not batches:
        raise OptionError("lr_find needs a training batch, and there is none. Add pictures, or make bs smaller.")
    with as_it_was(learn), learn.recorder.sweeping(), learn.removed_cbs([cb for cb in learn.cbs if cb.remove_on_fetch]):
        broke = _sweep(learn, finder, finder.num_it // batches + 1)
    rates, losses = _points(learn, num_it, broke)
    funcs: list[Suggest] = [] if suggest_funcs is None else _each(suggest_funcs)
    names = [name_of(func) for func in funcs]
    found = [_suggested(func, name, rates, losses, num_it) for func, name in zip(funcs, names, strict=True)]
    marked = [(point, name) for (_, point), name in zip(found, names, strict=True) if point is not None]
    if show_plot:
        learn.recorder.plot_lr_find(suggestions=[point for point, _ in marked], nms=[name for _, name in marked])
    if suggest_funcs is None:
        return None
    # Two functions of one name, or one that is no word, would refuse the names.
    suggested: Any = namedtuple("SuggestedLRs", names, rename=True)  # type: ignore[misc] # names are given as they come
    return suggested(*(rate for rate, _ in found))


def _sweep(learn: Learner, finder: LRFinder, n_epoch: int) -> bool:
    """Run the mock training; whether it ended at a loss that is no number."""
    try:
        with learn.no_logging():
            learn.fit(n_epoch, cbs=finder)
    except NonFiniteLossError:
        return True
    return False


@contextmanager
def as_it_was(learn: Learner) -> Iterator[None]:
    """Everything in a learner is after the block as before it, however the block ends."""
    counts = {name: getattr(learn, name) for name in _COUNTS}
    run, learn.kept = learn.kept, Unkept()
    epochs, kept = [(loader, loader.epoch) for loader in learn.dls.loaders], _Kept(learn)
    try:
        yield
    finally:
        kept.put_back()
        learn.kept = run
        for loader, epoch in epochs:
            loader.epoch = epoch
        for name, value in counts.items():
            setattr(learn, name, value)


def _points(learn: Learner, num_it: int, broke: bool) -> tuple[Tensor, Tensor]:
    """The steps that suggestions see: without the first tenth, and without the last five where the loss stayed a number."""
    lrs, losses = learn.recorder.lrs, [float(loss) for loss in learn.recorder.losses]
    finite = next((i for i, loss in enumerate(losses) if not math.isfinite(loss)), len(losses))
    at_nan = broke and math.isnan(losses[-1])
    chosen = slice(num_it // 10, finite if at_nan else min(finite, max(0, len(losses) - _SKIP_END)))
    return torch.tensor(lrs[chosen], dtype=torch.float32), torch.tensor(losses[chosen], dtype=torch.float32)


def _suggested(func: Suggest, name: str, rates: Tensor, losses: Tensor, num_it: int) -> tuple[float, Point | None]:
    try:
        return func(rates, losses, num_it)
    except (IndexError, ValueError):
        if len(rates) > _PLENTY:
            raise
        steps = counted(len(rates), "step")
        warnings.warn(
            f"lr_find has no suggestion by {name}: {steps} with a finite loss were left after the first tenth and the last "
            f"{_SKIP_END}, which is too few. Pass a larger num_it, or a lower end_lr where the loss broke off.",
            SightlineWarning,
            stacklevel=5,
        )
        return math.nan, None


def _each(funcs: Suggest | Sequence[Suggest]) -> list[Suggest]:
    return [funcs] if callable(funcs) else list(funcs)
