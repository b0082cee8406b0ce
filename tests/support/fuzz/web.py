"""Answers of broken and hostile servers, drawn at random: whatever they are, these rules hold.

- A download ends within a bound of time, in `SourceError` or in a file.
- With a sum, the file is the right one.
- Without, it is a whole version of the file, as long as the framing of an answer or its validators
  tell what is wrong. Answers that lie so that nothing shows it are drawn only where there is a sum.

All servers are on loopback. Downloads end ``right``, or ``refused``.
"""

from __future__ import annotations

import hashlib
import os
import re
import socket
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from evreel.acquire import Patience, fetch
from evreel.errors import SourceError
from support.fuzz.damage import damaged
from support.webserver import Answer, RawServer

PATIENCE = Patience(timeout_s=0.25, attempts=2, most_attempts=6, sleep=lambda _: None)
LONGEST_S = 20.0
"""Six requests, each of up to three phases, and a slow machine."""

Rng = np.random.Generator
Headers = list[tuple[str, str]]
NUMBERS = ["", "-1", "+7", "0", "1", "0x10", "1_0", "7, 8", "9" * 18, "9" * 5000, "\xb2", "1e3"]
CODINGS = ["gzip, chunked", "identity", "chunked, chunked", "\x0bchunked", "x" * 900, "br"]
DATES = [
    "Sun, 06 Nov 99999 08:49:37 GMT",
    "Sat, 01 Jan 0001 00:00:00 +2359",
    "-5",
    "9" * 5000,
    "0",
    "soon",
]
PLACES = [
    "http://[::1/x",
    "file:///etc/passwd",
    "//\xe4" * 30,
    "http://a..b/",
    "http://u:p@127.0.0.1/",
    "http://127.0.0.1:99999/",
    "?" * 3,
    "\x00",
]


class Hostile(RawServer):
    """A server of a file that answers each request in another wrong way.

    Parameters
    ----------
    versions
        Contents of the file; it changes from one to the next at some request.
    lies
        Whether answers may be wrong in ways that nothing but a sum can show.
    """

    def __init__(self, rng: Rng, versions: list[bytes], lies: bool) -> None:
        super().__init__(b"")
        self._rng, self._versions, self._lies = rng, versions, lies
        self._marked = rng.random() < 0.7

    def answer(self, head: bytes) -> Answer:
        rng = self._rng
        if len(self._versions) > 1 and rng.random() < 0.3:
            self._versions.append(self._versions.pop(0))
        content = self._versions[0]
        mark = f'"{hashlib.md5(content).hexdigest()}"'
        asked = re.search(rb"\r\nRange: bytes=(\d+)-", head)
        same = re.search(rb"\r\nIf-Range: (.*?)\r\n", head)
        # Some servers do not know If-Range: only what they say of the part tells its version.
        kept = same is None or same[1].decode("latin-1") == mark or rng.random() < 0.3
        start = int(asked[1]) if asked and kept and rng.random() < 0.9 else 0
        headers: Headers = [("ETag", mark)] if self._marked else []
        status, body = 200, content[start:]
        if asked and kept and start >= len(content):
            status, body = 416, b""
            headers.append(("Content-Range", f"bytes */{len(content)}"))
        elif start:
            status = 206
            headers.append(("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}"))
        wrongs = HONEST + LIES if self._lies else HONEST
        made = Made(rng, status, headers, body)
        made.frame()
        for _ in range(int(rng.integers(0, 3))):
            wrongs[int(rng.integers(0, len(wrongs)))](made)
        return made.sent


