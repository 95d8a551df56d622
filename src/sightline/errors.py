"""Every error and warning of sightline, and the words that help after a typing mistake.

    SightlineError
    |-- DataError (ValueError)            what the pictures, tables and folders hold
    |   |-- NoImagesError                 nothing to learn from was found
    |   |-- TableError                    a table, a column or a listed file is wrong
    |   |-- LabelError                    labels are blank, unknown, too few or contradictory
    |   |-- SplitError                    the split into training and validation rows cannot be made
    |   `-- ImageError                    a picture cannot be read
    |-- OptionError (ValueError)          an argument is outside what it may be
    |-- ModelError (ValueError)           a network, its head or its input does not fit
    |   |-- ArchitectureError             no architecture of that name
    |   `-- WeightsError                  weights cannot be found, fetched, read or matched
    |-- BundleError (ValueError)          an exported file cannot be written, read or trusted
    |-- TensorFileError (ValueError)      a .safetensors file cannot be written, or is not what it should be
    |-- TrainingError (RuntimeError)      training cannot go on
    |   |-- NonFiniteLossError            the loss became NaN or infinite
    |   `-- DivergedLossError             the loss left all proportion
    |-- DeviceMemoryError (RuntimeError)  not even the smallest part of a batch fits into the device's memory
    |-- MissingExtraError (ImportError)   an optional dependency is not installed
    `-- LeftOutError (NotImplementedError)  a name of fastai's that has no counterpart here

    SightlineWarning (UserWarning)        something was set aside or replaced, by name

Each class is ours and the builtin at once, so both `except SightlineError` and `except ValueError` catch it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from functools import partial


class SightlineError(Exception):
    """Base of every error that sightline raises on purpose."""


class DataError(SightlineError, ValueError):
    """The data cannot be used as given."""


class NoImagesError(DataError):
    """No picture was found where some were expected."""


class TableError(DataError):
    """A table, one of its columns, or a file that it lists is wrong or missing."""


class LabelError(DataError):
    """Labels are blank, unknown, too few, or contradict each other."""


class SplitError(DataError):
    """The rows cannot be split into training and validation as asked."""


class ImageError(DataError):
    """A picture cannot be read."""


class OptionError(SightlineError, ValueError):
    """An argument is outside what it may be."""


class ModelError(SightlineError, ValueError):
    """A network, its head, or the data given to it does not fit."""


class ArchitectureError(ModelError):
    """No architecture of that name is known."""


class WeightsError(ModelError):
    """Weights cannot be found, fetched, read, or matched to the network."""


class BundleError(SightlineError, ValueError):
    """An exported file cannot be written, read, or trusted."""


class TensorFileError(SightlineError, ValueError):
    """A .safetensors file cannot be written, or is not what it should be; whoever reads it says which file and what to do."""


class TrainingError(SightlineError, RuntimeError):
    """Training cannot go on."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class DivergedLossError(TrainingError):
    """The loss is a number, but out of all proportion, and stays so."""


class DeviceMemoryError(SightlineError, RuntimeError):
    """The memory of the device is too small for the smallest part of a batch."""


class MissingExtraError(SightlineError, ImportError):
    """An optional dependency is needed and not installed."""


class LeftOutError(SightlineError, NotImplementedError):
    """Something of fastai's was used that sightline leaves out on purpose."""


class SightlineWarning(UserWarning):
    """Something was set aside, replaced or adjusted; the message names it."""


def close_matches(name: str, candidates: Iterable[str], *, most: int = 3) -> list[str]:
    """The candidates that look most like `name`, best first, compared without case.

    Args:
        name: What was given.
        candidates: What would have been accepted.
        most: The largest number of names to return.

    Returns:
        At most `most` candidates, possibly none.
    """
    by_lower = {str(candidate).lower(): str(candidate) for candidate in candidates}
    found = difflib.get_close_matches(str(name).lower(), list(by_lower), n=most, cutoff=0.6)
    return [by_lower[lower] for lower in found]


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """A sentence that offers the closest candidates, or an empty string where none is close.

    >>> did_you_mean("resnet43", ["resnet34", "vgg16"])
    "Did you mean 'resnet34'?"
    """
    found = close_matches(name, candidates)
    return f"Did you mean {listed(found, joint=' or ')}?" if found else ""


def listed(names: Sequence[object], *, most: int = 10, joint: str = " and ") -> str:
    """The names quoted and joined as in a sentence; past `most`, how many more there are.

    >>> listed(["ants", "bees", "wasps"])
    "'ants', 'bees' and 'wasps'"
    """
    shown = [repr(str(name)) for name in names[:most]]
    if len(names) > most:
        return ", ".join(shown) + f" and {len(names) - most:,} more"
    return joint.join(part for part in (", ".join(shown[:-1]), *shown[-1:]) if part)


def name_of(function: object) -> str:
    """What a function, a partial of one, or an object with a name of its own is called in tables and messages."""
    if isinstance(function, partial):
        return name_of(function.func)
    return str(getattr(function, "name", None) or getattr(function, "__name__", None) or type(function).__name__)


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun: '1 picture', '2,000 pictures'."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
