"""Fuzz the parsers of files, guided by which lines of sightline an input reaches.

Claim: whatever the bytes, only our own errors come out: 1.5 million manifests, 0.9 million headers and 0.1 million tables, each
in 2 minutes on one core. Needs `pip install atheris` (Linux), which is no dependency.

    python benchmarks/fuzz_files.py manifest --out found -max_total_time=120
    python benchmarks/fuzz_files.py header --out found -max_total_time=120
    python benchmarks/fuzz_files.py table --out found -max_total_time=120
    python benchmarks/fuzz_files.py table --out found --keep

Inputs that reach something new are gathered in `--out`, together with the corpus of the tests; what breaks a parser is written
to `crash-...` in the current folder. Further options are libFuzzer's. With `--keep` nothing is fuzzed: small inputs that were
gathered and take steps which the corpus does not take are added to it, and `tests/test_corpus.py` replays them.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
SMALL = 1_500
"""Bytes of an input that is worth keeping."""

# torch and pandas would take minutes to instrument, and are not what is looked at.
LOOKED_AT = [
    "sightline.stored", "sightline.tensorfile", "sightline.bundle", "sightline.preprocess", "sightline.target",
    "sightline.model.spec", "sightline.model.head", "sightline.data.rows.frames", "sightline.data.rows.csv_text",
]  # fmt: skip


def fuzz(name: str, out: Path, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=LOOKED_AT):
        from parsers import PARSERS

    shutil.copytree(TESTS / "corpus" / name, out, dirs_exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        parse = PARSERS[name]
        atheris.Setup([sys.argv[0], *options, str(out)], lambda content: parse(content, Path(scratch)))
        atheris.Fuzz()


def keep(name: str, out: Path) -> None:
    from parsers import PARSERS

    corpus = TESTS / "corpus" / name
    parts = [part.replace(".", "/") for part in LOOKED_AT]
    reached: set[tuple[str, int, int]] = set()

    def reach(content: bytes) -> set[tuple[str, int, int]]:
        steps: set[tuple[str, int, int]] = set()

        def step(frame: FrameType, event: str, _: Any) -> Any:
            file, before = frame.f_code.co_filename, 0
            if not any(part in file for part in parts):
                return None

            def line(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal before
                steps.add((file, before, frame.f_lineno))
                before = frame.f_lineno
                return line

            return line

        with tempfile.TemporaryDirectory() as scratch:
            sys.settrace(step)
            try:
                PARSERS[name](content, Path(scratch))
            finally:
                sys.settrace(None)
        return steps

    for file in corpus.iterdir():
        reached |= reach(file.read_bytes())
    for file in sorted(out.iterdir(), key=lambda file: (file.stat().st_size, file.name)):
        content = file.read_bytes()
        if len(content) <= SMALL and not (found := reach(content)) <= reached:
            reached |= found
            (corpus / hashlib.sha256(content).hexdigest()[:16]).write_bytes(content)
    print(f"{len(list(corpus.iterdir()))} inputs in {corpus} take {len(reached)} steps from line to line")


def main() -> None:
    sys.path.insert(0, str(TESTS))
    reader = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    reader.add_argument("parser", choices=("manifest", "header", "table"))
    reader.add_argument("--out", type=Path, required=True, help="where inputs are gathered, a folder for each parser")
    reader.add_argument("--keep", action="store_true", help="add the best of them to the corpus of the tests")
    chosen, options = reader.parse_known_args()
    out = chosen.out / chosen.parser
    keep(chosen.parser, out) if chosen.keep else fuzz(chosen.parser, out, options)


if __name__ == "__main__":
    main()
