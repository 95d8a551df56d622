"""Modes: layers that do otherwise than the rest of the network in training or in evaluation."""

from __future__ import annotations

from torch import nn

from sightline.train.events import Callback

bn_types = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


def set_bn_eval(m: nn.Module, use_eval: bool = True) -> None:
    """Put the BatchNorm layers below `m` whose weights do not train into evaluation mode, or back into training mode."""
    for layer in m.modules():
        weights = list(layer.parameters(recurse=False)) if layer is not m and isinstance(layer, bn_types) else []
        if weights and not weights[0].requires_grad:
            layer.train(not use_eval)


class BnFreeze(Callback):
    """Keeps the running statistics of BatchNorm layers whose weights do not train.

    Such layers there are only where the learner was made with `train_bn=False`.
    """

    def before_train(self) -> None:
        """Put them into evaluation mode."""
        set_bn_eval(self.model)


class MCDropoutCallback(Callback):
    """Leaves dropout on in evaluation, so that repeated predictions differ: `learn.get_preds(cbs=MCDropoutCallback())`."""

    def before_validate(self) -> None:
        """Dropout on."""
        self._set(training=True)

    def after_validate(self) -> None:
        """Dropout off."""
        self._set(training=False)

    def _set(self, *, training: bool) -> None:
        for layer in self.model.modules():
            if "dropout" in type(layer).__name__.lower():
                layer.train(training)
