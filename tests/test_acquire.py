"""Getting recordings: a link or a file with the promised bytes, or one error and nothing."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest
from conftest import shared_file

from evreel.acquire import fetch
from evreel.errors import EvreelError, SourceError, UsageError
from evreel.outputs import SCRATCH, atomic, start_run

CONTENT = bytes(range(256)) * 9_000  # 2.3 MB: three pieces
MD5 = hashlib.md5(CONTENT).hexdigest()
OTHER = "0" * 32
PAGE = b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"


class Server(http.server.ThreadingHTTPServer):
    """A web server on loopback; `seen` holds the paths and headers that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.done = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, code: int, headers: dict[str, object], body: bytes = b"") -> None:
        self.close_connection = True
        self.send_response(code)
        for name, value in {"Connection": "close", **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self) -> None:
        self.server.seen.append((self.path, dict(self.headers)))
        name = urllib.parse.unquote(self.path.split("?")[0]).lstrip("/")
        length = {"Content-Length": len(CONTENT)}
        if name.isdigit():
            self.answer(int(name), {"Content-Length": 0})
        elif name == "cut":
            self.answer(200, length, CONTENT[:1_500_000])
        elif name == "nothing":
            self.answer(200, length)
        elif name == "stall":
            self.answer(200, length, CONTENT[:1_500_000])
            self.wfile.flush()
            self.server.done.wait(10)
        elif name == "silent":
            self.server.done.wait(10)
            self.close_connection = True
        elif name == "no_http":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
            self.close_connection = True
        elif name == "reset":
            self.answer(200, length, CONTENT[:1000])
            self.wfile.flush()
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
        elif name in ("chunked", "chunked_cut"):
            pieces = [CONTENT[k : k + 700_000] for k in range(0, len(CONTENT), 700_000)]
            body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
            whole = body + b"0\r\n\r\n"
            body = whole if name == "chunked" else whole[:1_500_000]
            self.answer(200, {"Transfer-Encoding": "chunked"}, body)
        elif name == "no_length":
            self.answer(200, {}, CONTENT)
        elif name == "page":
            self.answer(200, {"Content-Length": len(PAGE), "Content-Type": "text/html"}, PAGE)
        elif name == "pointer":
            self.answer(200, {"Content-Length": len(POINTER)}, POINTER)
        elif name == "empty":
            self.answer(200, {"Content-Length": 0})
        elif name == "gzipped":
            body = gzip.compress(CONTENT)
            self.answer(200, {"Content-Length": len(body), "Content-Encoding": "gzip"}, body)
        elif name.startswith("to:"):
            self.answer(302, {"Location": name[3:], "Content-Length": 0})
        else:
            self.answer(200, length, CONTENT)


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
    with Server() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield running
        running.done.set()
        running.shutdown()
        thread.join()


@pytest.fixture
def recording(tmp_path):
    path = tmp_path / "disk" / "park.aedat4"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def refusal(source, folder: Path, error=SourceError, **options) -> str:
    """Return the message of a refusal that leaves nothing, not even a part."""
    folder.mkdir(exist_ok=True)
    before = sorted(folder.iterdir())
    with pytest.raises(error) as raised:
        fetch(source, folder / "got.aedat4", **options)
    assert sorted(folder.iterdir()) == before
    assert type(raised.value) is error
    return str(raised.value)


# A local source


def test_local__becomes_a_relative_link_that_moves_with_the_project(tmp_path, recording):
    project = tmp_path / "project"
    project.mkdir()
    (tmp_path / "disk").rename(project / "disk")
    link = project / "results" / "recordings" / "park.aedat4"
    link.parent.mkdir(parents=True)
    assert fetch(str(project / "disk" / "park.aedat4"), link, md5=MD5) == MD5
    assert link.readlink() == Path("../../disk/park.aedat4")
    project.rename(tmp_path / "moved")
    assert (tmp_path / "moved/results/recordings/park.aedat4").read_bytes() == CONTENT


