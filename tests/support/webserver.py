"""A web server on loopback that behaves, or misbehaves in the ways that servers do."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import http.server
import re
import socket
import threading
import urllib.parse
from collections.abc import Callable, Iterator

CONTENT = bytes(range(256)) * 9_000  # 2.3 MB: three pieces
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
CHANGED = CONTENT[::-1]
PAGE = b"\n<!DOCTYPE html>\n<html><body>Please log in</body></html>"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 12\n"
HALF = 1_500_000


class Server(http.server.ThreadingHTTPServer):
    """Answers by the name that is asked for, after what `script` has for that name.

    `seen` holds the paths and headers that were asked for, `contents` the bytes of further names.
    Each request for a name takes the first entry of its list in `script`: the name of another
    behaviour, so that ``{"park": ["cut", "503"]}`` cuts, then refuses, then sends.
    """

    daemon_threads = True
    request_queue_size = 32

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.script: dict[str, list[str]] = {}
        self.contents: dict[str, bytes] = {}
        self.validators: dict[str, str] = {"ETag": '"one"'}
        self.done = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request, client_address) -> None:
        """Say nothing of clients that hang up."""

    def ranges(self) -> list[str | None]:
        """Return which part each request asked for."""
        return [headers.get("Range") for _, headers in self.seen]


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
        content = self.server.contents.get(name, CONTENT)
        behaviour, _, argument = name.partition(":")
        if self.server.script.get(name):
            behaviour, _, argument = self.server.script[name].pop(0).partition(":")
        if behaviour.isdigit():
            asked = {"Retry-After": argument} if argument else {}
            self.answer(int(behaviour), {"Content-Length": 0, **asked})
        elif behaviour == "to":
            self.answer(302, {"Location": argument, "Content-Length": 0})
        else:
            getattr(self, f"send_{behaviour}", self.send_whole)(content)

    def part(self, content: bytes) -> tuple[int, dict[str, object], bytes]:
        """Return status, headers and body of an answer that keeps to the rules."""
        headers = {"Accept-Ranges": "bytes", **self.server.validators}
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        same = self.headers.get("If-Range") in (None, *self.server.validators.values())
        if asked is None or not same:
            return 200, {**headers, "Content-Length": len(content)}, content
        start = int(asked[1])
        if start >= len(content):
            whole = {"Content-Range": f"bytes */{len(content)}", "Content-Length": 0}
            return 416, {**headers, **whole}, b""
        told = f"bytes {start}-{len(content) - 1}/{len(content)}"
        body = content[start:]
        return 206, {**headers, "Content-Range": told, "Content-Length": len(body)}, body

    def send_whole(self, content: bytes) -> None:
        self.answer(*self.part(content))

    def first(self, content: bytes) -> None:
        """Send the head, and the first of the body up to byte `HALF` of the file."""
        code, headers, body = self.part(content)
        start = len(content) - len(body)
        self.answer(code, headers, body[: max(0, HALF - start)])
        self.wfile.flush()

    send_cut = first

    def send_crumb(self, content: bytes) -> None:
        """Send a tenth of the file at most."""
        code, headers, body = self.part(content)
        self.answer(code, headers, body[: len(content) // 10])

    def send_nothing(self, content: bytes) -> None:
        self.answer(200, {"Content-Length": len(content)})

    def send_stall(self, content: bytes) -> None:
        self.first(content)
        self.server.done.wait(20)

    def send_trickle(self, content: bytes) -> None:
        """Send byte by byte."""
        code, headers, body = self.part(content)
        self.answer(code, headers)
        for k in range(1000):
            self.wfile.write(body[k : k + 1])
            if self.server.done.wait(0.02):
                return

    def send_silent(self, _: bytes) -> None:
        self.server.done.wait(20)
        self.close_connection = True

    def send_no_http(self, _: bytes) -> None:
        self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        self.close_connection = True

    def send_hang_up(self, _: bytes) -> None:
        self.close_connection = True

    def send_reset(self, content: bytes) -> None:
        self.first(content)
        linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()
        self.close_connection = True

    def send_rangeless(self, content: bytes) -> None:
        self.answer(200, {"Content-Length": len(content)}, content)

    def send_rangeless_cut(self, content: bytes) -> None:
        self.answer(200, {"Content-Length": len(content)}, content[:HALF])

    def send_long_lie(self, content: bytes) -> None:
        """Claim more than there is."""
        self.answer(200, {"Content-Length": len(content) + 1}, content)

    def send_short_lie(self, content: bytes) -> None:
        """Claim less than there is."""
        self.answer(200, {"Content-Length": len(content) - 1}, content)

    def send_wrong(self, content: bytes) -> None:
        """Send other bytes of the right length."""
        self.answer(200, {"Content-Length": len(content)}, content[::-1])

    def send_wrong_rest(self, content: bytes) -> None:
        """Send the right part with other bytes."""
        code, headers, body = self.part(content)
        self.answer(code, headers, bytes(len(body)))

    def send_other_part(self, content: bytes) -> None:
        """Send a part that was not asked for."""
        told = f"bytes 7-{len(content) - 1}/{len(content)}"
        body = content[7:]
        self.answer(206, {"Content-Range": told, "Content-Length": len(body)}, body)

    def send_other_total(self, content: bytes) -> None:
        """Send the right part of a file that has another size."""
        code, headers, body = self.part(content + b"x")
        self.answer(code, headers, body)

    def send_star_total(self, content: bytes) -> None:
        """Send the right part, but not what the whole has."""
        code, headers, body = self.part(content)
        told = str(headers["Content-Range"]).partition("/")[0]
        self.answer(code, {**headers, "Content-Range": f"{told}/*"}, body)

    def send_half_part(self, content: bytes) -> None:
        """Send less than was asked for, and say so."""
        code, headers, body = self.part(content)
        start = len(content) - len(body)
        told = f"bytes {start}-{len(content) - 8}/{len(content)}"
        about = {"Content-Range": told, "Content-Length": len(body) - 7}
        self.answer(code, {**headers, **about}, body[:-7])

    def send_unsatisfiable(self, _: bytes) -> None:
        self.answer(416, {"Content-Length": 0})

    def send_chunked(self, content: bytes, most: int | None = None) -> None:
        pieces = [content[k : k + 700_000] for k in range(0, len(content), 700_000)]
        body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
        self.answer(200, {"Transfer-Encoding": "chunked"}, body[:most])

    def send_chunked_endless(self, content: bytes) -> None:
        self.send_chunked(content, -len(b"0\r\n\r\n"))

    def send_chunked_cut(self, content: bytes) -> None:
        self.send_chunked(content, HALF)

    def send_no_length(self, content: bytes) -> None:
        self.answer(200, {}, content)

    def send_page(self, _: bytes) -> None:
        self.answer(200, {"Content-Length": len(PAGE), "Content-Type": "text/html"}, PAGE)

    def send_pointer(self, _: bytes) -> None:
        self.answer(200, {"Content-Length": len(POINTER)}, POINTER)

    def send_empty(self, _: bytes) -> None:
        self.answer(200, {"Content-Length": 0})

    def send_gzipped(self, content: bytes) -> None:
        body = gzip.compress(content)
        self.answer(200, {"Content-Length": len(body), "Content-Encoding": "gzip"}, body)


@contextlib.contextmanager
def running() -> Iterator[Server]:
    """Give a server that runs meanwhile."""
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server
        finally:
            server.done.set()
            server.shutdown()
            thread.join()


Answer = bytes | Callable[[socket.socket, threading.Event], None]
"""Bytes to send, or a function that sends them, and stops when the event is set."""


class RawServer:
    """Sends given bytes as its answers, whatever was asked for: one answer per connection.

    `answers` are given in turn, the last one again and again; `seen` holds the heads of requests.
    """

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.seen: list[bytes] = []
        self._done = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}/park"
        self._serving = threading.Thread(target=self._serve, daemon=True)
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> RawServer:
        self._serving.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in (self._serving, *self._threads):
            thread.join()

    def answer(self, head: bytes) -> Answer:
        """Return the answer to a request."""
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def _serve(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listening.accept()
                thread = threading.Thread(target=self._talk, args=(connection,), daemon=True)
                self._threads = [*filter(threading.Thread.is_alive, self._threads), thread]
                thread.start()

    def _talk(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):  # of clients that hang up
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = connection.recv(4096)
                if not piece:
                    return
                head += piece
            self.seen.append(head)
            answer = self.answer(head)
            if isinstance(answer, bytes):
                connection.sendall(answer)
            else:
                answer(connection, self._done)


def dripped(data: bytes, pause_s: float = 0.01, at_once: bytes = b"") -> Answer:
    """Return an answer that begins at once and then goes on byte by byte, again and again."""

    def send(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(at_once)
        while not done.wait(pause_s):
            for byte in data:
                connection.sendall(bytes([byte]))
                if done.wait(pause_s):
                    return

    return send


def flooded(data: bytes, at_once: bytes = b"") -> Answer:
    """Return an answer that goes on without end, as fast as it can."""

    def send(connection: socket.socket, done: threading.Event) -> None:
        connection.sendall(at_once)
        while not done.is_set():
            connection.sendall(data)

    return send
