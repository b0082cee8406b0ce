"""Members of archives: found by name and read one at a time, with nothing else unpacked.

A zip has a table of its members, so one is found at once. A tar has none: a plain one is passed
through header by header, a compressed one (gzip, xz, bzip2) has to be decompressed from its
beginning up to the member. No name of an archive ever becomes a path: what is read goes where the
caller says.
"""

from __future__ import annotations

import bz2
import difflib
import errno
import gzip
import io
import lzma
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from evreel.acquire import tar
from evreel.acquire.sums import PIECE_BYTES, Received, Sums, receive
from evreel.acquire.tar import Readable
from evreel.closing import Closing
from evreel.errors import SourceError
from evreel.outputs import Progress, silent

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_MAGICS = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"BZh": "bzip2",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
    b"\x28\xb5\x2f\xfd": "zstd",
}
_ENCRYPTED = 0x2041
_XZ_MEMORY_BYTES = 1 << 28
_XZ_PIECE_BYTES = 1 << 16
_NAMES_KEPT = 10_000
_RESERVE_BYTES = 1 << 30
_RESERVE_PART = 20
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    struct.error,
    ValueError,
    OverflowError,
)
_BY_HAND = "Unpack it by hand, and give the path of the recording."
_ITSELF = "Name the file itself."
_ANEW = "Pack the archive anew: plain files alone, each of them once."
_DISTRUST = "Raise the limit if it is what you mean; else don't trust this archive."
_BOMB = "No recording is so empty: don't trust this archive; if you do, unpack it by hand."


@dataclass(frozen=True)
class Limits:
    """What may come out of an archive at most, so that a small one can't fill a disk.

    Members that nobody asks for are not held to them, but for the ratio of a compressed tar.

    Parameters
    ----------
    member_bytes
        Size of a member, unpacked. Unpacking one may fill the disk, but is not begun where there
        is no room for the size that is declared; no more than that is written.
    ratio, ratio_from_bytes
        How many bytes may come out of one, where more than `ratio_from_bytes` come out. Of a
        compressed tar all bytes up to the member's end are counted, or up to its own end where it
        is decompressed as a whole.
    archive_bytes
        Size of a compressed tar that is decompressed as a whole, all of its members together; as
        much as `member_bytes` where that is more. It also stops where a twentieth of the disk, or
        1 GiB if that is less, is all that is left free.
    """

    member_bytes: int = 64 << 30
    ratio: int = 1000
    ratio_from_bytes: int = 100_000_000
    archive_bytes: int = 1 << 40

    @classmethod
    def of_gib(cls, member_gib: float | None) -> Limits:
        """Return limits with another size of a member, 2**30 bytes; None keeps the usual one."""
        return cls() if member_gib is None else cls(member_bytes=int(member_gib * 2**30))


def extract(
    archive: str | Path,
    members: Sequence[str],
    destination: Path,
    *,
    name: str,
    sums: Sums,
    limits: Limits,
    progress: Progress,
) -> Received:
    """Write one member of an archive to `destination`.

    Parameters
    ----------
    archive
        A zip, or a tar that may be compressed by gzip, xz or bzip2; told by its content.
    members
        Name of the member; before it, where the archive is in an archive, that of the inner one.
        An inner archive is unpacked beside `destination` for as long as it is needed.
    name
        What the archive is called in messages.
    sums
        Which sums of the member to take; whether they are right is for the caller to see.

    Raises
    ------
    SourceError
        Where there is no such file, or it can't be unpacked safely; the message names archive and
        member.
    """
    names = [name]
    files = [Path(archive)]
    try:
        for depth, member in enumerate(members):
            names.append(member)
            last = depth == len(members) - 1
            to = destination if last else destination.with_name(f"{destination.name}.{depth}")
            if not last:
                files.append(to)
            received = _extract(
                files[depth],
                names,
                to,
                sums if last else Sums(),
                limits,
                progress if last else silent,
            )
    finally:
        for inner in files[1:]:
            inner.unlink(missing_ok=True)
    return received


