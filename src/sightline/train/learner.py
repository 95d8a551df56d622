"""Learner: a network, its data, its objective and its optimizer, and the fits that bring them together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sightline.bundle import Bundle
from sightline.data.dataloaders import DataLoaders
from sightline.data.foreign import ForeignLoader
from sightline.data.loading import AnyLoader
from sightline.errors import BundleError, ModelError, OptionError, counted, listed
from sightline.losses import LossFunction, Objective
from sightline.model.freeze import freeze_to, norm_and_bias_parameters, norm_parameters
from sightline.model.vision import ModelSpec
from sightline.model.zoo import Stats
from sightline.predict import Prediction, Predictor, evaluating, infer
from sightline.runtime import Precision, plan_runtime
from sightline.train.callbacks import GatherPreds, ParamScheduler, SkipToEpoch, TrainEval
from sightline.train.checkpoint import load_checkpoint, save_checkpoint
from sightline.train.events import CallbackHost, Callbacks, each
from sightline.train.optim import Adam, Optimizer, OptimizerFunction
from sightline.train.plan import Plan, fine_tune_phases, make_plan, whole_epochs
from sightline.train.progress import Progress
from sightline.train.recorder import Recorder
from sightline.train.schedule import one_cycle
from sightline.train.summary import summarize

Rates = float | slice | Sequence[float]
Splitter = Callable[[nn.Module], Sequence[Sequence[nn.Parameter]]]

_STEP = ("dl", "batch", "xb", "yb", "pred", "loss", "loss_grad", "iter", "n_iter", "training")


def trainable_params(model: nn.Module) -> list[list[nn.Parameter]]:
    """All parameters of `model` that train, as one group."""
    return [[parameter for parameter in model.parameters() if parameter.requires_grad]]


class Learner(CallbackHost):
    """Trains a network on data loaders.

    Attributes:
        dls: The data.
        model: The network, on the device of `dls`.
        target: What the labels are; see `sightline.target`.
        objective: The loss in use.
        opt: The optimizer, None before the first fit or freeze.
        cbs: The callbacks, in the order in which they were added.
        recorder: The record of all fits.
        runtime: Device and precision.
        frozen_to: Parameter groups below this number do not train.
        batch, xb, yb, x, y, pred, loss, loss_grad: What the current step works on.
        epoch, n_epoch, iter, n_iter, train_iter, pct_train, training: How far the current fit is.
    """

    dl: Any
    batch: Any
    xb: tuple[Tensor, ...]
    yb: tuple[Tensor, ...]
    pred: Any
    loss: Any
    loss_grad: Any
    opt: Optimizer | None

    def __init__(
        self,
        dls: DataLoaders,
        model: nn.Module,
        loss_func: LossFunction | None = None,
        opt_func: OptimizerFunction = Adam,
        lr: Rates = 0.001,
        splitter: Splitter = trainable_params,
        cbs: Callbacks = None,
        metrics: Any = None,
        path: str | Path | None = None,
        model_dir: str | Path = "models",
        wd: float | None = None,
        wd_bn_bias: bool = False,
        train_bn: bool = True,
        moms: tuple[float, float, float] = (0.95, 0.85, 0.95),
        *,
        spec: ModelSpec | None = None,
        stats: Stats | None = None,
    ) -> None:
        """Bring the parts together; nothing is trained yet.

        Args:
            dls: Data loaders; their target decides the loss unless `loss_func` is given.
            model: Gives outputs `(N, K)` for images `(N, C, H, W)`.
            loss_func: `(logits, encoded labels) -> Tensor` in place of the target's loss.
            opt_func: Makes the torch optimizer from parameter groups and `lr`.
            lr: Default learning rate.
            splitter: Gives the parameters in groups, lowest first.
            cbs: Callbacks, or their classes.
            metrics: Figures for people, one or several; see `sightline.metrics`.
            path: Folder of `save` and `load`; None is that of `dls`.
            model_dir: Folder of saved weights within `path`.
            wd: Weight decay of every fit; None keeps the optimizer's own.
            wd_bn_bias: Whether biases and normalisation parameters decay too.
            train_bn: Whether normalisation parameters train in frozen groups too.
            moms: Momentum of one-cycle fits: start, middle, end.
            spec: How to build the network again from names; None for a network of your own, which can be saved, not exported.
            stats: (mean, std) that pictures are normalised by, unless `dls` does it already; `dls` itself is never changed.
        """
        self.spec, self.stats, self.target = spec, stats, dls.target
        self.dls = dls
        found = plan_runtime()
        self.runtime = found if found.device == dls.device else plan_runtime(dls.device)
        self.model = model.to(self.runtime.device)
        self.loss_func = loss_func
        self.opt_func, self.lr, self.splitter = opt_func, lr, splitter
        self.wd, self.wd_bn_bias, self.train_bn, self.moms = wd, wd_bn_bias, train_bn, moms
        self.metrics = metrics
        self.path, self.model_dir = Path(dls.path if path is None else path), model_dir
        self.opt = None
        self.frozen_to, self.epochs_done, self.phase_name = 0, 0, "fit"
        self.epoch = self.n_epoch = self.iter = self.n_iter = self.train_iter = 0
        self.pct_train, self.training = 0.0, False
        self.recorder, self.progress = Recorder(), Progress()
        super().__init__()
        self._clear_step()
        self.add_cbs([TrainEval(), self.recorder, self.progress]).add_cbs(cbs)
        self("after_create")

    @property
    def dls(self) -> DataLoaders:
        """The data; other loaders with the same labels may take its place, such as ones of larger pictures.

        Raises:
            ModelError: Their labels are not those that the network was made for.
        """
        return self._dls

    @dls.setter
    def dls(self, dls: DataLoaders) -> None:
        if dls.target != self.target:
            raise ModelError(
                f"These loaders have other labels ({dls.target}) than the network was made for ({self.target}). "
                "Make a new learner for them, or give them the same vocabulary: CategoryBlock(vocab=learn.dls.vocab)."
            )
        self._dls = dls.with_stats(*self.stats) if self.stats is not None and not dls.normalizes else dls

    @property
    def loss_func(self) -> LossFunction | None:
        """The loss of your own, None where the labels' own is in use; may be changed between fits."""
        return self.objective.loss_func

    @loss_func.setter
    def loss_func(self, loss_func: LossFunction | None) -> None:
        self.objective = Objective(self.target, loss_func).to(self.runtime.device)

    # ---------------------------------------------------------------- the loop

    def fit(
        self,
        n_epoch: int,
        lr: Rates | None = None,
        wd: float | None = None,
        cbs: Callbacks = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:
        """Train for `n_epoch` epochs, at constant rates unless a callback changes them.

        Args:
            n_epoch: Passes over the training data.
            lr: One rate, a slice (see `sightline.train.schedule.spread`), or one rate a group; None is the learner's.
            wd: Weight decay from now on; None is the learner's, or leaves it as it is where the learner has none.
            cbs: Callbacks of this fit only.
            reset_opt: Begin with a new optimizer.
            start_epoch: Leave out the epochs before this one; schedules go on as if they had been run.

        Raises:
            NonFiniteLossError: The training loss became NaN or infinite.
        """
        n_epoch = whole_epochs("n_epoch", n_epoch)
        if not 0 <= start_epoch <= n_epoch:
            raise OptionError(f"start_epoch={start_epoch!r}: expected a number from 0 to n_epoch={n_epoch}.")
        extra = [*each(cbs), *([SkipToEpoch(start_epoch)] if start_epoch else [])]
        with self.added_cbs(extra):
            opt = self.create_opt() if reset_opt or self.opt is None else self.opt
            if (decay := self.wd if wd is None else wd) is not None:
                opt.set_hyper("wd", decay)
            opt.set_hyper("lr", self.lr if lr is None else lr)
            self.n_epoch = n_epoch
            try:
                self._with_events("fit", self._do_fit)
            finally:
                self("close")
                # A fit that ended by an error may have left gradients, which no later fit must use.
                opt.zero_grad()
                self._clear_step()

    def _do_fit(self) -> None:
        first = self.epochs_done
        for epoch in range(self.n_epoch):
            self.epoch = epoch
            self.dls.train.epoch = first + self.epoch
            self._with_events("epoch", self._do_epoch)
            self.epochs_done = first + self.epoch + 1

    def _do_epoch(self) -> None:
        self.dl = self.dls.train
        self._with_events("train", self._all_batches)
        self._do_validate(self.dls.valid)

    def _do_validate(self, dl: Any) -> None:
        self.dl = dl
        with torch.no_grad():
            self._with_events("validate", self._all_batches)

    def _all_batches(self) -> None:
        self.n_iter = len(self.dl)
        for position, batch in enumerate(self.dl):
            self.iter = position
            self.batch = batch.to(self.runtime.device)
            self.xb = (self.batch.image,)
            self.yb = () if self.batch.target is None else (self.batch.target,)
            self.pred = self.loss = self.loss_grad = None
            self._with_events("batch", self._one_batch)

    def _one_batch(self) -> None:
        self.pred = infer(self.model, self.xb[0], self.runtime)
        self("after_pred")
        if self.yb:
            self.loss_grad = self.objective.mean(self.pred, *self.yb)
            self.loss = self.loss_grad.detach()
        self("after_loss")
        if self.training and self.yb and self.opt is not None:
            self._with_events("backward", lambda: self.loss_grad.backward())
            self._with_events("step", self.opt.step)
            self.opt.zero_grad()

    def _clear_step(self) -> None:
        self.dl = self.batch = self.pred = self.loss = self.loss_grad = None
        self.xb = self.yb = ()

    @contextmanager
    def no_bar(self) -> Iterator[Learner]:
        """No progress bar within a block."""
        with self.progress.without(bar=True):
            yield self

    @contextmanager
    def no_logging(self) -> Iterator[Learner]:
        """Neither bar nor table within a block."""
        with self.progress.without(bar=True, table=True):
            yield self

    @property
    def x(self) -> Tensor:
        """The batch of images `(N, C, H, W)`."""
        return self.xb[0]

    @property
    def y(self) -> Tensor:
        """The batch of encoded labels."""
        return self.yb[0]

    @property
    def smooth_loss(self) -> float:
        """Exponential average of the training loss of this fit."""
        return self.recorder.smooth_loss

    # ---------------------------------------------------------------- optimizer, freezing

    def create_opt(self) -> Optimizer:
        """A new optimizer over the splitter's groups."""
        no_decay = () if self.wd_bn_bias else norm_and_bias_parameters(self.model)
        self.opt = Optimizer(self.splitter(self.model), self.opt_func, lr=self.lr, no_decay=no_decay)
        return self.opt

    def freeze_to(self, n: int) -> None:
        """Train the parameter groups from `n` on; negative numbers count from the end.

        Normalisation parameters of the frozen groups go on training where `train_bn` is set. The optimizer forgets its means.
        """
        opt = self.opt or self.create_opt()
        groups = opt.param_lists
        if not isinstance(n, int) or not -len(groups) <= n < len(groups):
            raise OptionError(
                f"freeze_to({n!r}): the network has {counted(len(groups), 'parameter group')}. "
                f"Expected a whole number from {-len(groups)} to {len(groups) - 1}."
            )
        self.frozen_to = n if n >= 0 else len(groups) + n
        freeze_to(groups, self.frozen_to, always_train=norm_parameters(self.model) if self.train_bn else ())
        opt.clear_state()

    def freeze(self) -> None:
        """Train the last parameter group (the head) only."""
        self.check_groups()
        self.freeze_to(-1)

    def check_groups(self) -> None:
        """Make sure that something can be frozen.

        Raises:
            ModelError: There is one parameter group only.
        """
        if len((self.opt or self.create_opt()).param_lists) < 2:
            raise ModelError(
                "The network has one parameter group: nothing could be frozen. Give Learner a splitter with two or more."
            )

    def unfreeze(self) -> None:
        """Train everything."""
        self.freeze_to(0)

    # ---------------------------------------------------------------- fits with a schedule

    def fit_one_cycle(
        self,
        n_epoch: int,
        lr_max: Rates | None = None,
        div: float = 25.0,
        div_final: float = 1e5,
        pct_start: float = 0.25,
        wd: float | None = None,
        moms: Sequence[float] | None = None,
        cbs: Callbacks = None,
        reset_opt: bool = False,
        start_epoch: int = 0,
    ) -> None:
        """Train with one rise and fall of the learning rate, and the opposite of the momentum.

        Args:
            n_epoch: Passes over the training data.
            lr_max: Highest rate: one, a slice, or one a group; None is the learner's.
            div: The first rate is the highest divided by this.
            div_final: The last rate is the highest divided by this.
            pct_start: Share of the steps during which the rate rises.
            wd: As in `fit`.
            moms: Momentum at the start, in the middle, at the end; None is the learner's.
            cbs: As in `fit`.
            reset_opt: As in `fit`.
            start_epoch: As in `fit`.
        """
        opt = self.create_opt() if self.opt is None or reset_opt else self.opt
        opt.set_hyper("lr", self.lr if lr_max is None else lr_max)
        highest = np.array([hyper["lr"] for hyper in opt.hypers])
        moms = self.moms if moms is None else moms
        scheds = one_cycle(highest, div=div, div_final=div_final, pct_start=pct_start, moms=moms)
        self.fit(n_epoch, list(highest), wd, [ParamScheduler(scheds), *each(cbs)], start_epoch=start_epoch)

    def fine_tune(
        self,
        epochs: int,
        base_lr: float = 2e-3,
        freeze_epochs: int = 1,
        lr_mult: float = 100,
        pct_start: float = 0.3,
        div: float = 5.0,
        **one_cycle_args: Any,
    ) -> None:
        """Train the head alone for `freeze_epochs`, then everything for `epochs`, lower groups at lower rates.

        Args:
            epochs: Epochs of the second phase.
            base_lr: Highest rate of the first phase; half of it is the head's highest rate in the second.
            freeze_epochs: Epochs of the first phase.
            lr_mult: In the second phase the lowest group's rate is the head's divided by this.
            pct_start: Share of the second phase during which rates rise.
            div: The second phase begins at its highest rates divided by this.
            one_cycle_args: Further arguments of `fit_one_cycle`, for both phases; `cbs` too.

        Raises:
            OptionError: An argument of either phase is outside what it may be; nothing was trained.
        """
        fine_tune_phases(self, epochs, base_lr, freeze_epochs, lr_mult, pct_start, div)
        one_cycle_args["cbs"] = each(one_cycle_args.get("cbs"))
        with self._phase("head"):
            self.freeze()
            self.fit_one_cycle(freeze_epochs, slice(base_lr), pct_start=0.99, **one_cycle_args)
        base_lr /= 2
        with self._phase("all"):
            self.unfreeze()
            self.fit_one_cycle(epochs, slice(base_lr / lr_mult, base_lr), pct_start=pct_start, div=div, **one_cycle_args)

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        self.phase_name = name
        try:
            yield
        finally:
            self.phase_name = "fit"

    # ---------------------------------------------------------------- looking ahead

    def plan(
        self,
        epochs: int,
        base_lr: float = 2e-3,
        freeze_epochs: int = 1,
        lr_mult: float = 100,
        pct_start: float = 0.3,
        div: float = 5.0,
        wd: float | None = None,
        **one_cycle_args: Any,
    ) -> Plan:
        """What `fine_tune` with these arguments is about to do, in words; nothing is trained. Print it."""
        phases = fine_tune_phases(self, epochs, base_lr, freeze_epochs, lr_mult, pct_start, div)
        return make_plan(self, phases, wd=self.wd if wd is None else wd)

    def summary(self) -> str:
        """The layers of the network with output shapes and parameters, as text; one batch is passed through."""
        return summarize(self)

    # ---------------------------------------------------------------- validation and prediction

    @property
    def metrics(self) -> list[Any]:
        """The figures shown for people; assign one, several or none."""
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Any) -> None:
        self._metrics = [] if metrics is None else list(metrics) if isinstance(metrics, (list, tuple)) else [metrics]

    def validate(self, ds_idx: int = 1, dl: Any = None, cbs: Callbacks = None) -> list[float | None]:
        """Loss and metrics over a loader: [loss, *metrics].

        Args:
            ds_idx: 1 for validation, 0 for the training pictures, unaugmented.
            dl: A loader in their place.
            cbs: Callbacks of this pass only.
        """
        with self._aside(cbs):
            self._do_validate(self._loader(ds_idx, dl))
            return list(self.recorder.log)

    @contextmanager
    def _aside(self, cbs: Callbacks) -> Iterator[None]:
        """A pass of its own within a block; a fit around it finds everything as it left it."""
        before = {name: getattr(self, name) for name in _STEP}
        with self.no_logging(), self.added_cbs(cbs), self.recorder.aside(), evaluating(self.model):
            try:
                yield
            finally:
                for name, value in before.items():
                    setattr(self, name, value)

    def get_preds(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        with_input: bool = False,
        with_decoded: bool = False,
        with_loss: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
        reorder: bool = True,
        cbs: Callbacks = None,
    ) -> tuple[Any, ...]:
        """Predictions for every picture of a loader, on the CPU.

        Args:
            ds_idx: 1 for validation, 0 for the training pictures, unaugmented.
            dl: A loader, or a list of batches, in their place.
            with_input: Images too, float `(N, C, H, W)`, first in the result.
            with_decoded: Decisions too.
            with_loss: One loss a picture too, last in the result.
            act: In place of the target's activation.
            reorder: In the order of the loader's pictures, even if it shuffles.
            cbs: Callbacks of this pass only.

        Returns:
            `([images], probabilities (N, K), targets or None, [decisions], [losses])`. Pictures that cannot be read are left
            out, and named in the loader's `set_aside`.
        """
        loader = self._loader(ds_idx, dl)
        gather = GatherPreds(with_input=with_input, with_loss=with_loss)
        with self._aside([gather, *each(cbs)]):
            self._do_validate(loader)
        act, n_out = act or self.target.activate, self.target.num_outputs
        return gather.result(act, self.target.decide, loader, n_out=n_out, with_decoded=with_decoded, reorder=reorder)

    def _loader(self, ds_idx: int, dl: Any) -> AnyLoader:
        if dl is None:
            return self.dls.evaluation(ds_idx)
        return dl if isinstance(dl, AnyLoader) else ForeignLoader(dl, self.runtime.device)

    def predictor(self) -> Predictor:
        """The predictor of this network as it is now: what an exported file would give."""
        return Predictor(self.model, self.target, self.dls.pipeline, self.runtime)

    def predict(self, item: Any, with_input: bool = False) -> Prediction | tuple[Any, ...]:
        """The label of one picture: `label, decision, probabilities = learn.predict("cat.jpg")`.

        Args:
            item: Path, PIL image, array `(H, W, C)`, tensor `(C, H, W)` or bytes.
            with_input: Put the decoded picture before the three.
        """
        prediction = self.predictor().predict(item)
        return (self.dls.pipeline.picture(item), *prediction) if with_input else prediction

    # ---------------------------------------------------------------- files

    def export(self, fname: str | Path = "export.safetensors") -> Path:
        """Write network, target and preprocessing to one file, from which `load_learner` predicts anywhere.

        Args:
            fname: Path of the file; relative to the current folder.

        Returns:
            The path.

        Raises:
            BundleError: Something in use is code of your own, which a file never carries; the message names it.
        """
        own = self.dls.pipeline.custom_names
        if own:
            raise BundleError(
                f"The transforms {listed(own)} are code of your own, which a file never carries. Apply them to the pictures "
                "before predicting, and build the loaders without them; or share the weights alone: learn.save(...)."
            )
        pipeline, precision = self.dls.pipeline, self.runtime.precision
        bundle = Bundle.of(self.model, self.spec, self.target, pipeline.preprocess, self.recorder.record, precision)
        return bundle.save(fname)

    def save(self, name: str, with_opt: bool = True) -> Path:
        """Write the network's weights, and the optimizer's state, to `path/model_dir/name.safetensors`; returns the path."""
        return save_checkpoint(self._weights_path(name), self.model, self.opt if with_opt else None)

    def load(self, name: str, with_opt: bool = True, strict: bool = True) -> Learner:
        """Take over what `save` wrote; returns self.

        Raises:
            WeightsError: There is no such file, or it does not fit this network.
        """
        opt = (self.opt or self.create_opt()) if with_opt else None
        load_checkpoint(self._weights_path(name), self.model, opt, strict=strict)
        return self

    def _weights_path(self, name: str) -> Path:
        if not Path(name).name:
            raise OptionError(f"name={name!r} is not the name of a file.")
        path = self.path / self.model_dir / name
        return path if path.suffix == ".safetensors" else path.with_name(path.name + ".safetensors")

    # ---------------------------------------------------------------- precision

    def to_precision(self, precision: Precision) -> Learner:
        """Compute in 'fp32' or 'bf16' from now on; returns self."""
        self.runtime = self.runtime.with_precision(precision)
        return self

    def to_fp32(self) -> Learner:
        """Compute in 32-bit floats from now on; returns self."""
        return self.to_precision("fp32")

    def to_bf16(self) -> Learner:
        """Compute in bfloat16 where that is safe from now on, weights staying in 32 bits; returns self."""
        return self.to_precision("bf16")
