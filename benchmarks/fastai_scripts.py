"""Run the scripts of tests/fastai_scripts/ with fastai and with sightline, and compare what they report.

    python benchmarks/fastai_scripts.py --fastai-python /path/to/python        compares both, writes nothing
    python benchmarks/fastai_scripts.py --fastai-python ... --write            writes tests/reference/fastai_scripts.json

The Python that this is started with needs sightline; the other one needs fastai 2.8.12, nothing else. Each side runs all
scripts in one process with one thread, in fp32 on the CPU, each in a folder of its own. Figures of merit (`about`) are taken
from several seeds; the file holds all of fastai's, and the tests ask that sightline's lies among them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "fastai_scripts"))

import drawings  # noqa: E402
import runner  # noqa: E402

REFERENCE = ROOT / "tests" / "reference" / "fastai_scripts.json"
SEEDS = 5


def one_side(library: str, chosen: list[str]) -> dict[str, Any]:
    """What every script reports with one library: name -> facts, or {'error': text}; figures of merit as lists over seeds."""
    import matplotlib
    import torch

    matplotlib.use("Agg")
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, Any] = {}
    for name in chosen:
        start = time.perf_counter()
        try:
            found[name] = one_script(name, library)
        except Exception as error:  # noqa: BLE001 - a script may fail in any way, and the others are to run
            found[name] = {"error": f"{type(error).__name__}: {error}", "where": traceback.format_exc()}
        print(f"{library:>9} {name:24} {time.perf_counter() - start:5.1f} s", file=sys.stderr, flush=True)
    return found


def one_script(name: str, library: str) -> dict[str, Any]:
    facts = once(name, library, seed=0)
    merits = [key for key in facts if key.startswith("=")]
    if merits:
        runs = [facts, *(once(name, library, seed) for seed in range(1, SEEDS))]
        facts |= {key: [run[key] for run in runs] for key in merits}
    return facts


def once(name: str, library: str, seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return runner.run(name, library, drawings.draw_all(Path(folder).resolve() / "data"), seed)


def other_python(python: str, library: str, chosen: list[str]) -> dict[str, Any]:
    """`one_side` in another environment."""
    command = [python, __file__, "--side", library, *chosen]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return json.loads(done.stdout)


def told(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """One line for each difference of a script."""
    failed = [f"{side}: {facts['error']}" for side, facts in (("fastai", theirs), ("sightline", ours)) if "error" in facts]
    if failed:
        return [f"{name}: {line}" for line in failed]
    exact = [{key: value for key, value in facts.items() if not key.startswith("=")} for facts in (theirs, ours)]
    lines = [f"{name}{line}" for line in runner.differences(*exact)]
    for key in (key for key in theirs if key.startswith("=")):
        spread = [f"{statistics.mean(side[key]):.3f} ± {statistics.stdev(side[key]):.3f}" for side in (theirs, ours)]
        print(f"{name} {key[1:]}: fastai {spread[0]}, sightline {spread[1]}, {SEEDS} seeds each")
    return lines


def written(facts: dict[str, Any]) -> str:
    """JSON with one line a script; numbers carry 7 significant digits."""
    body = ",\n".join(f"  {json.dumps(name)}: {json.dumps(rounded(one))}" for name, one in facts.items())
    return "{\n" + body + "\n}\n"


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.7g}")
    if isinstance(value, dict):
        return {key: rounded(one) for key, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list) else value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scripts", nargs="*", help="names of scripts; all where none is given")
    parser.add_argument("--fastai-python", help="the Python of an environment with fastai")
    parser.add_argument("--write", action="store_true", help="keep fastai's facts for the tests")
    parser.add_argument("--side", choices=runner.FIRST_LINE, help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = options.scripts or runner.names()
    if options.side:
        print(json.dumps(one_side(options.side, chosen)))
        return
    theirs = (
        other_python(options.fastai_python, "fastai", chosen) if options.fastai_python else json.loads(REFERENCE.read_text())
    )
    if options.write:
        broken = {name: facts["where"] for name, facts in theirs.items() if "error" in facts}
        if broken:
            sys.exit("\n".join(f"{name}\n{where}" for name, where in broken.items()))
        kept = json.loads(REFERENCE.read_text()) if REFERENCE.exists() else {}
        kept = {name: facts for name, facts in sorted({**kept, **theirs}.items()) if name in runner.names()}
        REFERENCE.write_text(written(kept), encoding="utf-8")
        return
    ours = one_side("sightline", chosen)
    lines = [line for name in chosen for line in told(name, ours[name], theirs[name])]
    print("\n".join(lines) or f"{len(chosen)} scripts, no difference")
    sys.exit(bool(lines))


if __name__ == "__main__":
    main()
