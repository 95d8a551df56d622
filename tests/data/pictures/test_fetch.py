"""Pictures are fetched whole or not at all, under safe names; what fails is named by one warning."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from data.drawn import draw
from sightline.data.pictures import fetch
from sightline.data.pictures.fetch import download_images, download_url
from sightline.data.pictures.upkeep import verify_images
from sightline.errors import DataError, OptionError, SightlineWarning


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a server on this machine that gives a picture for every path with a 'cat' in it."""
    picture = draw(tmp_path_factory.mktemp("served") / "a.png").read_bytes()

    class Cats(BaseHTTPRequestHandler):
        def do_GET(self):
            if "cut" in self.path:
                self.send_response(200)
                self.send_header("Content-Length", str(len(picture) * 2))
                self.end_headers()
                self.wfile.write(picture)
            elif "cat" in self.path:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(picture)
            else:
                self.send_error(404, "no such cat")

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Cats)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_file_is_fetched(served, tmp_path):
    assert download_url(f"{served}/cat.png", tmp_path / "new" / "b.png", timeout=5) == tmp_path / "new" / "b.png"
    assert download_url(f"{served}/a%20cat.png?size=3", tmp_path, show_progress=False) == tmp_path / "a_cat.png"
    assert download_url(f"{served}/süße cat.png", tmp_path) == tmp_path / "süße_cat.png"
    assert verify_images([tmp_path / "new" / "b.png", tmp_path / "a_cat.png", tmp_path / "süße_cat.png"]) == []


def test_a_failed_fetch_leaves_nothing(served, tmp_path):
    with pytest.raises(DataError, match=r"/dog.png cannot be fetched: no such cat"):
        download_url(f"{served}/dog.png", tmp_path / "b.png")
    with pytest.raises(DataError, match=r"cannot be fetched"):
        download_url("http://127.0.0.1:9/cat.png", tmp_path / "b.png", timeout=2)
    for address in ("file:///etc/hostname", "cat.png", "ftp://a/b.png"):
        with pytest.raises(OptionError, match=r"is no web address"):
            download_url(address, tmp_path / "b.png")
    assert names(tmp_path) == []


def test_a_cut_answer_is_no_file(served, tmp_path):
    with pytest.raises(DataError, match=r"cannot be fetched: the answer ended .* bytes early"):
        download_url(f"{served}/cut.png", tmp_path / "b.png")
    assert names(tmp_path) == []


def test_a_picture_that_is_no_picture_in_size_is_left_out(served, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "LARGEST_PICTURE", 100)
    with pytest.warns(SightlineWarning, match="it has .* bytes, more than 100|larger than 100 bytes"):
        download_images(tmp_path, urls=[f"{served}/cat.png"])
    with pytest.raises(DataError, match="larger than 10 bytes"):
        download_url(f"{served}/cat.png", tmp_path / "b.png", most_bytes=10)
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("..%2F..%2Foutside_cat.png", "outside_cat.png"),
        ("cat.p%5C..%5C..%5Cx", "_cat.p_.._"),
        ("cat.png%00", "cat.png"),
        ("%2Fetc%2Fcat.png", "cat.png"),
        ("NUL.cat", "_NUL.cat"),
        ("cat." + "x" * 5000, "cat." + "x" * 11),
        ("c" * 300 + "cat.png", "c" * 100 + ".png"),
    ],
)
def test_no_address_names_a_file_elsewhere(served, tmp_path, path, name):
    (tmp_path / "in").mkdir()
    found = download_url(f"{served}/{path}", tmp_path / "in")
    assert found.parent == tmp_path / "in"
    assert names(tmp_path) == ["in"]
    assert len(names(tmp_path / "in")) == 1
    if "\\" not in found.name and ".." not in path[4:]:
        assert found.name == name


def test_a_list_is_fetched_and_what_fails_is_named(served, tmp_path):
    urls = [f"{served}/cat1.png", f"{served}/dog.png", f"{served}/cat2", f"{served}/cat1.png", "", "no address"]
    with pytest.warns(
        SightlineWarning, match=r"2 pictures of 4 could not be fetched: .*/dog.png' \(no such cat\), 'no address' \("
    ):
        download_images(tmp_path / "new", urls=urls)
    assert len(names(tmp_path / "new")) == 2
    assert {name.rsplit(".", 1)[1] for name in names(tmp_path / "new")} == {"png", "jpg"}
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "new").iterdir()}
    download_images(tmp_path / "new", urls=urls[:1])
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "new").iterdir()} == before


def test_names_can_be_kept_and_are_made_safe(served, tmp_path):
    draw(tmp_path / "cat.png")
    urls = [
        f"{served}/a/cat.png",
        f"{served}/b/cat.png",
        f"{served}/..%2F..%2Fcat%3Aevil.png",
        f"{served}/.cat?x=1",
        f"{served}/cat.exe",
    ]
    download_images(tmp_path, urls=urls, preserve_filename=True, n_workers=2)
    assert names(tmp_path) == ["cat.jpg", "cat.png", "cat1.jpg", "cat1.png", "cat2.png", "cat_evil.png"]


def test_a_list_may_be_a_file(served, tmp_path):
    (tmp_path / "urls.txt").write_text(f"{served}/cat1.png\n\n{served}/cat2.png\n{served}/cat3.png\n")
    download_images(tmp_path / "a", tmp_path / "urls.txt", max_pics=3)
    assert len(names(tmp_path / "a")) == 2
    for given in ({}, {"urls": [], "url_file": "a"}):
        with pytest.raises(OptionError, match=r"pass urls="):
            download_images(tmp_path, **given)
