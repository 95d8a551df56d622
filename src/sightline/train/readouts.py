"""What a learner is asked after training: validation, predictions, an exported file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from sightline.bundle import Bundle
from sightline.data.dataloaders import DataLoaders
from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.batch import Batch
from sightline.data.loading.loaders import Loader
from sightline.errors import BundleError, OptionError, listed
from sightline.losses.objective import Objective
from sightline.model.modes import evaluating
from sightline.model.vision import ModelSpec
from sightline.outputs import Collector, Outputs, as_loader, gathered
from sightline.predict import MANY, Prediction, Predictor
from sightline.runtime import Runtime
from sightline.target import Target
from sightline.train import tta
from sightline.train.callbacks.core import GatherPredsCallback, TrainEvalCallback
from sightline.train.events import BATCH_EVENTS, EVENTS, CallbackHost, Callbacks, each
from sightline.train.progress import ProgressCallback
from sightline.train.recorder import Recorder

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.train.learner import Learner
    from sightline.train.measuring.bench import Bench
    from sightline.train.micro_batches import MicroBatches

_STEP = ("dl", "batch", "xb", "yb", "yb1", "lam", "pred", "loss", "loss_grad", "iter", "n_iter", "training")


class Readouts(CallbackHost, ABC):
    """The part of a learner that looks and does not train.

    Attributes:
        model: The network.
        target: What the labels are.
        objective: The loss in use.
        runtime: Device and precision.
        recorder: The record of all fits.
        progress: Bar and table.
        spec: How to build the network again from names; None for a network of one's own.
        micro_batches: In what parts batches are computed where memory is too short for them.
        dl: The loader of the pass at hand; None outside of one.
        export_to: Where `export` writes; a name given to it is taken from the same folder.
    """

    model: nn.Module
    target: Target
    objective: Objective
    runtime: Runtime
    recorder: Recorder
    progress: ProgressCallback
    spec: ModelSpec | None
    micro_batches: MicroBatches
    export_to: Path = Path("export.safetensors")
    dl: Any
    _looks: int = 0

    @property
    @abstractmethod
    def dls(self) -> DataLoaders:
        """The data."""

    @abstractmethod
    def _do_validate(self, dl: Any) -> None:
        """One pass over a loader, with its events, in evaluation mode."""

    @contextmanager
    def no_bar(self) -> Iterator[Any]:
        """No progress bar within a block."""
        with self.progress.without(bar=True):
            yield self

    @contextmanager
    def no_logging(self) -> Iterator[Any]:
        """Neither bar nor table within a block."""
        with self.progress.without(bar=True, table=True):
            yield self

    @contextmanager
    def no_mbar(self) -> Iterator[Any]:
        """A block as every other: there is one bar, which `no_bar` hides; fastai has a second one around it."""
        yield self

    @contextmanager
    def validation_context(self, cbs: Callbacks = None, inner: bool = False) -> Iterator[Any]:
        """A block for passes without training: neither bar nor table, evaluation mode; afterwards all is as it was before.

        Args:
            cbs: Callbacks of this block only.
            inner: Has no meaning here; fastai has it.
        """
        with self._aside(cbs):
            yield self

    def validate(self, ds_idx: int = 1, dl: Any = None, cbs: Callbacks = None) -> list[float | None]:
        """Loss and metrics over a loader: [loss, *metrics].

        Args:
            ds_idx: 1 for validation, 0 for the training pictures, unaugmented.
            dl: A loader in their place.
            cbs: Callbacks of this pass only.
        """
        with self._aside(cbs):
            self._do_validate(self._loader(ds_idx, dl))
            return list(self.recorder.figures)

    @contextmanager
    def _aside(self, cbs: Callbacks) -> Iterator[None]:
        """A pass of its own within a block; a fit around it finds everything as it left it."""
        before = {name: getattr(self, name) for name in _STEP}
        within_a_fit = self.dl is not None
        with (
            self.no_logging(),
            self.beside(),
            self.added_cbs(cbs),
            self.recorder.aside(),
            evaluating(self.model),
            torch.random.fork_rng(devices=[], enabled=within_a_fit),
        ):
            try:
                yield
            finally:
                for name, value in before.items():
                    setattr(self, name, value)

    def outputs(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        *,
        with_input: bool = False,
        with_loss: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
        reorder: bool = True,
        cbs: Callbacks = None,
    ) -> Outputs:
        """What `get_preds` gives, as a value that also knows which pictures it is about."""
        loader = self._loader(ds_idx, dl)
        act = act or self.objective.activate
        if self._is_plain(loader, cbs):
            found = self._passed(loader, with_input=with_input, with_loss=with_loss)
            return found.outputs(loader, self.objective.outcome, act, self.objective.decide, reorder=reorder)
        gather = GatherPredsCallback(with_input=with_input, with_loss=with_loss)
        # Metrics may need more than one batch or class, and nobody asked for them.
        with self.removed_cbs(self.recorder), self._aside([gather, *each(cbs)]):
            self._do_validate(loader)
        return gather.collected.outputs(loader, self.objective.outcome, act, self.objective.decide, reorder=reorder)

    def _is_plain(self, loader: AnyLoader, cbs: Callbacks) -> bool:
        """Whether a pass may go the way of the predictor, the faster one for many pictures: no callback has a say in it."""
        many = isinstance(loader, Loader) and loader.n_used >= MANY
        if not many or self.dl is not None or each(cbs):
            return False
        own = (TrainEvalCallback, Recorder, ProgressCallback)
        seen = (event for event in EVENTS if event in BATCH_EVENTS or event.endswith("validate"))
        others = {cb for event in seen for cb in self.ordered_cbs(event) if type(cb) not in own}
        return all(cb.remove_on_fetch or not cb.run for cb in others)

    def _passed(self, loader: AnyLoader, *, with_input: bool, with_loss: bool) -> Collector:
        # As every pass does, see `Learner`.
        torch.empty((), dtype=torch.int64).random_()

        def losses(logits: Tensor, target: Tensor) -> Tensor:
            # Not a tensor of inference mode, which a loss of the user's may not be able to use.
            return self.objective.items(logits.clone(), target)

        with torch.no_grad():
            return gathered(self.predictor().passed(loader), losses if with_loss else None, with_input=with_input)

    def get_preds(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        with_input: bool = False,
        with_decoded: bool = False,
        with_loss: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
        inner: bool = False,
        reorder: bool = True,
        cbs: Callbacks = None,
        *,
        with_preds: bool = True,
        with_targs: bool = True,
    ) -> tuple[Any, ...]:
        """Predictions for every picture of a loader, on the CPU.

        Args:
            ds_idx: 1 for validation, 0 for the training pictures, unaugmented.
            dl: A loader in their place, such as `dls.test_dl(files)`, or a list of batches; one that trains gives all its
                pictures, unaugmented.
            with_input: Images too, float `(N, C, H, W)`, first in the result.
            with_decoded: Decisions too.
            with_loss: One loss a picture too, last in the result.
            act: In place of the activation of the loss in use.
            inner: Has no meaning here, because no pass of this kind draws a bar; fastai has it in this place.
            reorder: In the order of the loader's pictures, even if it shuffles.
            cbs: Callbacks of this pass only.
            with_preds: False puts None in the place of the probabilities, and leaves out decisions.
            with_targs: False puts None in the place of the targets.

        Returns:
            `([images], probabilities (N, K), targets or None, [decisions], [losses or None])`. Pictures that cannot be read
            are left out, and named in the loader's `set_aside`.
        """
        found = self.outputs(
            ds_idx, dl, with_input=with_input, with_loss=with_loss, act=act, reorder=reorder, cbs=cbs
        )  # fmt: skip
        return found.as_tuple(
            with_input=with_input,
            with_decoded=with_decoded,
            with_loss=with_loss,
            with_preds=with_preds,
            with_targs=with_targs,
        )

    def bench(self, seconds: float = 60) -> Bench:
        """Train for some time and measure it: pictures a second by stage, and what limits; the learner stays as it was.

        Args:
            seconds: About how long.

        Returns:
            A value to be printed; see `sightline.train.measuring.bench.Bench`.

        Raises:
            OptionError: `seconds` is no positive number, or there is no training batch.
        """
        from sightline.train.measuring.bench import bench

        return bench(cast("Learner", self), seconds)

    def tta(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        n: int = 4,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        beta: float | None = 0.25,
        use_max: bool = False,
    ) -> tuple[Any, Tensor | None]:
        """Predictions for pictures seen in several forms: `n` passes with the transforms of training, and a plain one.

        How pictures are augmented follows from the data's seed, so that the same call gives the same result.

        Args:
            ds_idx: 1 for validation, 0 for the training pictures.
            dl: A loader in their place, such as `dls.test_dl(files)`.
            n: Number of augmented passes.
            item_tfms: Item transforms in place of those of the loader, in all passes.
            batch_tfms: Batch transforms in place of those of the loader; it goes on normalising as it did.
            beta: Share of the plain pass in the result; None gives both.
            use_max: The largest probability of all passes in place of the mean.

        Returns:
            `(probabilities (N, K), targets or None)`, in the order of the loader's pictures; with `beta=None`
            `((mean of the augmented passes, plain ones), targets)`.

        Raises:
            OptionError: The loader's pictures cannot be augmented, or an argument is outside what it may be.
        """
        loader = tta.check(self._loader(ds_idx, dl), n, beta, moves=self.target.moves_with_picture)
        loader = tta.with_transforms(loader, item_tfms, batch_tfms)
        passes = [self.outputs(dl=tta.augmented(loader, number)).preds for number in range(n)]
        plain = self.outputs(dl=loader)
        return tta.blended(passes, plain.preds, beta, use_max=use_max), plain.targs

    def show_results(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        max_n: int = 9,
        shuffle: bool = True,
        nrows: int | None = None,
        ncols: int | None = None,
        figsize: tuple[float, float] | None = None,
        ctxs: Any = None,
    ) -> Figure:
        """A figure of some pictures, the label of each above its prediction: green where they agree, red where not.

        Args:
            ds_idx: 1 for validation, 0 for the training pictures, unaugmented.
            dl: A loader in their place, whose first batch is shown.
            max_n: The most pictures.
            shuffle: Other pictures at each call; False shows the first ones.
            nrows: Rows of the grid; None chooses.
            ncols: Columns of the grid; None chooses.
            figsize: (width, height) of the figure in inches.
            ctxs: Axes to draw on, one a picture; None makes a figure.
        """
        from sightline.data.showing.show_results import Shown, pixels_of, show_results

        loader = self._loader(ds_idx, dl)
        batch = self._some(loader, max_n, shuffle=shuffle and dl is None)
        found = self.outputs(dl=[batch])
        targs = None if batch.target is None else batch.target.cpu()
        shown = Shown(pixels_of(batch.image, loader), found.target, targs, found.decoded)
        return show_results(shown, nrows=nrows, ncols=ncols, figsize=figsize, ctxs=ctxs)

    def _some(self, loader: AnyLoader, max_n: int, *, shuffle: bool) -> Batch:
        if max_n < 1:
            raise OptionError(f"max_n={max_n} pictures cannot be shown. Expected at least 1.")
        if isinstance(loader, Loader):
            self._looks += 1
            batch = loader.new(shuffle=shuffle, bs=max_n).peek(-self._looks)
        else:
            batch = loader.one_batch()
        target = None if batch.target is None else batch.target[:max_n]
        paths = None if batch.paths is None else batch.paths[:max_n]
        return replace(batch, image=batch.image[:max_n], target=target, index=batch.index[:max_n], paths=paths)

    def _loader(self, ds_idx: int, dl: Any) -> AnyLoader:
        return self.dls.evaluation(ds_idx) if dl is None else as_loader(dl, self.runtime.device)

    def predictor(self) -> Predictor:
        """The predictor of this network as it is now: what an exported file would give."""
        found = Predictor(
            self.model, self.objective.outcome, self.dls.pipeline, self.runtime, activate=self.objective.activate
        )  # fmt: skip
        found.parts = self.micro_batches.evaluation
        return found

    def predict(self, item: Any, rm_type_tfms: int | None = None, with_input: bool = False) -> Prediction | tuple[Any, ...]:
        """The label of one picture: `label, decision, probabilities = learn.predict("cat.jpg")`.

        Args:
            item: Path, PIL image, array `(H, W, C)`, tensor `(C, H, W)` or bytes.
            rm_type_tfms: Has no meaning; fastai has it here.
            with_input: Put the picture before the three as the network was given it, its colours restored: uint8 `(C, H, W)`.
        """
        return self.predictor().predict(item, with_input=with_input)  # type: ignore[no-any-return]

    def export(self, fname: str | Path | None = None) -> Path:
        """Write network, target and preprocessing to one file, from which `load_learner` predicts anywhere.

        Args:
            fname: Path of the file, seen from the folder of `export_to`; None is `export_to` itself: `export.safetensors` in
                the current folder.

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
        if self.objective.own_activation is not None:
            raise BundleError(
                f"The activation of the loss {self.objective.name} is code of your own, which a file never carries. Expected "
                f"that of the labels ({self.target.kind}), or none. Predict with learn.get_preds(), or share the weights alone "
                "by learn.save(...)."
            )
        pipeline, precision = self.dls.pipeline, self.runtime.precision
        outcome = self.objective.outcome
        bundle = Bundle.of(self.model, self.spec, outcome, pipeline.preprocess, self.recorder.record, precision)
        return bundle.save(self.export_to if fname is None else self.export_to.parent / fname)