def _extract(
    archive: Path, names: list[str], to: Path, sums: Sums, limits: Limits, progress: Progress
) -> Received:
    """Write the member that the last of `names` means; those before it are the way to it."""
    *_, inside, member = names
    place = "!".join(names)
    with (
        _as_source_error(inside, place),
        archive.open("rb") as file,
        _opened(file, member, limits) as (size, content),
    ):
        _check_room(size, to)
        with to.open("xb") as out:
            received = receive(_pieces(content, size), sums, size, progress, out)
    if received.size != size:
        raise SourceError(
            f"ends after {received.size:,} bytes; the archive declares {size:,}",
            place=place,
            hint="Copy or download it again.",
        )
    return received


@contextmanager
def _as_source_error(archive: str, place: str) -> Iterator[None]:
    """Turn whatever a damaged archive makes a library raise into one error with its place."""
    try:
        yield
    except SourceError as error:
        raise SourceError(error.problem, place=place, hint=error.hint) from error
    except NotImplementedError as error:
        raise SourceError(
            f"is compressed in a way that can't be read here ({error})", place=place, hint=_BY_HAND
        ) from error
    except _DAMAGE as error:
        raise _damaged(archive, error, place) from error
    except OSError as error:
        # What bzip2 says, and what the system says of a place before the file's beginning.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(archive, error, place) from error
        raise SourceError(f"can't be unpacked: {error.strerror}", place=place) from error


def _damaged(archive: str, error: Exception, place: str) -> SourceError:
    return SourceError(
        f"{archive} is damaged, or no archive: {str(error) or 'it ends early'}",
        place=place,
        hint="Copy or download it again.",
    )


def _pieces(content: Readable, size: int) -> Iterator[bytes]:
    """Yield as many bytes as were declared, or fewer where there are no more."""
    while size and (piece := content.read(min(PIECE_BYTES, size))):
        size -= len(piece)
        yield piece


