"""Predictor: from pictures to labels, the one way for the learner, the command line and every server.

It needs a network, a target and the evaluation pipeline; all three come from an exported file, or from a learner.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sightline.bundle import Bundle
from sightline.data.pipeline import EvaluationPipeline
from sightline.data.sources import as_items
from sightline.errors import ImageError, ModelError
from sightline.runtime import Precision, Runtime, plan_runtime
from sightline.target import Target, Vocab


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is predicted for one picture; unpacks, and is indexed, as `label, decision, probabilities`.

    Attributes:
        label: The label as it was in the training data: a name, a list of names, or a number (or several).
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


class Predictor:
    """Predicts labels of pictures.

    Attributes:
        model: The network, in evaluation mode whenever it predicts.
        target: What its outputs mean.
        pipeline: How pictures are prepared.
        runtime: Device and precision.
        info: What an exported file says about itself (its manifest); empty for a learner's predictor.
    """

    def __init__(
        self,
        model: nn.Module,
        target: Target,
        pipeline: EvaluationPipeline,
        runtime: Runtime | None = None,
        info: dict[str, Any] | None = None,
    ) -> None:
        """Bring the parts together."""
        self.runtime = runtime or plan_runtime()
        self.model = model.to(self.runtime.device)
        self.target, self.pipeline, self.info = target, pipeline, info or {}

    @classmethod
    def load(
        cls,
        path: str | Path,
        device: str | torch.device | None = None,
        precision: Precision | None = None,
        model: nn.Module | None = None,
    ) -> Predictor:
        """The predictor of an exported file. Nothing in the file is ever executed.

        Args:
            path: What `Learner.export` wrote.
            device: Where to compute; None takes the best that is there.
            precision: 'fp32' or 'bf16'; None is what the learner computed in.
            model: The network for a file whose architecture is code of your own; its weights come from the file.

        Raises:
            BundleError: The file cannot be read, is no export of sightline, or does not fit.
        """
        bundle = Bundle.load(path)
        network = bundle.build(model)
        pipeline = EvaluationPipeline.from_preprocess(bundle.preprocess)
        runtime = plan_runtime(device, precision or bundle.precision)
        return cls(network, bundle.target, pipeline, runtime, bundle.manifest())

    @property
    def vocab(self) -> Vocab | None:
        """Names of the outputs, None for numbers."""
        return self.target.vocab

    def predict(self, item: Any) -> Prediction:
        """The prediction for one picture.

        Args:
            item: Path, PIL image, array `(H, W, C)` or `(H, W)`, tensor `(C, H, W)`, or the bytes of a picture file.

        Raises:
            ImageError: The picture cannot be read.
        """
        prediction = next(self.predict_many([item], bs=1, workers=0))
        if prediction.error is not None:
            name = repr(str(item)) if isinstance(item, (str, Path)) else "The picture"
            raise ImageError(f"{name} cannot be read: {prediction.error}.")
        return prediction

    def predict_many(self, items: Any, bs: int = 64, workers: int | None = None) -> Iterator[Prediction]:
        """Predictions in the order of `items`, made batch by batch as they are asked for.

        A picture that cannot be read gives a prediction whose `error` says why.

        Args:
            items: Pictures, see `predict`; or a folder.
            bs: Pictures a batch.
            workers: Threads that decode; 0 decodes in this one.
        """
        sources: Sequence[Any] = list(as_items(items))
        loader = self.pipeline.loader(sources, bs=bs, num_workers=workers, device=self.runtime.device, warn=False)
        position = 0
        for batch in loader:
            decided = self._decided(batch.image)
            for row, (decision, probabilities) in zip(batch.index.tolist(), decided, strict=True):
                yield from (self._failed(sources[i], loader.set_aside[i]) for i in range(position, row))
                label = self.target.decode(decision)
                yield Prediction(label, decision, probabilities, sources[row], None, self.vocab)
                position = row + 1
        yield from (self._failed(sources[i], loader.set_aside[i]) for i in range(position, len(sources)))

    def logits(self, images: Tensor) -> Tensor:
        """Outputs `(N, K)`, float32, for prepared images `(N, C, H, W)`."""
        with evaluating(self.model), torch.inference_mode():
            return infer(self.model, images, self.runtime)

    def _decided(self, images: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        logits = self.logits(images.to(self.runtime.device))
        if logits.shape[1:] != (self.target.num_outputs,):
            raise ModelError(
                f"The network gives outputs of shape {tuple(logits.shape)}, but labels need {self.target.num_outputs} outputs "
                "a picture. What the others mean only your own loss knows: use learn.get_preds(act=...)."
            )
        probabilities = self.target.activate(logits).cpu()
        return zip(self.target.decide(probabilities), probabilities, strict=True)

    def _failed(self, source: Any, reason: str) -> Prediction:
        nothing = torch.zeros(0)
        return Prediction(None, nothing, nothing, source, reason, self.vocab)


def infer(model: nn.Module, images: Tensor, runtime: Runtime) -> Tensor:
    """The network's outputs, float32 `(N, K)`, for images `(N, C, H, W)` on its device, in the precision of `runtime`."""
    with runtime.autocast():
        logits = model(images)
    if not isinstance(logits, Tensor):
        raise ModelError(f"The network returned a {type(logits).__name__}. Expected one tensor of outputs (N, K).")
    return logits.float()


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode within a block; afterwards every layer is in the mode in which it was."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def load_learner(fname: str | Path, cpu: bool = True) -> Predictor:
    """What `Learner.export` wrote, ready to predict.

    Args:
        fname: Path of the file.
        cpu: Compute on the CPU, even where there is a GPU.

    Raises:
        BundleError: The file cannot be read or is no export of sightline.
    """
    return Predictor.load(fname, device="cpu" if cpu else None)
