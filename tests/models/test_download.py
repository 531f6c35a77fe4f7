"""Downloads: fetched once and checked; failures of the network are named."""

import hashlib
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from edgerd.errors import DownloadError, StorageError
from edgerd.models import download as module
from edgerd.models.download import download
from edgerd.models.teachers.teacher import Download
from edgerd.paths import cache_folder

CONTENT = bytes(range(256)) * 3000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for every answer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        kind = self.path.split("/")[1]
        if kind == "missing":
            self.send_error(404)
            return
        self.send_response(200)
        if kind == "chunked":
            self.send_header("Transfer-Encoding", "chunked")
        elif kind != "unsized":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        if kind == "chunked":
            self.wfile.write(b"fffff\r\n" + CONTENT[:1000])
        elif kind == "half":
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
        elif kind == "stuck":
            self.wfile.write(CONTENT[:1000])
            self.wfile.flush()
            self.server.go_on.wait(10)
        else:
            self.wfile.write(CONTENT)

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.asked, server.go_on = [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.go_on.set()
    server.shutdown()
    server.server_close()
    thread.join()


def address(server, kind="whole"):
    return f"http://127.0.0.1:{server.server_port}/{kind}/net.pth"


def test_a_file_is_fetched_checked_and_kept(server, tmp_path):
    folder = tmp_path / "not" / "there" / "yet"
    told = []
    file = download(Download(address(server), SHA256[:8]), folder, lambda done, total: told.append((done, total)))
    assert file == folder / "net.pth"
    assert file.read_bytes() == CONTENT
    assert [entry.name for entry in folder.iterdir()] == ["net.pth"]
    assert told[-1] == (len(CONTENT), len(CONTENT))
    assert [done for done, _ in told] == sorted({done for done, _ in told})


def test_a_server_that_names_no_length_is_no_problem(server, tmp_path):
    told = []
    file = download(Download(address(server, "unsized"), SHA256[:8]), tmp_path, lambda *args: told.append(args))
    assert file.read_bytes() == CONTENT
    assert told[-1] == (len(CONTENT), None)


def test_the_second_time_it_comes_from_the_cache(server, tmp_path):
    source = Download(address(server), SHA256[:8])
    assert download(source, tmp_path) == download(source, tmp_path)
    assert len(server.asked) == 1


def test_a_cached_file_that_was_damaged_is_fetched_again(server, tmp_path):
    source = Download(address(server), SHA256[:8])
    download(source, tmp_path).write_bytes(CONTENT[:1000])
    assert download(source, tmp_path).read_bytes() == CONTENT
    assert len(server.asked) == 2


def test_another_file_than_expected_is_refused_and_not_kept(server, tmp_path):
    with pytest.raises(DownloadError, match=f"begins with {SHA256[:8]}") as caught:
        download(Download(address(server), "00000000"), tmp_path)
    assert caught.value.expected == "00000000"
    assert "--teacher-weights FILE" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("missing", "404"),
        ("half", f"broke off after {len(CONTENT) // 2} of {len(CONTENT)} bytes"),
        ("chunked", "IncompleteRead"),
        ("stuck", "timed out"),
    ],
)
def test_a_download_that_fails_names_the_ways_out_and_leaves_nothing(server, tmp_path, monkeypatch, kind, reason):
    monkeypatch.setattr(module, "_TIMEOUT_S", 0.2)
    with pytest.raises(DownloadError, match=reason) as caught:
        download(Download(address(server, kind), SHA256[:8]), tmp_path)
    assert address(server, kind) in caught.value.what
    assert "net.pth" in caught.value.hint
    assert "--teacher-weights FILE" in caught.value.hint
    assert "--teacher lite0" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_no_network_names_the_ways_out(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))  # taken, and nobody listens
        source = Download(f"http://127.0.0.1:{free.getsockname()[1]}/net.pth", SHA256[:8])
        with pytest.raises(DownloadError, match=r"could not be fetched: .*refused") as caught:
            download(source, tmp_path)
    assert caught.value.exit_code == 1
    assert "--teacher-weights FILE" in caught.value.hint
    assert "--teacher lite0" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_no_fault_of_the_network(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file") as caught:
        download(Download(address(server), SHA256[:8]), tmp_path / "file" / "cache")
    assert "XDG_CACHE_HOME" in caught.value.hint


def test_the_cache_is_where_the_platform_keeps_it(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "edgerd"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / ".cache" / "edgerd"