def test_local__of_a_path_relative_to_the_working_directory(tmp_path, recording, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    for k, source in enumerate(("../disk/park.aedat4", Path("../disk/park.aedat4"))):
        link = tmp_path / "results" / f"{k}"
        fetch(source, link)
        assert link.readlink() == Path("../disk/park.aedat4")


def test_local__linked_in_a_scratch_folder_is_right_where_it_lands(tmp_path, recording):
    final = tmp_path / "results" / "recordings" / "park.aedat4"
    start_run(tmp_path / "results")
    with atomic(final) as (scratch,):
        assert scratch.parent.parent == tmp_path / "results" / SCRATCH
        fetch(recording, scratch, md5=MD5, final=final)
    assert final.readlink() == Path("../../disk/park.aedat4")
    assert final.read_bytes() == CONTENT


def test_local__is_found_where_the_results_are_reached_by_a_link(tmp_path, recording):
    (tmp_path / "far" / "away" / "results").mkdir(parents=True)
    (tmp_path / "results").symlink_to("far/away/results")
    link = tmp_path / "results" / "park.aedat4"
    fetch(recording, link)
    assert link.read_bytes() == CONTENT
    assert not link.readlink().is_absolute()


def test_local__keeps_to_links_on_the_way_to_the_source(tmp_path, recording):
    (tmp_path / "data").symlink_to("disk")
    (tmp_path / "annexed.aedat4").symlink_to("disk/park.aedat4")
    for source in (tmp_path / "data" / "park.aedat4", tmp_path / "annexed.aedat4"):
        link = tmp_path / f"link_{source.name}"
        fetch(source, link)
        assert link.readlink() == source.relative_to(tmp_path)
        assert link.read_bytes() == CONTENT


def test_local__with_dots_behind_a_link_is_the_file_that_the_system_means(tmp_path, recording):
    (tmp_path / "disk" / "inner").mkdir()
    (tmp_path / "data").symlink_to("disk/inner")
    source = tmp_path / "data" / ".." / "park.aedat4"
    assert source.read_bytes() == CONTENT
    fetch(source, tmp_path / "link")
    assert (tmp_path / "link").read_bytes() == CONTENT


@pytest.mark.parametrize("prefix", ["file://", "file://localhost", "FILE://"])
def test_local__may_be_a_file_url(tmp_path, prefix):
    source = tmp_path / "Straße 1#.aedat4"
    source.write_bytes(CONTENT)
    url = prefix + urllib.parse.quote(str(source))
    assert fetch(url, tmp_path / "link", md5=MD5.upper()) == MD5
    assert (tmp_path / "link").readlink() == Path(source.name)


def test_local__without_a_known_md5_tells_it(tmp_path, recording):
    assert fetch(recording, tmp_path / "link") == MD5


def test_local__that_is_another_version_says_expected_got_and_what_to_do(tmp_path, recording):
    message = refusal(recording, tmp_path / "out", md5=OTHER)
    assert message == (
        f"{recording}: md5 is {MD5} (2,304,000 bytes), expected {OTHER}: it is another version, "
        "or was damaged. Compare with the data set's page; if this version is meant, write its "
        "md5 instead."
    )


def test_local__that_can_not_be_had_is_named_with_a_reason(tmp_path, recording, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    assert refusal("disk/pork.aedat4", out).startswith(
        "disk/pork.aedat4: can't be read: No such file or directory. Mind that a relative path"
    )
    assert "Is a directory. Name one file in it." in refusal("disk", out)
    (tmp_path / "annexed.aedat4").symlink_to("objects/1234")
    assert "It is a link to objects/1234, which is not there." in refusal("annexed.aedat4", out)
    (tmp_path / "circle").symlink_to("circle")
    assert "circle: can't be read: " in refusal("circle", out)
    assert "circle: can't be read: " in refusal("disk/park.aedat4/deeper/circle", out)
    assert "can't be read: File name too long" in refusal("x" * 300, out)


def test_local__that_may_not_be_read_is_named(tmp_path, recording, monkeypatch):
    def refuse(self, *_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    message = refusal(recording, tmp_path / "out")
    assert "park.aedat4: can't be read: Permission denied. Ask its owner" in message


def test_local__that_is_a_pipe_is_refused_without_waiting(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert "pipe: is no file" in refusal(tmp_path / "pipe", tmp_path / "out")


def test_local__that_is_no_recording_is_refused_even_without_an_md5(tmp_path):
    for content, cause in ((b"", "is empty"), (PAGE, "HTML page"), (POINTER, "Git LFS pointer")):
        (tmp_path / "x").write_bytes(content)
        assert cause in refusal(tmp_path / "x", tmp_path / "out")
        assert cause in refusal(tmp_path / "x", tmp_path / "out", md5=OTHER)
        promised = hashlib.md5(content).hexdigest()
        fetch(tmp_path / "x", tmp_path / f"link_{promised}", md5=promised)


def test_local__is_never_replaced_by_a_link_to_itself(tmp_path, recording):
    elsewhere = tmp_path / "elsewhere.aedat4"
    elsewhere.symlink_to(recording)
    for source in (recording, elsewhere):
        for final in (recording, tmp_path / "disk" / ".." / "disk" / "park.aedat4"):
            message = refusal(source, tmp_path / "out", UsageError, final=final)
            assert "is where its own link would stand" in message
    message = refusal(elsewhere, tmp_path / "out", UsageError, final=elsewhere)
    assert "is where its own link would stand" in message
    assert recording.read_bytes() == CONTENT
    assert not recording.is_symlink()


# A url


def test_url__becomes_a_file(tmp_path, server):
    assert fetch(f"{server.url}/park.aedat4", tmp_path / "got", md5=MD5) == MD5
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert not (tmp_path / "got").is_symlink()
    assert server.seen[0][1]["User-Agent"].startswith("evreel/")


@pytest.mark.parametrize("name", ["chunked", "no_length"])
def test_url__may_keep_its_length_to_itself(tmp_path, server, name):
    reports = []
    fetch(
        f"{server.url}/{name}", tmp_path / "got", md5=MD5, progress=lambda *at: reports.append(at)
    )
    assert (tmp_path / "got").read_bytes() == CONTENT
    assert {total for _, total in reports} == {None}


def test_url__is_sent_as_the_wire_needs_it(tmp_path, server):
    fetch(f"{server.url}/Straße 1/a%20b.aedat4?x=1&y=ä#top", tmp_path / "got")
    assert server.seen[0][0] == "/Stra%C3%9Fe%201/a%20b.aedat4?x=1&y=%C3%A4"


def test_url__follows_a_redirect_to_another_address_of_the_web(tmp_path, server):
    assert fetch(f"{server.url}/to:{server.url}/park", tmp_path / "got") == MD5


@pytest.mark.parametrize("target", ["ftp://127.0.0.1/x", "file:///etc/hostname", "data:,x"])
def test_url__follows_no_redirect_out_of_the_web(tmp_path, server, target):
    message = refusal(f"{server.url}/to:{target}", tmp_path / "out")
    assert message.startswith(f"{server.url}/to:{target}: ")


def test_url__that_redirects_in_a_circle_is_one_error(tmp_path, server):
    url = f"{server.url}/to:?"  # which is an address relative to itself
    assert f"{url}: the server answers 302" in refusal(url, tmp_path / "out")
    assert len(server.seen) > 1


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (404, "Look its address up"),
        (410, "taken down"),
        (401, "needs a login"),
        (403, "needs a login or is closed"),
        (429, "fewer downloads at once"),
        (500, "Try again later"),
        (503, "Try again later"),
    ],
)
def test_url__that_the_server_refuses_says_what_to_do(tmp_path, server, code, hint):
    message = refusal(f"{server.url}/{code}", tmp_path / "out")
    assert message.startswith(f"{server.url}/{code}: the server answers {code} ")
    assert hint in message


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("cut", "the transfer was cut: 1,500,000 of 2,304,000 bytes came. Try again."),
        ("nothing", "the transfer was cut: 0 of 2,304,000 bytes came. Try again."),
        ("chunked_cut", "the transfer was cut. Try again."),
        ("no_http", "what answers is no web server (BadStatusLine)"),
        ("reset", "the server broke the connection off"),
        ("page", "it is an HTML page, probably for a login or an error. Open the address in"),
        ("pointer", "it is a Git LFS pointer"),
        ("empty", "it is empty"),
    ],
)
def test_url__that_breaks_off_or_is_no_file_leaves_nothing(tmp_path, server, name, problem):
    message = refusal(f"{server.url}/{name}", tmp_path / "out")
    assert message.startswith(f"{server.url}/{name}: {problem}")


