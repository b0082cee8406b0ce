"""Getting a recording from where it lies: a local file becomes a link, a url a file.

Either way its bytes are read once and their MD5 is taken; where one is given, nothing lands
unless it holds. A source that only a person can get, because it needs a login, is the path that
they put it at, behind ``manual:``.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import re
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evreel import __version__
from evreel.errors import SourceError, UsageError
from evreel.outputs import Progress, silent

PIECE_BYTES = 1 << 20
TIMEOUT_S = 60.0
_HEAD_BYTES = 512

_MANUAL = "manual:"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_MD5 = re.compile(r"[0-9A-Fa-f]{32}")
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"

_STATUS_HINTS = {
    401: "It needs a login: download it by hand and give the local path as the source.",
    403: "It needs a login or is closed: download it by hand and give the local path.",
    404: "Look its address up on the data set's page: it is misspelt or has moved.",
    410: "It was taken down: look for a new address on the data set's page.",
    429: "The server asks to slow down: try again later, with fewer downloads at once.",
}
_TRY_LATER = "Try again later; if it stays so, download it by hand and give the local path."


def fetch(
    source: str | Path,
    destination: str | Path,
    *,
    md5: str | None = None,
    page: str | None = None,
    final: str | Path | None = None,
    progress: Progress = silent,
    timeout_s: float = TIMEOUT_S,
) -> str:
    """Put a source's bytes at `destination`, and nothing there unless they are the promised ones.

    Parameters
    ----------
    source
        A path (relative to the working directory, or absolute), or a ``file``, ``http`` or
        ``https`` url, or ``manual:`` and the path where a person puts it. A local file becomes a
        relative symbolic link, never a copy.
    destination
        The path to write, where nothing is yet.
    md5
        32 hexadecimal digits that the bytes must have; None where nobody knows them.
    page
        Web page where a person gets a manual source; the message says it where that is missing.
    final
        Where the caller will move `destination` to, if it will: a link is made to be right there.
    progress
        Called as ``progress(done_bytes, total_bytes)``; the total is None where the server does
        not say it.
    timeout_s
        How long a server may stay silent, seconds.

    Returns
    -------
    The MD5 of the bytes, 32 lowercase hexadecimal digits.

    Raises
    ------
    SourceError
        Where the source can't be had, ends early, or has another MD5.
    UsageError
        Where `source` is no path and no url of those kinds, `md5` is no MD5, or the link would
        stand in the place of its own source.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "park.aedat4").write_bytes(b"events")
    >>> fetch(folder / "park.aedat4", folder / "link.aedat4")
    '16908b0605f2645dfcb4c3a8d248cef3'
    >>> print((folder / "link.aedat4").readlink())
    park.aedat4
    """
    wanted = _checked_md5(md5)
    destination = Path(destination)
    local = local_path(source)
    if is_manual(source) and local is not None and not local.exists():
        raise _still_to_get(local, wanted, page)
    if local is not None:
        return _link(local, destination, Path(final or destination), wanted, progress)
    return _download(str(source), destination, wanted, progress, timeout_s)


def check_md5(path: str | Path, md5: str) -> None:
    """Raise where a local file has not the MD5 that it is to have.

    Raises
    ------
    SourceError
        Where it has another, or can't be read.
    UsageError
        Where `md5` is no MD5.
    """
    wanted = _checked_md5(md5)
    try:
        with Path(path).open("rb") as file:
            received = _receive(iter(lambda: file.read(PIECE_BYTES), b""), None, silent)
    except OSError as error:
        raise SourceError(f"can't be read: {error.strerror}", place=str(path)) from error
    _check(received, str(path), wanted)


def _checked_md5(md5: str | None) -> str | None:
    if md5 is None or _MD5.fullmatch(md5):
        return md5 and md5.lower()
    kinds = {40: "SHA-1", 64: "SHA-256", 128: "SHA-512"}
    looks = f"; it looks like a {kinds[len(md5)]}" if len(md5) in kinds else ""
    raise UsageError(
        f"md5 {md5!r} is not 32 hexadecimal digits{looks}",
        hint="Take the MD5 from the data set's page, or from md5sum, or leave it out.",
    )


def is_manual(source: str | Path) -> bool:
    """Tell whether a source is one that a person gets and puts in its place."""
    return isinstance(source, str) and source.startswith(_MANUAL)


def _still_to_get(path: Path, md5: str | None, page: str | None) -> SourceError:
    """Return the error that tells a person what to get, and where to put it."""
    digest = f" (md5 {md5})" if md5 else ""
    origin = f" from {page}" if page else ""
    return SourceError(
        "is not there yet; it has to be got by hand",
        place=str(path),
        hint=f"Get {path.name}{digest}{origin}, put it into folder {path.parent.absolute()} and "
        "run the same command again.",
    )


def local_path(source: str | Path) -> Path | None:
    """Return the path of a local source, None for a url to download."""
    if isinstance(source, Path):
        return source
    if is_manual(source):
        path = source.removeprefix(_MANUAL)
        if not path or "\0" in path:
            raise UsageError(
                f"source {source!r} names no path", hint=f"Write {_MANUAL}folder/file."
            )
        return Path(path)
    scheme = _SCHEME.match(source)
    if scheme is None:
        if not source or "\0" in source:
            raise UsageError(f"source {source!r} is no path and no url")
        return Path(source)
    kind = scheme[1].lower()
    if kind not in ("file", "http", "https"):
        raise UsageError(
            f"source {source!r} is of scheme {kind}; http, https, file and plain paths are known",
            hint=f"Download it by hand and give the path; a file of that name is ./{source}.",
        )
    try:
        parts = urllib.parse.urlsplit(source)
        host = parts.hostname
        _ = parts.port
    except ValueError as error:
        raise UsageError(f"source {source!r} is no url: {error}") from error
    if kind != "file":
        if "@" in parts.netloc:
            raise UsageError(
                f"the url at {host} has a user name in it, which would show in logs and releases",
                hint="Download it by hand and give the local path as the source.",
            )
        if not host:
            raise UsageError(f"source {source!r} names no host")
        return None
    path = urllib.parse.unquote(parts.path)
    if host not in (None, "localhost") or not path.startswith("/") or "\0" in path:
        raise UsageError(
            f"source {source!r} is no file of this machine",
            hint="Write file:///absolute/path, or the plain path.",
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"source {source!r} has a ? or # in it, which end a url's path",
            hint="Write %3F and %23 for them, or the plain path.",
        )
    return Path(path)


def _link(
    source: Path, destination: Path, final: Path, wanted: str | None, progress: Progress
) -> str:
    """Link to a local file, once its bytes are known to be the promised ones."""
    try:
        if source.exists() and not (source.is_file() or source.is_dir()):
            raise SourceError("is no file", place=str(source), hint="Name a file with the events.")
        with source.open("rb") as file:
            total = os.fstat(file.fileno()).st_size
            received = _receive(iter(lambda: file.read(PIECE_BYTES), b""), total, progress)
    except OSError as error:
        hint = "Mind that a relative path starts at the working directory."
        if isinstance(error, FileNotFoundError) and source.is_symlink():
            hint = f"It is a link to {source.readlink()}, which is not there."
        elif isinstance(error, IsADirectoryError):
            hint = "Name one file in it."
        elif isinstance(error, PermissionError):
            hint = "Ask its owner for the right to read it."
        raise SourceError(f"can't be read: {error.strerror}", place=str(source), hint=hint) from (
            error
        )
    _check(received, str(source), wanted)

    here = Path(os.path.realpath(final.parent)) / final.name
    if _passes_through(source, here):
        raise UsageError(
            f"source {source} is where its own link would stand",
            hint="Keep recordings outside of the results folder.",
        )
    # As the user wrote it, so that links on the way stay in force; only a ".." can't be taken
    # out of a path without following them.
    if ".." in source.parts:
        source = Path(os.path.realpath(source.parent)) / source.name
    destination.symlink_to(os.path.relpath(source, here.parent))
    return received.md5


def _passes_through(path: Path, place: Path) -> bool:
    """Tell whether `place` is `path` or one of the links that lead from `path` to its file."""
    while True:
        path = Path(os.path.realpath(path.parent)) / path.name
        if path == place:
            return True
        if not path.is_symlink():
            return False
        path = path.parent / path.readlink()


@dataclass(frozen=True)
class _Received:
    """What came: its MD5, size in bytes, and first bytes."""

    md5: str
    size: int
    head: bytes


def _receive(
    pieces: Iterator[bytes], total: int | None, progress: Progress, file: BinaryIO | None = None
) -> _Received:
    """Read all pieces, and write them to `file` if there is one."""
    digest = hashlib.md5(usedforsecurity=False)
    size, head = 0, b""
    progress(0, total)
    for piece in pieces:
        digest.update(piece)
        if file is not None:
            file.write(piece)
        if len(head) < _HEAD_BYTES:
            head += piece[: _HEAD_BYTES - len(head)]
        size += len(piece)
        progress(size, total)
    return _Received(digest.hexdigest(), size, head)


def _check(received: _Received, source: str, wanted: str | None, encoding: str = "") -> None:
    """Raise where the bytes are not the promised ones, or plainly no data at all."""
    if wanted == received.md5:
        return
    cause, hint = _likely_cause(received, encoding)
    if wanted is not None:
        raise SourceError(
            f"md5 is {received.md5} ({received.size:,} bytes), expected {wanted}: {cause}",
            place=source,
            hint=hint,
        )
    if received.size == 0 or _is_stand_in(received.head):
        raise SourceError(cause, place=source, hint=hint)


def _is_stand_in(head: bytes) -> bool:
    """Tell whether the first bytes are those of a text that stands in a recording's place."""
    return _HTML.match(head) is not None or head.startswith(_LFS_POINTER)


