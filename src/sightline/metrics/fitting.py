"""What outputs and labels must look like for a metric, and what to use instead where they do not."""

from __future__ import annotations

from torch import Tensor

from sightline.errors import OptionError


def flatten_check(inp: Tensor, targ: Tensor) -> tuple[Tensor, Tensor]:
    """Outputs and labels in one dimension each, for metrics of your own.

    Raises:
        OptionError: They hold different numbers of values.
    """
    if inp.numel() != targ.numel():
        raise OptionError(
            f"Outputs {tuple(inp.shape)} and labels {tuple(targ.shape)} hold different numbers of values. Expected as many."
        )
    return inp.flatten(), targ.flatten()


def expect_classes(name: str, inp: Tensor, targ: Tensor) -> None:
    """Outputs `(N, K)` beside one class a picture, `(N,)`.

    Raises:
        OptionError: They are not.
    """
    if targ.is_floating_point() or inp.numel() == targ.numel() > 1:
        raise OptionError(
            f"{name} compares outputs (N, K) with one class a picture, but got {tuple(inp.shape)} and {tuple(targ.shape)} "
            f"({targ.dtype}). For several labels a picture use accuracy_multi, F1ScoreMulti and their kin, "
            "for numbers mse, mae or rmse."
        )


def expect_two_classes(name: str, inp: Tensor, targ: Tensor) -> None:
    """Outputs `(N, 2)` beside one class a picture, `(N,)`.

    Raises:
        OptionError: They are not.
    """
    expect_classes(name, inp, targ)
    if inp.shape[-1] != 2:
        raise OptionError(
            f"{name} was asked for two classes, but there are {inp.shape[-1]} outputs. For more classes use RocAuc(), "
            "or F1Score(average='macro') and its kin."
        )


def expect_indicators(name: str, inp: Tensor, targ: Tensor) -> None:
    """Outputs and labels of 0 and 1 in one shape, `(N, K)`.

    Raises:
        OptionError: They are not.
    """
    if inp.shape != targ.shape:
        raise OptionError(
            f"{name} compares outputs with labels of the same shape, but got {tuple(inp.shape)} and {tuple(targ.shape)}. "
            "Where each picture has one label, use error_rate or accuracy, F1Score(average='macro') and their kin."
        )


def expect_numbers(name: str, inp: Tensor, targ: Tensor) -> None:
    """As many outputs as labels.

    Raises:
        OptionError: They are not.
    """
    if inp.numel() != targ.numel():
        raise OptionError(
            f"{name} compares as many numbers with one another, but got {tuple(inp.shape)} and {tuple(targ.shape)}. "
            "For classes use error_rate or accuracy, for several labels a picture accuracy_multi."
        )
