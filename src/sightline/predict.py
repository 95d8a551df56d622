"""Predictor: from pictures to labels, the one way for the learner, the command line and every server.

It needs a network, a target and the evaluation pipeline; all three come from an exported file, or from a learner.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TypeAlias

import torch
from torch import Tensor, nn

from sightline.backends import openvino
from sightline.bundle import Bundle
from sightline.data.loading.any_loader import AnyLoader
from sightline.data.loading.batch import Batch
from sightline.data.loading.loaders import Loader
from sightline.data.loading.streams import FEWEST, Streams
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.rows.sources import as_items
from sightline.data.showing.show import restored
from sightline.errors import ImageError, ModelError, OptionError, did_you_mean, listed
from sightline.inference import AsItIs, Copied, Copying, Forward, content_of, overlapped
from sightline.outputs import Outputs, as_loader, gathered
from sightline.runtime import Precision, Runtime, plan_runtime
from sightline.runtime.memory import Parts
from sightline.target import Target, Vocab

Backend: TypeAlias = Literal["torch", "openvino"]
BACKENDS: tuple[str, ...] = ("torch", "openvino")
MANY = 256
"""From how many pictures on it pays to fold the network, which takes as long as some 20 of them, and to start threads."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is predicted for one picture; unpacks, and is indexed, as `label, decision, probabilities`.

    Attributes:
        label: The label as it was in the training data: a name, a list of names, a number (or several), or points `(n, 2)` in
            pixels of the picture as it was given.
        decision: The label as a tensor: int64 class, bool `(K,)`, or float values.
        probabilities: Float32 `(K,)`, in the order of the vocabulary; for numbers, the values.
        source: Where the picture came from: what was given.
        error: Why there is no prediction, in words; None where there is one.
        vocab: Names of the outputs, None for numbers.
    """

    label: Any
    decision: Tensor
    probabilities: Tensor
    source: Any = None
    error: str | None = None
    vocab: Vocab | None = None

    def __iter__(self) -> Iterator[Any]:
        return iter((self.label, self.decision, self.probabilities))

    def __len__(self) -> int:
        return 3

    def __getitem__(self, position: int) -> Any:
        return (self.label, self.decision, self.probabilities)[position]

    def top(self, k: int = 3) -> list[tuple[Any, float]]:
        """The `k` most probable names with their probabilities, best first; empty for numbers and for errors."""
        if self.vocab is None or self.error is not None:
            return []
        values, places = self.probabilities.topk(max(0, min(k, len(self.vocab))))
        return [(self.vocab[int(place)], float(value)) for value, place in zip(values, places, strict=True)]


@dataclass(frozen=True, eq=False)
class NewPictures:
    """What a predictor has in place of data loaders.

    Attributes:
        target: What the labels are.
        pipeline: How pictures are prepared.
        device: Where batches are made.
    """

    target: Target
    pipeline: EvaluationPipeline
    device: torch.device

    @property
    def vocab(self) -> Vocab | None:
        """Names of the outputs, None for numbers."""
        return self.target.vocab

    @property
    def c(self) -> int:
        """Number of outputs."""
        return self.target.num_outputs

    def evaluation(self, ds_idx: int = 1) -> NoReturn:
        """Nothing: an exported file holds no pictures.

        Raises:
            OptionError: Always.
        """
        raise OptionError(
            f"ds_idx={ds_idx} names data of the training, which an exported file does not hold. Expected pictures: "
            "dl=predictor.dls.test_dl(files)."
        )

    def test_dl(
        self,
        test_items: Any,
        rm_type_tfms: int | None = None,
        with_labels: bool = False,
        device: str | torch.device | None = None,
        *,
        bs: int = 64,
        num_workers: int | None = None,
        **options: Any,
    ) -> Loader:
        """Batches of pictures, prepared as for validation; `Batch.index` is the position in `test_items`.

        Args:
            test_items: Paths, PIL images, arrays; or a folder.
            rm_type_tfms: Has no meaning; fastai has it here.
            with_labels: Refused: how labels are read is code, which a file does not carry.
            device: Where batches are made; None takes that of the network.
            bs: Pictures a batch.
            num_workers: Threads that decode; None takes one a CPU, at most 8.
            options: As for `Loader.new`: shuffle, drop_last, ...

        Raises:
            OptionError: `with_labels` is set, or an option is not known.
        """
        if with_labels:
            raise OptionError(
                "with_labels=True: how the labels of pictures are read is not in an exported file. Expected pictures alone; or "
                "make loaders with a DataBlock or ImageDataLoaders, and pass them: get_preds(dl=dls.valid)."
            )
        place = self.device if device is None else plan_runtime(device).device
        loader = self.pipeline.loader(test_items, bs=bs, num_workers=num_workers, device=place, target=self.target)
        return loader.new(**options)


class Predictor:
    """Predicts labels of pictures.

    Attributes:
        model: The network, in evaluation mode whenever it predicts.
        target: What its outputs mean.
        pipeline: How pictures are prepared.
        runtime: Device and precision.
        info: What an exported file says about itself (its manifest); empty for a learner's predictor.
        parts: In what parts batches are computed where the device's memory is too short for them.
    """

    def __init__(
        self,
        model: nn.Module,
        target: Target,
        pipeline: EvaluationPipeline,
        runtime: Runtime | None = None,
        info: dict[str, Any] | None = None,
        *,
        activate: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        """Bring the parts together.

        Args:
            model: Gives outputs `(N, K)` for images `(N, C, H, W)`.
            target: What they mean.
            pipeline: How pictures are prepared.
            runtime: Device and precision; None takes the best device.
            info: What an exported file says about itself.
            activate: From outputs to probabilities, in place of the target's activation.
        """
        self.runtime = runtime or plan_runtime()
        self.model = model.to(self.runtime.device)
        self.target, self.pipeline, self.info = target, pipeline, info or {}
        self._activate = activate or target.activate
        self.parts = Parts()
        self._copying: Copying | None = None
        self._kept: tuple[object, Forward] | None = None

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device | None = None,
        precision: Precision | None = None,
        model: nn.Module | None = None,
        *,
        backend: Backend = "torch",
    ) -> Predictor:
        """The predictor of an exported file. Nothing in the file is ever executed.

        Args:
            path: What `Learner.export` wrote.
            device: Where to compute; None takes the best that is there.
            precision: 'fp32', 'bf16' or 'fp16'; None is what is fastest here, whatever the learner computed in: see
                `plan_runtime`.
            model: The network for a file whose architecture is code of your own; its weights come from the file.
            backend: What computes on a CPU: 'torch', or 'openvino', which compiles the network at its first batch, in some
                seconds, and then is faster.

        Raises:
            BundleError: The file cannot be read, is no export of sightline, or does not fit.
            MissingExtraError: The backend is not installed.
            OptionError: There is no such backend, or it does not compute on this device.
        """
        bundle = Bundle.load(path)
        network = bundle.build(model)
        pipeline = EvaluationPipeline.from_preprocess(bundle.preprocess)
        runtime = plan_runtime("cpu" if device is None and backend == "openvino" else device, precision)
        copying = None
        if backend != "torch":
            runtime, copying = _by_backend(backend, runtime)
        runtime.prepare_host()
        predictor = cls(runtime.place(network), bundle.target, pipeline, runtime, bundle.manifest())
        predictor._copying = copying
        return predictor

    @property
    def vocab(self) -> Vocab | None:
        """Names of the outputs, None for numbers."""
        return self.target.vocab

    @property
    def dls(self) -> NewPictures:
        """What stands for the data of a learner: the vocabulary, and how batches of new pictures are made."""
        return NewPictures(self.target, self.pipeline, self.runtime.device)

    def predict(self, item: Any, rm_type_tfms: int | None = None, with_input: bool = False) -> Any:
        """The prediction for one picture: `label, decision, probabilities = predictor.predict("cat.jpg")`.

        Args:
            item: Path, PIL image, array `(H, W, C)` or `(H, W)`, tensor `(C, H, W)`, or the bytes of a picture file.
            rm_type_tfms: Has no meaning; fastai has it here.
            with_input: Put the picture before the three as the network was given it, its colours restored: uint8 `(C, H, W)`.

        Returns:
            A `Prediction`; with `with_input`, a tuple of four.

        Raises:
            ImageError: The picture cannot be read.
        """
        prediction = next(self.predict_many([item], bs=1, workers=0))
        if prediction.error is not None:
            name = repr(str(item)) if isinstance(item, (str, Path)) else "The picture"
            raise ImageError(f"{name} cannot be read: {prediction.error}.")
        return (self._seen(item), *prediction) if with_input else prediction

    def _seen(self, item: Any) -> Tensor:
        loader = self.pipeline.loader([item], bs=1, num_workers=0, target=self.target)
        return restored(loader, loader.one_batch().image)[0][0]

    def predict_many(self, items: Any, bs: int = 64, workers: int | None = None) -> Generator[Prediction]:
        """Predictions in the order of `items`, made batch by batch as they are asked for.

        A picture that cannot be read gives a prediction whose `error` says why.

        Args:
            items: Pictures, see `predict`; or a folder.
            bs: The most pictures a batch.
            workers: Threads that decode, and for many pictures on a CPU also compute; 0 is this one alone.
        """
        sources: Sequence[Any] = list(as_items(items))
        place, target = self.runtime.device, self.target
        loader = self.pipeline.loader(sources, bs=bs, num_workers=workers, device=place, warn=False, target=target)
        position = 0
        with closing(self.passed(loader)) as passed:
            for batch, logits in passed:
                decided = self._decided(logits)
                paths = [None] * batch.n if batch.paths is None else torch.from_numpy(batch.paths)
                for row, (decision, probabilities), path in zip(batch.index.tolist(), decided, paths, strict=True):
                    yield from (self._failed(sources[i], loader.set_aside[i]) for i in range(position, row))
                    label = target.decode(decision if path is None else target.in_picture(decision, path))
                    yield Prediction(label, decision, probabilities, sources[row], None, self.vocab)
                    position = row + 1
        yield from (self._failed(sources[i], loader.set_aside[i]) for i in range(position, len(sources)))

    def outputs(
        self,
        ds_idx: int = 1,
        dl: Any = None,
        *,
        with_input: bool = False,
        with_loss: bool = False,
        act: Callable[[Tensor], Tensor] | None = None,
        reorder: bool = True,
    ) -> Outputs:
        """What `get_preds` gives, as a value that also knows which pictures it is about."""
        loader = self.dls.evaluation(ds_idx) if dl is None else as_loader(dl, self.runtime.device)
        found = gathered(self.passed(loader), self.target.loss if with_loss else None, with_input=with_input)
        return found.outputs(loader, self.target, act or self._activate, self.target.decide, reorder=reorder)

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
    ) -> tuple[Any, ...]:
        """Predictions for every picture of a loader, on the CPU; as `Learner.get_preds`, which see.

        Args:
            ds_idx: Has no meaning for an exported file, which holds no pictures.
            dl: A loader, such as `predictor.dls.test_dl(files)`, or a list of batches.
            with_input: Images too, first in the result.
            with_decoded: Decisions too.
            with_loss: One loss a picture too, last in the result: that of the labels, whatever the training used.
            act: In place of the activation.
            inner: Has no meaning.
            reorder: In the order of the loader's pictures, even if it shuffles.

        Raises:
            OptionError: `dl` is not given.
        """
        found = self.outputs(ds_idx, dl, with_input=with_input, with_loss=with_loss, act=act, reorder=reorder)
        return found.as_tuple(with_input=with_input, with_decoded=with_decoded, with_loss=with_loss)

    @contextmanager
    def no_bar(self) -> Iterator[Predictor]:
        """A block without a progress bar, as every other: a predictor shows none."""
        yield self

    @contextmanager
    def no_logging(self) -> Iterator[Predictor]:
        """A block without a table, as every other: a predictor shows none."""
        yield self

    def __repr__(self) -> str:
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        name = self.info.get("architecture", {}).get("arch") or type(self.model).__name__
        return "\n".join(
            [
                f"Predictor: {name}, {parameters:,} parameters, on {self.runtime.device}",
                f"  labels    {self.target.kind}, {self.target.num_outputs} outputs{_names(self.vocab)}",
                f"  pictures  {self.pipeline.preprocess}",
            ]
        )

    def logits(self, images: Tensor) -> Tensor:
        """Outputs `(N, K)`, float32, for prepared images `(N, C, H, W)`."""
        return self._forward(1)(images)

    def passed(self, loader: AnyLoader) -> Generator[tuple[Batch, Tensor]]:
        """Each batch of a loader with its outputs, float32 `(N, K)`, in order: by one thread a core where a CPU computes.

        The network is taken as it is when the pass begins, and must not be trained before it ends.
        """
        ours = loader if isinstance(loader, Loader) else None
        forward = self._forward(1 if ours is None else ours.n_used)
        streams = self._streams(ours, forward)
        if ours is not None and streams.count > 1:
            yield from ours.used_in_streams(forward, streams)
        elif self.runtime.device.type == "cuda":
            yield from overlapped((batch.to(self.runtime.device) for batch in loader), forward)
        else:
            for batch in loader:
                yield batch, forward(batch.image.to(self.runtime.device))

    def _forward(self, pictures: int) -> Forward:
        """What computes: for many pictures a folded copy, made anew for each pass, because weights may have changed since."""
        if self._copying is None and pictures < MANY:
            return AsItIs(self.model, self.runtime, self.parts)
        if self._copying is None:
            return Copied(self.model, self.runtime, self.target.margins, parts=self.parts)
        # What takes seconds to make is kept, as long as the network is the same.
        content = content_of(self.model)
        if self._kept is None or self._kept[0] != content:
            self._kept = (content, Copied(self.model, self.runtime, self.target.margins, self._copying))
        return self._kept[1]

    def _streams(self, loader: Loader | None, forward: Forward) -> Streams:
        on_cpu = loader is not None and loader.device.type == self.runtime.device.type == "cpu"
        enough = MANY if self._copying is None else 2 * FEWEST
        if loader is None or not on_cpu or not forward.concurrent or loader.n_used < enough:
            return Streams(1)
        if loader.options.random or loader.batches.custom_names:
            return Streams(1)
        return Streams.planned(loader.options.num_workers)

    def _decided(self, logits: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        if logits.shape[1:] != (self.target.num_outputs,):
            raise ModelError(
                f"The network gives outputs of shape {tuple(logits.shape)}, but labels need {self.target.num_outputs} outputs "
                "a picture. What the others mean only your own loss knows: use learn.get_preds(act=...)."
            )
        probabilities = self._activate(logits).cpu()
        return zip(self.target.decide(probabilities), probabilities, strict=True)

    def _failed(self, source: Any, reason: str) -> Prediction:
        nothing = torch.zeros(0)
        return Prediction(None, nothing, nothing, source, reason, self.vocab)


def _by_backend(backend: str, runtime: Runtime) -> tuple[Runtime, Copying]:
    """The runtime as a backend has it, and what makes copies for it."""
    if backend != "openvino":
        hint = did_you_mean(backend, BACKENDS)
        raise OptionError(f"backend={backend!r} is not one of {', '.join(BACKENDS)}. {hint}".rstrip())
    if runtime.device.type != "cpu":
        raise OptionError(
            f"backend='openvino' computes on the CPU, but device={str(runtime.device)!r}. Pass device='cpu', or leave one out."
        )
    openvino.require_openvino()
    return runtime.with_channels_last(False), openvino.compiled


def _names(vocab: Vocab | None) -> str:
    return "" if vocab is None else f": {listed(list(vocab), most=6)}"


def load_learner(fname: str | Path, cpu: bool = True) -> Predictor:
    """What `Learner.export` wrote, ready to predict.

    Args:
        fname: Path of the file.
        cpu: Compute on the CPU, even where there is a GPU.

    Raises:
        BundleError: The file cannot be read or is no export of sightline.
    """
    return Predictor.load(fname, device="cpu" if cpu else None)
