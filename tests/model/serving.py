"""A web server on this machine alone, for tests of the zoos' own download code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread


@dataclass
class Served:
    """Files by path, extra headers, where paths lead on to, and the requests that came.

    `cut_off_at` ends every answer after so many bytes; `ranges` lets files be asked for from a byte on; `says_size` is whether
    answers have a length.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    redirections: dict[str, str] = field(default_factory=dict)
    cut_off_at: int | None = None
    ranges: bool = False
    says_size: bool = True
    requests: list[str] = field(default_factory=list)
    address: str = ""


@contextmanager
def serving() -> Iterator[Served]:
    """A server on 127.0.0.1 with a free port; what it serves may change while it runs."""
    served = Served()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            served.requests.append(f"{self.command} {path}")
            content = served.files.get(path)
            if path in served.redirections:
                self.send_response(302)
                self.send_header("Location", served.redirections[path])
                self.end_headers()
                return
            start = self.start() if content is not None else 0
            self.send_response(404 if content is None else 206 if start else 200)
            for name, value in served.headers.items():
                self.send_header(name, value)
            if content is not None and start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
                content = content[start:]
            if served.says_size:
                self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            if with_body and content is not None:
                self.wfile.write(content[: served.cut_off_at])

        def start(self) -> int:
            same = self.headers.get("If-Range") == served.headers.get("ETag")
            return int(self.headers.get("Range", "bytes=0-")[6:-1]) if served.ranges and same else 0

        def log_message(self, *_: object) -> None:
            """Keep the tests' output quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    served.address = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
