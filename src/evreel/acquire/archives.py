"""Members of archives: found by name and read one at a time, with nothing else unpacked.

A zip has a table of its members, so one is found at once. A tar has none: a plain one is read
header by header, a compressed one (gzip, xz, bzip2) has to be decompressed from its beginning up to
the member. A name in an archive never becomes a path: content goes where the caller says.
"""

from __future__ import annotations

import bz2
import difflib
import errno
import gzip
import io
import lzma
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO

from evreel.acquire import tar
from evreel.acquire.room import check_reserve, check_room
from evreel.acquire.sums import PIECE_BYTES, Received, Sums, receive
from evreel.acquire.tar import Readable
from evreel.closing import Closing
from evreel.errors import EvreelError, SourceError
from evreel.folders import files_of
from evreel.outputs import Progress, if_full, silent
from evreel.text import nfc

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
_NAMES_COMPARED = 2_000
"""Of how many names the closest are looked for: of 100,000 that takes four seconds."""
_BY_HAND = "Unpack it by hand, and give the path of the recording."
_OF_SAMPLES = (
    "samples/by: members needs an archive (zip or tar) or a folder as source, in one row: its "
    "files are the samples. A single recording is neither."
)
_ITSELF = "Name the file itself."
_ANEW = "Pack the archive again, with plain files only, each of them once."
_DISTRUST = "If the size is right, raise the limit; else do not trust this archive."
_BOMB = "No recording compresses so well: do not trust this archive; if you do, unpack it by hand."


@dataclass(frozen=True)
class Limits:
    """Limits on what is unpacked from an archive, so that a small one cannot fill a disk.

    They hold for requested members only, except for the ratio of a compressed tar.

    Parameters
    ----------
    member_bytes
        Size limit of an unpacked member. Unpacking may fill the disk, but does not begin without
        room for the declared size; no more than that is written.
    ratio, ratio_from_bytes
        How many bytes one compressed byte may unpack to, once more than `ratio_from_bytes` are
        unpacked. In a compressed tar, all bytes up to the member's end count, or up to the
        archive's end if it is decompressed as a whole.
    archive_bytes
        Size limit of a compressed tar that is decompressed as a whole, all of its members together;
        `member_bytes` if that is more. Decompressing also stops when less than a twentieth of the
        disk, or 1 GiB if that is less, is free.
    """

    member_bytes: int = 64 << 30
    ratio: int = 1000
    ratio_from_bytes: int = 100_000_000
    archive_bytes: int = 1 << 40

    @classmethod
    def of_gib(cls, member_gib: float | None) -> Limits:
        """Return limits with another size limit of a member, in 2**30 bytes; None: the default."""
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
        A zip, or a tar that may be compressed by gzip, xz or bzip2; recognized by its content.
    members
        Name of the member; for an archive in an archive, the name of the inner one before it.
        An inner archive is temporarily unpacked beside `destination`.
    name
        What the archive is called in messages.
    sums
        Which checksums of the member to compute; the caller compares them.

    Raises
    ------
    SourceError
        If there is no such file, or it cannot be unpacked safely; the message names archive and
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
    """Write the member named last in `names`; the names before it are the archives around it."""
    *_, inside, member = names
    place = "!".join(names)
    with (
        _as_source_error(inside, place),
        archive.open("rb") as file,
        _opened(file, member, limits) as (size, content),
    ):
        check_room(size, to.parent, f"has {size:,} bytes")
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
    """Turn whatever a library raises on a damaged archive into one error with its place."""
    try:
        yield
    except SourceError as error:
        if error.place is not None:
            raise
        raise SourceError(error.problem, place=place, hint=error.hint) from error
    except NotImplementedError as error:
        raise SourceError(
            f"uses a compression that evreel cannot read ({error})", place=place, hint=_BY_HAND
        ) from error
    except OSError as error:
        # What bzip2 raises, and what the system raises on a position before the file's start.
        if error.errno in (None, errno.EINVAL):
            raise _damaged(archive, error, place) from error
        hint = if_full(error)
        raise SourceError(
            f"cannot be unpacked: {error.strerror}", place=place, hint=hint
        ) from error
    except (EvreelError, MemoryError):
        raise
    except Exception as error:  # zipfile alone raises a dozen kinds
        raise _damaged(archive, error, place) from error


