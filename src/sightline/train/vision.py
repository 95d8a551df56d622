"""vision_learner: a learner for pictures, from data loaders and the name of an architecture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn
from torch.nn.init import kaiming_normal_

from sightline.data.dataloaders import DataLoaders
from sightline.errors import ModelError, OptionError, counted
from sightline.losses.objective import LossFunction
from sightline.model.vision import check_input, create_vision_model, parameter_groups
from sightline.train.events import Callbacks
from sightline.train.groups import Splitter
from sightline.train.learner import Learner
from sightline.train.optim import Adam, OptimizerFunction
from sightline.train.schedule import Rates


def vision_learner(
    dls: DataLoaders,
    arch: str | Callable[..., nn.Module],
    normalize: bool = True,
    n_out: int | None = None,
    pretrained: bool = True,
    weights: Any = None,
    loss_func: LossFunction | None = None,
    opt_func: OptimizerFunction = Adam,
    lr: Rates = 0.001,
    splitter: Splitter | None = None,
    cbs: Callbacks = None,
    metrics: Any = None,
    path: str | Path | None = None,
    model_dir: str | Path = "models",
    wd: float | None = None,
    wd_bn_bias: bool = False,
    train_bn: bool = True,
    moms: tuple[float, float, float] = (0.95, 0.85, 0.95),
    cut: int | Callable[[nn.Module], nn.Module] | None = None,
    init: Callable[[Tensor], Any] | None = kaiming_normal_,
    custom_head: nn.Module | None = None,
    concat_pool: bool = True,
    pool: bool = True,
    lin_ftrs: Sequence[int] | None = None,
    ps: float | Sequence[float] = 0.5,
    first_bn: bool = True,
    bn_final: bool = False,
    lin_first: bool = False,
    y_range: tuple[float, float] | None = None,
    n_in: int = 3,
    *,
    cls: type[Learner] = Learner,
) -> Learner:
    """A learner whose network is a body from a zoo, pretrained if wanted, with a new head for the labels of `dls`.

    Args:
        dls: Data loaders; their labels decide the loss and the number of outputs.
        arch: A torchvision constructor such as `resnet34`, or a timm name such as `"convnext_tiny"`.
        normalize: With pretrained weights, normalise pictures as the weights expect. `dls` itself is never changed.
        n_out: Number of outputs; None takes it from `dls`.
        pretrained: Start the body from pretrained weights, and freeze it.
        weights: Which weights: a torchvision enum or its name, a timm tag, or a .safetensors or .pth file. None takes the
            zoo's best.
        loss_func: In place of the loss that fits the labels.
        opt_func: Makes the optimizer.
        lr: Default learning rate.
        splitter: `(model) -> groups of parameters`, lowest first; None splits by depth into lower body, upper body, head.
        cbs: Callbacks.
        metrics: Figures for people, such as `error_rate`.
        path: Folder of saved weights; None is that of `dls`.
        model_dir: Folder within `path`.
        wd: Weight decay of every fit; None keeps the optimizer's own.
        wd_bn_bias: Whether biases and normalisation parameters decay too.
        train_bn: Whether normalisation parameters train in frozen groups too.
        moms: Momentum of one-cycle fits: start, middle, end.
        cut: Where the body ends: the number of children to keep, or a function of the network.
        init: Draws the head's weights, in place; None leaves them as they are made.
        custom_head: A module in place of the head; it is given what the body gives.
        concat_pool: Pool by maximum and average side by side; False by average alone.
        pool: Pool at all.
        lin_ftrs: Sizes of the head's hidden layers; None is [512].
        ps: Dropout: of the last layer, earlier ones half of it; or one for each linear layer.
        first_bn: Normalise before the first linear layer.
        bn_final: Normalise the outputs.
        lin_first: Linear layers before their normalisation and dropout.
        y_range: Squeeze outputs into (low, high).
        n_in: Channels of the pictures.
        cls: What to make: `Learner` or a class of your own that inherits from it.

    Raises:
        ArchitectureError: No architecture of that name.
        WeightsError: The weights cannot be had; the message names the ways out.
        ModelError: Data and network do not fit.
        OptionError: An option is outside what it may be.
    """
    outputs = _outputs(dls, n_out, loss_func)
    _check_channels(dls, n_in)
    model = create_vision_model(
        arch, outputs, pretrained=pretrained, weights=weights, cut=cut, n_in=n_in, init=init,
        custom_head=custom_head, concat_pool=concat_pool, pool=pool, lin_ftrs=lin_ftrs, ps=ps, first_bn=first_bn,
        bn_final=bn_final, lin_first=lin_first, y_range=y_range,
    )  # fmt: skip
    if dls.preprocess is not None and dls.preprocess.output_size is not None:
        check_input(model, dls.preprocess.output_size)
    learn = cls(
        dls, model, loss_func, opt_func, lr, splitter or parameter_groups, cbs, metrics, path, model_dir, wd, wd_bn_bias,
        train_bn, moms, spec=model.spec, stats=model.stats if normalize else None,
    )  # fmt: skip
    if pretrained:
        learn.freeze()
    return learn


def _outputs(dls: DataLoaders, n_out: int | None, loss_func: LossFunction | None) -> int:
    expected = dls.target.num_outputs
    if n_out is None:
        return expected
    if not isinstance(n_out, int) or n_out < 1:
        raise OptionError(f"n_out={n_out!r}: expected a whole number of outputs, at least 1.")
    if n_out != expected and loss_func is None:
        raise ModelError(
            f"n_out={n_out} contradicts the data, whose labels need {counted(expected, 'output')} ({dls.target.because}). "
            "Leave n_out out, or pass a loss_func of your own that knows what the other outputs mean."
        )
    return n_out


def _check_channels(dls: DataLoaders, n_in: int) -> None:
    channels = dls.preprocess.channels if dls.preprocess is not None else n_in
    if channels != n_in:
        raise ModelError(
            f"The pictures have {counted(channels, 'channel')}, but the network would take {n_in}. "
            f"Pass n_in={channels}, or ImageBlock(cls=PILImage) for colour."
        )
