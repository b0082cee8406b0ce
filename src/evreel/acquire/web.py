"""One request: what a server answers, and what each kind of failure means."""

from __future__ import annotations

import datetime
import email.utils
import http.client
import re
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from evreel import __version__
from evreel.acquire.sources import ascii_url
from evreel.acquire.sums import PIECE_BYTES
from evreel.errors import one_line

_STATUS_HINTS = {
    401: "It needs a login: download it by hand and give the local path as the source.",
    403: "It needs a login or is closed: download it by hand and give the local path.",
    404: "Look up its address on the data set's page: it is misspelt or has moved.",
    410: "It was taken down: look for a new address on the data set's page.",
    429: "The server asks us to slow down: try again later, with fewer downloads at once.",
}
_PASSING_STATUS = (408, 425, 429, 500, 502, 503, 504)
TRY_LATER = "Try again later; if that does not help, download it by hand and give the local path."
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")
_RANGE_NOT_SATISFIABLE = 416


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
    """

    def __init__(
        self, problem: str, hint: str, *, passing: bool = False, wait_s: float | None = None
    ) -> None:
        super().__init__(problem)
        self.problem = one_line(problem)
        self.hint = hint
        self.passing = passing
        self.wait_s = wait_s


class BeyondEndError(Exception):
    """The requested bytes begin at or beyond the end. `total` is the size, if stated."""

    def __init__(self, total: int | None) -> None:
        super().__init__()
        self.total = total


@dataclass(frozen=True)
class Answer:
    """The head of an answer whose body is still to come.

    Parameters
    ----------
    start
        Which byte of the file the body begins with; None if the server sends another part than
        requested, or several.
    total
        Size of the file, bytes; None if the server does not state it.
    validator
        The server's mark of this version of the file, for a later ``If-Range``; None if it has no
        usable one.
    encoding
        How the body is encoded in addition to the file's own format; empty if it is not.
    """

    start: int | None
    total: int | None
    validator: str | None
    encoding: str


@contextmanager
def request(
    url: str, headers: Mapping[str, str], timeout_s: float
) -> Iterator[tuple[Answer, Iterator[bytes]]]:
    """Ask for a file; give the answer's head, and its body piece by piece.

    Raises
    ------
    RequestError
        If there is no answer, or the answer is not the file.
    BeyondEndError
        If `headers` ask for a part that begins at or beyond the file's end.
    """
    opener = urllib.request.OpenerDirector()
    # Not `build_opener`, which would also follow a redirect to ftp.
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.UnknownHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPRedirectHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    # Some hosts refuse urllib's own user agent.
    message = urllib.request.Request(
        ascii_url(url), headers={"User-Agent": f"evreel/{__version__}", **headers}
    )
    with _failures(timeout_s, "Range" in headers):
        response: http.client.HTTPResponse = opener.open(message, timeout=timeout_s)
    with response:
        yield _answer(response), _pieces(response, timeout_s)


def _answer(response: http.client.HTTPResponse) -> Answer:
    """Return what the head of an answer says."""
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    encoding = "" if encoding == "identity" else encoding
    validator = response.headers.get("ETag")
    if validator is None or validator.startswith("W/"):
        validator = response.headers.get("Last-Modified")
    length = response.length
    if response.status == http.client.OK:
        return Answer(0, length, validator, encoding)
    if response.status != http.client.PARTIAL_CONTENT:
        raise RequestError(f"the server answers {response.status} {response.reason}", TRY_LATER)
    start, total = _content_range(response.headers.get("Content-Range", ""))
    if start is not None and length is not None:
        if total is None:
            total = start + length
        elif total != start + length:
            start = None  # not up to the end, as requested
    return Answer(start, total, validator, encoding)


def _content_range(text: str) -> tuple[int | None, int | None]:
    """Return the first byte and the size of the whole; None for what is not stated.

    Examples
    --------
    >>> _content_range("bytes 5-99/100"), _content_range("bytes */100")
    ((5, 100), (None, 100))
    """
    told = _CONTENT_RANGE.fullmatch(text.strip())
    if told is None:
        return None, None
    return (
        int(told[1]) if told[1] is not None else None,
        int(told[2]) if told[2] != "*" else None,
    )


def _pieces(response: http.client.HTTPResponse, timeout_s: float) -> Iterator[bytes]:
    """Yield the body as it comes."""
    while True:
        with _failures(timeout_s):
            piece = response.read1(PIECE_BYTES)
        if not piece:
            return
        yield piece


@contextmanager
def _failures(timeout_s: float, ranged: bool = False) -> Iterator[None]:
    """Turn a failed transfer into a `RequestError`."""
    try:
        yield
    except urllib.error.HTTPError as error:
        with error:
            if error.code == _RANGE_NOT_SATISFIABLE and ranged:
                raise BeyondEndError(
                    _content_range(error.headers.get("Content-Range", ""))[1]
                ) from error
            raise RequestError(
                f"the server answers {error.code} {error.reason}",
                _STATUS_HINTS.get(error.code, TRY_LATER),
                passing=error.code in _PASSING_STATUS,
                wait_s=_retry_after_s(error.headers.get("Retry-After")),
            ) from error
    except http.client.IncompleteRead as error:
        raise RequestError("the transfer was cut", "Try again.", passing=True) from error
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
        raise _connection_failure(error, timeout_s) from error


def _connection_failure(error: OSError, timeout_s: float) -> RequestError:
    """Say what an error below HTTP means, and what to do about it."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return RequestError(f"no data for {timeout_s:g} s", TRY_LATER, passing=True)
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
    return RequestError(
        f"cannot be reached: {getattr(reason, 'strerror', None) or reason}",
        TRY_LATER,
        passing=isinstance(reason, OSError) and not isinstance(reason, ssl.SSLError),
    )


def _retry_after_s(text: str | None) -> float | None:
    """Return how long a server asks us to wait, which it states in seconds or as a date.

    Examples
    --------
    >>> _retry_after_s("120"), _retry_after_s("soon")
    (120.0, None)
    """
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, (date - datetime.datetime.now(datetime.UTC)).total_seconds())