def _damaged(archive: str, error: Exception, place: str) -> SourceError:
    return SourceError(
        f"{archive} is damaged, or not an archive: {str(error) or 'it ends early'}",
        place=place,
        hint="Copy or download it again.",
    )


def _pieces(content: Readable, size: int) -> Iterator[bytes]:
    """Yield as many bytes as were declared, or fewer if there are no more."""
    while size and (piece := content.read(min(PIECE_BYTES, size))):
        size -= len(piece)
        yield piece


class Archive(Closing):
    """An archive from which many members are read by name; for one member, see `extract`.

    Parameters
    ----------
    path
        A zip, or a tar that may be compressed by gzip, xz or bzip2; recognized by its content.
    folder
        An empty folder; a compressed tar is decompressed there once.
    limits
        Limits on what is unpacked.
    judge
        Called with this archive, and with name and size of each member except folders, in the order
        of the archive and as soon as it is known; the member can be checked already. What it
        raises ends the reading of the list.

    Attributes
    ----------
    names
        Names of all members except folders, sorted by code point: what is built from them does not
        depend on how the archive was packed. A duplicated name is listed twice; links and other
        members that are not regular files are listed too. `check` refuses these.

    Raises
    ------
    SourceError
        If the list of members cannot be read, or the archive cannot be decompressed safely.
    """

    def __init__(
        self,
        path: str | Path,
        folder: Path,
        limits: Limits | None = None,
        *,
        judge: Callable[[Archive, str, int], None] | None = None,
    ) -> None:
        self.path = Path(path)
        self.names: tuple[str, ...] = ()
        self._judge = judge
        self._times: Counter[str] = Counter()
        self._limits = limits or Limits()
        self._zip: zipfile.ZipFile | None = None
        self._in_zip: dict[str, zipfile.ZipInfo] = {}
        self._in_tar: dict[str, tuple[tar.Entry, int]] = {}
        try:
            self._file: BinaryIO = self.path.open("rb")
        except OSError as error:
            raise SourceError(f"cannot be read: {error.strerror}", place=str(path)) from error
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
        """Check that a member is one file that can be unpacked safely, judging by its header.

        Raises
        ------
        SourceError
            If it is not; the message names archive and member.
        """
        with self._named(name):
            self._find(name)

    def unpack(self, name: str, to: Path) -> Path:
        """Write a member to `to`, replacing a file that is there; return where it is then.

        Raises
        ------
        SourceError
            If it cannot be unpacked safely; the message names archive and member.
        """
        with self._named(name):
            size = self._find(name)
            to.unlink(missing_ok=True)
            check_room(size, to.parent, f"has {size:,} bytes")
            if self._zip is not None:
                with self._zip.open(self._in_zip[name]) as content:
                    _write(content, size, to)
            else:
                self._file.seek(self._in_tar[name][1])
                _write(self._file, size, to)
        return to

    @contextmanager
    def _named(self, name: str) -> Iterator[None]:
        """Make errors name archive and member, with a hint that fits one member of many."""
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
        kind = _kind_of(self._file)
        if kind == "zip":
            self._zip = zipfile.ZipFile(self._file)
            for info in self._zip.infolist():
                if not info.is_dir():
                    name = info.filename.removeprefix("./")
                    self._in_zip[name] = info
                    self._enter(name, info.file_size)
        elif kind == "tar":
            file = self._file
            self._read_tar(file, file.tell, lambda size: _pass_over(file, size))
        elif kind in _COMPRESSED:
            to = folder / "plain.tar"
            with _decompressed(self._file, kind, to, self._limits) as plain:
                self._read_tar(plain, plain.tell, plain.skip)
            self._file.close()
            self._file = to.open("rb")
        else:
            raise _unknown(kind, self._file, _OF_SAMPLES)
        return tuple(sorted(self._times.elements()))

    def _read_tar(
        self, file: Readable, tell: Callable[[], int], skip: Callable[[int], None]
    ) -> None:
        for entry in tar.entries(file, skip):
            if entry.kind != "a folder":
                self._in_tar[entry.name] = entry, tell()
                self._enter(entry.name, entry.size)
            skip(tar.padded(entry.size))

    def _enter(self, name: str, size: int) -> None:
        self._times[name] += 1
        if self._judge is not None:
            self._judge(self, name, size)


