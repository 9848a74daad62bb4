"""Downloads from a local server that stops midway, resumes, refuses, and sends wrong data."""

import hashlib
import http.server
import threading

import pytest

from tinyconv.data.download import download
from tinyconv.errors import UserError

CONTENT = bytes(range(256)) * 4000  # about a megabyte
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT; class attributes set its faults and record the Range headers."""

    break_after: int | None = None
    supports_ranges = True
    requests: list[str | None] = []

    def do_GET(self):
        range_header = self.headers.get("Range")
        self.requests.append(range_header)
        if self.path == "/missing":
            self.send_error(404)
            return
        start = 0
        if range_header and self.supports_ranges:
            start = int(range_header.removeprefix("bytes=").rstrip("-"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        body = CONTENT[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: self.break_after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    """The address of a fresh server on this machine."""
    Server.break_after, Server.supports_ranges, Server.requests = None, True, []
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    thread.join()
    running.server_close()


def test_whole_and_only_once(server):
    path = download(f"{server}/data.zip", SHA256)
    assert path.read_bytes() == CONTENT
    assert download(f"{server}/data.zip", SHA256) == path
    assert Server.requests == [None]


@pytest.mark.parametrize("supports_ranges", [True, False])
def test_resumes_an_incomplete_download(server, supports_ranges):
    Server.break_after, Server.supports_ranges = 300_000, supports_ranges
    with pytest.raises(UserError, match=r"cannot be downloaded.*--root"):
        download(f"{server}/data.zip", SHA256)
    Server.break_after = None
    assert download(f"{server}/data.zip", SHA256).read_bytes() == CONTENT
    assert Server.requests == [None, "bytes=300000-"]


def test_a_whole_part_is_not_fetched_again(server, tmp_path):
    path = download(f"{server}/data.zip", SHA256)
    path.rename(path.with_name(path.name + ".part"))
    assert download(f"{server}/data.zip", SHA256).read_bytes() == CONTENT


def test_a_wrong_checksum_keeps_nothing(server, tmp_path):
    with pytest.raises(UserError, match=f"its SHA-256 is {SHA256}, expected 0000"):
        download(f"{server}/data.zip", "0" * 64)
    assert not list((tmp_path / "cache" / "downloads").iterdir())


def test_a_missing_file_and_a_dead_server(server):
    with pytest.raises(UserError, match="Not Found"):
        download(f"{server}/missing", SHA256)
    with pytest.raises(UserError, match="cannot be downloaded"):
        download("http://127.0.0.1:9/data.zip", SHA256)


def test_same_name_from_two_places(server):
    """Fashion-MNIST's files have the same names as MNIST's."""
    first = download(f"{server}/a/data.gz", SHA256)
    with pytest.raises(UserError, match="has the wrong checksum"):
        download(f"{server}/b/data.gz", "1" * 64)
    assert first.read_bytes() == CONTENT
