"""Files from the web are fetched whole or not at all, from where they may come, and no larger than they may be."""

from __future__ import annotations

import gc
import hashlib
import shutil

import pytest

from model.serving import serving
from sightline import web
from sightline.web import fetch, is_this_machine, refuse_address

CONTENT = bytes(range(256)) * 400


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(web, "CHUNK", 1000)
    with serving() as served:
        served.files["/a.bin"] = CONTENT
        yield served
    gc.collect()


def fetched(server, folder, path="/a.bin", **options):
    target = folder / "new" / "a.bin"
    fetch(f"{server.address}{path}", target, **{"most_bytes": 1 << 20, "timeout": 5, **options})
    return target


def nothing_in(folder):
    return [path for path in folder.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("says_size", [True, False])
def test_a_file_is_fetched_whole(server, tmp_path, says_size):
    server.says_size = says_size
    told = []
    target = fetched(server, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest(), progress=lambda *one: told.append(one))
    assert target.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), len(CONTENT) if says_size else None)


def test_another_content_of_the_same_size_is_refused(server, tmp_path):
    server.files["/a.bin"] = CONTENT[:-1] + b"!"
    with pytest.raises(OSError, match="its content is not what was published: the SHA-256 begins with"):
        fetched(server, tmp_path, sha256=hashlib.sha256(CONTENT).hexdigest()[:8])
    assert nothing_in(tmp_path)


@pytest.mark.parametrize("cut_off_at", [0, 1, 50_000])
def test_what_breaks_off_and_cannot_go_on_is_refused(server, tmp_path, cut_off_at):
    server.cut_off_at = cut_off_at
    with pytest.raises(OSError, match=f"ended {len(CONTENT) - cut_off_at:,} bytes early"):
        fetched(server, tmp_path)
    assert nothing_in(tmp_path)


def test_what_breaks_off_goes_on_where_the_server_can(server, tmp_path):
    server.cut_off_at, server.ranges = 30_000, True
    server.headers |= {"ETag": '"one"', "Accept-Ranges": "bytes"}
    assert fetched(server, tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 4


def test_a_file_that_changed_meanwhile_begins_anew(server, tmp_path, monkeypatch):
    server.cut_off_at, server.ranges = 60_000, True
    server.headers |= {"ETag": '"one"', "Accept-Ranges": "bytes"}
    other = CONTENT[::-1]

    def change(there, total):
        if there == 60_000 and len(server.requests) == 1:
            server.files["/a.bin"], server.cut_off_at = other, None
            server.headers["ETag"] = '"two"'

    assert fetched(server, tmp_path, progress=change).read_bytes() == other


@pytest.mark.parametrize("says_size", [True, False])
def test_what_is_too_large_is_refused(server, tmp_path, says_size):
    server.says_size = says_size
    with pytest.raises(OSError, match=r"102,400 bytes, more than 100,000|larger than 100,000"):
        fetched(server, tmp_path, most_bytes=100_000)
    assert nothing_in(tmp_path)


def test_what_the_disk_has_no_room_for_is_not_begun(server, tmp_path, monkeypatch):
    monkeypatch.setattr(web.shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(1, 1, 5000))
    with pytest.raises(OSError, match="has 102,400 bytes, and the disk has room for 5,000"):
        fetched(server, tmp_path)
    assert nothing_in(tmp_path)


@pytest.mark.parametrize("schemes", [("https",), ("https", "http")])
@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/a", "data:text/plain,a"])
def test_nothing_leads_to_other_places(server, tmp_path, schemes, to):
    server.redirections["/a.bin"] = to
    with pytest.raises(OSError, match=r"leads to|not allowed"):
        fetched(server, tmp_path, schemes=schemes)
    assert nothing_in(tmp_path)


def test_a_few_redirections_are_followed_and_no_more(server, tmp_path):
    server.redirections = {"/b": f"{server.address}/c", "/c": "/a.bin", "/round": "/round"}
    assert fetched(server, tmp_path, "/b").read_bytes() == CONTENT
    with pytest.raises(OSError, match="redirect"):
        fetched(server, tmp_path, "/round")


def test_a_missing_file_is_told_and_the_old_one_stays(server, tmp_path):
    target = fetched(server, tmp_path)
    with pytest.raises(OSError, match="404"):
        fetched(server, tmp_path, "/none.bin")
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["a.bin"]


@pytest.mark.parametrize(
    ("url", "schemes", "before"),
    [
        ("http://example.org/a", ("https",), None),
        ("http://example.org/a", ("https",), "https://example.org/b"),
        ("http://example.org/a", ("https", "http"), "https://example.org/b"),
        ("http://127.0.0.1/a", ("https",), "https://example.org/b"),
        ("https:///a", ("https",), None),
        ("", ("https",), None),
    ],
)
def test_what_is_not_trusted(url, schemes, before):
    with pytest.raises(OSError, match=r"trusted|leads away"):
        refuse_address(url, schemes, before)


def test_what_is_this_machine():
    assert all(map(is_this_machine, ["http://127.0.0.1:80/a", "http://localhost/a", "http://[::1]/a", "http://127.1.2.3/"]))
    assert not any(
        map(is_this_machine, ["http://127.0.0.1.example.org/", "http://example.org/127.0.0.1", "a", "http://10.0.0.1/"])
    )