class Archive(Closing):
    """An archive whose members are read by name, many of them; for one, see `extract`.

    Parameters
    ----------
    path
        A zip, or a tar that may be compressed by gzip, xz or bzip2; told by its content.
    folder
        An empty folder; a compressed tar is decompressed there once.
    limits
        What may come out of it at most.

    Attributes
    ----------
    names
        Names of all that is in it but folders, in order of their code points: what is built from
        them does not depend on how it was packed. A name that is there twice is listed twice;
        what is a link, or no file of another kind, is listed too. `check` refuses these.

    Raises
    ------
    SourceError
        Where its list of members can't be read, or it can't be decompressed safely.
    """

    def __init__(self, path: str | Path, folder: Path, limits: Limits | None = None) -> None:
        self.path = Path(path)
        self._limits = limits or Limits()
        self._zip: zipfile.ZipFile | None = None
        self._in_zip: dict[str, zipfile.ZipInfo] = {}
        self._in_tar: dict[str, tuple[tar.Entry, int]] = {}
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise SourceError(f"can't be read: {error.strerror}", place=str(path)) from error
        try:
            with _as_source_error(self.path.name, self.path.name):
                self.names = self._read_names(folder)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        """Release the archive."""
        self._file.close()

    def check(self, name: str) -> None:
        """Look whether a member is one file that can be unpacked safely, as far as is declared.

        Raises
        ------
        SourceError
            Where it is not; the message names archive and member.
        """
        with self._named(name):
            self._find(name)

    def unpack(self, name: str, to: Path) -> None:
        """Write a member to `to`; what is there is replaced.

        Raises
        ------
        SourceError
            Where it can't be unpacked safely; the message names archive and member.
        """
        with self._named(name):
            size = self._find(name)
            to.unlink(missing_ok=True)
            _check_room(size, to)
            if self._zip is not None:
                with self._zip.open(self._in_zip[name]) as content:
                    _write(content, size, to)
            else:
                self._file.seek(self._in_tar[name][1])
                _write(self._file, size, to)

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Have errors name archive and member, and say what helps where it is one of many."""
        try:
            with _as_source_error(self.path.name, f"{self.path.name}!{name}"):
                yield
        except SourceError as error:
            hint = _ANEW if error.hint in (_BY_HAND, _ITSELF) else error.hint
            raise SourceError(error.problem, place=error.place, hint=hint) from error

    def _find(self, name: str) -> int:
        """Return a member's size if it is one file that can be unpacked safely."""
        if self._times[name] > 1:
            raise _several()
        if name in self._in_zip:
            return _zip_member(self._in_zip[name], self._limits).file_size
        if name in self._in_tar:
            return _tar_size(self._in_tar[name][0], self._limits)
        raise _not_there(name, self.names)

    def _read_names(self, folder: Path) -> tuple[str, ...]:
        names: list[str] = []
        kind = _kind_of(self._file)
        if kind == "zip":
            self._zip = zipfile.ZipFile(self._file)
            for info in self._zip.infolist():
                if not info.is_dir():
                    names.append(info.filename.removeprefix("./"))
                    self._in_zip[names[-1]] = info
        elif kind == "tar" or kind in _COMPRESSED:
            if kind != "tar":
                plain = folder / "plain.tar"
                _decompress(self._file, kind, plain, self._limits)
                self._file.close()
                self._file = plain.open("rb")
            for entry in tar.entries(self._file, lambda size: _pass_over(self._file, size)):
                if entry.kind != "a folder":
                    names.append(entry.name)
                    self._in_tar[entry.name] = entry, self._file.tell()
                _pass_over(self._file, tar.padded(entry.size))
        else:
            raise _unknown(kind, self._file)
        self._times = Counter(names)
        return tuple(sorted(names))


def decompress(archive: Path, to: Path, *, limits: Limits, progress: Progress = silent) -> bool:
    """Write a compressed tar to `to` as a plain one, in which members are found at once.

    Returns
    -------
    Whether it is one; nothing is written where it is not.

    Raises
    ------
    SourceError
        Where it can't be decompressed safely (`Limits`); nothing is left at `to`.
    """
    with _as_source_error(archive.name, archive.name), archive.open("rb") as file:
        kind = _kind_of(file)
        if kind not in _COMPRESSED:
            return False
        _decompress(file, kind, to, limits, progress)
    return True


def _decompress(
    file: BinaryIO, kind: str, to: Path, limits: Limits, progress: Progress = silent
) -> None:
    """Write all of it to `to`; nothing is left there where that fails."""
    unpacked, done = _Unpacked(file, kind, limits), 0
    most = max(limits.archive_bytes, limits.member_bytes)
    with to.open("xb") as out:
        try:
            while piece := unpacked.read(PIECE_BYTES):
                _check_total(done + len(piece), most, to)
                done += out.write(piece)
                progress(done, None)
        except BaseException:
            to.unlink(missing_ok=True)
            raise


def _check_total(size: int, most: int, to: Path) -> None:
    """Raise before a compressed tar has more than it may, or fills the disk."""
    if size > most:
        raise SourceError(
            f"has more than {most:,} bytes decompressed, which is the limit", hint=_DISTRUST
        )
    disk = shutil.disk_usage(to.parent)
    reserve = min(_RESERVE_BYTES, disk.total // _RESERVE_PART)
    if disk.free < reserve:
        raise SourceError(
            f"has {size:,} bytes and more decompressed, and the disk has only {disk.free:,} left",
            hint=f"Make room where {to.parent.absolute()} is.",
        )


def _write(content: Readable, size: int, to: Path) -> None:
    """Write as many bytes as were declared; fewer are damage."""
    with to.open("wb") as out:
        done = 0
        for piece in _pieces(content, size):
            done += out.write(piece)
    if done != size:
        raise EOFError(f"it ends after {done:,} of {size:,} bytes")


def _kind_of(file: BinaryIO) -> str:
    """Return what an archive is, by its content; it stands at its beginning then."""
    head = file.read(tar.BLOCK)
    file.seek(0)
    kind = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "")
    if tar.is_header(head):
        kind = "tar"
    if not kind and zipfile.is_zipfile(file):  # behind a program that unpacks it
        kind = "zip"
    file.seek(0)
    return kind


