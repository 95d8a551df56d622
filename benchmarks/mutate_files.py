"""Open thousands of damaged and hostile files: exported ones, those of `learn.save`, and weights of other libraries.

Claim: 10,000 mutations end in our own error; none is accepted, none takes 2 seconds, and memory grows by less than 200 MB.

    python benchmarks/mutate_files.py --count 10000

Prints how many mutations of each kind were opened, what went wrong, the worst time, and by how much the peak of resident memory
rose; the exit code is 1 where anything went wrong. `tests/mutations.py` says what the mutations are.
"""

from __future__ import annotations

import argparse
import collections
import resource
import sys
import tempfile
import warnings
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from mutations import Kind, attempt, kinds, mutations

MOST_SECONDS, MOST_MIB = 2.0, 200


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 2**20)


def run(kind: Kind, count: int, seed: int, folder: Path) -> bool:
    good = folder / "good.safetensors"
    good.write_bytes(kind.good)
    kind.open(good)  # what it takes to open a good one is the base
    base, faults, worst, opened = peak_mib(), collections.Counter[str](), (0.0, ""), 0
    for mutation in mutations(kind, count, seed=seed):
        outcome = attempt(kind, mutation, folder / "mutated.safetensors")
        opened += 1
        worst = max(worst, (outcome.seconds, mutation.name))
        if outcome.fault:
            faults[outcome.fault] += 1
            print(f"  {mutation.name}: {outcome.fault}")
    grown = peak_mib() - base
    print(
        f"{kind.name}: {opened:,} mutations, {sum(faults.values())} faults, slowest {worst[0]:.2f} s ({worst[1]}), "
        f"memory +{grown:.0f} MiB over {base:.0f}"
    )
    return not faults and worst[0] < MOST_SECONDS and grown < MOST_MIB


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="mutations, of the three kinds together")
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        found = [run(kind, -(-chosen.count // 3), chosen.seed, Path(folder)) for kind in kinds(Path(folder))]
    return 0 if all(found) else 1


if __name__ == "__main__":
    sys.exit(main())
