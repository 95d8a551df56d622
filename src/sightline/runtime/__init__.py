"""Runtime: on which device, in which form of numbers and with which seeds a run computes, and why."""

from sightline.runtime.devices import has_native_bf16
from sightline.runtime.host import cpus, default_workers, peak_memory_mib
from sightline.runtime.plan import PRECISIONS, Precision, Runtime, plan_runtime
from sightline.runtime.seeds import compute_deterministically, determinism_in_words, fresh_seed, set_seed

__all__ = [
    "PRECISIONS",
    "Precision",
    "Runtime",
    "compute_deterministically",
    "cpus",
    "default_workers",
    "determinism_in_words",
    "fresh_seed",
    "has_native_bf16",
    "peak_memory_mib",
    "plan_runtime",
    "set_seed",
]
