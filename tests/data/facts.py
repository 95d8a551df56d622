"""What fastai's augmentation gave: tests/reference/augment.json, made by benchmarks/augmentation_reference.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch

from reference.pictures import picture

FACTS: dict[str, Any] = json.loads((Path(__file__).parents[1] / "reference" / "augment.json").read_text(encoding="utf-8"))


def as_tuples(options: dict[str, Any]) -> dict[str, Any]:
    """The options with pairs for lists."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in options.items()}


def batch_of(fact: dict[str, Any]) -> torch.Tensor:
    """The pictures that a fact is about: uint8 (N, H, W, 3)."""
    return torch.from_numpy(np.stack([picture(*fact["input"], number) for number in range(fact["count"])]))


def name_of(fact: dict[str, Any]) -> str:
    """A short name for a test's report."""
    return "-".join(str(name) for name, _ in fact["transforms"]) + f" {fact['input']} to {fact['size']}"