@pytest.mark.parametrize("name", ["cut", "chunked_cut"])
def test_url__cut_short_says_so_before_any_md5(tmp_path, server, name):
    message = refusal(f"{server.url}/{name}", tmp_path / "out", md5=MD5)
    assert "the transfer was cut" in message
    assert "md5" not in message


@pytest.mark.parametrize("name", ["stall", "silent"])
def test_url__that_falls_silent_is_given_up(tmp_path, server, name):
    message = refusal(f"{server.url}/{name}", tmp_path / "out", timeout_s=0.2)
    assert message.startswith(f"{server.url}/{name}: nothing came for 0.2 s. Try again later")


def test_url__where_nobody_listens_is_named(tmp_path, server):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/x"
        message = refusal(url, tmp_path / "out")
    assert message.startswith(f"{url}: the connection is refused. Check the address")


def test_url__of_an_unknown_host_is_named(tmp_path, monkeypatch):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    message = refusal("http://no.such.host/x", tmp_path / "out")
    assert message.startswith("http://no.such.host/x: its host is not known. Look for a slip")


def test_url__that_speaks_no_tls_is_one_error(tmp_path, server):
    url = server.url.replace("http:", "https:")
    assert refusal(f"{url}/x", tmp_path / "out").startswith(f"{url}/x: can't be reached: ")


