"""Pictures that are made to harm whoever reads them: bombs, and sound files that were mutilated. All of them are drawn here.

    python tests/data/pictures/hostile.py bombs            # each one's outcome, seconds and peak of memory
    python tests/data/pictures/hostile.py mutations 20000  # what became of so many
    python tests/data/pictures/hostile.py costs            # bytes a pixel that every format takes to be read

Each runs in a process of its own, whose memory is limited and which an alarm ends.
"""

from __future__ import annotations

import ctypes
import json
import resource
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

SECONDS = 10
"""What a file may take at most."""
MEGABYTES = 600
"""By how much memory may grow while a file is read."""
WRITTEN: dict[str, tuple[str, str, dict[str, object]]] = {
    "jpeg": ("JPEG", "RGB", {}),
    "jpeg progressive": ("JPEG", "RGB", {"progressive": True}),
    "jpeg grey": ("JPEG", "L", {}),
    "jpeg cmyk": ("JPEG", "CMYK", {}),
    "png": ("PNG", "RGB", {}),
    "png alpha": ("PNG", "RGBA", {}),
    "png palette": ("PNG", "P", {"transparency": 3}),
    "png 16 bits": ("PNG", "I;16", {}),
    "png animated": ("PNG", "RGB", {"save_all": True}),
    "webp": ("WEBP", "RGB", {}),
    "webp lossless": ("WEBP", "RGBA", {"lossless": True}),
    "webp animated": ("WEBP", "RGB", {"save_all": True}),
    "gif": ("GIF", "P", {}),
    "gif animated": ("GIF", "P", {"save_all": True}),
    "bmp": ("BMP", "RGB", {}),
    "bmp palette": ("BMP", "P", {}),
    "tiff": ("TIFF", "RGB", {}),
    "tiff lzw": ("TIFF", "RGB", {"compression": "tiff_lzw"}),
    "tiff deflate": ("TIFF", "I;16", {"compression": "tiff_deflate"}),
    "tiff jpeg": ("TIFF", "RGB", {"compression": "jpeg"}),
    "tiff fax": ("TIFF", "1", {"compression": "group4"}),
    "tiff pages": ("TIFF", "RGB", {"save_all": True}),
    "tiff float": ("TIFF", "F", {}),
    "avif": ("AVIF", "RGB", {}),
    "ppm": ("PPM", "RGB", {}),
    "pgm 16 bits": ("PPM", "I;16", {}),
    "jpeg 2000": ("JPEG2000", "RGB", {}),
    "jpeg 2000 tiles": ("JPEG2000", "RGB", {"tile_size": (20, 20), "no_jp2": True}),
    "ico": ("ICO", "RGBA", {"sizes": [(16, 16), (32, 32)]}),
    "ico bmp": ("ICO", "RGBA", {"sizes": [(16, 16)], "bitmap_format": "bmp"}),
    "dib": ("DIB", "RGB", {}),
    "pcx": ("PCX", "P", {}),
    "qoi": ("QOI", "RGBA", {}),
    "sgi": ("SGI", "RGB", {}),
    "tga": ("TGA", "RGBA", {}),
    "tga packed": ("TGA", "RGB", {"compression": "tga_rle"}),
}
"""Sound files: format, colour mode and options of Pillow's `save`."""
_LIBRARIES = {"AVIF": "avif", "JPEG2000": "jpg_2000", "WEBP": "webp"}


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@cache
def sound_files() -> dict[str, bytes]:
    """A small sound file of every format and of many kinds."""
    rng = np.random.default_rng(0)
    pixels = np.clip(np.mgrid[0:32, 0:32].sum(0)[..., None] * 4 + rng.integers(0, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
    found = {}
    for name, (kind, mode, options) in WRITTEN.items():
        if kind in _LIBRARIES and not features.check(_LIBRARIES[kind]):
            continue
        deep = mode in ("I;16", "F")
        numbers = pixels[..., 0].astype(np.uint16 if mode == "I;16" else np.float32)
        image = Image.fromarray(numbers) if deep else Image.fromarray(pixels).convert(mode)
        more = {"append_images": [image.rotate(90), image.rotate(180)]} if "save_all" in options else {}
        found[name] = stored(image, kind, **options, **more)
    return found


# Mutations


def mutated(seed: int, number: int) -> tuple[str, bytes]:
    """The name of a sound file, and one of its mutations; the same for the same numbers."""
    rng = np.random.default_rng([seed, number])
    files = sound_files()
    name = list(files)[number % len(files)]
    content = bytearray(files[name])
    for _ in range(int(rng.integers(1, 4))):
        content = _CHANGES[int(rng.integers(len(_CHANGES)))](content, rng)
    if content[:4] == b"\x89PNG" and rng.random() < 0.7:
        content = bytearray(_with_sums(bytes(content)))
    return name, bytes(content)


def _cut(content: bytearray, rng: np.random.Generator) -> bytearray:
    return content[: int(rng.integers(0, len(content) + 1))]


def _flip(content: bytearray, rng: np.random.Generator) -> bytearray:
    for place in rng.integers(0, max(len(content), 1), int(rng.integers(1, 9))).tolist():
        if place < len(content):
            content[place] ^= 1 << int(rng.integers(8))
    return content


def _huge_number(content: bytearray, rng: np.random.Generator) -> bytearray:
    """A number of 2, 4 or 8 bytes, in either order, somewhere near the beginning."""
    width = int(rng.choice([2, 4, 4, 8]))
    value = int(rng.choice([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 20_000, 60_000])) % (1 << 8 * width)
    place = int(rng.integers(0, max(1, min(len(content), 400))))
    content[place : place + width] = value.to_bytes(width, "big" if rng.random() < 0.5 else "little")
    return content


def _repeat(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    return content[:start] + content[start:stop] * int(rng.integers(2, 20)) + content[stop:]


def _remove(content: bytearray, rng: np.random.Generator) -> bytearray:
    start, stop = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    return content[:start] + content[stop:]


def _graft(content: bytearray, rng: np.random.Generator) -> bytearray:
    """The beginning of one file and the end of another."""
    others = list(sound_files().values())
    other = others[int(rng.integers(len(others)))]
    return content[: int(rng.integers(0, len(content) + 1))] + other[int(rng.integers(0, len(other))) :]


_CHANGES: tuple[Callable[[bytearray, np.random.Generator], bytearray], ...] = (
    _cut, _flip, _flip, _huge_number, _huge_number, _repeat, _remove, _graft,
)  # fmt: skip


def _with_sums(content: bytes) -> bytes:
    """A PNG whose chunks have the right checksums again, so that decoders look into them."""
    out, place = content[:8], 8
    while place + 12 <= len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        kind, body = content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        out += png_chunk(kind, body)
        place += 12 + length
    return out + content[place:]


# Bombs


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *, colour: int = 2, pixels: bytes | None = None, chunks: bytes = b"", piece: int = 0) -> bytes:
    """A PNG of 8 bits a channel, its compressed pixels in one IDAT chunk or in pieces of some bytes."""
    data = zlib.compress(b"") if pixels is None else pixels
    step = piece or max(1, len(data))
    parts = b"".join(png_chunk(b"IDAT", data[start : start + step]) for start in range(0, len(data), step))
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunks + parts + png_chunk(b"IEND", b"")


def zeros(count: int) -> bytes:
    """So many bytes of nothing, compressed."""
    packer, block = zlib.compressobj(1), bytes(1 << 20)
    return b"".join(packer.compress(block[: min(len(block), count - at)]) for at in range(0, count, 1 << 20)) + packer.flush()


def jpeg_of_scans(side: int, scans: int) -> bytes:
    """A progressive JPEG whose second scan comes again and again."""
    content = stored(Image.new("L", (side, side), 90), "JPEG", progressive=True)
    starts = [place for place in range(len(content)) if content[place : place + 2] == b"\xff\xda"]
    last = content[starts[-1] : content.rindex(b"\xff\xd9")]
    return content[: starts[-1]] + last * scans + b"\xff\xd9"


def icon_of(picture: bytes) -> bytes:
    return b"\0\0\1\0\1\0" + struct.pack("<BBBBHHII", 32, 32, 0, 0, 1, 32, len(picture), 22) + picture


def tiff(width: int, height: int, tags: dict[int, tuple[int, int, int]], tail: bytes = b"") -> bytes:
    """A TIFF of 8-bit grey; tags are type, count and value by number, `tail` follows them."""
    all_tags = {256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 277: (3, 1, 1)} | tags
    entries = b"".join(struct.pack("<HHII", number, *all_tags[number]) for number in sorted(all_tags))
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(all_tags)) + entries + b"\0\0\0\0" + tail


def tiff_of_strips(strips: int) -> bytes:
    start = 8 + 2 + 12 * 9 + 4
    offsets = struct.pack("<I", start) * strips
    tags = {273: (4, strips, start), 278: (4, 1, 1), 279: (4, strips, start)}
    return tiff(1, strips, tags, offsets)


def webp_of_canvas(width: int, height: int) -> bytes:
    """An animation of one small frame on a huge canvas."""
    frame = stored(Image.new("RGB", (16, 16)), "WEBP", lossless=True)[12:]
    sizes = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    place = bytes(6) + (15).to_bytes(3, "little") * 2 + bytes(4)
    parts = [(b"VP8X", b"\x02\0\0\0" + sizes), (b"ANIM", bytes(6)), (b"ANMF", place + frame)]
    body = b"WEBP" + b"".join(kind + struct.pack("<I", len(content)) + content for kind, content in parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def with_number(content: bytes, after: bytes, offset: int, *numbers: int) -> bytes:
    """Big-endian numbers of 4 bytes written over those that lie some bytes after a mark."""
    place = content.index(after) + offset
    return content[:place] + struct.pack(f">{len(numbers)}I", *numbers) + content[place + 4 * len(numbers) :]


def bombs() -> Iterator[tuple[str, bytes]]:
    """Files that would take much memory or time, by name."""
    yield "png, 60,000 x 60,000 by its header", png(60_000, 60_000)
    yield "png, 13,000 x 13,000 of zeros", png(13_000, 13_000, pixels=zeros(1 << 24))
    yield "png, 10,900 x 10,900 with alpha", png(10_900, 10_900, colour=6, pixels=zeros(10_900 * 43_601))
    text = png_chunk(b"zTXt", b"k\0\0" + zeros(1 << 20))
    yield "png, 3,000 texts of a megabyte", png(8, 8, chunks=text * 3000)
    yield "png, a text of 256 megabytes", png(8, 8, chunks=png_chunk(b"zTXt", b"k\0\0" + zeros(1 << 28)))
    yield (
        "png, a profile of 256 megabytes",
        png(8, 8, chunks=png_chunk(b"iCCP", b"k\0\0" + zeros(1 << 28)), pixels=zeros(8 * 25)),
    )
    yield "png, a million tiny chunks", png(8, 8, chunks=png_chunk(b"tEXt", b"k\0v") * 1_000_000)
    noise = zlib.compress(np.random.default_rng(0).integers(0, 256, 3_000_000, np.uint8).tobytes(), 0)
    yield "png, pixels byte by byte", png(1000, 999, pixels=noise, piece=2)
    yield "png, frames", png(16, 16, chunks=png_chunk(b"acTL", struct.pack(">II", 0xFFFF, 0)), pixels=zeros(16 * 49))
    yield "gif, a huge canvas", b"GIF89a\xff\xff\xff\xff\0\0\0" + sound_files()["gif"][13:]
    frame = b",\0\0\0\0" + struct.pack("<HH", 60_000, 60_000) + b"\0\x02\x02\x44\x01\0;"
    yield "gif, a frame beyond its canvas", b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(6) + frame
    yield "gif, 20 MB of comments", b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(6) + b"!\xfe" + (b"\xff" + b"x" * 255) * 80_000
    yield "gif, a million comments", b"GIF89a\x10\0\x10\0\x80\0\0" + bytes(6) + b"!\xfe\x01x\0" * 1_000_000
    if features.check("webp"):
        yield "webp, a huge canvas", webp_of_canvas(1 << 24, 1 << 8)
        yield "webp, 7,000 x 6,000", stored(Image.new("L", (7000, 6000)), "WEBP", lossless=True, method=0)
    yield "ico, a png of 13,000 x 13,000", icon_of(png(13_000, 13_000, pixels=zeros(1 << 24)))
    dib = struct.pack("<IiiHHIIiiII", 40, 30_000, 30_000, 1, 32, 0, 0, 0, 0, 0, 0)
    yield "ico, a bitmap of 30,000 x 30,000", icon_of(dib + bytes(100))
    if features.check("jpg_2000"):
        big = stored(Image.new("RGB", (6000, 6000)), "JPEG2000")
        yield "jpeg 2000, one tile of 36 million pixels", big
        yield "jpeg 2000, small by its outer header", with_number(big, b"ihdr", 4, 16, 16)
        small = sound_files()["jpeg 2000 tiles"]
        yield "jpeg 2000, 4 billion columns", with_number(small, b"\xff\x4f\xff\x51", 8, 0xFFFFFFFF, 32)
        yield (
            "jpeg 2000, tiles of one pixel",
            with_number(with_number(small, b"\xff\x4f\xff\x51", 8, 9000, 9000), b"\xff\x51", 22, 1, 1),
        )
    yield "tiff, 3 million strips", tiff_of_strips(3_000_000)
    yield "tiff, 4 billion strips", tiff(9000, 9000, {273: (4, 0xFFFFFFFF, 8), 279: (4, 0xFFFFFFFF, 8)})
    yield (
        "tiff, one strip of 120 million pixels",
        tiff(12_000, 10_000, {259: (3, 1, 8), 273: (4, 1, 122), 278: (4, 1, 10_000), 279: (4, 1, 200_000)}, zeros(120_000_000)),
    )
    yield "tiff, 4 billion samples", tiff(64, 64, {277: (3, 1, 65_535), 258: (3, 65_535, 8), 273: (4, 1, 8), 279: (4, 1, 64)})
    yield "jpeg, 2,000 scans", jpeg_of_scans(4000, 2000)
    yield "jpeg, 60,000 x 60,000", sound_files()["jpeg"].replace(b"\0\x11\x08\0\x20\0\x20", b"\0\x11\x08\xea\x60\xea\x60")
    yield "jpeg, 20 MB of junk", b"\xff\xd8\xff" + b"\0" * 20_000_000
    yield "jpeg, a million markers", b"\xff\xd8" + b"\xff\xe3\0\x02" * 1_000_000 + sound_files()["jpeg"][2:]
    head = b"BM" + struct.pack("<IHHI", 0, 0, 0, 54)
    packed = struct.pack("<IiiHHIIiiII", 40, 10_900, 10_900, 1, 8, 1, 0, 0, 0, 0, 0)
    yield "bmp, runs of 119 million pixels", head + packed + b"\xff\0" * 500_000
    yield (
        "bmp, runs of one pixel",
        head + packed.replace(struct.pack("<ii", 10_900, 10_900), struct.pack("<ii", 3000, 3000)) + (b"\1\0" * 500_000),
    )
    yield "bmp, 60,000 x 60,000", head + struct.pack("<IiiHHIIiiII", 40, 60_000, 60_000, 1, 24, 0, 0, 0, 0, 0, 0)
    yield "qoi, runs of 119 million pixels", b"qoif" + struct.pack(">IIBB", 10_900, 10_900, 4, 0) + b"\xfd" * 2_000_000
    yield "qoi, 3.9 million pixels one by one", b"qoif" + struct.pack(">IIBB", 2000, 1990, 3, 0) + b"\x6a" * 398_000
    yield "pgm, 119 million pixels of 254 greys", b"P5 10900 10900 254\n" + bytes(1_000_000)
    yield "pgm, 9 million numbers", b"P2 3000 3000 255\n" + b"7 " * 900_000
    yield (
        "pcx, 65,535 x 65,535",
        b"\x0a\x05\x01\x08" + struct.pack("<HHHH", 0, 0, 65_534, 65_534) + bytes(116) + b"\xff\0" * 1000,
    )
    yield "sgi, 65,535 x 65,535", b"\x01\xda\x01\x01\0\x03" + struct.pack(">HHH", 65_535, 65_535, 3) + bytes(500)
    yield (
        "tga, 65,535 x 65,535",
        bytes([0, 0, 10]) + bytes(9) + struct.pack("<HHBB", 65_535, 65_535, 32, 0) + b"\xff\0\0\0\0" * 9,
    )
    if "avif" in sound_files():
        avif = sound_files()["avif"]
        yield "avif, 60,000 x 60,000 by its box", with_number(avif, b"ispe", 8, 60_000, 60_000)


# What becomes of them


def outcome(content: bytes) -> str:
    """'picture', 'refused', or what escaped."""
    from sightline.data.pictures.decode import read_image
    from sightline.errors import ImageError

    try:
        read_image(content)
    except ImageError as error:
        return f"refused: {str(error).partition(' cannot be read: ')[2]}"
    except BaseException as error:  # noqa: BLE001 - whatever it is, it should not have come out
        return f"escaped: {type(error).__name__}: {error}"
    return "picture"


def _memory(name: str) -> int:
    """Bytes, by a name in the process's status."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@contextmanager
def limited(seconds: int) -> Iterator[None]:
    """A block in which this process can take some memory more and no more, and after which an alarm would end it."""
    usual = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + MEGABYTES * 1_000_000 + (64 << 20), usual[1]))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(seconds)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, usual)


def measured(content: bytes) -> dict[str, Any]:
    """Outcome, seconds, and by how many megabytes memory grew at the most."""
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")
    before, began = _memory("VmRSS"), time.perf_counter()
    with limited(3 * SECONDS):
        told = outcome(content)
    seconds = time.perf_counter() - began
    return {"outcome": told, "seconds": round(seconds, 2), "megabytes": round((_memory("VmHWM") - before) / 1e6)}


def run_bombs() -> None:
    """In this process: one line of JSON for each bomb."""
    outcome(b"no picture")  # what is imported for the first time does not count
    for name, content in bombs():
        print(json.dumps({"name": name, "bytes": len(content)} | measured(content)), flush=True)


def run_mutations(seed: int, first: int, count: int) -> None:
    """In this process: the number of each mutation before it is read, and afterwards what became of it."""
    outcome(b"no picture")
    for number in range(first, first + count):
        name, content = mutated(seed, number)
        print(f"{number} {name}", flush=True)
        with limited(SECONDS):
            told = outcome(content)
        print(f"{number} {told.partition(':')[0]}" if not told.startswith("escaped") else f"{number} {told}", flush=True)


def mutations_of(seed: int, count: int) -> tuple[Counter[str], list[str]]:
    """How many mutations ended how, and those that killed their process or let something escape."""
    ends: Counter[str] = Counter()
    bad: list[str] = []
    first = 0
    while first < count:
        done = subprocess.run(
            [sys.executable, __file__, "child", str(seed), str(first), str(count - first)],
            capture_output=True,
            text=True,
            check=False,
        )
        told = done.stdout.splitlines()
        for begun, ended in zip(told[::2], told[1::2], strict=False):
            how = ended.split(" ", 1)[1]
            ends[how.partition(":")[0]] += 1
            bad += [f"{begun}: {how}"] if how.startswith("escaped") else []
        if done.returncode == 0:
            break
        if not told:
            raise RuntimeError(done.stderr)
        bad.append(f"{told[-1]}: the process ended with {done.returncode}")
        first = int(told[-1].split()[0]) + 1
    return ends, bad


def run_costs(side: int = 4000) -> None:
    """In this process: bytes a pixel that each kind of file takes to be read in full, beside the limit's own estimate."""
    from sightline.data.pictures import limits
    from sightline.data.pictures.decode import opened_picture

    outcome(b"no picture")
    for name, (kind, mode, options) in WRITTEN.items():
        if "save_all" in options or kind in ("ICO", "QOI") or (kind in _LIBRARIES and not features.check(_LIBRARIES[kind])):
            continue
        content = stored(Image.new(mode, (side, side)), kind, **options)
        try:
            with opened_picture(content) as image:
                estimate = limits._bytes_a_pixel(image, False)
        except limits.UnreadableError as refusal:
            print(f"{name:20} {refusal}")
            continue
        taken = measured(content)["megabytes"] * 1e6 / side**2
        print(f"{name:20} {taken:6.1f} taken, {estimate:5.1f} estimated")


def main(arguments: list[str]) -> None:
    what, *numbers = arguments or ["bombs"]
    if what == "bombs":
        run_bombs()
    elif what == "costs":
        run_costs()
    elif what == "child":
        run_mutations(*map(int, numbers))
    else:
        ends, bad = mutations_of(0, int(numbers[0]) if numbers else 2000)
        print(dict(ends), *bad, sep="\n")
        sys.exit(bool(bad))


if __name__ == "__main__":
    main(sys.argv[1:])