def _likely_cause(received: _Received, encoding: str) -> tuple[str, str]:
    """Return what is probably wrong with bytes that are not the promised ones, and what to do."""
    if received.size == 0:
        return "it is empty", "Copy or download it again."
    if _HTML.match(received.head):
        return (
            "it is an HTML page, probably for a login or an error",
            "Open the address in a browser, download by hand, and give the local path.",
        )
    if received.head.startswith(_LFS_POINTER):
        return (
            "it is a Git LFS pointer, not the file itself",
            "Run git lfs pull, or use the address of the file's media.",
        )
    if encoding:
        return (
            f"the server sent it {encoding}-encoded",
            "Download it by hand and give the local path as the source.",
        )
    return (
        "it is another version, or was damaged",
        "Compare with the data set's page; if this version is meant, write its md5 instead.",
    )


def _download(
    url: str, destination: Path, wanted: str | None, progress: Progress, timeout_s: float
) -> str:
    """Write what a url sends to `destination`; leave nothing there where it is not as promised."""
    with closing(_open(url, timeout_s)) as response:
        total = response.length
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        file = destination.open("xb")
        try:
            with file:
                received = _receive(_pieces(response, url, timeout_s), total, progress, file)
            if total is not None and received.size != total:
                raise SourceError(
                    f"the transfer was cut: {received.size:,} of {total:,} bytes came",
                    place=url,
                    hint="Try again.",
                )
            _check(received, url, wanted, "" if encoding == "identity" else encoding)
        except OSError as error:
            destination.unlink(missing_ok=True)
            raise SourceError(
                f"can't be written to {destination.name}: {error.strerror}", place=url
            ) from error
        except BaseException:
            destination.unlink(missing_ok=True)
            raise
    return received.md5


