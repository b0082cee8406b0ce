"""Packets of AEDAT 3.1 → their positions, and columns of their events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
Int64Array = npt.NDArray[np.int64]

# data (b) uint8: a part of the file. left: bytes of the file from data[0] on, b or more.
# heads (k, 6) int64, one row per packet: where it begins in data, type, source, bytes of an event,
# number of events, overflow. w, h: sensor columns, rows.

# How `frame` ends; those from `CUT_HEADER` on are damage.
MORE, FULL, END, CUT_HEADER, NO_HEADER, CUT_PACKET, NO_SUCCESSOR = 0, 1, 2, 3, 4, 5, 6

HEAD_BYTES = 28
PACKET_LIMIT = 1 << 26
MOST_OVERFLOWS = 1 << 22  # of 2³¹ µs each: 2⁵³ µs, 285 years


@kernel
def number(data: UInt8Array, at: int) -> int:
    """Return the little-endian int32 at a position."""
    unsigned: Any = (
        np.int64(data[at])
        | np.int64(data[at + 1]) << 8
        | np.int64(data[at + 2]) << 16
        | np.int64(data[at + 3]) << 24
    )
    signed: int = (unsigned ^ 0x80000000) - 0x80000000
    return signed


@kernel
def starts_header(data: UInt8Array, at: int) -> bool:
    """Return whether the 8 bytes at a position can be the first of a packet's header."""
    kind = np.int64(data[at]) | np.int64(data[at + 1]) << 8
    size = number(data, at + 4)
    if kind >= 0x8000 or data[at + 3] >= 0x80 or size < 4:
        return False
    if kind == 0 or kind == 1:  # special events, polarity
        return size == 8
    if kind == 2:  # frames
        return size >= 36
    if kind == 3:  # IMU of 6 axes
        return size == 36
    if kind == 4:  # of 9
        return size == 48
    return True


@kernel
def is_header(data: UInt8Array, at: int) -> bool:
    """Return whether the 28 bytes at a position can be a packet's header."""
    size, stamp_at = number(data, at + 4), number(data, at + 8)
    overflow, capacity = number(data, at + 12), number(data, at + 16)
    events, valid = number(data, at + 20), number(data, at + 24)
    return (
        starts_header(data, at)
        and 0 <= valid <= events <= capacity
        and 0 <= overflow < MOST_OVERFLOWS
        and events * size <= PACKET_LIMIT
        and 0 <= stamp_at <= size - 4
        and (stamp_at == 4 or data[at] == 2 or data[at] > 4 or data[at + 1] > 0)
    )


# end (3) int64, filled: where in data the first packet begins that is not among `heads`; how many
# bytes from there on are needed to tell more; how it ends.
@kernel
def frame(data: UInt8Array, left: int, heads: Int64Array, end: Int64Array) -> int:
    """Fill `heads` with the packets that are complete in `data`; return how many.

    `end[2]` says why there are no more. A packet is as long as its number of events says, or as
    its capacity, if only that leads to another header or the file's end.
    """
    n = 0
    at = 0
    b = data.shape[0]
    while True:
        end[0] = at
        end[1] = HEAD_BYTES
        if at == left:
            end[2] = END
            return n
        if n == heads.shape[0]:
            end[2] = FULL
            return n
        if left - at < HEAD_BYTES:
            end[2] = CUT_HEADER
            return n
        if b - at < HEAD_BYTES:
            end[2] = MORE
            return n
        if not is_header(data, at):
            end[2] = NO_HEADER
            return n
        size, capacity = number(data, at + 4), number(data, at + 16)
        events = number(data, at + 20)
        stop = at + HEAD_BYTES + events * size
        whole = at + HEAD_BYTES + capacity * size
        if stop > left:
            end[2] = CUT_PACKET
            return n
        end[1] = stop - at
        if capacity != events and stop < left:
            # Whether a header follows the last event shows only in its bytes.
            rest = left - stop
            end[1] = min(stop + HEAD_BYTES, left) - at
            if b - at < end[1]:
                end[2] = MORE
                return n
            follows = is_header(data, stop) if rest >= HEAD_BYTES else False
            if 8 <= rest < HEAD_BYTES:
                follows = starts_header(data, stop)
            if not follows and whole <= left and whole - at <= PACKET_LIMIT:
                end[1] = min(whole + HEAD_BYTES, left) - at
                if b - at < end[1]:
                    end[2] = MORE
                    return n
                # A header that is cut by the end of the file is an end too, a damaged one.
                if left - whole < HEAD_BYTES or is_header(data, whole):
                    stop, follows = whole, True
            if not follows and rest >= HEAD_BYTES:
                end[2] = NO_SUCCESSOR
                return n
        if stop > b:
            end[2] = MORE
            return n
        heads[n, 0] = at
        heads[n, 1] = np.int64(data[at]) | np.int64(data[at + 1]) << 8
        heads[n, 2] = np.int64(data[at + 2]) | np.int64(data[at + 3]) << 8
        heads[n, 3] = size
        heads[n, 4] = events
        heads[n, 5] = number(data, at + 12)
        n += 1
        at = stop


# words (b − 3) uint32: that which begins at each byte of data, so that its elements overlap: to put
# them together from bytes took 1.8 times as long.
# Filled, from their first element on: t (m) int64, x, y (m) uint16, p (m) uint8; tally (4) int64:
# numbers of events, of events marked invalid; 1 where the events are in order and inside the
# sensor, 0 where they are not; where in data the event lies whose stamp is negative, if one is.
@kernel
def polarity(
    words: npt.NDArray[np.uint32],
    heads: Int64Array,
    w: int,
    h: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    tally: npt.NDArray[Any],
) -> int:
    """Decode polarity packets until one has a negative stamp; return how many heads were seen."""
    rows, invalid, sound = 0, 0, 1
    last = np.int64(0)
    for k in range(heads.shape[0]):
        if heads[k, 1] != 1:
            continue
        tally[:3] = (rows, invalid, sound)
        overflow = heads[k, 5] << 31
        at = heads[k, 0] + HEAD_BYTES
        for _ in range(heads[k, 4]):
            word, stamp = np.int64(words[at]), np.int64(words[at + 4])
            if word & 1:
                if stamp >> 31:
                    tally[3] = at
                    return k
                time = overflow | stamp
                column = word >> 17
                row = word >> 2 & 0x7FFF
                if time < last or column >= w or row >= h:
                    sound = 0
                last = time
                t[rows] = time
                x[rows] = column
                y[rows] = row
                p[rows] = word >> 1 & 1
                rows += 1
            else:
                invalid += 1
            at += 8
    tally[:3] = (rows, invalid, sound)
    n: int = heads.shape[0]
    return n
