"""Checksums that the bytes of a source must have, and what is probably wrong if they differ."""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from evreel.errors import SourceError, UsageError
from evreel.outputs import Progress, silent

PIECE_BYTES = 1 << 20
_HEAD_BYTES = 512

_DIGITS = {"md5": 32, "sha256": 64, "crc32": 8}
_PROGRAMS = {"md5": "md5sum", "sha256": "sha256sum", "crc32": "the program crc32"}
_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE)
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_ANSWER = re.compile(rb"\s*(?:\{\s*\"|<\?xml[^>]*>\s*<Error\b)")
_ANSWER_BYTES = 1 << 16


@dataclass(frozen=True)
class Sums:
    """Expected checksums; all that are given must match.

    Parameters
    ----------
    md5, sha256
        Lowercase hexadecimal digits, None if unknown.
    crc32
        CRC-32 as zip and gzip have it (ISO-HDLC), 8 lowercase hexadecimal digits. It is weak: it
        shows that bytes were damaged, cut or mixed up, but anybody can make other bytes that have
        it.
    """

    md5: str | None = None
    sha256: str | None = None
    crc32: str | None = None

    def __bool__(self) -> bool:
        return bool(self.known)

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.known.items())

    @property
    def known(self) -> dict[str, str]:
        """Name → digits of those that are known."""
        return {name: value for name, value in vars(self).items() if value is not None}

    @property
    def are_weak(self) -> bool:
        """Whether they show accidents alone: there is a CRC-32 and nothing better."""
        return {*self.known} == {"crc32"}


def checked_sums(
    md5: str | None = None, sha256: str | None = None, crc32: str | None = None
) -> Sums:
    """Return checksums that a person wrote, checked for their form.

    Raises
    ------
    UsageError
        If one of them is malformed.
    """
    return Sums(_checked("md5", md5), _checked("sha256", sha256), _checked("crc32", crc32))


def _checked(name: str, digest: str | None) -> str | None:
    if digest is None:
        return None
    if re.fullmatch(f"[0-9A-Fa-f]{{{_DIGITS[name]}}}", digest):
        return digest.lower()
    kinds = {8: "a CRC-32", 32: "an MD5", 40: "a SHA-1", 64: "a SHA-256", 128: "a SHA-512"}
    looks = f"; it looks like {kinds[len(digest)]}" if len(digest) in kinds else ""
    program = _PROGRAMS[name]
    raise UsageError(
        f"{name} {digest!r} is not {_DIGITS[name]} hexadecimal digits{looks}",
        hint=f"Copy the {name} from the data set's page or from {program}, or leave it out.",
    )


@dataclass(frozen=True)
class Received:
    """What was received.

    Parameters
    ----------
    md5, sha256
        Lowercase hexadecimal digits; SHA-256 is None if it was not requested.
    size
        Bytes.
    head
        The first bytes.
    crc32
        8 lowercase hexadecimal digits; None if it was not requested.
    """

    md5: str
    sha256: str | None
    size: int
    head: bytes
    crc32: str | None = None


class Tally:
    """The checksums of bytes that come piece by piece."""

    def __init__(self, sums: Sums) -> None:
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._sha256 = hashlib.sha256() if sums.sha256 else None
        self._crc32 = 0 if sums.crc32 else None
        self.size = 0
        self._head = b""

    def update(self, piece: bytes) -> None:
        """Add a piece."""
        self._md5.update(piece)
        if self._sha256 is not None:
            self._sha256.update(piece)
        if self._crc32 is not None:
            self._crc32 = zlib.crc32(piece, self._crc32)
        if len(self._head) < _HEAD_BYTES:
            self._head += piece[: _HEAD_BYTES - len(self._head)]
        self.size += len(piece)

    def received(self) -> Received:
        """Return what was received so far."""
        sha256 = self._sha256.hexdigest() if self._sha256 is not None else None
        crc32 = f"{self._crc32:08x}" if self._crc32 is not None else None
        return Received(self._md5.hexdigest(), sha256, self.size, self._head, crc32)


def pieces_of(file: BinaryIO) -> Iterator[bytes]:
    """Yield a file from its current position, piece by piece."""
    return iter(lambda: file.read(PIECE_BYTES), b"")


def receive(
    pieces: Iterator[bytes],
    sums: Sums,
    total: int | None = None,
    progress: Progress = silent,
    file: BinaryIO | None = None,
) -> Received:
    """Read all pieces, and write them to `file` if there is one."""
    tally = Tally(sums)
    progress(0, total)
    for piece in pieces:
        tally.update(piece)
        if file is not None:
            file.write(piece)
        progress(tally.size, total)
    return tally.received()


def check_md5(path: str | Path, md5: str) -> None:
    """Raise if a local file does not have the expected MD5, as `check_sums` does."""
    check_sums(path, md5)


def check_sums(
    path: str | Path,
    md5: str | None = None,
    sha256: str | None = None,
    crc32: str | None = None,
) -> None:
    """Raise if a local file does not have the expected checksums, as far as they are given.

    Raises
    ------
    SourceError
        If it has others, or cannot be read.
    UsageError
        If one of them is malformed.
    """
    sums = checked_sums(md5, sha256, crc32)
    try:
        with Path(path).open("rb") as file:
            received = receive(pieces_of(file), sums)
    except OSError as error:
        raise SourceError(f"cannot be read: {error.strerror}", place=str(path)) from error
    check(received, str(path), sums)


def check(received: Received, source: str, sums: Sums, encoding: str = "") -> None:
    """Raise if the bytes are not the expected ones, or clearly not data at all.

    `encoding` is the encoding that the server states.
    """
    found = {name: getattr(received, name) for name in sums.known}
    wrong = [
        (name, found[name], wanted) for name, wanted in sums.known.items() if found[name] != wanted
    ]
    if sums and not wrong:
        return
    cause, hint = _likely_cause(received, encoding, wrong[0][0] if wrong else "md5")
    if wrong:
        name, got, wanted = wrong[0]
        right = next((each for each, wanted in sums.known.items() if found[each] == wanted), None)
        if right is not None:
            cause = f"its {right} is right, so the two given belong to different files"
            hint = "Compare with the data set's page, and correct one or leave it out."
        raise SourceError(
            f"{name} is {got} ({received.size:,} bytes), expected {wanted}: {cause}",
            place=source,
            hint=hint,
        )
    if received.size == 0 or _is_stand_in(received.head):
        raise SourceError(cause, place=source, hint=hint)


def _is_stand_in(head: bytes) -> bool:
    """Return whether the first bytes show a text in place of a recording."""
    return _HTML.match(head) is not None or head.startswith(_LFS_POINTER)


def _likely_cause(received: Received, encoding: str, name: str) -> tuple[str, str]:
    """Return what is probably wrong with bytes of another checksum, and what to do."""
    if received.size == 0:
        return "it is empty", "Copy or download it again."
    if _HTML.match(received.head):
        return (
            "it is an HTML page, probably for a login or an error",
            "Open the address in a browser, download the file and give the local path.",
        )
    if received.head.startswith(_LFS_POINTER):
        return (
            "it is a Git LFS pointer, not the file itself",
            "Run git lfs pull, or use the address of the file's media.",
        )
    if _ANSWER.match(received.head) and received.size < _ANSWER_BYTES:
        return (
            "it is a short text, probably a server's error message",
            "Open the address in a browser and see what it says.",
        )
    if encoding:
        return (
            f"the server sent it {encoding}-encoded",
            "Download it by hand and give the local path as the source.",
        )
    return (
        "it is another version, or is damaged",
        f"Compare with the data set's page; if you want this version, write its {name} instead.",
    )
