r"""Read NumPy's files: npz with arrays t, x, y and p, and npy with records that have these fields.

=========  ========================================================================================
npy        ``\x93NUMPY``, version (2 bytes), size of the header (uint16, from version 2 on uint32,
           little-endian), the header: type, order and shape as text; the numbers
npz        a zip file of npy files; an array's name is its member's without ``.npy``. Members are
           stored or deflated
=========  ========================================================================================

`columns` says which names and numbers arrays and fields may have; others are ignored, but for
``height`` and ``width`` of an npz, which state the sensor's size if both are whole numbers. An
array of two dimensions does not say which column is which: that must be declared (`declared`).
Python objects (pickle) could run code from the file: they are never loaded.

Sources: numpy.lib.format; https://numpy.org/doc/stable/reference/generated/numpy.savez.html.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import math
import os
import zipfile
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import IO, Any, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.errors import CodingError, EventsError, RecordingError, UnknownFormatError, words_of
from evreel.events import Sensor
from evreel.npy import HEAD_BYTES, ArrayHead, array_head
from evreel.recordings.columns import (
    NAMES_HINT,
    ColumnsRecording,
    Fault,
    Held,
    Rows,
    columns_by_name,
    is_number,
    listed,
    rows_at_a_time,
    shift_us,
    to_declare,
)
from evreel.recordings.declared import SAID, Column, Declaration, declaration, in_words
from evreel.recordings.open import Reading
from evreel.system import read_at

LIST_BYTES = 1 << 22
"""Size limit of a zip file's list of members: some ten thousand members."""

_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_METHODS = {9: "Deflate64", 12: "bzip2", 14: "LZMA", 93: "Zstandard", 95: "xz", 98: "PPMd"}
_MOST_BESIDE = 64  # columns of an array of two dimensions
_MOST_HELD = 200  # arrays that an error lists
_ORDERS = (("txyp", "us"), ("xytp", "s"))
_FIXED_BYTES = 12  # before the text of an npy header; in version 1, the last two are of that text
_READ_BYTES = 1 << 20
_AGAIN = "Save it again with np.savez, or copy or download it again."


def _head(start: bytes) -> ArrayHead:
    """Return what the first bytes of an npy file say; raise `ValueError` if they are not valid."""
    head = array_head(start)
    if any(n < 0 for n in head.shape):
        raise ValueError(f"its header states a shape of {head.shape}")
    return head


def _fields(dtype: np.dtype[Any]) -> tuple[str, ...]:
    return tuple(dtype.fields or ())


def _of_field(dtype: np.dtype[Any], field: str) -> np.dtype[Any]:
    fields: Mapping[str, Any] = dtype.fields or {}
    kind: np.dtype[Any] = fields[field][0]
    return kind