class Made:
    """An answer in the making."""

    def __init__(self, rng: Rng, status: int, headers: Headers, body: bytes) -> None:
        self.rng, self.status, self.headers, self.body = rng, status, headers, body
        self.before, self.after, self.stalls, self.resets = b"", b"", False, False
        self.chunked = False
        self.damage: Callable[[bytes], bytes] = lambda data: data

    def frame(self) -> None:
        """Say where the body ends."""
        if self.rng.random() < 0.5:
            self.headers.append(("Content-Length", str(len(self.body))))
            return
        self.chunked = True
        self.headers.append(("Transfer-Encoding", "chunked"))
        pieces, at = [], 0
        while at < len(self.body):
            size = int(self.rng.integers(1, 2000))
            piece = self.body[at : at + size]
            pieces.append(b"%x\r\n%b\r\n" % (len(piece), piece))
            at += size
        self.body = b"".join([*pieces, b"0\r\n\r\n"])

    def draw(self, values: list[str]) -> str:
        return values[int(self.rng.integers(0, len(values)))]

    def change(self, name: str, value: str) -> None:
        """Give a header another value, or give it once more."""
        if self.rng.random() < 0.5:
            self.headers = [item for item in self.headers if item[0] != name]
        self.headers.insert(int(self.rng.integers(0, len(self.headers) + 1)), (name, value))

    def sent(self, connection: socket.socket, done: threading.Event) -> None:
        """Send it, in pieces of any size."""
        lines = [f"HTTP/1.1 {self.status} Said\x1b[2J", *(f"{k}: {v}" for k, v in self.headers)]
        head = "".join(f"{line}\r\n" for line in lines).encode("latin-1")
        data = self.before + self.damage(head + b"\r\n" + self.body) + self.after
        size = int(self.rng.choice([1 << 20, 1 << 20, 5000, 100]))
        for at in range(0, len(data), size):
            connection.sendall(data[at : at + size])
        if self.stalls:
            done.wait(5)
        if self.resets:
            linger = b"\x01\x00\x00\x00\x00\x00\x00\x00"
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)


def _cut(made: Made) -> None:
    made.body = made.body[: int(made.rng.integers(0, len(made.body) + 1))]


def _stall(made: Made) -> None:
    if made.rng.random() < 0.1:
        _cut(made)
        made.stalls = True


def _reset(made: Made) -> None:
    _cut(made)
    made.resets = True


def _interim(made: Made) -> None:
    made.before = b"HTTP/1.1 103 Early\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" * 3


def _status(made: Made) -> None:
    made.status = int(made.rng.choice([101, 201, 204, 205, 301, 304, 307, 404, 416, 429, 503, 999]))
    made.change("Retry-After", made.draw(DATES))
    made.change("Location", made.draw(PLACES))


