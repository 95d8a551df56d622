"""What `sightline convert` does: names of labels from the command line -> `convert_weights` -> what to do next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sightline.console import PlainConsole
from sightline.convert import Converted, convert_weights
from sightline.errors import OptionError, counted, listed


def run_conversion(
    weights: Path,
    arch: str | None,
    labels: str | None,
    vocab: Path | None,
    *,
    y_range: tuple[float | None, float | None] = (None, None),
    **options: Any,
) -> None:
    """Convert, and say what came out.

    Raises:
        OptionError: Options contradict each other, or the file of names cannot be used.
        WeightsError: The weights cannot be read, or do not fit.
    """
    low, high = y_range
    if (low is None) != (high is None):
        raise OptionError("--y-low and --y-high belong together: give both or neither.")
    names = names_of(labels, vocab)
    found = convert_weights(weights, arch, names, y_range=None if low is None or high is None else (low, high), **options)
    screen = PlainConsole()
    for line in told(found):
        screen.print(line, soft_wrap=True)


def names_of(labels: str | None, vocab: Path | None) -> list[str] | None:
    """The names of the outputs, from `cat,dog` or from a file; None where neither is given.

    Raises:
        OptionError: Both are given, or the file holds no names.
    """
    if labels is not None and vocab is not None:
        raise OptionError("--labels and --vocab both name the outputs. Expected one of them.")
    if labels is not None:
        return [name.strip() for name in labels.split(",")]
    if vocab is None:
        return None
    try:
        text = vocab.read_text(encoding="utf-8")
        found = json.loads(text) if text.lstrip().startswith("[") else [line for line in text.splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise OptionError(f"--vocab {vocab} cannot be read: {error}. Expected one name a line, or a JSON list.") from error
    if not found:
        raise OptionError(f"--vocab {vocab} holds no names. Expected one name a line, or a JSON list.")
    return list(found)


def told(found: Converted) -> list[str]:
    """What was written, and what can be done with it, a line each."""
    if found.target is None:
        fits = f", which fit {found.arch}" if found.arch else ""
        return [
            f"{found.path}: {counted(found.tensors, 'tensor')}{fits}; weights alone, which do not predict by themselves.",
            f"Train further: vision_learner(dls, arch, weights='{found.path}').",
            "To predict, convert with --arch and --labels.",
        ]
    target = found.target
    names = counted(target.num_outputs, "number") if target.vocab is None else listed(list(target.vocab), most=5)
    return [
        f"{found.path}: {found.arch}, {target.kind.replace('_', ' ')}: {names}.",
        f"Predict: sightline predict {found.path} PICTURES",
    ]
