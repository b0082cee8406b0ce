"""Events in messages of ROS → columns.

Each loop decodes, and also checks whether the events are in order and inside the sensor, as those
of `evt` do.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
UInt64Array = npt.NDArray[np.uint64]

# Data (bytes) of n events, each `step` bytes after the one before, or `size` after the first;
# columns t (µs), x, y (px), p (0 or 1) of n rows or more; width, height of the sensor, px; last:
# timestamp before the first, µs.


@kernel
def short_at(data: UInt8Array, at: np.uint64) -> np.uint32:
    """Return a little-endian number of two bytes; indices of this type cannot be negative."""
    return np.uint32(data[at]) | np.uint32(data[at + np.uint64(1)]) << np.uint32(8)


@kernel
def word_at(data: UInt8Array, at: np.uint64) -> np.uint32:
    """Return a little-endian number of four bytes."""
    return short_at(data, at) | short_at(data, at + np.uint64(2)) << np.uint32(16)


@kernel
def stamped(
    data: UInt8Array,
    n: int,
    size: int,
    step: int,
    first: Int64Array,
    places: Int64Array,
    signed: bool,
    width: int,
    height: int,
    last: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> tuple[int, bool]:
    """Decode events with x, y, a time in s and ns, and a polarity, in this order at five places.

    The first event has them at other places, and `size` bytes.

    Returns how many were decoded: all, or those before one whose polarity is above 1 or whose ns
    are 10⁹ or more; and whether these are in order and inside the sensor.
    """
    at_x, at_y, at_s = np.uint64(first[0]), np.uint64(first[1]), np.uint64(first[2])
    at_ns, at_p = np.uint64(first[3]), np.uint64(first[4])
    begin, step_ = np.uint64(0), np.uint64(size)
    columns, rows = np.uint32(width), np.uint32(height)
    before_1970 = np.int64(1 << 31 if signed else 1 << 32)
    before = np.int64(last)
    sound = True
    for i in range(n):
        nanoseconds = word_at(data, begin + at_ns)
        polarity = data[begin + at_p]
        if polarity > 1 or nanoseconds >= np.uint32(1_000_000_000):
            return i, sound
        seconds = np.int64(word_at(data, begin + at_s))
        if seconds >= before_1970:
            seconds -= 1 << 32
        now = seconds * 1_000_000 + np.int64(nanoseconds // np.uint32(1_000))
        column, row = short_at(data, begin + at_x), short_at(data, begin + at_y)
        t[i] = now
        x[i] = column
        y[i] = row
        p[i] = polarity
        sound &= bool((now >= before) & (column < columns) & (row < rows))
        before = now
        begin += step_
        if i == 0:
            at_x, at_y, at_s = np.uint64(places[0]), np.uint64(places[1]), np.uint64(places[2])
            at_ns, at_p = np.uint64(places[3]), np.uint64(places[4])
            step_ = np.uint64(step)
    return n, sound


@kernel
def stamped_messages(
    data: UInt8Array,
    bounds: Int64Array,
    counts: Int64Array,
    size: int,
    step: int,
    first: Int64Array,
    places: Int64Array,
    signed: bool,
    width: int,
    height: int,
    last: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> tuple[int, int, bool]:
    """Decode messages of one or more events each, as `stamped` does.

    Message k has bytes bounds[k] to bounds[k + 1], and counts[k] events. Returns how many messages
    were decoded: all, or those before one of which an event cannot be; how many events; and
    whether these are in order and inside the sensor.
    """
    rows = 0
    sound = True
    for k in range(len(counts)):
        message = data[bounds[k] : bounds[k + 1]]
        done, is_sound = stamped(
            message,
            counts[k],
            size,
            step,
            first,
            places,
            signed,
            width,
            height,
            last,
            t[rows:],
            x[rows:],
            y[rows:],
            p[rows:],
        )
        rows += done
        sound &= is_sound
        if done < counts[k]:
            return k, rows, sound
        last = t[rows - 1]
    return len(counts), rows, sound


@kernel
def mono(
    words: UInt64Array,
    base: int,
    rest: int,
    width: int,
    height: int,
    last: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> bool:
    """Decode words of ``mono``, whose times count from base µs and rest ns.

    From the lowest bits: 32 of ns, 16 of x, 15 of y, the polarity. Returns whether they are in
    order and inside the sensor.
    """
    sound = True
    for i in range(len(words)):
        word = words[i]
        ns = np.uint64(word & np.uint64(0xFFFFFFFF)) + np.uint64(rest)
        now = base + np.int64(ns // np.uint64(1_000))
        column = np.int64(word >> np.uint64(32)) & 0xFFFF
        row = np.int64(word >> np.uint64(48)) & 0x7FFF
        t[i] = now
        x[i] = column
        y[i] = row
        p[i] = word >> np.uint64(63)
        sound &= bool((now >= last) & (column < width) & (row < height))
        last = int(now)
    return sound


# State of `libcaer` between calls.

HIGH, LOW = 0, 1  # µs: the high and the low bits of the time
COLUMN, ROW, POLARITY = 2, 3, 4  # of events to come
ROWS = 5  # events that the last call decoded
FAULT = 6  # 1 at a word that does not exist
STATE_SIZE = 7
VECTOR_LANES = 8
"""Events of one word, at most."""


@kernel
def libcaer(
    words: UInt16Array,
    base: int,
    state: Int64Array,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> int:
    """Decode words of ``libcaer_cmp`` until they, or the rows, are used up; return how many.

    Times count from base µs. It also stops at a word that does not exist.

    The highest four bits of a word are its kind: 0 and 1 the high and the low 12 bits of the time,
    2 a column, 3 an event of it (bit 11 polarity, 10 to 0 y), 4 base of vectors (as an event), 5
    vector: bits 7 to 0 are a mask, bit k stands for an event at y + k, and the base moves on by 8.
    """
    high, low, column = state[HIGH], state[LOW], state[COLUMN]
    row, polarity = state[ROW], state[POLARITY]
    i = n = 0
    while i < len(words) and n + VECTOR_LANES <= len(t):
        word = np.int64(words[i])
        kind, value = word >> 12, word & 0xFFF
        if kind == 0:
            high = value << 12
        elif kind == 1:
            low = value
        elif kind == 2:
            column = value & 0x7FF
        elif kind == 3:
            t[n] = base + (high | low)
            x[n] = column
            y[n] = value & 0x7FF
            p[n] = value >> 11
            n += 1
        elif kind == 4:
            row, polarity = value & 0x7FF, value >> 11
        elif kind == 5:
            for bit in range(VECTOR_LANES):
                if value >> bit & 1:
                    t[n] = base + (high | low)
                    x[n] = column
                    y[n] = row + bit
                    p[n] = polarity
                    n += 1
            row = min(row + VECTOR_LANES, 0x7FFF)
        else:
            state[FAULT] = 1
            break
        i += 1
    state[HIGH], state[LOW], state[COLUMN] = high, low, column
    state[ROW], state[POLARITY], state[ROWS] = row, polarity, n
    return i
