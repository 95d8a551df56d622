"""Pictures are read as a person sees them; whatever cannot be read is refused in words."""

from __future__ import annotations

import os
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms, features

from sightline.data.cache.keys import Signature, read_file
from sightline.data.pictures.decode import PILImage, PILImageBW, probe, read_image
from sightline.errors import ImageError, OptionError

SIZE = (60, 40)
LOSSLESS = {"JPEG": {"quality": 100, "subsampling": 0}, "WEBP": {"lossless": True}}
LIBRARIES = {"AVIF": "avif", "JPEG2000": "jpg_2000"}
TURNS = {
    # What was done to the pixels before they were stored, by orientation flag: its inverse is what a reader must do.
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


def smooth_pixels() -> np.ndarray:
    """uint8 (40, 60, 3), every corner another colour."""
    y, x = np.mgrid[0 : SIZE[1], 0 : SIZE[0]]
    return np.stack([x * 4, y * 6, 255 - x * 2 - y * 3], axis=-1).astype(np.uint8)


def smooth() -> Image.Image:
    return Image.fromarray(smooth_pixels())


def stored(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def difference(image: Image.Image, pixels: np.ndarray) -> int:
    """Largest difference in grey levels."""
    read = np.asarray(image).astype(int)
    assert read.shape == pixels.shape
    return int(np.abs(read - pixels.astype(int)).max())


def png_of(width: int, height: int, bits: int, colour: int, pixels: bytes, **chunks: bytes) -> bytes:
    """A PNG with these pixels, rows with their filter, and chunks by their names."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    parts = [chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))]
    parts += [chunk(kind.encode(), body) for kind, body in chunks.items()]
    return b"\x89PNG\r\n\x1a\n" + b"".join([*parts, chunk(b"IDAT", zlib.compress(pixels)), chunk(b"IEND", b"")])


def png_of_header(width: int, height: int) -> bytes:
    """A PNG of a few bytes that claims to be large."""
    return png_of(width, height, 8, 2, b"")


# What a person sees


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("flag", range(1, 9))
def test_every_rotation_flag_gives_the_same_upright_picture(kind: str, flag: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = flag
    turned = Image.fromarray(np.ascontiguousarray(TURNS[flag](smooth_pixels())))
    content = stored(turned, kind, exif=exif.tobytes(), **LOSSLESS.get(kind, {}))
    assert difference(read_image(content), smooth_pixels()) <= 3


def test_a_picture_that_was_turned_upright_is_not_turned_again() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    once = read_image(stored(smooth(), "PNG", exif=exif.tobytes()))
    assert once.size == SIZE[::-1]
    assert read_image(once).size == once.size


def test_an_open_pillow_image_is_turned_like_its_file(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    smooth().save(tmp_path / "turned.png", exif=exif.tobytes())
    with Image.open(tmp_path / "turned.png") as opened:
        assert np.array_equal(np.asarray(read_image(opened)), np.asarray(read_image(tmp_path / "turned.png")))


@pytest.mark.parametrize(
    ("kind", "mode"), [("JPEG", "CMYK"), ("TIFF", "CMYK"), ("TIFF", "YCbCr"), ("PNG", "RGBA"), ("BMP", "RGB")]
)
def test_colour_modes_look_alike(kind: str, mode: str) -> None:
    content = stored(smooth().convert(mode), kind, **LOSSLESS.get(kind, {}))
    assert difference(read_image(content), smooth_pixels()) <= 3


def test_lab_is_seen_in_colour_and_in_grey() -> None:
    pastel = Image.fromarray(96 + smooth_pixels() // 4)
    profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    lab = ImageCms.applyTransform(pastel, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
    content = stored(lab, "TIFF")
    assert difference(read_image(content), np.asarray(pastel)) <= 3
    assert difference(read_image(content, channels=1), np.asarray(pastel.convert("L"))) <= 3


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_and_not_clipped_to_white(kind: str) -> None:
    grey = np.linspace(0, 65535, 60 * 40).reshape(40, 60)
    content = stored(Image.fromarray(grey.astype(np.uint16)), kind)
    expected = np.rint(grey / 257)
    assert difference(read_image(content, channels=1), expected) <= 1
    assert difference(read_image(content), np.repeat(expected[..., None], 3, axis=2)) <= 1


def test_a_dark_sixteen_bit_picture_stays_dark() -> None:
    assert read_image(stored(Image.fromarray(np.full((4, 4), 257 * 9, np.uint16)), "PNG"), channels=1).getextrema() == (9, 9)


def test_integers_beyond_sixteen_bits_are_scaled_by_their_own_range() -> None:
    values = np.array([[-100_000, 0], [0, 100_000]], dtype=np.int32)
    assert np.asarray(read_image(Image.fromarray(values), channels=1)).tolist() == [[0, 128], [128, 255]]


@pytest.mark.parametrize(
    ("values", "seen"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([0.0, 100.4, 255.0], [0, 100, 255]), ([-2.0, 0.0, 2.0], [0, 128, 255])],
    ids=["to 1", "to 255", "own range"],
)
def test_floating_point_pictures_are_scaled_by_range(values: list[float], seen: list[int]) -> None:
    image = Image.fromarray(np.array([values], dtype=np.float32))
    assert np.asarray(read_image(stored(image, "TIFF"), channels=1)).tolist() == [seen]


def test_a_picture_with_nan_is_refused() -> None:
    with pytest.raises(ImageError, match="NaN or infinite"):
        read_image(stored(Image.fromarray(np.full((2, 2), np.nan, np.float32)), "TIFF"))


def test_transparency_lies_over_white() -> None:
    layer = smooth().convert("RGBA")
    layer.putalpha(Image.fromarray(np.where(np.arange(60) < 30, 0, 255).astype(np.uint8)[None].repeat(40, 0)))
    seen = np.asarray(read_image(stored(layer, "PNG")))
    assert (seen[:, :30] == 255).all()
    assert np.array_equal(seen[:, 30:], smooth_pixels()[:, 30:])


def test_half_transparent_grey_is_mixed_with_white() -> None:
    image = Image.merge("LA", (Image.new("L", SIZE, 100), Image.new("L", SIZE, 51)))
    assert read_image(stored(image, "PNG"), channels=1).getextrema() == (224, 224)  # 100 / 5 + 255 * 4 / 5


def test_palette_transparency_given_as_bytes_lies_over_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    seen = np.asarray(read_image(stored(palette, "PNG", transparency=bytes([0, 255]))))
    assert seen.tolist() == [[[255, 255, 255], [200, 100, 50]]]


def test_a_transparent_colour_key_lies_over_white() -> None:
    image = Image.fromarray(np.array([[[1, 2, 3], [9, 8, 7]]], dtype=np.uint8))
    assert np.asarray(read_image(stored(image, "PNG", transparency=(1, 2, 3)))).tolist() == [[[255] * 3, [9, 8, 7]]]


def test_black_and_white_becomes_grey() -> None:
    image = Image.fromarray(np.array([[True, False]]))
    assert image.mode == "1"
    assert np.asarray(read_image(stored(image, "PNG"), channels=1)).tolist() == [[255, 0]]


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_seen(kind: str) -> None:
    frames = [Image.new("RGB", SIZE, colour) for colour in ("red", "blue", "lime")]
    content = stored(frames[0], kind, save_all=True, append_images=frames[1:], **({"lossless": True} if kind == "WEBP" else {}))
    assert difference(read_image(content), np.asarray(frames[0])) <= 3


@pytest.mark.parametrize("kind", ["AVIF", "JPEG2000", "TGA", "PCX", "QOI", "SGI", "ICO", "DIB", "MPO"])
def test_less_common_formats_are_read(kind: str) -> None:
    if kind in LIBRARIES and not features.check(LIBRARIES[kind]):
        pytest.skip(f"this Pillow is built without {kind}")
    assert read_image(stored(smooth().crop((0, 0, 32, 32)), kind)).size == (32, 32)


def test_grey_has_one_channel_and_colour_three() -> None:
    assert read_image(smooth(), channels=1).mode == PILImageBW.create(smooth()).mode == "L"
    assert read_image(smooth()).mode == PILImage.create(smooth()).mode == "RGB"


@pytest.mark.parametrize("channels", [0, -1, 2.5, True, "RGB"])
def test_what_is_no_number_of_channels_is_refused(channels: object) -> None:
    with pytest.raises(OptionError, match=r"is neither 1 \(grey\) nor 3 \(RGB\) nor another number of channels"):
        read_image(smooth(), channels=channels)


def tiff_of_bits(values: np.ndarray, photometric: int) -> bytes:
    """A TIFF of one row of 16-bit grey."""
    tags = {256: values.size, 257: 1, 258: 16, 259: 1, 262: photometric, 273: 122, 277: 1, 278: 1, 279: values.nbytes}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0\0\0\0" + values.astype("<u2").tobytes()


def test_scans_in_which_high_numbers_are_dark_are_no_negatives_at_sixteen_bits_either() -> None:
    values = np.array([0, 257 * 9, 65535])
    assert np.asarray(read_image(tiff_of_bits(values, 1), channels=1)).tolist() == [[0, 9, 255]]
    assert np.asarray(read_image(tiff_of_bits(values, 0), channels=1)).tolist() == [[255, 246, 0]]


def test_a_transparent_grey_of_sixteen_bits_lies_over_white() -> None:
    image = Image.fromarray(np.array([[0, 1000, 30000]], dtype=np.uint16))
    assert np.asarray(read_image(stored(image, "PNG", transparency=1000), channels=1)).tolist() == [[0, 255, 117]]


def test_sixteen_bits_of_colour_are_scaled_and_not_clipped() -> None:
    values = np.array([[[10_000, 20_000, 65_535], [0, 257 * 9, 40_000]]], dtype=">u2")
    content = png_of(2, 1, 16, 2, b"\0" + values.tobytes())
    assert difference(read_image(content), values / 257) <= 1


def test_palettes_with_alpha_lie_over_white() -> None:
    image = Image.new("PA", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((0, 0), (0, 255))
    image.putpixel((1, 0), (1, 0))
    assert np.asarray(read_image(image)).tolist() == [[[10, 20, 30], [255, 255, 255]]]


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("profile", ["sRGB", "XYZ", "damaged"])
def test_colour_profiles_change_nothing_and_damaged_ones_do_no_harm(kind: str, profile: str) -> None:
    content = b"\0" * 300 if profile == "damaged" else ImageCms.ImageCmsProfile(ImageCms.createProfile(profile)).tobytes()
    options = LOSSLESS.get(kind, {})
    with_profile = read_image(stored(smooth(), kind, icc_profile=content, **options))
    assert np.array_equal(np.asarray(with_profile), np.asarray(read_image(stored(smooth(), kind, **options))))


def test_gamma_values_change_nothing() -> None:
    row = b"\0" + bytes(range(12))
    plain = png_of(4, 1, 8, 2, row)
    assert np.array_equal(read_image(png_of(4, 1, 8, 2, row, gAMA=struct.pack(">I", 100_000))), read_image(plain))


# Where a picture can come from


def test_path_string_bytes_and_files_agree(tmp_path: Path) -> None:
    path = tmp_path / "picture.png"
    smooth().save(path)
    content = path.read_bytes()
    for source in (path, str(path), content, bytearray(content), memoryview(content), BytesIO(content)):
        assert difference(read_image(source), smooth_pixels()) == 0
    with path.open("rb") as file:
        assert difference(read_image(file), smooth_pixels()) == 0
        assert not file.closed


def test_arrays_and_tensors_agree() -> None:
    pixels = smooth_pixels()
    floats = pixels / 255
    tensor = torch.from_numpy(pixels).permute(2, 0, 1)
    for source in (
        pixels,
        floats,
        floats.astype(np.float32),
        pixels.astype(np.int64),
        pixels.astype(np.uint16) * 257,
        tensor,
        tensor / 255,
    ):
        assert difference(read_image(source), pixels) == 0


def test_grey_arrays_may_have_a_channel_or_none() -> None:
    grey = smooth_pixels()[..., 0]
    for source in (grey, grey[..., None], torch.from_numpy(grey), torch.from_numpy(grey)[None]):
        assert difference(read_image(source, channels=1), grey) == 0


def test_an_array_of_four_channels_is_rgb_with_transparency() -> None:
    assert np.asarray(read_image(np.array([[[5, 6, 7, 0]]], dtype=np.uint8))).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (np.zeros((2, 3, 5)), r"its shape is \(2, 3, 5\), expected \(H, W\) or \(H, W, C\)"),
        (torch.zeros(5, 4, 2), r"its shape is \(5, 4, 2\), expected \(H, W\) or \(C, H, W\)"),
        (np.zeros((0, 4), np.uint8), r"its shape is \(0, 4\)"),
        (np.full((4, 4), 300), "int64 values run from 300 to 300, expected 0 to 255"),
        (np.full((4, 4), 2.5), r"float64 values run from 2\.5 to 2\.5, expected 0 to 1"),
        (np.full((4, 4), np.nan), "run from nan to nan"),
        (np.zeros((2, 2), complex), "complex128 values, expected numbers"),
        (None, "A NoneType cannot be read: expected a path, bytes, an open binary file"),
        (17, "An int cannot be read"),
    ],
)
def test_what_is_no_picture_is_refused_in_words(source: object, words: str) -> None:
    with pytest.raises(ImageError, match=words):
        read_image(source)


def test_odd_names_are_read_and_shown_safely(tmp_path: Path) -> None:
    names = [b"two\nlines.png", b"caf\xe9.png", "\u202egnp.png".encode(), b"a" * 251 + b".png"]
    for name in names:
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        try:
            path.write_bytes(stored(smooth(), "PNG"))
        except OSError:
            continue  # this file system does not take such names
        assert read_image(path).size == SIZE
        path.write_bytes(b"spoilt")
        with pytest.raises(ImageError) as caught:
            read_image(path)
        str(caught.value).encode()  # raises where an undecodable byte got through
        assert "\n" not in str(caught.value)


# What cannot be read


def test_a_file_that_is_cut_short_is_named_with_the_reason(tmp_path: Path) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 255, (200, 200, 3), dtype=np.uint8))
    for kind in ("JPEG", "PNG"):
        path = tmp_path / f"short.{kind.lower()}"
        content = stored(noise, kind)
        path.write_bytes(content[: len(content) // 2])
        with pytest.raises(ImageError, match=rf"short\.{kind.lower()}' cannot be read: the file is cut short"):
            read_image(path)
        assert probe(path) is None, "the header is sound"


def test_a_damaged_png_is_refused_though_its_header_is_sound() -> None:
    content = bytearray(stored(smooth(), "PNG"))
    content[len(content) // 2] ^= 0xFF
    with pytest.raises(ImageError, match=r"the file is (damaged|cut short)"):
        read_image(bytes(content))


def refusal(path: Path) -> str:
    with pytest.raises(ImageError) as caught:
        read_image(path)
    return str(caught.value)


@pytest.mark.parametrize("told", [probe, refusal])
def test_what_is_no_readable_file_is_told_in_words(tmp_path: Path, told) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "folder.jpg").mkdir()
    smooth().save(tmp_path / "vector.eps")
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")
    for name, words in (
        ("missing.jpg", "there is no such file"),
        ("empty.jpg", "it is empty (0 bytes)"),
        ("text.jpg", "it is not a picture in a format that is read here (JPEG, PNG, WEBP"),
        ("folder.jpg", "it is a folder, not a file"),
        ("vector.eps", "it is not a picture in a format that is read here"),
        ("loop.jpg", "the system says '"),
    ):
        assert words in told(tmp_path / name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_a_named_pipe_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    found: list[str | None] = []
    thread = threading.Thread(target=lambda: found.append(probe(tmp_path / "pipe.jpg")), daemon=True)
    thread.start()
    thread.join(10)
    assert found == ["it is not a regular file (a pipe, socket or device)"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
@pytest.mark.parametrize("ending", ["jpg", "npy"])
def test_a_file_that_becomes_a_pipe_before_it_is_opened_does_not_hang(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    (tmp_path / "before").write_bytes(b"was here")
    os.mkfifo(tmp_path / f"x.{ending}")
    regular = os.stat(tmp_path / "before")
    monkeypatch.setattr("sightline.data.pictures.opening.os.stat", lambda path: regular)
    monkeypatch.setattr("sightline.data.cache.keys.signature_of", lambda path: Signature(b"", 0))
    found: list[object] = []

    def look() -> None:
        found.extend([probe(tmp_path / f"x.{ending}"), read_file(tmp_path / f"x.{ending}")])

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(10)
    assert found == ["it is not a regular file (a pipe, socket or device)", None]


def test_links_that_lead_nowhere_are_told_from_files_that_are_not_there(tmp_path: Path) -> None:
    (tmp_path / "link.jpg").symlink_to(tmp_path / "gone.jpg")
    assert probe(tmp_path / "link.jpg") == "it is a link that leads nowhere"
    assert probe(tmp_path / "gone.jpg") == "there is no such file"


def test_pictures_of_too_many_pixels_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    for size in ((12_000, 10_001), (60_000, 60_000)):
        path.write_bytes(png_of_header(*size))
        assert "120,000,000" in str(probe(path))
        with pytest.raises(ImageError, match="pixels"):
            read_image(path)


def test_the_pixel_limit_can_be_lowered() -> None:
    with pytest.raises(ImageError, match=r"60 x 40 pixels, more than the 2,399 that are read; shrink it"):
        read_image(smooth(), max_pixels=2399)
    assert read_image(smooth(), max_pixels=2400).size == SIZE


def test_every_mutilated_file_is_read_or_refused_in_words() -> None:
    rng = np.random.default_rng(0)
    for kind in ("JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF", "PPM", "TGA", "ICO"):
        sound = stored(smooth().crop((0, 0, 16, 16)), kind)
        for _ in range(40):
            content = bytearray(sound)
            for place in rng.integers(0, len(sound), 3):
                content[place] = rng.integers(0, 256)
            try:
                read_image(bytes(content), max_pixels=10_000)
            except ImageError as error:
                assert str(error).startswith("A picture of"), error  # noqa: PT017 - either outcome is right


# Pillow's own remarks


def corrupt_exif() -> bytes:
    return stored(smooth(), "JPEG", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\x00\x05\x01\x12\x00\x03")


def test_damaged_metadata_is_passed_over_in_silence() -> None:
    with pytest.warns(UserWarning, match="EXIF"):
        Image.open(BytesIO(corrupt_exif()))
    assert read_image(corrupt_exif()).size == SIZE  # warnings are errors here


def test_the_filters_of_warnings_are_as_before_even_with_many_threads() -> None:
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        sizes = {image.size for image in pool.map(read_image, [corrupt_exif()] * 200)}
    assert sizes == {SIZE}
    assert list(warnings.filters) == before


def test_a_failed_read_leaves_the_filters_of_warnings_as_before() -> None:
    before = list(warnings.filters)
    with pytest.raises(ImageError):
        read_image(b"no picture")
    assert list(warnings.filters) == before
