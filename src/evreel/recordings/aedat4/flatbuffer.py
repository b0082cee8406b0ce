"""Read flatbuffers with every offset checked, and build them.

Only what AEDAT 4 needs: a root table, vectors of numbers or of tables, numbers and strings.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.timebase import Int64Array

U16, U32 = struct.Struct("<H"), struct.Struct("<I")
I32, I64 = struct.Struct("<i"), struct.Struct("<q")
_TABLES_AT_ONCE = 4096  # some 100 bytes of index arrays for each field of each
# Size, root, identifier, vtable, root table and length of a vector, as every builder orders them.
_VECTOR_HEAD = struct.Struct("<II4s2x3HiII")


class DamageError(Exception):
    """A broken rule of the format, as the predicate of a sentence about header or packet."""


class Flatbuffer:
    """Bounds-checked reading of a flatbuffer; every method raises `DamageError`.

    Parameters
    ----------
    data
        The flatbuffer, its size in front.
    identifier
        The four letters that it must carry.
    """

    def __init__(self, data: bytes | memoryview, identifier: str) -> None:
        self.data = data
        if len(data) < 12:
            raise DamageError(f"has {len(data)} bytes, too few for a flatbuffer")
        size = self.number(U32, 0) + 4
        if size != len(data):
            raise DamageError(f"has {len(data)} bytes, but the number in front of it says {size}")
        found = bytes(data[8:12])
        if found != identifier.encode():
            raise DamageError(f"holds {found!r}; {identifier} is expected")
        self.root = 4 + self.number(U32, 4)

    def number(self, kind: struct.Struct, at: int) -> int:
        """Return the number at a position."""
        if not 0 <= at <= len(self.data) - kind.size:
            raise DamageError(f"has an offset to byte {at} of its {len(self.data)} bytes")
        value: int = kind.unpack_from(self.data, at)[0]
        return value

    def field(self, table: int, index: int, size: int) -> int | None:
        """Return the position of a table's field of `size` bytes; None if the table omits it."""
        vtable = table - self.number(I32, table)
        vtable_size, table_size = self.number(U16, vtable), self.number(U16, vtable + 2)
        if vtable_size < 4 or max(vtable + vtable_size, table + table_size) > len(self.data):
            raise DamageError("has a table that does not fit in it")
        slot = 4 + 2 * index
        offset = self.number(U16, vtable + slot) if slot + 2 <= vtable_size else 0
        if not offset:
            return None
        if offset < 4 or offset + size > table_size:
            raise DamageError("has a field outside its table")
        return table + offset

    def value(self, table: int, index: int, kind: struct.Struct, default: int = 0) -> int:
        """Return a table's field."""
        at = self.field(table, index, kind.size)
        return default if at is None else self.number(kind, at)

    def vector(self, table: int, index: int, item_size: int) -> tuple[int, int]:
        """Return the position of a vector's items, and how many there are."""
        at = self.field(table, index, 4)
        if at is None:
            return 0, 0
        start = at + self.number(U32, at)
        length = self.number(U32, start)
        if start + 4 + length * item_size > len(self.data):
            raise DamageError(f"has a vector of {length} items that does not fit in it")
        return start + 4, length

    def text(self, table: int, index: int) -> str:
        """Return a table's string."""
        start, length = self.vector(table, index, 1)
        try:
            return bytes(self.data[start : start + length]).decode()
        except UnicodeDecodeError as error:
            raise DamageError(f"has text that is not UTF-8: {error}") from error

    def columns(self, *groups: tuple[str, Sequence[int]]) -> Iterator[list[npt.NDArray[Any]]]:
        """Yield fields of the tables in the vector that is the root table's first field.

        Parameters
        ----------
        groups
            A dtype, and the numbers of the fields that have it. An omitted field is 0.

        Yields
        ------
        For some thousand tables at a time: one (tables, fields) array per group.
        """
        data = np.frombuffer(self.data, np.uint8)
        start, length = self.vector(self.root, 0, 4)
        for first in range(0, length, _TABLES_AT_ONCE):
            entry = start + 4 * np.arange(first, min(first + _TABLES_AT_ONCE, length))
            table = entry + _gathered(data, entry, "<u4")
            vtable = table - _gathered(data, table, "<i4")
            vtable_size = _gathered(data, vtable, "<u2")
            table_size = _gathered(data, vtable + 2, "<u2")
            stop = np.maximum(vtable + vtable_size, table + table_size)
            if (vtable_size < 4).any() or stop.max() > len(data):
                raise DamageError("has a table that does not fit in it")
            columns = []
            for dtype, fields in groups:
                slot = 4 + 2 * np.array(fields)
                listed = slot + 2 <= vtable_size[:, None]
                # For an absent field, byte 0 is read instead and then masked.
                at = np.where(listed, vtable[:, None] + slot, 0)
                offset = np.where(listed, _gathered(data, at, "<u2"), 0)
                beyond = offset + np.dtype(dtype).itemsize > table_size[:, None]
                if ((offset != 0) & (beyond | (offset < 4))).any():
                    raise DamageError("has a field outside its table")
                at = np.where(offset != 0, table[:, None] + offset, 0)
                values = _gathered(data, at, dtype)
                columns.append(np.where(offset != 0, values, np.zeros(1, values.dtype)))
            yield columns


