r"""Read NumPy's files: npz with arrays t, x, y and p, and npy with records that have these fields.

=========  ========================================================================================
npy        ``\x93NUMPY``, version (2 bytes), size of the header (uint16, from version 2 on uint32,
           little-endian), the header: type, order and shape as text; the numbers
npz        a zip file of npy files; an array's name is its member's without ``.npy``. Members are
           stored or deflated
=========  ========================================================================================

`columns` says which names and numbers arrays and fields may have; others are ignored. An array of
two dimensions does not say which column is which: it is an error. Python objects (pickle) could run
code from the file: they are never loaded.

Sources: numpy.lib.format; https://numpy.org/doc/stable/reference/generated/numpy.savez.html.
"""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterator
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from evreel.errors import words_of
from evreel.events import Sensor
from evreel.npy import HEAD_BYTES, ArrayHead, array_head
from evreel.recordings.columns import (
    NAMES_HINT,
    ColumnsRecording,
    Fault,
    Rows,
    columns_by_name,
    is_number,
)
from evreel.recordings.decoded import PIECE_ROWS
from evreel.system import read_at

LIST_BYTES = 1 << 22
"""Size limit of a zip file's list of members: some ten thousand members."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
_FIXED_BYTES = 12  # before the text of an npy header; in version 1, the last two are of that text
_READ_BYTES = 1 << 20
_AGAIN = "Save it again with np.savez, or copy or download it again."


def _head(start: bytes) -> ArrayHead:
    """Return what the first bytes of an npy file say; raise `ValueError` if they are not valid."""
    head = array_head(start)
    if any(n < 0 for n in head.shape):
        raise ValueError(f"its header states a shape of {head.shape}")
    return head


class NpyRecording(ColumnsRecording):
    """An npy file of records; all else as in `ColumnsRecording`.

    Raises
    ------
    RecordingError
        If the header is damaged, or the array has no records with t, x, y and p.
    """

    format = "npy"

    def _open(self) -> Sensor | None:
        try:
            head = _head(self._bytes(HEAD_BYTES, 0))
        except ValueError as error:
            self._fail(str(error), 0, hint=_AGAIN)
        self._head = head
        fields = head.dtype.fields
        problem = _unfit(head, records=True)
        names = columns_by_name(fields) if fields and problem is None else {}
        if isinstance(names, str):
            problem = f"{names} among its fields {', '.join(fields or ())}"
        elif problem is None:
            for name in names.values():
                if fields is not None and not is_number(fields[name][0]):
                    problem = f"field {name} is of {fields[name][0]}; numbers are expected"
        if problem is not None or isinstance(names, str):
            self._refuse(f"{problem}", 0, NAMES_HINT)
        self._names = [names[name] for name in "txyp"]
        return None

    def _vouched(self, name: str) -> bool:
        return False

    def _rows(self) -> Iterator[Rows]:
        dtype, n = self._head.dtype, self._head.shape[0]
        width = dtype.itemsize
        at, row = self._head.size, 0
        fault = None
        while row < n and fault is None:
            wanted = min(n - row, PIECE_ROWS) * width
            data = self._bytes(wanted, at)
            got = len(data) // width
            if len(data) < wanted:
                fault = Fault(f"the file ends after {row + got} of {n} events", at + got * width)
            records = np.frombuffer(data, dtype, got)
            yield Rows(tuple(records[name] for name in self._names), at, width, fault)
            at, row = at + got * width, row + got
        if fault is None and at < self._size:
            self._fail(f"has {self._size - at} bytes after its array", at)


class NpzRecording(ColumnsRecording):
    """An npz file of columns; all else as in `ColumnsRecording`.

    Raises
    ------
    RecordingError
        If the zip file or a header is damaged, or columns differ in length or are not numbers.
    """

    format = "npz"

    def _open(self) -> Sensor | None:
        archive = self._zip()
        members: dict[str, zipfile.ZipInfo] = {}
        for member in archive.infolist():
            name = member.filename.removesuffix(".npy")
            if name in members:
                self._fail(f"array {name!r} is duplicated", self._place(member), hint=_AGAIN)
            members[name] = member
        names = columns_by_name(members)
        if isinstance(names, str):
            self._refuse(
                f"is a zip file that {names} among {', '.join(list(members)[:20]) or 'no arrays'}",
                0,
                hint=f"{NAMES_HINT} If it is an archive of recordings, `evreel acquire "
                f"'{self.path.name}!NAME' -o FILE` extracts one, and `evreel events --members` "
                "reads all.",
            )
        self._columns = [(names[name], members[names[name]]) for name in "txyp"]
        self._n = None
        for name, member in self._columns:
            head, stream = self._array(archive, name, member)
            stream.close()
            rows = head.shape[0]
            if self._n not in (None, rows):
                self._fail(
                    f"array {name} has {rows} rows, but {self._columns[0][0]} has {self._n}",
                    self._place(member),
                    hint=_AGAIN,
                )
            self._n = rows
        return None

    def _vouched(self, name: str) -> bool:
        return True

    def _zip(self) -> zipfile.ZipFile:
        """Return the zip file, with its list of members read."""
        try:
            return zipfile.ZipFile(_Bounded(self._file.fileno(), self._size))
        except MemoryError:
            raise
        except Exception as error:
            self._fail(f"is not a whole zip file: {words_of(error)}", self._size, hint=_AGAIN)

    def _place(self, member: zipfile.ZipInfo) -> int:
        """Return the byte of the file where a member begins."""
        return min(max(member.header_offset, 0), self._size)

    def _array(
        self, archive: zipfile.ZipFile, name: str, member: zipfile.ZipInfo
    ) -> tuple[ArrayHead, IO[bytes]]:
        """Return what the header of a column says, and a stream of the bytes that follow it."""
        if member.flag_bits & 1 or member.compress_type not in _COMPRESSIONS:
            method = member.compress_type
            named = f"zip method {method} ({_METHODS.get(method, 'an unknown one')})"
            how = f"not compressed with deflate, but with {named}"
            self._recode(
                f"array {name} is {'encrypted' if member.flag_bits & 1 else how}",
                self._place(member),
                hint="Save it again with np.savez or np.savez_compressed.",
            )
        try:
            stream = archive.open(member)
            start = stream.read(_FIXED_BYTES)
            # From version 2 on, the header's size takes four bytes.
            more = int.from_bytes(start[8 : 10 if start[6:7] == b"\x01" else 12], "little")
            if more > HEAD_BYTES:
                raise ValueError(f"its header has {more} bytes")
            start += stream.read(max(more - (2 if start[6:7] == b"\x01" else 0), 0))
            head = _head(start)
        except MemoryError:
            raise
        except Exception as error:
            self._fail(f"array {name}: {words_of(error)}", self._place(member), hint=_AGAIN)
        problem = _unfit(head, records=False)
        if problem is not None:
            hint = "Save t (µs), x, y and p as arrays of whole numbers, of one dimension each."
            self._recode(f"array {name} {problem}", self._place(member), hint)
        size = head.size + head.shape[0] * head.dtype.itemsize
        if size != member.file_size:
            self._fail(
                f"array {name} has {member.file_size} bytes, but its header asks for {size}",
                self._place(member),
                hint=_AGAIN,
            )
        return head, stream

    def _rows(self) -> Iterator[Rows]:
        # One zip file each, because members are read in turns.
        arrays = [self._array(self._zip(), *column) for column in self._columns]
        row, n = 0, arrays[0][0].shape[0]
        fault = None
        while row < n and fault is None:
            parts, rows = [], min(n - row, PIECE_ROWS)
            for (name, member), (head, stream) in zip(self._columns, arrays, strict=True):
                part, problem = _read(stream, head.dtype, rows)
                if problem is not None:
                    rows = len(part)
                    fault = Fault(f"array {name}: {problem}", self._place(member), _AGAIN)
                parts.append(part)
            row += rows
            columns = tuple(part[:rows] for part in parts)
            yield Rows(columns, self._place(self._columns[0][1]), 0, fault)
        for (name, member), (_, stream) in zip(self._columns, arrays, strict=True):
            try:
                stream.read(1)  # at the end the checksum is verified
            except MemoryError:
                raise
            except Exception as error:
                self._fail(f"array {name}: {words_of(error)}", self._place(member), hint=_AGAIN)


class _Bounded(io.RawIOBase):
    """A file's bytes, with a limit on how many are read at once.

    `zipfile` reads a list of members of whatever size the file claims.
    """

    def __init__(self, file: int, size: int) -> None:
        self._fd, self._size, self._at = file, size, 0

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"byte {base + offset} is before its beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        left = max(self._size - self._at, 0)
        wanted = left if size < 0 else min(size, left)
        if wanted > LIST_BYTES:
            raise ValueError(f"{wanted} bytes would have to be read at once")
        data = read_at(self._fd, wanted, self._at)
        self._at += len(data)
        return data


def _read(
    stream: IO[bytes], dtype: np.dtype[Any], rows: int
) -> tuple[npt.NDArray[Any], str | None]:
    """Return rows of a column, or those before damage, and what the damage is."""
    wanted = rows * dtype.itemsize
    data, problem = bytearray(), None
    try:
        while len(data) < wanted:
            got = stream.read(min(wanted - len(data), _READ_BYTES))
            if not got:
                problem = "ends too early"
                break
            data += got
    except MemoryError:
        raise
    except Exception as error:
        problem = words_of(error)
    return np.frombuffer(data, dtype, len(data) // dtype.itemsize), problem


def _unfit(head: ArrayHead, records: bool) -> str | None:
    """Return why an array cannot be read as records, or as a column of numbers."""
    kind = "records with t, x, y and p" if records else "numbers"
    if head.dtype.hasobject:
        return "holds Python objects (pickle), which are never loaded"
    if records and head.dtype.fields is None:
        order = ", which does not say which column is which" if len(head.shape) == 2 else ""
        return f"is of shape {head.shape} and type {head.dtype}{order}; {kind} are expected"
    if not records and not is_number(head.dtype):
        return f"is of type {head.dtype}; {kind} are expected"
    if len(head.shape) != 1:
        return f"is of shape {head.shape}; one dimension of {kind} is expected"
    if not 0 < head.dtype.itemsize <= 1 << 16:
        return f"is of type {head.dtype}; {kind} are expected"
    return None