def _unknown(kind: str, file: BinaryIO) -> SourceError:
    file.seek(0)
    what = f"of format {kind}" if kind else f"no zip and no tar: it starts with {file.read(12)!r}"
    return SourceError(f"the archive is {what}, which is not read here", hint=_BY_HAND)


@contextmanager
def _opened(file: BinaryIO, member: str, limits: Limits) -> Iterator[tuple[int, Readable]]:
    """Find a member, and give its size and its content."""
    kind = _kind_of(file)
    if kind == "zip":
        with zipfile.ZipFile(file) as opened:
            entry = _zip_member(_zip_entry(opened, member), limits)
            with opened.open(entry) as content:
                yield entry.file_size, content
    elif kind == "tar":
        yield (
            _tar_member(file, member, limits, lambda size: _pass_over(file, size), seekable=True),
            file,
        )
    elif kind in _COMPRESSED:
        unpacked = _Unpacked(file, kind, limits)
        yield _tar_member(unpacked, member, limits, unpacked.skip, seekable=False), unpacked
    else:
        raise _unknown(kind, file)


def _zip_entry(opened: zipfile.ZipFile, member: str) -> zipfile.ZipInfo:
    """Return the one entry of a name."""
    wanted = member.removeprefix("./")
    found = [info for info in opened.infolist() if info.filename.removeprefix("./") == wanted]
    if not found:
        raise _not_there(member, [info.filename for info in opened.infolist()])
    if len(found) > 1:
        raise _several()
    return found[0]


def _zip_member(entry: zipfile.ZipInfo, limits: Limits) -> zipfile.ZipInfo:
    """Return an entry if it is a file that can be read safely."""
    mode = stat.S_IFMT(entry.external_attr >> 16)
    if mode not in (0, stat.S_IFREG):
        raise _no_file("a link" if stat.S_ISLNK(mode) else "a folder or a device")
    if entry.flag_bits & _ENCRYPTED:
        raise SourceError("is encrypted", hint=_BY_HAND)
    _check_size(entry.file_size, limits)
    _check_ratio(entry.file_size, entry.compress_size, limits)
    return entry


def _tar_member(
    file: Readable, member: str, limits: Limits, skip: Callable[[int], None], *, seekable: bool
) -> int:
    """Go to a member's content and return its size.

    Where `file` is seekable, all headers are looked at to see that no other has
    the name. Else the first one is taken.
    """
    wanted = member.removeprefix("./")
    names: list[str] = []
    size, at = 0, None
    for entry in tar.entries(file, skip):
        if entry.name.rstrip("/") == wanted:
            if at is not None:
                raise _several()
            size = _tar_size(entry, limits)
            if not seekable:
                return size
            at = file.tell()  # type: ignore[attr-defined]
        elif len(names) < _NAMES_KEPT:
            names.append(entry.name)
        skip(tar.padded(entry.size))
    if at is None:
        raise _not_there(member, names)
    file.seek(at)  # type: ignore[attr-defined]
    return size


def _tar_size(entry: tar.Entry, limits: Limits) -> int:
    """Return an entry's size if it is a file that can be read safely."""
    if entry.kind != "file":
        raise _no_file(entry.kind)
    _check_size(entry.size, limits)
    return entry.size


def _pass_over(file: BinaryIO, size: int) -> None:
    if file.seek(size, io.SEEK_CUR) > os.fstat(file.fileno()).st_size:
        raise EOFError("it ends early")