def _gathered(data: npt.NDArray[np.uint8], at: Int64Array, dtype: str) -> npt.NDArray[Any]:
    """Return the numbers at positions of any alignment; sizes and offsets as int64."""
    size = np.dtype(dtype).itemsize
    if at.min() < 0 or at.max() > len(data) - size:
        raise DamageError(f"has an offset beyond its {len(data)} bytes")
    values: npt.NDArray[Any] = data[at[..., None] + np.arange(size)].view(dtype)[..., 0]
    return values.astype(np.int64) if dtype in ("<u2", "<u4", "<i4") else values


def vector_head(identifier: str, n: int, rest: int) -> bytes:
    """Return the bytes before the items of a root table's only field, a vector.

    Parameters
    ----------
    n
        Items of the vector.
    rest
        Bytes that follow.
    """
    size = _VECTOR_HEAD.size - 4 + rest
    return _VECTOR_HEAD.pack(size, 16, identifier.encode(), 6, 8, 4, 6, 4, n)


def tables_flatbuffer(identifier: str, fields: Sequence[npt.NDArray[Any]]) -> bytes:
    """Return a flatbuffer with a vector of tables that share one vtable.

    Parameters
    ----------
    fields
        (n,) values of each field; fields of 8 bytes come first.
    """
    n = len(fields[0])
    sizes = [4, *(field.dtype.itemsize for field in fields)]
    places = [sum(sizes[:k]) for k in range(len(sizes) + 1)]
    stride = -(-places[-1] // 8) * 8
    vtable = struct.pack(f"<{len(fields) + 2}H", 4 + 2 * len(fields), places[-1], *places[1:-1])
    vtable_at = _VECTOR_HEAD.size + 4 * n
    # A table begins 4 bytes before a multiple of 8, so that its first field of 8 bytes is aligned.
    tables_at = -(-(vtable_at + len(vtable) + 4) // 8) * 8 - 4
    table = tables_at + stride * np.arange(n)
    rows = np.zeros((n, stride), np.uint8)
    columns = [(table - vtable_at).astype(np.int32), *fields]
    for column, place, size in zip(columns, places[:-1], sizes, strict=True):
        little = column.astype(column.dtype.newbyteorder("<"))
        rows[:, place : place + size] = little[:, None].view(np.uint8)
    entries = (table - _VECTOR_HEAD.size - 4 * np.arange(n)).astype("<u4")
    gap = bytes(tables_at - vtable_at - len(vtable))
    body = entries.tobytes() + vtable + gap + rows.tobytes()
    return vector_head(identifier, n, len(body)) + body
