"""One request: what a server answers, and what each kind of failure means.

Python's own client makes the connection (proxies, TLS) and parses the head of an answer. What a
server may take for that, which address it may lead to, and where a body ends is decided here: each
phase has a deadline, also where every read brings a byte, and an answer whose end can be read in
two ways is refused.
"""

from __future__ import annotations

import contextlib
import datetime
import email.errors
import email.utils
import functools
import http.client
import io
import re
import socket
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from evreel import __version__
from evreel.acquire import s3
from evreel.acquire.sources import web_address
from evreel.acquire.sums import PIECE_BYTES
from evreel.errors import SourceError, UsageError, one_line

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_STATUS_HINTS = {
    401: "It needs a login: download it by hand and give the local path as the source.",
    403: "It needs a login or is closed: download it by hand and give the local path.",
    404: "Look up its address on the data set's page: it is misspelt or has moved.",
    410: "It was taken down: look for a new address on the data set's page.",
    429: "The server asks us to slow down: try again later, with fewer downloads at once.",
}
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 10
TRY_LATER = "Try again later; if that does not help, download it by hand and give the local path."
_BY_HAND = "Download it by hand and give the local path as the source."
_NEW_ADDRESS = "Look up its address on the data set's page."

# At most 18 digits: no file is larger, and Python refuses to convert thousands of them.
_LENGTH = re.compile("[0-9]{1,18}")
_CONTENT_RANGE = re.compile(r"bytes (?:([0-9]{1,18})-([0-9]{1,18})|\*)/([0-9]{1,18}|\*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;.*)?", re.DOTALL)
_VALIDATOR = re.compile(r"[ -~\x80-\xff]{1,500}")
_CODING = re.compile("[A-Za-z0-9-]{1,20}")
_MALFORMED = (
    email.errors.MissingHeaderBodySeparatorDefect,
    email.errors.FirstHeaderLineIsContinuationDefect,
)
_HEAD_BYTES = 1 << 20
"""Size limit of the head of an answer, with all interim answers before it; and of a trailer."""
_LINE_BYTES = 1 << 14
"""Size limit of the line before a chunk, and of a line of a trailer."""
_ERROR_BYTES = 1 << 14
"""How much is read of what a store says is wrong."""
_PADDING_BYTES = 1 << 14
"""How much more than its content may be sent to divide a body into chunks."""


class RequestError(Exception):
    """A request that failed, wholly or in part.

    Parameters
    ----------
    problem, hint
        As in `EvreelError`.
    passing
        Whether the failure may be temporary.
    wait_s
        How long the server asks us to wait, seconds; None if it does not say.
    malformed
        Whether the answer breaks the rules, so that no byte of it can be relied on.
    """

    def __init__(
        self,
        problem: str,
        hint: str,
        *,
        passing: bool = False,
        wait_s: float | None = None,
        malformed: bool = False,
    ) -> None:
        super().__init__(problem)
        self.problem = one_line(problem)
        self.hint = hint
        self.passing = passing
        self.wait_s = wait_s
        self.malformed = malformed


class BeyondEndError(Exception):
    """The requested bytes begin at or beyond the end. `total` is the size, if stated."""

    def __init__(self, total: int | None, validator: str | None) -> None:
        super().__init__()
        self.total = total
        self.validator = validator


@dataclass(frozen=True)
class Answer:
    """The head of an answer whose body is still to come.

    Parameters
    ----------
    start
        Which byte of the file the body begins with; None if the server sends another part than
        requested, or several.
    stop
        Byte of the file before which the body ends; None if the body is the whole file.
    total
        Size of the file, bytes; None if the server does not state it.
    validator
        The server's mark of this version of the file, for a later ``If-Range``; None if it has no
        usable one.
    encoding
        How the body is encoded in addition to the file's own format; empty if it is not.
    ends
        Whether the server says where the body ends. If not, one that was cut looks like a whole.
    """

    start: int | None
    stop: int | None
    total: int | None
    validator: str | None
    encoding: str
    ends: bool