@pytest.mark.parametrize(
    ("name", "cause"),
    [
        ("park", "it is another version, or was damaged"),
        ("page", "it is an HTML page"),
        ("pointer", "it is a Git LFS pointer"),
        ("empty", "it is empty"),
        ("gzipped", "the server sent it gzip-encoded"),
    ],
)
def test_url__with_other_bytes_says_expected_got_and_the_likely_cause(
    tmp_path, server, name, cause
):
    message = refusal(f"{server.url}/{name}", tmp_path / "out", md5=OTHER)
    assert message.startswith(f"{server.url}/{name}: md5 is ")
    assert f"expected {OTHER}: {cause}" in message


def test_url__with_other_bytes_keeps_what_stood_there(tmp_path, server):
    final = tmp_path / "park.aedat4"
    final.write_bytes(b"verified before")
    with pytest.raises(SourceError), atomic(final) as (scratch,):
        fetch(f"{server.url}/park", scratch, md5=OTHER, final=final)
    assert final.read_bytes() == b"verified before"
    assert sorted(tmp_path.iterdir()) == [final]


def test_url__is_not_written_over_a_file(tmp_path, server):
    (tmp_path / "got").write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        fetch(f"{server.url}/park", tmp_path / "got")
    assert (tmp_path / "got").read_bytes() == b"mine"


def test_url__on_a_full_disk_leaves_no_part(tmp_path, server, monkeypatch):
    opened = Path.open

    class Full:
        def __init__(self, file):
            self.file = file

        def __enter__(self):
            self.file.__enter__()
            return self

        def __exit__(self, *error):
            return self.file.__exit__(*error)

        def write(self, piece):
            self.file.write(piece[:10])
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", lambda self, *mode: Full(opened(self, *mode)))
    message = refusal(f"{server.url}/park", tmp_path / "out")
    assert "can't be written to got.aedat4: No space left on device" in message


