"""What importing costs: `import sightline` beside an empty Python, and the first use beside torch and torchvision alone.

Claims: `import sightline` costs less than 0.1 s beyond starting Python; the first use (`from sightline import *`, a network
made) costs no more than torch and torchvision themselves plus 0.3 s.

Run: python benchmarks/import_time.py [--pairs 9]
Each pair runs both sides one after the other in fresh processes; the first pair is a warm-up and not counted. Prints hardware,
versions, n, and the difference's median and spread.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version

CLAIMS = (
    ("import sightline", "import sightline", "pass", 0.1),
    ("first use", "from sightline import *; resnet18", "import torch, torchvision; torchvision.models.resnet18", 0.3),
    ("first use, without the star", "from sightline import vision_learner, resnet18", "import torch, torchvision", 0.3),
)


def seconds(code: str) -> float:
    """Wall time of a fresh Python that runs `code`."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Run all pairs and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    pairs = parser.parse_args().pairs
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; "
        f"Python {platform.python_version()}, torch {version('torch')}"
    )
    for name, ours, base, limit in CLAIMS:
        differences = [seconds(ours) - seconds(base) for _ in range(pairs + 1)][1:]
        median = statistics.median(differences)
        verdict = "reached" if median < limit else "MISSED"
        print(
            f"{name}: {median:+.3f} s (min {min(differences):+.3f}, max {max(differences):+.3f}, n={pairs}); "
            f"claim below {limit} s: {verdict}"
        )


if __name__ == "__main__":
    main()
