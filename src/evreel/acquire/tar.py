"""The headers of a tar archive, one after the other; none is kept.

Python's own `tarfile` keeps every header and reads extended ones into memory at whatever size they
claim; here a header takes a bounded amount. Each block is parsed by `tarfile.TarInfo`, unless it is
of the commonest kind.
Formats: POSIX.1-1988 (ustar), POSIX.1-2001 (pax), GNU.
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from evreel.errors import SourceError

BLOCK = 512
EXTENDED_BYTES = 1 << 20
"""Size limit of an extended header: names are shorter."""

SPARSE = "a file with holes, stored without them"

_ENCODING = "utf-8"
_GNU_SPARSE = b"S"
_SPARSE_GOES_ON = {False: 482, True: 504}
"""Byte that says whether a map of holes continues: in a header, and in the blocks after it."""


_PLAIN_FILE = re.compile(
    rb"(?P<name>.{100})[0-7 \0]{24}(?P<size>[0-7]{1,11})[ \0]+[0-7 \0]{12}"
    rb"(?P<sum>[0-7]{6})\0 0.{100}ustar.{3}.{64}[0-7 \0]{16}(?P<prefix>.{155}).{12}",
    re.DOTALL,
)
"""The header of a file, as most programs write it."""


class Readable(Protocol):
    """Something that can be read from beginning to end."""

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, or fewer at the end."""


@dataclass(frozen=True)
class Entry:
    """A member whose content comes next.

    Parameters
    ----------
    name
        As it is stored, without a leading ``./``.
    size
        Bytes of its content.
    kind
        ``"file"``, or what it is instead.
    """

    name: str
    size: int
    kind: str


def is_header(block: bytes) -> bool:
    """Return whether a block is a header, by its checksum: the oldest form has no other mark."""
    try:
        tarfile.TarInfo.frombuf(block, _ENCODING, "surrogateescape")
    except tarfile.HeaderError:
        return False
    return True


def entries(file: Readable, skip: Callable[[int], None]) -> Iterator[Entry]:
    """Yield each member; the caller must pass its content, `padded`, before asking for the next.

    Parameters
    ----------
    file
        The archive, at its beginning.
    skip
        Called with the number of bytes to pass over.

    Raises
    ------
    SourceError
        If a header is damaged, or larger than any that serves a purpose.
    """
    extended: dict[str, str] = {}
    while True:
        block = file.read(BLOCK)
        if not block or not block.strip(b"\0"):
            return
        if not extended and (entry := _plain_file(block)) is not None:
            yield entry
            continue
        try:
            header = tarfile.TarInfo.frombuf(block, _ENCODING, "surrogateescape")
        except tarfile.HeaderError as error:
            raise SourceError(f"a header of the tar archive is damaged: {error}") from error
        if header.size < 0:
            raise SourceError("a header of the tar archive is damaged: a negative size")
        if header.type in (tarfile.XHDTYPE, tarfile.SOLARIS_XHDTYPE):
            extended |= _records(_content(file, header.size, skip))
            continue
        if header.type in (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
            text = _content(file, header.size, skip).rstrip(b"\0")
            if header.type == tarfile.GNUTYPE_LONGNAME:
                extended["path"] = text.decode(_ENCODING, "surrogateescape")
            continue
        if header.type == tarfile.XGLTYPE:
            skip(padded(header.size))
            continue
        sparse = header.type == _GNU_SPARSE or any(k.startswith("GNU.sparse.") for k in extended)
        if header.type == _GNU_SPARSE:
            goes_on, first = block, False
            while goes_on[_SPARSE_GOES_ON[first]]:
                goes_on, first = _exactly(file, BLOCK), True
        try:
            size = int(extended.get("size", header.size))
        except ValueError as error:
            raise SourceError("a header of the tar archive is damaged: no size") from error
        if size < 0:
            raise SourceError("a header of the tar archive is damaged: a negative size")
        has_content = header.type in tarfile.SUPPORTED_TYPES and not (
            header.isdir() or header.issym() or header.islnk() or header.isdev()
        )
        size = size if has_content or header.type not in tarfile.SUPPORTED_TYPES else 0
        name = extended.get("GNU.sparse.name", extended.get("path", header.name))
        extended = {}
        yield Entry(name.removeprefix("./"), size, _kind(header, sparse))


def _plain_file(block: bytes) -> Entry | None:
    """Return what a header says of a plain file, four times as fast; None if it is another kind."""
    told = _PLAIN_FILE.fullmatch(block)
    if told is None or int(told["sum"], 8) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
        return None
    name, prefix = told["name"].rstrip(b"\0"), told["prefix"].rstrip(b"\0")
    if b"\0" in name or b"\0" in prefix or name.endswith(b"/"):
        return None
    whole = (prefix + b"/" + name if prefix else name).decode(_ENCODING, "surrogateescape")
    return Entry(whole.removeprefix("./"), int(told["size"], 8), "file")


def _kind(header: tarfile.TarInfo, sparse: bool) -> str:
    if sparse:
        return SPARSE
    if header.isdir():
        return "a folder"
    if header.issym() or header.islnk():
        return "a link"
    return "file" if header.isreg() else "a device, a pipe or the like"


def padded(size: int) -> int:
    """Return how many bytes a content takes when padded to whole blocks.

    Examples
    --------
    >>> padded(0), padded(1), padded(512)
    (0, 512, 512)
    """
    return -(-size // BLOCK) * BLOCK


def _exactly(file: Readable, size: int) -> bytes:
    content = file.read(size)
    if len(content) < size:
        raise SourceError("the tar archive ends early", hint="Copy or download it again.")
    return content


def _content(file: Readable, size: int, skip: Callable[[int], None]) -> bytes:
    """Read the content of an extended header."""
    if size > EXTENDED_BYTES:
        raise SourceError(
            f"a header of the tar archive claims {size:,} bytes, more than any name needs",
            hint="Do not trust this archive.",
        )
    content = _exactly(file, size)
    skip(padded(size) - size)
    return content


def _records(content: bytes) -> dict[str, str]:
    r"""Return key → value of a pax header, whose lines are ``length key=value``.

    Examples
    --------
    >>> _records(b"20 path=a/long name\n")
    {'path': 'a/long name'}
    """
    found = {}
    while content.strip(b"\0"):
        number = content.partition(b" ")[0]
        length = int(number) if number.isdigit() and len(number) < 8 else 0
        key, equals, value = content[len(number) + 1 : max(length - 1, 0)].partition(b"=")
        if not equals or length > len(content):
            raise SourceError("a header of the tar archive is damaged: no key=value")
        found[key.decode(_ENCODING, "surrogateescape")] = value.decode(_ENCODING, "surrogateescape")
        content = content[length:]
    return found
