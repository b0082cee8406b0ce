"""Chunks of Metavision's HDF5, compressed by its codec ECF: decoded and encoded.

All numbers are little-endian. A chunk is

======  =========================================================================================
head    uint32: number of events, times 4; bit 1: y, x and p are packed together; without it, bit 0:
        x and p are packed, y is not
times   uint64, the first one. Then bytes, of which d is the high half and c the low one. d < 15:
        time goes on by d, and the next c events have it; if c is 15, a uint16 follows in its place.
        d = 15: the low halves of it and of the bytes with d = 15 after it are a number, its lowest
        half first, by which time goes on; the next byte is one of the others
packed  in fours: three uint32 a, b, c, of which the 24 bits of each event are a >> 8,
        (a & 255) << 16 … as `_unpack_all` has them: y in the highest 11, x in the next 11, p
rows    uint16: y in the highest 11 bits, and the number of events that have it; if that is 31, a
        uint16 follows in its place
x and   packed: in fours, three uint16, of which the 12 bits of each event are x and p. Else
p       uint16 with x in the highest 11 bits; its bit 4 − j is another event at x + 1 + j. Then
        bytes: p is the highest bit, the others are the number of events that have it; if that is
        127, a uint16 follows in its place
======  =========================================================================================

Nothing says how long a part is. So each read is held against the end of the chunk, and each count
against the number of events.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
Int64Array = npt.NDArray[np.int64]

MOST_EVENTS = 65_535
"""Of a chunk."""
HEAD_BYTES = 12
"""Head and first time."""
MOST_PIXELS = 1 << 11
"""Of a row, and of a column: a coordinate has 11 bits."""

WHOLE, ENDS, TOO_MANY, TOO_LONG = 0, 1, 2, 3
"""What `decode` found: nothing wrong; a part beyond the end of the chunk; a count beyond the number
of events; a time of more than 64 bits."""


# data (m,) bytes of a chunk; at a byte that has a second one
@kernel
def _u16(data: UInt8Array, at: int) -> Any:
    return np.int64(data[at]) | np.int64(data[at + 1]) << 8


# data (m,) bytes of a chunk; at a byte that three others follow
@kernel
def _u32(data: UInt8Array, at: int) -> Any:
    return _u16(data, at) | _u16(data, at + 2) << 16


# data (m,); n events; t (n,) int64
@kernel
def _times(data: UInt8Array, n: int, t: Int64Array) -> tuple[int, int]:
    """Fill in the times; return what is wrong, and the byte after them or where it is wrong."""
    time = np.uint64(0)
    for k in range(8):
        time |= np.uint64(data[4 + k]) << np.uint64(8 * k)
    size, at, done = data.shape[0], 12, 0
    while done < n:
        if at >= size:
            return ENDS, at
        byte = np.int64(data[at])
        at += 1
        step: Any = byte >> 4
        count: Any = byte & 15
        if step < 15:
            time += np.uint64(step)
            if count == 15:
                if at + 2 > size:
                    return ENDS, at
                count = _u16(data, at)
                at += 2
            if count > n - done:
                return TOO_MANY, at
            for k in range(done, done + count):
                t[k] = np.int64(time)
            done += count
            continue
        number, shift = np.uint64(count), 4
        while at < size and data[at] >> 4 == 15:
            if shift == 64:
                return TOO_LONG, at
            number |= np.uint64(data[at] & 15) << np.uint64(shift)
            shift += 4
            at += 1
        time += number
    return WHOLE, at


# value of 24 bits; k the event; x, y (n,) uint16; p (n,) uint8
@kernel
def _event(value: Any, k: int, x: UInt16Array, y: UInt16Array, p: UInt8Array) -> int:
    y[k] = value >> 12 & 0x7FF
    x[k] = value >> 1 & 0x7FF
    p[k] = value & 1
    return k + 1


# data (m,); n events; x, y (n,) uint16; p (n,) uint8
@kernel
def _unpack_all(
    data: UInt8Array, at: int, n: int, x: UInt16Array, y: UInt16Array, p: UInt8Array
) -> tuple[int, int]:
    if at + 12 * ((n + 3) // 4) > data.shape[0]:
        return ENDS, data.shape[0]
    k = 0
    while k < n:
        a, b, c = _u32(data, at), _u32(data, at + 4), _u32(data, at + 8)
        at += 12
        k = _event(a >> 8, k, x, y, p)
        if k < n:
            k = _event((a & 0xFF) | (b >> 16) << 8, k, x, y, p)
        if k < n:
            k = _event((b & 0xFFFF) | (c >> 24) << 16, k, x, y, p)
        if k < n:
            k = _event(c & 0xFFFFFF, k, x, y, p)
    return WHOLE, at


# data (m,); n events; y (n,) uint16
@kernel
def _rows(data: UInt8Array, at: int, n: int, y: UInt16Array) -> tuple[int, int]:
    size, done = data.shape[0], 0
    while done < n:
        if at + 2 > size:
            return ENDS, at
        word = _u16(data, at)
        at += 2
        count = word & 31
        if count == 31:
            if at + 2 > size:
                return ENDS, at
            count = _u16(data, at)
            at += 2
        if count > n - done:
            return TOO_MANY, at
        for k in range(done, done + count):
            y[k] = word >> 5
        done += count
    return WHOLE, at


# data (m,); n events; x (n,) uint16; p (n,) uint8
@kernel
def _unpack_columns(
    data: UInt8Array, at: int, n: int, x: UInt16Array, p: UInt8Array
) -> tuple[int, int]:
    if at + 6 * ((n + 3) // 4) > data.shape[0]:
        return ENDS, data.shape[0]
    for first in range(0, n, 4):
        a, b, c = _u16(data, at), _u16(data, at + 2), _u16(data, at + 4)
        at += 6
        four = (a >> 4, (a & 15) | (b >> 8) << 4, (b & 0xFF) | (c >> 12) << 8, c & 0xFFF)
        for k in range(min(4, n - first)):
            x[first + k] = four[k] >> 1
            p[first + k] = four[k] & 1
    return WHOLE, at


# data (m,); n events; x (n,) uint16
@kernel
def _columns(data: UInt8Array, at: int, n: int, x: UInt16Array) -> tuple[int, int]:
    size, done = data.shape[0], 0
    while done < n:
        if at + 2 > size:
            return ENDS, at
        word = _u16(data, at)
        at += 2
        x[done] = word >> 5
        done += 1
        for j in range(5):
            if word >> (4 - j) & 1 and done < n:  # the last word may list more
                x[done] = (word >> 5) + j + 1
                done += 1
    return WHOLE, at


# data (m,); n events; p (n,) uint8
@kernel
def _polarities(data: UInt8Array, at: int, n: int, p: UInt8Array) -> tuple[int, int]:
    size, done = data.shape[0], 0
    while done < n:
        if at >= size:
            return ENDS, at
        byte = np.int64(data[at])
        at += 1
        count: Any = byte & 127
        if count == 127:
            if at + 2 > size:
                return ENDS, at
            count = _u16(data, at)
            at += 2
        if count > n - done:
            return TOO_MANY, at
        for k in range(done, done + count):
            p[k] = byte >> 7
        done += count
    return WHOLE, at


# data (m,) uint8; t (room,) int64; x, y (room,) uint16; p (room,) uint8
@kernel
def decode(
    data: UInt8Array, t: Int64Array, x: UInt16Array, y: UInt16Array, p: UInt8Array
) -> tuple[int, int, int]:
    """Fill in the events of a chunk.

    Returns the number of events, what is wrong, and the byte where; the number may be more than
    there is room for, which is `TOO_MANY`. Of a chunk that is wrong, the arrays hold anything.
    """
    if data.shape[0] < HEAD_BYTES:
        return 0, ENDS, data.shape[0]
    head = _u32(data, 0)
    n = head >> 2
    if n > t.shape[0]:
        return n, TOO_MANY, 0
    wrong, at = _times(data, n, t)
    if wrong == WHOLE and head & 2:
        wrong, at = _unpack_all(data, at, n, x, y, p)
        return n, wrong, at
    if wrong == WHOLE:
        wrong, at = _rows(data, at, n, y)
    if wrong == WHOLE and head & 1:
        wrong, at = _unpack_columns(data, at, n, x, p)
        return n, wrong, at
    if wrong == WHOLE:
        wrong, at = _columns(data, at, n, x)
    if wrong == WHOLE:
        wrong, at = _polarities(data, at, n, p)
    return n, wrong, at


# data (m,) uint8 with c chunks; begin, size (c,) their bytes; wanted (c,) events of each, `rows` of
# all but the last; t (c rows,) int64; x, y (c rows,) uint16; p (c rows,) uint8
@kernel
def decode_each(
    data: UInt8Array,
    begin: Int64Array,
    size: Int64Array,
    wanted: Int64Array,
    rows: int,
    width: int,
    height: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> tuple[int, int, int, int, bool]:
    """Fill in the events of neighbouring chunks, up to the first that is wrong.

    Returns how many chunks are right; of the wrong one, what `decode` returned; and whether all
    events are in order and inside the sensor.
    """
    done, n, wrong, at = 0, 0, WHOLE, 0
    for k in range(begin.shape[0]):
        low, high = k * rows, (k + 1) * rows
        n, wrong, at = decode(
            data[begin[k] : begin[k] + size[k]], t[low:high], x[low:high], y[low:high], p[low:high]
        )
        if wrong != WHOLE or n < wanted[k]:
            break
        done += 1
    total = wanted[:done].sum()
    sound = True
    for k in range(total):
        sound &= (x[k] < width) & (y[k] < height)
    for k in range(1, total):
        sound &= t[k - 1] <= t[k]
    return done, n, wrong, at, sound


# out (m,) uint8
@kernel
def _put_u16(out: UInt8Array, at: int, value: Any) -> int:
    """Write a number; return the byte after it."""
    out[at] = value & 255
    out[at + 1] = value >> 8 & 255
    return at + 2


# x (n,) uint16; begin a row; returns the row after those that a word can list, and its low bits
@kernel
def _listed(x: UInt16Array, begin: int) -> tuple[int, Any]:
    first = last = np.int64(x[begin])
    bits: Any = 0
    k = begin + 1
    while k < x.shape[0] and last < np.int64(x[k]) <= first + 5:
        last = np.int64(x[k])
        bits |= 1 << (4 - (last - first - 1))
        k += 1
    return k, bits


# values (n,); begin a row; returns the row after those that have its value
@kernel
def _run(values: npt.NDArray[Any], begin: int) -> int:
    k = begin + 1
    while k < values.shape[0] and values[k] == values[begin]:
        k += 1
    return k


# t (n,) int64; x, y (n,) uint16 below 2^11; p (n,) uint8, 0 or 1; 0 < n <= MOST_EVENTS;
# out (m,) uint8 with room for 32 + 20 n bytes
@kernel
def encode(t: Int64Array, x: UInt16Array, y: UInt16Array, p: UInt8Array, out: UInt8Array) -> int:
    """Write a chunk, in the shortest way; return its bytes."""
    n = t.shape[0]
    at = 4
    for shift in range(0, 64, 16):
        at = _put_u16(out, at, np.uint64(t[0]) >> np.uint64(shift) & np.uint64(0xFFFF))
    begin, time = 0, t[0]
    while begin < n:
        stop = _run(t, begin)
        count, step = stop - begin, np.uint64(t[begin]) - np.uint64(time)
        if step >= np.uint64(15):
            while step:
                out[at] = np.uint64(0xF0) | (step & np.uint64(15))
                step >>= np.uint64(4)
                at += 1
        time = t[begin]
        out[at] = np.int64(step) << 4 | min(count, 15)
        at += 1
        if count >= 15:
            at = _put_u16(out, at, count)
        begin = stop
    rows = columns = polarities = begin = 0
    while begin < n:
        stop = _run(y, begin)
        rows += 2 if stop - begin < 31 else 4
        begin = stop
    begin = 0
    while begin < n:
        begin, _ = _listed(x, begin)
        columns += 2
    begin = 0
    while begin < n:
        stop = _run(p, begin)
        polarities += 1 if stop - begin < 127 else 3
        begin = stop
    fours = (n + 3) // 4
    by_row = rows + min(columns + polarities, 6 * fours)
    bits = 2 if 12 * fours <= by_row else 1 if 6 * fours <= columns + polarities else 0
    _put_u16(out, 0, (n << 2 | bits) & 0xFFFF)
    _put_u16(out, 2, n << 2 >> 16)
    if bits == 2:
        for first in range(0, n, 4):
            packed = np.zeros(4, np.int64)
            for k in range(first, min(n, first + 4)):
                packed[k - first] = np.int64(y[k]) << 12 | np.int64(x[k]) << 1 | np.int64(p[k])
            one, two, three, four = packed
            for word in (
                one << 8 | two & 0xFF,
                two >> 8 << 16 | three & 0xFFFF,
                three >> 16 << 24 | four,
            ):
                at = _put_u16(out, _put_u16(out, at, word), word >> 16)
        return at
    begin = 0
    while begin < n:
        stop = _run(y, begin)
        count = stop - begin
        at = _put_u16(out, at, np.int64(y[begin]) << 5 | min(count, 31))
        if count >= 31:
            at = _put_u16(out, at, count)
        begin = stop
    if bits == 1:
        for first in range(0, n, 4):
            packed = np.zeros(4, np.int64)
            for k in range(first, min(n, first + 4)):
                packed[k - first] = np.int64(x[k]) << 1 | np.int64(p[k])
            one, two, three, four = packed
            for word in (
                one << 4 | two & 15,
                two >> 4 << 8 | three & 0xFF,
                three >> 8 << 12 | four,
            ):
                at = _put_u16(out, at, word)
        return at
    begin = 0
    while begin < n:
        word = np.int64(x[begin]) << 5
        begin, listed = _listed(x, begin)
        at = _put_u16(out, at, word | listed)
    begin = 0
    while begin < n:
        stop = _run(p, begin)
        count = stop - begin
        out[at] = np.int64(p[begin]) << 7 | min(count, 127)
        at += 1
        if count >= 127:
            at = _put_u16(out, at, count)
        begin = stop
    return at
