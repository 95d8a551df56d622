"""Files as a stranger, a bad disk or a broken download leaves them: thousands of ways in which a good one is made a bad one.

Each mutation is invalid by construction: whoever opens it has to refuse it with our own error. Headers and manifests that were
changed on purpose are sealed again, as an attacker would. `kinds` gives what is mutated, `mutations` the mutations of a kind.
"""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import itertools
import json
import math
import os
import pickle
import random
import socket
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import nn

from sightline.bundle import Bundle
from sightline.errors import BundleError, SightlineError, WeightsError
from sightline.model.vision import create_vision_model
from sightline.model.weights import Layout, load_into, read_file
from sightline.predict import Predictor
from sightline.preprocess import Preprocess
from sightline.record import Record
from sightline.target import SingleLabel
from sightline.train.checkpoint import load_model, save_model
from sightline.train.optim import Adam

OPENING = b'{"__metadata__":{"sha256":"'
LONGEST_MESSAGE = 1_500


@dataclass(frozen=True)
class Kind:
    """A kind of file: a good one, how it is opened, and the error that says that it is not to be had."""

    name: str
    good: bytes
    open: Callable[[Path], object]
    error: type[SightlineError]
    sealed: bool


@dataclass(frozen=True)
class Mutation:
    """One way to make a file bad; `put` lays it at a path."""

    name: str
    put: Callable[[Path], object]


@dataclass(frozen=True)
class Outcome:
    """How opening it ended: `fault` is None where it was refused as it should be."""

    seconds: float
    fault: str | None


def attempt(kind: Kind, mutation: Mutation, path: Path) -> Outcome:
    """Lay a mutation at a path, open it, and take it away again."""
    mutation.put(path)
    begun, fault = time.perf_counter(), "accepted"
    try:
        kind.open(path)
    except kind.error as error:
        fault = None if len(str(error)) <= LONGEST_MESSAGE else f"a message of {len(str(error)):,} characters"
    except BaseException as error:  # noqa: BLE001 - that nothing else comes is what is tested
        fault = f"{type(error).__name__}: {str(error)[:200]}"
    seconds = time.perf_counter() - begun
    path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    return Outcome(seconds, fault)


# -------------------------------------------------------------------- good files