def _two_lengths(made: Made) -> None:
    made.headers.append(("Content-Length", str(len(made.body) // 2)))
    if not made.chunked:
        made.headers.append(("Content-Length", str(len(made.body))))


def _odd_length(made: Made) -> None:
    made.headers.append(("Content-Length", made.draw([n for n in NUMBERS if n not in "01"])))
    if not made.chunked:
        made.headers.append(("Content-Length", str(len(made.body))))


def _coding(made: Made) -> None:
    made.headers.append(("Transfer-Encoding", made.draw(CODINGS)))


def _encoded(made: Made) -> None:
    made.change("Content-Encoding", made.draw(["gzip", "br, gzip", "\x1b", "identity, x"]))


def _range(made: Made) -> None:
    first, last, total = (made.draw(NUMBERS) for _ in range(3))
    made.headers = [item for item in made.headers if item[0] != "Content-Range"]
    made.headers.append(("Content-Range", f"bytes {first}-{last}/{total}"))
    if made.status == 200:
        made.headers.append(("Content-Range", f"bytes 1-{last}/{total}"))


def _marks(made: Made) -> None:
    made.change("ETag", made.draw(['W/"x"', "", '"\xff"', "x" * 9000]))


def _extended(made: Made, end: bytes = b"\r\n") -> None:
    if made.chunked:
        extension = b";" + b"x" * int(made.rng.integers(0, 9000)) + end
        made.body = made.body.replace(b"\r\n", extension, 1)


def _swallowed(made: Made) -> None:
    # What looks like an end of line in the content ends the extension, and what follows is shifted.
    _extended(made, b"")


def _chunk(made: Made) -> None:
    if made.chunked:
        _, _, rest = made.body.partition(b"\r\n")
        odd = made.draw(["-5", "+5", "0x5", "5_0", " 5", "", "g", "f" * 5000])
        made.body = odd.encode() + b"\r\n" + rest


def _long_chunk(made: Made) -> None:
    # If it is cut, the sizes of the chunks within it count as content.
    if made.chunked:
        made.body = b"fffffff\r\n" + made.body.partition(b"\r\n")[2]


def _many(made: Made) -> None:
    made.headers += [("X", "y" * int(made.rng.integers(0, 2000)))] * int(made.rng.integers(1, 200))


def _trailers(made: Made) -> None:
    if made.chunked:
        made.body = made.body.removesuffix(b"\r\n") + b"X: y\r\n" * int(
            made.rng.integers(1, 300000)
        )


def _folded(made: Made) -> None:
    made.headers = [(name, value[:1] + "\r\n " + value[1:]) for name, value in made.headers]


def _any_bytes(made: Made) -> None:
    made.damage = lambda data: damaged(made.rng, data)


def _any_head(made: Made) -> None:
    made.damage = lambda data: made.rng.bytes(int(made.rng.integers(0, 300))) + data[50:]


def _shorter(made: Made) -> None:
    made.headers = [("Content-Length", str(len(made.body) // 2))]


def _no_end(made: Made) -> None:
    made.headers = [item for item in made.headers if item[0] != "Content-Length"]
    _cut(made)


def _other(made: Made) -> None:
    made.body = made.body[::-1]


def _more(made: Made) -> None:
    made.after = made.rng.bytes(int(made.rng.integers(1, 2000)))


def _wrong_mark(made: Made) -> None:
    made.change("ETag", made.draw(['"x"', '"y"']))


Wrong = Callable[[Made], None]
HONEST: list[Wrong] = [
    *(_cut, _stall, _reset, _interim, _status, _two_lengths, _odd_length, _coding, _encoded),
    *(_range, _marks, _extended, _chunk, _many, _trailers, _folded),
]
"""What shows that an answer is not the file."""
LIES: list[Wrong] = [
    *(
        _any_bytes,
        _any_head,
        _shorter,
        _no_end,
        _other,
        _more,
        _wrong_mark,
        _swallowed,
        _long_chunk,
    ),
]
"""What may make wrong bytes look right."""


def campaign(n: int, seed: int) -> Counter[str]:
    """Download from so many servers; return how often each outcome came.

    Raises
    ------
    AssertionError
        If a rule is broken; a note says which download it was.
    """
    os.environ["no_proxy"] = "127.0.0.1"
    counts: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(n):
            try:
                counts[_one(np.random.default_rng([seed, turn]), Path(folder) / str(turn))] += 1
            except Exception as error:
                error.add_note(f"web, seed {seed}, download {turn}")
                raise
    return counts


def _one(rng: Rng, folder: Path) -> str:
    """Download once, and once more as a next run would; return how the last one ended."""
    folder.mkdir()
    size = int(rng.choice([1, 300, 5000, 60_000]))
    versions = [rng.bytes(size) for _ in range(int(rng.integers(1, 3)))]
    summed = rng.random() < 0.5
    md5 = hashlib.md5(versions[0]).hexdigest() if summed else None
    right = versions[:1] if summed else list(versions)
    with Hostile(rng, versions, lies=summed) as server:
        for _ in range(2):
            began = time.monotonic()
            try:
                fetch(server.url, folder / "got", md5=md5, patience=PATIENCE)
            except SourceError as error:
                told = str(error)
                assert told.isprintable(), f"a message with {told!r}"
                assert not (folder / "got").exists(), "a file after an error"
                outcome = "refused"
            else:
                assert (folder / "got").read_bytes() in right, "wrong bytes"
                outcome = "right"
            took_s = time.monotonic() - began
            assert took_s < LONGEST_S, f"took {took_s:.1f} s"
            if outcome == "right":
                break
    return outcome
