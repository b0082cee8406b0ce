"""Bytes of an Event Stream → columns of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

UInt16Array = npt.NDArray[np.uint16]


# data (n) uint8: bytes, of which the first is an event's first, a reset or an overflow. flags: bits
# of such a byte below its time, 1 (DVS: polarity) or 2 (ATIS: polarity, and threshold crossing).
# w, h: sensor columns, rows. clock (1) int64: the time before the first byte, then after the last.
# Filled, from their first element on: t (n / 5) int64, x, y (n / 5) uint16, p (n / 5) uint8; y is
# from the top, and from 2¹⁶ down for rows above it. tally (5) int64: numbers of events, threshold
# crossings, resets; index of the first event's first byte; 1 where all events are inside the
# sensor, 0 where they are not.
@kernel
def decode(
    data: npt.NDArray[np.uint8],
    flags: int,
    w: int,
    h: int,
    clock: npt.NDArray[np.int64],
    t: npt.NDArray[np.int64],
    x: UInt16Array,
    y: UInt16Array,
    p: npt.NDArray[np.uint8],
    tally: npt.NDArray[Any],
) -> int:
    """Decode bytes up to an event that is not whole; return how many were decoded."""
    rows, crossings, resets, first, sound = 0, 0, 0, 0, 1
    time = clock[0]
    longest = (1 << 8 - flags) - 1
    mask = (1 << flags) - 1
    size: int = data.shape[0]
    i = 0
    while i < size:
        byte = np.int64(data[i])
        later, rest = byte >> flags, byte & mask
        if later == longest:
            time += longest * rest
            resets += rest == 0
            i += 1
            continue
        if i + 5 > size:
            break
        time += later
        if flags == 2 and rest & 1:
            crossings += 1
            i += 5
            continue
        column = np.int64(data[i + 1]) | np.int64(data[i + 2]) << 8
        row = h - 1 - (np.int64(data[i + 3]) | np.int64(data[i + 4]) << 8)
        if rows == 0:
            first = i
        if column >= w or row < 0:
            sound = 0
        t[rows] = time
        x[rows] = column
        y[rows] = row & 0xFFFF
        p[rows] = rest >> flags - 1
        rows += 1
        i += 5
    clock[0] = time
    tally[:] = (rows, crossings, resets, first, sound)
    return i