def small_bundle(lin_ftrs: tuple[int, ...] = (4,), cut: int = 3) -> Bundle:
    """The beginning of timm's smallest ResNet, for three classes."""
    torch.manual_seed(0)
    target = SingleLabel.learn(["ant", "bee", "cat"])
    model = create_vision_model("test_resnet", 3, pretrained=False, lin_ftrs=lin_ftrs, cut=cut)
    record = Record()
    record.add("epoch", phase=0, epoch=0, train_loss=1.0, valid_loss=float("nan"), metrics={"error_rate": 0.5}, seconds=1.0)
    preprocess = Preprocess(size=(32, 32), mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    return Bundle.of(model, model.spec, target, preprocess, record)


def _network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


def _trained() -> tuple[nn.Sequential, Any]:
    torch.manual_seed(0)
    network = _network()
    opt = Adam([list(network[:2].parameters()), list(network[3].parameters())], lr=0.1)
    network(torch.randn(2, 3, 4, 4)).sum().backward()
    opt.step()
    return network, opt


def _open_foreign(path: Path) -> None:
    network = _network()
    load_into(network, read_file(path), [Layout({name: name for name in network.state_dict()})], arch="toy")


def kinds(folder: Path) -> list[Kind]:
    """The three kinds: an exported file, one of `learn.save` with its optimizer, and weights that another library wrote."""
    bundle = small_bundle().save(folder / "good.safetensors").read_bytes()
    network, opt = _trained()
    saved = save_model(folder / "saved", network, opt).read_bytes()
    foreign = safetensors.torch.save(_network().state_dict())
    into, its = _trained()
    return [
        Kind("bundle", bundle, lambda path: Predictor.load(path, "cpu"), BundleError, sealed=True),
        Kind("saved", saved, lambda path: load_model(path, into, its), WeightsError, sealed=True),
        Kind("foreign", foreign, _open_foreign, WeightsError, sealed=False),
    ]


# -------------------------------------------------------------------- taking apart, and sealing again


def taken_apart(good: bytes) -> tuple[bytes, bytes]:
    """Header and tensors."""
    length = int.from_bytes(good[:8], "little")
    return good[8 : 8 + length], good[8 + length :]


def put_together(header: bytes, data: bytes) -> bytes:
    """A file, with a seal that is right where there is a place for one."""
    raw = len(header).to_bytes(8, "little") + header
    start = 8 + len(OPENING)
    if not header.startswith(OPENING):
        return raw + data
    blank = raw[:start] + b"0" * 64 + raw[start + 64 :]
    return raw[:start] + hashlib.sha256(blank + data).hexdigest().encode() + raw[start + 64 :] + data


def rewritten(header: dict[str, Any], data: bytes) -> bytes:
    return put_together(json.dumps(header, separators=(",", ":")).encode(), data)


# -------------------------------------------------------------------- mutations


def mutations(kind: Kind, count: int, every: int = 1, seed: int = 0) -> Iterator[Mutation]:
    """At least `count` mutations of a kind: each `every`th of the structured ones, then random damage to fill up."""
    rng = random.Random(seed)
    made = 0
    for mutation in itertools.islice(itertools.chain(_places(), _contents(kind)), seed % every, None, every):
        yield mutation
        made += 1
    for number in range(count - made):
        yield _damage(kind, rng, number)


def _content(name: str, content: bytes) -> Mutation:
    return Mutation(name, lambda path: path.write_bytes(content))


def _damage(kind: Kind, rng: random.Random, number: int) -> Mutation:
    """Random damage; of a file without a seal only its header, for any bytes are tensors."""
    good = kind.good
    reach = len(good) if kind.sealed else len(good) - len(taken_apart(good)[1])
    place = rng.randrange(reach)
    length = rng.randrange(1, 64)
    match number % 8:
        case 0 | 1:
            bad = bytearray(good)
            bad[place] ^= 1 << rng.randrange(8)
        case 2:
            bad = bytearray(good)
            for _ in range(rng.randrange(2, 9)):
                bad[rng.randrange(reach)] ^= 1 << rng.randrange(8)
        case 3:
            bad = bytearray(good[: rng.randrange(len(good))])
        case 4:
            bad = bytearray(good + rng.randbytes(length))
        case 5:
            bad = bytearray(good[:place] + rng.randbytes(length) + good[place:])
        case 6:
            bad = bytearray(good[:place] + good[place + length :])
        case _:
            bad = bytearray(good)
            bad[place : min(reach, place + length)] = rng.randbytes(min(reach, place + length) - place)
    if bytes(bad) == good:
        bad[8] ^= 1
    return _content(f"damage {number}", bytes(bad))


def _places() -> Iterator[Mutation]:
    """What stands where a file is expected."""
    yield Mutation("pipe", os.mkfifo)
    yield Mutation("folder", Path.mkdir)
    yield Mutation("link to itself", lambda path: path.symlink_to(path))
    yield Mutation("link to nothing", lambda path: path.symlink_to(path.with_name("nothing")))
    for device in ("/dev/zero", "/dev/full", "/dev/null", "/dev/tty", "/dev/random", "/proc/self/mem", "/proc/self", "/"):
        yield Mutation(f"link to {device}", lambda path, device=device: path.symlink_to(device))
    yield Mutation("socket", _socket)
    for size in (2**30, 2**36, 2**42):
        yield Mutation(f"hole of {size} bytes", lambda path, size=size: _hole(path, size))


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound:
        os.chdir(path.parent)
        bound.bind(path.name)


def _hole(path: Path, size: int) -> None:
    """A file of one line that claims to be of any size, with a header that agrees."""
    shape = size // 4 - 64
    header = json.dumps({"x": {"dtype": "F32", "shape": [shape], "data_offsets": [0, 4 * shape]}}).encode().ljust(248)
    path.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(path, 256 + 4 * shape)


class _Payload:
    def __reduce__(self) -> Any:
        return os.mkdir, ("/tmp/this-was-executed",)


def _strangers(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Files of other kinds under our name."""
    for protocol in range(6):
        yield f"pickle {protocol}", pickle.dumps(_Payload(), protocol=protocol)
        yield f"pickle {protocol} after a length", (64).to_bytes(8, "little") + pickle.dumps(_Payload(), protocol=protocol)
    for old in (True, False):
        file = io.BytesIO()
        torch.save({"a": _Payload()}, file, _use_new_zipfile_serialization=not old)
        yield f"torch.save, old={old}", file.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../model.safetensors", good)
        archive.writestr("bomb", bytes(2**24))
    tarred = io.BytesIO()
    with tarfile.open(fileobj=tarred, mode="w:gz") as tar:
        member = tarfile.TarInfo("/etc/passwd")
        member.size = len(good)
        tar.addfile(member, io.BytesIO(good))
    yield from [("zip", packed.getvalue()), ("tar", tarred.getvalue()), ("gzip", gzip.compress(good))]
    yield from [
        ("empty", b""),
        ("text", b"hello\n" * 99),
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(99)),
        ("elf", b"\x7fELF" + bytes(99)),
    ]
    yield from [("zeros", bytes(4096)), ("ones", b"\xff" * 4096), ("json", b'{"a": 1}'), ("twice", good + good)]


def _contents(kind: Kind) -> Iterator[Mutation]:
    good = kind.good
    header, data = taken_apart(good)
    found = itertools.chain(
        _strangers(good), _lengths(good), _structural_flips(good, header), _cuts(good, header), _texts(header, data),
        _lies(header, data), _other_networks(header, data),
        _manifests(header, data) if kind.name == "bundle" else _optimizers(header, data) if kind.name == "saved" else (),
    )  # fmt: skip
    return (_content(name, content) for name, content in found)


def _lengths(good: bytes) -> Iterator[tuple[str, bytes]]:
    """Another length of the header."""
    length, size = int.from_bytes(good[:8], "little"), len(good)
    near = {length + step for step in (-9, -8, -1, 1, 8, 9)} | {size - step for step in (0, 7, 8, 9)}
    for claim in sorted(
        {0, 1, 2, 7, 8, *near, *(2**power + step for power in (16, 24, 31, 32, 33, 48, 62) for step in (-1, 0))}
    ):
        if claim != length:
            yield f"header of {claim} bytes", claim.to_bytes(8, "little") + good[8:]
    yield "header of 2^64 - 1 bytes", b"\xff" * 8 + good[8:]
    yield "length the other way round", good[:8][::-1] + good[8:]


def _structural_flips(good: bytes, header: bytes) -> Iterator[tuple[str, bytes]]:
    """Each bit of the length, of the seal's beginning, and of everything that gives JSON its structure."""
    marks = [8 + place for place, byte in enumerate(header) if byte in b'{}[]:,"']
    random.Random(0).shuffle(marks)
    for place in [*range(8), *range(8, 8 + 96, 3), *marks[:150]]:
        for bit in range(8):
            bad = bytearray(good)
            bad[place] ^= 1 << bit
            yield f"bit {bit} of byte {place}", bytes(bad)


def _cuts(good: bytes, header: bytes) -> Iterator[tuple[str, bytes]]:
    ends = len(header) + 8
    for place in sorted({*range(10), 100, ends - 1, ends, ends + 1, len(good) // 2, len(good) - 4, len(good) - 1}):
        yield f"cut at {place}", good[:place]
    for more in (b"\0", b" ", b"\n", bytes(8), bytes(4096), b"PK\x05\x06" + bytes(18)):
        yield f"{len(more)} bytes more", good + more


def _texts(header: bytes, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Headers that are JSON of another kind, or none."""
    inner = header.rstrip()[1:-1]
    bodies = {
        "list": b"[" + header + b"]", "number": b"12", "null": b"null", "text": b'"x"', "nothing": b"  ", "empty object": b"{}",
        "empty with space": b"{ }", "byte order mark": b"\xef\xbb\xbf" + header, "space first": b" " + header,
        "zero after": header + b"\0", "garbage after": header + b"{}", "comma after": header.rstrip()[:-1] + b",}",
        "utf-16": header.decode().encode("utf-16"), "latin-1": header.replace(b"weight", b"w\xe9ight", 1),
        "all twice": b"{" + inner + b"," + inner + b"}", "comment": header.rstrip()[:-1] + b"/* */}",
        "deep lists": b'{"x":' + b"[" * 10**6 + b"]" * 10**6 + b"}", "deep objects": b'{"x":' * 10**6 + b"1" + b"}" * 10**6,
        "open for ever": b'{"x":' + b"[" * 10**6, "open text": b'{"' + b"x" * 10**6, "backslashes": b'{"' + b"\\" * 10**6,
        "backslashes and an end": b'{"' + b"\\\\" * 10**6 + b'"}', "many values": b'{"x":[' + b"0," * 10**6 + b"0]}",
        "many objects": b'{"x":[' + b"{}," * 10**6 + b"{}]}",
        "many names": b"{" + b",".join(b'"%d":0' % i for i in range(300_000)) + b"}",
        "long name": b'{"' + b"n" * 10**6 + b'":0}', "many digits": b'{"x":' + b"9" * 10**6 + b"}",
        "many decimals": b'{"x":0.' + b"9" * 10**5 + b"}",
        "NaN": b'{"x":NaN}', "-Infinity": b'{"x":-Infinity}', "1e999": b'{"x":1e999}',
        "lone surrogate": b'{"\\ud800":0}', "too large": b"{" + b" " * (17 * 2**20) + b"}",
    }  # fmt: skip
    for name, body in bodies.items():
        yield f"header: {name}", put_together(body, data)
        yield f"header without tensors: {name}", put_together(body, b"")


def _lies(header: bytes, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Tensors that are not as the header says."""
    found = json.loads(header)
    names = [name for name in found if name != "__metadata__"]
    for name in names:
        for words, entry in _entries(found[name]):
            yield f"{name} {words}", rewritten({**found, name: entry}, data)
        for key in found[name]:
            yield f"{name} lacks {key}", rewritten({**found, name: {k: v for k, v in found[name].items() if k != key}}, data)
        yield f"{name} has code", rewritten({**found, name: {**found[name], "code": "print(1)"}}, data)
        for other in (None, 3, "F32", [], {}, [found[name]]):
            yield f"{name} is {other!r}"[:80], rewritten({**found, name: other}, data)
    yield from _gaps(found, names, data)
    for value in (None, [], "x", 3, {"a": 1}, {"a": None}, {"a": {"b": "c"}}, {"a": ["b"]}):
        yield f"metadata {value!r}", rewritten({**found, "__metadata__": value}, data)


def _entries(entry: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    (start, end), shape, huge = entry["data_offsets"], entry["shape"], 2**70
    offsets = [
        [start + 1, end + 1], [start + 8, end + 8], [start - 8, end - 8], [end, start], [start, end - 1], [start, end + 1],
        [start, huge],
        [huge, huge + end - start], [-huge, end], [start, end, end], [start], [], [float(start), float(end)],
        [str(start), str(end)],
        [True, False], None, "x", {}, [None, None], [[start], [end]], 2**63, [2**63 - 1, 2**63 - 1 + end - start],
    ]  # fmt: skip
    for value in offsets:
        yield f"offsets {value}", {**entry, "data_offsets": value}
    shapes = [
        [*shape, 2], [*shape, 0], [*shape, -1], [*shape, huge], [huge, *shape], [*shape, 1.0], [*shape, "1"], [*shape, None],
        [*shape, True], [2**32, 2**32], [0, huge], [0, 2**62, 2**62], [-1, -1], *([[-side for side in shape]] if shape else []),
        [1] * 500 + shape, None, "x", {}, 3, [shape],
    ]  # fmt: skip
    for value in shapes:
        yield f"shape {value}"[:80], {**entry, "shape": value}
    width = {"F64": 8, "I64": 8, "F32": 4, "I32": 4, "F16": 2, "U8": 1}
    others = [name for name in width if width[name] != width[entry["dtype"]]]
    for value in [*others, "F128", "f32", "float32", "O", "OBJECT", "", None, 3, [], {}, ["F32"], "F32 "]:
        yield f"dtype {value}", {**entry, "dtype": value}


def _gaps(found: dict[str, Any], names: list[str], data: bytes) -> Iterator[tuple[str, bytes]]:
    """Tensors that share their bytes, and bytes that belong to none."""
    solid = sorted(names, key=lambda name: found[name]["data_offsets"])
    for one, other in itertools.pairwise(solid):
        lie = {**found, other: {**found[one]}}
        yield f"{one} and {other} share their bytes", rewritten(lie, data)
        for gap in (1, 8, 4096):
            place = found[other]["data_offsets"][0]
            moved = {
                name: {**found[name], "data_offsets": [at + gap * (at >= place and found[name]["data_offsets"][0] >= place)
                                                       for at in found[name]["data_offsets"]]}
                for name in names
            }  # fmt: skip
            yield f"{gap} bytes before {other}", rewritten({**found, **moved}, data[:place] + bytes(gap) + data[place:])
    first = {name: {**found[name], "data_offsets": [at + 8 for at in found[name]["data_offsets"]]} for name in names}
    yield "bytes before the first", rewritten({**found, **first}, bytes(8) + data)
    yield "bytes after the last", rewritten(found, data + bytes(8))
    yield "no tensors in it", rewritten(found, b"")
    entry = {"dtype": "F32", "shape": [2**45], "data_offsets": [len(data), len(data) + 2**47]}
    yield "a tensor that is not there", rewritten({**found, "more": entry}, data)
    for shape in ([0, 2**70], [2**62, 0, 2**62], [0] * 100):
        entry = {"dtype": "F32", "shape": shape, "data_offsets": [len(data), len(data)]}
        yield f"an empty tensor of shape {shape}"[:80], rewritten({**found, "more": entry}, data)
    entry = {"dtype": "BOOL", "shape": [2], "data_offsets": [len(data), len(data) + 2]}
    yield "neither true nor false", rewritten({**found, "more": entry}, data + b"\x02\xff")


def _other_networks(header: bytes, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Files that are in order, but not of this network."""
    found = json.loads(header)
    metadata = {"__metadata__": found.pop("__metadata__")} if "__metadata__" in found else {}
    for name in found:
        # Nothing is learned from batches that were counted: a file may lack the count.
        if name.endswith("num_batches_tracked") or name.startswith("optimizer."):
            continue
        yield f"{name} has another name", rewritten(metadata | {k + "_" * (k == name): v for k, v in found.items()}, data)
    own = [name for name in found if not name.startswith("optimizer.")]
    for one, other in itertools.pairwise(own):
        if found[one]["shape"] != found[other]["shape"]:
            yield f"{one} for {other}", rewritten(metadata | {**found, one: found[other], other: found[one]}, data)
    if metadata:
        for key in ("format", "manifest", "optimizer"):
            texts = metadata["__metadata__"]
            if key in texts:
                yield f"{key} empty", rewritten({"__metadata__": {**texts, key: ""}, **found}, data)
        without = {name: text for name, text in metadata["__metadata__"].items() if name != "sha256"}
        yield "no seal", rewritten({"__metadata__": without, **found}, data)
        yield "no metadata", rewritten(found, data)
        yield "the seal not in its place", rewritten({"__metadata__": {**without, "sha256": "0" * 64}, **found}, data)
        for seal in ("", "0" * 63, "g" * 64, "0" * 65, "A" * 64):
            text = json.dumps({"__metadata__": {"sha256": seal, **without}, **found}, separators=(",", ":")).encode()
            yield f"seal {seal[:3]} of {len(seal)}", len(text).to_bytes(8, "little") + text + data


# -------------------------------------------------------------------- manifests that were changed on purpose

HOSTILE: list[Any] = [
    None, True, -1, 0, 2**31, 2**63, 2**70, 10**9, 0.5, -0.5, 1e308, math.nan, math.inf, "", "x", "x" * 20_000,
    "../../etc/passwd",
    "https://example.org/model.pkl", "__import__('os').system('true')", "\u202e\0\x1b[2J", [], {}, [None], [[]], [2**70],
    [0, 0],
    [10**6, 10**6], [-1, -1], ["a", "b"], {"a": 1}, {"__class__": "Predictor"}, {"__proto__": {}}, [10**6] * 40,
]  # fmt: skip
DEEP = "@deep@"
VAST = "@vast@"
"""Stand for texts that no parser of values would write."""


def _manifests(header: bytes, data: bytes) -> Iterator[tuple[str, bytes]]:
    found = json.loads(header)
    manifest = json.loads(found["__metadata__"]["manifest"])

    def sealed(text: str) -> bytes:
        return rewritten({**found, "__metadata__": {**found["__metadata__"], "manifest": text}}, data)

    for path in _paths(manifest):
        for value in HOSTILE:
            if not _may_be(path, value):
                yield f"{'.'.join(map(str, path))} = {value!r}"[:90], sealed(json.dumps(_with(manifest, path, value)))
        for mark, text in ((DEEP, "[" * 5_000 + "]" * 5_000), (VAST, "[" + "0," * 600_000 + "0]")):
            changed = json.dumps(_with(manifest, path, mark)).replace(json.dumps(mark), text)
            yield f"{'.'.join(map(str, path))} {mark}", sealed(changed)
        if _needed(path):
            yield f"without {'.'.join(map(str, path))}", sealed(json.dumps(_with(manifest, path, _GONE)))
        text = json.dumps(_with(manifest, path, "@here@"))
        yield f"{'.'.join(map(str, path))} twice", sealed(text.replace('"@here@"', '{"a":1,"a":2}'))
        for number in ("1e999", "-1e999", "1" * 5_000):
            yield f"{'.'.join(map(str, path))} {number[:6]}", sealed(text.replace('"@here@"', number))
    for inside in ((), ("architecture",), ("architecture", "head"), ("target",), ("preprocess",)):
        for name in ("x", "__class__", "url", "path", "", "x" * 900, "x" * 2_000, "eval", "loss_func"):
            yield f"{inside} has {name[:9]}", sealed(json.dumps(_with(manifest, (*inside, name), 1)))
    for text in (
        "",
        "{",
        "[]",
        "null",
        "0",
        "[" * 10**5,
        '{"a":' * 10**5,
        "{}",
        "\ufeff{}",
        "NaN",
        '{"format_version": 2}',
        "x" * 10**6,
    ):
        yield f"manifest {text[:20]}", sealed(text)
    for words, change in _greedy():
        yield words, sealed(json.dumps({**manifest, **change(copy.deepcopy(manifest))}))


def _greedy() -> Iterator[tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]]:
    """Descriptions that are in order by themselves, of networks far larger than the file's tensors."""

    def network(**changes: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
        return lambda manifest: {"architecture": {**manifest["architecture"], **changes}}

    large = [
        ("torchvision", "regnet_y_128gf"),
        ("torchvision", "vit_h_14"),
        ("timm", "vit_giant_patch14_224"),
        ("timm", "resnetv2_152x2_bit"),
    ]
    for zoo, arch in large:
        yield f"{arch} in a small file", network(zoo=zoo, arch=arch, cut=None)
    for arch in ("test_vit", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"):
        yield f"{arch} for large pictures", network(arch=arch, cut=None, img_size=[2048, 2048])
    yield "a wide first layer", network(n_in=4096)
    yield "many features", network(n_features=10**6)
    for arch in (
        "test_resnet.nothing/../x",
        "hf-hub:timm/test_resnet",
        "local-dir:/tmp",
        "hf_hub:x",
        "/etc/passwd",
        "os.system",
        "list",
        "a" * 200,
    ):
        yield f"arch {arch[:30]}", network(arch=arch)
    for hidden in ([10**6], [1000, 10**6], [10**4] * 9, [31_000, 31_000], [1] * 64, [1] * 65, [1] * 10_000):
        yield (
            f"head of {len(hidden)} times {hidden[0]}",
            lambda m, h=hidden: {"architecture": {**m["architecture"], "head": {**m["architecture"]["head"], "lin_ftrs": h}}},
        )
    for n_out in (10**4, 10**6):
        yield f"{n_out} outputs", lambda m, n=n_out: {
            "architecture": {**m["architecture"], "n_out": n}, "target": {"kind": "regression", "width": n}
        }  # fmt: skip
    yield "100,000 names that are one", lambda m: {"target": {**m["target"], "names": ["same"] * 100_000}}
    yield (
        "100,000 names of which each is there twice",
        lambda m: {"target": {**m["target"], "names": [str(i // 2) for i in range(10**5)]}},
    )


_GONE = object()


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    parts = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, part in parts:
        yield from _paths(part, (*path, key))


def _with(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    changed = copy.deepcopy(value)
    inner = changed
    for key in path[:-1]:
        inner = inner[key]
    if new is _GONE:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return changed


def _is_number(value: Any) -> bool:
    return (type(value) is float and math.isfinite(value)) or (type(value) is int and abs(value) < 2**66)


def _may_be(path: tuple[Any, ...], value: Any) -> bool:
    """Whether a manifest with this value is in order too, or differs in nothing: such a one is no mutation."""
    short = type(value) is str and len(value) <= 10_000
    top, last = path[0], path[-1]
    if top in ("history", "made"):
        if len(path) == 1:
            return value == ([] if top == "history" else {}) or (isinstance(value, dict) and top == "made")
        if top == "history" and len(path) == 2:
            return isinstance(value, dict)
        numbers = _parts(value)
        return all(type(one) is not int or abs(one) < 2**66 for one in numbers) and (
            top == "history" or all(math.isfinite(one) for one in numbers)
        ) and (not isinstance(value, str) or short)  # fmt: skip
    if top == "target":
        return (len(path) == 3 and (_is_number(value) or short or value is True)) or (last == "add_na" and value is True)
    if top == "architecture":
        names = {"source": value is None or short, "img_size": value is None, "cut": False}
        return names.get(last, last in ("concat_pool", "pool", "first_bn") and value is True) or _in_head(last, value)
    if top == "preprocess" and len(path) == 2:
        return last in ("size", "crop", "batch_size_px") and value is None
    if top == "preprocess" and len(path) == 1:
        return bool(value == {})
    if top == "preprocess":
        return _is_number(value) and (path[1] == "mean" or (path[1] == "std" and value > 0))
    return False


def _in_head(last: Any, value: Any) -> bool:
    return (last == "ps" and _is_number(value) and 0 <= value < 1) or (last == "y_range" and value is None)


def _parts(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [one for part in value.values() for one in _parts(part)]
    return (
        [one for part in value for one in _parts(part)]
        if isinstance(value, list)
        else [value]
        if type(value) in (int, float)
        else []
    )


def _needed(path: tuple[Any, ...]) -> bool:
    """Whether nothing stands in for what is gone."""
    return len(path) == 1 or path in {
        ("architecture", "zoo"), ("architecture", "arch"), ("architecture", "n_out"), ("architecture", "n_features"),
        ("architecture", "head"), ("architecture", "cut"), ("architecture", "head", "lin_ftrs"), ("target", "kind"),
        ("target", "names"), ("preprocess", "mean"), ("preprocess", "std"),
    }  # fmt: skip


def _optimizers(header: bytes, data: bytes) -> Iterator[tuple[str, bytes]]:
    """What a file says of an optimizer, changed on purpose."""
    found = json.loads(header)
    said = json.loads(found["__metadata__"]["optimizer"])

    def sealed(text: str) -> bytes:
        return rewritten({**found, "__metadata__": {**found["__metadata__"], "optimizer": text}}, data)

    for path in _paths(said):
        for value in HOSTILE:
            own = said
            for key in path:
                own = own[key]
            if not (value == own or ("params" not in path and _alike(own, value))):
                yield f"{path} = {value!r}"[:90], sealed(json.dumps(_with(said, path, value)))
    for name in ("kind", "plain", "groups"):
        yield f"without {name}", sealed(json.dumps({key: value for key, value in said.items() if key != name}))
    for text in ("", "{", "[]", "null", "[" * 10**5, "NaN", "x" * 10**6, '{"kind":1}'):
        yield f"optimizer {text[:9]}", sealed(text)
    state = [name for name in found if name.startswith("optimizer.")]
    for name in state:
        for other in (
            "optimizer.99999.x",
            "optimizer.-1.x",
            "optimizer.x.y",
            "optimizer.",
            "optimizer.1e9.x",
            "optimizer.²." + "x",
        ):
            yield f"{name} is {other}", rewritten({other if key == name else key: value for key, value in found.items()}, data)
    shaped = [name for name in state if found[name]["shape"]]
    for one, other in itertools.pairwise(shaped):
        if found[one]["shape"] != found[other]["shape"]:
            yield f"{one} for {other}", rewritten({**found, one: found[other], other: found[one]}, data)


def _alike(own: Any, value: Any) -> bool:
    """Whether a hyper-parameter may have this value, however unwise it were."""
    if isinstance(own, list) and isinstance(value, list):
        return len(own) == len(value) and all(map(_alike, own, value))
    if own is None or isinstance(own, bool):
        return value is None or isinstance(value, bool)
    return type(own) in (int, float) and _is_number(value)