class FolderOfMembers(Closing):
    """A folder from which many files are read by name, as an `Archive` gives its members.

    Parameters
    ----------
    path
        The folder.
    judge
        As an `Archive` takes it; files come in the order of their names.

    Attributes
    ----------
    names
        Names of all files, sorted by code point, with ``/`` between folders.

    Raises
    ------
    SourceError
        If it cannot be read, or has something that is not a plain file.
    """

    def __init__(self, path: Path, judge: Callable[[FolderOfMembers, str, int], None]) -> None:
        self.path = path
        self._files = dict(files_of(path))
        self.names = tuple(self._files)
        for name, file in self._files.items():
            judge(self, name, file.stat().st_size)

    def close(self) -> None:
        """Release the folder, of which nothing is held."""

    def check(self, name: str) -> None:
        """Check nothing: only plain files are there."""

    def unpack(self, name: str, to: Path) -> Path:
        """Return where a file is: it is read there, and `to` stays empty."""
        return self._files[name]


def decompress(archive: Path, to: Path, *, limits: Limits, progress: Progress = silent) -> bool:
    """Decompress a compressed tar to `to`, a plain one, in which members are found at once.

    Returns
    -------
    Whether `archive` is a compressed tar; if not, nothing is written.

    Raises
    ------
    SourceError
        If it cannot be decompressed safely (`Limits`); nothing is left at `to`.
    """
    with _as_source_error(archive.name, archive.name), archive.open("rb") as file:
        kind = _kind_of(file)
        if kind not in _COMPRESSED:
            return False
        with _decompressed(file, kind, to, limits) as plain:
            while plain.read(PIECE_BYTES):
                progress(plain.tell(), None)
    return True


@contextmanager
def _decompressed(file: BinaryIO, kind: str, to: Path, limits: Limits) -> Iterator[_Plain]:
    """Give the content of a compressed tar; what is read of it is written to `to`.

    It is read to its end, where a checksum may be. If that fails, nothing is left at `to`.
    """
    with to.open("xb") as out:
        try:
            plain = _Plain(file, kind, limits, to, out)
            yield plain
            while plain.read(PIECE_BYTES):
                pass
        except BaseException:
            to.unlink(missing_ok=True)
            raise


def _write(content: Readable, size: int, to: Path) -> None:
    """Write as many bytes as were declared; fewer mean damage."""
    with to.open("wb") as out:
        done = 0
        for piece in _pieces(content, size):
            done += out.write(piece)
    if done != size:
        raise EOFError(f"it ends after {done:,} of {size:,} bytes")


def _kind_of(file: BinaryIO) -> str:
    """Return an archive's kind, by its content; `file` is at its beginning afterwards."""
    head = file.read(tar.BLOCK)
    file.seek(0)
    kind = next((kind for magic, kind in _MAGICS.items() if head.startswith(magic)), "")
    if tar.is_header(head):
        kind = "tar"
    if not kind and zipfile.is_zipfile(file):  # appended to a program that unpacks it
        kind = "zip"
    file.seek(0)
    return kind


def is_archive(path: Path) -> bool:
    """Tell whether a file is an archive, by its content, also one that evreel cannot read.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    with path.open("rb") as file:
        return bool(_kind_of(file))


def _unknown(kind: str, file: BinaryIO, hint: str = _BY_HAND) -> SourceError:
    file.seek(0)
    what = f"has format {kind}, which evreel cannot read"
    if not kind:
        what = f"is neither a zip nor a tar: it starts with {file.read(12)!r}"
    return SourceError(f"the archive {what}", hint=hint)


@contextmanager
def _opened(file: BinaryIO, member: str, limits: Limits) -> Iterator[tuple[int, Readable]]:
    """Find a member; give its size and its content."""
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
    """Return the only entry of a name."""
    wanted = member.removeprefix("./")
    named = [(info.filename.removeprefix("./"), info) for info in opened.infolist()]
    found = [info for name, info in named if name == wanted]
    found = found or [info for name, info in named if nfc(name) == nfc(wanted)]
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

    If `file` is seekable, all headers are read, to see that the name is not duplicated. Else the
    first member of that name is taken.
    """
    wanted = nfc(member.removeprefix("./"))
    names: list[str] = []
    size, at = 0, None
    for entry in tar.entries(file, skip):
        if nfc(entry.name.rstrip("/")) == wanted:
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
            f"has a declared size of {size:,} bytes; the limit is {limits.member_bytes:,}",
            hint=_DISTRUST,
        )


