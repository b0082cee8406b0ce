"""Timestamps in the order of a file → parts of one clock each, and events that are off it."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from evreel.kernels import kernel

Int64Array = npt.NDArray[np.int64]

# State of a clock, between pieces of a file.

PART = 0  # number of the part; the first is 0
ROWS = 1  # events of the part
LATEST = 2  # its latest time, µs
RUN, RUN_ROWS = 3, 4  # events that are off: row of the first, −1 if there are none; their number
RUN_LATEST = 5  # their latest time, µs
AHEAD = 6  # how many events before them may be the ones that are off, by being ahead
FOUND = 7  # rows of `found` that are filled
RESETS, STRAYS = 8, 9  # numbers of resets, and of stray events
STATE_SIZE = 10

RESET, STRAY = 0, 1
"""Kinds of jumps."""
NONE, THE_RUN, THOSE_AHEAD = 0, 1, 2  # what is off its clock, where it jumps

# t (n) int64: times, µs. part (n) int64: the part that an event belongs to, −1 for a stray.
# most: the longest run of strays.


@kernel
def backwards(part: Int64Array, row: int, number: int, most: int) -> int:
    """Return the first row of the last `most` + 1 events of a part that are before a row."""
    seen = 0
    first = k = row
    while k > 0 and seen <= most and (part[k - 1] == number or part[k - 1] < 0):
        k -= 1
        if part[k] == number:
            first = k
            seen += 1
    return first


# row: t before it has been followed. jitter, pause: how far a time may be before and after the
# latest one, µs. over: whether these are the last events.
# Filled: part; found (k, 5) int64, the first k jumps: kind, row, the time before, the time after,
# number of stray events.
@kernel
def follow(
    t: Int64Array,
    row: int,
    jitter: int,
    pause: int,
    most: int,
    over: bool,
    state: Int64Array,
    part: Int64Array,
    found: npt.NDArray[Any],
) -> int:
    """Follow a clock; return the row before which nothing will change any more."""
    n: int = t.shape[0]
    i = row
    while i < n or (over and state[RUN] >= 0):
        number, latest = state[PART], state[LATEST]
        ended = i == n
        on = False
        if not ended:
            time = t[i]
            on = state[ROWS] == 0 or latest - jitter <= time <= latest + pause
            if on and state[RUN] < 0:
                part[i] = number
                state[LATEST] = time if state[ROWS] == 0 else max(latest, time)
                state[ROWS] += 1
                i += 1
                continue
            if state[RUN] < 0:
                state[RUN], state[RUN_ROWS], state[RUN_LATEST] = i, 0, time
                ahead = others = 0
                for k in range(backwards(part, i, number, most), i):
                    if part[k] == number:
                        ahead += t[k] > time + jitter
                        others += t[k] <= time + jitter
                state[AHEAD] = ahead if others > 0 and 2 * ahead <= state[ROWS] else 0
            if not on:
                state[RUN_ROWS] += 1
                state[RUN_LATEST] = max(state[RUN_LATEST], time)
                i += 1
                if state[RUN_ROWS] <= most and state[RUN_ROWS] <= state[ROWS]:
                    continue
        run, rows, ahead = state[RUN], state[RUN_ROWS], state[AHEAD]
        # A clock that comes back without a step was never off: it was set, and has caught up.
        stepped = on and abs(t[i] - state[RUN_LATEST]) > jitter
        if stepped and (ahead == 0 or rows <= ahead):
            off = THE_RUN
        elif ahead > 0 and (ahead <= rows or not ended):
            off = THOSE_AHEAD
        elif ended and rows == 1 and state[ROWS] > 1:
            off = THE_RUN
        else:
            off = NONE
        first, before, strays = run, latest, 0
        if off == THE_RUN:
            strays = rows
            for k in range(run, i):
                part[k] = -1
        elif off == THOSE_AHEAD:
            strays = ahead
            before = -(1 << 62)
            for k in range(backwards(part, run, number, most), run):
                if part[k] == number and t[k] > t[run] + jitter:
                    part[k] = -1
                    first = min(first, k)
                elif part[k] == number:
                    before = max(before, t[k])
            state[LATEST] = before
            state[ROWS] -= strays
            i = run
        else:
            state[PART] += 1
            state[ROWS] = 0
            i = run
        state[RUN] = -1
        if state[FOUND] < found.shape[0]:
            k = state[FOUND]
            found[k, 0], found[k, 1] = STRAY if strays else RESET, first
            found[k, 2], found[k, 3] = before, t[first]
            found[k, 4] = strays
            state[FOUND] += 1
        state[STRAYS] += strays
        state[RESETS] += strays == 0
    if over:
        return n
    last = i if state[RUN] < 0 else state[RUN]
    certain: int = backwards(part, last, state[PART], most)
    return certain
