"""Read MATLAB files of version 5 (and 6, 7) with columns ts, x, y and pol, such as ASL-DVS's.

======  ===========================================================================================
bytes   of the header
0       text, up to byte 115: ``MATLAB 5.0 MAT-file, …``
124     version (uint16, 0x0100)
126     ``IM`` in little-endian files, ``MI`` in big-endian ones
======  ===========================================================================================

Then elements: uint32 type, uint32 size, data, padded to 8 bytes. A small element fits into 8 bytes:
its first uint32 has the size in the high half and the type in the low half, and 4 bytes of data
follow. Type 15 is a compressed element (zlib, not padded). Type 14 is a matrix, itself made of
elements: flags (the lowest byte is the class, bit 11 marks complex numbers), dimensions, name,
numbers. Numbers are stored in any type that holds them all: 1 to 7 are int8, uint8, int16, uint16,
int32, uint32 and single, 9 is double, 12 and 13 are int64 and uint64.

Variables are vectors, named as in `columns`. Others are ignored: only their beginning, with the
name, is decompressed. Coordinates are those in the file. In ASL-DVS they count from 0, on a
DAVIS240C (240x180), y from the bottom: tonic and others flip y (``events/flip_y``); SpikingJelly
flips x too (``events/flip_x``). Some of its files are said to hold events outside the sensor
(``events/on_out_of_bounds: drop``).

Files are read as a whole, up to `FILE_BYTES`, which also limits their decompressed columns: ASL-DVS
has a hundred thousand files of some 10⁵ bytes. Version 7.3 is MATLAB's own HDF5, and is not read.

Sources: The MathWorks, MAT-File Format; ASL-DVS: Bi et al., Graph-based Object Classification for
Neuromorphic Vision Sensing, ICCV 2019, and how tonic and SpikingJelly read its files.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any, NamedTuple, NoReturn

import numpy as np
import numpy.typing as npt

from evreel.events import Sensor
from evreel.recordings.columns import NAMES, NAMES_HINT, ColumnsRecording, Rows, columns_by_name
from evreel.recordings.decoded import PIECE_ROWS

FILE_BYTES = 1 << 28
"""Size limit of a file, and of all its decompressed columns together."""

_WANTED = {name for names in NAMES.values() for name in names}
_NAMES_SHOWN = 20
_BEGIN_BYTES = 1024  # flags, dimensions and a name of 63 bytes take 150
_HEAD_BYTES = 128
_HDF5_VERSION = b"MATLAB 7.3"
_COMPRESSED, _MATRIX = 15, 14
_INTEGERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 12: "i8", 13: "u8"}
_TYPES = _INTEGERS | {7: "f4", 9: "f8"}
_NUMBERS = range(6, 16)  # classes of matrices: double to uint64
_COMPLEX = 1 << 11
_CLASSES = {1: "a cell array", 2: "a structure", 3: "an object", 4: "a text", 5: "a sparse matrix"}


class Element(NamedTuple):
    """An element of a file: its type, its data, and where the next element begins."""

    kind: int
    data: memoryview
    stop: int


class Head(NamedTuple):
    """What precedes a variable's numbers; `stop` is where they begin in the matrix's data."""

    flags: int
    shape: list[int]
    name: str
    stop: int


class Variable(NamedTuple):
    """A variable: why it cannot be a column, or its numbers; its byte in the file.

    `checked` says whether it is compressed, with a checksum that was verified.
    """

    problem: str | None
    numbers: npt.NDArray[Any]
    offset: int
    checked: bool


class MatRecording(ColumnsRecording):
    """A MATLAB file of columns; all else as in `ColumnsRecording`.

    Raises
    ------
    RecordingError
        If the file is larger than `FILE_BYTES`, damaged, of version 7.3, or lacks such variables
        of equal length.
    """

    format = "mat"

    def _open(self) -> Sensor | None:
        if self._size > FILE_BYTES:
            self._refuse(
                f"has {self._size:,} bytes; MATLAB files may have up to {FILE_BYTES:,}",
                hint="Save its columns as npz instead.",
            )
        content = self._bytes(self._size, 0)
        if content.startswith(_HDF5_VERSION):
            self._refuse(
                "is a MATLAB file of version 7.3, which is MATLAB's own HDF5",
                0,
                hint="Save it in MATLAB with the option '-v7', or save its columns as npz.",
            )
        if len(content) < _HEAD_BYTES:
            self._fail("the file ends in its header", len(content))
        orders = {b"IM": "<", b"MI": ">"}
        if content[126:128] not in orders:
            self._fail(f"byte order {content[126:128]!r} is neither b'IM' nor b'MI'", 126)
        self._order = orders[content[126:128]]
        self.header = content[:116].decode("latin-1").rstrip("\0 ")
        variables, names_shown = self._variables(memoryview(content))
        names = columns_by_name(variables)
        if isinstance(names, str):
            self._refuse(f"{names} among {', '.join(names_shown) or 'no variables'}", 0, NAMES_HINT)
        self._columns = [variables[names[name]] for name in "txyp"]
        first = self._columns[0]
        for column, name in zip(self._columns, names.values(), strict=True):
            if column.problem is not None:
                self._recode(f"variable {name} {column.problem}", column.offset, NAMES_HINT)
            if len(column.numbers) != len(first.numbers):
                self._fail(
                    f"variable {name} has {len(column.numbers)} numbers, but {names['t']} has "
                    f"{len(first.numbers)}",
                    column.offset,
                    hint="Save it again, or copy or download it again.",
                )
        return None

    def _variables(self, content: memoryview) -> tuple[dict[str, Variable], list[str]]:
        """Return the variables named like columns, and some of the names of all."""
        variables: dict[str, Variable] = {}
        names: list[str] = []
        room, at = FILE_BYTES, _HEAD_BYTES
        while at < len(content):
            packed = self._element(content, at, at)
            kind, data = packed.kind, packed.data
            if kind == _COMPRESSED:
                begin = self._inflated(packed.data, at, _BEGIN_BYTES, whole=False)
                kind, start, size, _ = self._tag(begin, 0, at)
                data = begin[start : start + size]
            if kind == _MATRIX:
                head = self._head(data[:_BEGIN_BYTES], at)
                if len(names) < _NAMES_SHOWN:
                    names.append(head.name)
                if head.name in variables:
                    self._fail(f"variable {head.name!r} is duplicated", at)
                if head.name.lower() in _WANTED:
                    problem = _problem(head)
                    if problem is None and packed.kind == _COMPRESSED:
                        plain = self._inflated(packed.data, at, room, whole=True)
                        room -= len(plain)
                        data = self._element(plain, 0, at).data
                    none = np.empty(0)
                    numbers = none if problem else self._numbers(data, head, at)
                    variables[head.name] = Variable(
                        problem, numbers, at, packed.kind == _COMPRESSED
                    )
            elif kind not in _TYPES:
                self._broken(f"an element is of type {kind}", at)
            at = packed.stop
        return variables, names

    def _broken(self, problem: str, offset: int) -> NoReturn:
        """Raise for damage that prevents reading any of the file."""
        self._fail(problem, offset, hint="Copy or download it again.")

    def _tag(self, content: memoryview, at: int, offset: int) -> tuple[int, int, int, int]:
        """Return the type of the element at a byte, where its data begin, their size, and its end.

        `offset` is its position in the file, for messages.
        """
        tag = content[at : at + 8]
        if len(tag) < 8:
            self._broken("the file ends in the tag of an element", offset)
        kind, size = struct.unpack(self._order + "II", tag)
        if kind >> 16:  # a small one: its data are in the tag
            return kind & 0xFFFF, at + 4, kind >> 16, at + 8
        padding = -size % 8 if kind != _COMPRESSED else 0
        return kind, at + 8, size, at + 8 + size + padding

    def _element(self, content: memoryview, at: int, offset: int) -> Element:
        """Return the element that begins at a byte."""
        kind, start, size, stop = self._tag(content, at, offset)
        if start + size > min(stop, len(content)):
            self._broken(f"an element of {size} bytes extends beyond its end", offset)
        return Element(kind, content[start : start + size], stop)

    def _inflated(self, data: memoryview, offset: int, most: int, *, whole: bool) -> memoryview:
        """Return up to `most` decompressed bytes; if `whole`, all of them or an error."""
        stream = zlib.decompressobj()
        # zlib copies input that it does not use, so give it no more than is needed.
        packed = data if whole else data[: 64 * most]
        try:
            # One more, because 0 would mean no limit.
            out = stream.decompress(packed, most + 1)
        except zlib.error as error:
            self._broken(f"a variable is damaged (zlib): {error}", offset)
        if whole and len(out) > most:
            self._fail(
                f"its decompressed columns exceed the limit of {FILE_BYTES:,} bytes",
                offset,
                hint="Save them as npz instead.",
            )
        if whole and not stream.eof:
            self._broken("a variable is cut off", offset)
        return memoryview(out)

    def _head(self, data: memoryview, offset: int) -> Head:
        """Return flags, dimensions and name of a matrix, from its first bytes."""
        parts: list[Element] = []
        at = 0
        while at < len(data) and len(parts) < 3:
            parts.append(self._element(data, at, offset))
            at = parts[-1].stop
        if len(parts) < 3 or len(parts[0].data) != 8 or len(parts[1].data) % 4:
            self._broken("a variable has no flags, dimensions and name", offset)
        return Head(
            struct.unpack(self._order + "I", parts[0].data[:4])[0],
            np.frombuffer(parts[1].data, self._order + "i4").tolist(),
            bytes(parts[2].data).decode("latin-1"),
            at,
        )

    def _numbers(self, data: memoryview, head: Head, offset: int) -> npt.NDArray[Any]:
        """Return the numbers of a matrix that is a vector."""
        kind, values = 0, data[:0]
        if head.stop < len(data):
            kind, values, _ = self._element(data, head.stop, offset)
        if kind not in _TYPES:
            self._broken(f"variable {head.name} has no numbers", offset)
        stored = np.dtype(self._order + _TYPES[kind])
        if min(head.shape, default=-1) < 0 or len(values) % stored.itemsize:
            self._broken(f"variable {head.name} has a cut number or a negative dimension", offset)
        # After a compressed variable, which is not padded, they may be at any byte.
        numbers = np.require(np.frombuffer(values, stored), requirements=["ALIGNED"])
        size = math.prod(head.shape)
        if size != len(numbers):
            self._broken(f"variable {head.name} has {len(numbers)} numbers, not {size}", offset)
        return numbers

    def _vouched(self, name: str) -> bool:
        return self._columns["txyp".index(name)].checked

    def _rows(self) -> Iterator[Rows]:
        for start in range(0, len(self._columns[0].numbers), PIECE_ROWS):
            columns = tuple(column.numbers[start : start + PIECE_ROWS] for column in self._columns)
            yield Rows(columns, self._columns[0].offset)


def _problem(head: Head) -> str | None:
    """Return why a variable cannot be a column, None if it can."""
    kind = head.flags & 0xFF
    if head.flags & _COMPLEX:
        return "has complex numbers; a vector of real numbers is expected"
    if kind not in _NUMBERS:
        return f"is {_CLASSES.get(kind, f'of class {kind}')}; a vector of numbers is expected"
    if sum(size != 1 for size in head.shape) > 1 and 0 not in head.shape:
        return f"is of size {'x'.join(map(str, head.shape))}; a vector is expected"
    return None
