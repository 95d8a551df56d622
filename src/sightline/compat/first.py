"""torch, imported by the door for scripts before anything else can import it: see `sightline.starting`."""

from sightline.starting import import_torch

import_torch()

import torch  # noqa: E402 - it is there now

__all__ = ["torch"]