class Pace:
    """How long a server takes, and how long it may.

    Parameters
    ----------
    timeout_s
        Deadline of each phase: the connection, its encryption, the head of the answer with all
        that comes before it, a trailer. Also how long the body may bring nothing, or too little.
    least_bytes_per_s
        Lowest rate of the body over `timeout_s`.
    """

    def __init__(self, timeout_s: float, least_bytes_per_s: float) -> None:
        self._timeout_s = timeout_s
        self._least_bytes_per_s = least_bytes_per_s
        self._late, self._since, self._came = "", time.monotonic(), 0

    def phase(self, late: str = "") -> None:
        """Begin a phase, such as a body.

        Parameters
        ----------
        late
            What is said if data come and it does not end in time; empty if it may go on, as long
            as enough data come.
        """
        self._late, self._since, self._came = late, time.monotonic(), 0

    def left_s(self) -> float:
        """Return how long the server may still take, seconds.

        Raises
        ------
        RequestError
            If it is too late.
        """
        passed_s = time.monotonic() - self._since
        if passed_s >= self._timeout_s:
            if self._late or self._came < max(1, passed_s * self._least_bytes_per_s):
                raise self.too_late()
            self.phase()
            return self._timeout_s
        return self._timeout_s - passed_s

    def too_late(self) -> RequestError:
        """Return the error that says what did not come in time."""
        if not self._came:
            problem = f"no data for {self._timeout_s:g} s"
        elif self._late:
            problem = f"{self._late} within {self._timeout_s:g} s"
        else:
            passed_s = time.monotonic() - self._since
            problem = f"only {self._came:,} bytes came in {passed_s:.1f} s"
        return RequestError(problem, TRY_LATER, passing=True)

    def came(self, size: int) -> None:
        """Count bytes: in a body, those of the file."""
        self._came += size

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave out of account what we do ourselves."""
        began = time.monotonic()
        yield
        self._since += time.monotonic() - began


class _Received(io.RawIOBase):
    """What comes over a connection, as long as it comes in time."""

    def __init__(self, sock: socket.socket, pace: Pace) -> None:
        self._sock = sock
        self._held = sock.makefile("rb", 0)  # the socket stays open until this is closed
        self._pace = pace
        self.head_bytes: int | None = 0
        self.waiting = True

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int | None:
        """Read what is there, or comes first; None if nothing is there and it is not waited for."""
        while True:
            self._sock.settimeout(self._pace.left_s() if self.waiting else 0)
            try:
                size = self._sock.recv_into(buffer)
            except (BlockingIOError, ssl.SSLWantReadError):
                return None
            except TimeoutError:
                continue
            if self.head_bytes is not None:
                self.head_bytes += size
                self._pace.came(size)
                if self.head_bytes > _HEAD_BYTES:
                    raise RequestError(
                        f"the head or the end of its answer has more than {_HEAD_BYTES:,} bytes",
                        TRY_LATER,
                    )
            return size

    def close(self) -> None:
        self._held.close()
        super().close()


class _Lines(io.BufferedReader):
    """Lines of a head, or between chunks; none contains what some would take for a line's end."""

    def readline(self, size: int | None = -1, /) -> bytes:
        line = super().readline(size)
        if b"\r" in line.removesuffix(b"\n").removesuffix(b"\r") or b"\0" in line:
            raise _malformed("a control character in a line")
        return line


