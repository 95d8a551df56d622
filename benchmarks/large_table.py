"""How long a table of a million rows and 100,000 classes takes, from the CSV file to encoded labels, and how much memory.

    python benchmarks/large_table.py                    # a million rows; files are not asked for
    python benchmarks/large_table.py --files 100000     # the whole road, with as many small files on disk

Without files the steps are those of `ImageDataLoaders.from_csv` one by one, but for the two that ask the disk: does each file
exist, and is it a picture? Each asks once a file, so their time is the disk's. Reported: seconds a step, those of them in which
this process had a CPU, and the peak of memory.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from sightline.data.blocks import CategoryBlock
from sightline.data.factories import ImageDataLoaders
from sightline.data.rows.collect import Recipe, collect
from sightline.data.rows.frames import read_labels, without_repeats
from sightline.data.rows.getters import ColReader
from sightline.data.rows.inside import refuse_outside
from sightline.data.rows.labels import encode, refuse_emptied, settle_unknown
from sightline.data.rows.split import RandomSplitter
from sightline.data.rows.split_content import ContentSplitter
from sightline.data.rows.table import TRAIN


@contextmanager
def timed(what: str) -> Iterator[None]:
    began, busy = time.perf_counter(), time.process_time()
    yield
    busy, seconds = time.process_time() - busy, time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 / (2**10 if sys.platform == "darwin" else 1)
    print(f"{what:<44} {seconds:7.2f} s   CPU {busy:7.2f} s   peak {peak:7,.0f} MiB", flush=True)


def write_table(path: Path, rows: int, classes: int) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write("file,label,place\n")
        file.writelines(f"{i % 1000:03d}/{i:07d}.jpg,class {i * 7919 % classes:06d},{i // 4}\n" for i in range(rows))


def without_files(folder: Path, rows: int, classes: int) -> None:
    path = folder / "labels.csv"
    write_table(path, rows, classes)
    with timed(f"all of it: {rows:,} rows, {classes:,} classes"):
        with timed("  read the file"):
            frame = read_labels(path, text_columns=["file"], label_columns=["label"])
        with timed("  refuse names outside"):
            refuse_outside(frame, path, "file", folder)
        with timed("  look for repeated files"):
            frame = without_repeats(frame, path, "file", ["label"])
        recipe = Recipe(ColReader("file", pref=folder), ColReader("label"), CategoryBlock(), rows=True)
        with timed("  collect paths and labels, split at random"):
            table = collect(frame, recipe, RandomSplitter(0.02, seed=0))
        with timed("  learn the classes"):
            refuse_emptied(table, table, "Nothing", classes=True)
            target = recipe.block.learn(table.labels_of(table.rows(TRAIN)))
        with timed("  settle labels that training lacks"):
            table = settle_unknown(table, target, unknown="drop", given=False)
        with timed("  encode"):
            encode(table, target)
    by_content = ContentSplitter(
        labels="label", group="place", pictures=[b"%d" % i for i in range(rows)], near_duplicates=False
    )
    with timed("split by content, beyond reading files"):
        by_content(frame)


def with_files(folder: Path, rows: int, classes: int) -> None:
    write_table(folder / "labels.csv", rows, classes)
    with timed(f"make {rows:,} files"):
        Image.new("RGB", (8, 8), (200, 40, 40)).save(folder / "one.jpg")
        for first in range(min(1000, rows)):
            (folder / f"{first:03d}").mkdir()
        for i in range(rows):
            # Links to one file: file systems allow some 60,000 of each.
            if i % 30_000 == 0:
                one = folder / f"one{i}.jpg"
                one.write_bytes((folder / "one.jpg").read_bytes())
            os.link(one, folder / f"{i % 1000:03d}" / f"{i:07d}.jpg")
    with timed("ImageDataLoaders.from_csv"):
        dls = ImageDataLoaders.from_csv(folder, valid_pct=0.02, seed=0, unknown="drop")
    with timed("one batch"):
        dls.one_batch()


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rows", type=int, default=1_000_000)
    options.add_argument("--classes", type=int, default=100_000)
    options.add_argument("--files", type=int, default=0, help="make so many files, and take the whole road with them")
    given = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if given.files:
            with_files(Path(folder), given.files, min(given.classes, given.files // 10))
        else:
            without_files(Path(folder), given.rows, given.classes)


if __name__ == "__main__":
    main()
