"""Decoding and resizing JPEG files: by part, beside fastai, and beside decoders and resizers that were not taken.

Claims: a file becomes its pixels (read, decode, turn upright, `Resize`, uint8 array) in less time than in fastai
(`PILImage.create`, `Resize`, `ToTensor`), with equal pixels; what that takes beyond Pillow's own decoding and resizing is about
a tenth; and no other decoder that gives the same pixels makes the whole 1.5 times as fast.

    python benchmarks/decode.py --data data/imagenette-mini --fastai-python /path/to/python/with/fastai
    python benchmarks/decode.py --data data/imagenette-mini --alternatives          # those with simplejpeg need it installed

One thread. The sides take turns over the same files: CPU time, which other programs on the machine disturb less than wall
time. Prints hardware, versions, the median of the passes for every side, and its time as a multiple of ours in the same pass:
median, smallest and largest, n. For alternatives also how far their pixels are from ours.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

ENDINGS = {".jpg", ".jpeg"}


def options() -> argparse.Namespace:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with JPEG files, searched through")
    parser.add_argument("--files", type=int, default=100, help="how many of them")
    parser.add_argument("--size", type=int, default=128, help="side of the square that pictures are brought to, in pixels")
    parser.add_argument("--passes", type=int, default=9, help="passes over the files by each side; one more warms up")
    parser.add_argument("--fastai-python", help="a Python that fastai is installed for")
    parser.add_argument("--alternatives", action="store_true", help="time decoders and resizers that were not taken")
    parser.add_argument("--as-fastai", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


def chosen(arguments: argparse.Namespace) -> list[str]:
    """Files spread evenly over the folder."""
    found = sorted(str(path) for path in arguments.data.rglob("*") if path.suffix.lower() in ENDINGS)
    if not found:
        raise SystemExit(f"There are no JPEG files in {arguments.data}.")
    step = max(1, len(found) // arguments.files)
    return found[::step][: arguments.files]


def milliseconds(work: Callable[[str], Any], files: list[str]) -> float:
    """CPU time for a file, the mean of one pass."""
    start = time.thread_time()
    for file in files:
        work(file)
    return (time.thread_time() - start) / len(files) * 1e3


def be_fastai(arguments: argparse.Namespace) -> None:
    """The other side: one pass, and its time, for every line on standard input."""
    from fastai.vision.all import PILImage, Resize, ToTensor

    resize, to_tensor, files = Resize(arguments.size), ToTensor(), chosen(arguments)
    for _ in sys.stdin:
        took = milliseconds(lambda file: to_tensor(resize(PILImage.create(file), split_idx=1)), files)
        print(took, version("fastai"), version("pillow"), flush=True)


@contextmanager
def fastai_side(arguments: argparse.Namespace) -> Iterator[Callable[[], float]]:
    """A pass of fastai whenever it is called."""
    command = [arguments.fastai_python, "-W", "ignore", *sys.argv, "--as-fastai"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def one_pass() -> float:
            process.stdin.write("\n")
            process.stdin.flush()
            took, *versions = process.stdout.readline().split()
            one_pass.versions = versions
            return float(took)

        yield one_pass
        process.stdin.close()


def ours(size: int) -> Callable[[str], Any]:
    """From a file to its pixels, as validation prepares it."""
    from sightline.data.transforms.chance import ItemDraw
    from sightline.data.transforms.item_pipeline import ItemPipeline
    from sightline.preprocess import Preprocess

    pipeline = ItemPipeline.from_preprocess(Preprocess(size=(size, size)))
    return lambda file: pipeline.sample(file, ItemDraw(training=False))


def parts(size: int, files: list[str]) -> dict[str, Callable[[str], Any]]:
    """The stretches of our road, and the same by Pillow alone."""
    import numpy as np
    from PIL import Image

    from sightline.data.pictures.decode import probe, read_image
    from sightline.data.pictures.resize import moved, placements_of
    from sightline.preprocess import Preprocess

    pre = Preprocess(size=(size, size))
    read = {file: read_image(file) for file in files}
    small = {file: moved(image, placements_of(pre, image.size)) for file, image in read.items()}

    def bare(file: str) -> Any:
        with Image.open(file) as image:
            image.load()
        return np.array(moved(image, placements_of(pre, image.size)))

    return {
        "Pillow alone, nothing checked": bare,
        "header alone": probe,
        "read and decode": read_image,
        "resize": lambda file: moved(read[file], placements_of(pre, read[file].size)),
        "to an array": lambda file: np.array(small[file]),
    }


def alternatives(size: int) -> dict[str, Callable[[str], Any]]:
    """Roads that were not taken; all for baseline JPEG files in colour that need no turn."""
    import numpy as np
    import torch
    from PIL import Image

    from sightline.data.pictures.decode import read_image
    from sightline.data.pictures.resize import moved, placements_of
    from sightline.preprocess import Preprocess

    pre = Preprocess(size=(size, size))

    def by_torch(pixels: np.ndarray) -> np.ndarray:
        (placement,) = placements_of(pre, pixels.shape[1::-1])
        (left, top), (width, height) = placement.left_top, placement.box
        box = torch.from_numpy(pixels)[top : top + height, left : left + width].permute(2, 0, 1)[None]
        resized = torch.nn.functional.interpolate(box, placement.size, mode="bilinear", antialias=True)
        return resized[0].permute(1, 2, 0).numpy()

    def by_pillow(pixels: np.ndarray) -> np.ndarray:
        image = Image.fromarray(pixels)
        return np.asarray(moved(image, placements_of(pre, image.size)))

    roads = {"Pillow, resized by torch": lambda file: by_torch(np.array(read_image(file)))}
    try:
        import simplejpeg
    except ImportError:
        return roads

    def decoded(file: str) -> np.ndarray:
        return simplejpeg.decode_jpeg(Path(file).read_bytes())

    roads["simplejpeg, resized by Pillow"] = lambda file: by_pillow(decoded(file))
    roads["simplejpeg, resized by torch"] = lambda file: by_torch(decoded(file))
    return roads


def in_turn(sides: dict[str, Callable[[], float]], passes: int) -> dict[str, list[float]]:
    """The times of all sides, taken in turn; the first round warms up."""
    rounds = [{name: side() for name, side in sides.items()} for _ in range(passes + 1)][1:]
    return {name: [one[name] for one in rounds] for name in sides}


def show(times: dict[str, list[float]], against: str) -> None:
    """Times, and how many times as long as `against`."""
    for name, took in times.items():
        ratios = [one / base for one, base in zip(took, times[against], strict=True)]
        spread = f"x {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}), n={len(ratios)}"
        print(f"  {name:32} {statistics.median(took):7.3f} ms  {spread if name != against else ''}")


def show_difference(road: Callable[[str], Any], own: Callable[[str], Any], files: list[str]) -> str:
    """How far pixels are from ours, in grey levels."""
    import numpy as np

    apart = [np.abs(road(file).astype(int) - own(file)) for file in files]
    share = float(np.mean([(one > 0).mean() for one in apart]))
    return f"pixels at most {max(one.max() for one in apart)}/255 from ours, {share:.1%} of the values differ"


def main() -> None:
    """Time all sides and print."""
    arguments = options()
    if arguments.as_fastai:
        be_fastai(arguments)
        return
    import torch
    from PIL import Image, features

    torch.set_num_threads(1)
    files = [file for file in chosen(arguments) if Image.open(file).mode == "RGB"]
    own = ours(arguments.size)
    print(
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"pillow {version('pillow')} with libjpeg-turbo {features.version('libjpeg_turbo')}, torch {version('torch')}; "
        f"{len(files)} files of {arguments.data.name} to {arguments.size} px, CPU time of one thread"
    )

    def timed(work: Callable[[str], Any]) -> Callable[[], float]:
        return lambda: milliseconds(work, files)

    sides = {"sightline": timed(own)}
    show(in_turn(sides | {f"  {k}": timed(v) for k, v in parts(arguments.size, files).items()}, arguments.passes), "sightline")
    if arguments.fastai_python:
        with fastai_side(arguments) as fastai:
            times = in_turn({"sightline": lambda: milliseconds(own, chosen(arguments)), "fastai": fastai}, arguments.passes)
            print("fastai {}, pillow {}".format(*fastai.versions))
        show(times, "sightline")
    if arguments.alternatives:
        roads = alternatives(arguments.size)
        show(in_turn(sides | {name: timed(road) for name, road in roads.items()}, arguments.passes), "sightline")
        for name, road in roads.items():
            print(f"  {name:32} {show_difference(road, own, files)}")


if __name__ == "__main__":
    main()
