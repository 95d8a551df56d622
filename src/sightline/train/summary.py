"""Summary: the layers of a network, with the shapes of what they give and the parameters they hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from sightline.errors import counted, name_of
from sightline.inference import infer
from sightline.metrics.gathering import named_metrics
from sightline.model.modes import evaluating

if TYPE_CHECKING:
    from sightline.train.learner import Learner

Line = tuple[str, str, str, int, bool]


def summarize(learn: Learner) -> str:
    """The layers without children, in the order in which a batch passes them, and totals, as text."""
    images = learn.dls.one_batch().image.to(learn.runtime.device)
    lines = _pass_through(learn, images)
    parameters = list(learn.model.parameters())
    total = sum(p.numel() for p in parameters)
    trained = sum(p.numel() for p in parameters if p.requires_grad)
    header = ("layer", "type", "output shape", "parameters", "trains")
    cells = [
        header,
        *((name, kind, shape, f"{n:,}", "yes" if trains else "no" if n else "") for name, kind, shape, n, trains in lines),
    ]
    widths = [max(len(row[column]) for row in cells) for column in range(5)]
    table = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in cells]
    rule = "-" * (sum(widths) + 8)
    return "\n".join(
        [
            f"{type(learn.model).__name__} (input {_shape(images)})",
            rule,
            table[0],
            rule,
            *table[1:],
            rule,
            f"Total params: {total:,}",
            f"Total trainable params: {trained:,}",
            f"Total non-trainable params: {total - trained:,}",
            "",
            f"Optimizer used: {name_of(learn.opt_func)}",
            f"Loss function: {learn.objective.name}",
            f"Model frozen up to parameter group #{learn.frozen_to}" if learn.frozen_to else "Model unfrozen",
            "",
            "Callbacks:",
            *(f"  - {cb.name}" for cb in learn.cbs),
        ]
    )


def describe(learn: Learner) -> str:
    """A learner in a few lines: network, data, loss, metrics, and what trains."""
    parameters = list(learn.model.parameters())
    total, trained = (sum(p.numel() for p in parameters if p.requires_grad or not only) for only in (False, True))
    name = type(learn.model).__name__ if learn.spec is None else learn.spec.arch
    metrics = ", ".join(metric for metric, _ in named_metrics(learn.metrics)) or "none"
    epochs = f"{counted(learn.epochs_done, 'epoch')} done"
    return "\n".join(
        [
            f"Learner: {name}, {counted(learn.target.num_outputs, 'output')}, on {learn.runtime.device}",
            f"  data     {learn.dls!r}",
            f"  loss     {learn.objective.name}; metrics: {metrics}",
            f"  trains   {trained:,} of {total:,} parameters; {epochs}",
        ]
    )


def _pass_through(learn: Learner, images: Tensor) -> list[Line]:
    lines: list[Line] = []

    def hook(name: str) -> Any:
        def see(module: nn.Module, _: Any, output: Any) -> None:
            own = list(module.parameters(recurse=False))
            shape = _shape(output) if isinstance(output, Tensor) else type(output).__name__
            lines.append((name, type(module).__name__, shape, sum(p.numel() for p in own), any(p.requires_grad for p in own)))

        return see

    leaves = [(name, module) for name, module in learn.model.named_modules() if not list(module.children())]
    handles = [module.register_forward_hook(hook(name)) for name, module in leaves]
    try:
        with evaluating(learn.model):
            infer(learn.model, images, learn.runtime)
    finally:
        for handle in handles:
            handle.remove()
    return lines


def _shape(tensor: Tensor) -> str:
    return " x ".join(str(side) for side in tensor.shape)