class _Response(http.client.HTTPResponse):
    """An answer that has to come in time."""

    def __init__(self, pace: Pace, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.received = _Received(sock, pace)
        self.fp: Any = _Lines(self.received)
        pace.phase("the head of its answer did not end")

    def begin(self) -> None:
        """Read the head, and pass over all interim answers before it."""
        super().begin()
        while 100 <= self.status < 200 and self.status != HTTPStatus.SWITCHING_PROTOCOLS:
            self.headers = None  # type: ignore[assignment]
            super().begin()


class _Http(http.client.HTTPConnection):
    """A connection that has to be there in time."""

    pace: Pace

    def connect(self) -> None:
        self.response_class = functools.partial(_Response, self.pace)  # type: ignore[assignment]
        self._create_connection = self._reached
        super().connect()
        self.pace.phase()  # of its encryption, if there is any
        self.sock.settimeout(self.pace.left_s())

    def _tunnel(self) -> None:
        """Ask a proxy for a way, and close its answer, which newer versions of Python do."""
        answers: list[_Response] = []
        made: Any = self.response_class

        def kept(*args: Any, **options: Any) -> _Response:
            answers.append(made(*args, **options))
            return answers[-1]

        self.response_class = kept  # type: ignore[assignment]
        try:
            super()._tunnel()  # type: ignore[misc]
        finally:
            self.response_class = made
            for answer in answers:
                answer.close()

    def _reached(self, address: tuple[str, int], *_: object) -> socket.socket:
        """Connect to the first of a host's addresses that answers; all of them share the time."""
        self.pace.phase()
        try:
            addresses = len(socket.getaddrinfo(*address, type=socket.SOCK_STREAM))
        except OSError:
            addresses = 1  # said below
        try:
            return socket.create_connection(address, self.pace.left_s() / addresses)
        except TimeoutError as error:
            raise self.pace.too_late() from error


class _Https(http.client.HTTPSConnection, _Http):
    """An encrypted connection that has to be there in time."""


class _Handler(urllib.request.AbstractHTTPHandler):
    """What opens web addresses, at a pace."""

    http_request = https_request = urllib.request.AbstractHTTPHandler.do_request_

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._pace = pace

    def http_open(self, message: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._made(_Http), message)

    def https_open(self, message: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(self._made(_Https), message)

    def _made(self, kind: type[_Http]) -> Any:
        def made(host: str, **options: Any) -> _Http:
            connection = kind(host, **options)
            connection.pace = self._pace
            return connection

        return made


@contextmanager
def request(
    url: str, headers: Mapping[str, str], pace: Pace, *, checked: bool, strongly: bool
) -> Iterator[tuple[Answer, Iterator[bytes]]]:
    """Ask for a file; give the answer's head, and its body piece by piece.

    Redirects are followed to web addresses, and their bodies are not read.

    Parameters
    ----------
    checked
        Whether a checksum decides in the end if the bytes are right. If not, nothing is taken that
        leaves doubt: no more bytes than were stated.
    strongly
        Whether that checksum also shows bytes that somebody changed. If not, no address without
        encryption is taken in place of one with it.

    Raises
    ------
    RequestError
        If there is no answer, or the answer is not the file.
    BeyondEndError
        If `headers` ask for a part that begins at or beyond the file's end.
    """
    opener = urllib.request.OpenerDirector()
    # Not `build_opener`, which would also follow redirects, and read their bodies to any end.
    opener.add_handler(urllib.request.ProxyHandler())
    opener.add_handler(_Handler(pace))
    # Some hosts refuse urllib's own user agent.
    headers = {"User-Agent": f"evreel/{__version__}", **headers}
    at = _address(url)
    for _ in range(_MOST_REDIRECTS + 1):
        with _failures():
            response: _Response = opener.open(urllib.request.Request(at, headers=headers))
        with response:
            if s3.is_s3(url):
                _check_object(response, pace)
            following = _redirect(response, at, strongly)
            if following is None:
                pieces = _read(response, pace, checked)
                yield _answer(response, "Range" in headers), pieces
                return
        at = following
    raise RequestError(
        f"{_told(response)} and leads on to ever more addresses",
        "Open the address in a browser, download the file and give the local path.",
    )


def _address(url: str) -> str:
    """Return the web address to ask at."""
    try:
        return s3.signed(url) if s3.is_s3(url) else web_address(url)
    except SourceError as error:
        raise RequestError(error.problem, error.hint or TRY_LATER) from error


def _check_object(response: _Response, pace: Pace) -> None:
    """Raise if a store does not answer with an object: what it says is told, and no address."""
    status = response.status
    if 200 <= status < 300 or status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return
    body = b""
    with contextlib.suppress(RequestError):
        for piece in _read(response, pace, checked=True):
            body += piece
            if len(body) > _ERROR_BYTES:
                break
    known = s3.refusal(status, body[:_ERROR_BYTES])
    if known is not None:
        raise RequestError(f"{_told(response)}: {known[0]}", known[1])
    if status in _REDIRECTS:
        raise RequestError(_told(response), _NEW_ADDRESS)


def _redirect(response: http.client.HTTPResponse, at: str, strongly: bool) -> str | None:
    """Return the address that an answer leads to, None if it is no redirect."""
    location = response.headers.get("Location")
    if response.status not in _REDIRECTS or location is None:
        return None
    with contextlib.suppress(UnicodeError):  # what is not ASCII is mostly UTF-8
        location = location.encode("latin-1").decode("utf-8")
    # A password would show in logs.
    where = "an address with a user name" if "@" in location else ascii(location[:200])
    try:
        following = web_address(urllib.parse.urljoin(at, location))
    except (UsageError, ValueError) as error:
        raise RequestError(
            f"{_told(response)} and leads to {where}, which is not followed: it is not a plain "
            "web address",
            _NEW_ADDRESS,
        ) from error
    if at.startswith("https:") and not following.startswith("https:") and not strongly:
        raise RequestError(
            f"{_told(response)} and leads from https to {where}, where anybody on the way can "
            "change the file",
            "Give its md5 or sha256, which then shows whether the bytes are right.",
        )
    return following


def _told(response: http.client.HTTPResponse) -> str:
    """Say which status a server answers, in the standard's words, for a server's may be any."""
    known = {status.value: f" {status.phrase}" for status in HTTPStatus}
    return f"the server answers {response.status}{known.get(response.status, '')}"


def _answer(response: http.client.HTTPResponse, ranged: bool) -> Answer:
    """Return what the head of an answer says."""
    headers, status = response.headers, response.status
    part = _only(headers, "Content-Range") or ""
    start, stop, total = _content_range(part)
    validator = _validator(headers)
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and ranged:
        raise BeyondEndError(total, validator)
    if status not in (HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT):
        raise RequestError(
            _told(response),
            _STATUS_HINTS.get(status, TRY_LATER),
            passing=status in _PASSING_STATUS,
            wait_s=_retry_after_s(headers.get("Retry-After")),
        )
    coding = ",".join(headers.get_all("Content-Encoding", [])).strip().lower()
    if not _CODING.fullmatch(coding or "identity"):
        coding = "otherwise"
    chunked, length = _framing(response)
    about = validator, "" if coding == "identity" else coding, chunked or length is not None
    if status == HTTPStatus.OK:
        if part and (start, stop) != (0, total):
            raise _ambiguous("it is a whole file and a part of it")
        return Answer(0, None, length, *about)
    if start is None or stop is None or length not in (None, stop - start):
        start = None
    elif total is not None and stop != total:
        start = None  # not up to the end, as requested
    return Answer(start, stop, total, *about)


def _only(headers: http.client.HTTPMessage, name: str) -> str | None:
    """Return the value of a header, None if there is none, or several that differ."""
    values = {value.strip() for value in headers.get_all(name, [])}
    return values.pop() if len(values) == 1 else None


def _ambiguous(why: str) -> RequestError:
    return RequestError(f"its answer can be read in two ways: {why}", _BY_HAND, malformed=True)


def _malformed(how: str) -> RequestError:
    return RequestError(f"its answer is malformed: {how}", _BY_HAND, malformed=True)


def _framing(response: http.client.HTTPResponse) -> tuple[bool, int | None]:
    """Return whether a body comes in chunks, and its length, None if it is not stated.

    Raises
    ------
    RequestError
        If the body's end can be read in two ways.
    """
    headers = response.headers
    if any(isinstance(defect, _MALFORMED) for defect in headers.defects):
        raise _malformed("a line in its head has no name")
    codings = headers.get_all("Transfer-Encoding", [])
    lengths = {
        part.strip() for value in headers.get_all("Content-Length", []) for part in value.split(",")
    }
    if codings and lengths:
        raise _ambiguous("it states a length, and comes in chunks")
    if codings:
        if [coding.strip().lower() for coding in codings] != ["chunked"] or response.version < 11:
            raise _ambiguous("it is encoded for the transfer otherwise than in chunks")
        return True, None
    if len(lengths) > 1:
        raise _ambiguous("it states several lengths")
    for length in lengths:
        if not _LENGTH.fullmatch(length):
            raise _ambiguous("the length that it states is not a number of bytes")
        return False, int(length)
    return False, None


def _validator(headers: http.client.HTTPMessage) -> str | None:
    """Return a mark that only this version of the file has; None if there is none."""
    mark = _only(headers, "ETag")
    if mark is not None and not mark.upper().startswith("W/") and _VALIDATOR.fullmatch(mark):
        return mark
    mark = _only(headers, "Last-Modified")
    if mark is None or not _VALIDATOR.fullmatch(mark):
        return None
    changed, now = _date(mark), _date(_only(headers, "Date"))
    # It may change once more in the second in which it did (RFC 9110, 8.8.2.2).
    just_changed = changed is not None and now is not None and (now - changed).total_seconds() < 1
    return None if just_changed else mark


def _content_range(text: str) -> tuple[int | None, int | None, int | None]:
    """Return start and stop of a part, and the size of the whole; None for what is not stated.

    Examples
    --------
    >>> _content_range("bytes 5-99/100"), _content_range("bytes */100")
    ((5, 100, 100), (None, None, 100))
    """
    told = _CONTENT_RANGE.fullmatch(text.strip())
    if told is None:
        return None, None, None
    total = int(told[3]) if told[3] != "*" else None
    if told[1] is None:
        return None, None, total
    return int(told[1]), int(told[2]) + 1, total


def _read(response: _Response, pace: Pace, checked: bool) -> Iterator[bytes]:
    """Yield the body as it comes."""
    chunked, length = _framing(response)
    pace.phase()
    response.received.head_bytes = None
    with _failures():
        for piece in _chunks(response, pace) if chunked else _plain(response.fp, length):
            pace.came(len(piece))
            with pace.paused():
                yield piece
        if length is not None and not checked:
            response.received.waiting = False
            if response.fp.peek(1):
                raise _ambiguous("it has more bytes than it states")


def _plain(file: io.BufferedReader, length: int | None) -> Iterator[bytes]:
    """Yield a body that has a length, or goes on until the connection ends."""
    left = PIECE_BYTES if length is None else length
    while left and (piece := file.read1(min(left, PIECE_BYTES))):
        left -= len(piece) if length is not None else 0
        yield piece


def _chunks(response: _Response, pace: Pace) -> Iterator[bytes]:
    """Yield a body that comes in chunks, without them."""
    file, padding = response.fp, 0
    while True:
        line = _line(file)
        told = _CHUNK_SIZE.fullmatch(line)
        if told is None:
            raise _malformed("a chunk without a size")
        left = int(told[1], 16)
        if not left:
            break
        padding = max(0, padding + len(line) - 16 - 2 * left)
        if padding > _PADDING_BYTES:
            raise _malformed("more between its chunks than in them")
        while left:
            piece = file.read1(min(left, PIECE_BYTES))
            if not piece:
                raise _cut()
            left -= len(piece)
            yield piece
        end = file.read(2)
        if end != b"\r\n":
            if len(end) < 2:
                raise _cut()
            raise _malformed("a chunk of another size")
    pace.phase("the end of its answer did not come")
    response.received.head_bytes = 0
    while _line(file):
        pass


def _line(file: io.BufferedReader) -> bytes:
    """Return a line between chunks, without its end."""
    line = file.readline(_LINE_BYTES)
    if len(line) == _LINE_BYTES:
        raise _malformed("a line too long")
    if not line.endswith(b"\n"):
        raise _cut()
    return line.rstrip(b"\r\n")


def _cut() -> RequestError:
    return RequestError("the transfer was cut", "Try again.", passing=True)


@contextmanager
def _failures() -> Iterator[None]:
    """Turn a failed transfer into a `RequestError`."""
    try:
        yield
    except ConnectionError as error:
        # Also an answer that ends before its first line, which http.client raises too.
        raise RequestError(
            "the server broke off the connection", TRY_LATER, passing=True
        ) from error
    except http.client.HTTPException as error:
        raise RequestError(
            f"the address does not answer as a web server ({type(error).__name__})", TRY_LATER
        ) from error
    except OSError as error:
        raise _connection_failure(error) from error
    except ValueError as error:
        # Of a host whose name cannot be looked up, or that a proxy's settings get wrong.
        raise RequestError(
            f"its address cannot be used ({type(error).__name__})", _NEW_ADDRESS
        ) from error


def _connection_failure(error: OSError) -> RequestError:
    """Say what an error below HTTP means, and what to do about it."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return RequestError("it did not answer in time", TRY_LATER, passing=True)
    if isinstance(reason, socket.gaierror):
        return RequestError(
            "its host is unknown",
            "Check the spelling of its name, and whether this machine is online.",
            passing=reason.errno == socket.EAI_AGAIN,
        )
    if isinstance(reason, ssl.SSLCertVerificationError):
        return RequestError(
            f"its certificate is not trusted: {reason.verify_message}",
            "Check this machine's clock and certificates.",
        )
    if isinstance(reason, ConnectionRefusedError):
        return RequestError(
            "the connection is refused",
            "Check the address; if a proxy is needed, set https_proxy.",
            passing=True,
        )
    if isinstance(reason, ConnectionError):
        return RequestError("the server broke off the connection", TRY_LATER, passing=True)
    # A proxy's answer is text of its own.
    said = getattr(reason, "strerror", None) or ascii(str(reason)[:200])[1:-1]
    return RequestError(
        f"cannot be reached: {said}",
        TRY_LATER,
        passing=isinstance(reason, OSError) and not isinstance(reason, ssl.SSLError),
    )


def _retry_after_s(text: str | None) -> float | None:
    """Return how long a server asks us to wait, which it states in seconds or as a date.

    Examples
    --------
    >>> _retry_after_s("120"), _retry_after_s("soon"), _retry_after_s("9" * 5000)
    (120.0, None, 1000000000.0)
    """
    text = (text or "").strip()
    if re.fullmatch("[0-9]+", text):
        return float(text) if len(text) < 10 else 1e9
    date = _date(text)
    if date is None:
        return None
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())


def _date(text: str | None) -> datetime.datetime | None:
    """Return the date that a header states, None if it states none, or one out of range.

    Examples
    --------
    >>> _date("Sun, 06 Nov 1994 08:49:37 GMT").year, _date("Sun, 06 Nov 99999 08:49:37 GMT")
    (1994, None)
    """
    try:
        date = email.utils.parsedate_to_datetime(text or "")
        return (date if date.tzinfo else date.replace(tzinfo=datetime.UTC)).astimezone(datetime.UTC)
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
