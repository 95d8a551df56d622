"""Learner: a network, its data, its objective and its optimizer, and the fits that bring them together."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from sightline.data.dataloaders import DataLoaders
from sightline.data.loading.batch import Batch
from sightline.errors import ModelError, OptionError, SightlineWarning
from sightline.losses.objective import LossFunction, Objective
from sightline.metrics.metric import to_detach
from sightline.model.freeze import norm_and_bias_parameters, norm_parameters
from sightline.model.vision import ModelSpec
from sightline.model.zoo import Stats
from sightline.runtime import plan_runtime
from sightline.train.callbacks.core import SkipToEpoch, TrainEvalCallback
from sightline.train.checkpoint import load_model, save_model, weights_path
from sightline.train.events import Callbacks, CancelFitException, each, made
from sightline.train.features import StoredFeatures, layers_for
from sightline.train.fits import Fits
from sightline.train.groups import ParameterGroups, Splitter, describe_groups, trainable_params, warn_of_left_out
from sightline.train.micro_batches import MicroBatches
from sightline.train.optim import Adam, Optimizer, OptimizerFunction
from sightline.train.plan import whole_epochs
from sightline.train.precision import Precisions
from sightline.train.progress import ProgressCallback
from sightline.train.readouts import Readouts
from sightline.train.recorder import Recorder
from sightline.train.resuming.keeping import Unkept
from sightline.train.schedule import Rates
from sightline.train.step import Engine
from sightline.train.summary import describe, summarize


class Learner(Fits, Readouts, Precisions):
    """Trains a network on data loaders: the loop, what trains in it, and its files.

    Schedules over the loop are in `Fits`, what is asked afterwards is in `Readouts`, how numbers are held in `Precisions`.

    Attributes:
        dls: The data.
        model: The network, on the device of `dls`.
        target: What the labels are; see `sightline.target`.
        objective: The loss in use.
        opt: The optimizer, None before the first fit or freeze, and after another splitter or `opt_func` was set.
        cbs: The callbacks, in the order in which they were added.
        recorder: The record of all fits.
        runtime: Device and precision.
        batch, xb, yb, x, y, pred, loss, loss_grad: What the current step works on.
        yb1, lam: Where pictures are mixed: the labels that were mixed in, and the share `(N,)` of each picture's own.
        kept: What keeps the run in a folder, see `resumable`.
        micro_batches: In what parts batches are computed where memory is too short for them.
        stored: Features that stand in for the pictures of `dls` while the head trains from them; None elsewhere.
        epoch, n_epoch, iter, n_iter, train_iter, pct_train, training: How far the current fit is.
    """

    dl: Any
    batch: Any
    xb: tuple[Tensor, ...]
    yb: tuple[Tensor, ...]
    pred: Any
    loss: Any
    loss_grad: Any
    yb1: tuple[Tensor, ...]
    lam: Tensor | None
    opt: Optimizer | None
    _engine: Engine | None = None
    kept: Unkept
    stored: StoredFeatures | None = None

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
            splitter: Gives the parameters in groups, lowest first; see `sightline.train.groups`.
            cbs: Callbacks, or their classes; a `Recorder` takes the place of the learner's.
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
        self.runtime.prepare_host()
        self.model = self.runtime.place(model)
        self.loss_func = loss_func
        self.opt = None
        self.opt_func, self.lr, self.splitter = opt_func, lr, splitter
        self.wd, self.wd_bn_bias, self.train_bn, self.moms = wd, wd_bn_bias, train_bn, moms
        self.metrics = metrics
        self.path, self.model_dir = Path(dls.path if path is None else path), model_dir
        self.epochs_done = 0
        self.kept = Unkept()
        self.micro_batches = MicroBatches()
        self.epoch = self.n_epoch = self.iter = self.n_iter = self.train_iter = 0
        self.pct_train, self.training = 0.0, False
        given = made(cbs)
        self.recorder = next((cb for cb in given if isinstance(cb, Recorder)), Recorder())
        self.progress = ProgressCallback()
        super().__init__()
        self._clear_step()
        self.add_cbs([TrainEvalCallback(), self.recorder, self.progress])
        self.add_cbs([cb for cb in given if cb is not self.recorder])
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
    def loss_func(self) -> LossFunction:
        """The loss in use, called with outputs and encoded labels: your own, or the one that fits the labels.

        Assign another between fits; None takes the labels' own again.
        """
        return self.objective if self.objective.loss_func is None else self.objective.loss_func

    @loss_func.setter
    def loss_func(self, loss_func: LossFunction | None) -> None:
        self.objective = Objective(self.target, loss_func).to(self.runtime.device)

    @property
    def metrics(self) -> list[Any]:
        """The figures shown for people; assign one, several or none."""
        return self._metrics

    @metrics.setter
    def metrics(self, metrics: Any) -> None:
        several = isinstance(metrics, Iterable) and not callable(metrics) and not isinstance(metrics, str)
        self._metrics = [] if metrics is None else list(metrics) if several else [metrics]

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
            NonFiniteLossError: The training loss became NaN or infinite; the weights are the last good ones again.
            DivergedLossError: The training loss left all proportion; the weights are the last good ones again.
            DeviceMemoryError: Not even the smallest part of a batch fits into the device's memory.
        """
        n_epoch = whole_epochs("n_epoch", n_epoch)
        if not 0 <= start_epoch <= n_epoch:
            raise OptionError(f"start_epoch={start_epoch!r}: expected a number from 0 to n_epoch={n_epoch}.")
        extra = [*each(cbs), *([SkipToEpoch(start_epoch)] if start_epoch else [])]
        with self.added_cbs(extra):
            if self.kept.is_done(self):
                return
            opt = self.create_opt() if reset_opt or self.opt is None else self.opt
            if (decay := self.wd if wd is None else wd) is not None:
                opt.set_hyper("wd", decay)
            opt.set_hyper("lr", self.lr if lr is None else lr)
            self.n_epoch = n_epoch
            self._engine = self.engine.compiling(self.model if self.compiling(n_epoch).wanted else None)
            self.run += self.phase_name == "fit"
            self.kept.begins_fit(self)
            try:
                self._with_events("fit", self._do_fit)
            finally:
                self("close")
                self.kept.leaves_fit(self)
                # A fit that ended by an error may have left gradients, which no later fit must use.
                opt.zero_grad()
                self._clear_step()
            self.kept.ends_fit(self)

    def _do_fit(self) -> None:
        first = self.epochs_done
        for epoch in range(self.kept.first_epoch(), self.n_epoch):
            self.epoch = epoch
            self.dls.train.epoch = first + self.epoch
            self.kept.begins_epoch(self)
            try:
                self._with_events("epoch", self._do_epoch)
            except CancelFitException:
                # What this epoch drew is used up, for all that it was not finished.
                self.epochs_done = first + self.epoch + 1
                raise
            self.epochs_done = first + self.epoch + 1

    def _do_epoch(self) -> None:
        source = self.stored or self.dls
        self.dl = source.train
        if not self.kept.is_trained(self):
            self._with_events("train", self._all_batches)
        self.kept.ends_training(self)
        self._do_validate(source.valid)

    def _do_validate(self, dl: Any) -> None:
        self.dl = dl
        with torch.no_grad():
            self._with_events("validate", self._all_batches)

    def _all_batches(self) -> None:
        self.n_iter = len(self.dl)
        # torch's DataLoader draws a number at the start of each pass; drawn here too, dropout goes on as it does under fastai.
        torch.empty((), dtype=torch.int64).random_()
        for position, batch in self.kept.batches(self, self.dl):
            self.one_batch(position, batch)
            self.kept.ends_batch(self)

    def one_batch(self, i: int, b: Batch) -> None:
        """One batch with its events: forward pass and loss, and in training a step.

        Args:
            i: Its number within the epoch.
            b: The batch, such as `learn.dls.one_batch()`.
        """
        self.iter = i
        self.batch = b.to(self.runtime.device)
        self.xb = (self.batch.image,)
        self.yb = () if self.batch.target is None else (self.batch.target,)
        self.pred = self.loss = self.loss_grad = self.lam = None
        self.yb1 = ()
        self._with_events("batch", self._do_one_batch)

    def _do_one_batch(self) -> None:
        self.micro_batches.within_memory(self, self._outputs_and_gradients)
        if self._learns and self.opt is not None:
            self._with_events("step", self.opt.step)
            self.opt.zero_grad()

    def _outputs_and_gradients(self) -> None:
        sizes = self.micro_batches.sizes(self)
        self.pred = self.engine.outputs(layers_for(self), self.xb[0], training=torch.is_grad_enabled(), sizes=sizes)
        self("after_pred")
        if self.yb:
            self.loss_grad = self._loss()
            self.loss = self.loss_grad.detach()
        self("after_loss")
        if self._learns:
            self._with_events("backward", lambda: self.loss_grad.backward())

    @property
    def _learns(self) -> bool:
        """Whether the batch at hand makes a step."""
        return self.training and bool(self.yb) and self.opt is not None

    def _loss(self) -> Tensor:
        if self.lam is None:
            return self.objective.mean(self.pred, *self.yb)
        return self.objective.mixed_mean(self.pred, self.y, self.yb1[0], self.lam)

    def _clear_step(self) -> None:
        self.dl = self.batch = self.pred = self.loss = self.loss_grad = self.lam = None
        self.xb = self.yb = self.yb1 = ()

    @property
    def x(self) -> Tensor:
        """The batch of images `(N, C, H, W)`."""
        return self.xb[0]

    @property
    def y(self) -> Tensor:
        """The batch of encoded labels."""
        return self.yb[0]

    @property
    def smooth_loss(self) -> Tensor:
        """Exponential average of the training loss of this fit: float32, no dimensions, on the CPU."""
        return torch.tensor(self.recorder.smooth_loss)

    @property
    def final_record(self) -> list[float | None]:
        """Losses and metrics of the last epoch: [train_loss, valid_loss, *metrics]."""
        return self.recorder.final_record

    def to_detach(self, b: Any, cpu: bool = True, gather: bool = True) -> Any:
        """Tensors, within lists, tuples and dicts too, without their gradients, and on the CPU unless told otherwise."""
        return to_detach(b, cpu, gather)

    def to(self, device: str | torch.device) -> Self:
        """Compute on another device from now on, in the precision that was asked for or that is planned there; returns self.

        Raises:
            OptionError: There is no such device, or this machine lacks it.
        """
        self.runtime = self.runtime.on(device)
        self._apply()
        self.objective.to(self.runtime.device)
        self.dls.to(self.runtime.device)
        if self.opt is not None:
            # What an optimizer remembers of a parameter goes where the parameter is.
            self.opt.load_state_dict(self.opt.state_dict())
        return self

    @property
    def engine(self) -> Engine:
        """How outputs are computed in the present runtime."""
        if self._engine is None or self._engine.runtime is not self.runtime:
            self._engine = Engine.planned(self.runtime)
        return self._engine

    # ---------------------------------------------------------------- optimizer, freezing

    @property
    def splitter(self) -> Splitter:
        """Gives the parameters in groups, lowest first; with another one the next fit or freeze makes a new optimizer."""
        return self._splitter

    @splitter.setter
    def splitter(self, splitter: Splitter) -> None:
        if not callable(splitter):
            raise OptionError(f"splitter={splitter!r} cannot be called. Expected a function from the network to groups.")
        self._splitter, self.opt = splitter, None

    @property
    def opt_func(self) -> OptimizerFunction:
        """Makes the optimizer; with another one the next fit or freeze makes a new optimizer."""
        return self._opt_func

    @opt_func.setter
    def opt_func(self, opt_func: OptimizerFunction) -> None:
        self._opt_func, self.opt = opt_func, None

    @property
    def frozen_to(self) -> int:
        """Parameter groups below this number do not train."""
        return 0 if self.opt is None else self.opt.frozen_idx

    def create_opt(self) -> Optimizer:
        """A new optimizer over the splitter's groups; what is frozen stays so.

        Warns:
            SightlineWarning: Parameters that train are in no group.
        """
        no_decay = () if self.wd_bn_bias else norm_and_bias_parameters(self.model)
        before = self.opt
        self.opt = Optimizer(self.splitter(self.model), self.opt_func, lr=self.lr, no_decay=no_decay)
        if before is not None and len(before.param_lists) == len(self.opt.param_lists):
            self.opt.frozen_idx = before.frozen_idx
        warn_of_left_out(self.model, self.opt.param_lists)
        self.opt.fuse(self.runtime.fuses)
        return self.opt

    def groups(self) -> ParameterGroups:
        """The parameter groups: layers, parameters, how many of them train, rates. Print it."""
        return describe_groups(self.opt or self.create_opt(), self.model)

    def freeze_to(self, n: int) -> None:
        """Train the parameter groups from `n` on; negative numbers count from the end.

        Normalisation parameters of the frozen groups go on training where `train_bn` is set. The optimizer forgets its means.
        """
        opt = self.opt or self.create_opt()
        opt.always_train = norm_parameters(self.model) if self.train_bn else []
        opt.freeze_to(n)
        opt.clear_state()

    def freeze(self) -> None:
        """Train the last parameter group (the head) only; see `warn_of_one_group`."""
        self.warn_of_one_group()
        self.freeze_to(-1)

    def warn_of_one_group(self) -> None:
        """Say where nothing can be frozen.

        Warns:
            SightlineWarning: There is one parameter group only.
        """
        if len((self.opt or self.create_opt()).param_lists) < 2:
            warnings.warn(
                "The network has one parameter group, so nothing can be frozen: all of it trains. "
                "To freeze a part, give Learner a splitter with two groups or more.",
                SightlineWarning,
                stacklevel=3,
            )

    def unfreeze(self) -> None:
        """Train everything."""
        self.freeze_to(0)

    # ---------------------------------------------------------------- files

    def save(self, file: str | Path, with_opt: bool = True) -> Path:
        """Write the network's weights, and the optimizer's state, to `path/model_dir/file.safetensors`; returns the path.

        Args:
            file: A name, with folders or not, or an absolute path; the endings .pth and .pt are taken for .safetensors.
            with_opt: Write the optimizer's state too.

        Raises:
            WeightsError: The file cannot be written.
        """
        return save_model(weights_path(self.path / self.model_dir, file), self.model, self.opt, with_opt)

    def load(
        self, file: str | Path, device: str | int | torch.device | None = None, with_opt: bool = True, strict: bool = True
    ) -> Self:
        """Take over what `save` wrote, or the weights of a file `.pth` of that name; returns self.

        Args:
            file: As in `save`.
            device: Where the file is read to at first; the network stays where it is.
            with_opt: Take over the optimizer's state too, where there is one.
            strict: Refuse a file that does not fit; False takes over what fits.

        Raises:
            WeightsError: There is no such file, or it does not fit this network.
        """
        opt = (self.opt or self.create_opt()) if with_opt else None
        load_model(weights_path(self.path / self.model_dir, file), self.model, opt, with_opt, device, strict)
        return self

    def summary(self) -> str:
        """The layers of the network with output shapes and parameters, as text; one batch is passed through."""
        return summarize(self)

    def __repr__(self) -> str:
        return describe(self)
