"""What a source says: where a recording is, and which member of an archive."""

from __future__ import annotations

import functools
import re
import urllib.parse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from evreel.acquire.s3 import SCHEME as S3
from evreel.acquire.s3 import is_s3, object_at
from evreel.errors import UsageError

_MANUAL = "manual:"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BETWEEN_MIRRORS = re.compile(r"\s*\|\s*(?=(?:https?|s3):)", re.IGNORECASE)
_OUT = re.compile(r"^[/\\]|^[A-Za-z]:|(^|[/\\])\.\.([/\\]|$)")
_ESCAPED = "\0"


@dataclass(frozen=True)
class Source:
    """Where a recording is: on the web, in an object store, or here.

    Parameters
    ----------
    urls
        Addresses of the same bytes, in the order in which they are tried; none if the source is
        local.
    path
        The local file; None for a download.
    manual
        Whether a person downloads the local file, so that it may be missing.
    file
        The source as written, without members.
    members
        If the file is an archive, the member's name; for nested archives a name for each, the
        outermost first. Empty if the file is the recording itself.
    """

    urls: tuple[str, ...]
    path: Path | None
    manual: bool
    file: str
    members: tuple[str, ...]

    @property
    def file_name(self) -> str:
        """The name of the source file: the archive's name if the recording is in one."""
        if self.path is not None:
            return self.path.name
        if is_s3(self.urls[0]):
            return PurePosixPath(object_at(self.urls[0]).key).name
        return PurePosixPath(urllib.parse.unquote(urllib.parse.urlsplit(self.urls[0]).path)).name

    @property
    def name(self) -> str:
        """The file name of the recording."""
        return PurePosixPath(self.members[-1]).name if self.members else self.file_name

    @property
    def public(self) -> str:
        """The source without folders of this machine."""
        files = " | ".join(self.urls) if self.urls else _escaped(self.file_name)
        return "!".join([files, *map(_escaped, self.members)])


@functools.lru_cache(maxsize=100_000)
def read_source(source: str | Path) -> Source:
    """Return what a source says.

    Parameters
    ----------
    source
        A local path; or ``manual:`` and the path where a person puts the file; or http(s) urls and
        s3://bucket/key of the same bytes, separated by ``|``. If the recording is in an archive,
        ``!`` and the member's name follow, once for each nested archive. A ``!`` in a name is
        written ``!!`` (in an http url also %21). A `Path` is always the local file itself.

    Raises
    ------
    UsageError
        If it is not one of these.

    Examples
    --------
    >>> read_source("raw/session 1.zip!monday/park.aedat4").members
    ('monday/park.aedat4',)
    >>> read_source("https://a.org/x.aedat4 | https://b.org/x.aedat4").urls
    ('https://a.org/x.aedat4', 'https://b.org/x.aedat4')
    >>> read_source("raw/wow!!.aedat4").path.name
    'wow!.aedat4'
    """
    if isinstance(source, Path):
        return Source((), source, False, _escaped(str(source)), ())
    if "\0" in source:
        raise UsageError(f"source {source!r} is neither a path nor a url")
    file, *names = source.replace("!!", _ESCAPED).split("!")
    members = tuple(_checked_member(name.replace(_ESCAPED, "!"), source) for name in names)
    mirrors = _BETWEEN_MIRRORS.split(file.replace(_ESCAPED, "!"))
    file = file.replace(_ESCAPED, "!!")
    if len(mirrors) > 1:
        mirrors = [mirror.strip() for mirror in mirrors]
    paths = [_local_path(mirror) for mirror in mirrors]
    if paths[0] is not None and len(paths) == 1:
        return Source((), paths[0], _is_manual(source), file, members)
    if any(paths) or any("|" in mirror for mirror in mirrors):
        raise UsageError(
            f"source {source!r} lists mirrors that are not all http, https or s3 urls",
            hint="Separate urls by |, write %7C for a | in a url, and name members once, after the "
            "last url.",
        )
    return Source(tuple(mirrors), None, False, file, members)