def test_url__stopped_by_the_user_leaves_no_part(tmp_path, server):
    def stop(done, total):
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server.url}/park", tmp_path / "got", progress=stop)
    assert list(tmp_path.iterdir()) == []


def test_url__takes_memory_for_a_piece_not_for_the_whole(tmp_path, server):
    source = tmp_path / "long"
    with source.open("wb") as file:
        file.truncate(100 << 20)
    code = """
import http.server, resource, sys, threading
from evreel.acquire import fetch
class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
fetch(f"http://127.0.0.1:{server.server_port}/long", "got")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 30_000, "kilobytes beyond those before the download of 100 MB"


# Progress, and calls that are wrong


@pytest.mark.parametrize("local", [True, False])
def test_progress__counts_up_to_the_whole(tmp_path, server, recording, local):
    reports = []
    fetch(
        recording if local else f"{server.url}/park",
        tmp_path / "got",
        progress=lambda done, total: reports.append((done, total)),
    )
    done = [done for done, _ in reports]
    assert done == sorted(set(done))
    assert (done[0], done[-1]) == (0, len(CONTENT))
    assert len(done) > 3
    assert {total for _, total in reports} == {len(CONTENT)}


@pytest.mark.parametrize(
    ("md5", "looks"),
    [
        ("", ""),
        ("d41d8cd98f00b204e9800998ecf8427", ""),
        ("g" * 32, ""),
        (f" {OTHER}", ""),
        (f"{OTHER}\n", ""),
        ("a" * 40, "SHA-1"),
        ("a" * 64, "SHA-256"),
    ],
)
def test_md5__that_is_none_is_refused_before_anything_is_read(tmp_path, server, md5, looks):
    message = refusal(f"{server.url}/park", tmp_path / "out", UsageError, md5=md5)
    assert f"md5 {md5!r} is not 32 hexadecimal digits" in message
    assert looks in message
    assert server.seen == []


@pytest.mark.parametrize(
    ("source", "problem"),
    [
        ("ftp://example.org/x", "is of scheme ftp; http, https, file and plain paths"),
        ("data:text/plain,x", "is of scheme data"),
        ("s3://bucket/x", "is of scheme s3"),
        ("ssh+x://host/x", "is of scheme ssh+x"),
        ("rec:1.aedat4", "a file of that name is ./rec:1.aedat4"),
        ("", "is no path and no url"),
        ("a\0b", "is no path and no url"),
        ("http:///x", "names no host"),
        ("https:x", "names no host"),
        ("http://[::1/x", "is no url"),
        ("http://host:port/x", "is no url"),
        ("http://" + "ä" * 70 + ".org/x", "names no host"),
        ("file://server/share/x", "is no file of this machine"),
        ("file:x", "is no file of this machine"),
        ("file:///a%00b", "is no file of this machine"),
        ("file:///a#b", "has a ? or # in it"),
        ("file:///a?b", "has a ? or # in it"),
    ],
)
def test_source__of_another_kind_is_refused(tmp_path, source, problem):
    assert problem in refusal(source, tmp_path / "out", UsageError)


def test_source__with_a_password_is_refused_without_showing_it(tmp_path):
    message = refusal("https://ann:secret@example.org/x", tmp_path / "out", UsageError)
    assert "the url at example.org has a user name in it" in message
    assert "secret" not in message


def test_errors__of_every_kind_are_evreels(tmp_path):
    assert issubclass(SourceError, EvreelError)
    assert (SourceError.exit_code, UsageError.exit_code) == (1, 2)


def test_real_recording__is_linked_with_the_md5_of_its_bytes(tmp_path):
    source = shared_file("recordings/aestream_davis.aedat4")
    md5 = hashlib.md5(source.read_bytes()).hexdigest()
    assert fetch(str(source), tmp_path / "link", md5=md5) == md5
    assert (tmp_path / "link").resolve() == source.resolve()