def _check_size(size: int, limits: Limits) -> None:
    if size > limits.member_bytes:
        raise SourceError(
            f"is declared to have {size:,} bytes; the limit is {limits.member_bytes:,}",
            hint=_DISTRUST,
        )


def _check_ratio(size: int, packed: int, limits: Limits) -> None:
    if size > limits.ratio_from_bytes and size > limits.ratio * packed:
        raise SourceError(
            f"unpacks to {size:,} bytes and more from {packed:,}: more than {limits.ratio} to one",
            hint=_BOMB,
        )


def _check_room(size: int, to: Path) -> None:
    free = shutil.disk_usage(to.parent).free
    if size > free:
        raise SourceError(
            f"has {size:,} bytes, but the disk has room for {free:,}",
            hint=f"Make room where {to.parent.absolute()} is.",
        )


def _no_file(kind: str) -> SourceError:
    if kind == tar.SPARSE:
        return SourceError(f"is {kind}", hint=_BY_HAND)
    what = kind if kind.endswith("no file") else f"{kind}, no file"
    return SourceError(f"is {what}", hint=_ITSELF)


def _several() -> SourceError:
    return SourceError("is there more than once in the archive", hint=_BY_HAND)


def _not_there(member: str, names: Sequence[str]) -> SourceError:
    """Return an error that guesses which member was meant."""
    inside = [name for name in names if name.startswith(f"{member}/")]
    if inside:
        return SourceError("is a folder", hint=f"Name a file in it, such as {inside[-1]!r}.")
    base = PurePosixPath(member).name
    near = [name for name in names if PurePosixPath(name).name == base]
    near = near or difflib.get_close_matches(member, names, n=3)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near[:3]))}?"
    elif names:
        hint = f"It has {len(names):,} members, such as {', '.join(map(repr, names[:3]))}."
    else:
        hint = "The archive is empty."
    return SourceError("is not in the archive", hint=hint)


class _Unpacked:
    """What a compressed file holds, from its beginning to its end."""

    def __init__(self, file: BinaryIO, kind: str, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._count = 0
        self._plain: Readable = _COMPRESSED[kind](file)

    def read(self, size: int, /) -> bytes:
        """Return as many bytes, and fewer only at the end."""
        content = self._plain.read(size)
        self._count += len(content)
        _check_ratio(self._count, self._file.tell(), self._limits)
        return content

    def skip(self, size: int) -> None:
        """Pass over as many bytes."""
        while size:
            passed = len(self.read(min(PIECE_BYTES, size)))
            if not passed:
                raise EOFError("it ends early")
            size -= passed


class _Xz(io.RawIOBase):
    """What an xz file holds. Unlike `lzma.LZMAFile`, it takes no more memory than is sane."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = self._new_stream()

    @staticmethod
    def _new_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` with what comes next; return how much that is, 0 at the end."""
        room = memoryview(buffer)
        while True:
            if self._stream.eof:
                # Zeros may stand between streams, and behind the last.
                packed = self._stream.unused_data.lstrip(b"\0")
                packed = packed or self._file.read(_XZ_PIECE_BYTES).lstrip(b"\0")
                if not packed:
                    return 0
                self._stream = self._new_stream()
            else:
                packed = self._file.read(_XZ_PIECE_BYTES) if self._stream.needs_input else b""
                if self._stream.needs_input and not packed:
                    raise EOFError("it ends early")
            plain = self._stream.decompress(packed, len(room))
            if plain:
                room[: len(plain)] = plain
                return len(plain)


_COMPRESSED: dict[str, Callable[[BinaryIO], Readable]] = {
    "gzip": lambda file: gzip.GzipFile(fileobj=file, mode="rb"),
    "xz": lambda file: io.BufferedReader(_Xz(file), _XZ_PIECE_BYTES),
    "bzip2": lambda file: bz2.BZ2File(file),
}
