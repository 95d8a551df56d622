"""Data sets are fetched once, unpacked whole, and never outside of their folder."""

from __future__ import annotations

import http.server
import io
import tarfile
import threading
import zipfile
from functools import partial
from pathlib import Path

import pytest

from sightline.compat.downloads import URLs, fastai_path, untar_data
from sightline.errors import DataError, OptionError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home of fastai's own, and nothing in the current folder."""
    monkeypatch.setenv("FASTAI_HOME", str(tmp_path / "home"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "home"


def packed(path: Path, files: dict[str, str], mode: str = "w:gz") -> str:
    """A tar archive with these files; returns its address."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, mode) as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return path.as_uri()


@pytest.fixture
def served(tmp_path):
    """Files of a folder over HTTP on this machine: (address, folder, the paths asked for)."""
    folder, asked = tmp_path / "served", []
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            asked.append(self.path)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", folder, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_archive_becomes_a_folder_of_its_name(tmp_path, home):
    url = packed(tmp_path / "pets_small.tgz", {"anything/a.txt": "one", "anything/b/c.txt": "two"})
    found = untar_data(url)
    assert found == home / "data" / "pets_small"
    assert (found / "b" / "c.txt").read_text() == "two"
    assert (home / "archive" / "pets_small.tgz").exists()
    assert [path.name for path in (home / "data").iterdir()] == ["pets_small"]


def test_what_is_there_is_not_fetched_again(served, home):
    address, folder, asked = served
    packed(folder / "set.tar.gz", {"set/a.txt": "old"})
    assert (untar_data(f"{address}/set.tar.gz") / "a.txt").read_text() == "old"
    packed(folder / "set.tar.gz", {"set/a.txt": "new"})
    assert (untar_data(f"{address}/set.tar.gz") / "a.txt").read_text() == "old"
    assert asked == ["/set.tar.gz"]
    assert (untar_data(f"{address}/set.tar.gz", force_download=True) / "a.txt").read_text() == "new"
    assert asked == ["/set.tar.gz"] * 2


def test_an_archive_that_lies_there_is_taken_without_a_network(home, tmp_path):
    packed(home / "archive" / "kept.tgz", {"a.txt": "1", "b.txt": "2"})
    found = untar_data("http://127.0.0.1:9/kept.tgz")
    assert sorted(path.name for path in found.iterdir()) == ["a.txt", "b.txt"]


def test_folders_can_be_chosen(tmp_path, home):
    url = packed(tmp_path / "s.tgz", {"s/a.txt": "1"})
    assert untar_data(url, archive=tmp_path / "arch", data=tmp_path / "data") == tmp_path / "data" / "s"
    assert (tmp_path / "arch" / "s.tgz").exists()
    home.mkdir()
    (home / "config.ini").write_text(f"[DEFAULT]\ndata = {tmp_path / 'big'}\narchive = packed\n")
    assert fastai_path("data") == tmp_path / "big"
    assert fastai_path("archive") == home / "packed"
    assert fastai_path("model") == home / "models"
    assert fastai_path("data", base=tmp_path / "other") == tmp_path / "other" / "data"
    assert URLs.path(URLs.PETS) == home / "packed" / "oxford-iiit-pet.tgz"


def test_a_zip_is_unpacked_too(tmp_path):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr("z/a.txt", "1")
    assert (untar_data((tmp_path / "z.zip").as_uri()) / "a.txt").read_text() == "1"


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/sightline_outside.txt", "set/../../outside.txt"])
def test_an_archive_that_reaches_outside_is_refused(tmp_path, home, name):
    url = packed(tmp_path / "bad.tgz", {"bad/a.txt": "1", name: "2"})
    if name.startswith("/"):
        untar_data(url)
        assert not Path(name).exists()
        return
    with pytest.raises(DataError, match="cannot be unpacked"):
        untar_data(url)
    assert list((home / "data").iterdir()) == []
    assert not list(tmp_path.rglob("outside.txt"))


def test_a_link_to_outside_is_refused(tmp_path, home):
    with tarfile.open(tmp_path / "link.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo("link/secret")
        entry.type, entry.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(entry)
    with pytest.raises(DataError, match="cannot be unpacked"):
        untar_data((tmp_path / "link.tgz").as_uri())


def test_what_is_no_archive_is_told(tmp_path):
    (tmp_path / "page.tgz").write_text("<html>not found</html>")
    with pytest.raises(DataError, match=r"(?s)page.tgz cannot be unpacked.*force_download=True"):
        untar_data((tmp_path / "page.tgz").as_uri())


def test_a_missing_network_names_the_ways_out(home):
    with pytest.raises(DataError, match=r"cannot be fetched.*put it at .*archive.*gone.tgz.*HTTPS_PROXY.*from_folder"):
        untar_data("http://127.0.0.1:9/gone.tgz")
    assert not list(home.rglob("*.tgz"))


def test_a_missing_file_is_told(served, tmp_path):
    with pytest.raises(DataError, match=r"nothing.tgz cannot be fetched: .*ot .ound.*Ways out"):
        untar_data(f"{served[0]}/nothing.tgz")
    with pytest.raises(DataError, match=r"Ways out"):
        untar_data((tmp_path / "nothing.tgz").as_uri())


@pytest.mark.parametrize("url", ["ftp://example.org/a.tgz", "a.tgz", "data:text/plain,a"])
def test_other_addresses_are_refused(url):
    with pytest.raises(OptionError, match=r"is no web address. Expected"):
        untar_data(url)


@pytest.mark.parametrize("url", ["", "https://example.org", "https://example.org/", "https://example.org/a/..", "file:///..",
    "https://example.org/..tgz", "https://example.org/...tar.gz", "https://example.org/..%2F..tgz"])  # fmt: skip
def test_an_address_without_a_file_touches_nothing(url, home):
    (home / "data" / "precious").mkdir(parents=True)
    with pytest.raises(OptionError, match=r"names no file. Expected the address of an archive"):
        untar_data(url, force_download=True)
    assert (home / "data" / "precious").exists()