def _check_ratio(size: int, packed: int, limits: Limits) -> None:
    if size > limits.ratio_from_bytes and size > limits.ratio * packed:
        raise SourceError(
            f"unpacks from {packed:,} to {size:,} bytes or more: more than {limits.ratio} to one",
            hint=_BOMB,
        )


def _no_file(kind: str) -> SourceError:
    if kind == tar.SPARSE:
        return SourceError(f"is {kind}", hint=_BY_HAND)
    return SourceError(f"is {kind}, not a file", hint=_ITSELF)


def _several() -> SourceError:
    return SourceError("is duplicated in the archive", hint=_BY_HAND)


def _not_there(member: str, names: Sequence[str]) -> SourceError:
    """Return an error that suggests which member was meant."""
    inside = [name for name in names if name.startswith(f"{member}/")]
    if inside:
        return SourceError("is a folder", hint=f"Name a file in it, such as {inside[-1]!r}.")
    base = PurePosixPath(member).name
    near = [name for name in names if PurePosixPath(name).name == base]
    if not near:
        folder = PurePosixPath(member).parent
        beside = [name for name in names if PurePosixPath(name).parent == folder]
        compared = dict.fromkeys([*beside[:_NAMES_COMPARED], *names[:_NAMES_COMPARED]])
        near = difflib.get_close_matches(member, compared, n=3)
    if near:
        hint = f"Did you mean {' or '.join(map(repr, near[:3]))}?"
    elif names:
        hint = f"The archive has {len(names):,} members, such as {', '.join(map(repr, names[:3]))}."
    else:
        hint = "The archive is empty."
    return SourceError("is not in the archive", hint=hint)


class _Unpacked:
    """The content of a compressed file, from beginning to end."""

    def __init__(self, file: BinaryIO, kind: str, limits: Limits) -> None:
        self._file = file
        self._limits = limits
        self._count = 0
        self._plain: Readable = _COMPRESSED[kind](file)

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        content = self._plain.read(size)
        self._count += len(content)
        _check_ratio(self._count, self._file.tell(), self._limits)
        return content

    def skip(self, size: int) -> None:
        """Pass over `size` bytes."""
        while size:
            passed = len(self.read(min(PIECE_BYTES, size)))
            if not passed:
                raise EOFError("it ends early")
            size -= passed


class _Plain(_Unpacked):
    """The content of a compressed tar, written to a file as it is read."""

    def __init__(self, file: BinaryIO, kind: str, limits: Limits, to: Path, out: BinaryIO) -> None:
        super().__init__(file, kind, limits)
        self._to, self._out = to, out
        self._most = max(limits.archive_bytes, limits.member_bytes)

    def tell(self) -> int:
        """Return how much was read and written."""
        return self._count

    def read(self, size: int, /) -> bytes:
        """Return `size` bytes, or fewer at the end."""
        before = self._count
        content = super().read(size)
        if self._count > self._most:
            raise SourceError(
                f"decompresses to more than {self._most:,} bytes, which is the limit",
                hint=_DISTRUST,
            )
        pieces = self._count // PIECE_BYTES
        if pieces > before // PIECE_BYTES:
            said = f"decompresses to {pieces * PIECE_BYTES:,} bytes or more"
            check_reserve(self._to.parent, said)
        self._out.write(content)
        return content


class _Xz(io.RawIOBase):
    """The content of an xz file. Unlike `lzma.LZMAFile`, it takes a limited amount of memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._stream = self._new_stream()

    @staticmethod
    def _new_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill `buffer` with the next bytes; return how many, 0 at the end."""
        room = memoryview(buffer)
        while True:
            if self._stream.eof:
                # There may be zeros between streams and after the last.
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