def in_archive(archive: str | Path, members: Sequence[str]) -> str:
    """Return the source that means a member of a local archive.

    Examples
    --------
    >>> in_archive("results/archives/a.zip", ["wow!.aedat4"])
    'results/archives/a.zip!wow!!.aedat4'
    """
    return "!".join(map(_escaped, [str(archive), *members]))


def _escaped(name: str) -> str:
    return name.replace("!", "!!")


def _checked_member(name: str, source: str) -> str:
    """Return a member's name; raise if no file in an archive can have it."""
    if not name or name.endswith("/"):
        raise UsageError(
            f"source {source!r} names no member",
            hint="Write archive.zip!folder/file, and !! for a ! in a name.",
        )
    if _BETWEEN_MIRRORS.search(name):
        raise UsageError(
            f"source {source!r} names a member before the last of its urls",
            hint="Write url | url!member: all urls give the same archive.",
        )
    if _OUT.search(name):
        raise UsageError(f"member {name!r} leads out of its archive", hint="Name a file within it.")
    return name


def _is_manual(source: str | Path) -> bool:
    """Return whether a source is one that a person downloads and puts in its place."""
    return isinstance(source, str) and source.startswith(_MANUAL)


def _local_path(source: str | Path) -> Path | None:
    """Return the path of one local file, None for a url to download.

    Raises
    ------
    UsageError
        If it is neither.
    """
    if isinstance(source, Path):
        return source
    if _is_manual(source):
        path = source.removeprefix(_MANUAL)
        if not path or "\0" in path:
            raise UsageError(
                f"source {source!r} names no path", hint=f"Write {_MANUAL}folder/file."
            )
        return Path(path)
    scheme = _SCHEME.match(source)
    if scheme is None:
        if not source or "\0" in source:
            raise UsageError(f"source {source!r} is neither a path nor a url")
        return Path(source)
    kind = scheme[1].lower()
    if kind == S3.rstrip(":"):
        object_at(source)
        return None
    if kind not in ("file", "http", "https"):
        raise UsageError(
            f"source {source!r} has scheme {kind}; http, https, s3, file and plain paths are known",
            hint="Download it by hand and give the path; write "
            f"./{source} for a file of that name.",
        )
    if kind != "file":
        web_address(source)
        return None
    parts, host = _parts(source)
    path = urllib.parse.unquote(parts.path)
    if host not in (None, "localhost") or not path.startswith("/") or "\0" in path:
        raise UsageError(
            f"source {source!r} is not a file on this machine",
            hint="Write file:///absolute/path, or the plain path.",
        )
    if parts.query or parts.fragment:
        raise UsageError(
            f"source {source!r} contains a ? or #, which ends a url's path",
            hint="Write %3F and %23 for them, or the plain path.",
        )
    return Path(path)


def _parts(url: str) -> tuple[urllib.parse.SplitResult, str | None]:
    """Return the parts of a url, and its host."""
    try:
        parts = urllib.parse.urlsplit(url)
        _ = parts.port
        return parts, parts.hostname
    except ValueError as error:
        raise UsageError(f"source {url!r} is not a valid url: {error}") from error


def web_address(url: str) -> str:
    """Return a web address in ASCII, as it is sent: what people paste may have spaces and umlauts.

    Raises
    ------
    UsageError
        If it is not a valid one, has a user name, or its host's name cannot be written in ASCII.

    Examples
    --------
    >>> web_address("https://example.org/Straße 1/a%20b.aedat4?x=1")
    'https://example.org/Stra%C3%9Fe%201/a%20b.aedat4?x=1'
    """
    parts, host = _parts(url)
    if parts.scheme not in ("http", "https"):
        raise UsageError(f"source {url!r} is not an http or https url")
    if "@" in parts.netloc:
        raise UsageError(
            f"the url at {host} contains a user name, which would show in logs and releases",
            hint="Download it by hand and give the local path as the source.",
        )
    if not host:
        raise UsageError(f"source {url!r} names no host")
    try:
        netloc = parts.netloc.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise UsageError(f"source {url!r} names no valid host: {error}") from error
    path, query = (
        urllib.parse.quote(part, safe="!$%&'()*+,/:;=?@[]~") for part in (parts.path, parts.query)
    )
    return urllib.parse.urlunsplit((parts.scheme, netloc, path, query, ""))
