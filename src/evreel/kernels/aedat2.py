"""Words of AEDAT 2.0 → columns of events."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]

WRAP_US = 5_000_000
"""How far on a timestamp that falls may be if it has wrapped, µs. Cameras see events, or at least
noise, all the time; after a step beyond it, their clock was set to another time."""

# words (n, 2) uint32: address, stamp. w, h: sensor columns, rows. farthest: the largest time, µs.
# clock (2) int64: time and stamp of the last word that was kept; 2³¹ and 2³¹ before the first, so
# that it becomes one of 0 to 2³² − 1 µs.
# Filled, from their first element on: t (n) int64, x, y (n) int16, p (n) uint8 of events;
# mark_t (n) int64, mark_id (n) int16 of external signals; tally (7) int64: numbers of events,
# signals, APS words, IMU words, words of unknown kind; index of the first event's word; 1 where
# the events are in order and inside the sensor, 0 where they are not.


@kernel
def unwrapped(stamp: Any, time: Any, before: Any) -> Any:
    """Return the time of a 32-bit stamp that follows `time`, whose stamp was `before`.

    A short way over the end of the range, in either direction, is a wrap; any other step is taken
    as it is.
    """
    step = stamp - before
    if step < 0 and step + 0x100000000 <= WRAP_US:
        step += 0x100000000
    elif step > 0 and 0x100000000 - step <= WRAP_US:
        step -= 0x100000000
    return time + step


@kernel
def davis(
    words: npt.NDArray[np.uint32],
    w: int,
    h: int,
    farthest: int,
    clock: Int64Array,
    t: Int64Array,
    x: Int16Array,
    y: Int16Array,
    p: npt.NDArray[np.uint8],
    mark_t: Int64Array,
    mark_id: Int16Array,
    tally: npt.NDArray[Any],
) -> int:
    """Decode words of a DAVIS until one's time is too far; return how many were decoded."""
    rows, marks, aps, imu, unknown = 0, 0, 0, 0, 0
    first, sound = 0, 1
    time, before = clock[0], clock[1]
    last = -farthest
    done: int = words.shape[0]
    for i in range(words.shape[0]):
        address = np.int64(words[i, 0])
        kind = address >> 10 & 3
        if address >> 31:
            if kind == 3:
                imu += 1
            elif kind == 2:
                unknown += 1
            else:
                aps += 1
            continue
        stamp = np.int64(words[i, 1])
        now = unwrapped(stamp, time, before)
        if now > farthest or now < -farthest:
            done = i
            break
        time, before = now, stamp
        if kind & 1:
            mark_t[marks] = time
            mark_id[marks] = address & 0x3FF
            marks += 1
            continue
        column = w - 1 - (address >> 12 & 0x3FF)
        row = address >> 22 & 0x1FF
        if rows == 0:
            first = i
        if time < last or column < 0 or row >= h:
            sound = 0
        last = time
        t[rows] = time
        x[rows] = column
        y[rows] = row
        p[rows] = kind >> 1
        rows += 1
    clock[0], clock[1] = time, before
    tally[:] = (rows, marks, aps, imu, unknown, first, sound)
    return done


@kernel
def dvs128(
    words: npt.NDArray[np.uint32],
    w: int,
    h: int,
    farthest: int,
    clock: Int64Array,
    t: Int64Array,
    x: Int16Array,
    y: Int16Array,
    p: npt.NDArray[np.uint8],
    mark_t: Int64Array,
    mark_id: Int16Array,
    tally: npt.NDArray[Any],
) -> int:
    """Decode words of a DVS128 until one's time is too far, or it has bits that are never set.

    Return how many were decoded.
    """
    rows, marks = 0, 0
    first, sound = 0, 1
    time, before = clock[0], clock[1]
    last = -farthest
    done: int = words.shape[0]
    for i in range(words.shape[0]):
        address = np.int64(words[i, 0])
        mark = address & 0x8000
        stamp = np.int64(words[i, 1])
        now = unwrapped(stamp, time, before)
        # A signal's signed 16-bit address may have been sign-extended to 32 bits.
        high = address >> 16
        if now > farthest or now < -farthest or (high != 0 and not (mark and high == 0xFFFF)):
            done = i
            break
        time, before = now, stamp
        if mark:
            mark_t[marks] = time
            mark_id[marks] = address & 0x7FFF
            marks += 1
            continue
        column = address >> 1 & 0x7F
        row = address >> 8 & 0x7F
        if rows == 0:
            first = i
        if time < last or column >= w or row >= h:
            sound = 0
        last = time
        t[rows] = time
        x[rows] = column
        y[rows] = row
        p[rows] = address & 1
        rows += 1
    clock[0], clock[1] = time, before
    tally[:] = (rows, marks, 0, 0, 0, first, sound)
    return done