class NpyRecording(ColumnsRecording):
    """An npy file of records, or of rows with declared columns; all else as in `ColumnsRecording`.

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
        said = self._declared
        self._dtype = head.dtype if said is None else row_type(head)
        self._head = head
        fields = _fields(self._dtype)
        problem = _unfit(head, records=True) if said is None else _unfit_rows(head)
        if problem is None and said is not None and len(fields) < 4:
            problem = f"has {len(fields)} columns" if fields else "has one column of numbers"
        if problem is not None:
            orders = " or ".join(in_words(tuple(order), unit) for order, unit in _ORDERS)
            more = f" Or declare its columns in their order, such as {orders} ({SAID})."
            self._refuse(problem, 0, f"{NAMES_HINT}{more * (len(head.shape) == 2)}")
        names = columns_by_name(fields) if said is None else self._declared_names(said, fields)
        if isinstance(names, str):
            self._refuse(f"{names} among its fields {', '.join(fields)}", 0, NAMES_HINT)
        for role in "txyp":
            kind = _of_field(self._dtype, names[role])
            if not is_number(kind):
                problem = f"field {names[role]} is of {kind}; numbers are expected"
                self._refuse(problem, 0, NAMES_HINT)
        self._names = [names[role] for role in "txyp"]
        return said.sensor if said is not None and self._given is None else None

    def _declared_names(self, said: Declaration, fields: tuple[str, ...]) -> dict[str, str] | str:
        """Return the fields of t, x, y and p, or what is wrong with what is declared."""
        if said.order:
            if len(fields) != len(said.order):
                return f"has {len(fields)} columns, but {len(said.order)} are declared"
            names = dict(zip(said.order, fields, strict=True))
            known = columns_by_name(fields)
            if isinstance(known, dict) and any(names[role] != known[role] for role in known):
                return "has t, x, y and p in another order than is declared"
            return names
        for column in said.columns.values():
            if column.part is not None or column.shift_name:
                more = column.shift_name or f"[{column.part}]"
                return f"is one array, in which there is nothing like {more}"
            if column.name not in fields:
                return f"has no column {column.name}"
        return {role: column.name for role, column in said.columns.items()}

    def _vouched(self, name: str) -> bool:
        return False

    def _rows(self) -> Iterator[Rows]:
        dtype, n = self._dtype, self._head.shape[0]
        width = dtype.itemsize
        at, row = self._head.size, 0
        fault = None
        while row < n and fault is None:
            wanted = min(n - row, rows_at_a_time(width)) * width
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
        said = self._declared
        if said is None:
            places = self._by_name(archive, members)
        elif said.order:
            places = self._in_order(archive, members, said)
        else:
            places = {role: self._declared_place(archive, members, said, role) for role in "txyp"}
        names = list(dict.fromkeys(name for name, _ in places.values()))
        self._columns = [(name, members[name]) for name in names]
        self._dtypes: list[np.dtype[Any]] = []
        n = None
        for name, member in self._columns:
            head, stream = self._array(archive, name, member)
            stream.close()
            rows = head.shape[0]
            if n not in (None, rows):
                self._fail(
                    f"array {name} has {rows} rows, but {names[0]} has {n}",
                    self._place(member),
                    hint=_AGAIN,
                )
            n = rows
            self._dtypes.append(row_type(head))
        self._picked = []
        for role in "txyp":
            name, part = places[role]
            k = names.index(name)
            fields = _fields(self._dtypes[k])
            field = part
            if part is None and fields == ("0",):  # one column, of two dimensions
                field = "0"
            kind = self._dtypes[k]
            if field in fields:
                kind = _of_field(kind, field)
            elif field is not None or fields:
                has = f"has {', '.join(fields)}" if fields else "has one column of numbers"
                at = name if part is None else f"{name}[{part}]"
                problem = f"array {name} {has}; column {role} is declared to be {at}"
                self._recode(problem, self._place(members[name]), NAMES_HINT)
            if not is_number(kind):
                problem = f"array {name} is of type {kind}; numbers are expected"
                self._recode(problem, self._place(members[name]), NAMES_HINT)
            self._picked.append((k, field))
        if said is not None and said.columns["t"].shift_name:
            self._shift_us = self._number(archive, members, said.columns["t"])
        declared = said.sensor if said is not None and self._given is None else None
        return self._stated_size(archive, members) or declared

    def _stated_size(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]
    ) -> Sensor | None:
        """Return the size that arrays height and width state; None if they are something else."""
        found = []
        for name in Sensor._fields:
            if name not in members:
                return None
            try:
                head, stream = self._array(archive, name, members[name], _unfit_number)
            except CodingError:
                return None
            with stream:
                values, problem = _read(stream, head.dtype, 1)
            if problem is not None:
                self._fail(f"array {name}: {problem}", self._place(members[name]), hint=_AGAIN)
            if head.dtype.kind not in "iu":
                return None
            found.append(int(values[0]))
        try:
            return Sensor.checked(*found)
        except EventsError as error:
            self._fail(error.problem, self._place(members[Sensor._fields[0]]), hint=_AGAIN)

    def _by_name(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]
    ) -> dict[str, tuple[str, str | None]]:
        """Return the array of each column, by what arrays are usually called."""
        names = columns_by_name(members)
        if isinstance(names, str):
            held = self._held(archive, members)
            self._refuse(
                f"is a zip file that {names}; it holds {listed(held)}",
                0,
                hint=f"{NAMES_HINT} {to_declare(held)} If it is an archive of recordings, `evreel "
                f"acquire '{self.path.name}!NAME' -o FILE` extracts one, and `evreel events "
                "--members` reads all.",
            )
        return {role: (name, None) for role, name in names.items()}

    def _in_order(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], said: Declaration
    ) -> dict[str, tuple[str, str | None]]:
        """Return arrays by their usual names, or columns of the only array with as many."""
        names = columns_by_name(members)
        if isinstance(names, dict):
            return {role: (name, None) for role, name in names.items()}
        held, order = self._held(archive, members), said.order
        fitting = [name for name, found in held.items() if found.shape[1:] == (len(order),)]
        if len(fitting) != 1:
            n = len(fitting) or "no"
            self._refuse_declared(f"has {n} arrays with {len(order)} columns", held)
        return {role: (fitting[0], str(order.index(role))) for role in "txyp"}

    def _declared_place(
        self,
        archive: zipfile.ZipFile,
        members: Mapping[str, zipfile.ZipInfo],
        said: Declaration,
        role: str,
    ) -> tuple[str, str | None]:
        column = said.columns[role]
        name = self._member_named(archive, members, column.name)
        return name, None if column.part is None else str(column.part)

    def _member_named(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], name: str
    ) -> str:
        """Return an array's name in the file, in which it may be in a folder."""
        if name in members:
            return name
        inside = [each for each in members if each.endswith(f"/{name}")]
        if len(inside) != 1:
            n = len(inside) or "no"
            held = self._held(archive, members)
            self._refuse_declared(f"has {n} array{'s' * (len(inside) > 1)} {name}", held)
        return inside[0]

    def _refuse_declared(self, problem: str, held: Mapping[str, Held]) -> NoReturn:
        self._refuse(f"{problem}; it holds {listed(held)}", 0, to_declare(held))

    def _held(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo]
    ) -> dict[str, Held]:
        """Return the members of the file."""
        held = {}
        for name, member in itertools.islice(members.items(), _MOST_HELD):
            held[name] = Held((), other=f"{member.file_size:,} bytes")
            if member.filename.endswith(".npy"):
                with contextlib.suppress(RecordingError):
                    head, stream = self._array(archive, name, member, _unfit_rows)
                    stream.close()
                    held[name] = Held(
                        head.shape,
                        _fields(head.dtype),
                        "" if head.dtype.fields else head.dtype.name,
                    )
        return held

    def _number(
        self, archive: zipfile.ZipFile, members: Mapping[str, zipfile.ZipInfo], t: Column
    ) -> Fraction:
        """Return the number of an array, in the unit of t, as microseconds."""
        name = self._member_named(archive, members, t.shift_name)
        head, stream = self._array(archive, name, members[name], _unfit_number)
        with stream:
            values, problem = _read(stream, head.dtype, 1)
        if problem is not None:
            self._fail(f"array {name}: {problem}", self._place(members[name]), hint=_AGAIN)
        try:
            return shift_us(values[0].item(), t)
        except ValueError as error:
            self._fail(f"array {name}: {error}", self._place(members[name]), hint=_AGAIN)

    def _vouched(self, name: str) -> bool:
        return True

    def _zip(self) -> zipfile.ZipFile:
        """Return the zip file, with its list of members read."""
        try:
            return zip_of(self._file.fileno(), self._size)
        except ValueError as error:
            self._fail(str(error), self._size, hint=_AGAIN)

    def _place(self, member: zipfile.ZipInfo) -> int:
        """Return the byte of the file where a member begins."""
        return min(max(member.header_offset, 0), self._size)

    def _array(
        self,
        archive: zipfile.ZipFile,
        name: str,
        member: zipfile.ZipInfo,
        unfit: Callable[[ArrayHead], str | None] | None = None,
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
        stream = None
        try:
            stream = archive.open(member)
            return self._head_of(stream, name, member, unfit), stream
        except BaseException as error:
            if stream is not None:
                stream.close()
            if isinstance(error, (MemoryError, RecordingError)) or not isinstance(error, Exception):
                raise
            self._fail(f"array {name}: {words_of(error)}", self._place(member), hint=_AGAIN)

    def _head_of(
        self,
        stream: IO[bytes],
        name: str,
        member: zipfile.ZipInfo,
        unfit: Callable[[ArrayHead], str | None] | None,
    ) -> ArrayHead:
        """Return what the header of a column says, which is read from its stream."""
        start = stream.read(_FIXED_BYTES)
        # From version 2 on, the header's size takes four bytes.
        more = int.from_bytes(start[8 : 10 if start[6:7] == b"\x01" else 12], "little")
        if more > HEAD_BYTES:
            raise ValueError(f"its header has {more} bytes")
        start += stream.read(max(more - (2 if start[6:7] == b"\x01" else 0), 0))
        head = _head(start)
        if unfit is None:
            unfit = _unfit_column if self._declared is None else _unfit_rows
        problem = unfit(head)
        if problem is not None:
            hint = "Save t (µs), x, y and p as arrays of whole numbers, of one dimension each."
            self._recode(f"array {name} {problem}", self._place(member), hint)
        size = head.size + math.prod(head.shape) * head.dtype.itemsize
        if size != member.file_size:
            self._fail(
                f"array {name} has {member.file_size} bytes, but its header asks for {size}",
                self._place(member),
                hint=_AGAIN,
            )
        return head

    def _rows(self) -> Iterator[Rows]:
        with contextlib.ExitStack() as stack:
            # One zip file each, because members are read in turns.
            arrays = []
            for column in self._columns:
                arrays.append(self._array(self._zip(), *column))
                stack.enter_context(arrays[-1][1])
            yield from self._rows_of(arrays)

    def _rows_of(self, arrays: list[tuple[ArrayHead, IO[bytes]]]) -> Iterator[Rows]:
        row, n = 0, arrays[0][0].shape[0]
        of_rows = list(zip(self._columns, arrays, self._dtypes, strict=True))
        most = rows_at_a_time(max(dtype.itemsize for dtype in self._dtypes))
        fault = None
        while row < n and fault is None:
            parts, rows = [], min(n - row, most)
            for (name, member), (_, stream), dtype in of_rows:
                part, problem = _read(stream, dtype, rows)
                if problem is not None:
                    rows = len(part)
                    fault = Fault(f"array {name}: {problem}", self._place(member), _AGAIN)
                parts.append(part)
            row += rows
            columns = tuple(
                parts[k][:rows] if field is None else parts[k][:rows][field]
                for k, field in self._picked
            )
            yield Rows(columns, self._place(self._columns[0][1]), 0, fault)
        for (name, member), (_, stream) in zip(self._columns, arrays, strict=True):
            try:
                stream.read(1)  # at the end the checksum is verified
            except MemoryError:
                raise
            except Exception as error:
                self._fail(f"array {name}: {words_of(error)}", self._place(member), hint=_AGAIN)


class NpyFolderRecording(NpzRecording):
    """A folder of npy files with declared columns; all else as in `NpzRecording`.

    Errors name the file of t, or the first one, and say which array they are about.
    """

    format = "npy"

    def __init__(self, path: str | Path, *, reading: Reading, **options: Any) -> None:
        self._folder = Path(path)
        assert reading.columns is not None
        t = declaration(reading.columns).columns["t"].name or "t"
        names = [member.filename for member in _Folder(self._folder).infolist()]
        if not names:
            raise UnknownFormatError("is a folder without npy files", path=path)
        first = f"{t}.npy" if f"{t}.npy" in names else names[0]
        super().__init__(self._folder / first, reading=reading, **options)

    def _zip(self) -> Any:
        return _Folder(self._folder)

    def _place(self, member: zipfile.ZipInfo) -> int:
        return 0

    def _vouched(self, name: str) -> bool:
        return False


class _Folder:
    """The npy files of a folder, as `zipfile.ZipFile` has its members."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def infolist(self) -> list[zipfile.ZipInfo]:
        found = []
        for path in sorted(self._folder.glob("*.npy")):
            if path.is_file() and not path.name.startswith("."):
                found.append(zipfile.ZipInfo(path.name))
                found[-1].file_size = path.stat().st_size
        return found

    def open(self, member: zipfile.ZipInfo) -> IO[bytes]:
        return (self._folder / member.filename).open("rb")


def zip_of(file: int, size: int) -> zipfile.ZipFile:
    """Return a zip file by its descriptor, with its list of members read.

    Raises
    ------
    ValueError
        If it is not whole.
    """
    try:
        return zipfile.ZipFile(Bounded(file, size))
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"is not a whole zip file: {words_of(error)}") from error


class Bounded(io.RawIOBase):
    """A file's bytes, with a limit on how many are read at once.

    `zipfile` reads a list of members of whatever size the file claims.
    """

    def __init__(self, file: int, size: int) -> None:
        self._fd, self._size, self._at = file, size, 0

    def seekable(self) -> bool:
        """Return True."""
        return True

    def readable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the byte that is read next."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"byte {base + offset} is before its beginning")
        self._at = base + offset
        return self._at

    def read(self, size: int = -1, /) -> bytes:
        """Return bytes; at most `LIST_BYTES` at once."""
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


def row_type(head: ArrayHead) -> np.dtype[Any]:
    """Return the type of an array's row: of one with two dimensions, records 0, 1, …."""
    if len(head.shape) == 2 and head.dtype.fields is None and 0 < head.shape[1] <= _MOST_BESIDE:
        return np.dtype([(str(k), head.dtype) for k in range(head.shape[1])])
    return head.dtype


def _unfit_rows(head: ArrayHead) -> str | None:
    """Return why an array cannot be read as rows of numbers."""
    if head.dtype.hasobject:
        return "holds Python objects (pickle), which are never loaded"
    dtype = row_type(head)
    if len(head.shape) == 2 and head.dtype.fields is None:
        if head.shape[1] > _MOST_BESIDE:
            return f"is of shape {head.shape}; up to {_MOST_BESIDE} columns are read"
        if head.fortran_order and min(head.shape) > 1:
            return "is in Fortran's order; save it with np.ascontiguousarray"
    elif len(head.shape) != 1:
        return f"is of shape {head.shape}; rows of numbers are expected"
    if not 0 < dtype.itemsize <= 1 << 16:
        return f"is of type {head.dtype}; numbers are expected"
    return None


def _unfit_number(head: ArrayHead) -> str | None:
    """Return why an array is not one number."""
    if math.prod(head.shape) == 1 and is_number(head.dtype):
        return None
    return f"is of shape {head.shape} and type {head.dtype}; one number is expected"


def _unfit_column(head: ArrayHead) -> str | None:
    """Return why an array cannot be read as a column of numbers."""
    return _unfit(head, records=False)


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
