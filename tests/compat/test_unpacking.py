"""Archives of strangers: nothing lands outside of the folder, no links, no more than there may be."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile

import pytest

from sightline.compat import unpacking
from sightline.compat.unpacking import unpack
from sightline.errors import DataError


@pytest.fixture
def folder(tmp_path):
    """An empty folder with a neighbour that nobody may touch."""
    (tmp_path / "neighbour.txt").write_text("precious")
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def tar(path, *entries, mode="w:gz"):
    """A tar archive of entries (name, content or None for a folder) or ready TarInfo objects."""
    with tarfile.open(path, mode) as archive:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                archive.addfile(entry)
                continue
            name, content = entry
            info = tarfile.TarInfo(name)
            info.type = tarfile.DIRTYPE if content is None else tarfile.REGTYPE
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content or b""))
    return path


def link(name, to, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, to
    return info


def written(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def assert_refused(archive, folder, match):
    with pytest.raises(DataError, match=match):
        unpack(archive, folder)
    assert (folder.parent / "neighbour.txt").read_text() == "precious"
    assert {path.name for path in folder.parent.iterdir()} == {"in", "neighbour.txt", archive.name}
    assert not any(path.is_symlink() for path in folder.rglob("*"))


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "w"])
def test_archives_of_every_kind_are_unpacked(tmp_path, folder, mode):
    unpack(tar(tmp_path / "a.tgz", ("a", None), ("a/b.txt", b"1"), ("./a/c/d.txt", b"22"), mode=mode), folder)
    assert written(folder) == {"a/b.txt": b"1", "a/c/d.txt": b"22"}


@pytest.mark.parametrize(
    "name", ["../neighbour.txt", "a/../../neighbour.txt", "..\\neighbour.txt", "a/..", "..", "a\\..\\..\\b"]
)
@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_names_that_lead_out_are_refused(tmp_path, folder, name, kind):
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr(zipfile.ZipInfo(name), "bad")
        assert_refused(tmp_path / "a.zip", folder, "leads out of its folder")
    else:
        assert_refused(tar(tmp_path / "a.tgz", (name, b"bad")), folder, "leads out of its folder")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_absolute_names_are_names_within_the_folder(tmp_path, folder, kind):
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.writestr("/etc/passwd_of_ours", "1")
        unpack(tmp_path / "a.zip", folder)
    else:
        unpack(tar(tmp_path / "a.tgz", ("/etc/passwd_of_ours", b"1")), folder)
    assert written(folder) == {"etc/passwd_of_ours": b"1"}


@pytest.mark.parametrize(
    ("entry", "match"),
    [
        (link("a", "/etc/passwd"), "leads out"),
        (link("a", "../neighbour.txt"), "leads out"),
        (link("b/a", "../../neighbour.txt"), "leads out"),
        (link("a", "../neighbour.txt", tarfile.LNKTYPE), "leads out"),
        (link("a", "/neighbour.txt", tarfile.LNKTYPE), "No such file"),
        (link("a", "a"), "No such file"),
        (link("a", "later"), "No such file"),
        (link("a", "d"), "(?i)directory|denied"),
        (link("a", "", tarfile.CHRTYPE), "neither a file nor a folder"),
        (link("a", "", tarfile.FIFOTYPE), "neither a file nor a folder"),
    ],
)
def test_links_and_devices_lead_nowhere(tmp_path, folder, entry, match):
    assert_refused(tar(tmp_path / "a.tgz", ("d/e", b"1"), entry, ("later", b"1")), folder, match)


def test_links_within_become_copies(tmp_path, folder):
    archive = tar(
        tmp_path / "a.tgz", ("d/e", b"12"), link("d/f", "e"), link("g", "d/e"), link("h", "d/e", tarfile.LNKTYPE),
        link("d/i", "../d/./e"), ("d/e", b"3"),
    )  # fmt: skip
    unpack(archive, folder)
    assert written(folder) == {"d/e": b"3", **dict.fromkeys(["d/f", "g", "h", "d/i"], b"12")}
    assert not any(path.is_symlink() or path.stat().st_nlink > 1 for path in folder.rglob("*") if path.is_file())


def test_a_link_written_through_leads_nowhere(tmp_path, folder):
    """The old trick: a link to a folder outside, and then a file in it."""
    assert_refused(tar(tmp_path / "a.tgz", link("out", ".."), ("out/neighbour.txt", b"bad")), folder, "leads out")


@pytest.mark.parametrize("kind", ["tar", "zip"])
def test_a_bomb_is_refused_before_it_is_written(tmp_path, folder, monkeypatch, kind):
    monkeypatch.setattr(unpacking, "ALWAYS_BYTES", 100_000)
    zeros = bytes(1_000_000)
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.bin", "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("small", "1")
            archive.writestr("bomb", zeros)
    else:
        tar(tmp_path / "a.bin", ("small", b"1"), ("bomb", zeros))
    assert_refused(tmp_path / "a.bin", folder, r"with 'bomb' it holds more than .* bytes, out of proportion")
    assert written(folder) == {"small": b"1"}


def test_many_links_to_one_file_count_as_many(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(unpacking, "ALWAYS_BYTES", 100_000)
    archive = tar(tmp_path / "a.tgz", ("a", bytes(30_000)), *(link(f"l{i}", "a") for i in range(9)))
    assert_refused(archive, folder, "out of proportion")
    assert sum(map(len, written(folder).values())) <= 100_000


def test_what_the_disk_has_no_room_for_is_refused(tmp_path, folder, monkeypatch):
    archive = tar(tmp_path / "a.tgz", ("a", bytes(30_000)))
    usage = unpacking.shutil.disk_usage(tmp_path)._replace(free=20_000)
    monkeypatch.setattr(unpacking.shutil, "disk_usage", lambda path: usage)
    assert_refused(archive, folder, "20,000 bytes for which the disk has room")


def test_too_many_files_are_refused(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(unpacking, "MOST_ENTRIES", 10)
    assert_refused(tar(tmp_path / "a.tgz", *((f"{i}", b"") for i in range(20))), folder, "more than 10 files")


def test_a_header_of_gigabytes_is_never_read_into_memory(tmp_path, folder):
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, 4 << 30
    with gzip.open(tmp_path / "a.tgz", "wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.write(bytes(100_000))
    assert_refused(tmp_path / "a.tgz", folder, "too large")


def test_an_entry_that_is_a_file_and_a_folder_is_refused(tmp_path, folder):
    assert_refused(tar(tmp_path / "a.tgz", ("a", b"1"), ("a/b", b"2")), folder, "cannot be unpacked")


@pytest.mark.parametrize("cut", [5, 60, 200, 400])
@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_half_an_archive_is_refused(tmp_path, folder, kind, cut):
    content = bytes(range(256)) * 4
    if kind == "zip":
        with zipfile.ZipFile(tmp_path / "a.bin", "w") as archive:
            archive.writestr("a", content)
    else:
        tar(tmp_path / "a.bin", ("a", content))
    whole = (tmp_path / "a.bin").read_bytes()
    (tmp_path / "a.bin").write_bytes(whole[: min(cut, len(whole) - 30)])
    assert_refused(tmp_path / "a.bin", folder, "cannot be unpacked")


def test_a_zip_that_says_the_wrong_size_or_is_locked_is_refused(tmp_path, folder):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a", b"12345678")
    data = bytearray((tmp_path / "a.zip").read_bytes())
    directory = data.index(b"PK\x01\x02")
    data[directory + 24] = 4  # the size after unpacking
    (tmp_path / "a.zip").write_bytes(data)
    assert_refused(tmp_path / "a.zip", folder, "cannot be unpacked")
    data[directory + 24], data[directory + 8] = 8, 1  # encrypted
    data[6] = 1
    (tmp_path / "a.zip").write_bytes(data)
    assert_refused(tmp_path / "a.zip", folder, "cannot be unpacked")