def _open(url: str, timeout_s: float) -> http.client.HTTPResponse:
    """Send the request and return the answer once its head is there."""
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
    # Some hosts refuse urllib's own name.
    request = urllib.request.Request(_ascii(url), headers={"User-Agent": f"evreel/{__version__}"})
    with _network_errors(url, timeout_s):
        response: http.client.HTTPResponse = opener.open(request, timeout=timeout_s)
    return response


def _ascii(url: str) -> str:
    """Return a url as it goes over the wire: what people paste may have spaces and umlauts.

    Examples
    --------
    >>> _ascii("https://example.org/Straße 1/a%20b.aedat4?x=1")
    'https://example.org/Stra%C3%9Fe%201/a%20b.aedat4?x=1'
    """
    parts = urllib.parse.urlsplit(url)
    try:
        netloc = parts.netloc.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UsageError(f"source {url!r} names no host: {error}") from error
    path, query = (
        urllib.parse.quote(part, safe="!$%&'()*+,/:;=?@[]~") for part in (parts.path, parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, netloc, path, query, ""))


def _pieces(response: http.client.HTTPResponse, url: str, timeout_s: float) -> Iterator[bytes]:
    """Yield the body as it comes."""
    while True:
        with _network_errors(url, timeout_s):
            piece = response.read1(PIECE_BYTES)
        if not piece:
            return
        yield piece


@contextmanager
def _network_errors(url: str, timeout_s: float) -> Iterator[None]:
    """Turn what can go wrong on the way into one `SourceError` that names the url."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        hint = _STATUS_HINTS.get(error.code, _TRY_LATER)
        raise SourceError(
            f"the server answers {error.code} {error.reason}", place=url, hint=hint
        ) from error
    except http.client.IncompleteRead as error:
        raise SourceError("the transfer was cut", place=url, hint="Try again.") from error
    except http.client.HTTPException as error:
        raise SourceError(
            f"what answers is no web server ({type(error).__name__})", place=url, hint=_TRY_LATER
        ) from error
    except OSError as error:
        problem, hint = _connection_problem(error, timeout_s)
        raise SourceError(problem, place=url, hint=hint) from error


def _connection_problem(error: OSError, timeout_s: float) -> tuple[str, str]:
    """Say what an error below HTTP means, and what to do about it."""
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, TimeoutError):
        return f"nothing came for {timeout_s:g} s", _TRY_LATER
    if isinstance(reason, socket.gaierror):
        return (
            "its host is not known",
            "Look for a slip in its name, and whether this machine is on the network.",
        )
    if isinstance(reason, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not to be trusted: {reason.verify_message}",
            "Check this machine's clock and certificates.",
        )
    if isinstance(reason, ConnectionRefusedError):
        return (
            "the connection is refused",
            "Check the address; where a proxy is needed, set https_proxy.",
        )
    if isinstance(reason, ConnectionError):
        return "the server broke the connection off", _TRY_LATER
    return f"can't be reached: {getattr(reason, 'strerror', None) or reason}", _TRY_LATER
