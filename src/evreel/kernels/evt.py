"""Words of Prophesee's EVT 2.0, 2.1 and 3.0 and records of its DAT → columns of events.

Each loop decodes, and also checks whether the events are in order and inside the sensor: a second
pass over the columns would cost as much again. `evreel.recordings.prophesee` says what the words
mean. Columns are passed from the next row on: numba knows that indices that count from 0 are not
negative.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int8Array = npt.NDArray[np.int8]
Int16Array = npt.NDArray[np.int16]
Int64Array = npt.NDArray[np.int64]
UInt8Array = npt.NDArray[np.uint8]
UInt16Array = npt.NDArray[np.uint16]
UInt32Array = npt.NDArray[np.uint32]

# State: what a stream's words so far say about those to come, and how they were handled.

ROWS, MARKS = 0, 1  # events and triggers that the last call decoded
SOUND = 2  # 0 where an event is out of order or outside the sensor; the caller sets it to 1
LAST = 3  # stamp of the last event, µs; the caller sets it to `UNKNOWN` where order begins again
TURNS = 4  # µs of all wraps of the time high
HIGH = 5  # last time high, as in its word; −1 before the first
BASE, NOW = 6, 7  # µs: without and with the low bits; `UNKNOWN` before the first time high
ROW, VECTOR, POLARITY = 8, 9, 10  # of the words to come; row and vector `UNKNOWN` until stated
OTHER = 11  # words that are not events of a pixel
UNPLACED = 12  # words of events whose time, row or base is unknown
FAULT = 13  # why the loop stopped
STATE_SIZE = 14

UNKNOWN = -(1 << 62)
RESERVED, FAR = 1, 2  # faults: a word of a reserved type; a timestamp that is too far
WRAP_US = 5_000_000
"""How far on a time that falls may be if it has wrapped, µs, and at most a sixteenth of the range:
cameras state their time all the time. After a step beyond it, the clock was set to another."""
LANES = 12
"""Pixels of a vector that `evt3` writes at once, set or not."""
GROUP_LANES = 16
"""Rows written at once of what vectors of one base share; fewer than both together stay free."""
EVT21_LANES = 36
"""As `LANES`, in `evt21`."""

# Words (any number); columns t (µs), x, y (px), p (0 or 1), of equal length; for triggers mark_t
# (µs), mark_edge, mark_id; width, height of the sensor, px; farthest: largest stamp, µs. positions
# (4096, 12), counts (4096): which of twelve bits are set, the lowest first, and how many.


@kernel
def turned(turns: int, step: int, bits: int, unit: int) -> int:
    """Return µs of all wraps after a counter of `bits` has moved by `step` of `unit` µs.

    A short way over the end of the range is a wrap; and back over it, after one, undoes it: so a
    late timestamp is out of order, not a range ahead.
    """
    span = 1 << bits
    most = min(WRAP_US // unit, span >> 4)
    if step < 0 and step + span <= most:
        return turns + (unit << bits)
    if turns > 0 and step > 0 and span - step <= most:
        return turns - (unit << bits)
    return turns


@kernel
def evt2(
    words: UInt32Array,
    state: Int64Array,
    width: int,
    height: int,
    farthest: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    mark_t: Int64Array,
    mark_edge: Int8Array,
    mark_id: Int16Array,
) -> int:
    """Decode words until they, or the rows for events or triggers, are used up; return how many."""
    base, last = state[BASE], state[LAST]
    low, coordinate = np.uint32(63), np.uint32(0x7FF)
    at_low, at_x, at_kind = np.uint32(22), np.uint32(11), np.uint32(28)
    columns, rows, no_event = np.uint32(width), np.uint32(height), np.uint32(2 << 28)
    bad = False
    i = n = marks = 0
    stop = min(len(words), len(t))
    while i < stop:
        if base >= 0 and words[i] < no_event:
            # A run of events: one plain loop per column, which the compiler vectorizes, takes 0.4
            # of the time of one loop for all. It is slower only for runs below about ten.
            end = i + 1
            while end < stop and words[end] < no_event:
                end += 1
            run = words[i:end]
            size = end - i
            run_t, run_x = t[n : n + size], x[n : n + size]
            run_y, run_p = y[n : n + size], p[n : n + size]
            for k in range(size):
                run_t[k] = base + np.int64((run[k] >> at_low) & low)
            for k in range(size):
                run_x[k] = (run[k] >> at_x) & coordinate
            for k in range(size):
                run_y[k] = run[k] & coordinate
            for k in range(size):
                run_p[k] = run[k] >> at_kind
            wrong = np.uint32(run_t[0] < last)
            for k in range(size):
                wrong |= np.uint32(((run[k] >> at_x) & coordinate) >= columns)
                wrong |= np.uint32((run[k] & coordinate) >= rows)
            for k in range(1, size):
                wrong |= np.uint32(run_t[k] < run_t[k - 1])
            bad |= wrong != 0
            last = run_t[size - 1]
            n += size
            i = end
            continue
        word = np.int64(words[i])
        kind = word >> 28
        if kind == 8:
            high = word & 0xFFFFFFF
            state[TURNS] = turned(state[TURNS], high - state[HIGH], 28, 64)
            state[HIGH] = high
            base = state[TURNS] + (high << 6)
            if base + 63 > farthest:
                state[FAULT] = FAR
                break
        elif kind <= 1 or kind == 10:
            if base < 0:
                state[UNPLACED] += 1
            elif marks == len(mark_t):
                break
            else:
                mark_t[marks] = base + ((word >> 22) & 63)
                mark_edge[marks] = word & 1
                mark_id[marks] = (word >> 8) & 31
                marks += 1
        elif kind >= 13:
            state[OTHER] += 1
        else:
            state[FAULT] = RESERVED
            break
        i += 1
    if bad:
        state[SOUND] = 0
    state[ROWS], state[MARKS], state[BASE], state[LAST] = n, marks, base, last
    return i


@kernel
def evt21(
    heads: UInt32Array,
    masks: UInt32Array,
    state: Int64Array,
    width: int,
    height: int,
    farthest: int,
    positions: UInt8Array,
    counts: UInt8Array,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    mark_t: Int64Array,
    mark_edge: Int8Array,
    mark_id: Int16Array,
) -> int:
    """Decode words, given as their halves, as `evt2` does."""
    base, last = state[BASE], state[LAST]
    bad = False
    i = n = marks = 0
    while i < len(heads) and n + EVT21_LANES <= len(t) and marks < len(mark_t):
        word = np.int64(heads[i])
        kind = word >> 28
        now = base + ((word >> 22) & 63)
        if kind <= 1 and now >= 0:
            left, row = (word >> 11) & 0x7FF, word & 0x7FF
            mask = np.int64(masks[i])
            first = n
            while mask:
                part = mask & 0xFFF
                for lane in range(LANES):
                    x[n + lane] = left + positions[part, lane]
                n += counts[part]
                mask >>= 12
                left += 12
            if n > first:
                for k in range(first, n):
                    t[k] = now
                    y[k] = row
                    p[k] = kind
                bad |= (now < last) | (x[n - 1] >= width) | (row >= height)
                last = now
        elif kind == 8:
            high = word & 0xFFFFFFF
            state[TURNS] = turned(state[TURNS], high - state[HIGH], 28, 64)
            state[HIGH] = high
            base = state[TURNS] + (high << 6)
            if base + 63 > farthest:
                state[FAULT] = FAR
                break
        elif kind <= 1 or kind == 10:
            if now < 0:
                state[UNPLACED] += 1
            else:
                mark_t[marks] = now
                mark_edge[marks] = word & 1
                mark_id[marks] = (word >> 8) & 31
                marks += 1
        elif kind >= 14:
            state[OTHER] += 1
        else:
            state[FAULT] = RESERVED
            break
        i += 1
    if bad:
        state[SOUND] = 0
    state[ROWS], state[MARKS], state[BASE], state[LAST] = n, marks, base, last
    return i


@kernel
def evt3(
    words: UInt16Array,
    state: Int64Array,
    width: int,
    height: int,
    farthest: int,
    positions: UInt8Array,
    counts: UInt8Array,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    mark_t: Int64Array,
    mark_edge: Int8Array,
    mark_id: Int16Array,
) -> int:
    """Decode words until they, or the rows for events or triggers, are used up; return how many."""
    base, now, last = state[BASE], state[NOW], state[LAST]
    row, vector, polarity = state[ROW], state[VECTOR], state[POLARITY]
    bad = False
    i = n = marks = 0
    most = len(t) - LANES - GROUP_LANES
    while i < len(words) and n <= most and marks < len(mark_t) and not state[FAULT]:
        # That many words fit, whatever they are: asking once saves a tenth.
        stop = min(len(words), i + 1 + (most - n) // LANES)
        while i < stop:
            word = np.int64(words[i])
            kind = word >> 12
            low = word & 0x7FF
            if kind == 2:
                if row | now >= 0:  # neither is unknown, which is negative
                    t[n] = now
                    x[n] = low
                    y[n] = row
                    p[n] = (word >> 11) & 1
                    bad |= (now < last) | (low >= width) | (row >= height)
                    last = now
                    n += 1
                else:
                    state[UNPLACED] += 1
            elif kind == 0 or kind == 6:
                # By selection, because a branch could not be predicted.
                row = low if kind == 0 else row
                now = base + (word & 0xFFF) if kind == 6 else now
            elif kind == 3:
                vector = low
                polarity = (word >> 11) & 1
                first = n
                while row | now >= 0 and i + 1 < stop:
                    # The vectors that follow are taken too, and what they share is written once
                    # for all: 0.7 of the time of word by word.
                    word = np.int64(words[i + 1])
                    kind = word >> 12
                    if kind != 4 and kind != 5:
                        break
                    mask = word & 0xFFF if kind == 4 else word & 0xFF
                    for lane in range(LANES):
                        x[n + lane] = vector + positions[mask, lane]
                    n += counts[mask]
                    vector = min(vector + (12 if kind == 4 else 8), 0xFFFF - LANES)
                    i += 1
                for k in range(first, n, GROUP_LANES):
                    for lane in range(GROUP_LANES):
                        t[k + lane] = now
                    for lane in range(GROUP_LANES):
                        y[k + lane] = row
                    for lane in range(GROUP_LANES):
                        p[k + lane] = polarity
                if n > first:
                    bad |= (now < last) | (x[n - 1] >= width) | (row >= height)
                    last = now
            elif kind == 4 or kind == 5:
                mask = word & 0xFFF if kind == 4 else word & 0xFF
                if row | now | vector >= 0:
                    # All lanes are written, but `n` advances only by the set ones: half the time
                    # of a loop over the bits.
                    for lane in range(LANES):
                        x[n + lane] = vector + positions[mask, lane]
                    for lane in range(LANES):
                        t[n + lane] = now
                    for lane in range(LANES):
                        y[n + lane] = row
                    for lane in range(LANES):
                        p[n + lane] = polarity
                    if mask:
                        n += counts[mask]
                        bad |= (now < last) | (x[n - 1] >= width) | (row >= height)
                        last = now
                    # Limited so that no uint16 wraps; a sensor ends long before.
                    vector = min(vector + (12 if kind == 4 else 8), 0xFFFF - LANES)
                else:
                    state[UNPLACED] += 1
            elif kind == 8:
                high = word & 0xFFF
                if high != state[HIGH]:
                    state[TURNS] = turned(state[TURNS], high - state[HIGH], 12, 4096)
                    state[HIGH] = high
                    base = state[TURNS] + (high << 12)
                    now = base
                    if base + 4095 > farthest:
                        state[FAULT] = FAR
                        break
            elif kind == 10:
                if now < 0:
                    state[UNPLACED] += 1
                elif marks == len(mark_t):
                    break
                else:
                    mark_t[marks] = now
                    mark_edge[marks] = word & 1
                    mark_id[marks] = (word >> 8) & 15
                    marks += 1
            elif kind == 1:  # the row of events that are not of a pixel's change
                row = UNKNOWN
                state[OTHER] += 1
            elif kind == 7 or kind >= 13:
                state[OTHER] += 1
            else:
                state[FAULT] = RESERVED
                break
            i += 1
    if bad:
        state[SOUND] = 0
    state[ROWS], state[MARKS], state[BASE], state[NOW], state[LAST] = n, marks, base, now, last
    state[ROW], state[VECTOR], state[POLARITY] = row, vector, polarity
    return i


@kernel
def evt3_packets(
    words: UInt16Array,
    bounds: Int64Array,
    stamps: Int64Array,
    clock: Int64Array,
    most_off: int,
    firsts: Int64Array,
    state: Int64Array,
    width: int,
    height: int,
    farthest: int,
    positions: UInt8Array,
    counts: UInt8Array,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
    mark_t: Int64Array,
    mark_edge: Int8Array,
    mark_id: Int16Array,
) -> int:
    """Decode packets as `evt3` does, up to one that does not follow on; return how many.

    Packet k has words bounds[k] to bounds[k + 1], and a stamp in µs. It follows on if this is at
    most `most_off` from the time of the words before, moved by clock[0] and clock[1], how late
    stamps are: that becomes what it is of this one. It also stops at a packet for which room may
    be too small; and in one with a fault, whose index of the word becomes clock[2]. firsts[k] is
    the row of its first event, and then comes the number of rows.
    """
    rows = marks = k = 0
    firsts[0] = 0
    while k < len(stamps):
        begin, end = bounds[k], bounds[k + 1]
        off = stamps[k] - (state[BASE] + clock[0]) - clock[1]
        is_near = state[BASE] >= 0 and -most_off <= off <= most_off
        fits = rows + (end - begin + 1) * LANES + GROUP_LANES <= len(t)
        if not is_near or not fits or marks + end - begin >= len(mark_t):
            break
        clock[1] += off
        done = evt3(
            words[begin:end],
            state,
            width,
            height,
            farthest,
            positions,
            counts,
            t[rows:],
            x[rows:],
            y[rows:],
            p[rows:],
            mark_t[marks:],
            mark_edge[marks:],
            mark_id[marks:],
        )
        rows += state[ROWS]
        marks += state[MARKS]
        firsts[k + 1] = rows
        if state[FAULT]:
            clock[2] = done
            break
        k += 1
    state[ROWS], state[MARKS] = rows, marks
    return k


@kernel
def dat(
    records: UInt32Array,
    state: Int64Array,
    width: int,
    height: int,
    farthest: int,
    bits_x: int,
    bits_y: int,
    bits_p: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> int:
    """Decode records, two numbers each, into as many rows; return how many.

    `HIGH` of the state is the last timestamp as in its record.
    """
    mask_x, mask_y = np.uint32((1 << bits_x) - 1), np.uint32((1 << bits_y) - 1)
    mask_p, at_y, at_p = np.uint32((1 << bits_p) - 1), np.uint32(bits_x), np.uint32(bits_x + bits_y)
    columns, rows, one = np.uint32(width), np.uint32(height), np.uint32(1)
    n = len(records) // 2
    odd = wrong = np.uint32(0)
    late = np.uint32((1 << 32) - WRAP_US)
    # As if timestamps never fell: loops without a branch, which the compiler vectorizes, take 0.4
    # of the time of `dat_step_by_step`.
    for k in range(n):
        address = records[2 * k + 1]
        column, row = address & mask_x, (address >> at_y) & mask_y
        polarity = (address >> at_p) & mask_p
        t[k] = state[TURNS] + np.int64(records[2 * k])
        x[k] = column
        y[k] = row
        p[k] = polarity
        odd |= np.uint32(polarity > one)
        wrong |= np.uint32(column >= columns) | np.uint32(row >= rows)
    for k in range(1, n):
        stamp, before = records[2 * k], records[2 * k - 2]
        odd |= np.uint32(stamp < before) | np.uint32(stamp - before >= late)
    first = np.int64(records[0]) - state[HIGH] if n else 0
    if n == 0 or odd or first < 0 or first >= late:
        return dat_step_by_step(
            records, state, width, height, farthest, bits_x, bits_y, bits_p, t, x, y, p
        )
    if wrong:
        state[SOUND] = 0
    state[ROWS], state[HIGH], state[LAST] = n, records[2 * n - 2], t[n - 1]
    return n


@kernel
def dat_step_by_step(
    records: UInt32Array,
    state: Int64Array,
    width: int,
    height: int,
    farthest: int,
    bits_x: int,
    bits_y: int,
    bits_p: int,
    t: Int64Array,
    x: UInt16Array,
    y: UInt16Array,
    p: UInt8Array,
) -> int:
    """Decode as `dat` does, even if timestamps fall or a polarity is not valid."""
    mask_x, mask_y, mask_p = (1 << bits_x) - 1, (1 << bits_y) - 1, (1 << bits_p) - 1
    turns, before, last = state[TURNS], state[HIGH], state[LAST]
    bad = False
    n = 0
    while 2 * n < len(records):
        stamp, address = np.int64(records[2 * n]), np.int64(records[2 * n + 1])
        polarity = (address >> (bits_x + bits_y)) & mask_p
        if polarity > 1:
            state[FAULT] = RESERVED
            break
        turns = turned(turns, stamp - before, 32, 1)
        now = turns + stamp
        if now > farthest:
            state[FAULT] = FAR
            break
        before = stamp
        column, row = address & mask_x, (address >> bits_x) & mask_y
        t[n] = now
        x[n] = column
        y[n] = row
        p[n] = polarity
        bad |= (now < last) | (column >= width) | (row >= height)
        last = now
        n += 1
    if bad:
        state[SOUND] = 0
    state[ROWS], state[TURNS], state[HIGH], state[LAST] = n, turns, before, last
    return n
